// Several servers that act as one: a cluster whose nodes redirect, and a master that sentinels replace.
import Foundation
import Glibc
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct RedisClusterTests {
    private let harness = Harness()
    private let replies = Replies()

    /// Three nodes with a third of the slots each, before they know of each other.
    private func startNodes() throws -> [(server: RedisServer, busPort: Int)] {
        try (0..<3).map { _ in
            let busPort = freePort()
            let server = try RedisServer(["--cluster-enabled", "yes", "--cluster-port", "\(busPort)"])
            return (server, busPort)
        }
    }

    @Test func commandsFindTheNodeThatHasTheirKey() throws {
        let nodes = try startNodes()
        let loop = harness.loop
        // Each is spoken to alone, to make them one.
        let alone = nodes.map { RedisClient(loop, $0.server.address) }
        let ends = [0, 5461, 10923, 16384]
        for (index, client) in alone.enumerated() {
            client.send(
                ["CLUSTER", "ADDSLOTSRANGE", .integer(ends[index]), .integer(ends[index + 1] - 1)],
                completion: replies.completion)
            for node in nodes {
                client.send([
                    "CLUSTER", "MEET", "127.0.0.1", .integer(node.server.port), .integer(node.busPort),
                ])
            }
        }
        var states: [RedisValue] = []
        func look() {
            for client in alone {
                client.send(["CLUSTER", "INFO"]) { result in
                    if case .success(let value) = result { states.append(value) }
                    guard states.count == 3 else { return }
                    let isWhole = states.allSatisfy {
                        $0.text?.contains("cluster_state:ok") == true
                            && $0.text?.contains("cluster_known_nodes:3") == true
                    }
                    if !isWhole {
                        states = []
                        _ = loop.schedule(after: .milliseconds(20)) { look() }
                    }
                }
            }
        }
        harness.when(replies.values == Array(repeating: .status("OK"), count: 3)) {
            replies.clear()
            look()
        }
        var client: RedisClient!
        let script = RedisScript("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")
        harness.when(states.count == 3) {
            client = RedisClient(loop, nodes[0].server.address)
            for number in 0..<60 {
                client.evaluate(
                    script, keys: ["junction:{\(number)}:use"], arguments: [.integer(number)],
                    completion: replies.completion)
            }
        }
        var redirected = 0
        harness.when(replies.count == 60) {
            // Where a key is is known now.
            redirected = client.links.count
            for number in 0..<60 {
                client.send(["GET", .key("junction:{\(number)}:use")], completion: replies.completion)
            }
        }
        harness.when(replies.count == 120) { for one in alone + [client!] { one.close() } }
        harness.run()
        let expected = (0..<60).map { "\($0)" }
        #expect(redirected == 3)
        #expect(replies.failures == [])
        #expect(replies.values[..<60].compactMap(\.text).sorted() == expected.sorted())
        #expect(replies.values[60...].compactMap(\.text).sorted() == expected.sorted())
    }

    @Test func askIsFollowedForOneCommandAndMovedForAll() {
        let loop = harness.loop
        let slot = redisSlot(of: Array("k".utf8))
        var newOwner: FakeRedis?
        let old = FakeRedis(loop: loop) { fake, index, text in
            if text.contains("SETNAME") { return fake.write("+OK\r\n+PONG\r\n", to: index) }
            let word = fake.received[0].components(separatedBy: "GET").count == 2 ? "ASK" : "MOVED"
            fake.write("-\(word) \(slot) 127.0.0.1:\(newOwner!.port)\r\n", to: index)
        }
        let new = FakeRedis(loop: loop) { fake, index, text in
            if text.contains("SETNAME") { fake.write("+OK\r\n+PONG\r\n", to: index) }
            if text.contains("ASKING") { fake.write("+OK\r\n", to: index) }
            if text.contains("GET") { fake.write(":7\r\n", to: index) }
        }
        newOwner = new
        let client = RedisClient(loop, old.address)
        let ask = { client.send(["GET", .key("k")], completion: replies.completion) }
        ask()
        harness.when(replies.count == 1) { ask() }
        harness.when(replies.count == 2) { ask() }
        harness.when(replies.count == 3)
        harness.run()
        #expect(replies.values == [.integer(7), .integer(7), .integer(7)])
        func count(_ word: String, _ fake: FakeRedis) -> Int {
            fake.received[0].components(separatedBy: word).count - 1
        }
        #expect(count("GET", old) == 2 && count("GET", new) == 3 && count("ASKING", new) == 1)
    }

    /// Two nodes that each say that the other has the key.
    @Test func redirectionsInACircleEnd() {
        let loop = harness.loop
        var ports: [Int] = []
        let nodes = (0..<2).map { me in
            FakeRedis(loop: loop) { fake, index, text in
                if text.contains("SETNAME") { fake.write("+OK\r\n+PONG\r\n", to: index) }
                if text.contains("GET") { fake.write("-MOVED 5 127.0.0.1:\(ports[1 - me])\r\n", to: index) }
            }
        }
        ports = nodes.map(\.port)
        let client = RedisClient(loop, nodes[0].address)
        client.send(["GET", .key("k")], completion: replies.completion)
        harness.when(replies.count == 1)
        harness.run()
        #expect(replies.values.first?.isError("MOVED") == true)
    }

    @Test func aNodeThatIsGoneIsNotTheOnlyOneAsked() throws {
        let loop = harness.loop
        let slot = redisSlot(of: Array("k".utf8))
        let dead = try RedisServer()
        var owner = dead.port
        let seed = FakeRedis(loop: loop) { fake, index, text in
            if text.contains("SETNAME") { fake.write("+OK\r\n+PONG\r\n", to: index) }
            if text.contains("GET") { fake.write("-MOVED \(slot) 127.0.0.1:\(owner)\r\n", to: index) }
        }
        let replica = try RedisServer()
        let client = RedisClient(loop, seed.address)
        let ask = { client.send(["GET", .key("k")], completion: replies.completion) }
        ask()
        harness.when(replies.count == 1) { dead.end() }
        harness.when(client.links.count == 2 && client.links[1].connection == nil) {
            owner = replica.port
            ask()
        }
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.values == [.null, .null])
        #expect(client.state == .ready)
    }
}

@Suite struct RedisSentinelTests {
    private let harness = Harness()
    private let replies = Replies()

    private final class Watched {
        let master: RedisServer
        let replica: RedisServer
        let port = freePort()
        private let folder: TemporaryFolder
        private let sentinel: ChildProgram

        init() throws {
            let master = try RedisServer()
            self.master = master
            replica = try RedisServer(["--replicaof", "127.0.0.1", "\(master.port)"])
            folder = try TemporaryFolder()
            let text = """
                port \(port)
                bind 127.0.0.1
                requirepass watchword
                sentinel monitor mine 127.0.0.1 \(master.port) 1
                sentinel down-after-milliseconds mine 300
                sentinel failover-timeout mine 2000
                """
            try text.write(toFile: folder.path + "/sentinel", atomically: true, encoding: .utf8)
            sentinel = try ChildProgram("/usr/bin/redis-server", [folder.path + "/sentinel", "--sentinel"])
            sentinel.waitUntilListening(on: port)
        }

        /// The first of them does not listen.
        func sentinels(password: String = "watchword", name: String = "mine") -> RedisSentinels {
            var sentinels = RedisSentinels(
                addresses: [
                    .tcp(host: "127.0.0.1", port: freePort()), .tcp(host: "127.0.0.1", port: port),
                ],
                serviceName: name)
            sentinels.credentials.password = { password }
            return sentinels
        }
    }

    private func client(_ sentinels: RedisSentinels) -> RedisClient {
        var options = RedisOptions(sentinels: sentinels)
        options.timeout = .seconds(20)
        options.connectTimeout = .seconds(20)
        return RedisClient(loop: harness.loop, options: options, jitter: { 0.1 })
    }

    @Test func aFailoverIsFollowed() throws {
        let watched = try Watched()
        let client = client(watched.sentinels())
        harness.when(client.state == .ready) {
            // The master must have handed on what it knows before it goes.
            client.send(["SET", .key("k"), "v"], completion: replies.completion)
            client.send(["WAIT", 1, 0], completion: replies.completion)
        }
        harness.when(replies.values == [.status("OK"), .integer(1)]) {
            #expect(client.links[0].address == watched.master.address)
            watched.master.end()
        }
        harness.when(client.isUnavailable)
        harness.when(client.state == .ready) {
            client.send(["GET", .key("k")], completion: replies.completion)
            client.send(["SET", .key("k"), "w"], completion: replies.completion)
        }
        harness.when(replies.count == 4)
        harness.run()
        #expect(client.links[0].address == watched.replica.address)
        #expect(Array(replies.values.suffix(2)) == [.bytes([118]), .status("OK")])
    }

    @Test func aMasterThatBecameAReplicaIsLeft() throws {
        let watched = try Watched()
        let client = client(watched.sentinels())
        harness.when(client.state == .ready) {
            client.send(["REPLICAOF", "127.0.0.1", .integer(freePort())])
            client.evaluate(
                RedisScript("return redis.call('SET', KEYS[1], 1)"), keys: ["k"], arguments: [],
                completion: replies.completion)
        }
        harness.when(replies.count == 1 && client.isUnavailable)
        harness.run()
        #expect(replies.failures.map(\.kind) == [.unavailable])
        #expect(replies.failures[0].message.contains("not the master any more"))
    }

    /// A master that is cut off from its sentinels goes on as if nothing had happened.
    @Test func aMasterThatWasReplacedIsLeftThoughItAnswers() {
        let loop = harness.loop
        let masters = (0..<2).map { _ in
            FakeRedis(loop: loop) { fake, index, text in
                let isGreeting = text.contains("SETNAME")
                fake.write(isGreeting ? "+OK\r\n*1\r\n$6\r\nmaster\r\n+PONG\r\n" : "+PONG\r\n", to: index)
            }
        }
        var current = 0
        let sentinel = FakeRedis(loop: loop) { fake, index, text in
            if text.contains("SETNAME") { fake.write("+OK\r\n+PONG\r\n", to: index) }
            guard text.contains("SENTINEL") else { return }
            let port = "\(masters[current].port)"
            fake.write("*2\r\n$9\r\n127.0.0.1\r\n$\(port.utf8.count)\r\n\(port)\r\n", to: index)
        }
        var options = RedisOptions(
            sentinels: RedisSentinels(addresses: [sentinel.address], serviceName: "mine"))
        options.timeout = .seconds(20)
        options.idleTime = .milliseconds(50)
        let client = RedisClient(loop: loop, options: options, jitter: { 0.1 })
        harness.when(client.state == .ready) {
            #expect(client.links[0].address == masters[0].address)
            current = 1
        }
        harness.when(client.state == .ready && client.links[0].address == masters[1].address)
        harness.run()
        #expect(masters[1].openCount == 1)
    }

    @Test func aSentinelThatCannotEvenBeLookedForIsSaid() {
        let host = String(repeating: "x", count: 300)
        let sentinels = RedisSentinels(addresses: [.tcp(host: host, port: 1)], serviceName: "mine")
        let client = client(sentinels)
        // It goes on looking.
        var attempts = 0
        harness.when(client.isUnavailable) { attempts = client.links[0].attempts }
        harness.when(client.links[0].attempts > attempts)
        harness.run()
    }

    @Test func whatSentinelsRefuseIsSaid() throws {
        let watched = try Watched()
        let unknown = client(watched.sentinels(name: "other"))
        let refused = client(watched.sentinels(password: "s3cret"))
        harness.when(unknown.isUnavailable && refused.isUnavailable)
        harness.run()
        #expect(unknown.reason?.message.contains("knows no other") == true)
        #expect(refused.reason?.kind == .refused)
        #expect(refused.reason?.message.contains("s3cret") == false)
    }
}
