// Finds the messages in the bytes of a stream, which arrive cut anywhere. Knows no message type.
// Sources: grpc/doc/PROTOCOL-HTTP2.md, grpc/doc/compression.md, grpc/doc/statuscodes.md.
import Glibc

/// Takes bytes as they come and gives messages. A message that one piece of bytes holds whole is not copied.
struct MessageDeframer: ~Copyable {
    private let messageBytesMax: Int
    /// Whether `grpc-encoding` names an encoding that we do not have.
    var hasUnknownEncoding = false

    /// The bytes of the prefix seen so far: at most 5, the newest lowest.
    private var prefix: UInt64 = 0
    private var prefixCount = 0
    /// The first bytes of a message that came in pieces.
    private var gathered: UnsafeMutableRawPointer?
    private var gatheredCount = 0
    private var capacity = 0

    init(messageBytesMax: Int) { self.messageBytesMax = messageBytesMax }

    deinit { free(gathered) }

    /// Whether the bytes so far end inside a message.
    var isInsideMessage: Bool { prefixCount > 0 }

    /// The next message in `data` from `offset` on, which moves behind what was taken; nil when the rest of
    /// `data` is taken and ends no message. The message is valid until the next call, no longer than `data`.
    mutating func next(_ data: UnsafeRawBufferPointer, _ offset: inout Int) throws(Status)
        -> UnsafeRawBufferPointer?
    {
        if prefixCount == 0, capacity > 0 { giveBuffer() }
        while prefixCount < MessageFramer.prefixBytes {
            guard offset < data.count else { return nil }
            prefix = prefix << 8 | UInt64(data[offset])
            prefixCount += 1
            offset += 1
            if prefixCount == MessageFramer.prefixBytes { try checkPrefix() }
        }
        let length = Int(UInt32(truncatingIfNeeded: prefix))
        let available = min(data.count - offset, length - gatheredCount)
        let piece = UnsafeRawBufferPointer(rebasing: data[offset..<offset + available])
        offset += available
        if gatheredCount == 0, available == length {
            startOver()
            return piece
        }
        gather(piece, of: length)
        guard gatheredCount == length else { return nil }
        startOver()
        return UnsafeRawBufferPointer(start: gathered, count: length)
    }

    private mutating func startOver() {
        prefix = 0
        prefixCount = 0
        gatheredCount = 0
    }

    private func checkPrefix() throws(Status) {
        let flag = prefix >> 32
        if flag == 1, hasUnknownEncoding {
            throw Status(
                .unimplemented, "the message is compressed in an unknown way: send identity")
        }
        if flag == 1 {
            throw Status(.internal, "the message is marked as compressed, without a grpc-encoding")
        }
        if flag != 0 { throw Status(.internal, "the message's compressed flag is \(flag), not 0 or 1") }
        let length = UInt32(truncatingIfNeeded: prefix)
        if length > messageBytesMax {
            throw Status(
                .resourceExhausted, "the message has \(length) bytes; the limit is \(messageBytesMax)")
        }
    }

    /// Grows with the bytes that have come, not with the length that the peer announces.
    private mutating func gather(_ piece: UnsafeRawBufferPointer, of length: Int) {
        guard let start = piece.baseAddress, !piece.isEmpty else { return }
        let needed = gatheredCount + piece.count
        if needed > capacity {
            capacity = min(length, max(2 * needed, 1024))
            gathered = realloc(gathered, capacity)
            precondition(gathered != nil, "out of memory")
        }
        memcpy(gathered! + gatheredCount, start, piece.count)
        gatheredCount = needed
    }

    private mutating func giveBuffer() {
        free(gathered)
        gathered = nil
        capacity = 0
    }
}
