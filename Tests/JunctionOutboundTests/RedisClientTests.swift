// The client against real redis-servers: what it promises while all is well, and who it says it is.
import Glibc
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct RedisClientTests {
    private let harness = Harness()
    private let replies = Replies()

    @Test func commandsOfATurnAreWrittenAtOnceAndAnsweredInOrder() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        var writes = 0
        harness.when(client.state == .ready) {
            writes = client.links[0].connection!.writeCount
            for number in 0..<500 { client.send(["ECHO", .integer(number)], completion: replies.completion) }
            client.send { $0.append("PING") }
            #expect(replies.count == 0)
        }
        harness.when(replies.count == 500) {
            #expect(client.links[0].connection!.writeCount == writes + 1)
        }
        harness.run()
        #expect(replies.values == (0..<500).map { .bytes(Array("\($0)".utf8)) })
    }

    @Test func commandsWaitForTheFirstConnection() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address) { $0.database = 3 }
        client.send(["SET", .key("k"), "v"], completion: replies.completion)
        client.send(["CLIENT", "INFO"], completion: replies.completion)
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.values[0] == .status("OK"))
        #expect(replies.values[1].text?.contains(" name=junction ") == true)
        #expect(replies.values[1].text?.contains(" db=3 ") == true)
    }

    @Test func refusalsAreValues() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        client.send(["NOSUCH"], completion: replies.completion)
        client.send(["PING"], completion: replies.completion)
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.values[0].isError("ERR"))
        #expect(replies.values[1] == .status("PONG"))
    }

    @Test func aScriptIsLoadedOnceWhenTheServerDoesNotKnowIt() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        let script = RedisScript("return {KEYS[1], ARGV[1] + 1}")
        let ask = {
            for number in 0..<50 {
                client.evaluate(
                    script, keys: ["{g}"], arguments: [.integer(number)], completion: replies.completion)
            }
        }
        ask()
        harness.when(replies.count == 50) {
            client.send(["SCRIPT", "FLUSH"])
            ask()
        }
        harness.when(replies.count == 100) {
            client.send(["INFO", "commandstats"], completion: replies.completion)
        }
        harness.when(replies.count == 101)
        harness.run()
        let expected = (1...50).map { RedisValue.array([.bytes(Array("{g}".utf8)), .integer($0)]) }
        #expect(replies.values.dropLast() == expected + expected)
        #expect(replies.values.last?.text?.contains("cmdstat_script|load:calls=2,") == true)
    }

    @Test func largeCommandsAndRepliesGetThrough() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        let content = [UInt8](repeating: 7, count: 5_000_000)
        client.send(["SET", .key("k"), .bytes(content)], completion: replies.completion)
        client.send(["GET", .key("k")], completion: replies.completion)
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.values == [.status("OK"), .bytes(content)])
    }

    @Test func moreThanTheClientHoldsIsRefused() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        let content = [UInt8](repeating: 7, count: 6_000_000)
        for _ in 0..<3 {
            client.send(["SET", .key("k"), .bytes(content)], completion: replies.completion)
        }
        harness.when(replies.count == 3)
        harness.run()
        #expect(replies.failures.map(\.kind) == [.overloaded])
        #expect(replies.values == [.status("OK"), .status("OK")])
    }

    @Test func aUnixSocketWillDo() throws {
        let folder = try TemporaryFolder()
        let server = try RedisServer(["--unixsocket", folder.path + "/redis"])
        let client = RedisClient(harness.loop, .unix(path: folder.path + "/redis"))
        // Redis opens its socket after its port.
        harness.when(client.state == .ready) { client.send(["PING"], completion: replies.completion) }
        harness.when(replies.count == 1)
        harness.run()
        #expect(replies.values == [.status("PONG")])
        withExtendedLifetime(server) {}
    }

    @Test(arguments: ["/nonexistent/redis", String(repeating: "x", count: 200)])
    func aPathThatIsNoSocketIsSaid(_ path: String) {
        let client = RedisClient(harness.loop, .unix(path: path))
        harness.when(client.isUnavailable)
        harness.run()
        #expect(client.reason?.message.hasPrefix("cannot connect to \(path): ") == true)
    }

    // MARK: Signing in

    @Test(arguments: [nil, "default"] as [String?])
    func signsIn(user: String?) throws {
        let server = try RedisServer(["--requirepass", "hidden"])
        let client = RedisClient(harness.loop, server.address) {
            $0.credentials = RedisCredentials(username: user, password: { "hidden" })
        }
        client.send(["SET", .key("k"), 1], completion: replies.completion)
        harness.when(replies.count == 1)
        harness.run()
        #expect(replies.values == [.status("OK")])
    }

    @Test func aWrongPasswordIsSaidButNotShown() throws {
        let server = try RedisServer(["--requirepass", "hidden", "--rename-command", "PING", "PONG"])
        let client = RedisClient(harness.loop, server.address) {
            $0.credentials = RedisCredentials(username: "somebody", password: { "s3cret" })
        }
        client.send(["SET", .key("k"), 1], completion: replies.completion)
        harness.when(client.isUnavailable && replies.count == 1)
        harness.run()
        #expect(client.reason?.kind == .refused)
        #expect(client.reason?.message.contains("does not accept the user or password (WRONGPASS)") == true)
        #expect(replies.failures.map(\.kind) == [.refused])
        #expect(!"\(replies.failures) \(client.state)".contains("s3cret"))
    }

    /// Such a server quotes the arguments of what it does not know.
    @Test func aServerThatDoesNotKnowPasswordsDoesNotHaveUsShowOne() throws {
        let server = try RedisServer(["--rename-command", "AUTH", ""])
        let client = RedisClient(harness.loop, server.address) {
            $0.credentials = RedisCredentials(password: { "s3cret" })
        }
        harness.when(client.isUnavailable)
        harness.run()
        #expect(client.reason?.kind == .refused)
        #expect(client.reason?.message.contains("s3cret") == false)
    }

    @Test func aMissingPasswordAndAMissingDatabaseAreSaid() throws {
        let closed = try RedisServer(["--requirepass", "hidden"])
        let open = try RedisServer()
        let withoutPassword = RedisClient(harness.loop, closed.address)
        let withoutDatabase = RedisClient(harness.loop, open.address) { $0.database = 99 }
        harness.when(withoutPassword.isUnavailable && withoutDatabase.isUnavailable)
        harness.run()
        #expect(withoutPassword.reason?.message.hasSuffix("wants a password") == true)
        #expect(withoutDatabase.reason?.message.contains("database 99: ERR DB index") == true)
    }

    @Test func optionsDoNotShowThePassword() {
        var options = RedisOptions(host: "h")
        options.credentials.password = { "s3cret" }
        var dumped = ""
        dump(options, to: &dumped)
        #expect(!"\(options) \(dumped)".contains("s3cret"))
    }

    // MARK: The end

    @Test func closingFailsWhatIsUnderWayAndWhatComesAfter() throws {
        let server = try RedisServer()
        let client = RedisClient(harness.loop, server.address)
        harness.when(client.state == .ready) {
            client.send(["BLPOP", .key("k"), 0], completion: replies.completion)
            client.close()
            #expect(replies.failures.map(\.kind) == [.closed])
            client.send(["PING"], completion: replies.completion)
            #expect(replies.count == 1)
        }
        harness.when(replies.count == 2)
        harness.run()
        #expect(replies.failures.map(\.kind) == [.closed, .closed])
        #expect(client.state == .closed)
    }

    @Test func aClientThatIsLetGoOfGivesItsConnectionBack() throws {
        let server = try RedisServer()
        var client: RedisClient? = RedisClient(harness.loop, server.address)
        let witness = RedisClient(harness.loop, server.address) { $0.clientName = "witness" }
        weak var connection: RedisConnection?
        harness.when(client?.state == .ready && witness.state == .ready) {
            connection = client?.links[0].connection
            client = nil
        }
        harness.when(connection == nil)
        var isGone = false
        func look() {
            witness.send(["CLIENT", "LIST"]) { result in
                guard case .success(let value) = result else { return }
                isGone = value.text?.contains("name=junction") == false
                if !isGone { look() }
            }
        }
        harness.when(true) { look() }
        harness.when(isGone)
        harness.run()
    }
}
