// What a provider's answer says about its limits, from the x-ratelimit-… header fields.
// Source: platform.openai.com/docs/guides/rate-limits.

/// What a provider says about its limits for this key.
public struct RateLimits: Sendable, Equatable {
    public struct Limit: Sendable, Equatable {
        /// Most in the provider's window, a minute or a day.
        public var limit: Int?
        /// How many of them are left.
        public var remaining: Int?
        /// Until all of them are back.
        public var reset: Duration?
    }

    public var requests = Limit()
    public var tokens = Limit()
}
