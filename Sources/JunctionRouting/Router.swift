// The model groups of a configuration and the names they answer to. Every loop of the process calls one
// Router; all it shares is behind the lock of each model group.

/// Counters of one deployment, at one moment.
public struct DeploymentUsage: Sendable, Equatable {
    /// Its index in `RouterConfiguration.deployments`.
    public var deployment: Int
    /// Tokens used in the current minute by calls that ended.
    public var tokensUsed: Int
    /// Tokens reserved in the current minute by calls under way.
    public var tokensReserved: Int
    /// Requests started in the current minute.
    public var requests: Int
    /// Requests under way.
    public var inFlight: Int
    /// Tokens reserved by all requests under way, whatever minute they started in.
    public var tokensOutstanding: Int
    /// The end of its cooldown; nil: it is not cooling down.
    public var coolingUntil: Instant?
    /// The failure that it cools down for; nil: it is not cooling down.
    public var coolingCause: Failure.Kind?
    /// Tokens used since the router was made.
    public var tokensInTotal: Int
    /// Requests started since the router was made.
    public var requestsInTotal: Int
    /// What instances that share limits granted this one ahead, and it has not used: others cannot.
    public var withheld = SharedAmount()
}

/// Chooses deployments for calls. Safe to use from any thread.
public final class Router: Sendable {
    let configuration: RouterConfiguration
    let groups: [ModelGroup]
    let fallbacks: FallbackTable
    /// Where each deployment stands: its model group, and its place there.
    let positions: [(group: Int, place: Int)]
    private let names: [String: Int]
    /// The most specific first.
    private let wildcards: [Wildcard]

    public init(_ configuration: RouterConfiguration) {
        self.configuration = configuration
        var members: [(name: String, deployments: [Int])] = []
        var numbers: [String: Int] = [:]
        for (index, deployment) in configuration.deployments.enumerated() {
            if let number = numbers[deployment.modelGroup] {
                members[number].deployments.append(index)
            } else {
                numbers[deployment.modelGroup] = members.count
                members.append((deployment.modelGroup, [index]))
            }
        }
        let purses = configuration.providerBudgets.mapValues(Purse.init)
        let groups = members.map {
            ModelGroup(name: $0.name, members: $0.deployments, configuration, providerPurses: purses)
        }
        var positions = [(group: Int, place: Int)](repeating: (0, 0), count: configuration.deployments.count)
        for (number, group) in groups.enumerated() {
            for (place, terms) in group.terms.enumerated() { positions[terms.deployment] = (number, place) }
        }
        var names: [String: Int] = [:]
        for (index, deployment) in configuration.deployments.enumerated() {
            names[deployment.id] = names[deployment.id] ?? groups.count + index
        }
        names.merge(numbers) { _, group in group }
        for (alias, name) in configuration.aliases {
            if let number = numbers[name] { names[alias] = number }
        }
        fallbacks = FallbackTable(configuration, groupNames: groups.map(\.name)) { name in
            names[name].map { Self.target($0, groupCount: groups.count, positions) }
        }
        wildcards = groups.enumerated().compactMap { Wildcard($1.name, modelGroup: $0) }
            .sorted(by: Wildcard.isMoreSpecific)
        self.groups = groups
        self.positions = positions
        self.names = names
    }

    /// The number of the model group that a caller means by a name: its own, an alias, or the id of one of
    /// its deployments (then only that one is used); else that of the most specific name with a star that
    /// the name fits. nil: nothing has that name.
    public func modelGroup(named name: String) -> Int? {
        names[name] ?? wildcards.first { $0.text(in: name) != nil }?.modelGroup
    }

    /// What the star stands for in a name that fits only a model group with a star; nil: it is another name.
    public func wildcardText(in name: String) -> String? {
        if names[name] != nil { return nil }
        for wildcard in wildcards {
            if let text = wildcard.text(in: name) { return text }
        }
        return nil
    }

    /// The name of a model group, for `CallTraits.modelGroup` and `AttemptReport.modelGroup` alike.
    public func name(ofModelGroup number: Int) -> String {
        groups[target(number).modelGroup].name
    }

    /// Most time for an attempt, as configured for the deployment, else for all.
    func timeLimit(_ deployment: Int?, isStreaming: Bool) -> Duration {
        if let deployment {
            let own = configuration.deployments[deployment].timeout
            if isStreaming, let first = configuration.deployments[deployment].streamTimeout ?? own {
                return first
            }
            if !isStreaming, let own { return own }
        }
        return isStreaming ? configuration.streamTimeout ?? configuration.timeout : configuration.timeout
    }

    /// Whether a stream of the call that breaks off may go on at another deployment.
    public func rescues(_ call: CallTraits) -> Bool {
        call.isStreaming && call.rescuesStream ?? configuration.rescuesStreams
    }

    /// Whether the call may wait in a queue, so that it has to be woken.
    public func queues(_ call: CallTraits) -> Bool {
        call.queueTimeout ?? configuration.queueTimeout > .zero
    }

    /// The model group of a deployment, by their numbers.
    public func modelGroup(ofDeployment deployment: Int) -> Int { positions[deployment].group }

    /// The model group that a number of `modelGroup(named:)` means, be it by one of its deployments.
    public func modelGroup(meantBy number: Int) -> Int { target(number).modelGroup }

    /// Whether the limits of a model group are kept together with other instances now.
    public func isTogether(modelGroup: Int) -> Bool { groups[modelGroup].isTogether }

    /// Counters of every deployment, in the order of `RouterConfiguration.deployments`.
    public func usage(now: Instant) -> [DeploymentUsage] {
        groups.flatMap { $0.usage(now: now) }.sorted { $0.deployment < $1.deployment }
    }

    /// The provider of a deployment says, in an answer to a call with the configured key, what it leaves us.
    public func noted(_ limits: RateLimits, deployment: Int, now: Instant) {
        groups[positions[deployment].group].note(limits, from: positions[deployment].place, now: now)
    }

    // MARK: Sharing

    /// What is to be said to the usage store of a model group, by its number; nil: nothing yet.
    public func report(ofModelGroup group: Int, now: Instant) -> (SharedReport, StoreMember)? {
        groups[group].report(now: now)
    }

    /// What the store answered.
    ///
    /// - Parameter sentAt: when the report was sent.
    /// - Returns: whether limits are kept together from now on, and were not before.
    public func learn(
        _ news: SharedNews, to report: SharedReport, ofModelGroup group: Int, sentAt: Instant, now: Instant
    ) -> Bool {
        groups[group].learn(news, to: report, sentAt: sentAt, now: now)
    }

    /// The store did not answer a report, or does not know us.
    ///
    /// - Returns: whether limits were kept together before.
    public func part(fromStoreOfModelGroup group: Int, now: Instant) -> Bool {
        groups[group].part(answersReport: true, now: now)
    }

    /// The last word to the store of a model group; nil: it does not hear us.
    public func farewell(ofModelGroup group: Int) -> (SharedReport, StoreMember)? {
        groups[group].farewell()
    }

    /// How many model groups there are.
    public var modelGroupCount: Int { groups.count }

    func target(_ number: Int) -> Target { Self.target(number, groupCount: groups.count, positions) }

    func target(of fallback: FallbackTarget) -> Target {
        switch fallback {
        case .modelGroup(let number): return target(number)
        case .override(let index, let deployment, let number, usesCallersKey: true):
            return .callersOverride(
                index: index, modelGroup: target(number).modelGroup, deployment: deployment)
        case .override(let index, let deployment?, _, usesCallersKey: false):
            let position = positions[deployment]
            return .configuredOverride(index: index, modelGroup: position.group, only: position.place)
        case .override(let index, nil, let number, usesCallersKey: false):
            guard case .modelGroup(let group, let only) = target(number) else { preconditionFailure() }
            return .configuredOverride(index: index, modelGroup: group, only: only)
        }
    }

    private static func target(
        _ number: Int, groupCount: Int, _ positions: [(group: Int, place: Int)]
    ) -> Target {
        if number < groupCount { return .modelGroup(number, only: nil) }
        let position = positions[number - groupCount]
        return .modelGroup(position.group, only: position.place)
    }
}
