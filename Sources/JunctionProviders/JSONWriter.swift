// JSON texts, written straight from bytes into a buffer that is kept.
internal import CJSON
import JunctionProtobuf

/// A JSON text in the making. The caller puts the commas where they belong. Confined to one thread.
final class JSONWriter {
    private var buffer = ByteBuffer()

    /// The text so far, with bytes behind it that may be read; valid until more is written.
    var bytes: UnsafeRawBufferPointer { buffer.bytes }
    var count: Int { buffer.count }

    func removeAll() { buffer.removeAll() }

    /// Takes back what was written from `place` on.
    func removeAll(from place: Int) { buffer.removeAll(from: place) }

    /// Text that is JSON already.
    func raw(_ text: StaticString) {
        buffer.append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func raw(_ text: String) {
        var text = text
        text.withUTF8 { buffer.append(UnsafeRawBufferPointer($0)) }
    }

    func raw(_ bytes: UnsafeRawBufferPointer) { buffer.append(bytes) }

    func byte(_ byte: UInt8) {
        buffer.reserve(1).storeBytes(of: byte, as: UInt8.self)
        buffer.fill(1)
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
        var at = 0
        while at < text.count {
            at += copyUnescaped(UnsafeRawBufferPointer(rebasing: text[at...]))
            guard at < text.count else { return }
            escape(source.load(fromByteOffset: at, as: UInt8.self))
            at += 1
        }
    }

    /// Copies up to the first quote, backslash or control character, and says how far that was.
    private func copyUnescaped(_ text: UnsafeRawBufferPointer) -> Int {
        let source = text.baseAddress!
        let to = buffer.reserve(text.count)
        var at = 0
        while at + 16 <= text.count {
            let block = source.loadUnaligned(fromByteOffset: at, as: SIMD16<UInt8>.self)
            let special = (block .< 0x20) .| (block .== 0x22) .| (block .== 0x5c)
            if any(special) { break }
            to.storeBytes(of: block, toByteOffset: at, as: SIMD16<UInt8>.self)
            at += 16
        }
        while at < text.count {
            let byte = source.load(fromByteOffset: at, as: UInt8.self)
            if byte < 0x20 || byte == 0x22 || byte == 0x5c { break }
            to.storeBytes(of: byte, toByteOffset: at, as: UInt8.self)
            at += 1
        }
        buffer.fill(at)
        return at
    }

    private func escape(_ character: UInt8) {
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
        buffer.fill(junction_json_write_double(value, buffer.reserve(32).assumingMemoryBound(to: CChar.self)))
    }

    /// A number in the shortest form that reads back as the same Float. Must be finite.
    func number(_ value: Float) {
        buffer.fill(junction_json_write_float(value, buffer.reserve(32).assumingMemoryBound(to: CChar.self)))
    }

    func bool(_ value: Bool) { raw(value ? "true" : "false") }

    /// Bytes in base64 (RFC 4648 section 4), without quotes.
    func base64(_ bytes: Span<UInt8>) {
        let to = buffer.reserve((bytes.count + 2) / 3 * 4).assumingMemoryBound(to: UInt8.self)
        buffer.fill(bytes.withUnsafeBufferPointer { encodeBase64($0, to: to) })
    }
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
