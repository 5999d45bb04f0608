// A connection to Redis by hiredis, with calls that block: for start-up checks. Knows no key of ours.
internal import CHiredis
import Glibc

/// Why Redis did not do what was asked.
public struct RedisFailure: Error, Sendable, Equatable {
    /// For a person; holds no password.
    public var message: String
}

/// One connection, used by one thread at a time. Its calls block, so it has no place on an event loop.
public final class RedisConnection {
    private let context: UnsafeMutablePointer<redisContext>

    /// Connects, and authenticates if there is a password.
    ///
    /// - Parameter timeout: for connecting, and for each command after it.
    public init(host: String, port: Int, password: String? = nil, timeout: Duration) throws(RedisFailure) {
        let microseconds = max(1, Int(timeout / .microseconds(1)))
        let limit = timeval(tv_sec: microseconds / 1_000_000, tv_usec: microseconds % 1_000_000)
        guard let context = redisConnectWithTimeout(host, Int32(port), limit) else {
            fatalError("out of memory")
        }
        self.context = context
        if context.pointee.err != 0 { throw failure() }
        redisSetTimeout(context, limit)
        if let password { _ = try command(["AUTH", password]) }
    }

    deinit { redisFree(context) }

    /// Returns when Redis has answered.
    public func ping() throws(RedisFailure) {
        let answer = try command(["PING"])
        guard answer == "PONG" else {
            throw RedisFailure(message: "Redis answered a ping with something else")
        }
    }

    /// Sends one command and waits for its answer, which must be a status or a text.
    private func command(_ words: [String]) throws(RedisFailure) -> String {
        let copies = words.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        var pointers = copies.map { UnsafePointer<CChar>($0) }
        let lengths = words.map { $0.utf8.count }
        guard let raw = redisCommandArgv(context, Int32(words.count), &pointers, lengths) else {
            throw failure()
        }
        defer { freeReplyObject(raw) }
        let reply = raw.assumingMemoryBound(to: redisReply.self).pointee
        let text = reply.str.map { String(cString: $0) } ?? ""
        if reply.type == REDIS_REPLY_ERROR { throw RedisFailure(message: text) }
        return text
    }

    private func failure() -> RedisFailure {
        let text = withUnsafeBytes(of: &context.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RedisFailure(message: text)
    }
}
