// What Redis answers, and why it did not. Knows no command and no key.

/// A reply (RESP2, redis.io, "Redis serialization protocol specification").
public enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int)
    /// A status, such as `OK`.
    case status(String)
    /// A bulk string.
    case bytes([UInt8])
    case array([RedisValue])
    /// The server refused the command; the text begins with a code, such as `NOSCRIPT`. It may quote the
    /// command's arguments.
    case error(String)

    /// An integer, also one that stands in a text.
    public var integer: Int? {
        switch self {
        case .integer(let number): number
        case .bytes, .status: text.flatMap { Int($0) }
        case .null, .array, .error: nil
        }
    }

    /// A status or bulk string as UTF-8, repaired where it is none.
    public var text: String? {
        switch self {
        case .status(let text): text
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .null, .integer, .array, .error: nil
        }
    }

    public var array: [RedisValue]? { if case .array(let values) = self { values } else { nil } }

    /// Whether the server refused the command with this code.
    public func isError(_ code: String) -> Bool {
        guard case .error(let text) = self, text.hasPrefix(code) else { return false }
        return text.utf8.count == code.utf8.count || text.utf8.dropFirst(code.utf8.count).first == 0x20
    }
}

/// Why there is no reply.
public struct RedisFailure: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// The reply did not come in time. The command may have been performed, or may be later.
        case timeout
        /// There is no connection, and none is being made just now. The command was not sent.
        case unavailable
        /// The connection broke after the command was sent: it may have been performed.
        case connectionLost
        /// The server refused to sign us in, or the database.
        case refused
        /// The server spoke something else than RESP.
        case malformed
        /// Too much waits to be sent already. The command was not sent.
        case overloaded
        /// `close` was called.
        case closed
    }

    public var kind: Kind
    /// For a person; holds no password.
    public var message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}
