// Replies come out whole however their bytes are split, and what is no reply is refused.
import Testing

@testable import JunctionOutbound

@Suite struct RedisReaderTests {
    private func read(_ pieces: [ArraySlice<UInt8>]) throws -> [RedisValue] {
        let reader = RedisReader()
        var values: [RedisValue] = []
        for piece in pieces {
            try piece.withUnsafeBytes { try reader.feed($0) }
            while let value = try reader.next() { values.append(value) }
        }
        return values
    }

    private static let text =
        "+OK\r\n:42\r\n:-9223372036854775808\r\n$5\r\nhe\r\no\r\n$0\r\n\r\n$-1\r\n-NOSCRIPT No matching\r\n*0\r\n*-1\r\n"
        + "*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n*2\r\n$-1\r\n-ERR inside\r\n+PONG\r\n"

    private static let values: [RedisValue] = [
        .status("OK"), .integer(42), .integer(.min), .bytes(Array("he\r\no".utf8)), .bytes([]), .null,
        .error("NOSCRIPT No matching"), .array([]), .null,
        .array([
            .integer(1), .array([.bytes([97]), .array([])]), .array([.null, .error("ERR inside")]),
        ]),
        .status("PONG"),
    ]

    @Test func repliesAreTheSameHoweverTheyAreSplit() throws {
        let bytes = Array(Self.text.utf8)
        #expect(try read([bytes[...]]) == Self.values)
        #expect(try read(bytes.indices.map { bytes[$0...$0] }) == Self.values)
        for cut in bytes.indices { #expect(try read([bytes[..<cut], bytes[cut...]]) == Self.values) }
    }

    @Test func aReplyOfManyMegabytesComesWhole() throws {
        let content = [UInt8](repeating: 120, count: 9_000_000)
        let bytes = Array("*2\r\n:7\r\n$9000000\r\n".utf8) + content + [13, 10]
        let pieces = stride(from: 0, to: bytes.count, by: 32_768).map {
            bytes[$0..<min($0 + 32_768, bytes.count)]
        }
        #expect(try read(pieces) == [.array([.integer(7), .bytes(content)])])
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n", "*99999999\r\n", "\u{0}\u{1}\u{2}",
        String(repeating: "*1\r\n", count: 30) + ":1\r\n",
    ])
    func whatIsNoReplyIsRefused(_ text: String) {
        #expect(throws: RedisProtocolError.self) { try read([Array(text.utf8)[...]]) }
    }

    /// Whatever comes leads to values or to an error; a change of one byte anywhere is tried.
    @Test func aDamagedReplyDoesNoHarm() {
        let bytes = Array(Self.text.utf8)
        var random = SystemRandomNumberGenerator()
        let seed = random.next()
        var state = seed
        for index in bytes.indices {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var damaged = bytes
            damaged[index] ^= UInt8(truncatingIfNeeded: state >> 33) | 1
            let values = (try? read([damaged[...index], damaged[(index + 1)...]])) ?? []
            #expect(values.count <= Self.text.count, "seed \(seed)")
        }
    }

    @Test func valuesReadAsWhatTheyHold() {
        #expect(RedisValue.bytes(Array("12".utf8)).integer == 12)
        #expect(RedisValue.status("x").integer == nil)
        #expect(RedisValue.error("MOVED 1 a:1").isError("MOVED"))
        #expect(!RedisValue.error("MOVEDX").isError("MOVED"))
        #expect(RedisValue.array([.null]).array == [.null])
    }
}
