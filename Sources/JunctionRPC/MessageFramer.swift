// The five bytes before each message: a flag that says whether it is compressed, and its length, big-endian.
// Source: grpc/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
import JunctionProtobuf

@usableFromInline
enum MessageFramer {
    @usableFromInline static let prefixBytes = 5

    /// Writes the prefix of a message of `count` bytes that is not compressed.
    @inlinable
    static func writePrefix(_ count: Int, to buffer: UnsafeMutableRawPointer) {
        buffer.storeBytes(of: 0, as: UInt8.self)
        buffer.storeBytes(of: UInt32(count).bigEndian, toByteOffset: 1, as: UInt32.self)
    }

    /// A message with its prefix.
    static func framed(_ message: some ProtobufMessage) -> [UInt8] {
        let arena = Arena()
        defer { withExtendedLifetime(arena) {} }
        let view = message.view(in: arena)
        let count = view.encodedSize
        return [UInt8](unsafeUninitializedCapacity: prefixBytes + count) { buffer, filled in
            let start = UnsafeMutableRawPointer(buffer.baseAddress!)
            writePrefix(count, to: start)
            view.encode(into: start + prefixBytes)
            filled = prefixBytes + count
        }
    }
}
