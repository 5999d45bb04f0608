// When calls are to start: the offered rate over time, and the instants that it leads to. The same seed gives
// the same instants. Knows neither clock nor network.
import Glibc
import JunctionRouting

/// The rate of calls over time, piece by piece; within a piece it goes straight from one value to the other.
public struct RateProfile: Sendable, Equatable, Codable {
    public struct Piece: Sendable, Equatable, Codable {
        public var seconds: Double
        /// Calls a second at the start and at the end of the piece.
        public var from: Double
        public var to: Double

        public init(seconds: Double, from: Double, to: Double) {
            self.seconds = seconds
            self.from = from
            self.to = to
        }

        var calls: Double { (from + to) / 2 * seconds }

        /// Seconds into the piece at which `calls` have started.
        func time(of calls: Double) -> Double {
            let slope = (to - from) / seconds
            // The root of from·t + slope·t²/2 = calls, in the form that holds for a slope of 0 as well.
            let root = max(0, from * from + 2 * slope * calls).squareRoot()
            return from + root > 0 ? min(seconds, 2 * calls / (from + root)) : seconds
        }
    }

    public var pieces: [Piece]
    public init(_ pieces: [Piece]) { self.pieces = pieces }

    /// All of it at one rate.
    public static func constant(_ rate: Double, seconds: Double) -> RateProfile {
        RateProfile([Piece(seconds: seconds, from: rate, to: rate)])
    }

    /// The same, after `seconds` at the rate with which it begins.
    func warmedUp(seconds: Double) -> RateProfile {
        guard seconds > 0, let first = pieces.first else { return self }
        return RateProfile([Piece(seconds: seconds, from: first.from, to: first.from)] + pieces)
    }

    public var seconds: Double { pieces.reduce(0) { $0 + $1.seconds } }
    /// The integral of the rate.
    public var calls: Double { pieces.reduce(0) { $0 + $1.calls } }
}

/// How calls are spread in time.
public enum ArrivalPattern: String, Sendable, CaseIterable, Codable {
    /// At even distances.
    case constant
    /// At random, independent of each other, as calls of many callers are.
    case poisson
}

/// A call of a trace.
public struct TracedCall: Sendable, Equatable, Codable {
    /// Seconds on the clock of the trace.
    public var at: Double
    /// What was asked; nil: what the mix has.
    public var kind: RequestKind?

    public init(at: Double, kind: RequestKind? = nil) {
        self.at = at
        self.kind = kind
    }
}

/// The instants at which calls start, in seconds from the start, in order.
public struct Arrivals: Sequence, IteratorProtocol, Sendable {
    private enum Source: Sendable {
        case profile(RateProfile, ArrivalPattern)
        case trace([TracedCall])
    }

    private let source: Source
    private var random: RandomSource
    private var target = 0.0
    private var piece = 0
    private var callsBefore = 0.0
    private var secondsBefore = 0.0
    private var index = 0
    /// What the call of the latest instant asks; nil: what the mix has.
    public private(set) var kind: RequestKind?

    public init(_ profile: RateProfile, _ pattern: ArrivalPattern, seed: UInt64) {
        source = .profile(profile, pattern)
        random = RandomSource(seed: seed)
    }

    /// The instants of a trace, which is in order of time, from its first one on.
    public init(trace: [TracedCall]) {
        source = .trace(trace)
        random = RandomSource(seed: 0)
    }

    public mutating func next() -> Double? {
        switch source {
        case .trace(let calls):
            guard index < calls.count else { return nil }
            defer { index += 1 }
            kind = calls[index].kind
            return calls[index].at - calls[0].at
        case .profile(let profile, let pattern):
            // A process of rate r(t) is one of rate 1 with its time bent by the integral of r.
            target += pattern == .constant ? (target == 0 ? 0.5 : 1) : -log(1 - random.fraction())
            while piece < profile.pieces.count {
                let current = profile.pieces[piece]
                if target - callsBefore <= current.calls {
                    return secondsBefore + current.time(of: target - callsBefore)
                }
                callsBefore += current.calls
                secondsBefore += current.seconds
                piece += 1
            }
            return nil
        }
    }
}
