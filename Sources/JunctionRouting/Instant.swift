// A moment, as time since some start that the caller chooses. The core has no clock: every method that
// needs the time is given it.

/// A moment in time. Only differences and order mean anything.
public struct Instant: Comparable, Hashable, Sendable {
    /// Time since the start.
    public var sinceStart: Duration

    public init(_ sinceStart: Duration) { self.sinceStart = sinceStart }

    /// The start.
    public static var zero: Instant { Instant(.zero) }

    public static func < (left: Instant, right: Instant) -> Bool { left.sinceStart < right.sinceStart }
    public static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(instant.sinceStart + duration)
    }
    public static func - (left: Instant, right: Instant) -> Duration { left.sinceStart - right.sinceStart }
}

extension Duration {
    /// The length in seconds.
    var seconds: Double { self / .seconds(1) }
}
