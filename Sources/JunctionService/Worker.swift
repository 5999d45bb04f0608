// What one event loop needs to serve calls, made once: the targets of all deployments with their connections,
// scratch memory, a random source. Shares nothing with other workers but the `Router`.
import JunctionConfig
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import JunctionTransport

/// One loop's share of the service. Confined to that loop.
final class Worker {
    let loop: EventLoop
    let router: Router
    let client: HTTPClient
    let server: ServerConfiguration.Server
    let deployments: [DeploymentConfiguration]
    /// A target a deployment, by the deployment's index in the routing core.
    let targets: [ProviderTarget]
    /// Targets made for the names that callers have put in the place of a star, by deployment and name.
    private var wildcardTargets: [WildcardName: ProviderTarget] = [:]
    private static let wildcardTargetsMax = 256
    /// Memory for one piece of a stream at a time.
    let scratch = Arena()
    let writer: BodyWriter
    /// Where limits are kept that instances share; nil: this instance is alone.
    let store: RedisUsageStore?
    var random: RandomSource
    /// What this loop's calls were and came to.
    var tally: Tally
    private let origin: ContinuousClock.Instant
    private let json = JSONReader()
    private var tokenSources: [EntraSettings: TokenSource] = [:]
    private var idleAttempts: [AttemptInFlight] = []
    private static let idleAttemptsMax = 256

    /// - Parameter origin: the moment that the routing core counts from; earlier than any call, and the same
    ///   for all workers of a router.
    init(
        loop: EventLoop, configuration: ServerConfiguration, router: Router, origin: ContinuousClock.Instant,
        seed: UInt64
    ) throws(TargetError) {
        self.origin = origin
        self.loop = loop
        self.router = router
        client = HTTPClient(loop: loop, connectionsMax: configuration.server.connectionsPerHostMax)
        server = configuration.server
        deployments = configuration.deployments
        writer = BodyWriter(json: json)
        random = RandomSource(seed: seed)
        tally = Tally(modelGroups: router.modelGroupCount, deployments: deployments.count)
        var targets: [ProviderTarget] = []
        for deployment in deployments {
            targets.append(try ProviderTarget(deployment, server: configuration.server))
        }
        self.targets = targets
        store = configuration.sharedUsage.map { shared in
            var random = RandomSource(seed: ~seed)
            let client = RedisClient(loop: loop, options: RedisOptions(shared.redis)) { random.fraction() }
            return RedisUsageStore(client: client, namespace: shared.redis.namespace)
        }
    }

    /// The target of a deployment for a call that asks for `name`.
    func target(_ deployment: Int, askedFor name: Text) -> ProviderTarget {
        let template = targets[deployment]
        if !template.isTemplate { return template }
        let name = String(name)
        let key = WildcardName(deployment: deployment, text: router.wildcardText(in: name) ?? name)
        if let target = wildcardTargets[key] { return target }
        var configuration = deployments[deployment]
        configuration.fill(star: key.text)
        if configuration.prices == TokenPrices() {
            let facts = ModelFacts.of(model: configuration.model, provider: configuration.provider.name)
            configuration.prices = facts?.prices ?? TokenPrices()
        }
        let made = try? ProviderTarget(configuration, server: server, template: template)
        if wildcardTargets.count >= Self.wildcardTargetsMax { wildcardTargets.removeAll() }
        wildcardTargets[key] = made
        return made ?? template
    }

    /// The time as the routing core counts it.
    var now: Instant { instant(loop.now) }

    func instant(_ time: ContinuousClock.Instant) -> Instant { Instant(time - origin) }

    /// One source for all deployments that sign in as the same client.
    func tokens(of entra: EntraSettings) throws(HTTPFailure) -> TokenSource {
        if let source = tokenSources[entra] { return source }
        let source = try TokenSource(entra, server: server, loop: loop, client: client)
        tokenSources[entra] = source
        return source
    }

    func takeAttempt() -> AttemptInFlight {
        idleAttempts.popLast() ?? AttemptInFlight(worker: self, json: json)
    }

    func giveBack(_ attempt: AttemptInFlight) {
        if idleAttempts.count < Worker.idleAttemptsMax { idleAttempts.append(attempt) }
    }
}

/// A deployment whose model has a star, and what stands in its place.
private struct WildcardName: Hashable {
    let deployment: Int
    let text: String
}
