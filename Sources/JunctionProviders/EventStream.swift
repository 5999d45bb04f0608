// Server-sent events: bytes in, split anywhere; events out. Knows nothing of what the events say.
// Source: html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
import Glibc

struct EventStream: ~Copyable {
    /// An event; its data is valid until the next is asked for.
    struct Event {
        let data: UnsafeRawBufferPointer
        /// Whether the event's type is `error`; other types do not matter here.
        let isError: Bool
    }

    /// Most bytes of an event.
    let bytesMax: Int
    /// Thousands of streams wait at a time, each with its buffer.
    private var buffer = ByteBuffer(keeping: 32 << 10)
    /// Where the line starts whose end is looked for, and up to where it was looked for.
    private var line = 0
    private var scanned = 0
    /// The data of the event under way.
    private var data: Range<Int>?
    private var isError = false
    private var isAtStart = true
    private var isBehindCarriageReturn = false

    init(bytesMax: Int = 16 << 20) { self.bytesMax = bytesMax }

    mutating func reset() {
        buffer.removeAll()
        line = 0
        scanned = 0
        data = nil
        isError = false
        isAtStart = true
        isBehindCarriageReturn = false
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        let done = data?.lowerBound ?? line
        if done > 0 {
            buffer.removeFirst(done)
            line -= done
            scanned -= done
            data = data.map { $0.lowerBound - done..<$0.upperBound - done }
        }
        buffer.append(bytes)
    }

    /// Whether the event under way is longer than any event may be. Asked when there is no next event.
    var isTooLong: Bool { buffer.count - (data?.lowerBound ?? line) > bytesMax }

    /// The next event that is complete.
    mutating func next() -> Event? {
        while let end = lineEnd() {
            let range = line..<end
            isBehindCarriageReturn = byte(end) == UInt8(ascii: "\r")
            line = end + 1
            scanned = line
            if range.isEmpty {
                isAtStart = false
                if let event = dispatch() { return event }
            } else {
                read(range)
            }
        }
        if line == buffer.count, data == nil {
            buffer.removeAll()
            line = 0
            scanned = 0
        }
        return nil
    }

    /// What came of an event before the stream ended within it.
    mutating func rest() -> Event? {
        if line < buffer.count { read(line..<buffer.count) }
        line = buffer.count
        return dispatch()
    }

    private mutating func dispatch() -> Event? {
        defer {
            data = nil
            isError = false
        }
        guard let data else { return nil }
        return Event(data: UnsafeRawBufferPointer(rebasing: buffer.bytes[data]), isError: isError)
    }

    /// Takes in one line that is not empty.
    private mutating func read(_ range: Range<Int>) {
        var range = range
        if isAtStart {
            isAtStart = false
            if starts(range, with: "\u{feff}") { range = range.lowerBound + 3..<range.upperBound }
        }
        if starts(range, with: "data") {
            if let value = value(range, nameLength: 4) { addData(value) }
        } else if starts(range, with: "event"), let value = value(range, nameLength: 5) {
            isError = value.count == 5 && starts(value, with: "error")
        }
    }

    /// The field's value; nil when the field's name is longer than that.
    private func value(_ range: Range<Int>, nameLength: Int) -> Range<Int>? {
        var at = range.lowerBound + nameLength
        if at == range.upperBound { return at..<at }
        guard byte(at) == UInt8(ascii: ":") else { return nil }
        at += 1
        if at < range.upperBound, byte(at) == UInt8(ascii: " ") { at += 1 }
        return at..<range.upperBound
    }

    /// Lines of data are joined by a line feed, where they stand: what is joined is shorter than what it was.
    private mutating func addData(_ value: Range<Int>) {
        guard let first = data else {
            data = value
            return
        }
        let end = first.upperBound
        buffer.start.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: end, as: UInt8.self)
        memmove(buffer.start + end + 1, buffer.start + value.lowerBound, value.count)
        data = first.lowerBound..<end + 1 + value.count
    }

    /// Where the line ends: at a carriage return or a line feed; the line feed of a pair is passed over.
    private mutating func lineEnd() -> Int? {
        if isBehindCarriageReturn, line < buffer.count {
            isBehindCarriageReturn = false
            if byte(line) == UInt8(ascii: "\n") {
                line += 1
                scanned = line
            }
        }
        while scanned < buffer.count {
            // In steps, so that a stream without line feeds is not searched for them anew at each line.
            let start = buffer.start + scanned
            let count = min(buffer.count - scanned, 4096)
            let lineFeed = memchr(start, 0x0a, count)
            let countBefore = lineFeed.map { UnsafeRawPointer($0) - UnsafeRawPointer(start) } ?? count
            if let carriageReturn = memchr(start, 0x0d, countBefore) {
                scanned += UnsafeRawPointer(carriageReturn) - UnsafeRawPointer(start)
                return scanned
            }
            scanned += countBefore
            if lineFeed != nil { return scanned }
        }
        return nil
    }

    private func byte(_ place: Int) -> UInt8 { buffer.start.load(fromByteOffset: place, as: UInt8.self) }

    private func starts(_ range: Range<Int>, with literal: StaticString) -> Bool {
        range.count >= literal.utf8CodeUnitCount
            && memcmp(buffer.start + range.lowerBound, literal.utf8Start, literal.utf8CodeUnitCount) == 0
    }
}

extension JSONReader {
    /// The object that an event's data are, in formats whose events are nothing else.
    func object(_ event: EventStream.Event) throws(AnswerProblem) -> JSONValue {
        guard let value = read(event.data), value.isObject else {
            throw .malformed("has an event that is no JSON object")
        }
        return value
    }
}
