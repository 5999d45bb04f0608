// A real redis-server is asked, with and without a password.
import Testing

@testable import JunctionOutbound

@Suite struct RedisConnectionTests {
    private func startRedis(_ arguments: [String] = []) throws -> (ChildProgram, Int) {
        let port = freePort()
        let fixed = ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        let redis = try ChildProgram("/usr/bin/redis-server", fixed + arguments)
        redis.waitUntilListening(on: port)
        return (redis, port)
    }

    @Test func pings() throws {
        let (redis, port) = try startRedis()
        let connection = try RedisConnection(host: "127.0.0.1", port: port, timeout: .seconds(5))
        try connection.ping()
        try connection.ping()
        withExtendedLifetime(redis) {}
    }

    @Test func authenticates() throws {
        let (redis, port) = try startRedis(["--requirepass", "hidden"])
        let timeout = Duration.seconds(5)
        try RedisConnection(host: "127.0.0.1", port: port, password: "hidden", timeout: timeout).ping()
        #expect(throws: RedisFailure.self) {
            try RedisConnection(host: "127.0.0.1", port: port, timeout: timeout).ping()
        }
        let refused = #expect(throws: RedisFailure.self) {
            try RedisConnection(host: "127.0.0.1", port: port, password: "hidden too", timeout: timeout)
        }
        #expect(refused?.message.contains("hidden") == false)
        withExtendedLifetime(redis) {}
    }

    @Test func tellsThatNothingListens() {
        let failure = #expect(throws: RedisFailure.self) {
            try RedisConnection(host: "127.0.0.1", port: freePort(), timeout: .seconds(5))
        }
        #expect(failure?.message == "Connection refused")
    }

    @Test func aServerThatDoesNotAnswerTimesOut() throws {
        let (listener, port) = listenOnFreePort(backlog: 1)
        let connection = try RedisConnection(host: "127.0.0.1", port: port, timeout: .milliseconds(50))
        #expect(throws: RedisFailure.self) { try connection.ping() }
        withExtendedLifetime(listener) {}
    }
}
