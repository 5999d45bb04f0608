// The deployments that answer to one name, and all that is counted of them, behind one short lock: choosing,
// checking limits and reserving are one step.
import Synchronization

/// What an attempt means for the budgets of its model group: how many retries, and how many hedges.
enum BudgetUse { case addsCall, none, takesRetry, takesHedge }

/// What a call asks of a model group.
struct PickRequest {
    /// From which follows how many tokens are reserved.
    var size: CallSize
    var isStreaming: Bool
    /// What is left of the call's time.
    var timeLeft: Duration
    /// The only place that may be chosen.
    var only: Int?
    /// What it asks for that not every deployment can give; `matching` tells which can.
    var features: Features = []
    /// Places that may be chosen, by place; nil: all.
    var matching: [Bool]?
    /// Places that may not be chosen.
    var excluded: [Int] = []
    /// Only context windows larger than this may be chosen.
    var windowAbove: Int?
    /// When the call began, where a deployment that cools down may be chosen if nobody has found out since
    /// then that it is out of order yet.
    var triesSince: Instant?
    /// Whether each deployment's budget is looked at before it is chosen, and not only after.
    var mindsPurses = false
    /// What it takes from, or adds to, the budgets.
    var budgetUse = BudgetUse.none
    /// Whether it wants to know when an attempt is slow.
    var learnsSlowness = false
    /// Its rank among the calls that wait, or would wait; nil: it goes before all of them.
    var rank: QueueRank?
    /// Calls with the same one go to the same deployment if they can.
    var session: SessionKey?
    /// Whether only deployments may be chosen that go on with a text; `matching` tells which.
    var continuesText = false
    /// Whether every deployment may be chosen that is open: the rule, and the quick way.
    var takesAll: Bool {
        only == nil && matching == nil && excluded.isEmpty && windowAbove == nil && triesSince == nil
            && budgetUse != .takesHedge && !mindsPurses
    }
}

/// A deployment chosen and reserved.
struct Pick: ~Copyable {
    var reservation: Reservation
    /// Seconds in which the group answers, on average; 0: not known.
    var expectedSeconds: Double
    /// After how long an attempt is slow; nil: not asked, or not known.
    var slowAfter: Duration?
}

/// What a decision was made from: a copy, for whoever explains it.
final class Sight {
    var state: ModelGroup.State?
    /// The place that was chosen; nil: none.
    var chosen: Int?

    /// Out of the way of decisions that nobody asks to explain: a state is large.
    @inline(never)
    func see(_ state: borrowing ModelGroup.State) { self.state = copy state }
}

/// Why a model group has no deployment for a call, and when it will have one.
struct Shortage: Sendable {
    /// Whether any deployment may be chosen at all, now or later.
    var isServable = false
    /// When the first deployment with room returns from a cooldown that is worth waiting for.
    var returnsAt: Instant?
    /// When the first deployment is open again, for whatever reason; nil: never, for so many tokens.
    var opensAt: Instant?
    /// Whether what is open is for calls of better rank that wait.
    var isForWaiters = false
    /// What the caller is told.
    var outcome = RouteFailure.Outcome.limited
    /// Whether a deployment has room but for the money that may be spent.
    var isBudgetSpent = false
    /// Tokens that the call is expected to use.
    var tokens = 0

    mutating func returns(at instant: Instant) { returnsAt = min(returnsAt ?? instant, instant) }
    mutating func opens(at instant: Instant) { opensAt = min(opensAt ?? instant, instant) }
}

/// What does not change about one deployment.
struct Terms: Sendable {
    let deployment: Int
    let tags: [String]
    let region: String?
    let maxInputTokens: Int?
    let cooldown: CooldownPolicy
    /// For `simple-shuffle`.
    let weight: Double
    let prices: TokenPrices
    /// What its calls are paid from.
    let purses: Purses
    /// Of its id, for affinity.
    let idHash: UInt64
    /// Whether it goes on with a text that another has begun.
    let continuesText: Bool
}

final class ModelGroup: Sendable {
    let name: String
    /// By place. Deployments of one order stand together, the lowest order first.
    let terms: [Terms]
    let tiers: [Range<Int>]
    let strategy: Strategy
    let latencyBuffer: Double
    let matchesAnyTag: Bool
    /// By place: the weights up to and with it.
    let cumulativeWeights: [Double]
    let retryPolicy: [RetryClass: Int]
    /// By place: what the deployment cannot give.
    let lacking: [Features]
    let lackedByAny: Features
    private let state: Mutex<State>
    /// Shows Thread Sanitizer the order that the lock makes; where threads contend, a `Mutex` makes it inside
    /// the standard library, which is not instrumented. Costs two plain moves.
    private let order = Atomic(false)

    struct State {
        /// By place; the last is that of the group as a whole.
        var slots: [Slot]
        var health: [Health]
        /// Context windows, in tokens; 0: not known.
        let windows: [Int]
        /// What the providers leave us, of tokens and of requests.
        var tokenAllowances: [Allowance]
        var requestAllowances: [Allowance]
        var window: Window
        var model: TokenModel
        /// What is chosen by: all of the above in short. Whoever changes something of a place refreshes it.
        var board: Board
        let strategy: Strategy
        /// By place, for `cost-based-routing`.
        let costScores: [Int32]
        /// When time alone changes something: at the latest in a second.
        var nextTick = Instant.zero
        /// When the first deployment that is closed for a time opens.
        var nextOpening = Instant.zero
        var minute = Minute()
        var paceOfWhole = Pace()
        var paceOfFirst = Pace()
        var tailOfWhole = LatencyTail()
        var tailOfFirst = LatencyTail()
        var budget: RetryBudget
        var hedgeBudget: RetryBudget
        var queue = AdmissionQueue()
        /// What other instances count with us; nil: nobody does.
        var shared: SharedRooms?
    }

    init(
        name: String, members: [Int], _ configuration: RouterConfiguration,
        providerPurses: [String: Purse] = [:]
    ) {
        let all = configuration.deployments
        let ordered = members.sorted { (all[$0].order ?? .max, $0) < (all[$1].order ?? .max, $1) }
        self.name = name
        strategy = configuration.modelGroupStrategies[name] ?? configuration.strategy
        latencyBuffer = configuration.lowestLatencyBuffer
        matchesAnyTag = configuration.tagFilteringMatchAny
        retryPolicy = configuration.modelGroupRetryPolicies[name] ?? configuration.retryPolicy
        let limits = configuration.modelGroupLimits[name] ?? Limits()
        let purse = limits.budget.map(Purse.init)
        let weights = Self.weights(of: ordered.map { all[$0] })
        terms = zip(ordered, weights).map { index, weight in
            let deployment = all[index]
            return Terms(
                deployment: index, tags: deployment.tags, region: deployment.region,
                maxInputTokens: deployment.maxInputTokens,
                cooldown: CooldownPolicy(deployment, configuration), weight: weight,
                prices: deployment.prices,
                purses: Purses([
                    deployment.limits.budget.map(Purse.init), purse, providerPurses[deployment.provider],
                ]), idHash: stableHash(of: deployment.id), continuesText: deployment.continuesText)
        }
        var sum = 0.0
        cumulativeWeights = weights.map {
            sum += $0
            return sum
        }
        lacking = ordered.map { all[$0].lacks }
        lackedByAny = lacking.reduce([]) { $0.union($1) }
        var tiers: [Range<Int>] = []
        for place in ordered.indices {
            if let last = tiers.last, all[ordered[last.lowerBound]].order == all[ordered[place]].order {
                tiers[tiers.count - 1] = last.lowerBound..<place + 1
            } else {
                tiers.append(place..<place + 1)
            }
        }
        self.tiers = tiers
        let slots = ordered.map { Slot(all[$0].limits) } + [Slot(limits)]
        let lowestLimit = slots.map(\.tokensLimit).min()
        state = Mutex(
            State(
                slots: slots, health: ordered.map { _ in Health() },
                windows: terms.map { $0.maxInputTokens ?? 0 },
                tokenAllowances: ordered.map { _ in Allowance() },
                requestAllowances: ordered.map { _ in Allowance() },
                window: Window(configuration.rateLimitWindow, width: slots.count),
                model: TokenModel(lowestLimit: lowestLimit), board: Board(count: ordered.count),
                strategy: strategy, costScores: ordered.map { Self.costScore(all[$0]) },
                budget: RetryBudget(share: configuration.retryBudget),
                hedgeBudget: RetryBudget(share: configuration.hedgeBudget, freeASecond: 0.1),
                shared: configuration.sharing.map { sharing in
                    SharedRooms(
                        sharing, modelGroup: name,
                        rows: ordered.map { SharedRow(name: all[$0].id, all[$0].limits) },
                        whole: SharedRow(name: "", limits))
                }))
    }

    /// What one token in and one out cost; a deployment of unknown price comes last.
    private static func costScore(_ deployment: Deployment) -> Int32 {
        let costs = (deployment.prices.input, deployment.prices.output)
        return Board.score(
            costs == (nil, nil) ? .greatestFiniteMagnitude : (costs.0 ?? 0) + (costs.1 ?? 0))
    }

    /// `weight` where any deployment has one, else requests, else tokens per minute; else all alike.
    private static func weights(of deployments: [Deployment]) -> [Double] {
        if deployments.contains(where: { $0.weight != nil }) { return deployments.map { $0.weight ?? 0 } }
        if deployments.contains(where: { $0.requestsPerMinute != nil }) {
            return deployments.map { Double($0.requestsPerMinute ?? 0) }
        }
        if deployments.contains(where: { $0.tokensPerMinute != nil }) {
            return deployments.map { Double($0.tokensPerMinute ?? 0) }
        }
        return deployments.map { _ in 1 }
    }

    @inline(__always)
    func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in
            _ = order.load(ordering: .acquiring)
            defer { order.store(true, ordering: .releasing) }
            return body(&state)
        }
    }

    // MARK: Choosing

    /// Chooses an open deployment and reserves at it, in one step: all limits are checked and taken here and
    /// nowhere else. nil: none is open, or none answers in the time that is left, or those that are open are
    /// for calls of better rank that wait.
    ///
    /// - Parameters:
    ///   - ask: set where the usage store may have a room that this instance was not granted yet: then nil
    ///     means that it is to be asked.
    ///   - sight: is given what the decision was made from.
    func reserve(
        _ request: PickRequest, now: Instant, random: inout RandomSource, ask: inout SharedAsk?,
        sight: Sight? = nil
    ) -> Pick? {
        let picked = withState { state -> Picked? in
            state.advance(to: now)
            sight?.see(state)
            guard state.affords(request) else { return nil }
            let pace = request.isStreaming ? state.paceOfFirst : state.paceOfWhole
            guard pace.fastest == 0 || request.timeLeft.seconds >= pace.fastest else { return nil }
            let expected = state.model.expected(request.size)
            guard state.wholeHasRoom(for: expected.total) else { return nil }
            guard
                let (place, spending) = state.queue.isEmpty
                    ? choose(request, expected, &state, now: now, random: &random, ask: &ask)
                    : chooseBesideWaiters(request, expected, &state, now: now, random: &random, ask: &ask)
            else { return nil }
            sight?.chosen = place
            let bucket = state.shared?.take(place, expected.total, cost: cost(place, expected), now: now)
            return book(place, request, expected, spending, bucket: bucket, &state, now)
        }
        return picked.map(pick)
    }

    private struct Picked {
        var hold: Hold
        var expected: Double
        var slow: Double?
        /// Those who may use what is left.
        var wakes: [Wake]
    }

    /// Counts the call at the place that was chosen for it.
    private func book(
        _ place: Int, _ request: PickRequest, _ expected: ExpectedTokens, _ spending: Spending, bucket: Int?,
        _ state: inout State, _ now: Instant
    ) -> Picked {
        state.reserve(expected.total, at: place)
        state.charge(request)
        let probe = state.startProbe(place, now)
        state.refresh(place, now)
        let hold = Hold(
            place: place, tokens: expected, period: state.window.number, spending: spending,
            sharedBucket: bucket ?? 0, probe: probe)
        let pace = request.isStreaming ? state.paceOfFirst : state.paceOfWhole
        return Picked(
            hold: hold, expected: pace.expected,
            slow: request.learnsSlowness ? state.slow(isStreaming: request.isStreaming) : nil,
            wakes: state.leaveQueue(request.rank, now: now))
    }

    private func pick(_ picked: Picked) -> Pick {
        for wake in picked.wakes { wake() }
        return Pick(
            reservation: Reservation(group: self, hold: picked.hold),
            expectedSeconds: picked.expected, slowAfter: picked.slow.map { .seconds($0) })
    }

    /// The same, of the deployments that no waiter of better rank may use.
    private func chooseBesideWaiters(
        _ request: PickRequest, _ expected: ExpectedTokens, _ state: inout State, now: Instant,
        random: inout RandomSource, ask: inout SharedAsk?
    ) -> (place: Int, Spending)? {
        guard let rank = request.rank else {
            return choose(request, expected, &state, now: now, random: &random, ask: &ask)
        }
        guard let left = state.unclaimed(request, before: rank) else { return nil }
        return choose(left, expected, &state, now: now, random: &random, ask: &ask)
    }

    /// An open deployment of the first tier that has one, and the money for the call taken from its budgets.
    private func choose(
        _ request: PickRequest, _ expected: ExpectedTokens, _ state: inout State, now: Instant,
        random: inout RandomSource, ask: inout SharedAsk?
    ) -> (place: Int, Spending)? {
        for tier in tiers {
            var request = request
            while let place = state.choose(
                from: tier, of: self, for: request, expected, now: now, random: &random)
            {
                if terms[place].purses.isEmpty { return (place, Spending()) }
                if let spending = terms[place].purses.reserve(cost(place, expected), now: now) {
                    return (place, spending)
                }
                // From here on every budget is looked at first; then this ends.
                request.mindsPurses = true
            }
            if state.shared != nil {
                ask = question(from: tier, request, expected, &state, now: now, random: &random)
                if ask != nil { return nil }
            }
        }
        return nil
    }

    private func cost(_ place: Int, _ expected: ExpectedTokens) -> Int {
        terms[place].prices.billionths(of: expected.usage)
    }

    // MARK: Sharing

    /// What the usage store is asked for a call: the places that it may know room at, in the order in which
    /// the strategy would choose them. nil: there is none.
    private func question(
        from tier: Range<Int>, _ request: PickRequest, _ expected: ExpectedTokens, _ state: inout State,
        now: Instant, random: inout RandomSource
    ) -> SharedAsk? {
        var open = tier.filter { place in
            state.mayAsk(place, for: request, expected.total, now: now)
                && terms[place].purses.affords(cost(place, expected), now: now)
        }
        if open.isEmpty { return nil }
        var places: [Int] = []
        while places.count < SharedAsk.placesMax,
            let place = state.choose(
                from: tier, of: self, for: request, expected, now: now, random: &random,
                isOpen: open.contains)
        {
            places.append(place)
            open.removeAll { $0 == place }
        }
        let byUsage = strategy == .usageBased || strategy == .headroom
        let rooms = state.shared!
        return SharedAsk(
            request: rooms.request(
                expected.total, places: places.map { ($0, cost($0, expected)) }, choosesLeastUsed: byUsage,
                ignoresCooldowns: request.triesSince != nil),
            member: rooms.member, sentAt: now, places: places, expected: expected)
    }

    /// The store's grant is for this call: it is counted, whatever else has changed. nil: there is none.
    func take(_ grant: SharedGrant, of ask: SharedAsk, for request: PickRequest, now: Instant) -> Pick {
        let place = ask.places[grant.candidate]
        let cost = cost(place, ask.expected)
        // The store looked at the budgets; our own count follows, as far as it goes.
        let spending = terms[place].purses.isEmpty ? nil : terms[place].purses.reserve(cost, now: now)
        return pick(
            withState { state in
                state.advance(to: now)
                state.shared!.take(
                    grant, at: place, ask.expected.total, cost: cost, epoch: ask.member.epoch,
                    sentAt: ask.sentAt)
                return book(
                    place, request, ask.expected, spending ?? Spending(), bucket: grant.bucket, &state, now)
            })
    }

    /// The grant came too late for its call.
    func giveBack(_ grant: SharedGrant, of ask: SharedAsk) {
        let place = ask.places[grant.candidate]
        withState { state in
            state.shared!.giveBack(
                grant, at: place, ask.expected.total, cost: cost(place, ask.expected), epoch: ask.member.epoch
            )
        }
    }

    /// The store has no room for such a call.
    func close(_ ask: SharedAsk, for time: Duration?, now: Instant) {
        withState { $0.shared!.close(ask.places, ask.expected.total, for: time, now: now) }
    }

    /// The store does not answer, or does not know us. Whether that is news.
    func part(answersReport: Bool, now: Instant) -> Bool {
        withState { state in
            let isNews = state.shared!.part(answersReport: answersReport, now: now)
            for place in state.places { state.refresh(place, now) }
            return isNews
        }
    }

    /// What is to be said to the store now; nil: nothing yet.
    func report(now: Instant) -> (SharedReport, StoreMember)? {
        withState { state in
            guard state.shared != nil else { return nil }
            state.advance(to: now)
            let (slots, health) = (state.slots, state.health)
            let changed = state.shared!.places.map { ($0.hasNewCooldown, $0.hasNewLatency) }
            return state.shared!.report(inFlight: { slots[$0].inFlight }, now: now) { place, entry in
                if changed[place].0, slots[place].coolingUntil > now || health[place].reopenedBefore > now {
                    entry.cooldown = SharedCooldown(
                        left: max(.zero, slots[place].coolingUntil - now), cause: health[place].cause)
                }
                if changed[place].1 { entry.latency = health[place].latency }
            }
        }
    }

    /// The store answers a report. Whether we are together now and were not before.
    func learn(_ news: SharedNews, to report: SharedReport, sentAt: Instant, now: Instant) -> Bool {
        withState { state in
            state.advance(to: now)
            let wasTogether = state.shared!.isTogether
            let changed = state.shared!.places.map(\.hasNewLatency)
            state.shared!.learn(news, to: report, sentAt: sentAt, now: now)
            for (place, entry) in news.entries.enumerated() {
                if let cooldown = entry.cooldown { state.hear(cooldown, at: place, now) }
                if !changed[place] { state.health[place].hear(entry.latency) }
                state.refresh(place, now)
            }
            return state.shared!.isTogether && !wasTogether
        }
    }

    /// The last word to the store; nil: it does not hear us.
    func farewell() -> (SharedReport, StoreMember)? {
        withState { $0.shared?.farewell { _, _ in } }
    }

    /// Whether a deployment is open to the call.
    func isOpen(to request: PickRequest, now: Instant) -> Bool {
        withState { state in
            state.advance(to: now)
            let expected = state.model.expected(request.size)
            return state.affords(request) && state.wholeHasRoom(for: expected.total)
                && terms.indices.contains {
                    isOpen($0, to: request, expected, state, now: now)
                        || state.mayAsk($0, for: request, expected.total, now: now)
                }
        }
    }

    /// Whether one deployment is open to the call, its budgets too.
    func isOpen(
        _ place: Int, to request: PickRequest, _ expected: ExpectedTokens, _ state: State, now: Instant
    ) -> Bool {
        guard state.isOpen(place, to: request, expected.total, now: now) else { return false }
        return terms[place].purses.isEmpty
            || terms[place].purses.affords(terms[place].prices.billionths(of: expected.usage), now: now)
    }

    /// Why no deployment is open to the call.
    func shortage(for request: PickRequest, now: Instant) -> Shortage {
        withState { state in
            state.advance(to: now)
            let expected = state.model.expected(request.size)
            var shortage = Shortage()
            shortage.tokens = expected.total
            for place in terms.indices where request.takesAll || state.allows(place, request) {
                let cost = terms[place].prices.billionths(of: expected.usage)
                let paysAt = terms[place].purses.opens(for: cost, now: now)
                state.note(place, request, expected.total, paysAt: paysAt, now: now, in: &shortage)
            }
            shortage.isForWaiters = request.rank.map { state.isForWaiters(request, before: $0) } ?? false
            if shortage.isForWaiters, request.triesSince != nil { shortage.returnsAt = nil }
            return shortage
        }
    }

    // MARK: Settling

    /// Puts what was used in the place of what was held, in one step, and learns from how the attempt ended.
    func settle(_ hold: Hold, used: TokenUsage, of size: CallSize, end: AttemptEnd, now: Instant) {
        let place = hold.place
        let wakes = withState { state -> [Wake] in
            state.advance(to: now)
            state.settle(place, reserved: hold.tokens.total, in: hold.period, used: used.total)
            state.shared?.settle(
                place, hold.sharedBucket, tokens: used.total - hold.tokens.total,
                cost: terms[place].prices.billionths(of: used) - cost(place, hold.tokens), now: now)
            if hold.probe == .afterCooldown { state.endProbe(place) }
            switch end {
            case .answered(let time, let completionTokens, let isStreaming, let isLate):
                if hold.probe == .inCooldown || hold.probe == .afterCooldown && !isLate {
                    state.probeAnswered(place)
                }
                if !used.isEstimated { state.model.learn(size, used) }
                guard let time else { break }
                state.health[place].answered(
                    in: time, completionTokens: completionTokens, isStreaming: isStreaming, isLate: isLate)
                state.shared?.noteLatency(place)
                state.withPace(isStreaming) { $0.answered(in: time.seconds) }
                state.withTail(isStreaming) { $0.add(time.seconds) }
            case .failed(let failure, let time):
                state.fail(
                    place, failure, after: time, policy: terms[place].cooldown, hold.probe, now: now)
            case .outrun(let time, let isStreaming):
                state.withTail(isStreaming) { $0.add(atLeast: time.seconds) }
            case .abandoned: break
            }
            state.refresh(place, now)
            return state.queue.isEmpty ? [] : state.wakes(now: now)
        }
        for wake in wakes { wake() }
        if !terms[place].purses.isEmpty {
            terms[place].purses.settle(
                hold.spending, cost: terms[place].prices.billionths(of: used), now: now)
        }
    }

    /// An attempt there has taken more than its share of its call's time, and is under way yet.
    func lapsed(
        _ place: Int, _ probe: Probe, _ failure: Failure, after time: Duration, now: Instant
    ) {
        withState { state in
            state.advance(to: now)
            state.fail(
                place, failure, after: time, isEnded: false, policy: terms[place].cooldown, probe, now: now)
            state.refresh(place, now)
        }
    }

    /// A provider says what it leaves us.
    func note(_ limits: RateLimits, from place: Int, now: Instant) {
        withState { state in
            state.advance(to: now)
            let slot = state.slots[place]
            state.tokenAllowances[place].note(
                limits.tokens, room: slot.tokensLimit - slot.tokensCounted, now: now)
            state.requestAllowances[place].note(
                limits.requests, room: slot.requestsLimit - slot.requestsCounted, now: now)
            state.refresh(place, now)
        }
    }

    /// A probe's stream has begun: what the deployment was kept free for is known.
    func probeAnswered(_ place: Int, now: Instant) {
        let wakes = withState { state in
            state.advance(to: now)
            state.probeAnswered(place)
            state.refresh(place, now)
            return state.queue.isEmpty ? [] : state.wakes(now: now)
        }
        for wake in wakes { wake() }
    }

    // MARK: Looking

    /// The largest context window known at these places; nil: one is not known.
    func largestWindow(at places: [Int]) -> Int? {
        var largest = 0
        for place in places {
            guard let window = terms[place].maxInputTokens else { return nil }
            largest = max(largest, window)
        }
        return largest
    }

    /// Which places a call may use by its tags, where those are looked at, its regions, and what it asks for;
    /// nil: all.
    ///
    /// A call with tags may use places with one of them (or all of them, where so configured), else, as a
    /// call without, those tagged "default"; without those a call with tags has none, one without has all. A
    /// call with regions may use places in one of them.
    func places(tags: [String]?, regions: [String], features: Features) -> [Bool]? {
        let byTags = tags.flatMap(places(matching:))
        let asked = features.intersection(lackedByAny)
        if regions.isEmpty, asked.isEmpty { return byTags }
        return terms.indices.map { place in
            byTags?[place] ?? true
                && (regions.isEmpty || terms[place].region.map(regions.contains) ?? false)
                && asked.isDisjoint(with: lacking[place])
        }
    }

    /// What keeps a call from every deployment that its tags and regions leave it: what none of them can
    /// give, else all that not all of them can. Empty: nothing does.
    func missing(tags: [String]?, regions: [String], features: Features) -> Features {
        let open = places(tags: tags, regions: regions, features: [])
        let missing = terms.indices.filter { open?[$0] ?? true }.map { lacking[$0].intersection(features) }
        if missing.isEmpty || missing.contains([]) { return [] }
        let common = missing.reduce(features) { $0.intersection($1) }
        return common.isEmpty ? missing.reduce([]) { $0.union($1) } : common
    }

    private func places(matching tags: [String]) -> [Bool]? {
        if !tags.isEmpty {
            let matching = terms.map { terms in
                matchesAnyTag
                    ? terms.tags.contains(where: tags.contains) : tags.allSatisfy(terms.tags.contains)
            }
            if matching.contains(true) { return matching }
        }
        let defaults = terms.map { $0.tags.contains("default") }
        return tags.isEmpty && !defaults.contains(true) ? nil : defaults
    }

    /// To how many other places the call may go at all, be they open or not.
    func countOthers(than chosen: Int, for request: PickRequest) -> Int {
        if request.takesAll { return terms.count - 1 }
        if request.only != nil { return 0 }
        return terms.indices.count { place in
            place != chosen && !request.excluded.contains(place) && request.matching?[place] ?? true
                && request.windowAbove.map { terms[place].maxInputTokens ?? 0 > $0 } ?? true
        }
    }

    /// Seconds in which the group answers, on average; 0: not known.
    func expectedSeconds(isStreaming: Bool) -> Double {
        withState { isStreaming ? $0.paceOfFirst.expected : $0.paceOfWhole.expected }
    }

    /// A copy of what is counted, to look at in peace.
    func snapshot(now: Instant) -> State {
        withState { state in
            state.advance(to: now)
            return state
        }
    }

    func usage(now: Instant) -> [DeploymentUsage] {
        withState { state in
            state.advance(to: now)
            return terms.indices.map { place in
                let (slot, health) = (state.slots[place], state.health[place])
                let isCooling = slot.coolingUntil > now
                return DeploymentUsage(
                    deployment: terms[place].deployment,
                    tokensUsed: slot.counts.tokens - slot.counts.reserved,
                    tokensReserved: slot.counts.reserved, requests: slot.requestsCounted,
                    inFlight: slot.inFlight,
                    tokensOutstanding: health.tokensOutstanding,
                    coolingUntil: isCooling ? slot.coolingUntil : nil,
                    coolingCause: isCooling ? health.cause : nil,
                    tokensInTotal: health.tokensInTotal, requestsInTotal: health.requestsInTotal,
                    withheld: state.shared?.withheld(place) ?? SharedAmount())
            }
        }
    }

    var isTogether: Bool { withState { $0.shared?.isTogether ?? false } }
}

extension ModelGroup.State {
    var places: Range<Int> { 0..<health.count }
    /// The group's own limits, and what all its deployments together count against them.
    var whole: Slot { slots[health.count] }

    @inline(__always)
    mutating func advance(to now: Instant) {
        if now >= nextTick { tick(now) }
    }

    /// What time alone changes.
    private mutating func tick(_ now: Instant) {
        budget.advance(to: now)
        hedgeBudget.advance(to: now)
        if minute.advance(to: now) {
            for place in places { health[place].startMinute() }
            paceOfWhole.startMinute()
            paceOfFirst.startMinute()
        }
        nextTick = Instant(.seconds(now.sinceStart.components.seconds + 1))
        let isAnother = window.advance(to: now, &slots)
        if isAnother || now >= nextOpening {
            nextOpening = .never
            for place in places {
                tokenAllowances[place].expire(now)
                requestAllowances[place].expire(now)
                refresh(place, now)
            }
        }
        nextTick = min(nextTick, nextOpening)
    }

    /// Writes what has changed of a place on the board.
    mutating func refresh(_ place: Int, _ now: Instant) {
        let slot = slots[place]
        var room = min(roomByLimits(place, now), tokenAllowances[place].left)
        if requestAllowances[place].left <= 0 { room = -1 }
        if slot.coolingUntil > now {
            room = -1
            opens(at: slot.coolingUntil)
        }
        switch strategy {
        case .latencyBased:
            board.set(
                place, room: room, score: Board.score(health[place].latency(isStreaming: false)),
                scoreOfStreams: Board.score(health[place].latency(isStreaming: true)))
        case .usageBased:
            let counted = max(slot.tokensCounted, tokenAllowances[place].counted)
            board.set(place, room: room, score: Board.score(counted))
        case .headroom:
            let said = max(tokenAllowances[place].shareUsed, requestAllowances[place].shareUsed)
            board.set(place, room: room, score: Board.score(max(slot.shareUsed, said)))
        case .leastBusy: board.set(place, room: room, score: Board.score(slot.inFlight))
        case .costBased: board.set(place, room: room, score: costScores[place])
        case .simpleShuffle, .powerOfTwo: board.set(place, room: room, score: 0)
        }
        if tokenAllowances[place].left != .max { opens(at: tokenAllowances[place].until) }
        if requestAllowances[place].left != .max { opens(at: requestAllowances[place].until) }
    }

    /// Tokens for which there is room by our own count, or by what the usage store has granted; -1: closed.
    private mutating func roomByLimits(_ place: Int, _ now: Instant) -> Int {
        let slot = slots[place]
        if shared != nil, shared!.isShared(place) {
            if let at = shared!.roomChangesAt(place, now: now) { opens(at: at) }
            return shared!.room(place, inFlight: slot.inFlight, inFlightOfAll: whole.inFlight, now: now)
        }
        if slot.requestsCounted >= slot.requestsLimit || slot.inFlight >= slot.inFlightLimit { return -1 }
        return slot.tokensLimit &- slot.tokensCounted
    }

    /// Whether the limits of the group as a whole let a call pass; where they are shared, a place has room
    /// only if they do.
    func wholeHasRoom(for tokens: Int) -> Bool { shared != nil || whole.hasRoom(for: tokens) }

    private func hasRoom(_ place: Int, for tokens: Int, _ now: Instant) -> Bool {
        guard shared != nil, shared!.isShared(place) else { return slots[place].hasRoom(for: tokens) }
        return tokens
            <= shared!.room(
                place, inFlight: slots[place].inFlight, inFlightOfAll: whole.inFlight, now: now)
    }

    /// Whether the usage store may have room for the call where we were granted none.
    func mayAsk(_ place: Int, for request: PickRequest, _ tokens: Int, now: Instant) -> Bool {
        guard shared != nil, shared!.mayAsk(place, tokens, now: now) else { return false }
        return isOpen(place, to: request, tokens, hasRoom: true, now: now)
    }

    /// A cooldown that another instance has told of.
    mutating func hear(_ cooldown: SharedCooldown, at place: Int, _ now: Instant) {
        let until = now + cooldown.left
        // Our own comes back to us; how long that took is no news.
        let known = max(slots[place].coolingUntil, health[place].reopenedBefore)
        guard until > known + .milliseconds(500) else { return }
        slots[place].coolingUntil = until
        health[place].hear(cooldown.cause)
    }

    private mutating func opens(at instant: Instant) {
        nextOpening = min(nextOpening, instant)
        nextTick = min(nextTick, instant)
    }

    /// Whether a place is open to the call, as far as its budgets are not concerned.
    func isOpen(_ place: Int, to request: PickRequest, _ tokens: Int, now: Instant) -> Bool {
        isOpen(place, to: request, tokens, hasRoom: hasRoom(place, for: tokens, now), now: now)
    }

    private func isOpen(
        _ place: Int, to request: PickRequest, _ tokens: Int, hasRoom: Bool, now: Instant
    ) -> Bool {
        let slot = slots[place]
        return hasRoom && tokens <= tokenAllowances[place].left
            && requestAllowances[place].left > 0 && allows(place, request)
            && (slot.coolingUntil <= now || health[place].isIgnored(by: request, now))
    }

    /// Whether the call may go there at all, be it open or not. (Not in place: the loops that ask it seldom
    /// are short without it.)
    @inline(never)
    func allows(_ place: Int, _ request: PickRequest) -> Bool {
        if let only = request.only, only != place { return false }
        if let matching = request.matching, !matching[place] { return false }
        if let bound = request.windowAbove, windows[place] <= bound { return false }
        if request.budgetUse == .takesHedge, !slots[place].isHalfFree || shared?.isHalfUsed(place) ?? false {
            return false
        }
        return !request.excluded.contains(place)
    }

    /// Whether the budgets have what the call would take.
    func affords(_ request: PickRequest) -> Bool {
        switch request.budgetUse {
        case .addsCall, .none: true
        case .takesRetry: budget.hasOne
        case .takesHedge: hedgeBudget.hasOne && queue.isEmpty
        }
    }

    mutating func charge(_ request: PickRequest) {
        switch request.budgetUse {
        case .addsCall:
            budget.addCall()
            hedgeBudget.addCall()
        case .none: break
        case .takesRetry: budget.takeRetry()
        case .takesHedge: hedgeBudget.takeRetry()
        }
    }

    /// Takes a call that has got its deployment out of the queue. Who is next is told.
    mutating func leaveQueue(_ rank: QueueRank?, now: Instant) -> [Wake] {
        if queue.isEmpty { return [] }
        if let rank { queue.remove(rank) }
        return wakes(now: now)
    }

    mutating func reserve(_ tokens: Int, at place: Int) {
        count(Counts(tokens: tokens, reserved: tokens, requests: 1), at: place, in: window.number)
        slots[place].inFlight += 1
        slots[health.count].inFlight += 1
        tokenAllowances[place].take(tokens)
        requestAllowances[place].take(1)
        health[place].tokensOutstanding += tokens
        health[place].requestsInTotal += 1
    }

    /// A reservation of a period that is over left with it: of that call only what it used beyond the
    /// reservation counts, now that it is known.
    mutating func settle(_ place: Int, reserved: Int, in period: Int, used: Int) {
        slots[place].inFlight -= 1
        slots[health.count].inFlight -= 1
        health[place].tokensOutstanding -= reserved
        health[place].tokensInTotal += used
        if window.holds(period) {
            count(Counts(tokens: used - reserved, reserved: -reserved), at: place, in: period)
        } else if used > reserved {
            count(Counts(tokens: used - reserved), at: place, in: window.number)
        }
    }

    /// Counts at a place and, with it, at the group as a whole.
    private mutating func count(_ counts: Counts, at place: Int, in period: Int) {
        for place in [place, health.count] {
            slots[place].counts += counts
            window.add(counts, place, in: period)
        }
    }

    mutating func withPace(_ isStreaming: Bool, _ change: (inout Pace) -> Void) {
        if isStreaming { change(&paceOfFirst) } else { change(&paceOfWhole) }
    }

    mutating func withTail(_ isStreaming: Bool, _ change: (inout LatencyTail) -> Void) {
        if isStreaming { change(&tailOfFirst) } else { change(&tailOfWhole) }
    }

    /// Seconds after which an attempt is among the slowest twentieth; nil: not known.
    func slow(isStreaming: Bool) -> Double? { isStreaming ? tailOfFirst.slow : tailOfWhole.slow }

    /// Whether the call that was sent there is to find out if it answers again. After a cooldown it is closed
    /// to others meanwhile, for no longer than the cooldown was.
    mutating func startProbe(_ place: Int, _ now: Instant) -> Probe {
        if slots[place].coolingUntil > now {
            health[place].startProbeInCooldown(now)
            return .inCooldown
        }
        guard health[place].isOnProbation else { return .none }
        slots[place].coolingUntil = health[place].startProbe(now)
        return .afterCooldown
    }

    /// Opens what a probe has closed, and no cooldown that came since.
    mutating func endProbe(_ place: Int) {
        if slots[place].coolingUntil == health[place].probedUntil { slots[place].coolingUntil = .zero }
    }

    /// It answers again: what it cooled down for is over, unless its provider has named a time meanwhile.
    mutating func probeAnswered(_ place: Int) {
        if health[place].mayBeMended {
            if !health[place].isJudged { shared?.noteCooldown(place) }
            health[place].reopen(before: slots[place].coolingUntil)
            slots[place].coolingUntil = .zero
        }
        health[place].endProbation()
    }

    mutating func fail(
        _ place: Int, _ failure: Failure, after time: Duration, isEnded: Bool = true, policy: CooldownPolicy,
        _ probe: Probe, now: Instant
    ) {
        if isEnded, Remedy(of: failure.kind).health != .none { health[place].failed(since: now - time) }
        // That a deployment which cools down is out of order yet is no news.
        if probe == .inCooldown, slots[place].coolingUntil > now, !failure.asksForRest { return }
        let before = health[place]
        let isLastUsable = !places.contains { $0 != place && slots[$0].coolingUntil <= now }
        guard
            let time = health[place].failed(
                failure, policy: policy, isLastUsable: isLastUsable, isProbe: probe == .afterCooldown)
        else {
            return
        }
        // A later failure can lengthen a cooldown, not shorten it; the longest has its cause.
        if slots[place].coolingUntil > now + time {
            health[place].keepCause(of: before)
        } else {
            slots[place].coolingUntil = now + time
        }
        // What we judge ourselves may be our own fault: others judge for themselves.
        if !health[place].isJudged { shared?.noteCooldown(place) }
    }

    /// Adds to `shortage` why and until when the deployment is closed.
    ///
    /// - Parameter paysAt: when its budgets can pay for the call again; nil: they can.
    func note(
        _ place: Int, _ request: PickRequest, _ tokens: Int, paysAt: Instant?, now: Instant,
        in shortage: inout Shortage
    ) {
        let slot = slots[place]
        let pace = request.isStreaming ? paceOfFirst : paceOfWhole
        shortage.isServable = true
        if tokens > min(slot.tokensLimit, whole.tokensLimit) { return }
        // When a call under way makes room is not known: in the time of one answer, at least a second.
        let answered = now + .seconds(max(1, paceOfWhole.expected))
        var hasRoomAt = max(
            window.opens(slot, place, for: tokens, now: now),
            window.opens(whole, health.count, for: tokens, now: now))
        if hasRoomAt <= now, slot.inFlight >= slot.inFlightLimit || whole.inFlight >= whole.inFlightLimit {
            hasRoomAt = answered
        }
        if shared != nil, shared!.isShared(place) {
            hasRoomAt =
                shared!.opensAt(
                    place, tokens, inFlight: slot.inFlight, inFlightOfAll: whole.inFlight, now: now) ?? now
            if shared!.isClosed { shortage.outcome = .unavailable }
        }
        if tokens > tokenAllowances[place].left { hasRoomAt = max(hasRoomAt, tokenAllowances[place].until) }
        if requestAllowances[place].left <= 0 { hasRoomAt = max(hasRoomAt, requestAllowances[place].until) }
        if let paysAt {
            if hasRoomAt <= now { shortage.isBudgetSpent = true }
            hasRoomAt = max(hasRoomAt, paysAt)
        }
        shortage.opens(at: max(hasRoomAt, slot.coolingUntil))
        guard slot.coolingUntil > now, hasRoomAt <= slot.coolingUntil else { return }
        let remedy = Remedy(of: health[place].cause)
        if remedy.outcome != .limited { shortage.outcome = remedy.outcome }
        let last = now + request.timeLeft - .seconds(pace.fastest)
        if let start = request.triesSince, let opensAt = health[place].opensInCooldown(since: start),
            max(opensAt, hasRoomAt, now) < last
        {
            shortage.returns(at: max(opensAt, hasRoomAt))
        }
        if slot.coolingUntil > last { return }
        switch health[place].cause {
        case .authentication, .notFound, .quotaExhausted: break  // Time alone mends none of these.
        default: shortage.returns(at: slot.coolingUntil)
        }
    }
}
