// JSON texts, written straight from bytes into a buffer that is kept.
internal import CJSON
import Glibc
import JunctionProtobuf

/// A JSON text in the making. The caller puts the commas where they belong. Confined to one thread.
final class JSONWriter {
    /// Behind a pointer, since Swift would check each access to a class's variable for another under way.
    private let buffer = UnsafeMutablePointer<ByteBuffer>.allocate(capacity: 1)

    init() { buffer.initialize(to: ByteBuffer(keeping: 1 << 20)) }

    deinit {
        buffer.deinitialize(count: 1)
        buffer.deallocate()
    }

    /// The text so far, with bytes behind it that may be read; valid until more is written.
    var bytes: UnsafeRawBufferPointer { buffer.pointee.bytes }
    var count: Int { buffer.pointee.count }

    func removeAll() { buffer.pointee.removeAll() }

    /// Takes back what was written from `place` on.
    func removeAll(from place: Int) { buffer.pointee.removeAll(from: place) }

    /// Text that is JSON already.
    func raw(_ text: StaticString) {
        buffer.pointee.append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// A literal is none of these: a `StaticString` costs a third.
    @_disfavoredOverload
    func raw(_ text: String) {
        var text = text
        text.withUTF8 { buffer.pointee.append(UnsafeRawBufferPointer($0)) }
    }

    func raw(_ bytes: UnsafeRawBufferPointer) { buffer.pointee.append(bytes) }

    func byte(_ byte: UInt8) {
        buffer.pointee.reserve(1).storeBytes(of: byte, as: UInt8.self)
        buffer.pointee.fill(1)
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
        var rest = text[...]
        while !rest.isEmpty {
            let block = UnsafeRawBufferPointer(rebasing: rest.prefix(4096))
            let to = buffer.pointee.reserve(block.count * 6 + 8)
            buffer.pointee.fill(writeEscaped(block, to: to))
            rest = rest.dropFirst(block.count)
        }
    }

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
        let to = buffer.pointee.reserve(32).assumingMemoryBound(to: CChar.self)
        buffer.pointee.fill(junction_json_write_double(value, to))
    }

    /// A number in the shortest form that reads back as the same Float. Must be finite.
    func number(_ value: Float) {
        let to = buffer.pointee.reserve(32).assumingMemoryBound(to: CChar.self)
        buffer.pointee.fill(junction_json_write_float(value, to))
    }

    func bool(_ value: Bool) { raw(value ? "true" : "false") }

    /// Bytes in base64 (RFC 4648 section 4), without quotes.
    func base64(_ bytes: Span<UInt8>) {
        let to = buffer.pointee.reserve((bytes.count + 2) / 3 * 4).assumingMemoryBound(to: UInt8.self)
        buffer.pointee.fill(bytes.withUnsafeBufferPointer { encodeBase64($0, to: to) })
    }
}

/// Writes what stands for `text` between quotes, and returns the bytes written: at most six for one.
private func writeEscaped(_ text: UnsafeRawBufferPointer, to: UnsafeMutableRawPointer) -> Int {
    guard let source = text.baseAddress else { return 0 }
    let count = text.count
    var at = 0
    var out = 0
    while at < count {
        if at &+ 8 <= count {
            let eight = source.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            to.storeBytes(of: eight, toByteOffset: out, as: UInt64.self)
            let special = eight.bytes(below: 0x20) | eight.bytes(equalTo: 0x22) | eight.bytes(equalTo: 0x5c)
            let plain = special == 0 ? 8 : special.trailingZeroBitCount &>> 3
            at &+= plain
            out &+= plain
            if special == 0 { continue }
        }
        let byte = source.load(fromByteOffset: at, as: UInt8.self)
        at += 1
        out += writeEscaped(byte, to: to + out)
    }
    return out
}

private func writeEscaped(_ byte: UInt8, to: UnsafeMutableRawPointer) -> Int {
    let short: UInt8
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): short = byte
    case UInt8(ascii: "\n"): short = UInt8(ascii: "n")
    case UInt8(ascii: "\r"): short = UInt8(ascii: "r")
    case UInt8(ascii: "\t"): short = UInt8(ascii: "t")
    case 0..<0x20:
        memcpy(to, ("\\u00" as StaticString).utf8Start, 4)
        to.storeBytes(of: UInt8(ascii: "0") + byte >> 4, toByteOffset: 4, as: UInt8.self)
        to.storeBytes(
            of: ("0123456789abcdef" as StaticString).utf8Start[Int(byte & 15)], toByteOffset: 5,
            as: UInt8.self)
        return 6
    default:
        to.storeBytes(of: byte, as: UInt8.self)
        return 1
    }
    to.storeBytes(of: UInt8(ascii: "\\"), as: UInt8.self)
    to.storeBytes(of: short, toByteOffset: 1, as: UInt8.self)
    return 2
}

/// Writes base64 and returns the bytes written.
private func encodeBase64(_ bytes: UnsafeBufferPointer<UInt8>, to: UnsafeMutablePointer<UInt8>) -> Int {
    let alphabet = ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" as StaticString)
        .utf8Start
    var out = 0
    var at = 0
    while at < bytes.count {
        let left = bytes.count - at
        let group =
            UInt32(bytes[at]) << 16 | (left > 1 ? UInt32(bytes[at + 1]) << 8 : 0)
            | (left > 2 ? UInt32(bytes[at + 2]) : 0)
        to[out] = alphabet[Int(group >> 18)]
        to[out + 1] = alphabet[Int(group >> 12 & 63)]
        to[out + 2] = left > 1 ? alphabet[Int(group >> 6 & 63)] : UInt8(ascii: "=")
        to[out + 3] = left > 2 ? alphabet[Int(group & 63)] : UInt8(ascii: "=")
        out += 4
        at += 3
    }
    return out
}
