// What a run is to do, as values: where, what, how fast, how long.

public struct LoadPlan: Sendable, Equatable, Codable {
    public enum Pacing: Sendable, Equatable, Codable {
        /// Open loop: calls start when they are due, whatever became of earlier ones.
        case rate(RateProfile, ArrivalPattern)
        /// Open loop: calls start when they did in a trace, which is in order of time.
        case trace([TracedCall])
        /// Closed loop: so many calls at once, each followed by the next.
        case concurrency(Int)
    }

    public var host = "127.0.0.1"
    public var port = 50051
    public var kinds: [RequestKind] = []
    public var pacing = Pacing.concurrency(16)
    /// Length of the counted part; an open loop's is that of its profile or trace.
    public var seconds = 10.0
    /// Seconds before it that do not count.
    public var warmUpSeconds = 1.0
    /// Most counted calls; nil: as many as the time allows.
    public var callsMax: Int?
    /// Threads of each process.
    public var threads = 1
    /// Processes that make the run together, and which of them this is, from 0.
    public var processes = 1
    public var process = 0
    /// Connections in all; at least one a thread.
    public var connections = 8
    /// Seconds that a call may take.
    public var timeoutSeconds = 60.0
    public var seed: UInt64 = 1

    public init() {}

    /// The instants of an open loop, those of the warm-up before `warmUpSeconds`; nil for a closed one.
    func arrivals() -> Arrivals? {
        switch pacing {
        case .concurrency: nil
        case .rate(let profile, let pattern):
            Arrivals(profile.warmedUp(seconds: warmUpSeconds), pattern, seed: seed)
        case .trace(let calls): Arrivals(trace: calls)
        }
    }

    /// Threads of all processes: each makes one call of so many.
    var parts: Int { threads * processes }

    /// What part `index` of all has of `count` things.
    func share(of count: Int, _ index: Int) -> Int { count / parts + (index < count % parts ? 1 : 0) }

    /// The same with the lengths that follow from the pacing: a trace has no warm-up.
    var settled: LoadPlan {
        var plan = self
        switch pacing {
        case .concurrency: break
        case .rate(let profile, _): plan.seconds = profile.seconds
        case .trace(let calls):
            plan.seconds = (calls.last?.at ?? 0) - (calls.first?.at ?? 0)
            plan.warmUpSeconds = 0
        }
        plan.connections = max(connections, parts)
        return plan
    }

    /// The pacing in words.
    public var pacingText: String {
        switch pacing {
        case .concurrency(let calls): return "closed loop, \(calls) calls at once"
        case .trace(let calls): return "open loop, a trace of \(calls.count) calls"
        case .rate(let profile, let pattern):
            let rates = profile.pieces.map {
                $0.from == $0.to ? short($0.from) : "\(short($0.from)) to \(short($0.to))"
            }
            return "open loop, \(pattern.rawValue) arrivals, \(rates.joined(separator: ", ")) calls/s"
        }
    }
}
