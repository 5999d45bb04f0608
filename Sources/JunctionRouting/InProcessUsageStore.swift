// The usage store as a table in memory: what is meant by reserving and reporting, in plain words. Instances
// in one process share it, as simulated ones do; the scripts that Redis runs must answer as it does.

/// Answers at once, before the question returns.
public final class InProcessUsageStore: UsageStore {
    /// A block may be used up to the end of the bucket so much after the one in which it was granted, as long
    /// as half of each limit is left; near a limit up to the end of the next.
    public static let bucketsAhead = 4

    struct Bucket {
        var tokens = 0
        var requests = 0
    }

    /// What is counted of one deployment, or of a whole group.
    struct Counts {
        /// Buckets that had left the window by this one are gone.
        var bucket = Int.min
        var used = SharedAmount()
        var buckets: [Int: Bucket] = [:]
        var coolingUntil = Duration.zero
        var cause = Failure.Kind.serverError
        var latency = SharedLatency()
        var spent = 0
        var period = 0
    }

    struct Member {
        var epoch: Int
        var lastSeen: Duration
        var parallel: [String: Int] = [:]
    }

    struct Group {
        var counts: [String: Counts] = [:]
        var members: [String: Member] = [:]
        /// The number of each instance's last report. It outlives the membership, as what was reported does.
        var told: [String: Int] = [:]
        /// Nobody was heard last before this.
        var silentSince = Duration.zero
    }

    /// The time by the store's clock.
    private let clock: () -> Duration
    private var groups: [String: Group] = [:]
    /// Questions answered so far.
    public private(set) var operations = 0

    public init(clock: @escaping () -> Duration) { self.clock = clock }

    /// Forgets everything, as a server does that restarts empty.
    public func clear() { groups = [:] }

    public func reserve(
        _ request: SharedRequest, of member: StoreMember, then: @escaping (StoreAnswer<SharedReply>) -> Void
    ) {
        operations += 1
        let now = clock()
        guard groups[request.modelGroup]?.members[member.name]?.epoch == member.epoch else {
            return then(.unknownMember)
        }
        then(.content(groups[request.modelGroup]!.reserve(request, of: member.name, now)))
    }

    public func exchange(
        _ report: SharedReport, of member: StoreMember, then: @escaping (StoreAnswer<SharedNews>) -> Void
    ) {
        operations += 1
        then(groups[report.modelGroup, default: Group()].exchange(report, of: member, clock()))
    }
}

extension InProcessUsageStore.Group {
    mutating func reserve(_ request: SharedRequest, of member: String, _ now: Duration) -> SharedReply {
        let bucket = now.bucket
        for row in request.candidates + (request.whole.map { [$0] } ?? []) { advance(row, to: bucket) }
        var choice: Int?
        for (index, row) in request.candidates.enumerated() where hasRoom(row, request.tokens) {
            guard request.ignoresCooldowns || counts[row.name]!.coolingUntil <= now else { continue }
            if let chosen = choice {
                guard request.choosesLeastUsed,
                    counts[row.name]!.used.tokens < counts[request.candidates[chosen].name]!.used.tokens
                else { continue }
            }
            choice = index
        }
        var whole = request.whole
        if let choice { whole?.cost = request.candidates[choice].cost }
        if let whole, !hasRoom(whole, request.tokens) { choice = nil }
        guard let choice else { return .full(opensAfter: opensAfter(request, whole, now)) }
        let row = request.candidates[choice]
        let one = SharedAmount(tokens: request.tokens, requests: 1, parallel: 1)
        take(one, of: row, whole, cost: row.cost, in: bucket, for: member)
        let block = grant(request.block, of: row, whole, for: member, bucket)
        return .granted(
            SharedGrant(candidate: choice, bucket: bucket, block: block, clock: StoreClock(now)))
    }

    mutating func exchange(
        _ report: SharedReport, of member: StoreMember, _ now: Duration
    ) -> StoreAnswer<SharedNews> {
        let bucket = now.bucket
        let known = members[member.name]
        switch report.purpose {
        case .reports: if known?.epoch != member.epoch { return .unknownMember }
        case .joins:
            members[member.name] = known ?? .init(epoch: member.epoch, lastSeen: now)
            members[member.name]!.epoch = member.epoch
        case .leaves: if known == nil { return .unknownMember }
        }
        members[member.name]!.lastSeen = now
        freeSilent(now)
        let rows = report.entries.map(\.row)
        for row in rows + (report.whole.map { [$0] } ?? []) { advance(row, to: bucket) }
        let number = told[member.name]
        if report.number > number ?? 0 {
            told[member.name] = report.number
            apply(report, of: member.name, bucket, now)
        }
        let entries = report.entries.map { entry in
            if report.purpose == .joins {
                hold(entry.parallel, of: entry.row, report.whole, for: member.name)
            }
            let block =
                report.purpose == .leaves
                ? SharedBlock(amount: SharedAmount(), bucket: bucket + InProcessUsageStore.bucketsAhead)
                : grant(entry.wanted, of: entry.row, report.whole, for: member.name, bucket)
            let its = counts[entry.row.name]!
            let left = its.coolingUntil - now
            var news = SharedNews.Entry(
                used: its.used, block: block,
                cooldown: left > .zero ? SharedCooldown(left: left, cause: its.cause) : nil,
                latency: its.latency)
            news.spent = its.spent
            return news
        }
        let news = SharedNews(
            members: members.count, wasKnown: number != nil, clock: StoreClock(now),
            entries: entries)
        if report.purpose == .leaves { free(member.name) }
        return .content(news)
    }

    private mutating func apply(
        _ report: SharedReport, of member: String, _ bucket: Int, _ now: Duration
    ) {
        for correction in report.corrections {
            let row = report.entries[correction.row].row
            correct(row.name, row.budget, correction, bucket)
            if let whole = report.whole { correct(whole.name, whole.budget, correction, bucket) }
        }
        for entry in report.entries {
            let name = entry.row.name
            if report.purpose != .joins, entry.parallel > 0 {
                let held = members[member]!.parallel[name] ?? 0
                hold(max(0, held - entry.parallel), of: entry.row, report.whole, for: member)
            }
            if let cooldown = entry.cooldown, cooldown.left == .zero {
                counts[name]!.coolingUntil = .zero
            } else if let cooldown = entry.cooldown, now + cooldown.left > counts[name]!.coolingUntil {
                counts[name]!.coolingUntil = now + cooldown.left
                counts[name]!.cause = cooldown.cause
            }
            blend(entry.latency.perToken, into: &counts[name]!.latency.perToken)
            blend(entry.latency.toFirstContent, into: &counts[name]!.latency.toFirstContent)
        }
    }

    private mutating func correct(
        _ name: String, _ budget: SharedBudget?, _ correction: SharedReport.Correction, _ bucket: Int
    ) {
        let isOver = correction.bucket <= bucket - StoreClock.windowBuckets
        let place = isOver ? bucket : correction.bucket
        let tokens = isOver ? max(0, correction.tokens) : correction.tokens
        let requests = isOver ? max(0, correction.requests) : correction.requests
        counts[name]!.used.tokens += tokens
        counts[name]!.used.requests += requests
        counts[name]!.buckets[place, default: .init()].tokens += tokens
        counts[name]!.buckets[place, default: .init()].requests += requests
        guard let budget else { return }
        let isOfThisPeriod = budget.period(of: correction.bucket) == budget.period(of: bucket)
        counts[name]!.spent += isOfThisPeriod ? correction.cost : max(0, correction.cost)
    }

    private func blend(_ sample: Double, into mean: inout Double) {
        guard sample > 0 else { return }
        mean = mean == 0 ? sample : mean + (sample - mean) / 4
    }

    // MARK: Room

    private mutating func advance(_ row: SharedRow, to bucket: Int) {
        var its = counts[row.name] ?? .init()
        if its.bucket != bucket {
            its.bucket = bucket
            for (old, amount) in its.buckets where old <= bucket - StoreClock.windowBuckets {
                its.used.tokens -= amount.tokens
                its.used.requests -= amount.requests
                its.buckets[old] = nil
            }
        }
        if let budget = row.budget, its.period != budget.period(of: bucket) {
            its.period = budget.period(of: bucket)
            its.spent = 0
        }
        counts[row.name] = its
    }

    private func hasRoom(_ row: SharedRow, _ tokens: Int) -> Bool {
        let its = counts[row.name]!
        return its.used.tokens + tokens <= row.tokensLimit ?? .max
            && its.used.requests < row.requestsLimit ?? .max
            && its.used.parallel < row.parallelLimit ?? .max
            && its.spent + row.cost <= row.budget?.limit ?? .max
    }

    private mutating func take(
        _ amount: SharedAmount, of row: SharedRow, _ whole: SharedRow?, cost: Int, in bucket: Int,
        for member: String
    ) {
        for row in [row] + (whole.map { [$0] } ?? []) {
            let name = row.name
            counts[name]!.used.tokens += amount.tokens
            counts[name]!.used.requests += amount.requests
            counts[name]!.buckets[bucket, default: .init()].tokens += amount.tokens
            counts[name]!.buckets[bucket, default: .init()].requests += amount.requests
            if row.budget != nil { counts[name]!.spent += cost }
        }
        guard row.parallelLimit != nil || whole?.parallelLimit != nil else { return }
        hold((members[member]!.parallel[row.name] ?? 0) + amount.parallel, of: row, whole, for: member)
    }

    /// Grants of what is wanted no more than an even share of half of what is left, so that all instances can
    /// have one at a time and still leave the other half.
    private mutating func grant(
        _ wanted: SharedAmount, of row: SharedRow, _ whole: SharedRow?, for member: String, _ bucket: Int
    ) -> SharedBlock {
        var ahead = bucket + InProcessUsageStore.bucketsAhead
        if wanted.isNothing { return SharedBlock(amount: wanted, bucket: ahead) }
        var amount = wanted
        for row in [row] + (whole.map { [$0] } ?? []) {
            let used = counts[row.name]!.used
            // Near a limit a block ends with the next bucket: so what it took is free sooner.
            let isHalfUsed =
                used.tokens > (row.tokensLimit ?? .max) / 2
                || used.requests > (row.requestsLimit ?? .max) / 2
            if isHalfUsed { ahead = bucket + 1 }
            amount.tokens = min(amount.tokens, share(row.tokensLimit, used.tokens))
            amount.requests = min(amount.requests, share(row.requestsLimit, used.requests))
            amount.parallel = min(amount.parallel, share(row.parallelLimit, used.parallel))
        }
        // Tokens without a request are of no use, nor is a request without tokens.
        if wanted.tokens > 0 && amount.tokens == 0 || wanted.requests > 0 && amount.requests == 0 {
            (amount.tokens, amount.requests) = (0, 0)
        }
        if amount.isNothing { return SharedBlock(amount: amount, bucket: ahead) }
        take(amount, of: row, whole, cost: 0, in: ahead, for: member)
        return SharedBlock(amount: amount, bucket: ahead)
    }

    private func share(_ limit: Int?, _ used: Int) -> Int {
        guard let limit else { return .max }
        return max(0, limit - used) / (2 * max(1, members.count))
    }

    /// How long until the first candidate has room, if nothing else happens.
    private func opensAfter(_ request: SharedRequest, _ whole: SharedRow?, _ now: Duration) -> Duration? {
        let waits = request.candidates.compactMap { opensAfter($0, request.tokens, now) }
        guard let first = waits.min() else { return nil }
        guard let whole else { return first }
        return opensAfter(whole, request.tokens, now).map { max(first, $0) }
    }

    private func opensAfter(_ row: SharedRow, _ tokens: Int, _ now: Duration) -> Duration? {
        let its = counts[row.name]!
        if tokens > row.tokensLimit ?? .max { return nil }
        var wait = max(.zero, its.coolingUntil - now)
        if its.used.parallel >= row.parallelLimit ?? .max { wait = max(wait, .milliseconds(50)) }
        if let budget = row.budget, its.spent + row.cost > budget.limit {
            if row.cost > budget.limit { return nil }
            wait = max(wait, .seconds((its.period + 1) * budget.seconds) - now)
        }
        var used = its.used
        for (bucket, amount) in its.buckets.sorted(by: { $0.key < $1.key })
        where amount.tokens != 0 || amount.requests != 0 {
            if used.tokens + tokens <= row.tokensLimit ?? .max && used.requests < row.requestsLimit ?? .max {
                break
            }
            used.tokens -= amount.tokens
            used.requests -= amount.requests
            wait = max(wait, StoreClock.bucketLength * (bucket + StoreClock.windowBuckets) - now)
        }
        return wait
    }

    // MARK: In flight

    /// What an instance holds in flight at a deployment.
    private mutating func hold(
        _ parallel: Int, of row: SharedRow, _ whole: SharedRow?, for member: String
    ) {
        let change = parallel - (members[member]!.parallel[row.name] ?? 0)
        members[member]!.parallel[row.name] = parallel
        counts[row.name]!.used.parallel += change
        guard let whole else { return }
        members[member]!.parallel[whole.name, default: 0] += change
        counts[whole.name]!.used.parallel += change
    }

    private mutating func freeSilent(_ now: Duration) {
        if now - silentSince <= StoreMember.lifetime { return }
        for (name, other) in members where now - other.lastSeen > StoreMember.lifetime { free(name) }
        silentSince = members.values.map(\.lastSeen).min() ?? now
    }

    private mutating func free(_ member: String) {
        for (name, parallel) in members[member]!.parallel { counts[name]!.used.parallel -= parallel }
        members[member] = nil
    }
}

extension StoreClock {
    fileprivate init(_ time: Duration) {
        let (seconds, attoseconds) = time.components
        self.init(second: Int(seconds), microsecond: Int(attoseconds / 1_000_000_000_000))
    }
}
