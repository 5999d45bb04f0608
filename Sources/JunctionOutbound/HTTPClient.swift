// Requests to providers on one event loop: over HTTP/1.1 on connections of our own, over HTTP/2 by libcurl.
// Starts, ends and resumes what asks for it in one batch a turn. Time-outs beyond connecting are its owner's.
import JunctionTransport

/// Sends requests and keeps their connections. Confined to its loop; make and drop it on the loop's thread.
/// When it goes, transfers under way end without a word.
///
/// A kept connection that turns out dead before any byte of an answer came is replaced: the request is sent
/// again on another one. A new connection that dies so is a failure, `.reset`.
public final class HTTPClient {
    /// What one read takes at most.
    private static let bufferBytes = 16 << 10

    let loop: EventLoop
    let share = CurlShare()
    /// Where connections read into: one for all, since each uses it only within one call.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 64)
    @exclusivity(unchecked) var memory = RequestMemory()
    /// Changes in what sockets are watched for, each a system call; for tests.
    @exclusivity(unchecked) var changesCount = 0
    private let connectionsMax: Int
    @exclusivity(unchecked) private(set) var connector: HTTPConnector!
    @exclusivity(unchecked) private var pools: [String: HTTP1Pool] = [:]
    @exclusivity(unchecked) private var whole: CurlTransfers?
    /// Who asked for something since the last batch.
    @exclusivity(unchecked) private var transfers: [HTTPTransfer] = []
    @exclusivity(unchecked) private var waitingPools: [HTTP1Pool] = []
    @exclusivity(unchecked) private var dueDrivers: [CurlDriver] = []

    /// - Parameter connectionsMax: connections to one host over HTTP/1.1, where each carries one call at a
    ///   time; further calls wait.
    public init(loop: EventLoop, connectionsMax: Int = 32_768) {
        self.loop = loop
        self.connectionsMax = connectionsMax
        connector = HTTPConnector(share: share) { [unowned self] in makeDriver() }
        link.client = self
        loop.beforeSleep { [link] in link.client?.endTurn() }
    }

    /// How the loop reaches the client as long as there is one. A weak reference would make each retain of
    /// the client dear.
    private final class Link {
        unowned(unsafe) var client: HTTPClient?
    }
    private let link = Link()

    deinit {
        link.client = nil
        for pool in pools.values { pool.end() }
        buffer.deallocate()
    }

    /// POSTs `body` to `endpoint`, at the latest at the end of this turn. The body is copied.
    ///
    /// - Parameter authorization: the field of that name, for this request alone; must be fit for one line.
    public func send(
        to endpoint: HTTPEndpoint, body: Span<UInt8>, authorization: String? = nil,
        handler: any HTTPHandler
    ) -> HTTPTransfer {
        var lines: [String] = []
        if let authorization { lines.append("Authorization: \(authorization)") }
        if endpoint.isSigned { lines += endpoint.signature(of: body, at: loop.secondsSince1970) }
        if endpoint.mayMultiplex {
            return transfersByCurl.send(to: endpoint, lines: lines, body: body, handler: handler)
        }
        let pool = pool(for: endpoint)
        let transfer = HTTP1Transfer(
            pool: pool, endpoint: endpoint, lines: lines, body: body, handler: handler)
        pool.carry(transfer)
        return transfer
    }

    private func pool(for endpoint: HTTPEndpoint) -> HTTP1Pool {
        if let pool = endpoint.pool, !pool.hasEnded, pool.client === self { return pool }
        let pool = pools[endpoint.origin] ?? HTTP1Pool(client: self, connectionsMax: connectionsMax)
        pools[endpoint.origin] = pool
        endpoint.pool = pool
        return pool
    }

    private var transfersByCurl: CurlTransfers {
        if let whole { return whole }
        let transfers = CurlTransfers(client: self, driver: makeDriver())
        whole = transfers
        return transfers
    }

    private func makeDriver() -> CurlDriver {
        CurlDriver(loop: loop) { [unowned self] driver in dueDrivers.append(driver) }
    }

    /// Whether any request waits or is under way.
    var isBusy: Bool { whole?.isEmpty == false || pools.values.contains { $0.isBusy } }

    /// Connections over HTTP/1.1.
    var connectionsOpen: Int { pools.values.reduce(0) { $0 + $1.connectionsOpen } }

    // MARK: The end of a turn

    /// Looks at `transfer` at the end of this turn.
    func attend(_ transfer: HTTPTransfer) {
        guard !transfer.isQueued else { return }
        transfer.isQueued = true
        transfers.append(transfer)
    }

    /// Looks at `pool` at the end of this turn.
    func attend(_ pool: HTTP1Pool) {
        guard !pool.isQueued else { return }
        pool.isQueued = true
        waitingPools.append(pool)
    }

    private func endTurn() {
        // Bounded, so that transfers that fail at once and are sent again cannot keep the loop from its
        // sockets.
        for _ in 0..<8 {
            if transfers.isEmpty && waitingPools.isEmpty && dueDrivers.isEmpty { return }
            serve()
        }
        loop.runAgain()
    }

    private func serve() {
        let (transfers, pools) = (self.transfers, waitingPools)
        self.transfers.removeAll(keepingCapacity: true)
        waitingPools.removeAll(keepingCapacity: true)
        for transfer in transfers {
            transfer.isQueued = false
            if !transfer.isOver { transfer.serve() }
        }
        for pool in pools {
            pool.isQueued = false
            pool.serve()
        }
        let drivers = dueDrivers
        dueDrivers.removeAll(keepingCapacity: true)
        for driver in drivers { driver.run() }
    }
}
