// One instance's side of limits that instances share: what the usage store has granted it, what it owes the
// store, and how it goes on when the store is gone. It asks nothing itself and knows no deployment's health.

/// How exactly shared limits are kept.
public enum SharingMode: Sendable {
    /// Each call asks the store.
    case exact
    /// Blocks are taken ahead; a call asks only when they are used up. Deployments with a budget are exact.
    case leased
}

/// How a router shares its limits.
public struct Sharing: Sendable {
    public var mode: SharingMode
    /// This instance's name among those that share.
    public var name: String
    /// Whether nothing is open while the store is gone.
    public var failsClosed: Bool

    public init(mode: SharingMode, name: String, failsClosed: Bool = false) {
        self.mode = mode
        self.name = name
        self.failsClosed = failsClosed
    }

    /// What an instance takes, of its even share of what was left, while the store is gone.
    static let shareApart = 0.9
    /// How often blocks are filled up and reports are sent, where there is something to say.
    static let exchangeTime = Duration.milliseconds(250)
    /// The same where no blocks are taken: how long a call that has ended holds its place in flight yet.
    static let settleTime = Duration.milliseconds(100)
    /// A block is for the demand of so many seconds.
    static let secondsOfDemand = 0.5
}

/// One deployment's part, or that of the group as a whole.
struct SharedPlace {
    /// Tokens and requests granted ahead, to be used before an end.
    struct Block {
        let bucket: Int
        let endsAt: Instant
        /// `Int.max`: there is no limit.
        var tokens: Int
        var requests: Int

        /// Takes one call out of it; the bucket that it counts in.
        mutating func take(_ tokens: Int) -> Int {
            if self.tokens != .max { self.tokens -= tokens }
            if requests != .max { requests -= 1 }
            return bucket
        }

    }

    struct Change {
        var tokens = 0
        var requests = 0
        var cost = 0
    }

    var row: SharedRow
    /// The oldest first.
    var blocks: [Block] = []
    /// Places in flight that the store counts as ours.
    var permits = 0
    /// What all instances had used when we heard of it last.
    var heard = SharedAmount()
    /// Calls of at least so many tokens find nothing before this.
    var closedUntil = Instant.zero
    var closedTokens = 0
    /// What the store has yet to hear, by the bucket of its clock.
    var corrections: [Int: Change] = [:]
    /// What we used ourselves, by the bucket.
    var own = UsedByBucket()
    /// What we used while the store was gone.
    var usedApart = UsedByBucket()
    /// What we spent of the budget in its present time.
    var spent = (period: 0, cost: 0)
    /// Taken since the last report, and a second on average.
    var taken = SharedAmount()
    var tokensASecond = 0.0
    var requestsASecond = 0.0
    var hasNewCooldown = false
    var hasNewLatency = false

    var isLimited: Bool {
        row.tokensLimit != nil || row.requestsLimit != nil || row.parallelLimit != nil || row.budget != nil
    }

    mutating func correct(_ bucket: Int, tokens: Int = 0, requests: Int = 0, cost: Int = 0) {
        guard tokens != 0 || requests != 0 || cost != 0 else { return }
        corrections[bucket, default: Change()].tokens += tokens
        corrections[bucket]!.requests += requests
        corrections[bucket]!.cost += cost
    }

    /// What has left the window by a bucket need not be told any more, but for money.
    mutating func forget(by bucket: Int) {
        for (old, change) in corrections where old <= bucket - StoreClock.windowBuckets {
            corrections[old] = nil
            if let budget = row.budget, budget.period(of: old) == budget.period(of: bucket) {
                correct(bucket, cost: change.cost)
            }
        }
    }

    /// Counts all so many buckets later.
    mutating func move(by count: Int) {
        corrections = Dictionary(uniqueKeysWithValues: corrections.map { ($0.key + count, $0.value) })
        own.move(by: count)
        usedApart.move(by: count)
    }

    mutating func use(_ bucket: Int, tokens: Int, requests: Int, cost: Int) {
        own.add(bucket, tokens: tokens, requests: requests)
        guard let budget = row.budget else { return }
        if spent.period != budget.period(of: bucket) { spent = (budget.period(of: bucket), 0) }
        spent.cost += cost
    }

    mutating func learnDemand(over seconds: Double) {
        func mean(_ old: Double, _ new: Double) -> Double { max(new, old * 0.7 + new * 0.3) }
        tokensASecond = mean(tokensASecond, Double(taken.tokens) / seconds)
        requestsASecond = mean(requestsASecond, Double(taken.requests) / seconds)
        if requestsASecond < 0.05 { (tokensASecond, requestsASecond) = (0, 0) }
        taken = SharedAmount()
    }
}

/// What was used in each bucket of the last minute.
struct UsedByBucket {
    private var buckets: [(bucket: Int, tokens: Int, requests: Int)] = []

    mutating func add(_ bucket: Int, tokens: Int, requests: Int) {
        let index = buckets.lastIndex { $0.bucket <= bucket }
        if let index, buckets[index].bucket == bucket {
            buckets[index].tokens += tokens
            buckets[index].requests += requests
            return
        }
        // Blocks are of later buckets than what is used beside them.
        buckets.insert((bucket, tokens, requests), at: index.map { $0 + 1 } ?? 0)
        while buckets[0].bucket <= buckets[buckets.count - 1].bucket - StoreClock.windowBuckets - 1 {
            buckets.removeFirst()
        }
    }

    /// All that was used in the window that ends with this one.
    func total(at bucket: Int) -> SharedAmount {
        var total = SharedAmount()
        each(at: bucket) { _, tokens, requests in
            total.tokens += tokens
            total.requests += requests
        }
        return total
    }

    /// Each bucket of the window that ends with this one.
    func each(at bucket: Int, _ body: (_ bucket: Int, _ tokens: Int, _ requests: Int) -> Void) {
        for entry in buckets where entry.bucket > bucket - StoreClock.windowBuckets {
            body(entry.bucket, entry.tokens, entry.requests)
        }
    }

    mutating func move(by count: Int) {
        for index in buckets.indices { buckets[index].bucket += count }
    }

    mutating func clear() { buckets = [] }
}

struct SharedRooms {
    private enum Phase { case apart, catchingUp, together }

    let sharing: Sharing
    let modelGroup: String
    /// By place; the last is that of the group as a whole.
    private(set) var places: [SharedPlace]
    private(set) var member: StoreMember
    private var phase = Phase.apart
    private var members = 1
    private var number = 0
    /// The report that is not answered yet, and whether an answer can come.
    private var sent: SharedReport?
    private var isWaiting = false
    private var reportedAt = Instant.zero
    private var nextReportAt = Instant.zero
    /// When the store was heard last.
    private var heardAt = Instant.zero
    /// Since when the others have yet to join a store that has lost all.
    private var othersAwaitedSince: Instant?
    /// From our time to the store's; nil: it was never heard.
    private var clockOffset: Duration?

    init(_ sharing: Sharing, modelGroup: String, rows: [SharedRow], whole: SharedRow) {
        self.sharing = sharing
        self.modelGroup = modelGroup
        places = (rows + [whole]).map { SharedPlace(row: $0) }
        member = StoreMember(name: sharing.name, epoch: 0)
    }

    var isTogether: Bool { phase == .together }
    private var whole: SharedPlace { places[places.count - 1] }
    private var wholeRow: SharedRow? { whole.isLimited ? whole.row : nil }
    private var isExact: Bool { sharing.mode == .exact }

    /// The present bucket of the store's clock, as far as we know it.
    func bucket(_ now: Instant) -> Int { (now.sinceStart + (clockOffset ?? .zero)).bucket }

    private func countsParallel(_ place: Int) -> Bool {
        places[place].row.parallelLimit != nil || whole.row.parallelLimit != nil
    }

    /// Whether nothing is open until the store is back.
    var isClosed: Bool { phase != .together && sharing.failsClosed }

    func isHalfUsed(_ place: Int) -> Bool {
        let its = places[place]
        return its.heard.tokens > (its.row.tokensLimit ?? .max) / 2
            || its.heard.requests > (its.row.requestsLimit ?? .max) / 2
    }

    /// What was granted ahead and is not used.
    func withheld(_ place: Int) -> SharedAmount {
        places[place].blocks.reduce(into: SharedAmount()) { sum, block in
            if block.tokens != .max { sum.tokens += block.tokens }
            if block.requests != .max { sum.requests += block.requests }
        }
    }

    func isShared(_ place: Int) -> Bool { places[place].isLimited || whole.isLimited }

    // MARK: Room

    /// Tokens that a call may take at a place without asking; -1: none, not even a call without tokens.
    func room(_ place: Int, inFlight: Int, inFlightOfAll: Int, now: Instant) -> Int {
        guard isShared(place) else { return .max }
        if phase != .together {
            return min(
                roomApart(place, inFlight: inFlight, now: now),
                roomApart(places.count - 1, inFlight: inFlightOfAll, now: now))
        }
        if isExact || places[place].row.budget != nil || whole.row.budget != nil { return -1 }
        if countsParallel(place), places[place].permits <= inFlight { return -1 }
        if !tokensLimited(place), !requestsLimited(place) { return .max }
        return places[place].blocks.lazy.filter { $0.requests > 0 && $0.endsAt > now }.map(\.tokens).max()
            ?? -1
    }

    /// Of each limit an even share of what was left when the store was heard last. What the others had used
    /// then is taken to leave evenly within a minute.
    private func roomApart(_ place: Int, inFlight: Int, now: Instant) -> Int {
        if sharing.failsClosed { return -1 }
        let its = places[place]
        let age = min(1, (now - heardAt).seconds / 61)
        let mine = its.usedApart.total(at: bucket(now))
        func left(_ limit: Int?, _ heard: Int, _ mine: Int) -> Int {
            guard let limit else { return .max }
            let free = Double(limit) - Double(heard) * (1 - age)
            return Int(max(0, free) * Sharing.shareApart / Double(members)) - mine
        }
        if left(its.row.requestsLimit, its.heard.requests, mine.requests) < 1 { return -1 }
        if let limit = its.row.parallelLimit, inFlight >= max(1, left(limit, 0, 0)) { return -1 }
        return left(its.row.tokensLimit, its.heard.tokens, mine.tokens)
    }

    /// When time alone changes the room of a place; nil: it does not.
    func roomChangesAt(_ place: Int, now: Instant) -> Instant? {
        guard isShared(place) else { return nil }
        if phase != .together { return now + .seconds(1) }
        // A later block may end sooner: near a limit they are shorter.
        return places[place].blocks.lazy.map(\.endsAt).filter { $0 > now }.min()
    }

    /// Whether the store may have room that we were not granted.
    func mayAsk(_ place: Int, _ tokens: Int, now: Instant) -> Bool {
        guard phase == .together, isShared(place) else { return false }
        let its = places[place]
        return !(its.closedUntil > now && tokens >= its.closedTokens)
            && tokens <= min(its.row.tokensLimit ?? .max, whole.row.tokensLimit ?? .max)
    }

    /// When a place opens that is closed by what the store said, or by our share while it is gone; nil: now.
    func opensAt(_ place: Int, _ tokens: Int, inFlight: Int, inFlightOfAll: Int, now: Instant) -> Instant? {
        guard isShared(place) else { return nil }
        if phase == .together {
            let its = places[place]
            return its.closedUntil > now && tokens >= its.closedTokens ? its.closedUntil : nil
        }
        let room = room(place, inFlight: inFlight, inFlightOfAll: inFlightOfAll, now: now)
        return tokens <= room ? nil : now + .seconds(1)
    }

    /// What a call asks the store.
    func request(
        _ tokens: Int, places candidates: [(place: Int, cost: Int)], choosesLeastUsed: Bool,
        ignoresCooldowns: Bool
    ) -> SharedRequest {
        var request = SharedRequest(
            modelGroup: modelGroup, tokens: tokens, choosesLeastUsed: choosesLeastUsed,
            candidates: candidates.map { candidate in
                var row = places[candidate.place].row
                row.cost = candidate.cost
                return row
            }, whole: wholeRow)
        request.ignoresCooldowns = ignoresCooldowns
        if !ignoresCooldowns, let first = candidates.first?.place { request.block = wanted(first) }
        return request
    }

    /// What is to be granted ahead: the demand of half a second, when less than half of that is there.
    private func wanted(_ place: Int) -> SharedAmount {
        let its = places[place]
        guard !isExact, its.row.budget == nil, whole.row.budget == nil, isShared(place) else {
            return SharedAmount()
        }
        let tokens = Int(its.tokensASecond * Sharing.secondsOfDemand)
        let requests = Int(its.requestsASecond * Sharing.secondsOfDemand)
        let isCovered = its.blocks.contains { $0.tokens >= tokens / 2 && $0.requests >= (requests + 1) / 2 }
        if requests == 0 || isCovered { return SharedAmount() }
        return SharedAmount(
            tokens: tokensLimited(place) ? tokens : 0, requests: requestsLimited(place) ? requests : 0,
            parallel: countsParallel(place) ? requests : 0)
    }

    // MARK: Taking and giving back

    /// Takes what `room` allowed; the bucket it counts in.
    mutating func take(_ place: Int, _ tokens: Int, cost: Int, now: Instant) -> Int {
        let current = bucket(now)
        guard isShared(place) else { return current }
        noteTaken(place, tokens, current, cost)
        if phase == .together {
            let index = places[place].blocks.firstIndex {
                $0.requests > 0 && $0.endsAt > now && $0.tokens >= tokens
            }
            let bucket = index.map { places[place].blocks[$0].take(tokens) } ?? current
            // Of what has no limit nothing was granted: it is told afterwards.
            places[place].correct(
                bucket, tokens: index != nil && tokensLimited(place) ? 0 : tokens,
                requests: index != nil && requestsLimited(place) ? 0 : 1)
            return bucket
        }
        for index in [place, places.count - 1] {
            places[index].usedApart.add(current, tokens: tokens, requests: 1)
        }
        places[place].correct(current, tokens: tokens, requests: 1, cost: cost)
        return current
    }

    /// Takes what the store granted to one call. Its place in flight is not ours when we have joined anew
    /// since.
    mutating func take(
        _ grant: SharedGrant, at place: Int, _ tokens: Int, cost: Int, epoch: Int, sentAt: Instant
    ) {
        noteTaken(place, tokens, grant.bucket, cost)
        guard epoch == member.epoch, phase == .together else { return refuse(grant.block, at: place) }
        if countsParallel(place) { places[place].permits += 1 }
        keep(grant.block, at: place, clock: grant.clock, sentAt: sentAt)
    }

    private mutating func noteTaken(_ place: Int, _ tokens: Int, _ bucket: Int, _ cost: Int) {
        places[place].taken.tokens += tokens
        places[place].taken.requests += 1
        places[place].use(bucket, tokens: tokens, requests: 1, cost: cost)
    }

    private mutating func keep(
        _ block: SharedBlock, at place: Int, clock: StoreClock, sentAt: Instant
    ) {
        if block.amount.isNothing { return }
        places[place].permits += block.amount.parallel
        if block.amount.requests == 0, block.amount.tokens == 0 { return }
        // Told from the moment of asking, which was before the store's: so it ends too early, never too late.
        places[place].blocks.append(
            .init(
                bucket: block.bucket, endsAt: sentAt + clock.untilEnd(of: block.bucket),
                tokens: tokensLimited(place) ? block.amount.tokens : .max,
                requests: requestsLimited(place) ? block.amount.requests : .max))
    }

    private func tokensLimited(_ place: Int) -> Bool {
        places[place].row.tokensLimit != nil || whole.row.tokensLimit != nil
    }

    private func requestsLimited(_ place: Int) -> Bool {
        places[place].row.requestsLimit != nil || whole.row.requestsLimit != nil
    }

    /// A grant that came too late for its call.
    mutating func giveBack(_ grant: SharedGrant, at place: Int, _ tokens: Int, cost: Int, epoch: Int) {
        places[place].correct(grant.bucket, tokens: -tokens, requests: -1, cost: -cost)
        refuse(grant.block, at: place)
        guard epoch == member.epoch, phase == .together else { return }
        places[place].permits += grant.block.amount.parallel + (countsParallel(place) ? 1 : 0)
    }

    private mutating func refuse(_ block: SharedBlock, at place: Int) {
        places[place].correct(block.bucket, tokens: -block.amount.tokens, requests: -block.amount.requests)
    }

    /// The store has no room at these places for a call of so many tokens.
    mutating func close(_ closed: [Int], _ tokens: Int, for time: Duration?, now: Instant) {
        for place in closed {
            places[place].closedUntil = now + max(.milliseconds(10), time ?? .seconds(1))
            places[place].closedTokens = tokens
        }
    }

    /// Puts what a call used in the place of what it had taken.
    mutating func settle(_ place: Int, _ bucket: Int, tokens: Int, cost: Int, now: Instant) {
        guard isShared(place) else { return }
        places[place].use(bucket, tokens: tokens, requests: 0, cost: cost)
        for index in [place, places.count - 1] {
            places[index].usedApart.add(bucket, tokens: tokens, requests: 0)
        }
        if tokens < 0, phase == .together, tokensLimited(place),
            let index = places[place].blocks.firstIndex(where: { $0.bucket == bucket && $0.endsAt > now })
        {
            places[place].blocks[index].tokens -= tokens
            return places[place].correct(bucket, cost: cost)
        }
        places[place].correct(bucket, tokens: tokens, cost: cost)
    }

    /// Takes what is left of blocks whose time is over out of them.
    private mutating func endBlocks(_ now: Instant) {
        for place in places.indices where places[place].blocks.contains(where: { $0.endsAt <= now }) {
            for block in places[place].blocks where block.endsAt <= now { giveBack(block, at: place) }
            places[place].blocks.removeAll { $0.endsAt <= now }
        }
    }

    private mutating func giveBack(_ block: SharedPlace.Block, at place: Int) {
        places[place].correct(
            block.bucket, tokens: block.tokens == .max ? 0 : -block.tokens,
            requests: block.requests == .max ? 0 : -block.requests)
    }

    mutating func noteCooldown(_ place: Int) { places[place].hasNewCooldown = true }
    mutating func noteLatency(_ place: Int) { places[place].hasNewLatency = true }

    // MARK: Speaking with the store

    /// What is to be said now; nil: nothing yet.
    ///
    /// - Parameter tell: adds to an entry what is known of the place beside usage.
    mutating func report(
        inFlight: (Int) -> Int, now: Instant, tell: (Int, inout SharedReport.Entry) -> Void
    ) -> (SharedReport, StoreMember)? {
        guard !isWaiting, now >= nextReportAt else { return nil }
        endBlocks(now)
        switch phase {
        case .apart:
            for place in places.indices { places[place].forget(by: bucket(now)) }
            member.epoch += 1
            var report = SharedReport(
                modelGroup: modelGroup, purpose: .joins, number: 0, entries: entries(tell), whole: wholeRow)
            for place in report.entries.indices where countsParallel(place) {
                report.entries[place].parallel = inFlight(place)
                places[place].permits = inFlight(place)
            }
            isWaiting = true
            return (report, member)
        case .catchingUp:
            let report = sent ?? freshReport(tell)
            sent = report
            isWaiting = true
            return (report, member)
        case .together:
            guard hasSomethingToSay(inFlight, now) || now - reportedAt >= StoreMember.heartbeat else {
                return nil
            }
            let seconds = max(0.05, (now - reportedAt).seconds)
            let isUsed = places.map { $0.taken.requests > 0 }
            for place in places.indices { places[place].learnDemand(over: seconds) }
            var report = freshReport(tell)
            for place in report.entries.indices {
                if isUsed[place] { report.entries[place].wanted = wanted(place) }
                guard countsParallel(place) else { continue }
                let spare = isExact ? 0 : report.entries[place].wanted.parallel
                let free = places[place].permits - inFlight(place)
                report.entries[place].wanted.parallel = max(0, spare - free)
                report.entries[place].parallel = max(0, free - max(spare, 0))
                places[place].permits -= report.entries[place].parallel
            }
            sent = report
            isWaiting = true
            return (report, member)
        }
    }

    private func hasSomethingToSay(_ inFlight: (Int) -> Int, _ now: Instant) -> Bool {
        for (place, its) in places.enumerated() {
            if !its.corrections.isEmpty || its.hasNewCooldown || !isExact && its.taken.requests > 0 {
                return true
            }
            // The others may give something back.
            if its.closedUntil > now { return true }
            if place < places.count - 1, its.permits > inFlight(place) { return true }
        }
        return false
    }

    private func entries(_ tell: (Int, inout SharedReport.Entry) -> Void) -> [SharedReport.Entry] {
        places.indices.dropLast().map { place in
            var entry = SharedReport.Entry(row: places[place].row)
            tell(place, &entry)
            return entry
        }
    }

    private mutating func freshReport(_ tell: (Int, inout SharedReport.Entry) -> Void) -> SharedReport {
        number += 1
        var report = SharedReport(
            modelGroup: modelGroup, number: number, entries: entries(tell), whole: wholeRow)
        for place in report.entries.indices {
            for (bucket, change) in places[place].corrections {
                report.corrections.append(
                    .init(
                        row: place, bucket: bucket, tokens: change.tokens, requests: change.requests,
                        cost: change.cost))
            }
            places[place].corrections = [:]
            places[place].hasNewCooldown = false
            places[place].hasNewLatency = false
        }
        return report
    }

    /// What the store answered to a report.
    mutating func learn(_ news: SharedNews, to report: SharedReport, sentAt: Instant, now: Instant) {
        isWaiting = false
        if phase == .apart, report.purpose == .reports {
            // We have parted since; what was granted meanwhile goes back.
            sent = nil
            nextReportAt = now
            for (place, entry) in news.entries.enumerated() { refuse(entry.block, at: place) }
            return
        }
        if phase == .apart, awaitsOthers(news, now) {
            nextReportAt = now + Sharing.exchangeTime
            return
        }
        members = max(1, news.members)
        heardAt = now
        reportedAt = now
        nextReportAt = now + (isExact ? Sharing.settleTime : Sharing.exchangeTime)
        learnTime(news.clock, now)
        for (place, entry) in news.entries.enumerated() {
            places[place].heard = entry.used
            keep(entry.block, at: place, clock: news.clock, sentAt: sentAt)
            reopen(place)
        }
        places[places.count - 1].heard = news.entries.reduce(into: SharedAmount()) { sum, entry in
            sum.tokens += entry.used.tokens
            sum.requests += entry.used.requests
            sum.parallel += entry.used.parallel
        }
        switch phase {
        case .apart:
            if !news.wasKnown, member.epoch > 1 || number > 0 { reportAllAgain(now) }
            phase = .catchingUp
            nextReportAt = now
        case .catchingUp:
            sent = nil
            if places.allSatisfy(\.corrections.isEmpty) {
                phase = .together
                for place in places.indices { places[place].usedApart.clear() }
            } else {
                nextReportAt = now
            }
        case .together: sent = nil
        }
    }

    /// Whether a store that has lost all has yet to hear from others what they used. So long we stay alone,
    /// but not for ever.
    private mutating func awaitsOthers(_ news: SharedNews, _ now: Instant) -> Bool {
        guard !news.wasKnown, news.members < members else {
            othersAwaitedSince = nil
            return false
        }
        othersAwaitedSince = othersAwaitedSince ?? now
        return now - othersAwaitedSince! < StoreMember.heartbeat
    }

    /// From the moment of the answer: the report may have waited for a connection.
    private mutating func learnTime(_ clock: StoreClock, _ now: Instant) {
        let isNew = clockOffset == nil
        let before = bucket(now)
        clockOffset = .seconds(clock.second) + .microseconds(clock.microsecond) - now.sinceStart
        guard isNew else { return }
        for place in places.indices { places[place].move(by: bucket(now) - before) }
    }

    /// There may be room again where the store had none.
    private mutating func reopen(_ place: Int) {
        let its = places[place]
        guard its.closedUntil > .zero, its.heard.tokens + its.closedTokens <= its.row.tokensLimit ?? .max,
            its.heard.requests < its.row.requestsLimit ?? .max,
            its.heard.parallel < its.row.parallelLimit ?? .max, its.row.budget == nil
        else { return }
        places[place].closedUntil = .zero
    }

    /// The store has lost all, or never knew it: what we used in the last minute is told once more, by whole
    /// seconds, which are fewer, each in its last bucket.
    private mutating func reportAllAgain(_ now: Instant) {
        sent = nil
        for place in places.indices.dropLast() {
            var corrections: [Int: SharedPlace.Change] = [:]
            places[place].own.each(at: bucket(now)) { bucket, tokens, requests in
                let last = bucket - bucket % StoreClock.bucketsASecond + StoreClock.bucketsASecond - 1
                corrections[last, default: .init()].tokens += tokens
                corrections[last]!.requests += requests
            }
            if places[place].row.budget != nil {
                corrections[bucket(now), default: .init()].cost += places[place].spent.cost
            }
            places[place].corrections = corrections
        }
    }

    /// The store does not answer, or does not know us: we go on alone, and join anew. Whether we were
    /// together.
    mutating func part(answersReport: Bool, now: Instant) -> Bool {
        if answersReport {
            isWaiting = false
            nextReportAt = now + Sharing.exchangeTime
        }
        guard phase != .apart else { return false }
        let wasTogether = phase == .together
        phase = .apart
        for place in places.indices {
            for block in places[place].blocks { giveBack(block, at: place) }
            places[place].blocks = []
            places[place].closedUntil = .zero
        }
        return wasTogether
    }

    /// The last word: what is not used is given back. nil: nobody hears it.
    mutating func farewell(_ tell: (Int, inout SharedReport.Entry) -> Void) -> (SharedReport, StoreMember)? {
        guard phase != .apart else { return nil }
        for place in places.indices {
            for block in places[place].blocks { giveBack(block, at: place) }
            places[place].blocks = []
        }
        var report = freshReport(tell)
        report.purpose = .leaves
        return (report, member)
    }
}

/// What a call asks the usage store, and how its answer is understood.
public struct SharedAsk: Sendable {
    /// Most places that are asked for at a time.
    static let placesMax = 16

    public let request: SharedRequest
    public let member: StoreMember
    let sentAt: Instant
    /// Of the request's candidates.
    let places: [Int]
    let expected: ExpectedTokens
    /// By these the route finds what it asked for.
    var number = 0
    var modelGroup = 0

    init(
        request: SharedRequest, member: StoreMember, sentAt: Instant, places: [Int], expected: ExpectedTokens
    ) {
        self.request = request
        self.member = member
        self.sentAt = sentAt
        self.places = places
        self.expected = expected
    }
}

extension SharedRow {
    public init(name: String, _ limits: Limits) {
        self.init(
            name: name, tokensLimit: limits.tokensPerMinute, requestsLimit: limits.requestsPerMinute,
            parallelLimit: limits.maxParallelRequests,
            budget: limits.budget.map {
                SharedBudget(
                    limit: Int(min($0.dollars * 1e9, 1e15)), seconds: max(1, Int($0.duration.seconds)))
            })
    }
}
