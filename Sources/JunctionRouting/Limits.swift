// What a deployment, or a whole model group, may still take: tokens and requests in a window of a minute, and
// calls under way. Knows no deployment by name and no call.

/// How the minute of `tpm` and `rpm` is counted.
public enum RateLimitWindow: String, Sendable, CaseIterable {
    /// Minutes that start with the instants' own start, each with the whole limit. At their borders up to
    /// twice the limit passes in 60 seconds.
    case fixed
    /// The last 60 seconds, by the second: never more than the limit in any 60 seconds.
    case sliding
}

/// What is counted in a window.
struct Counts: Equatable {
    /// Tokens used by calls that ended, and reserved by calls under way.
    var tokens = 0
    /// Of these, those reserved.
    var reserved = 0
    var requests = 0

    static func += (left: inout Counts, right: Counts) {
        left.tokens += right.tokens
        left.reserved += right.reserved
        left.requests += right.requests
    }

    static func -= (left: inout Counts, right: Counts) {
        left.tokens -= right.tokens
        left.reserved -= right.reserved
        left.requests -= right.requests
    }
}

/// Limits and what is counted against them in the present window. One cache line.
struct Slot {
    var counts = Counts()
    var inFlight = 0
    /// Not to be used before this.
    var coolingUntil = Instant.zero
    let tokensLimit: Int
    let requestsLimit: Int
    let inFlightLimit: Int

    init(_ limits: Limits) {
        tokensLimit = limits.tokensPerMinute ?? .max
        requestsLimit = limits.requestsPerMinute ?? .max
        inFlightLimit = limits.maxParallelRequests ?? .max
    }

    var tokensCounted: Int { counts.tokens }
    var requestsCounted: Int { counts.requests }

    /// Whether a call of so many tokens would pass no limit.
    func hasRoom(for tokens: Int) -> Bool {
        minuteHasRoom(for: tokens) && inFlight < inFlightLimit
    }

    func minuteHasRoom(for tokens: Int) -> Bool {
        tokens <= tokensLimit &- counts.tokens && counts.requests < requestsLimit
    }

    /// The share of the minute's limits that is used or reserved, of that which is nearer to its end.
    var shareUsed: Double {
        max(Double(counts.tokens) / Double(tokensLimit), Double(counts.requests) / Double(requestsLimit))
    }

    /// Whether half of each limit is left: room for a call that could do without.
    var isHalfFree: Bool { shareUsed <= 0.5 && inFlight <= inFlightLimit / 2 }
}

/// Most that a deployment or a model group takes; nil: no limit.
public struct Limits: Sendable, Equatable {
    /// Most tokens in a minute.
    public var tokensPerMinute: Int?
    /// Most requests in a minute.
    public var requestsPerMinute: Int?
    /// Most requests under way at a time.
    public var maxParallelRequests: Int?
    /// Most US dollars in a time.
    public var budget: BudgetLimit?

    public init(
        tokensPerMinute: Int? = nil, requestsPerMinute: Int? = nil, maxParallelRequests: Int? = nil,
        budget: BudgetLimit? = nil
    ) {
        self.tokensPerMinute = tokensPerMinute
        self.requestsPerMinute = requestsPerMinute
        self.maxParallelRequests = maxParallelRequests
        self.budget = budget
    }
}

/// The minute that health is judged in, and fixed limits are counted in.
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

/// The window that limits are counted in, as a ring of the periods that have to be told apart: one minute, or
/// 61 seconds, since the first of them is not over everywhere in its second. A period leaves as a whole.
struct Window {
    let isSliding: Bool
    /// Places that are counted for.
    private let width: Int
    /// What was counted for each place in each period, the periods one after the other; empty when there is
    /// one only.
    private var ring: [Counts]
    /// The present period, counted from the start.
    private(set) var number = 0
    private(set) var end: Instant

    init(_ kind: RateLimitWindow, width: Int) {
        isSliding = kind == .sliding
        self.width = width
        ring = isSliding ? Array(repeating: Counts(), count: Self.seconds * width) : []
        end = Instant(.seconds(isSliding ? 1 : 60))
    }

    private static let seconds = 61

    /// Goes on to the period of `now` and takes what has left out of `slots`; whether any has. Never goes
    /// back.
    mutating func advance(to now: Instant, _ slots: inout [Slot]) -> Bool {
        guard now >= end else { return false }
        let second = Int(now.sinceStart.components.seconds)
        let current = isSliding ? second : second / 60
        let passed = current - number
        number = current
        end = Instant(.seconds(isSliding ? current + 1 : (current + 1) * 60))
        if !isSliding || passed >= Self.seconds {
            for place in slots.indices { slots[place].counts = Counts() }
            for index in ring.indices { ring[index] = Counts() }
            return true
        }
        for period in current - passed + 1...current {
            let first = start(of: period)
            for place in 0..<width where ring[first + place].requests != 0 || ring[first + place].tokens != 0
            {
                slots[place].counts -= ring[first + place]
                ring[first + place] = Counts()
            }
        }
        return true
    }

    /// Whether what was counted in a period counts still.
    func holds(_ period: Int) -> Bool { isSliding ? number - period < Self.seconds : period == number }

    mutating func add(_ counts: Counts, _ place: Int, in period: Int) {
        if isSliding { ring[start(of: period) + place] += counts }
    }

    /// When `slot` has room for a call, if nothing else happens; `tokens` are no more than its limit.
    func opens(_ slot: Slot, _ place: Int, for tokens: Int, now: Instant) -> Instant {
        if slot.minuteHasRoom(for: tokens) { return now }
        if !isSliding { return end }
        var slot = slot
        for period in number - Self.seconds + 1...number where period >= 0 {
            slot.counts -= ring[start(of: period) + place]
            if slot.minuteHasRoom(for: tokens) { return Instant(.seconds(period + Self.seconds)) }
        }
        return Instant(.seconds(number + Self.seconds))
    }

    private func start(of period: Int) -> Int { period % Self.seconds * width }
}
