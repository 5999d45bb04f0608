// A moment, as time since some start that the caller chooses. The core has no clock: every method that
// needs the time is given it.

/// A moment in time, to the nanosecond. Only differences and order mean anything. What is more than 73
/// years from the start counts as 73 years from it.
public struct Instant: Comparable, Hashable, Sendable {
    /// An integer, not a `Duration`: to compare those is a call, and a choice compares by the thousand.
    private var nanoseconds: Int

    public init(_ sinceStart: Duration) { nanoseconds = sinceStart.nanoseconds }

    /// Time since the start.
    public var sinceStart: Duration { .nanoseconds(nanoseconds) }

    /// Later than all that is planned.
    static var never: Instant { Instant(.seconds(2_000_000_000)) }

    /// The start.
    public static var zero: Instant { Instant(.zero) }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
    public static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(.nanoseconds(instant.nanoseconds + duration.nanoseconds))
    }
    public static func - (instant: Instant, duration: Duration) -> Instant {
        Instant(.nanoseconds(instant.nanoseconds - duration.nanoseconds))
    }
    public static func - (left: Instant, right: Instant) -> Duration {
        .nanoseconds(left.nanoseconds - right.nanoseconds)
    }
}

extension Duration {
    /// The length in nanoseconds, rounded towards zero, and bounded so that a sum of two is in range.
    fileprivate var nanoseconds: Int {
        let bound = Int128(Int.max / 4)
        return Int(max(-bound, min(bound, attoseconds / 1_000_000_000)))
    }

    /// The length in seconds, to the nanosecond.
    var seconds: Double { Double(nanoseconds) * 1e-9 }

    /// Half the length, to the nanosecond. (To divide a `Duration` itself takes 40 ns.)
    var half: Duration { share(of: 2) }

    /// One of `count` equal parts, to the nanosecond.
    func share(of count: Int) -> Duration { .nanoseconds(nanoseconds / count) }
}
