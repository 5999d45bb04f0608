// The door to Redis: one pipelined connection a loop, to one server, to the master that sentinels name, or to
// each node of a cluster that is needed. Knows no key and no script of ours.
import JunctionTransport

/// A client of one Redis, its sentinels or its cluster. Confined to its loop.
public final class RedisClient {
    public enum State: Sendable, Equatable {
        /// A connection is being made for the first time: commands wait for it.
        case connecting
        case ready
        /// The last attempt failed or the connection broke; the next attempt comes by itself. Commands fail
        /// at once.
        case unavailable(RedisFailure)
        case closed
    }

    public typealias Completion = (Result<RedisValue, RedisFailure>) -> Void

    /// Most nodes of a cluster that are spoken to.
    private static let nodesMax = 1000
    /// Attempts after which a node that was not configured is forgotten.
    private static let attemptsMax = 8

    public private(set) var state = State.connecting
    /// Called after each change of `state`.
    public var onStateChange: ((State) -> Void)?

    private let loop: EventLoop
    private let options: RedisOptions
    private let jitter: () -> Double
    private let tls: TLSContext?
    /// Those of the configuration, in its order; then, in a cluster, those that redirections named.
    private var links: [RedisLink] = []
    private let configuredCount: Int
    private var isCluster: Bool
    /// In a cluster: who has a slot, as far as redirections told.
    private var owners: [Int: RedisLink] = [:]
    private var command = RedisCommand()

    /// Begins to connect at once, and connects again by itself whenever that fails or ends.
    ///
    /// - Parameter jitter: a random number from 0 to 1, for the times between attempts.
    public init(loop: EventLoop, options: RedisOptions, jitter: @escaping () -> Double) {
        precondition(options.sentinels != nil || !options.addresses.isEmpty, "no address of a Redis")
        self.loop = loop
        self.options = options
        self.jitter = jitter
        configuredCount = options.sentinels == nil ? options.addresses.count : 1
        isCluster = configuredCount > 1
        do throws(TLSFailure) {
            tls = if let tls = options.tls { try TLSContext(tls) } else { nil }
        } catch {
            // Files that cannot be read now are not read later either: the operator must see to them.
            tls = nil
            state = .unavailable(RedisFailure(.refused, error.message))
            return
        }
        if options.sentinels != nil {
            links = [link(to: .tcp(host: "", port: 0))]
        } else {
            links = options.addresses.map(link(to:))
        }
    }

    private func link(to address: RedisAddress) -> RedisLink {
        let setup = RedisConnection.Setup(
            address: address, credentials: options.credentials, database: options.database,
            clientName: options.clientName, tls: tls, mustBeMaster: options.sentinels != nil,
            timeout: options.timeout, connectTimeout: options.connectTimeout)
        return RedisLink(
            loop: loop, setup: setup, sentinels: options.sentinels, jitter: jitter, owner: self)
    }

    // MARK: Commands

    /// Sends a command with the others of this turn of the loop. `completion` runs once, never before `send`
    /// returns. What the server refuses is a value, `.error`.
    public func send(_ arguments: [RedisArgument], completion: Completion? = nil) {
        send(completion: completion) { command in for argument in arguments { command.append(argument) } }
    }

    /// The same, for many commands: `write` appends the arguments to memory that is used again.
    public func send(completion: Completion? = nil, _ write: (inout RedisCommand) -> Void) {
        command.clear()
        write(&command)
        deliver(RedisCall(completion: completion))
    }

    /// Runs a script, by EVALSHA; one that the server does not know is loaded first.
    public func evaluate(
        _ script: RedisScript, keys: [String], arguments: [RedisArgument], completion: Completion? = nil
    ) {
        evaluate(script, keyCount: keys.count, completion: completion) { command in
            for key in keys { command.append(key: key) }
            for argument in arguments { command.append(argument) }
        }
    }

    /// The same, for many calls: `write` appends `keyCount` keys and then the arguments.
    public func evaluate(
        _ script: RedisScript, keyCount: Int, completion: Completion? = nil,
        _ write: (inout RedisCommand) -> Void
    ) {
        command.clear()
        command.append("EVALSHA")
        command.append(script.sha1)
        command.append(keyCount)
        write(&command)
        deliver(RedisCall(completion: completion, script: script))
    }

    private func deliver(_ call: RedisCall) {
        precondition(command.argumentCount > 0, "a command without a word")
        guard let link = isCluster ? linkInCluster() : links.first else { return refuse(call) }
        link.send(command, call)
    }

    /// The node that has the command's key, or any that works and will tell which one it is.
    private func linkInCluster() -> RedisLink? {
        if !command.firstKey.isEmpty {
            let slot = redisSlot(of: command.bytes[command.firstKey])
            if let owner = owners[slot] {
                switch owner.state {
                case .ready, .connecting: return owner
                case .unavailable, .closed: owners[slot] = nil
                }
            }
        }
        return links.first { $0.state == .ready } ?? links.first { $0.state == .connecting } ?? links.first
    }

    /// When there is nothing that could even try.
    private func refuse(_ call: RedisCall) {
        var failure = RedisFailure(.closed, "the connection to Redis is closed")
        if case .unavailable(let reason) = state { failure = reason }
        guard let completion = call.completion else { return }
        _ = loop.schedule(after: .zero) { completion(.failure(failure)) }
    }

    // MARK: The end

    /// Closes the connections; commands under way fail. Nothing is sent any more.
    public func close() {
        guard state != .closed else { return }
        state = .closed
        for link in links { link.close() }
        links = []
        owners = [:]
        onStateChange?(state)
        onStateChange = nil
    }

    deinit { for link in links { link.close() } }
}

extension RedisClient: RedisLinkOwner {
    func changed(_ link: RedisLink) {
        guard state != .closed else { return }
        let states = links.map(\.state)
        let new =
            states.contains(.ready)
            ? .ready : states.contains(.connecting) ? .connecting : links.first?.state ?? state
        // A cluster lives as long as one node does.
        if new != state {
            state = new
            onStateChange?(new)
        }
    }

    func redirected(_ link: RedisLink, _ refusal: String, _ command: [UInt8], _ call: RedisCall) -> Bool {
        guard let redirection = RedisRedirection(refusal, from: link.address) else { return false }
        isCluster = true
        forgetLost()
        guard let target = node(at: redirection.address), target.canTake else { return false }
        if redirection.isOnce {
            target.ask(command, call)
        } else {
            owners[redirection.slot] = target
            target.connection?.send(again: command, call)
        }
        return true
    }

    private func node(at address: RedisAddress) -> RedisLink? {
        if let known = links.first(where: { $0.address == address }) { return known }
        guard links.count < Self.nodesMax else { return nil }
        let new = link(to: address)
        links.append(new)
        return new
    }

    /// Lets go of nodes that redirections named and that have been gone for long.
    private func forgetLost() {
        for index in links.indices.dropFirst(configuredCount).reversed()
        where links[index].attempts > Self.attemptsMax {
            let lost = links.remove(at: index)
            owners = owners.filter { $0.value !== lost }
            lost.close()
        }
    }
}
