// Walks a message's bytes beside its descriptor before protobuf-c sees them: refuses strings that are not
// UTF-8 or hold a NUL, and nesting that would overflow the stack. Source: protobuf.dev/programming-guides/encoding.
internal import CProtobufC
import Glibc

struct WireValidator {
    private static let depthMax = 100
    private var depth = 0

    mutating func validate(
        _ bytes: UnsafeRawBufferPointer, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) throws(ProtobufError) {
        guard depth < WireValidator.depthMax else { throw .tooDeep }
        depth += 1
        defer { depth -= 1 }
        var at = 0
        while at < bytes.count {
            let tag = try varint(bytes, &at)
            guard tag >> 3 != 0, tag >> 3 <= 0x1fff_ffff else { throw .malformed }
            switch tag & 7 {
            case 0: _ = try varint(bytes, &at)
            case 1: at += 8
            case 5: at += 4
            case 2:
                let length = try varint(bytes, &at)
                guard length <= UInt64(bytes.count - at) else { throw .malformed }
                let value = UnsafeRawBufferPointer(rebasing: bytes[at..<at + Int(length)])
                try check(value, number: UInt32(tag >> 3), of: descriptor, in: bytes, before: at)
                at += Int(length)
            default: throw .malformed
            }
            guard at <= bytes.count else { throw .malformed }
        }
    }

    private mutating func check(
        _ value: UnsafeRawBufferPointer, number: UInt32, of descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
        in bytes: UnsafeRawBufferPointer, before offset: Int
    ) throws(ProtobufError) {
        guard let field = protobuf_c_message_descriptor_get_field(descriptor, number) else { return }
        switch field.pointee.type {
        case PROTOBUF_C_TYPE_STRING:
            if let start = value.baseAddress, memchr(start, 0, value.count) != nil {
                throw .embeddedNUL(field: name(field, bytes, offset))
            }
            if !isUTF8(value) { throw .invalidUTF8(field: name(field, bytes, offset)) }
        case PROTOBUF_C_TYPE_MESSAGE:
            do {
                try validate(value, field.pointee.descriptor.assumingMemoryBound(to: ProtobufCMessageDescriptor.self))
            } catch {
                let here = name(field, bytes, offset)
                switch error {
                case .invalidUTF8(let inner): throw .invalidUTF8(field: "\(here).\(inner)")
                case .embeddedNUL(let inner): throw .embeddedNUL(field: "\(here).\(inner)")
                case .malformed, .tooDeep: throw error
                }
            }
        default: break
        }
    }

    /// The field's name, with its place where it is repeated.
    private func name(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ bytes: UnsafeRawBufferPointer, _ offset: Int
    ) -> String {
        let name = String(cString: field.pointee.name)
        guard field.pointee.label == PROTOBUF_C_LABEL_REPEATED else { return name }
        // The walk up to here went well, so it does so again.
        var at = 0
        var place = -1
        while at < offset {
            guard let tag = try? varint(bytes, &at) else { break }
            switch tag & 7 {
            case 0: _ = try? varint(bytes, &at)
            case 1: at += 8
            case 5: at += 4
            default:
                guard let length = try? varint(bytes, &at) else { return name }
                if tag >> 3 == UInt64(field.pointee.id) { place += 1 }
                at += Int(length)
            }
        }
        return "\(name)[\(max(0, place))]"
    }

    private func varint(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) throws(ProtobufError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < bytes.count, shift < 64 {
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw .malformed
    }

    private func isUTF8(_ value: UnsafeRawBufferPointer) -> Bool {
        var at = 0
        while at + 8 <= value.count,
            value.loadUnaligned(fromByteOffset: at, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 { at += 8 }
        if at == value.count { return true }
        let rest = UnsafeRawBufferPointer(rebasing: value[at...])
        if rest.allSatisfy({ $0 < 0x80 }) { return true }
        return String(validating: rest, as: UTF8.self) != nil
    }
}
