// The header fields that a caller sent beyond what gRPC itself needs. They stay bytes in the call's arena; a
// `String` is made of what a handler asks for. Source: grpc/doc/PROTOCOL-HTTP2.md, "Custom-Metadata".
public import JunctionProtobuf

/// What a caller sent beside its request. Valid as long as the stream it came from.
public struct Metadata {
    private var newest: UnsafeMutablePointer<Field>?

    private struct Field {
        let name: Text
        let value: Text
        let older: UnsafeMutablePointer<Field>?
    }

    mutating func append(_ name: Span<UInt8>, _ value: Span<UInt8>, in arena: Arena) {
        let field = arena.allocate(MemoryLayout<Field>.size).assumingMemoryBound(to: Field.self)
        field.initialize(to: Field(name: arena.text(name), value: arena.text(value), older: newest))
        newest = field
    }

    /// The values sent under a name, which is lower-case, in the order sent.
    public func values(_ name: String) -> [String] {
        var values: [String] = []
        var next = newest
        while let field = next {
            if String(field.pointee.name) == name { values.append(String(field.pointee.value)) }
            next = field.pointee.older
        }
        return values.reversed()
    }

    /// The last value sent under a name, which is lower-case; nil when there is none.
    public subscript(name: StaticString) -> Text? {
        var next = newest
        while let field = next {
            if field.pointee.name == name { return field.pointee.value }
            next = field.pointee.older
        }
        return nil
    }

    /// The values sent under a name that ends with `-bin`; those that are no base64 are left out.
    public func binaryValues(_ name: String) -> [[UInt8]] {
        values(name).flatMap { $0.split(separator: ",") }.compactMap { bytes(base64: $0.utf8) }
    }
}

/// `bytes` in base64 without padding (RFC 4648, section 4).
func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var encoded: [UInt8] = []
    var held = 0
    var bits = 0
    for byte in bytes {
        held = held << 8 & 0xffff | Int(byte)
        bits += 8
        while bits >= 6 {
            bits -= 6
            encoded.append(digits[held >> bits & 63])
        }
    }
    if bits > 0 { encoded.append(digits[held << (6 - bits) & 63]) }
    return String(decoding: encoded, as: UTF8.self)
}

/// The bytes that base64 stands for, padded or not; nil when it is none.
func bytes(base64 text: some Sequence<UInt8>) -> [UInt8]? {
    var decoded: [UInt8] = []
    var held = 0
    var bits = 0
    var padding = 0
    for character in text {
        let digit: UInt8
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): digit = 62
        case UInt8(ascii: "/"): digit = 63
        case UInt8(ascii: "="):
            padding += 1
            continue
        case UInt8(ascii: " "): continue
        default: return nil
        }
        if padding > 0 { return nil }
        held = held << 6 & 0xffff | Int(digit)
        bits += 6
        if bits >= 8 {
            bits -= 8
            decoded.append(UInt8(held >> bits & 255))
        }
    }
    return bits == 6 || padding > 2 ? nil : decoded
}
