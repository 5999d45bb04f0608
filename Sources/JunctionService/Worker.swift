// Everything that one event loop needs to serve calls, made once: the provider targets with their
// connections, scratch memory, a random source. Shares nothing with other workers but the `Router`.
import JunctionConfig
import JunctionMessages
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import JunctionRPC
import JunctionTransport

/// One loop's share of the service. Confined to that loop.
final class Worker {
    let loop: EventLoop
    let router: Router
    let client: HTTPClient
    let server: ServerConfiguration.Server
    /// A target a deployment, by the deployment's index in the routing core.
    let targets: [ProviderTarget]
    /// What a route in an answer calls each deployment, by index.
    let names: [DeploymentNames]
    /// Memory for one piece of a stream at a time.
    let scratch = Arena()
    let writer = BodyWriter()
    var random: RandomSource
    private let origin: ContinuousClock.Instant
    private var idleReaders: [AnswerReader] = []

    init(loop: EventLoop, configuration: ServerConfiguration, router: Router, origin: ContinuousClock.Instant, seed: UInt64) {
        self.loop = loop
        self.router = router
        self.origin = origin
        client = HTTPClient(loop: loop)
        server = configuration.server
        random = RandomSource(seed: seed)
        targets = configuration.deployments.map { ProviderTarget($0, server: configuration.server) }
        names = configuration.deployments.map(DeploymentNames.init)
    }

    /// Time since the process started, as the routing core counts it.
    var now: Instant { Instant(loop.now - origin) }

    func takeReader() -> AnswerReader { idleReaders.popLast() ?? AnswerReader() }

    func giveBack(_ reader: AnswerReader) {
        if idleReaders.count < 256 { idleReaders.append(reader) }
    }
}
