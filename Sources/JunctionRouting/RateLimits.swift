// What a provider says in its answers of its own limits, and what follows for what we may still reserve.

/// What a provider says about its limits for a key.
public struct RateLimits: Sendable, Equatable {
    public struct Limit: Sendable, Equatable {
        /// Most in the provider's window, a minute or a day.
        public var limit: Int?
        /// How many of them are left.
        public var remaining: Int?
        /// Until all of them are back.
        public var reset: Duration?

        public init(limit: Int? = nil, remaining: Int? = nil, reset: Duration? = nil) {
            self.limit = limit
            self.remaining = remaining
            self.reset = reset
        }
    }

    public var requests = Limit()
    public var tokens = Limit()

    public init() {}
}

/// What a deployment may take until its provider's limits are whole again. It never lets more through than
/// our own limits do, and it is not given back to: the next answer says anew what is left.
struct Allowance: Equatable {
    /// The longest that a provider's word holds without a newer one.
    private static let longest = Duration.seconds(120)
    /// Ends are put off to the next of so many in a second, so that not each costs a look at all deployments.
    private static let grain = Duration.milliseconds(100)

    private(set) var left = Int.max
    /// Most in the provider's window; 0: not known.
    private(set) var limit = 0
    private(set) var until = Instant.zero

    /// - Parameter room: what our own limit has left.
    mutating func note(_ said: RateLimits.Limit, room: Int, now: Instant) {
        guard let remaining = said.remaining, remaining >= 0, let reset = said.reset, reset > .zero else {
            return
        }
        limit = max(remaining, said.limit ?? 0)
        // What says no more than our own count does need not be kept.
        guard remaining < room else {
            self = Allowance()
            return
        }
        left = remaining
        let end = now.sinceStart + min(reset, Self.longest)
        until = Instant(Self.grain * Int((end / Self.grain).rounded(.up)))
    }

    mutating func take(_ count: Int) {
        if left != .max { left -= count }
    }

    mutating func expire(_ now: Instant) {
        if until <= now { left = .max }
    }

    /// The share of the provider's limit that is used; 0: not known.
    var shareUsed: Double {
        left == .max || limit == 0 ? 0 : 1 - Double(max(0, left)) / Double(limit)
    }

    /// What the provider has counted, as far as it is known.
    var counted: Int { left == .max || limit == 0 ? 0 : limit - max(0, left) }
}
