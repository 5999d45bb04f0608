// Asks Redis sentinels, one after the other, which server is master (redis.io, "Sentinel client spec").
import JunctionTransport

/// One search. It ends with the first sentinel that knows the master, or when none does.
final class RedisMasterSearch: RedisConnectionOwner {
    private let loop: EventLoop
    private var setup: RedisConnection.Setup
    private let serviceName: String
    private var rest: ArraySlice<RedisAddress>
    private var connection: RedisConnection?
    private var completion: ((Result<RedisAddress, RedisFailure>) -> Void)?

    /// - Parameter setup: how the master is spoken to; sentinels are the same but for address and sign-in.
    init(
        loop: EventLoop, sentinels: RedisSentinels, setup: RedisConnection.Setup,
        completion: @escaping (Result<RedisAddress, RedisFailure>) -> Void
    ) {
        self.loop = loop
        self.setup = setup
        self.setup.credentials = sentinels.credentials
        self.setup.database = 0
        self.setup.mustBeMaster = false
        self.setup.timeout = setup.connectTimeout
        serviceName = sentinels.serviceName
        rest = sentinels.addresses[...]
        self.completion = completion
        askNext(RedisFailure(.unavailable, "no sentinel is configured"))
    }

    /// The completion is not called any more.
    func cancel() {
        completion = nil
        connection?.end(RedisFailure(.closed, "not needed any more"))
    }

    private func askNext(_ previous: RedisFailure) {
        guard completion != nil else { return }
        guard let address = rest.popFirst() else { return finish(.failure(previous)) }
        setup.address = address
        let connection = RedisConnection(loop: loop, setup: setup, owner: self)
        self.connection = connection
        var command = RedisCommand()
        for word in ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", serviceName] { command.append(word) }
        let call = RedisCall(completion: { [weak self] result in
            guard case .success(let reply) = result else { return }
            self?.answered(reply)
        })
        _ = connection.send(command, call)
        connection.begin()
    }

    private func answered(_ reply: RedisValue) {
        if case .array(let place) = reply, place.count == 2, let host = place[0].text,
            let port = place[1].integer
        {
            finish(.success(.tcp(host: host, port: port)))
        } else {
            let words = if case .error(let text) = reply { text } else { "it knows no \(serviceName)" }
            connection?.end(RedisFailure(.unavailable, "sentinel \(setup.address): \(words)"))
        }
    }

    private func finish(_ result: Result<RedisAddress, RedisFailure>) {
        let completion = completion
        self.completion = nil
        connection?.end(RedisFailure(.closed, "not needed any more"))
        completion?(result)
    }

    func becameReady(_ connection: RedisConnection) {}
    func answered(_ connection: RedisConnection, late: RedisFailure?) {
        if let late { connection.end(late) }
    }
    func redirected(
        _ connection: RedisConnection, _ refusal: String, _ command: [UInt8], _ call: RedisCall
    ) -> Bool { false }

    func ended(_ connection: RedisConnection, _ failure: RedisFailure) {
        self.connection = nil
        askNext(failure)
    }
}
