// The process that serves: one loop a thread, each with a worker and a listener of its own on the same port;
// its start, and its end without a lost call.
import Dispatch
import Glibc
import JunctionConfig
import JunctionRPC
import JunctionRouting
import JunctionTransport
import Synchronization

public let junctionVersion = "0.1.0"

/// Serves a configuration. Started once.
public final class Server: Sendable {
    private let configuration: ServerConfiguration
    private let router: Router
    private let origin = ContinuousClock.now
    private let threads = Mutex<[LoopThread]>([])

    public init(_ configuration: ServerConfiguration) {
        self.configuration = configuration
        var routing = configuration.router
        routing.sharing = configuration.sharedUsage.map { shared in
            Sharing(
                mode: shared.mode == .exact ? .exact : .leased, name: instanceName(),
                failsClosed: shared.failClosed)
        }
        router = Router(routing)
    }

    /// Listens on every loop.
    ///
    /// - Returns: `HOST:PORT` for calls and, where it is configured, for metrics, with the port that the
    ///   system chose where 0 is configured.
    /// - Throws: `SystemError` when it cannot listen, `TargetError` when a deployment cannot be called as it
    ///   is configured.
    public func start() throws -> (calls: String, metrics: String?) {
        raiseDescriptorLimit()
        do {
            var address: SocketAddress?
            var workers: [LoopReference<Worker>] = []
            for index in 0..<(configuration.server.threads ?? usableCores()) {
                let thread = LoopThread(name: "junction-\(index)") { _ in }
                threads.withLock { $0.append(thread) }
                let share = try startShare(on: thread.loop, port: address?.port)
                address = share.address
                workers.append(share.worker)
            }
            return (address?.description ?? "", try startMetrics(of: workers)?.description)
        } catch {
            for thread in threads.withLock({ $0 }) { thread.loop.stop() }
            waitUntilStopped()
            throw error
        }
    }

    /// Returns when the process was told to stop and every loop has ended.
    public func waitUntilStopped() {
        for thread in threads.withLock({ $0 }) { thread.join() }
    }

    /// - Parameter port: the port that other loops listen on already; nil: this loop is the first.
    private func startShare(
        on loop: EventLoop, port: Int?
    ) throws -> (address: SocketAddress, worker: LoopReference<Worker>) {
        try perform(on: loop) { [configuration, router, origin] in
            let share = try Share(
                loop: loop, configuration: configuration, router: router, origin: origin, port: port)
            loop.keep(share)
            return (share.address, LoopReference(share.worker, on: loop))
        }
    }

    private func startMetrics(of workers: [LoopReference<Worker>]) throws -> SocketAddress? {
        guard let port = configuration.server.metricsPort, let first = threads.withLock({ $0.first }) else {
            return nil
        }
        return try perform(on: first.loop) { [configuration, router, origin] in
            let page = try MetricsPage(
                loop: first.loop, host: configuration.server.host, port: port, router: router,
                configuration: configuration, origin: origin, workers: workers)
            first.loop.keep(page)
            return page.address
        }
    }

    /// Runs `job` on a loop and waits for it.
    private func perform<Outcome: Sendable>(
        on loop: EventLoop, _ job: @escaping @Sendable () throws -> Outcome
    ) throws -> Outcome {
        let outcome = Mutex<Result<Outcome, any Error>?>(nil)
        let done = DispatchSemaphore(value: 0)
        loop.submit {
            let result = Result { try job() }
            outcome.withLock { $0 = result }
            done.signal()
        }
        done.wait()
        return try outcome.withLock { $0! }.get()
    }
}

/// What the other instances know this one by: where it runs, and a number, since a process id comes again.
private func instanceName() -> String {
    let line = (try? readFile("/proc/sys/kernel/hostname")) ?? Array("host".utf8)
    let host = String(decoding: line.prefix { $0 > UInt8(ascii: " ") }, as: UTF8.self)
    let number = UInt32.random(in: 0...UInt32.max)
    return "\(host)-\(getpid())-\(String(number, radix: 16))"
}

/// What one loop serves with. Confined to it.
private final class Share {
    private let loop: EventLoop
    private let server: RPCServer
    let worker: Worker
    private let grace: Duration
    private var listener: Listener?
    /// Of the first loop, where limits are shared.
    private var exchange: UsageExchange?
    private var signals: [SignalWatch] = []
    private var isEnding = false
    let address: SocketAddress

    init(
        loop: EventLoop, configuration: ServerConfiguration, router: Router, origin: ContinuousClock.Instant,
        port: Int?
    ) throws {
        var random = SystemRandomNumberGenerator()
        let worker = try Worker(
            loop: loop, configuration: configuration, router: router, origin: origin, seed: random.next())
        var registry = ServiceRegistry()
        registry.register(RouterService(worker: worker))
        let server = RPCServer(
            registry: registry, loop: loop, messageBytesMax: configuration.server.messageBytesMax)
        let listener = try Listener(
            loop: loop, host: configuration.server.host, port: port ?? configuration.server.port,
            claimsPort: port == nil
        ) { server.accept($0) }
        self.loop = loop
        self.server = server
        self.worker = worker
        self.listener = listener
        grace = configuration.server.drainGrace
        address = listener.localAddress
        if port == nil, let store = worker.store {
            exchange = UsageExchange(router: router, store: store, loop: loop, now: { worker.now }) { news in
                try? writeStandardError("junction: \(news)\n")
            }
        }
        signals = [SIGTERM, SIGINT].map { signal in loop.onSignal(signal) { [unowned self] in told() } }
    }

    /// The first signal lets the calls under way end, the second does not wait for them.
    private func told() {
        if isEnding { return end() }
        isEnding = true
        listener?.close()
        listener = nil
        server.drain(within: grace) { [unowned self] in end() }
    }

    private func end() {
        for signal in signals { signal.close() }
        guard let exchange else { return loop.stop() }
        exchange.leave { [loop] in loop.stop() }
        self.exchange = nil
    }
}
