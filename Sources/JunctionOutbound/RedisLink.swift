// Keeps one connection to a server, or to whichever server the sentinels name: connects again with growing
// pauses, and gives a connection up that answers too late too often. Knows no cluster.
import JunctionTransport

/// Whom a link tells about itself.
protocol RedisLinkOwner: AnyObject {
    func changed(_ link: RedisLink)
    func redirected(_ link: RedisLink, _ refusal: String, _ command: [UInt8], _ call: RedisCall) -> Bool
}

final class RedisLink: RedisConnectionOwner, Flushable {
    /// The least and the most that the pause before another attempt is drawn from.
    private static let firstPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(5)
    /// Silence after which the server is asked for a sign of life.
    private static let idleTime = Duration.seconds(5)
    /// Time after which the sentinels are asked whether the master is still the same.
    private static let masterCheckTime = Duration.seconds(10)

    private let loop: EventLoop
    private var setup: RedisConnection.Setup
    private let sentinels: RedisSentinels?
    private let jitter: () -> Double
    private weak var owner: (any RedisLinkOwner)?
    private(set) var state = RedisClient.State.connecting
    private(set) var connection: RedisConnection?
    private var search: RedisMasterSearch?
    /// Attempts since the last connection that proved good.
    private(set) var attempts = 0
    private var circuit = RedisCircuit()
    private var readyAt: ContinuousClock.Instant?
    private var masterCheckedAt: ContinuousClock.Instant
    private var timer: Timer?
    /// What failed in `send`, told at the end of the turn.
    private var refusals: [(RedisClient.Completion, RedisFailure)] = []

    /// - Parameter sentinels: not nil: they say which address it is, and the one of `setup` does not count.
    init(
        loop: EventLoop, setup: RedisConnection.Setup, sentinels: RedisSentinels?,
        jitter: @escaping () -> Double, owner: any RedisLinkOwner
    ) {
        self.loop = loop
        self.setup = setup
        self.sentinels = sentinels
        self.jitter = jitter
        self.owner = owner
        masterCheckedAt = loop.now
        timer = loop.schedule(after: Self.idleTime) { [unowned self] in timerFired() }
        connect()
    }

    deinit { timer?.invalidate() }

    var address: RedisAddress { setup.address }

    // MARK: Commands

    func send(_ command: borrowing RedisCommand, _ call: RedisCall) {
        switch state {
        case .ready, .connecting:
            // While sentinels are asked there is nothing yet that a command could wait at.
            if let connection, connection.send(command, call) { return }
            refuse(
                call,
                connection == nil
                    ? RedisFailure(.unavailable, "no sentinel has named the master yet")
                    : RedisFailure(.overloaded, "\(setup.address) has too much to answer already"))
        case .unavailable(let failure): refuse(call, failure)
        case .closed: refuse(call, RedisFailure(.closed, "the connection to Redis is closed"))
        }
    }

    /// Whether a command that another node refused may be sent here.
    var canTake: Bool { connection != nil && (state == .ready || state == .connecting) }

    /// Sends a command that another node redirected here for this once.
    func ask(_ command: [UInt8], _ call: RedisCall) {
        var asking = RedisCommand()
        asking.append("ASKING")
        _ = connection?.send(asking, RedisCall())
        connection?.send(again: command, call)
    }

    private func refuse(_ call: RedisCall, _ failure: RedisFailure) {
        guard let completion = call.completion else { return }
        if refusals.isEmpty { loop.markDirty(self) }
        // Nothing was sent, however the connection before came to its end.
        let kind = failure.kind == .connectionLost || failure.kind == .timeout ? .unavailable : failure.kind
        refusals.append((completion, RedisFailure(kind, failure.message)))
    }

    func flush() {
        let refused = refusals
        refusals = []
        for (completion, failure) in refused { completion(.failure(failure)) }
    }

    // MARK: Connections

    private func connect() {
        attempts += 1
        guard let sentinels else { return open() }
        masterCheckedAt = loop.now
        search = RedisMasterSearch(loop: loop, sentinels: sentinels, setup: setup) { [unowned self] result in
            search = nil
            switch result {
            case .success(let address):
                setup.address = address
                open()
            case .failure(let failure): failed(failure)
            }
        }
    }

    private func open() {
        let connection = RedisConnection(loop: loop, setup: setup, owner: self)
        self.connection = connection
        connection.begin()
    }

    func becameReady(_ connection: RedisConnection) {
        circuit = RedisCircuit()
        readyAt = loop.now
        timer?.reschedule(after: Self.idleTime)
        become(.ready)
    }

    func answered(_ connection: RedisConnection, late: RedisFailure?) {
        guard let late else {
            circuit.succeeded(at: loop.now, within: setup.timeout)
            return
        }
        switch circuit.failed(at: loop.now, within: setup.timeout) {
        case .known: break
        // Whether this was a hiccup must not depend on what else is sent.
        case .closed: ping()
        case .open: connection.end(RedisFailure(.connectionLost, "\(late.message), again and again"))
        }
    }

    func redirected(
        _ connection: RedisConnection, _ refusal: String, _ command: [UInt8], _ call: RedisCall
    ) -> Bool {
        if refusal.hasPrefix("READONLY"), setup.mustBeMaster {
            // It was the master once. The command fails; those that follow go to the new master.
            call.completion?(.failure(RedisFailure(.unavailable, "\(setup.address) is not the master any more")))
            connection.end(RedisFailure(.unavailable, "\(setup.address) is not the master any more"))
            return true
        }
        return owner?.redirected(self, refusal, command, call) ?? false
    }

    func ended(_ connection: RedisConnection, _ failure: RedisFailure) {
        guard connection === self.connection else { return }
        self.connection = nil
        if let readyAt, loop.now - readyAt >= Self.longestPause { attempts = 0 }
        readyAt = nil
        failed(failure)
    }

    private func failed(_ failure: RedisFailure) {
        guard state != .closed else { return }
        timer?.reschedule(after: pause())
        become(.unavailable(failure))
    }

    /// Full jitter (aws.amazon.com, "Exponential Backoff And Jitter").
    private func pause() -> Duration {
        let longest = min(Self.longestPause, Self.firstPause * (1 << min(attempts, 10)))
        return longest * jitter()
    }

    private func timerFired() {
        guard state != .closed else { return }
        guard let connection else {
            if search == nil { connect() }
            return
        }
        timer?.reschedule(after: Self.idleTime)
        guard connection.isReady else { return }
        if loop.now - connection.bytesReadAt >= Self.idleTime { ping() }
        if sentinels != nil, loop.now - masterCheckedAt >= Self.masterCheckTime { checkMaster() }
    }

    private func ping() {
        var command = RedisCommand()
        command.append("PING")
        _ = connection?.send(command, RedisCall())
    }

    /// A master that is cut off from its sentinels does not know that it was replaced.
    private func checkMaster() {
        guard let sentinels, search == nil else { return }
        masterCheckedAt = loop.now
        search = RedisMasterSearch(loop: loop, sentinels: sentinels, setup: setup) { [unowned self] result in
            search = nil
            guard case .success(let address) = result, address != setup.address else { return }
            connection?.end(RedisFailure(.connectionLost, "\(address) is the master now"))
        }
    }

    private func become(_ state: RedisClient.State) {
        guard state != self.state else { return }
        self.state = state
        owner?.changed(self)
    }

    func close() {
        guard state != .closed else { return }
        state = .closed
        timer?.invalidate()
        search?.cancel()
        search = nil
        connection?.end(RedisFailure(.closed, "the connection to Redis is closed"))
    }
}

/// Whether a server that accepts commands answers enough of them in time. What is late is late together, so
/// of either outcome one is counted in the time that a reply may take.
struct RedisCircuit {
    enum Verdict {
        /// Part of a failure that was counted already.
        case known
        /// Counted, and no reason yet to give up.
        case closed
        /// Three in a row failed, or half of the last twenty.
        case open
    }

    private var failuresInARow = 0
    /// The last outcomes, a failure as a one, the newest in the lowest bit.
    private var outcomes: UInt32 = 0
    private var lastSuccess: ContinuousClock.Instant?
    private var lastFailure: ContinuousClock.Instant?

    mutating func succeeded(at now: ContinuousClock.Instant, within timeout: Duration) {
        failuresInARow = 0
        if let lastSuccess, now - lastSuccess < timeout { return }
        lastSuccess = now
        outcomes <<= 1
    }

    mutating func failed(at now: ContinuousClock.Instant, within timeout: Duration) -> Verdict {
        if let lastFailure, now - lastFailure < timeout { return .known }
        lastFailure = now
        failuresInARow += 1
        outcomes = outcomes << 1 | 1
        let isOpen = failuresInARow >= 3 || (outcomes & 0xF_FFFF).nonzeroBitCount >= 10
        return isOpen ? .open : .closed
    }
}
