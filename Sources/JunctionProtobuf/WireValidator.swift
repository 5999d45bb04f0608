// Walks a message's bytes beside its descriptor before protobuf-c sees them: refuses strings that are not
// UTF-8 or hold a NUL, and nesting that would overflow the stack.
// Source: protobuf.dev/programming-guides/encoding.
internal import CProtobufC
import Glibc

enum WireValidator {
    private static let depthMax = 100

    static func validate(
        _ bytes: UnsafeRawBufferPointer, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
        depth: Int = 1
    ) throws(ProtobufError) {
        guard depth <= depthMax else { throw .tooDeep }
        guard let start = bytes.baseAddress else { return }
        var fields = FieldFinder(descriptor)
        var reader = WireReader(start, end: start + bytes.count)
        while !reader.isAtEnd {
            let tag = try reader.tag()
            guard tag.kind == .bytes else {
                try reader.skip(tag.kind)
                continue
            }
            let value = try reader.bytes()
            guard let field = fields.field(tag.number) else { continue }
            switch field.pointee.type {
            case PROTOBUF_C_TYPE_STRING:
                if isText(value) { continue }
                let path = name(field, at: value, in: bytes)
                if memchr(value.baseAddress!, 0, value.count) != nil { throw .embeddedNUL(field: path) }
                throw .invalidUTF8(field: path)
            case PROTOBUF_C_TYPE_MESSAGE:
                let inner = field.pointee.descriptor.assumingMemoryBound(to: ProtobufCMessageDescriptor.self)
                do throws(ProtobufError) {
                    try validate(value, inner, depth: depth + 1)
                } catch {
                    throw error.inside { name(field, at: value, in: bytes) }
                }
            default: break
            }
        }
    }

    /// The field's name, with its place where it is repeated. The walk up to `value` went well before.
    private static func name(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, at value: UnsafeRawBufferPointer,
        in message: UnsafeRawBufferPointer
    ) -> String {
        let name = String(cString: field.pointee.name)
        guard field.pointee.label == PROTOBUF_C_LABEL_REPEATED else { return name }
        var reader = WireReader(message.baseAddress!, end: value.baseAddress!)
        var place = -1
        while let tag = try? reader.tag() {
            if tag.number == field.pointee.id { place += 1 }
            guard (try? reader.skip(tag.kind)) != nil else { break }
        }
        return "\(name)[\(place)]"
    }

    /// Whether the bytes are UTF-8 without a NUL.
    private static func isText(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if isPlainASCII(bytes) { return true }
        if memchr(bytes.baseAddress!, 0, bytes.count) != nil { return false }
        let text = Span<UInt8>(_unsafeBytes: bytes)
        return (try? UTF8Span(validating: text)) != nil
    }

    /// Whether every byte is 1 to 127, eight at a time.
    private static func isPlainASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 8 else { return bytes.allSatisfy { $0 &- 1 < 0x7f } }
        var at = 0
        while true {
            let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            // Subtracting 1 from each byte sets the high bit of a byte that was 0.
            if (word | (word &- 0x0101_0101_0101_0101)) & 0x8080_8080_8080_8080 != 0 { return false }
            if at == bytes.count - 8 { return true }
            at = min(at + 8, bytes.count - 8)
        }
    }
}

/// Finds fields by number, quickly when they come in order, as encoders write them.
private struct FieldFinder {
    private let descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    private var next: UnsafePointer<ProtobufCFieldDescriptor>?
    private let end: UnsafePointer<ProtobufCFieldDescriptor>?

    init(_ descriptor: UnsafePointer<ProtobufCMessageDescriptor>) {
        self.descriptor = descriptor
        next = descriptor.pointee.fields
        end = next.map { $0 + Int(descriptor.pointee.n_fields) }
    }

    mutating func field(_ number: UInt32) -> UnsafePointer<ProtobufCFieldDescriptor>? {
        while let field = next, field != end {
            if field.pointee.id == number { return field }
            if field.pointee.id > number { break }
            next = field + 1
        }
        return protobuf_c_message_descriptor_get_field(descriptor, number)
    }
}

/// Reads the parts that a message is made of.
private struct WireReader {
    enum Kind: UInt8 {
        case varint, fixed64, bytes
        case fixed32 = 5
    }
    private var at: UnsafeRawPointer
    private let end: UnsafeRawPointer

    init(_ start: UnsafeRawPointer, end: UnsafeRawPointer) {
        at = start
        self.end = end
    }

    var isAtEnd: Bool { at == end }

    mutating func tag() throws(ProtobufError) -> (number: UInt32, kind: Kind) {
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 <= 0x1fff_ffff, let kind = Kind(rawValue: UInt8(tag & 7)) else {
            throw .malformed
        }
        return (UInt32(tag >> 3), kind)
    }

    mutating func skip(_ kind: Kind) throws(ProtobufError) {
        switch kind {
        case .varint: _ = try varint()
        case .fixed64: _ = try take(8)
        case .fixed32: _ = try take(4)
        case .bytes: _ = try bytes()
        }
    }

    mutating func bytes() throws(ProtobufError) -> UnsafeRawBufferPointer { try take(try varint()) }

    private mutating func take(_ count: UInt64) throws(ProtobufError) -> UnsafeRawBufferPointer {
        guard count <= UInt64(end - at) else { throw .malformed }
        defer { at += Int(count) }
        return UnsafeRawBufferPointer(start: at, count: Int(count))
    }

    private mutating func varint() throws(ProtobufError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at != end, shift < 64 {
            let byte = at.load(as: UInt8.self)
            at += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw .malformed
    }
}

extension ProtobufError {
    /// The same error as seen from the message around the one where it arose.
    fileprivate func inside(_ outer: () -> String) -> ProtobufError {
        switch self {
        case .invalidUTF8(let field): .invalidUTF8(field: "\(outer()).\(field)")
        case .embeddedNUL(let field): .embeddedNUL(field: "\(outer()).\(field)")
        case .malformed, .tooDeep, .tooLarge: self
        }
    }
}
