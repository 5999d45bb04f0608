// What goes wrong with a Redis: it is slow, stopped, killed, swallowed by the network, or not a Redis at all.
import Glibc
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct RedisTroubleTests {
    private let harness = Harness()
    private let replies = Replies()
    /// Of the tests in which a command shall be late; it must be in time as long as nothing is done to it.
    private let shortTimeout = Duration.milliseconds(400)

    private func signIn(_ fake: FakeRedis, _ index: Int, _ text: String) -> Bool {
        guard text.contains("SETNAME") else { return false }
        fake.write("+OK\r\n+PONG\r\n", to: index)
        return true
    }

    @Test func aLateReplyIsSkippedAndTheNextOneGoesToItsCommand() {
        var waiting: [Int] = []
        let fake = FakeRedis(loop: harness.loop) { fake, index, text in
            if !signIn(fake, index, text) { waiting.append(index) }
        }
        let client = RedisClient(harness.loop, fake.address, timeout: .milliseconds(300))
        harness.when(client.state == .ready) { client.send(["GET", "a"], completion: replies.completion) }
        harness.when(replies.failures.map(\.kind) == [.timeout] && !waiting.isEmpty) {
            // The first reply is late; the ping that followed it, and what is asked now, are answered.
            fake.onBytes = { fake, index, text in
                fake.write(":1\r\n+PONG\r\n:2\r\n", to: index)
            }
            client.send(["GET", "b"], completion: replies.completion)
        }
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.values == [.integer(2)])
        #expect(client.state == .ready)
        #expect(fake.received.count == 1)
    }

    @Test func aStoppedServerIsGivenUpAndComesBack() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address, timeout: shortTimeout) {
            $0.connectTimeout = .milliseconds(500)
        }
        var states: [RedisClient.State] = []
        client.onStateChange = { states.append($0) }
        harness.when(client.state == .ready) {
            server.signal(SIGSTOP)
            for _ in 0..<10 { client.send(["PING"], completion: replies.completion) }
        }
        harness.when(client.isUnavailable) {
            #expect(replies.failures.map(\.kind) == Array(repeating: .timeout, count: 10))
            // Nobody waits for it now.
            client.send(["PING"], completion: replies.completion)
        }
        harness.when(replies.count == 11) { server.signal(SIGCONT) }
        harness.when(client.state == .ready) { client.send(["PING"], completion: replies.completion) }
        harness.when(replies.count == 12)
        harness.run()
        #expect(replies.failures.last?.kind == .unavailable)
        #expect(replies.values == [.status("PONG")])
        #expect(states.contains(.ready) && states.last == .ready)
    }

    @Test func aKilledServerIsFoundOutAtOnceAndConnectedAgain() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        let script = RedisScript("return 5")
        harness.when(client.state == .ready) {
            client.send(["BLPOP", .key("k"), 0], completion: replies.completion)
        }
        harness.when(client.links[0].connection?.isIdle == false) { server.end() }
        harness.when(client.isUnavailable && replies.count == 1) {
            #expect(replies.failures.map(\.kind) == [.connectionLost])
            do { try server.restart() } catch { Issue.record(error) }
        }
        harness.when(client.state == .ready) {
            client.evaluate(script, keys: ["k"], arguments: [], completion: replies.completion)
        }
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.values == [.integer(5)])
    }

    /// Not one connection after another, however fast each is refused.
    @Test func attemptsBecomeRare() {
        let fake = FakeRedis(loop: harness.loop) { fake, index, _ in fake.close(index) }
        let client = RedisClient(harness.loop, fake.address)
        // Half of 100, 200, 400 … ms.
        let start = harness.loop.now
        harness.when(fake.received.count == 4) { client.close() }
        harness.run()
        #expect(harness.loop.now - start >= .milliseconds(50 + 100 + 200))
    }

    /// The other end is gone, but nothing says so.
    @Test func aConnectionThatSwallowsIsGivenUp() {
        let fake = FakeRedis(loop: harness.loop) { fake, index, text in _ = signIn(fake, index, text) }
        let client = RedisClient(harness.loop, fake.address, timeout: .milliseconds(50))
        harness.when(client.state == .ready) { client.send(["GET", "a"], completion: replies.completion) }
        harness.when(client.isUnavailable)
        harness.when(fake.received.count == 2)
        harness.run()
        #expect(replies.failures.map(\.kind) == [.timeout])
        #expect(client.links[0].connection != nil)
    }

    @Test func anIdleConnectionIsAskedForASignOfLife() {
        let fake = FakeRedis(loop: harness.loop) { fake, index, text in _ = signIn(fake, index, text) }
        let client = RedisClient(harness.loop, fake.address, timeout: .milliseconds(50)) {
            $0.idleTime = .milliseconds(100)
        }
        harness.when(client.state == .ready)
        harness.when(client.isUnavailable)
        harness.run()
        #expect(fake.received[0].hasSuffix("*1\r\n$4\r\nPING\r\n"))
    }

    @Test func aServerThatTakesConnectionsAndSaysNothingDoesNotHoldUpCommands() {
        let fake = FakeRedis(loop: harness.loop) { _, _, _ in }
        let client = RedisClient(harness.loop, fake.address, timeout: .milliseconds(50)) {
            $0.connectTimeout = .milliseconds(200)
        }
        client.send(["GET", "a"], completion: replies.completion)
        harness.when(client.isUnavailable)
        harness.run()
        #expect(replies.failures.map(\.kind) == [.timeout])
        #expect(!fake.received[0].contains("GET"))
    }

    @Test func whatWasGivenUpBeforeTheConnectionStoodIsNotSent() {
        let fake = FakeRedis(loop: harness.loop) { fake, index, text in
            if text.contains("GET") { fake.write(":2\r\n", to: index) }
        }
        let client = RedisClient(harness.loop, fake.address, timeout: .milliseconds(500))
        client.send(["GET", "a"], completion: replies.completion)
        harness.when(replies.failures.map(\.kind) == [.timeout] && fake.openCount == 1) {
            client.send(["GET", "b"], completion: replies.completion)
            fake.write("+OK\r\n+PONG\r\n", to: 0)
        }
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.values == [.integer(2)])
        #expect(fake.received[0].hasSuffix("PING\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"))
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n\r\n", "+OK\r\n+PONG\r\n:1\r\n", "+OK\r\n+PONG\r\n*99999999\r\n",
        "+OK\r\n+PONG\r\n\u{0}",
    ])
    func whatDoesNotSpeakRESPIsClosed(_ answer: String) {
        let fake = FakeRedis(loop: harness.loop) { fake, index, _ in fake.write(answer, to: index) }
        let client = RedisClient(harness.loop, fake.address)
        harness.when(client.reason?.kind == .malformed)
        harness.when(fake.openCount == 0) { client.close() }
        harness.run()
    }

    @Test func nothingListensIsSaid() {
        let client = RedisClient(harness.loop, .tcp(host: "127.0.0.1", port: freePort()))
        client.send(["PING"], completion: replies.completion)
        harness.when(replies.count == 1)
        harness.run()
        #expect(replies.failures.map(\.kind) == [.unavailable])
        #expect(replies.failures[0].message.hasSuffix(": connection refused"))
    }

    @Test func aNameThatIsNoneIsSaid() {
        let client = RedisClient(harness.loop, .tcp(host: String(repeating: "x", count: 300), port: 1))
        client.send(["PING"], completion: replies.completion)
        harness.when(replies.count == 1 && client.isUnavailable)
        harness.run()
        #expect(replies.failures.map(\.kind) == [.unavailable])
    }

    /// A completion may do anything to the client.
    @Test func completionsMayCloseTheClient() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        harness.when(client.state == .ready) {
            for _ in 0..<3 {
                client.send(["PING"]) { result in
                    self.replies.completion(result)
                    client.close()
                }
            }
        }
        harness.when(replies.count == 3)
        harness.run()
        #expect(replies.values.count == 1)
        #expect(replies.failures.map(\.kind) == [.closed, .closed])
    }
}
