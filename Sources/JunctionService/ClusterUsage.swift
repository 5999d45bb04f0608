// What all instances together have used of their limits, read from Redis once: for `junction usage`.
import JunctionConfig
import JunctionOutbound
import JunctionRouting
import JunctionTransport

/// One model group's usage, over all instances.
public struct GroupUsage: Sendable, Encodable {
    public struct Instance: Sendable, Encodable {
        public var name: String
        /// Since it was last heard.
        public var silentMilliseconds: Int
    }

    public struct Deployment: Sendable, Encodable {
        public var id: String
        public var tokens: Int
        public var tokensLimit: Int?
        public var requests: Int
        public var requestsLimit: Int?
        /// Nil: not counted, since it has no limit.
        public var parallel: Int?
        public var parallelLimit: Int?
        public var dollarsSpent: Double?
        public var dollarsLimit: Double?
        public var coolingMilliseconds: Int?
        public var coolingCause: String?
    }

    public var modelGroup: String
    public var instances: [Instance]
    public var deployments: [Deployment]
}

/// Why there is nothing to read.
public struct UsageFailure: Error, Sendable {
    /// For a person; holds no password.
    public var message: String
}

/// Asks the Redis of a configuration what its model groups have used. Blocks until it has answered.
public func clusterUsage(of configuration: ServerConfiguration) throws(UsageFailure) -> [GroupUsage] {
    guard let shared = configuration.sharedUsage else {
        throw UsageFailure(
            message: "No usage is shared: router_settings has neither redis_host nor redis_url.")
    }
    let reader = UsageReader(configuration.router, shared)
    reader.loop.run()
    switch reader.outcome {
    case .success(let groups): return groups
    case .failure(let failure): throw failure
    }
}

private final class UsageReader {
    let loop = EventLoop()
    private(set) var outcome: Result<[GroupUsage], UsageFailure> = .success([])
    private let client: RedisClient
    private let store: RedisUsageStore
    private let routing: RouterConfiguration
    private var names: [String] = []
    private var groups: [GroupUsage] = []
    private var hasEnded = false

    init(_ routing: RouterConfiguration, _ shared: SharedUsageConfiguration) {
        self.routing = routing
        for deployment in routing.deployments where !names.contains(deployment.modelGroup) {
            names.append(deployment.modelGroup)
        }
        var options = RedisOptions(shared.redis)
        // A person waits, not a call.
        options.timeout = max(options.timeout, .seconds(5))
        options.connectTimeout = .seconds(5)
        client = RedisClient(loop: loop, options: options) { 0 }
        store = RedisUsageStore(client: client, namespace: shared.redis.namespace)
        client.onStateChange = { [unowned self] state in
            switch state {
            case .ready: lookAtNext()
            case .unavailable(let failure):
                end(.failure(UsageFailure(message: "Redis does not answer: \(failure.message)")))
            case .connecting, .closed: break
            }
        }
    }

    private func lookAtNext() {
        guard let name = names.first else { return end(.success(groups)) }
        names.removeFirst()
        let limits = routing.modelGroupLimits[name] ?? Limits()
        var rows = routing.deployments.filter { $0.modelGroup == name }.map {
            SharedRow(name: $0.id, $0.limits)
        }
        if limits != Limits() { rows.append(SharedRow(name: "", limits)) }
        store.look(name, rows) { [unowned self] answer in
            switch answer {
            case .content(let view):
                groups.append(GroupUsage(modelGroup: name, view))
                lookAtNext()
            case .unavailable(let reason):
                end(.failure(UsageFailure(message: "Redis does not answer: \(reason)")))
            case .unknownMember: preconditionFailure("who only looks is no member")
            }
        }
    }

    private func end(_ outcome: Result<[GroupUsage], UsageFailure>) {
        guard !hasEnded else { return }
        hasEnded = true
        self.outcome = outcome
        client.close()
        loop.stop()
    }
}

extension GroupUsage {
    fileprivate init(modelGroup: String, _ view: SharedView) {
        self.modelGroup = modelGroup
        instances = view.members.map {
            Instance(name: $0.name, silentMilliseconds: Int($0.silentFor / .milliseconds(1)))
        }
        deployments = view.rows.map { its in
            let row = its.row
            return Deployment(
                id: row.name, tokens: its.used.tokens, tokensLimit: row.tokensLimit,
                requests: its.used.requests, requestsLimit: row.requestsLimit,
                parallel: row.parallelLimit == nil ? nil : its.used.parallel,
                parallelLimit: row.parallelLimit,
                dollarsSpent: row.budget == nil ? nil : Double(its.spent) * 1e-9,
                dollarsLimit: row.budget.map { Double($0.limit) * 1e-9 },
                coolingMilliseconds: its.cooldown.map { Int($0.left / .milliseconds(1)) },
                coolingCause: its.cooldown.map { "\($0.cause)" })
        }
    }
}
