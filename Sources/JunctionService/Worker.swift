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
    /// Memory for one piece of a stream at a time.
    let scratch = Arena()
    let writer: BodyWriter
    var random: RandomSource
    private let origin: ContinuousClock.Instant
    private let json = JSONReader()
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
        client = HTTPClient(loop: loop)
        server = configuration.server
        deployments = configuration.deployments
        writer = BodyWriter(json: json)
        random = RandomSource(seed: seed)
        var targets: [ProviderTarget] = []
        for deployment in deployments {
            targets.append(try ProviderTarget(deployment, server: configuration.server))
        }
        self.targets = targets
    }

    /// The time as the routing core counts it.
    var now: Instant { instant(loop.now) }

    func instant(_ time: ContinuousClock.Instant) -> Instant { Instant(time - origin) }

    func takeAttempt() -> AttemptInFlight {
        idleAttempts.popLast() ?? AttemptInFlight(worker: self, json: json)
    }

    func giveBack(_ attempt: AttemptInFlight) {
        if idleAttempts.count < Worker.idleAttemptsMax { idleAttempts.append(attempt) }
    }
}
