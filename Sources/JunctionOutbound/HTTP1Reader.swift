// Reads HTTP/1.1 answers from bytes that arrive cut anywhere: where heads and bodies begin and end. Knows no
// socket and no handler.
// Sources: RFC 9112 (the format), RFC 9110 §6.4.1 (answers without a body).
import Glibc

/// Reads the answers of one connection, one after another. Keeps no bytes: what it could not use yet is given
/// to it again, with more behind.
struct HTTP1Reader {
    /// What was found, as places in the bytes.
    enum Piece {
        /// The bytes hold nothing more that is whole.
        case needsMore
        /// The head of the final answer begins; those of interim answers (1xx) are passed over.
        case status(Int)
        case field(name: Range<Int>, value: Range<Int>)
        case body(Range<Int>)
        /// The answer is complete.
        case end
        /// What came is not HTTP/1.1 as it must be.
        case malformed(StaticString)
    }

    private enum State: Equatable {
        case statusLine
        case interimFields
        case fields
        case length(Int)
        case untilClose
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case trailers
        case over
    }

    private static let lineBytesMax = 64 << 10
    private static let headBytesMax = 256 << 10

    private var state = State.statusLine
    private var status = 0
    private var headBytes = 0
    private var contentLength: Int?
    private var isChunked = false
    private var saysClose = false
    /// Whether the connection can be used again after the answer; true for certain only at its end.
    private(set) var isKept = false

    /// Awaits another answer.
    mutating func reset() { self = HTTP1Reader() }

    /// Whether the final answer's status has come.
    var hasBegun: Bool { status >= 200 }

    /// Whether the next piece is `.end`, without a byte more.
    var isAtEnd: Bool { state == .over || state == .length(0) }

    /// Whether an answer that the other side ends by closing the connection is whole then.
    var mayEndByClosing: Bool { state == .untilClose }

    /// The next piece in `bytes` from `at` on, which moves behind it.
    mutating func next(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> Piece {
        while true {
            switch state {
            case .length(let left):
                if left == 0 { return end() }
                guard let piece = take(left, bytes, &at) else { return .needsMore }
                state = .length(left - piece.count)
                return .body(piece)
            case .chunk(let left):
                guard let piece = take(left, bytes, &at) else { return .needsMore }
                state = left == piece.count ? .chunkEnd : .chunk(left - piece.count)
                return .body(piece)
            case .untilClose:
                return take(.max, bytes, &at).map { .body($0) } ?? .needsMore
            case .over: return .end
            default: break
            }
            guard let line = line(bytes, &at) else {
                if bytes.count - at > HTTP1Reader.lineBytesMax { return .malformed("a line is too long") }
                if state == .statusLine, !couldBeStatusLine(bytes[at...]) { return HTTP1Reader.notHTTP }
                return .needsMore
            }
            if let piece = read(line, bytes) { return piece }
        }
    }

    private static let notHTTP = Piece.malformed("what came is not HTTP/1.1")

    private mutating func end() -> Piece {
        state = .over
        return .end
    }

    /// As much as there is of the next `count` bytes; nil when there is none.
    private func take(_ count: Int, _ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> Range<Int>? {
        let taken = min(count, bytes.count - at)
        if taken == 0 { return nil }
        defer { at += taken }
        return at..<at + taken
    }

    /// The next line without its end, which is LF or CR LF.
    private func line(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> Range<Int>? {
        guard at < bytes.count, let found = memchr(bytes.baseAddress! + at, 0x0a, bytes.count - at) else {
            return nil
        }
        let start = at
        var end = UnsafeRawPointer(found) - bytes.baseAddress!
        at = end + 1
        if end > start, bytes[end - 1] == 0x0d { end -= 1 }
        return start..<end
    }

    /// nil: the line says nothing to the outside.
    private mutating func read(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> Piece? {
        headBytes += line.count
        if state == .chunkSize || state == .chunkEnd { return readChunk(line, bytes) }
        if headBytes > HTTP1Reader.headBytesMax { return .malformed("the head is too long") }
        switch state {
        case .statusLine: return readStatus(line, bytes)
        case .interimFields:
            if line.isEmpty { state = .statusLine }
            return nil
        case .trailers: return line.isEmpty ? end() : nil
        default: return line.isEmpty ? headEnded() : readField(line, bytes)
        }
    }

    // MARK: The head

    private func couldBeStatusLine(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        let expected: StaticString = "HTTP/1."
        let count = min(bytes.count, expected.utf8CodeUnitCount)
        return count == 0
            || memcmp(bytes.base.baseAddress! + bytes.startIndex, expected.utf8Start, count) == 0
    }

    /// `HTTP/1.1 200 OK`; the reason may be missing.
    private mutating func readStatus(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> Piece? {
        let start = line.lowerBound
        guard line.count >= 12, couldBeStatusLine(bytes[line]), digit(bytes[start + 7]) != nil,
            bytes[start + 8] == 0x20, line.count == 12 || bytes[start + 12] == 0x20,
            let hundreds = digit(bytes[start + 9]), let tens = digit(bytes[start + 10]),
            let units = digit(bytes[start + 11]), hundreds > 0
        else { return HTTP1Reader.notHTTP }
        status = hundreds * 100 + tens * 10 + units
        if status < 200 {
            // Nobody asked for another protocol.
            if status == 101 { return HTTP1Reader.notHTTP }
            state = .interimFields
            return nil
        }
        isKept = bytes[start + 7] != UInt8(ascii: "0")
        state = .fields
        return .status(status)
    }

    private mutating func readField(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> Piece? {
        // A continuation of the line before (RFC 9112 §5.2: obsolete) names nothing.
        if isBlank(bytes[line.lowerBound]) { return nil }
        guard let found = memchr(bytes.baseAddress! + line.lowerBound, 0x3a, line.count) else {
            return .malformed("a header has no colon")
        }
        let colon = UnsafeRawPointer(found) - bytes.baseAddress!
        let name = line.lowerBound..<colon
        if name.isEmpty || isBlank(bytes[colon - 1]) { return .malformed("a header has no name") }
        var (start, end) = (colon + 1, line.upperBound)
        while start < end, isBlank(bytes[start]) { start += 1 }
        while end > start, isBlank(bytes[end - 1]) { end -= 1 }
        if let fault = heed(bytes[name], bytes[start..<end]) { return fault }
        return .field(name: name, value: start..<end)
    }

    /// Learns from a field where the body ends and whether the connection does with it.
    private mutating func heed(
        _ name: Slice<UnsafeRawBufferPointer>, _ value: Slice<UnsafeRawBufferPointer>
    ) -> Piece? {
        switch name.count {
        case 10 where name.isEqual(to: "connection"):
            for token in value.split(separator: UInt8(ascii: ",")) {
                if token.trimmed.isEqual(to: "close") { saysClose = true }
                if token.trimmed.isEqual(to: "keep-alive") { isKept = true }
            }
        case 14 where name.isEqual(to: "content-length"):
            guard !value.isEmpty, value.count <= 18, value.allSatisfy({ digit($0) != nil }) else {
                return .malformed("the content length is not a number")
            }
            let length = value.reduce(0) { $0 * 10 + Int($1 & 0x0f) }
            if let contentLength, contentLength != length {
                return .malformed("there are two content lengths")
            }
            contentLength = length
        case 17 where name.isEqual(to: "transfer-encoding"):
            if !value.isEqual(to: "chunked") || isChunked {
                return .malformed("the transfer encoding is not chunked")
            }
            isChunked = true
        default: break
        }
        return nil
    }

    private mutating func headEnded() -> Piece? {
        headBytes = 0
        if saysClose { isKept = false }
        if status == 204 || status == 304 {
            state = .length(0)
        } else if isChunked {
            // RFC 9112 §6.3: a length beside it may be an attack; the connection must not be used again.
            if contentLength != nil { isKept = false }
            state = .chunkSize
        } else if let contentLength {
            state = .length(contentLength)
        } else {
            isKept = false
            state = .untilClose
        }
        return nil
    }

    // MARK: Chunks

    private mutating func readChunk(_ line: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> Piece? {
        if state == .chunkEnd {
            state = .chunkSize
            return line.isEmpty ? nil : .malformed("a chunk is longer than it says")
        }
        headBytes = 0
        var size = 0
        var digits = 0
        for byte in bytes[line] {
            guard let value = hexadecimalDigit(byte) else {
                // An extension, or blanks.
                if digits > 0, byte == UInt8(ascii: ";") || isBlank(byte) { break }
                return .malformed("a chunk's size is not a number")
            }
            size = size << 4 | value
            digits += 1
            if digits > 15 { return .malformed("a chunk's size is too large") }
        }
        if digits == 0 { return .malformed("a chunk's size is not a number") }
        state = size == 0 ? .trailers : .chunk(size)
        return nil
    }
}

private func digit(_ byte: UInt8) -> Int? { byte &- 0x30 <= 9 ? Int(byte &- 0x30) : nil }

private func hexadecimalDigit(_ byte: UInt8) -> Int? {
    if let digit = digit(byte) { return digit }
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter <= 5 ? Int(letter) + 10 : nil
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

extension Slice<UnsafeRawBufferPointer> {
    /// Compares without regard to case; `lowerCase` is.
    fileprivate func isEqual(to lowerCase: StaticString) -> Bool {
        guard count == lowerCase.utf8CodeUnitCount else { return false }
        let bytes = UnsafeRawBufferPointer(rebasing: self)
        for index in bytes.indices {
            let byte = bytes[index]
            let folded = byte &- 0x41 <= 25 ? byte | 0x20 : byte
            if folded != lowerCase.utf8Start[index] { return false }
        }
        return true
    }

    fileprivate var trimmed: Slice<UnsafeRawBufferPointer> {
        var trimmed = self
        while let first = trimmed.first, isBlank(first) { trimmed.removeFirst() }
        while let last = trimmed.last, isBlank(last) { trimmed.removeLast() }
        return trimmed
    }
}
