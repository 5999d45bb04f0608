// Calls that wait for room in a model group whose deployments are all at their limits. Best rank first: a
// slot that frees is for the best that can use it, and nobody of lower rank goes before.

/// Which of two calls goes first: lower is better.
struct QueueRank: Comparable, Sendable {
    /// 0 to 255, as the call says.
    var priority: Int
    /// The one with less time goes first.
    var deadline: Instant
    /// What came first goes first. A call that does not wait comes after all that do.
    var number = Int.max

    static func < (left: QueueRank, right: QueueRank) -> Bool {
        if left.priority != right.priority { return left.priority < right.priority }
        if left.deadline != right.deadline { return left.deadline < right.deadline }
        return left.number < right.number
    }
}

/// Tells a call, from any thread, that it may try.
typealias Wake = @Sendable () -> Void

/// Those who wait, best rank first.
struct AdmissionQueue {
    struct Waiter {
        let rank: QueueRank
        /// What it asks for.
        let request: PickRequest
        let wake: Wake
        /// Whether it was told to try and has not yet.
        var isWoken = false
        /// Whether it knows when the next deployment opens, and comes then by itself.
        var isWatching = false
    }

    fileprivate(set) var waiters: [Waiter] = []
    private var count = 0

    var isEmpty: Bool { waiters.isEmpty }

    /// The place at which a waiter of that rank stands, or would stand.
    private func index(of rank: QueueRank) -> Int {
        var (low, high) = (0, waiters.count)
        while low < high {
            let middle = (low + high) / 2
            if waiters[middle].rank < rank { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate func place(of rank: QueueRank) -> Int? {
        let index = index(of: rank)
        return index < waiters.count && waiters[index].rank == rank ? index : nil
    }

    /// How many are before that rank.
    fileprivate func ahead(of rank: QueueRank) -> Int { index(of: rank) }

    fileprivate mutating func insert(_ request: PickRequest, _ rank: QueueRank, _ wake: @escaping Wake)
        -> QueueRank
    {
        count += 1
        var rank = rank
        rank.number = count
        waiters.insert(Waiter(rank: rank, request: request, wake: wake), at: index(of: rank))
        return rank
    }

    mutating func remove(_ rank: QueueRank) {
        if let place = place(of: rank) { waiters.remove(at: place) }
    }
}

/// A call's place in a queue; it is left when this is dropped.
final class QueuePlace {
    let group: ModelGroup
    let rank: QueueRank
    let since: Instant
    let until: Instant

    fileprivate init(_ group: ModelGroup, _ rank: QueueRank, since: Instant, until: Instant) {
        (self.group, self.rank, self.since, self.until) = (group, rank, since, until)
    }

    deinit { group.leaveQueue(rank) }
}

extension QueuePlace {
    /// How long to wait now, at most, after no room was found; nil: it waits in vain.
    func wait(now: Instant) -> Instant? {
        now < until ? group.wait(rank, until: until, now: now) : nil
    }
}

extension ModelGroup {
    /// Joins the queue.
    ///
    /// - Parameters:
    ///   - size: the most that may wait. Where so many do, the last in rank has to go.
    ///   - until: when it gives up.
    /// - Returns: nil when it would wait in vain: no deployment can open in time, or the queue is full of
    ///   better ones.
    func enterQueue(
        _ request: PickRequest, size: Int, until: Instant, now: Instant, wake: @escaping Wake
    ) -> QueuePlace? {
        let (rank, shed) = withState { state -> (QueueRank?, Wake?) in
            state.advance(to: now)
            guard let rank = request.rank, state.canOpen(for: request, rank, before: until, now: now) else {
                return (nil, nil)
            }
            var shed: Wake?
            if state.queue.waiters.count >= size {
                guard let last = state.queue.waiters.last, rank < last.rank else { return (nil, nil) }
                shed = last.wake
                state.queue.waiters.removeLast()
            }
            return (state.queue.insert(request, rank, wake), shed)
        }
        shed?()
        return rank.map { QueuePlace(self, $0, since: now, until: until) }
    }

    /// How long a waiter that found no room should wait now, at most; nil: it lost its place to a better one.
    fileprivate func wait(_ rank: QueueRank, until: Instant, now: Instant) -> Instant? {
        withState { state in
            state.advance(to: now)
            guard let place = state.queue.place(of: rank) else { return nil }
            state.queue.waiters[place].isWoken = false
            let request = state.queue.waiters[place].request
            guard let request = state.unclaimed(request, before: rank) else {
                state.queue.waiters[place].isWatching = false
                return until
            }
            state.queue.waiters[place].isWatching = true
            var shortage = Shortage()
            let expected = state.model.expected(request.size)
            for place in terms.indices where request.takesAll || state.allows(place, request) {
                let cost = terms[place].prices.billionths(of: expected.usage)
                let paysAt = terms[place].purses.opens(for: cost, now: now)
                state.note(place, request, expected.total, paysAt: paysAt, now: now, in: &shortage)
            }
            // Not at once again, whatever kept it from being chosen.
            let opensAt = max(shortage.opensAt ?? until, now + .milliseconds(5))
            return min(opensAt, until)
        }
    }

    fileprivate func leaveQueue(_ rank: QueueRank) {
        let wakes = withState { state -> [Wake] in
            guard state.queue.place(of: rank) != nil else { return [] }
            state.queue.remove(rank)
            return state.wakes(now: nil)
        }
        for wake in wakes { wake() }
    }

    /// Calls that wait.
    func queueLength() -> Int { withState { $0.queue.waiters.count } }
}

extension ModelGroup.State {
    /// What is left of a request when no deployment is taken that a waiter of better rank may use; nil:
    /// nothing.
    func unclaimed(_ request: PickRequest, before rank: QueueRank) -> PickRequest? {
        var claimed = Claims(count: places.count)
        for waiter in queue.waiters {
            guard waiter.rank < rank else { break }
            claim(for: waiter, in: &claimed)
            if claimed.isAll { return nil }
        }
        if claimed.isNone { return request }
        var left = request
        left.matching = places.map { !claimed[$0] && request.matching?[$0] ?? true }
        return left
    }

    /// Whether whatever the request may use is for waiters of better rank.
    func isForWaiters(_ request: PickRequest, before rank: QueueRank) -> Bool {
        if queue.isEmpty { return false }
        guard let left = unclaimed(request, before: rank) else { return true }
        return !places.contains { allows($0, left) }
    }

    /// The waiters that have something to try, each told once. All that are best for some deployment are
    /// looked at: the one before may have left, or a deployment may have opened.
    ///
    /// - Parameter now: nil: only who has become best is told.
    mutating func wakes(now: Instant?) -> [Wake] {
        var wakes: [Wake] = []
        var claimed = Claims(count: places.count)
        for index in queue.waiters.indices {
            let waiter = queue.waiters[index]
            if !waiter.isWoken {
                let best = places.filter { !claimed[$0] && allows($0, waiter.request) }
                let tokens = model.expected(waiter.request.size).total
                let hasRoom = best.contains { place in
                    now.map { now in
                        wholeHasRoom(for: tokens) && isOpen(place, to: waiter.request, tokens, now: now)
                    } ?? false
                }
                if hasRoom || !best.isEmpty && !waiter.isWatching {
                    queue.waiters[index].isWoken = true
                    wakes.append(waiter.wake)
                }
            }
            claim(for: waiter, in: &claimed)
            if claimed.isAll { break }
        }
        return wakes
    }

    private func claim(for waiter: AdmissionQueue.Waiter, in claimed: inout Claims) {
        for place in places where waiter.request.takesAll || allows(place, waiter.request) {
            claimed.add(place)
        }
    }

    /// Whether room for the call is possible in time: some deployment may open, were all calls under way to
    /// use nothing; and those before it are not so many that even the fastest answers of late would keep it
    /// from its turn.
    fileprivate func canOpen(
        for request: PickRequest, _ rank: QueueRank, before until: Instant, now: Instant
    ) -> Bool {
        let tokens = model.expected(request.size).total
        var slotsInAll = 0
        var mayOpen = false
        for place in places where request.takesAll || allows(place, request) {
            slotsInAll += min(slots[place].inFlightLimit, 1 << 20)
            if max(soonest(place, tokens, now), soonest(health.count, tokens, now)) < until { mayOpen = true }
        }
        guard mayOpen else { return false }
        let turns = queue.ahead(of: rank) / max(1, min(slotsInAll, whole.inFlightLimit))
        return now + .seconds(Double(turns) * paceOfWhole.fastest) < until
    }

    /// The soonest that a deployment, or the group as a whole, can have room.
    private func soonest(_ place: Int, _ tokens: Int, _ now: Instant) -> Instant {
        var slot = slots[place]
        if tokens > slot.tokensLimit { return .never }
        slot.counts.tokens -= slot.counts.reserved
        return max(window.opens(slot, place, for: tokens, now: now), slot.coolingUntil)
    }
}

/// The places that waiters of better rank have first say in.
private struct Claims {
    private var places: [Bool]
    private var left: Int

    init(count: Int) {
        places = Array(repeating: false, count: count)
        left = count
    }

    var isAll: Bool { left == 0 }
    var isNone: Bool { left == places.count }

    subscript(place: Int) -> Bool { places[place] }

    mutating func add(_ place: Int) {
        if !places[place] { left -= 1 }
        places[place] = true
    }
}
