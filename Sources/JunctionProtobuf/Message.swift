// Messages in an arena: made, decoded, encoded by protobuf-c. Generated views conform to `MessageView`,
// generated values to `ProtobufMessage`.
public import CProtobufC

/// A message in an arena. A reference, not a value: copies of a view see the same message. It does not keep
/// the arena alive.
public protocol MessageView: FieldElement where Stored == UnsafeMutablePointer<Raw>? {
    /// The struct that protoc-c generates for the message.
    associatedtype Raw
    static var descriptor: UnsafePointer<ProtobufCMessageDescriptor> { get }
    var raw: UnsafeMutablePointer<Raw> { get }
    init(raw: UnsafeMutablePointer<Raw>)
}

extension MessageView {
    /// protobuf-c keeps a message by pointer; one that stands in a repeated field is never NULL.
    @inlinable public init(stored: UnsafeMutablePointer<Raw>?) { self.init(raw: stored!) }
    @inlinable public var stored: UnsafeMutablePointer<Raw>? { raw }

    /// An empty message in `arena`.
    @inlinable
    public init(in arena: Arena) {
        let memory = arena.allocate(MemoryLayout<Raw>.size)
        Self.descriptor.pointee.message_init(memory.assumingMemoryBound(to: ProtobufCMessage.self))
        self.init(raw: memory.assumingMemoryBound(to: Raw.self))
    }

    /// Bytes of the message on the wire.
    @inlinable
    public var encodedSize: Int { protobuf_c_message_get_packed_size(base) }

    /// Writes the message's `encodedSize` bytes to `buffer`. For the layer that frames messages.
    @inlinable
    public func encode(into buffer: UnsafeMutableRawPointer) {
        protobuf_c_message_pack(base, buffer.assumingMemoryBound(to: UInt8.self))
    }

    /// The message on the wire.
    public func encoded() -> [UInt8] {
        let size = encodedSize
        // The memory of all empty arrays is one: making one by hand would write to it.
        if size == 0 { return [] }
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            encode(into: buffer.baseAddress!)
            count = size
        }
    }

    @inlinable
    var base: UnsafePointer<ProtobufCMessage> {
        UnsafeRawPointer(raw).assumingMemoryBound(to: ProtobufCMessage.self)
    }
}

/// A message as a plain value, independent of any arena.
public protocol ProtobufMessage: Sendable, Hashable {
    associatedtype View: MessageView
    init()
    /// A copy of the message that `view` shows.
    init(_ view: View)
    /// A copy of the message in `arena`.
    func view(in arena: Arena) -> View
    /// The message's name with its package, such as `junction.v1.Usage`.
    static var fullName: String { get }
}

extension ProtobufMessage {
    /// The message on the wire.
    public func encoded() -> [UInt8] {
        let arena = Arena()
        return withExtendedLifetime(arena) { view(in: arena).encoded() }
    }

    /// Reads a message from its wire form.
    public init(decoding bytes: [UInt8]) throws(ProtobufError) {
        let arena = Arena()
        defer { withExtendedLifetime(arena) {} }
        self.init(try decode(View.self, bytes.span, in: arena))
    }
}

/// Reads a message from its wire form into `arena`.
///
/// protobuf-c neither checks UTF-8 nor keeps what follows a NUL in a string, so both are refused first, as
/// the protobuf specification has it for proto3 strings (a NUL is legal there; Junction cannot hold one).
@inlinable
public func decode<V: MessageView>(
    _ type: V.Type, _ bytes: Span<UInt8>, in arena: Arena
) throws(ProtobufError) -> V {
    V(raw: try arena.unpack(bytes, V.descriptor).assumingMemoryBound(to: V.Raw.self))
}

extension Arena {
    /// A message may take so many times its length when it is decoded, and in any case so many bytes. One of
    /// our API that holds text takes twice its length; one of empty messages 70 times.
    private static let growthMax = 16
    private static let decodedBytesMin = 256 << 10

    @usableFromInline
    func unpack(
        _ bytes: Span<UInt8>, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) throws(ProtobufError) -> UnsafeMutableRawPointer {
        try bytes.withUnsafeBufferPointer { buffer throws(ProtobufError) in
            try WireValidator.validate(UnsafeRawBufferPointer(buffer), descriptor)
            // Small messages are mostly what they are decoded to; of large ones only what is empty grows so.
            let bytesMax = max(Arena.decodedBytesMin, Arena.growthMax * buffer.count)
            let message = decode(atMost: bytesMax) { allocator in
                UnsafeMutableRawPointer(
                    protobuf_c_message_unpack(descriptor, allocator, buffer.count, buffer.baseAddress))
            }
            if let message { return message }
            if wasExhausted { throw .tooLarge(bytesMax: bytesMax) }
            throw .malformed
        }
    }
}

/// Why bytes are not the message they should be.
public enum ProtobufError: Error, Equatable, CustomStringConvertible {
    /// The bytes are cut short or are no protobuf.
    case malformed
    /// A string field is not UTF-8. The field by its path, such as `completion.messages[2].content`.
    case invalidUTF8(field: String)
    /// A string field holds a NUL character.
    case embeddedNUL(field: String)
    /// Messages are nested more than 100 deep.
    case tooDeep
    /// Decoded, the message takes more memory than one of its length may.
    case tooLarge(bytesMax: Int)

    public var description: String {
        switch self {
        case .malformed: "the message cannot be parsed as protobuf"
        case .invalidUTF8(let field): "\(field) is not valid UTF-8"
        case .embeddedNUL(let field): "\(field) holds a NUL character, which is not supported"
        case .tooDeep: "messages are nested more than 100 deep"
        case .tooLarge(let bytesMax): "the message takes more than \(bytesMax) bytes when it is decoded"
        }
    }
}
