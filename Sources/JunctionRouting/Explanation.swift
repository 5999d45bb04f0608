// Why a call goes where it goes: for each deployment of its model groups what speaks against it, and how
// often the strategy would choose it. Decides nothing: it asks those who do.

/// Why a deployment is passed over.
public enum Obstacle: Sendable, Equatable {
    /// The call names another deployment of the model group.
    case notAsked
    /// It carries none of the call's tags, or is in none of its regions.
    case tags
    /// The call asks for what it cannot give.
    case features(Features)
    /// The call's tokens would pass its limit; `counted` are used or reserved in this minute.
    case tokens(limit: Int, counted: Int)
    /// Its requests of this minute are used up.
    case requests(limit: Int)
    /// So many requests are under way there.
    case parallelRequests(limit: Int)
    /// Its provider has said that its own limit has no room for the call.
    case provider(until: Instant)
    /// A budget that its calls are paid from does not reach for the call.
    case budget(until: Instant)
    /// It is left alone after failures.
    case cooldown(until: Instant, Failure.Kind)
    /// A deployment with a lower `order` is open.
    case laterOrder
    /// The call has tried it.
    case tried
    /// Its context window is not larger than one that was too small.
    case window(Int)
    /// It does not go on with a text that another has begun.
    case doesNotContinue
    /// More than half of its limits is used: too little for a second attempt beside a slow one.
    case halfUsed
    /// Calls of better rank wait for it.
    case waiters
    /// The model group's budget of retries, or of hedges, is used up.
    case retryBudget
    /// No deployment of the model group has lately answered in the time that is left.
    case time
    /// Another one ranks before it.
    case notFirst
}

/// How one deployment was chosen, or none was.
public struct Decision: Sendable, Equatable {
    public struct Candidate: Sendable, Equatable {
        /// Its index in `RouterConfiguration.deployments`.
        public var deployment: Int
        public var isChosen: Bool
        /// What spoke against it; empty: nothing.
        public var obstacles: [Obstacle]
    }

    public var modelGroup: String
    /// How the choice was made among those that were open.
    public var strategy: Strategy
    /// Whether the call's session decided in the strategy's place.
    public var isBySession: Bool
    /// In the order of the configuration.
    public var candidates: [Candidate]
    /// Tokens that were to be reserved.
    public var tokens: Int
}

/// One deployment and its prospects.
public struct Candidate: Sendable, Equatable {
    /// Its index in `RouterConfiguration.deployments`.
    public var deployment: Int
    public var order: Int?
    /// What speaks against it; empty: it may be chosen.
    public var obstacles: [Obstacle]
    /// How often it would be chosen, 0 to 1, as far as is known.
    public var chance: Double
    /// Its context window when that is smaller than the call's prompt may be. It is asked all the same:
    /// only the provider knows, and what it refuses goes on to larger windows.
    public var smallWindow: Int?
}

/// One model group that a call may go to.
public struct GroupExplanation: Sendable, Equatable {
    public var modelGroup: String
    public var strategy: Strategy
    /// In the order in which they are looked at: the lowest `order` first.
    public var candidates: [Candidate]
    /// Model groups tried when the prompt is too long, and when a content policy refused.
    public var contextWindowFallbacks: [String]
    public var contentPolicyFallbacks: [String]
}

/// Draws by which chances are estimated.
private let draws = 10_000

extension Router {
    /// The asked model group, then the fallbacks in the order in which they would be tried.
    public func explain(_ call: CallTraits, now: Instant) -> [GroupExplanation] {
        let asked = target(call.modelGroup)
        var plan: [Target] = []
        var frontier = 0
        var explanations = [explain(asked, call, now)]
        while !call.disableFallbacks {
            let here = frontier == 0 ? asked : plan[frontier - 1]
            let own = frontier == 0 ? call.fallbacks.map(target(of:)) : []
            let next = !call.fallbacks.isEmpty ? own : fallbacks.targets(of: here.modelGroup, .general)
            plan.insert(contentsOf: next.filter { $0 != asked && !plan.contains($0) }, at: frontier)
            if frontier >= min(plan.count, configuration.maxFallbacks) { break }
            frontier += 1
            explanations.append(explain(plan[frontier - 1], call, now))
        }
        return explanations
    }

    private func explain(_ target: Target, _ call: CallTraits, _ now: Instant) -> GroupExplanation {
        let group = groups[target.modelGroup]
        var request = PickRequest(
            size: call.size, isStreaming: call.isStreaming,
            timeLeft: (call.deadline ?? now + configuration.defaultDeadline) - now)
        switch target {
        case .modelGroup(_, let only), .configuredOverride(_, _, let only): request.only = only
        case .callersOverride: break
        }
        request.features = call.features
        request.matching = group.places(
            tags: configuration.enableTagFiltering ? call.tags : nil, regions: call.regions,
            features: call.features)
        func names(_ kind: FallbackKind) -> [String] {
            if call.disableFallbacks { return [] }
            return fallbacks.targets(of: target.modelGroup, kind).map { groups[$0.modelGroup].name }
        }
        return GroupExplanation(
            modelGroup: group.name, strategy: group.strategy,
            candidates: group.candidates(for: request, configuration.deployments, now: now),
            contextWindowFallbacks: names(.contextWindow), contentPolicyFallbacks: names(.contentPolicy))
    }
}

extension ModelGroup {
    /// What was decided on a request, from what was seen then.
    func decision(on request: PickRequest, from sight: Sight, now: Instant) -> Decision {
        let state = sight.state!
        let chosen = sight.chosen
        let expected = state.model.expected(request.size)
        let left = request.rank.map { state.unclaimed(request, before: $0) } ?? request
        let tier = chosen.flatMap { chosen in tiers.first { $0.contains(chosen) } }
        let candidates = terms.indices.map { place in
            var obstacles = place == chosen ? [] : obstacles(place, request, expected, state, now: now)
            if obstacles.isEmpty, place != chosen {
                if left.map({ !state.allows(place, $0) }) ?? true {
                    obstacles = [.waiters]
                } else if let tier {
                    obstacles = [tier.contains(place) ? .notFirst : .laterOrder]
                } else {
                    obstacles = [state.affords(request) ? .time : .retryBudget]
                }
            }
            return Decision.Candidate(
                deployment: terms[place].deployment, isChosen: place == chosen, obstacles: obstacles)
        }
        return Decision(
            modelGroup: name, strategy: strategy, isBySession: request.session != nil,
            candidates: candidates.sorted { $0.deployment < $1.deployment }, tokens: expected.total)
    }

    fileprivate func candidates(
        for request: PickRequest, _ deployments: [Deployment], now: Instant
    ) -> [Candidate] {
        var state = snapshot(now: now)
        let expected = state.model.expected(request.size)
        var candidates = terms.indices.map { place in
            let deployment = deployments[terms[place].deployment]
            return Candidate(
                deployment: terms[place].deployment, order: deployment.order,
                obstacles: obstacles(place, request, expected, state, now: now), chance: 0,
                smallWindow: deployment.maxInputTokens.flatMap { $0 < expected.total ? $0 : nil })
        }
        guard let open = tiers.first(where: { $0.contains { candidates[$0].obstacles.isEmpty } }) else {
            return candidates
        }
        for place in open.upperBound..<candidates.count where candidates[place].obstacles.isEmpty {
            candidates[place].obstacles.append(.laterOrder)
        }
        var random = RandomSource(seed: 1)
        for _ in 0..<draws {
            let choice = state.choose(
                from: open, of: self, for: request, expected, now: now, random: &random)
            if let choice { candidates[choice].chance += 1 / Double(draws) }
        }
        return candidates
    }
}

extension ModelGroup {
    /// Whatever `isOpen` looks at, said in words.
    fileprivate func obstacles(
        _ place: Int, _ request: PickRequest, _ expected: ExpectedTokens, _ state: State, now: Instant
    ) -> [Obstacle] {
        let (slot, tokens) = (state.slots[place], expected.total)
        var found: [Obstacle] = []
        if let only = request.only, only != place { found.append(.notAsked) }
        let missing = request.features.intersection(lacking[place])
        if !missing.isEmpty {
            found.append(.features(missing))
        } else if request.continuesText, !terms[place].continuesText {
            found.append(.doesNotContinue)
        } else if let matching = request.matching, !matching[place] {
            found.append(.tags)
        }
        if request.excluded.contains(place) { found.append(.tried) }
        if let bound = request.windowAbove, state.windows[place] <= bound {
            found.append(.window(state.windows[place]))
        }
        if request.budgetUse == .takesHedge, !slot.isHalfFree { found.append(.halfUsed) }
        for slot in [slot, state.whole] {
            if tokens > slot.tokensLimit &- slot.tokensCounted {
                found.append(.tokens(limit: slot.tokensLimit, counted: slot.tokensCounted))
            }
            if slot.requestsCounted >= slot.requestsLimit {
                found.append(.requests(limit: slot.requestsLimit))
            }
            if slot.inFlight >= slot.inFlightLimit {
                found.append(.parallelRequests(limit: slot.inFlightLimit))
            }
        }
        for allowance in [state.tokenAllowances[place], state.requestAllowances[place]]
        where allowance.left < (allowance == state.tokenAllowances[place] ? tokens : 1) {
            found.append(.provider(until: allowance.until))
        }
        let cost = terms[place].prices.billionths(of: expected.usage)
        if let opensAt = terms[place].purses.opens(for: cost, now: now) {
            found.append(.budget(until: opensAt))
        }
        if slot.coolingUntil > now, !state.health[place].isIgnored(by: request, now) {
            found.append(.cooldown(until: slot.coolingUntil, state.health[place].cause))
        }
        return found
    }
}

extension Strategy {
    /// Which deployment it chooses, as the end of a sentence.
    public var rule: String {
        switch self {
        case .usageBased: "the one with the least tokens used or reserved in this minute"
        case .simpleShuffle: "one at random by weight, else rpm, else tpm"
        case .leastBusy: "the one with the fewest calls under way"
        case .latencyBased: "the one that answers fastest; one that was never asked comes first"
        case .powerOfTwo: "the less busy of two at random, calls under way weighted by latency"
        case .headroom: "the one with the largest share of its tpm and rpm left"
        case .costBased: "the one whose tokens cost least; one of unknown price comes last"
        }
    }
}

extension Decision {
    /// Why a deployment was chosen or passed over, for a person to read.
    public func reason(for candidate: Candidate) -> String {
        if !candidate.isChosen {
            return candidate.obstacles.map { $0.description(tokens: tokens) }.joined(separator: "; ")
        }
        return isBySession ? "the session's, as long as it is not far busier than the others" : strategy.rule
    }
}

extension Obstacle {
    /// The obstacle as half a sentence about a deployment.
    ///
    /// - Parameter tokens: what the call reserves.
    public func description(tokens: Int) -> String {
        switch self {
        case .notAsked: "the call names another deployment"
        case .features: "it does not take all that the call asks for"
        case .tags: "it has no tag of the call"
        case .tokens(let limit, 0): "\(tokens) tokens are more than its \(limit) a minute"
        case .tokens(let limit, let counted): "\(counted) of its \(limit) tokens a minute are taken"
        case .requests(1): "its 1 request a minute is used up"
        case .requests(let limit): "its \(limit) requests a minute are used up"
        case .parallelRequests(1): "1 request at a time is under way"
        case .parallelRequests(let limit): "\(limit) requests at a time are under way"
        case .provider(let until): "its provider leaves it no more until \(until.sinceStart)"
        case .budget(let until): "a budget is spent until \(until.sinceStart)"
        case .cooldown(let until, let kind): "cools down until \(until.sinceStart) after \(kind)"
        case .laterOrder: "a deployment of lower order is open"
        case .tried: "the call has tried it"
        case .window(0): "its context window is not known to be larger"
        case .window(let size): "its context window of \(size) tokens is not larger"
        case .doesNotContinue: "it does not go on with another's text"
        case .halfUsed: "more than half of its limits is used, too much for a second attempt"
        case .waiters: "calls of better rank wait for it"
        case .retryBudget: "the model group's budget is used up"
        case .time: "no deployment of the model group has lately answered in the time that is left"
        case .notFirst: "open, but another one ranks before it"
        }
    }
}
