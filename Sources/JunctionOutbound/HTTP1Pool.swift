// The HTTP/1.1 connections to one host: which request goes over which, when another is made, and who waits.
// Knows neither bytes nor sockets.
import JunctionTransport

/// Connections to one host, with those that wait for one. Confined to its client's loop.
final class HTTP1Pool {
    /// Connections being made at once: calls that come while many are wait for one of them, or for one that
    /// another call gives back. Each being made for every call that waits would be the end of a provider, or
    /// of this process, that is slow already.
    private static let makingMax = 64
    private static let idleMax = 4096
    /// How long a connection is kept without a call; providers close theirs after a minute or more.
    private static let idleTimeout = Duration.seconds(60)

    /// It outlives its pools' use.
    unowned(unsafe) let client: HTTPClient
    private let connectionsMax: Int
    /// The one used last is used next: those at the front may go.
    @exclusivity(unchecked) private var idle: [HTTP1Connection] = []
    @exclusivity(unchecked) private var open: [ObjectIdentifier: HTTP1Connection] = [:]
    @exclusivity(unchecked) private var making = 0
    @exclusivity(unchecked) private var waiting: [HTTP1Transfer] = []
    /// Places of `waiting` whose transfers were given a connection or withdrew.
    @exclusivity(unchecked) private var waitingFirst = 0
    @exclusivity(unchecked) private var withdrawn = 0
    @exclusivity(unchecked) private var sweep: Timer?
    @exclusivity(unchecked) private(set) var hasEnded = false
    /// Whether the client looks at it at the end of the turn.
    @exclusivity(unchecked) var isQueued = false

    init(client: HTTPClient, connectionsMax: Int) {
        self.client = client
        self.connectionsMax = connectionsMax
    }

    /// Ends everything without a word.
    func end() {
        hasEnded = true
        sweep?.invalidate()
        for transfer in waiting where !transfer.isOver { transfer.abandon() }
        waiting = []
        for connection in open.values {
            let transfer = connection.transfer
            connection.dropTransfer()
            transfer?.connection = nil
            transfer?.abandon()
        }
    }

    var connectionsOpen: Int { open.count }
    var isBusy: Bool { waitingCount > 0 || making > 0 || idle.count < open.count }

    private var waitingCount: Int { waiting.count - waitingFirst - withdrawn }

    // MARK: Requests

    /// Sends it over a connection that is free, or has it wait for one. Its handler is told nothing from
    /// within.
    func carry(_ transfer: HTTP1Transfer) {
        if let connection = idle.popLast() {
            connection.idleSince = nil
            return connection.carry(transfer)
        }
        waiting.append(transfer)
        // Not before the end of the turn: answers that are there already free connections.
        client.attend(self)
    }

    /// One that waits is over.
    func withdraw(_ transfer: HTTP1Transfer) {
        withdrawn += 1
        if withdrawn > 64 && withdrawn > waitingCount {
            waiting = waiting[waitingFirst...].filter { !$0.isOver && !$0.isCancelled }
            waitingFirst = 0
            withdrawn = 0
        }
    }

    private func nextWaiting() -> HTTP1Transfer? {
        while waitingFirst < waiting.count {
            let transfer = waiting[waitingFirst]
            waitingFirst += 1
            if waitingFirst == waiting.count {
                waiting.removeAll(keepingCapacity: waiting.count < 1024)
                waitingFirst = 0
            } else if waitingFirst > 1024 && waitingFirst > waiting.count / 2 {
                waiting.removeFirst(waitingFirst)
                waitingFirst = 0
            }
            if !transfer.isOver && !transfer.isCancelled { return transfer }
            withdrawn -= 1
        }
        return nil
    }

    // MARK: Connections

    /// It can carry another request.
    func becameFree(_ connection: HTTP1Connection) {
        if let transfer = nextWaiting() { return connection.carry(transfer) }
        if idle.count >= HTTP1Pool.idleMax { return connection.close() }
        connection.idleSince = client.loop.now
        idle.append(connection)
        if sweep == nil { scheduleSweep() }
    }

    func closed(_ connection: HTTP1Connection) {
        open[ObjectIdentifier(connection)] = nil
        if connection.idleSince != nil { idle.removeAll { $0 === connection } }
        if waitingCount > 0 { client.attend(self) }
    }

    /// At the end of a turn: makes connections for those that still wait.
    func serve() {
        let wanted = waitingCount - making
        let allowed = min(HTTP1Pool.makingMax - making, connectionsMax - open.count - making)
        guard min(wanted, allowed) > 0, let first = waiting[waitingFirst...].first(where: { !$0.isOver })
        else { return }
        for _ in 0..<min(wanted, allowed) { make(like: first.endpoint) }
    }

    private func make(like endpoint: HTTPEndpoint) {
        making += 1
        // Neither the pool nor the connector outlives the client.
        client.connector.connect(to: endpoint.address, options: endpoint.options) { [unowned self] result in
            making -= 1
            switch result {
            case .success(let line):
                let connection = HTTP1Connection(pool: self, line: line, loop: client.loop)
                open[ObjectIdentifier(connection)] = connection
                becameFree(connection)
                if waitingCount > making { client.attend(self) }
            case .failure(let failure): fail(with: failure)
            }
        }
    }

    /// A connection could not be made: the share of those waiting that hoped for it fails with it.
    private func fail(with failure: HTTPFailure) {
        var share = max(1, waitingCount / (open.count + making + 1))
        while share > 0, let transfer = nextWaiting() {
            share -= 1
            transfer.end(.failed(failure))
        }
        if waitingCount > 0 { client.attend(self) }
    }

    private func scheduleSweep() {
        sweep = client.loop.schedule(after: HTTP1Pool.idleTimeout / 2) { [unowned self] in
            sweep = nil
            let oldest = client.loop.now - HTTP1Pool.idleTimeout
            for connection in idle.prefix(while: { $0.idleSince! <= oldest }) { connection.close() }
            if !idle.isEmpty { scheduleSweep() }
        }
    }
}
