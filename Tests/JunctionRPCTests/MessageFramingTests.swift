// Messages on the wire: prefix, size limit, compressed flag; cut whole, in two, and byte by byte.
import JunctionMessages
import Testing

@testable import JunctionRPC

struct MessageFramingTests {
    /// What a deframer made of some bytes.
    struct Outcome: Equatable {
        var messages: [[UInt8]] = []
        var failure: Status?
        var endsInside = false
    }

    static func outcome(of pieces: [[UInt8]], unknownEncoding: Bool = false) -> Outcome {
        var deframer = MessageDeframer(messageBytesMax: 100)
        deframer.hasUnknownEncoding = unknownEncoding
        var outcome = Outcome()
        for piece in pieces where outcome.failure == nil {
            piece.withUnsafeBytes { bytes in
                var offset = 0
                do throws(Status) {
                    while let message = try deframer.next(bytes, &offset) {
                        outcome.messages.append(Array(message))
                    }
                } catch { outcome.failure = error }
            }
        }
        outcome.endsInside = outcome.failure == nil && deframer.isInsideMessage
        return outcome
    }

    /// However the bytes are cut, the outcome is the same.
    static func verify(_ bytes: [UInt8], is expected: Outcome, unknownEncoding: Bool = false) {
        #expect(outcome(of: [bytes], unknownEncoding: unknownEncoding) == expected, "whole")
        for cut in 0...bytes.count {
            let pieces = [Array(bytes[..<cut]), Array(bytes[cut...])]
            #expect(outcome(of: pieces, unknownEncoding: unknownEncoding) == expected, "cut at \(cut)")
        }
        #expect(outcome(of: bytes.map { [$0] }, unknownEncoding: unknownEncoding) == expected, "byte by byte")
    }

    static func framed(_ message: [UInt8], flag: UInt8 = 0) -> [UInt8] {
        [flag] + withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
    }

    @Test func messagesComeOutAsTheyWentIn() {
        let messages: [[UInt8]] = [Array("hello".utf8), [], Array(repeating: 7, count: 100), [0]]
        MessageFramingTests.verify(
            messages.flatMap { MessageFramingTests.framed($0) }, is: Outcome(messages: messages))
        MessageFramingTests.verify([], is: Outcome())
    }

    @Test func aMessageCutShortIsSeen() {
        let whole = MessageFramingTests.framed([1, 2, 3])
        for count in 1..<whole.count {
            MessageFramingTests.verify(
                MessageFramingTests.framed([9]) + whole[..<count],
                is: Outcome(messages: [[9]], endsInside: true))
        }
    }

    @Test func aMessageOverTheLimitIsRefusedAtItsPrefix() {
        let failure = Status(.resourceExhausted, "the message has 101 bytes; the limit is 100")
        MessageFramingTests.verify([0, 0, 0, 0, 101], is: Outcome(failure: failure))
        MessageFramingTests.verify(
            MessageFramingTests.framed([5]) + [0, 0, 0, 0, 101, 1],
            is: Outcome(messages: [[5]], failure: failure))
        let largest = Status(.resourceExhausted, "the message has 4294967295 bytes; the limit is 100")
        MessageFramingTests.verify([0, 255, 255, 255, 255], is: Outcome(failure: largest))
    }

    @Test func aCompressedMessageIsRefusedAsTheDocumentsSay() {
        let compressed = MessageFramingTests.framed([1], flag: 1)
        #expect(MessageFramingTests.outcome(of: [compressed]).failure?.code == .internal)
        #expect(
            MessageFramingTests.outcome(of: [compressed], unknownEncoding: true).failure?.code
                == .unimplemented)
        let plain = Outcome(messages: [[1]])
        MessageFramingTests.verify(MessageFramingTests.framed([1]), is: plain, unknownEncoding: true)
        #expect(
            MessageFramingTests.outcome(of: [MessageFramingTests.framed([1], flag: 2)]).failure?.code
                == .internal)
    }

    @Test func theFramerWritesWhatTheDeframerReads() throws {
        var message = JunctionV1.Message()
        message.content = "hello"
        let bytes = MessageFramer.framed(message)
        #expect(bytes.prefix(5) == [0, 0, 0, 0, 7])
        let found = try #require(MessageFramingTests.outcome(of: [bytes]).messages.first)
        #expect(try JunctionV1.Message(decoding: found) == message)
    }
}
