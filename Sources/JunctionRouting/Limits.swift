// What a deployment may still take in the current minute. Minutes are fixed and start with the instants'
// own start; LiteLLM and the providers count so too.

/// One deployment's limits and what is counted against them. One cache line, since a choice reads all of
/// them.
struct Slot {
    /// Tokens used in this minute by calls that ended, and reserved in it by calls under way.
    var tokensCounted = 0
    var requestsCounted = 0
    var inFlight = 0
    /// Not to be used before this.
    var coolingUntil = Instant.zero
    let tokensLimit: Int
    let requestsLimit: Int
    let inFlightLimit: Int

    init(_ deployment: Deployment) {
        tokensLimit = deployment.tokensPerMinute ?? .max
        requestsLimit = deployment.requestsPerMinute ?? .max
        inFlightLimit = deployment.maxParallelRequests ?? .max
    }

    /// Whether a call of so many tokens would pass no limit.
    func hasRoom(for tokens: Int) -> Bool {
        minuteHasRoom(for: tokens) && inFlight < inFlightLimit
    }

    func minuteHasRoom(for tokens: Int) -> Bool {
        tokens <= tokensLimit &- tokensCounted && requestsCounted < requestsLimit
    }

    /// The share of the minute's limits that is used or reserved, of that which is nearer to its end.
    var shareUsed: Double {
        max(Double(tokensCounted) / Double(tokensLimit), Double(requestsCounted) / Double(requestsLimit))
    }

    /// Whether half of each limit is left: room for a call that could do without.
    var isHalfFree: Bool { shareUsed <= 0.5 && inFlight <= inFlightLimit / 2 }

    mutating func startMinute() {
        tokensCounted = 0
        requestsCounted = 0
    }
}

/// The minute that limits are counted in.
struct Minute {
    private(set) var number = 0
    /// The start of the next.
    private(set) var end = Instant(.seconds(60))

    /// Goes on to the minute of `now`; whether that is another. Never goes back.
    mutating func advance(to now: Instant) -> Bool {
        guard now >= end else { return false }
        number = Int(now.sinceStart.components.seconds / 60)
        end = Instant(.seconds(60) * (number + 1))
        return true
    }
}
