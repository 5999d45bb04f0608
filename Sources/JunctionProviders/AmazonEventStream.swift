// Amazon's event stream encoding: bytes in, split anywhere; events out. Knows nothing of what the events say.
// Source: docs.aws.amazon.com/AmazonS3/latest/userguide/RESTSelectObjectAppendix.html,
// smithy.io/2.0/aws/amazon-eventstream.html.
import Glibc

/// A frame is its length, its headers' length and a checksum of both; headers; a payload; a checksum of all
/// that. Numbers are big-endian, checksums CRC-32.
struct AmazonEventStream: ~Copyable {
    /// An event; what it points to is valid until more bytes are appended.
    struct Event {
        /// Whether it tells that the stream has failed.
        fileprivate(set) var isFailure = false
        /// The event's type, or the failure's.
        fileprivate(set) var type = JSONText(UnsafeRawBufferPointer(start: nil, count: 0))
        /// What a failure without a payload says.
        fileprivate(set) var message = JSONText(UnsafeRawBufferPointer(start: nil, count: 0))
        fileprivate(set) var payload = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private static let preludeLength = 12
    private static let checksumLength = 4

    /// Most bytes of a frame.
    let bytesMax: Int
    private var buffer = ByteBuffer(keeping: 32 << 10)
    /// Where the next frame starts.
    private var place = 0

    init(bytesMax: Int = 16 << 20) { self.bytesMax = bytesMax }

    mutating func reset() {
        buffer.removeAll()
        place = 0
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if place > 0 { buffer.removeFirst(place) }
        place = 0
        buffer.append(bytes)
    }

    /// Whether the bytes so far end in the midst of a frame.
    var isWithinFrame: Bool { place < buffer.count }

    /// The next event that is complete.
    mutating func next() throws(AnswerProblem) -> Event? {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[place...])
        guard bytes.count >= AmazonEventStream.preludeLength else { return nil }
        let length = Int(bytes.bigEndian(at: 0))
        let headersLength = Int(bytes.bigEndian(at: 4))
        if crc32(UnsafeRawBufferPointer(rebasing: bytes[..<8])) != bytes.bigEndian(at: 8) {
            throw .malformed("has a frame whose prelude does not match its checksum")
        }
        let frame = AmazonEventStream.preludeLength + AmazonEventStream.checksumLength
        guard length >= frame, headersLength <= length - frame else {
            throw .malformed("has a frame whose lengths are impossible")
        }
        if length > bytesMax { throw .malformed("has an event longer than 16 MiB") }
        guard bytes.count >= length else { return nil }
        let end = length - AmazonEventStream.checksumLength
        if crc32(UnsafeRawBufferPointer(rebasing: bytes[..<end])) != bytes.bigEndian(at: end) {
            throw .malformed("has a frame that does not match its checksum")
        }
        place += length
        let headersEnd = AmazonEventStream.preludeLength + headersLength
        var event = Event()
        event.payload = UnsafeRawBufferPointer(rebasing: bytes[headersEnd..<end])
        try read(
            headers: UnsafeRawBufferPointer(rebasing: bytes[AmazonEventStream.preludeLength..<headersEnd]),
            into: &event)
        return event
    }

    private func read(
        headers: UnsafeRawBufferPointer, into event: inout Event
    ) throws(AnswerProblem) {
        var rest = Fields(rest: headers)
        while let name = try rest.nextName() {
            let value = try rest.nextValue()
            switch name {
            case ":message-type": event.isFailure = !("event" ~= value)
            case ":event-type", ":exception-type", ":error-code": event.type = value
            case ":error-message": event.message = value
            default: break
            }
        }
    }
}

/// A frame's headers.
private struct Fields {
    var rest: UnsafeRawBufferPointer

    mutating func nextName() throws(AnswerProblem) -> JSONText? {
        if rest.isEmpty { return nil }
        return JSONText(try take(Int(try take(1)[0])))
    }

    /// A value's bytes, without its length where its type has one.
    mutating func nextValue() throws(AnswerProblem) -> JSONText {
        let type = try take(1)[0]
        var length = 0
        switch type {
        // True and false; then numbers of 1, 2, 4 and 8 bytes; a time; a UUID.
        case 0, 1: length = 0
        case 2: length = 1
        case 3: length = 2
        case 4: length = 4
        case 5, 8: length = 8
        case 9: length = 16
        // Bytes and texts.
        case 6, 7:
            let digits = try take(2)
            length = Int(digits[0]) << 8 | Int(digits[1])
        default: throw .malformed("has a frame with a header of no known type")
        }
        return JSONText(try take(length))
    }

    private mutating func take(_ count: Int) throws(AnswerProblem) -> UnsafeRawBufferPointer {
        guard rest.count >= count else { throw .malformed("has a frame whose headers are cut") }
        defer { rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count)) }
        return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func bigEndian(at place: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: place, as: UInt32.self))
    }
}

// MARK: Checksums

/// For each of eight bytes that are looked at at once, what it adds to the remainder. Never freed.
nonisolated(unsafe) private let remainders: UnsafePointer<UInt32> = {
    let table = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * 256)
    for byte in 0..<256 {
        var remainder = UInt32(byte)
        for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0xedb8_8320 : remainder >> 1 }
        table[byte] = remainder
    }
    for place in 256..<8 * 256 {
        let before = table[place - 256]
        table[place] = before >> 8 ^ table[Int(before & 0xff)]
    }
    return UnsafePointer(table)
}()

/// The CRC-32 of ISO 3309, as in Ethernet and gzip (RFC 1952, section 8).
func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    let table = remainders
    var remainder: UInt32 = 0xffff_ffff
    var place = 0
    while place &+ 8 <= bytes.count {
        let eight = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        let mixed = eight ^ UInt64(remainder)
        remainder = 0
        for index in 0..<8 {
            let byte = Int(truncatingIfNeeded: mixed &>> UInt64(index &* 8)) & 0xff
            remainder ^= table[(7 &- index) &* 256 &+ byte]
        }
        place &+= 8
    }
    while place < bytes.count {
        remainder = remainder >> 8 ^ table[Int((remainder ^ UInt32(bytes[place])) & 0xff)]
        place &+= 1
    }
    return ~remainder
}
