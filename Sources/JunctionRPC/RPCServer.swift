// The server of one event loop: its connections, and what their calls share.
import JunctionProtobuf
public import JunctionTransport

/// Serves the methods of a registry on the connections it is given. Confined to its loop.
public final class RPCServer {
    let registry: ServiceRegistry
    let loop: EventLoop
    let messageBytesMax: Int
    /// Memory for one message of a stream of requests at a time.
    let scratch = Arena()
    private let limits: HTTP2Limits
    private var connections: [ObjectIdentifier: HTTP2Connection] = [:]
    @exclusivity(unchecked) private var idleArenas: [Arena] = []
    private var whenDrained: (() -> Void)?
    private static let idleArenasMax = 256

    /// - Parameter messageBytesMax: a longer message ends its call with RESOURCE_EXHAUSTED.
    public init(
        registry: ServiceRegistry, loop: EventLoop, limits: HTTP2Limits = HTTP2Limits(),
        messageBytesMax: Int = 4 * 1024 * 1024
    ) {
        self.registry = registry
        self.loop = loop
        self.limits = limits
        self.messageBytesMax = messageBytesMax
    }

    /// Calls whose streams are open.
    @exclusivity(unchecked) public internal(set) var callsUnderWay = 0

    /// Those of them that nothing was answered to.
    @exclusivity(unchecked) var callsWaiting = 0

    /// More calls may wait, as in a burst, unless the loop has been busy at every moment for a while.
    var callsWaitingMax = 8192
    var busyTimeMax: Int64 = 2_000_000_000

    /// Whether further calls are to be refused: each would wait so long that it is in vain, and with it those
    /// behind it.
    var isOverloaded: Bool {
        callsWaiting > callsWaitingMax && loop.busyTime > busyTimeMax
    }

    /// Connections that are open.
    public var connectionCount: Int { connections.count }

    /// Serves the peer behind a connected socket, which belongs to the server from here on.
    public func accept(_ descriptor: Int32) {
        let connection = HTTP2Connection.serve(descriptor: descriptor, loop: loop, limits: limits) { stream in
            ServerStream(stream, of: self)
        }
        let key = ObjectIdentifier(connection)
        connections[key] = connection
        connection.onClosed = { [unowned self] in
            connections[key] = nil
            reportIfDrained()
        }
    }

    /// Takes no new calls, lets those under way end, and cuts off what is left after `patience`.
    ///
    /// - Parameter completion: called once, when no connection is left.
    public func drain(within patience: Duration, completion: @escaping () -> Void) {
        whenDrained = completion
        for connection in connections.values { connection.drain() }
        _ = loop.schedule(after: patience) { [weak self] in
            for connection in self?.connections.values ?? [:].values { connection.close() }
        }
        reportIfDrained()
    }

    private func reportIfDrained() {
        guard connections.isEmpty, let whenDrained else { return }
        self.whenDrained = nil
        whenDrained()
    }

    func takeArena() -> Arena { idleArenas.popLast() ?? Arena() }

    func giveBack(_ arena: Arena) {
        guard idleArenas.count < RPCServer.idleArenasMax else { return }
        arena.reset()
        idleArenas.append(arena)
    }
}
