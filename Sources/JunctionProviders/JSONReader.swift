// JSON texts, read by simdjson into its tape (doc/tape.md of simdjson 3.0.1) and walked here without a copy.
// The only file that imports the C shim for reading.
internal import CJSON
import Glibc
import JunctionProtobuf

/// Reads JSON texts, one at a time; keeps its memory. Confined to one thread, shared by whoever runs there.
public final class JSONReader {
    /// How many bytes behind a text must be readable.
    static let padding = Int(JUNCTION_JSON_PADDING)
    private let parser: OpaquePointer

    public init() {
        guard let parser = junction_json_make() else { fatalError("out of memory") }
        self.parser = parser
    }

    deinit { junction_json_free(parser) }

    /// The value that the text holds, valid until the next call; nil when the text is not JSON.
    ///
    /// - Parameter text: with `padding` readable bytes behind it.
    func read(_ text: UnsafeRawBufferPointer) -> JSONValue? {
        guard let start = text.baseAddress else { return nil }
        var tape: UnsafePointer<UInt64>?
        var strings: UnsafePointer<UInt8>?
        let error = junction_json_parse(
            parser, start.assumingMemoryBound(to: UInt8.self), text.count, &tape, &strings)
        guard error == 0, let tape, let strings else { return nil }
        return JSONValue(word: tape + 1, tape: tape, strings: UnsafeRawPointer(strings))
    }
}

/// A value in the document that a `JSONReader` read last.
struct JSONValue {
    fileprivate let word: UnsafePointer<UInt64>
    fileprivate let tape: UnsafePointer<UInt64>
    fileprivate let strings: UnsafeRawPointer

    enum Kind {
        case object
        case array
        case text(JSONText)
        case integer(Int64)
        /// A whole number above Int64's.
        case unsigned(UInt64)
        case number(Double)
        case bool(Bool)
        case null
    }

    var kind: Kind {
        switch tag {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""):
            let start = strings + Int(payload)
            let count = Int(start.loadUnaligned(as: UInt32.self))
            return .text(JSONText(UnsafeRawBufferPointer(start: start + 4, count: count)))
        case UInt8(ascii: "l"): return .integer(Int64(bitPattern: word[1]))
        case UInt8(ascii: "u"): return .unsigned(word[1])
        case UInt8(ascii: "d"): return .number(Double(bitPattern: word[1]))
        case UInt8(ascii: "t"): return .bool(true)
        case UInt8(ascii: "f"): return .bool(false)
        default: return .null
        }
    }

    private var tag: UInt8 { UInt8(truncatingIfNeeded: word.pointee >> 56) }
    private var payload: UInt64 { word.pointee & 0x00ff_ffff_ffff_ffff }

    var isObject: Bool { tag == UInt8(ascii: "{") }
    var isArray: Bool { tag == UInt8(ascii: "[") }

    /// A string, unescaped.
    var text: JSONText? {
        if case .text(let text) = kind { text } else { nil }
    }

    /// A whole number; a fraction cut to one, and one out of range to the nearest.
    var integer: Int64? {
        switch kind {
        case .integer(let value): value
        case .unsigned: Int64.max
        case .number(let value):
            Int64(exactly: value.rounded(.towardZero)) ?? (value < 0 ? Int64.min : Int64.max)
        default: nil
        }
    }

    var number: Double? {
        switch kind {
        case .integer(let value): Double(value)
        case .unsigned(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The members of an object, in their order; none when it is no object.
    var members: JSONMembers {
        JSONMembers(word: word + 1, end: isObject ? closing : word + 1, tape: tape, strings: strings)
    }

    /// The elements of an array; none when it is no array.
    var elements: JSONElements {
        JSONElements(word: word + 1, end: isArray ? closing : word + 1, tape: tape, strings: strings)
    }

    /// The member of that name, where this is an object that has it. For what is looked at once.
    subscript(name: StaticString) -> JSONValue? {
        for (key, value) in members where name ~= key { return value }
        return nil
    }

    func hasMember(_ name: UnsafeRawBufferPointer) -> Bool {
        members.contains { $0.key == name }
    }

    private var closing: UnsafePointer<UInt64> { tape + Int(UInt32(truncatingIfNeeded: payload)) - 1 }

    /// The word behind this value.
    fileprivate var following: UnsafePointer<UInt64> {
        switch tag {
        case UInt8(ascii: "{"), UInt8(ascii: "["): closing + 1
        case UInt8(ascii: "l"), UInt8(ascii: "u"), UInt8(ascii: "d"): word + 2
        default: word + 1
        }
    }
}

/// A string of a JSON document, unescaped, as UTF-8.
struct JSONText {
    let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var count: Int { bytes.count }
    var isEmpty: Bool { count == 0 }

    static func ~= (literal: StaticString, text: JSONText) -> Bool {
        text == UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
    }

    static func == (text: JSONText, bytes: UnsafeRawBufferPointer) -> Bool {
        text.count == bytes.count
            && (text.isEmpty || memcmp(text.bytes.baseAddress!, bytes.baseAddress!, text.count) == 0)
    }
}

extension String {
    init(_ text: JSONText) { self = String(decoding: text.bytes, as: UTF8.self) }
}

extension Arena {
    /// A copy of `text` in the arena.
    func text(_ text: JSONText) -> Text {
        self.text(Span(_unsafeBytes: text.bytes))
    }
}

struct JSONMembers: Sequence, IteratorProtocol {
    fileprivate var word: UnsafePointer<UInt64>
    fileprivate let end: UnsafePointer<UInt64>
    fileprivate let tape: UnsafePointer<UInt64>
    fileprivate let strings: UnsafeRawPointer

    mutating func next() -> (key: JSONText, value: JSONValue)? {
        guard word < end else { return nil }
        let key = JSONValue(word: word, tape: tape, strings: strings)
        let value = JSONValue(word: word + 1, tape: tape, strings: strings)
        word = value.following
        return key.text.map { ($0, value) }
    }
}

struct JSONElements: Sequence, IteratorProtocol {
    fileprivate var word: UnsafePointer<UInt64>
    fileprivate let end: UnsafePointer<UInt64>
    fileprivate let tape: UnsafePointer<UInt64>
    fileprivate let strings: UnsafeRawPointer

    /// The elements of nothing.
    static var none: JSONElements {
        let nowhere = UnsafePointer<UInt64>(bitPattern: 8)!
        return JSONElements(word: nowhere, end: nowhere, tape: nowhere, strings: UnsafeRawPointer(nowhere))
    }

    /// How many there are; found by walking over them.
    var count: Int { reduce(into: 0) { count, _ in count += 1 } }

    mutating func next() -> JSONValue? {
        guard word < end else { return nil }
        let value = JSONValue(word: word, tape: tape, strings: strings)
        word = value.following
        return value
    }
}
