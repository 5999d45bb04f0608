// A command on its way to Redis: its arguments as bytes, one after the other, and the script it may run.
// Sends nothing.

/// One argument of a command.
public enum RedisArgument: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    case text(String)
    case integer(Int)
    case bytes([UInt8])
    /// A key: which node of a cluster is asked depends on it.
    case key(String)

    public init(stringLiteral text: String) { self = .text(text) }
    public init(integerLiteral number: Int) { self = .integer(number) }
}

/// A command being written, into memory that the client keeps for the next one.
public struct RedisCommand {
    /// The arguments as bulk strings of RESP.
    private(set) var bytes: [UInt8] = []
    private(set) var argumentCount = 0
    /// Where the first key is in `bytes`; empty: the command has none.
    private(set) var firstKey = 0..<0

    mutating func clear() {
        bytes.removeAll(keepingCapacity: true)
        argumentCount = 0
        firstKey = 0..<0
    }

    public mutating func append(_ text: String) {
        let utf8 = text.utf8
        begin(byteCount: utf8.count)
        bytes.append(contentsOf: utf8)
        end()
    }

    public mutating func append(_ number: Int) {
        begin(byteCount: digitCount(number))
        appendDecimal(number, to: &bytes)
        end()
    }

    public mutating func append(_ content: [UInt8]) {
        begin(byteCount: content.count)
        bytes.append(contentsOf: content)
        end()
    }

    /// A key: which node of a cluster is asked depends on the first one.
    public mutating func append(key: String) {
        append(key)
        if firstKey.isEmpty { firstKey = (bytes.count - 2 - key.utf8.count)..<(bytes.count - 2) }
    }

    public mutating func append(_ argument: RedisArgument) {
        switch argument {
        case .text(let text): append(text)
        case .integer(let number): append(number)
        case .bytes(let content): append(content)
        case .key(let key): append(key: key)
        }
    }

    private mutating func begin(byteCount: Int) {
        argumentCount += 1
        bytes.append(UInt8(ascii: "$"))
        appendDecimal(byteCount, to: &bytes)
        end()
    }

    private mutating func end() {
        bytes.append(13)
        bytes.append(10)
    }
}

/// A Lua script that the server keeps under its SHA-1.
public final class RedisScript: Sendable {
    public let text: String
    /// In hexadecimal, as EVALSHA wants it.
    public let sha1: String

    public init(_ text: String) {
        self.text = text
        sha1 = sha1Hexadecimal(text)
    }
}

private func digitCount(_ number: Int) -> Int {
    var count = number < 0 ? 2 : 1
    var rest = number.magnitude
    while rest >= 10 {
        rest /= 10
        count += 1
    }
    return count
}

/// Appends a number in decimal.
func appendDecimal(_ number: Int, to bytes: inout [UInt8]) {
    if number < 0 { bytes.append(UInt8(ascii: "-")) }
    let start = bytes.count
    var rest = number.magnitude
    repeat {
        bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
        rest /= 10
    } while rest > 0
    bytes[start...].reverse()
}
