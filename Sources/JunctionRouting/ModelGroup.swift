// The deployments that answer to one name, and all that is counted of them, behind one short lock: choosing,
// checking limits and reserving are one step.
import Synchronization

/// What an attempt means for the budgets of its model group: how many retries, and how many hedges.
enum BudgetUse { case addsCall, none, takesRetry, takesHedge }

/// What a call asks of a model group.
struct PickRequest {
    /// Tokens to reserve.
    var tokens: Int
    var isStreaming: Bool
    /// What is left of the call's time.
    var timeLeft: Duration
    /// The only place that may be chosen.
    var only: Int?
    /// Places that may be chosen, by place; nil: all.
    var matching: [Bool]?
    /// Places that may not be chosen.
    var excluded: [Int] = []
    /// Only context windows larger than this may be chosen.
    var windowAbove: Int?
    /// Whether a deployment that cools down by our own judgement may be chosen.
    var ignoresJudgement = false
    /// What it takes from, or adds to, the budgets.
    var budgetUse = BudgetUse.none
    /// Whether it wants to know when an attempt is slow.
    var learnsSlowness = false
    /// Whether every deployment may be chosen that is open: the rule, and the quick way.
    var takesAll: Bool {
        only == nil && matching == nil && excluded.isEmpty && windowAbove == nil && !ignoresJudgement
            && budgetUse != .takesHedge
    }
}

/// A deployment chosen and reserved.
struct Pick: ~Copyable {
    var reservation: Reservation
    /// Whether the call may go to another deployment of the group when half of its time is over.
    var othersRemain: Bool
    /// Seconds in which the group answers, on average; 0: not known.
    var expectedSeconds: Double
    /// After how long an attempt is slow; nil: not asked, or not known.
    var slowAfter: Duration?
}

/// Why a model group has no deployment for a call, and when it will have one.
struct Shortage: Sendable {
    /// Whether any deployment may be chosen at all, now or later.
    var isServable = false
    /// When the first deployment with room returns from a cooldown that is worth waiting for.
    var returnsAt: Instant?
    /// When the first deployment is open again, for whatever reason; nil: never, for so many tokens.
    var opensAt: Instant?
    /// What the caller is told.
    var outcome = RouteFailure.Outcome.limited

    mutating func returns(at instant: Instant) { returnsAt = min(returnsAt ?? instant, instant) }
    mutating func opens(at instant: Instant) { opensAt = min(opensAt ?? instant, instant) }
}

/// What does not change about one deployment.
struct Terms: Sendable {
    let deployment: Int
    let tags: [String]
    let maxInputTokens: Int?
    let cooldown: CooldownPolicy
    /// For `simple-shuffle`.
    let weight: Double
    /// For `cost-based-routing`: US dollars for one token in and one out.
    let costPerToken: Double
}

final class ModelGroup: Sendable {
    let name: String
    /// By place. Deployments of one order stand together, the lowest order first.
    let terms: [Terms]
    let tiers: [Range<Int>]
    let strategy: Strategy
    let latencyBuffer: Double
    let retryPolicy: [RetryClass: Int]
    private let state: Mutex<State>
    /// Shows Thread Sanitizer the order that the lock makes; where threads contend, a `Mutex` makes it inside
    /// the standard library, which is not instrumented. Costs two plain moves.
    private let order = Atomic(false)

    struct State {
        var slots: [Slot]
        var health: [Health]
        /// Context windows, in tokens; 0: not known.
        let windows: [Int]
        var minute = Minute()
        var paceOfWhole = Pace()
        var paceOfFirst = Pace()
        var tailOfWhole = LatencyTail()
        var tailOfFirst = LatencyTail()
        var budget: RetryBudget
        var hedgeBudget: RetryBudget
    }

    init(name: String, members: [Int], _ configuration: RouterConfiguration) {
        let all = configuration.deployments
        let ordered = members.sorted { (all[$0].order ?? .max, $0) < (all[$1].order ?? .max, $1) }
        self.name = name
        strategy = configuration.modelGroupStrategies[name] ?? configuration.strategy
        latencyBuffer = configuration.lowestLatencyBuffer
        retryPolicy = configuration.modelGroupRetryPolicies[name] ?? configuration.retryPolicy
        let weights = Self.weights(of: ordered.map { all[$0] })
        terms = zip(ordered, weights).map { index, weight in
            let deployment = all[index]
            let costs = (deployment.inputCostPerToken, deployment.outputCostPerToken)
            return Terms(
                deployment: index, tags: deployment.tags, maxInputTokens: deployment.maxInputTokens,
                cooldown: CooldownPolicy(
                    time: deployment.cooldownTime ?? configuration.cooldownTime,
                    allowedFails: configuration.allowedFails),
                weight: weight,
                costPerToken: costs == (nil, nil) ? .greatestFiniteMagnitude : (costs.0 ?? 0) + (costs.1 ?? 0)
            )
        }
        var tiers: [Range<Int>] = []
        for place in ordered.indices {
            if let last = tiers.last, all[ordered[last.lowerBound]].order == all[ordered[place]].order {
                tiers[tiers.count - 1] = last.lowerBound..<place + 1
            } else {
                tiers.append(place..<place + 1)
            }
        }
        self.tiers = tiers
        state = Mutex(
            State(
                slots: ordered.map { Slot(all[$0]) }, health: ordered.map { _ in Health() },
                windows: terms.map { $0.maxInputTokens ?? 0 },
                budget: RetryBudget(share: configuration.retryBudget),
                hedgeBudget: RetryBudget(share: configuration.hedgeBudget, freeASecond: 0.1)))
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
    private func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in
            _ = order.load(ordering: .acquiring)
            defer { order.store(true, ordering: .releasing) }
            return body(&state)
        }
    }

    // MARK: Choosing

    /// Chooses an open deployment and reserves at it, in one step; nil: none is open, or none answers in the
    /// time that is left.
    func reserve(_ request: PickRequest, now: Instant, random: inout RandomSource) -> Pick? {
        let picked = withState {
            state -> (
                place: Int, minute: Int, isProbe: Bool, othersRemain: Bool, expected: Double, slow: Double?
            )? in
            state.advance(to: now)
            guard state.affords(request) else { return nil }
            let pace = request.isStreaming ? state.paceOfFirst : state.paceOfWhole
            guard pace.fastest == 0 || request.timeLeft.seconds >= pace.fastest else { return nil }
            for tier in tiers {
                guard
                    let place = state.choose(
                        by: strategy, from: tier, of: self, for: request, now: now, random: &random)
                else { continue }
                state.reserve(request.tokens, at: place)
                state.charge(request)
                return (
                    place, state.minute.number, state.startProbe(place, now),
                    state.othersRemain(than: place, for: request, now: now),
                    pace.expected, request.learnsSlowness ? state.slow(isStreaming: request.isStreaming) : nil
                )
            }
            return nil
        }
        guard let picked else { return nil }
        return Pick(
            reservation: Reservation(
                group: self, place: picked.place, tokens: request.tokens, minute: picked.minute,
                isProbe: picked.isProbe),
            othersRemain: picked.othersRemain, expectedSeconds: picked.expected,
            slowAfter: picked.slow.map { .seconds($0) })
    }

    /// Whether a deployment is open to the call.
    func isOpen(to request: PickRequest, now: Instant) -> Bool {
        withState { state in
            state.advance(to: now)
            return state.affords(request)
                && terms.indices.contains { state.isOpen($0, to: request, now: now) }
        }
    }

    /// Why no deployment is open to the call.
    func shortage(for request: PickRequest, now: Instant) -> Shortage {
        withState { state in
            state.advance(to: now)
            var shortage = Shortage()
            for place in terms.indices where request.takesAll || state.allows(place, request) {
                state.note(place, request, now: now, in: &shortage)
            }
            return shortage
        }
    }

    // MARK: Settling

    func settle(
        place: Int, reserved: Int, minute: Int, used: Int, isProbe: Bool, end: AttemptEnd, now: Instant
    ) {
        withState { state in
            state.advance(to: now)
            state.settle(place, reserved: reserved, minute: minute, used: used)
            if isProbe { state.endProbe(place) }
            switch end {
            case .answered(let time, let completionTokens, let isStreaming):
                if isProbe { state.health[place].endProbation() }
                guard let time else { break }
                state.health[place].answered(
                    in: time, completionTokens: completionTokens, isStreaming: isStreaming)
                state.withPace(isStreaming) { $0.answered(in: time.seconds) }
                state.withTail(isStreaming) { $0.add(time.seconds) }
            case .failed(let failure, let time, let isStreaming):
                if failure.kind == .timeout {
                    state.withPace(isStreaming) { $0.timedOut(after: time.seconds) }
                }
                state.fail(place, failure, policy: terms[place].cooldown, isProbe: isProbe, now: now)
            case .outrun(let time, let isStreaming):
                state.withTail(isStreaming) { $0.add(atLeast: time.seconds) }
            case .abandoned: break
            }
        }
    }

    /// A probe's stream has begun: what the deployment was kept free for is known.
    func probeAnswered(_ place: Int) {
        withState { state in
            state.endProbe(place)
            state.health[place].endProbation()
        }
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

    /// Which places a call with these tags may use: any tag in common; else, and for a call without tags,
    /// those tagged "default"; without those a call with tags has none, one without has all (nil).
    func places(matching tags: [String]) -> [Bool]? {
        if !tags.isEmpty {
            let matching = terms.map { $0.tags.contains(where: tags.contains) }
            if matching.contains(true) { return matching }
        }
        let defaults = terms.map { $0.tags.contains("default") }
        return tags.isEmpty && !defaults.contains(true) ? nil : defaults
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
                    tokensUsed: slot.tokensCounted - health.tokensReserved,
                    tokensReserved: health.tokensReserved, requests: slot.requestsCounted,
                    inFlight: slot.inFlight,
                    tokensOutstanding: health.tokensOutstanding,
                    coolingUntil: isCooling ? slot.coolingUntil : nil,
                    coolingCause: isCooling ? health.cause : nil,
                    tokensInTotal: health.tokensInTotal, requestsInTotal: health.requestsInTotal)
            }
        }
    }
}

extension ModelGroup.State {
    mutating func advance(to now: Instant) {
        budget.advance(to: now)
        hedgeBudget.advance(to: now)
        guard minute.advance(to: now) else { return }
        for place in slots.indices {
            slots[place].startMinute()
            health[place].startMinute()
        }
        paceOfWhole.startMinute()
        paceOfFirst.startMinute()
    }

    func isOpen(_ place: Int, to request: PickRequest, now: Instant) -> Bool {
        isOpen(place, slots[place], to: request, takesAll: request.takesAll, now: now)
    }

    /// The same, quick enough to be asked of every deployment: in the usual case it reads one slot.
    @inline(__always)
    func isOpen(_ place: Int, _ slot: Slot, to request: PickRequest, takesAll: Bool, now: Instant) -> Bool {
        guard slot.hasRoom(for: request.tokens) else { return false }
        if takesAll { return slot.coolingUntil <= now }
        return allows(place, request)
            && (slot.coolingUntil <= now || request.ignoresJudgement && health[place].isJudged)
    }

    /// Whether the call may go there at all, be it open or not.
    func allows(_ place: Int, _ request: PickRequest) -> Bool {
        if let only = request.only, only != place { return false }
        if let matching = request.matching, !matching[place] { return false }
        if let bound = request.windowAbove, windows[place] <= bound { return false }
        if request.budgetUse == .takesHedge, !slots[place].isHalfFree { return false }
        return !request.excluded.contains(place)
    }

    /// Whether another deployment is open to the call, or will be before half of its time is over.
    func othersRemain(than chosen: Int, for request: PickRequest, now: Instant) -> Bool {
        let later = now + request.timeLeft.half
        return slots.indices.contains { place in
            place != chosen && slots[place].coolingUntil <= later
                && (slots[place].hasRoom(for: request.tokens) || minute.end <= later)
                && (request.takesAll || allows(place, request))
        }
    }

    /// Whether the budgets have what the call would take.
    func affords(_ request: PickRequest) -> Bool {
        switch request.budgetUse {
        case .addsCall, .none: true
        case .takesRetry: budget.hasOne
        case .takesHedge: hedgeBudget.hasOne
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

    mutating func reserve(_ tokens: Int, at place: Int) {
        slots[place].tokensCounted += tokens
        slots[place].requestsCounted += 1
        slots[place].inFlight += 1
        health[place].tokensReserved += tokens
        health[place].tokensOutstanding += tokens
        health[place].requestsInTotal += 1
    }

    /// A reservation of a minute that is over left with it: of that call only what it used beyond the
    /// reservation counts, now that it is known.
    mutating func settle(_ place: Int, reserved: Int, minute reservedIn: Int, used: Int) {
        slots[place].inFlight -= 1
        health[place].tokensOutstanding -= reserved
        health[place].tokensInTotal += used
        if reservedIn == minute.number {
            slots[place].tokensCounted += used - reserved
            health[place].tokensReserved -= reserved
        } else {
            slots[place].tokensCounted += max(0, used - reserved)
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

    /// Whether the call that was sent there is to find out if it answers again after a cooldown; then it is
    /// closed to others meanwhile, for no longer than the cooldown was.
    mutating func startProbe(_ place: Int, _ now: Instant) -> Bool {
        guard health[place].isOnProbation, slots[place].coolingUntil <= now else { return false }
        slots[place].coolingUntil = health[place].startProbe(now)
        return true
    }

    /// Opens what a probe has closed, and no cooldown that came since.
    mutating func endProbe(_ place: Int) {
        if slots[place].coolingUntil == health[place].probedUntil { slots[place].coolingUntil = .zero }
    }

    mutating func fail(
        _ place: Int, _ failure: Failure, policy: CooldownPolicy, isProbe: Bool, now: Instant
    ) {
        let isLastUsable = !slots.indices.contains { $0 != place && slots[$0].coolingUntil <= now }
        guard
            let time = health[place].failed(
                failure, policy: policy, isLastUsable: isLastUsable, isProbe: isProbe)
        else {
            return
        }
        // A later failure can lengthen a cooldown, not shorten it.
        slots[place].coolingUntil = max(slots[place].coolingUntil, now + time)
    }

    /// Adds to `shortage` why and until when the deployment is closed.
    func note(_ place: Int, _ request: PickRequest, now: Instant, in shortage: inout Shortage) {
        let slot = slots[place]
        let pace = request.isStreaming ? paceOfFirst : paceOfWhole
        shortage.isServable = true
        if request.tokens > slot.tokensLimit { return }
        // When a call under way makes room is not known: in the time of one answer, at least a second.
        let answered = now + .seconds(max(1, paceOfWhole.expected))
        let isMinuteFull = !slot.minuteHasRoom(for: request.tokens)
        let hasRoomAt = isMinuteFull ? minute.end : slot.inFlight >= slot.inFlightLimit ? answered : now
        shortage.opens(at: max(hasRoomAt, slot.coolingUntil))
        guard slot.coolingUntil > now, hasRoomAt <= slot.coolingUntil else { return }
        let remedy = Remedy(of: health[place].cause)
        if remedy.outcome != .limited { shortage.outcome = remedy.outcome }
        if slot.coolingUntil + .seconds(pace.fastest) > now + request.timeLeft { return }
        switch health[place].cause {
        case .authentication, .notFound, .quotaExhausted: break  // Time alone mends none of these.
        default: shortage.returns(at: slot.coolingUntil)
        }
    }
}
