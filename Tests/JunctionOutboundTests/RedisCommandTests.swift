// Commands become RESP, keys become slots, and time-outs open the circuit when they are many.
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct RedisCommandTests {
    @Test func argumentsBecomeBulkStrings() {
        var command = RedisCommand()
        command.append("SET")
        command.append(key: "{grün}:x")
        command.append(-120)
        command.append(0)
        command.append(Int.min)
        command.append([0, 255])
        let text =
            "$3\r\nSET\r\n$9\r\n{grün}:x\r\n$4\r\n-120\r\n$1\r\n0\r\n$20\r\n-9223372036854775808\r\n$2\r\n"
        #expect(command.bytes == Array(text.utf8) + [0, 255, 13, 10])
        #expect(command.argumentCount == 6)
        #expect(command.bytes[command.firstKey].elementsEqual("{grün}:x".utf8))
    }

    @Test func aScriptKnowsItsSHA1() {
        #expect(RedisScript("return 1").sha1 == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
    }

    /// The first is the specification's own, the others were asked of a Redis by CLUSTER KEYSLOT.
    @Test(arguments: [
        ("123456789", 12739), ("foo", 12182), ("foo{}{bar}", 8363), ("foo{{bar}}zap", 4015),
        ("{user1000}.following", 3443), ("{user1000}.followers", 3443), ("", 0),
    ])
    func aKeyHasItsSlot(_ key: String, _ slot: Int) {
        #expect(redisSlot(of: Array(key.utf8)) == slot)
    }

    @Test func redirectionsAreRead() {
        let sender = RedisAddress.tcp(host: "10.0.0.1", port: 6379)
        let moved = RedisRedirection("MOVED 3999 127.0.0.1:6381", from: sender)
        #expect(moved?.address == .tcp(host: "127.0.0.1", port: 6381))
        #expect(moved?.isOnce == false && moved?.slot == 3999)
        #expect(RedisRedirection("ASK 1 ::1:6381", from: sender)?.address == .tcp(host: "::1", port: 6381))
        #expect(RedisRedirection("ASK 1 ::1:6381", from: sender)?.isOnce == true)
        // A node that does not know its own name.
        #expect(
            RedisRedirection("MOVED 1 :7000", from: sender)?.address == .tcp(host: "10.0.0.1", port: 7000))
        for text in ["MOVED 16384 a:1", "MOVED 1 a:0", "MOVED 1", "ERR no", "MOVED x a:1"] {
            #expect(RedisRedirection(text, from: sender) == nil)
        }
    }
}

@Suite struct RedisCircuitTests {
    private let timeout = Duration.milliseconds(50)
    private let start = EventLoop().now

    @Test func opensAtTheThirdFailureInARow() {
        var circuit = RedisCircuit()
        #expect(circuit.failed(at: start, within: timeout) == .closed)
        // The same silence, not a second one.
        #expect(circuit.failed(at: start + .milliseconds(10), within: timeout) == .known)
        #expect(circuit.failed(at: start + .milliseconds(50), within: timeout) == .closed)
        #expect(circuit.failed(at: start + .milliseconds(100), within: timeout) == .open)
    }

    @Test func aSuccessBetweenKeepsItClosedUntilHalfOfTwentyFail() {
        var circuit = RedisCircuit()
        var verdicts: [RedisCircuit.Verdict] = []
        for turn in 0..<10 {
            let now = start + .milliseconds(50 * turn)
            verdicts.append(circuit.failed(at: now, within: timeout))
            // Many at once count as one.
            for _ in 0..<100 { circuit.succeeded(at: now + .milliseconds(1), within: timeout) }
        }
        #expect(verdicts == Array(repeating: .closed, count: 9) + [.open])
    }
}
