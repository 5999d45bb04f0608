// JSON texts, written straight from bytes into a buffer that is kept.
internal import CJSON
import Glibc
import JunctionProtobuf

/// A JSON text in the making. The caller puts the commas where they belong. Confined to one thread.
final class JSONWriter {
    private var start = UnsafeMutableRawPointer.allocate(byteCount: 8192, alignment: 16)
    private var capacity = 8192
    private(set) var count = 0
    /// What one huge request took is given back with the next small one.
    private static let capacityKept = 1 << 20

    deinit { start.deallocate() }

    /// The text so far; valid until more is written.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    func removeAll() {
        count = 0
        guard capacity > JSONWriter.capacityKept else { return }
        start.deallocate()
        capacity = 8192
        start = .allocate(byteCount: capacity, alignment: 16)
    }

    /// Takes back what was written from `place` on.
    func removeAll(from place: Int) { count = place }

    /// Text that is JSON already.
    func raw(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount)
        memcpy(start + count, text.utf8Start, text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
    }

    /// Bytes that are JSON already.
    func raw(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count)
        memcpy(start + count, source, bytes.count)
        count += bytes.count
    }

    /// Text that is JSON already.
    func raw(_ text: String) {
        var text = text
        text.withUTF8 { raw(UnsafeRawBufferPointer($0)) }
    }

    func byte(_ byte: UInt8) {
        reserve(1)
        start.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    /// A string.
    func string(_ text: Text) {
        byte(UInt8(ascii: "\""))
        escaped(text)
        byte(UInt8(ascii: "\""))
    }

    func string(_ text: String) {
        var text = text
        byte(UInt8(ascii: "\""))
        text.withUTF8 { escaped(UnsafeRawBufferPointer($0)) }
        byte(UInt8(ascii: "\""))
    }

    func string(_ text: JSONText) {
        byte(UInt8(ascii: "\""))
        escaped(text.bytes)
        byte(UInt8(ascii: "\""))
    }

    /// A value that was read.
    func value(_ value: JSONValue) {
        switch value.kind {
        case .object:
            byte(UInt8(ascii: "{"))
            for (place, member) in value.members.enumerated() {
                if place > 0 { byte(UInt8(ascii: ",")) }
                string(member.key)
                byte(UInt8(ascii: ":"))
                self.value(member.value)
            }
            byte(UInt8(ascii: "}"))
        case .array:
            byte(UInt8(ascii: "["))
            for (place, element) in value.elements.enumerated() {
                if place > 0 { byte(UInt8(ascii: ",")) }
                self.value(element)
            }
            byte(UInt8(ascii: "]"))
        case .text(let text): string(text)
        case .integer(let value): integer(value)
        case .unsigned(let value): magnitude(value)
        case .number(let value): number(value)
        case .bool(let value): bool(value)
        case .null: raw("null")
        }
    }

    /// What stands between a string's quotes.
    func escaped(_ text: Text) { escaped(UnsafeRawBufferPointer(start: text.pointer, count: text.count)) }

    private func escaped(_ text: UnsafeRawBufferPointer) {
        guard let source = text.baseAddress else { return }
        reserve(text.count)
        var at = 0
        while at < text.count {
            let plain = unescapedPrefix(source + at, text.count - at)
            memcpy(start + count, source + at, plain)
            count += plain
            at += plain
            guard at < text.count else { return }
            escape(source.load(fromByteOffset: at, as: UInt8.self), reserving: text.count - at)
            at += 1
        }
    }

    private func escape(_ character: UInt8, reserving rest: Int) {
        reserve(rest + 6)
        switch character {
        case UInt8(ascii: "\""): raw(#"\""#)
        case UInt8(ascii: "\\"): raw(#"\\"#)
        case UInt8(ascii: "\n"): raw(#"\n"#)
        case UInt8(ascii: "\r"): raw(#"\r"#)
        case UInt8(ascii: "\t"): raw(#"\t"#)
        default:
            raw(#"\u00"#)
            byte(character < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            byte(JSONWriter.hexadecimal[Int(character & 15)])
        }
        reserve(rest)
    }

    private static let hexadecimal: InlineArray<16, UInt8> = [
        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102,
    ]

    func integer(_ value: Int64) {
        if value < 0 { byte(UInt8(ascii: "-")) }
        magnitude(value.magnitude)
    }

    private func magnitude(_ value: UInt64) {
        var digits: InlineArray<20, UInt8> = .init(repeating: 0)
        var first = 20
        var rest = value
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        } while rest > 0
        for place in first..<20 { byte(digits[place]) }
    }

    /// A number in its shortest form. Must be finite.
    func number(_ value: Double) {
        reserve(32)
        count += junction_json_write_double(value, (start + count).assumingMemoryBound(to: CChar.self))
    }

    /// A number in the shortest form that reads back as the same Float. Must be finite.
    func number(_ value: Float) {
        reserve(32)
        count += junction_json_write_float(value, (start + count).assumingMemoryBound(to: CChar.self))
    }

    func bool(_ value: Bool) { raw(value ? "true" : "false") }

    /// Bytes in base64 (RFC 4648 section 4), without quotes.
    func base64(_ bytes: Span<UInt8>) {
        reserve((bytes.count + 2) / 3 * 4)
        let to = (start + count).assumingMemoryBound(to: UInt8.self)
        count += bytes.withUnsafeBufferPointer { encodeBase64($0, to: to) }
    }

    /// The text that was written from `place` on, with bytes behind it that may be read.
    func text(from place: Int) -> UnsafeRawBufferPointer {
        reserve(JSONReader.padding)
        return UnsafeRawBufferPointer(start: start + place, count: count - place)
    }

    private func reserve(_ byteCount: Int) {
        if capacity - count < byteCount { grow(byteCount) }
    }

    @inline(never)
    private func grow(_ byteCount: Int) {
        capacity = max(capacity * 2, count + byteCount)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        memcpy(larger, start, count)
        start.deallocate()
        start = larger
    }
}

/// How many bytes go into a JSON string as they are: up to the first quote, backslash or control character.
private func unescapedPrefix(_ source: UnsafeRawPointer, _ count: Int) -> Int {
    var at = 0
    while at + 16 <= count {
        let block = source.loadUnaligned(fromByteOffset: at, as: SIMD16<UInt8>.self)
        let special = (block .< 0x20) .| (block .== 0x22) .| (block .== 0x5c)
        if any(special) { break }
        at += 16
    }
    while at < count {
        let byte = source.load(fromByteOffset: at, as: UInt8.self)
        if byte < 0x20 || byte == 0x22 || byte == 0x5c { break }
        at += 1
    }
    return at
}

/// Writes base64 and returns the bytes written.
private func encodeBase64(_ bytes: UnsafeBufferPointer<UInt8>, to: UnsafeMutablePointer<UInt8>) -> Int {
    let alphabet = ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" as StaticString).utf8Start
    var out = 0
    var at = 0
    while at < bytes.count {
        let left = bytes.count - at
        let group =
            UInt32(bytes[at]) << 16 | (left > 1 ? UInt32(bytes[at + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[at + 2]) : 0)
        to[out] = alphabet[Int(group >> 18)]
        to[out + 1] = alphabet[Int(group >> 12 & 63)]
        to[out + 2] = left > 1 ? alphabet[Int(group >> 6 & 63)] : UInt8(ascii: "=")
        to[out + 3] = left > 2 ? alphabet[Int(group & 63)] : UInt8(ascii: "=")
        out += 4
        at += 3
    }
    return out
}
