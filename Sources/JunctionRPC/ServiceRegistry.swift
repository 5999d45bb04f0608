// Which methods there are, and what turns their bytes into messages. Generated code fills it.
import Glibc
public import JunctionProtobuf

/// The methods that a server has. Confined to one loop, as the services in it are.
public struct ServiceRegistry {
    private var methods: [Method] = []

    public init() {}

    /// Adds a method with one request and one response.
    public mutating func unary<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ request: Request.Type, _ response: Response.Type,
        _ body: @escaping (Request.View, ServerCall<Response>) -> Void
    ) {
        serverStreaming(path, request, response, body)
    }

    /// Adds a method with one request and any number of responses.
    public mutating func serverStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ request: Request.Type, _ response: Response.Type,
        _ body: @escaping (Request.View, ServerCall<Response>) -> Void
    ) {
        add(
            path,
            .oneMessage(
                decode: { (bytes, arena) throws(ProtobufError) in
                    UnsafeMutableRawPointer(try decode(Request.View.self, bytes.span, in: arena).raw)
                },
                begin: { raw, stream in
                    let view = Request.View(raw: raw.assumingMemoryBound(to: Request.View.Raw.self))
                    body(view, ServerCall(stream))
                }))
    }

    /// Adds a method with any number of requests and one response.
    public mutating func clientStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ request: Request.Type, _ response: Response.Type,
        _ body: @escaping (ServerCall<Response>) -> MessageReceiver<Request>
    ) {
        bidirectional(path, request, response, body)
    }

    /// Adds a method with any number of requests and any number of responses.
    public mutating func bidirectional<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ request: Request.Type, _ response: Response.Type,
        _ body: @escaping (ServerCall<Response>) -> MessageReceiver<Request>
    ) {
        add(path, .manyMessages { body(ServerCall($0)) })
    }

    private mutating func add(_ path: String, _ intake: Method.Intake) {
        let bytes = Array(path.utf8)
        let isTaken = method(at: bytes.span) != nil
        precondition(!isTaken, "\(path) is registered twice")
        methods.append(Method(path: bytes, intake: intake))
    }

    /// A server has few methods: comparing lengths first makes a walk over them cheaper than a hash.
    func method(at path: Span<UInt8>) -> Method? {
        for method in methods where method.path.count == path.count && path.equals(method.path) {
            return method
        }
        return nil
    }
}

/// A method with the types taken away.
final class Method {
    /// How the method takes what the caller sends.
    enum Intake {
        case oneMessage(
            decode: (UnsafeRawBufferPointer, Arena) throws(ProtobufError) -> UnsafeMutableRawPointer,
            begin: (UnsafeMutableRawPointer, ServerStream) -> Void)
        case manyMessages((ServerStream) -> any MessageIntake)
    }

    let path: [UInt8]
    let intake: Intake

    init(path: [UInt8], intake: Intake) {
        self.path = path
        self.intake = intake
    }
}

/// Takes the messages of a stream of requests.
protocol MessageIntake: AnyObject {
    func receive(_ bytes: UnsafeRawBufferPointer, in arena: Arena) throws(ProtobufError)
    func end()
}

/// What a method that takes a stream of requests does with them.
public final class MessageReceiver<Request: ProtobufMessage>: MessageIntake {
    private let onMessage: (Request.View) -> Void
    private let onEnd: () -> Void

    /// - Parameters:
    ///   - onMessage: called with each request, which is valid until it returns.
    ///   - onEnd: called once when the caller has sent all; when it leaves before, the delegate is told.
    public init(onMessage: @escaping (Request.View) -> Void, onEnd: @escaping () -> Void) {
        self.onMessage = onMessage
        self.onEnd = onEnd
    }

    func receive(_ bytes: UnsafeRawBufferPointer, in arena: Arena) throws(ProtobufError) {
        onMessage(try decode(Request.View.self, bytes.span, in: arena))
    }

    func end() { onEnd() }
}

extension UnsafeRawBufferPointer {
    var span: Span<UInt8> {
        @_lifetime(borrow self) get {
            let bytes = Span<UInt8>(_unsafeElements: assumingMemoryBound(to: UInt8.self))
            return _overrideLifetime(bytes, borrowing: self)
        }
    }
}

extension Span<UInt8> {
    func equals(_ literal: StaticString) -> Bool {
        count == literal.utf8CodeUnitCount
            && withUnsafeBufferPointer { memcmp($0.baseAddress!, literal.utf8Start, count) == 0 }
    }

    func equals(_ bytes: [UInt8]) -> Bool {
        count == bytes.count && withUnsafeBufferPointer { memcmp($0.baseAddress!, bytes, count) == 0 }
    }

    func starts(with literal: StaticString) -> Bool {
        count >= literal.utf8CodeUnitCount
            && withUnsafeBufferPointer {
                memcmp($0.baseAddress!, literal.utf8Start, literal.utf8CodeUnitCount) == 0
            }
    }
}

extension String {
    init(_ bytes: Span<UInt8>) {
        self = bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}
