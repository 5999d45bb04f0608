// The connection behind a channel: made with the first call, made again after it is lost; and the calls on
// it.
import JunctionProtobuf
import JunctionTransport
import Synchronization

/// Gives each call a connection. Confined to its loop, except what is said otherwise.
final class ChannelConnection: @unchecked Sendable {
    let loop: EventLoop
    /// Memory for one message at a time.
    let scratch = Arena()
    private let host: String
    private let port: Int

    private enum State {
        case idle
        case connecting(waiting: [ClientStream])
        case connected(HTTP2Connection)
    }
    private var state = State.idle
    /// Every call that is not over, so that it lives until it is.
    private var calls: [ObjectIdentifier: ClientStream] = [:]
    /// Open connections: the one in use, and older ones that finish their calls.
    private var open: [ObjectIdentifier: HTTP2Connection] = [:]
    private var isShuttingDown = false
    private let isShutDown = Mutex(false)

    init(loop: EventLoop, host: String, port: Int) {
        self.loop = loop
        self.host = host
        self.port = port
    }

    // MARK: From any thread

    /// Runs `job` on the loop; false when the channel was shut down: then it never runs.
    @discardableResult
    func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
        isShutDown.withLock { isShutDown in
            if !isShutDown { loop.submit(job) }
            return !isShutDown
        }
    }

    /// Runs `job` on the loop as the last one; false when there was a last one already.
    func submitLast(_ job: @escaping @Sendable () -> Void) -> Bool {
        isShutDown.withLock { isShutDown in
            if isShutDown { return false }
            isShutDown = true
            loop.submit(job)
            return true
        }
    }

    // MARK: Calls

    /// Begins the call on the connection, now or when there is one.
    func place(_ call: ClientStream) {
        calls[ObjectIdentifier(call)] = call
        switch state {
        case .connected(let connection) where connection.canOpenStreams: call.begin(on: connection)
        case .connecting(let waiting): state = .connecting(waiting: waiting + [call])
        case .idle, .connected:
            state = .connecting(waiting: [call])
            connect()
        }
    }

    func forget(_ call: ClientStream) { calls[ObjectIdentifier(call)] = nil }

    private func connect() {
        HTTP2Connection.connect(host: host, port: port, loop: loop) { result in
            guard case .connecting(let waiting) = self.state else {
                if case .success(let late) = result { late.close() }
                return
            }
            switch result {
            case .success(let connection):
                self.use(connection)
                for call in waiting { call.begin(on: connection) }
            case .failure(let error):
                self.state = .idle
                for call in waiting { call.couldNotBegin(Status(.unavailable, error.description)) }
            }
        }
    }

    private func use(_ connection: HTTP2Connection) {
        state = .connected(connection)
        open[ObjectIdentifier(connection)] = connection
        connection.onClosed = { [unowned connection] in self.closed(connection) }
    }

    private func closed(_ connection: HTTP2Connection) {
        open[ObjectIdentifier(connection)] = nil
        if case .connected(let current) = state, current === connection { state = .idle }
        if isShuttingDown && open.isEmpty { loop.stop() }
    }

    /// Ends everything; the loop stops when the connections are closed.
    func shutDown() {
        isShuttingDown = true
        state = .idle
        for call in calls.values { call.cancel(Status(.cancelled, "the client was shut down")) }
        for connection in open.values { connection.close() }
        if open.isEmpty { loop.stop() }
    }
}
