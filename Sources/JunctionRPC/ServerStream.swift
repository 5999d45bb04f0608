// One call on the server's side: checks what the caller sends, finds the method, hands it the request, and
// writes what it answers. Knows no method and no message.
// Sources: grpc/doc/PROTOCOL-HTTP2.md, grpc/doc/statuscodes.md, grpc/doc/compression.md.
public import JunctionProtobuf
public import JunctionTransport

/// What the one that answers a call is told while it does.
public protocol ServerStreamDelegate: AnyObject {
    /// The caller cancelled, its connection broke, or its deadline passed: nothing can be sent any more.
    /// At most once, and not after `finish`.
    func callerLeft()
    /// The caller has read enough that `isCongested` became false.
    func callerCaughtUp()
}

/// A call from its first header to its status. Confined to its loop, and no property is changed while it is
/// being changed: they go without the check of that at run time, which costs a tenth of a call.
public final class ServerStream: HTTP2StreamHandler {
    /// Who is told when the caller leaves. Held until the call is over.
    @exclusivity(unchecked) public var delegate: (any ServerStreamDelegate)?
    /// When the caller stops waiting; nil when it waits for ever.
    @exclusivity(unchecked) public private(set) var deadline: ContinuousClock.Instant?
    /// What the caller sent beside its request.
    @exclusivity(unchecked) public private(set) var metadata = Metadata()

    let server: RPCServer
    /// nil once the transport has closed the stream.
    @exclusivity(unchecked) @usableFromInline var http: HTTP2Stream?
    @exclusivity(unchecked) private var borrowedArena: Arena?
    @exclusivity(unchecked) private var head = RequestHead()
    @exclusivity(unchecked) private var deframer: MessageDeframer
    @exclusivity(unchecked) private var method: Method?
    @exclusivity(unchecked) private var request: UnsafeMutableRawPointer?
    @exclusivity(unchecked) private var intake: (any MessageIntake)?
    @exclusivity(unchecked) private var timer: Timer?
    @exclusivity(unchecked) private var isHeadComplete = false
    /// Whether nothing was answered yet.
    @exclusivity(unchecked) private var isWaiting = true
    @exclusivity(unchecked) @usableFromInline var hasSentHeaders = false
    /// Whether the status is sent, or can no longer be.
    @exclusivity(unchecked) @usableFromInline private(set) var isOver = false

    init(_ http: HTTP2Stream, of server: RPCServer) {
        self.http = http
        self.server = server
        deframer = MessageDeframer(messageBytesMax: server.messageBytesMax)
        server.callsUnderWay += 1
        server.callsWaiting += 1
    }

    deinit {
        if let borrowedArena { server.giveBack(borrowedArena) }
    }

    /// Memory that is valid as long as somebody holds this stream: the request lives there, and responses may
    /// be built there.
    public var arena: Arena {
        if let borrowedArena { return borrowedArena }
        let arena = server.takeArena()
        borrowedArena = arena
        return arena
    }

    // MARK: What the one that answers does

    /// Sends a message. Not sent when the call is over.
    @inlinable
    public func send(_ message: some MessageView) {
        guard !isOver, let http else { return }
        sendHeaders(on: http)
        let count = message.encodedSize
        http.send(count: MessageFramer.prefixBytes + count) { buffer in
            MessageFramer.writePrefix(count, to: buffer.baseAddress!)
            message.encode(into: buffer.baseAddress! + MessageFramer.prefixBytes)
        }
    }

    /// Whether more is queued than the caller should be sent before it has read some of it.
    public var isCongested: Bool { http?.isCongested ?? false }

    /// Ends the call. Once; later calls do nothing.
    public func finish(_ status: Status) {
        if isOver { return }
        close()
        write(status)
    }

    private func write(_ status: Status) {
        guard let http else { return }
        if !hasSentHeaders {
            http.sendHeaders(ResponseBlocks.headFields + status.fields, endStream: true)
        } else if status == .ok {
            http.sendTrailers(ResponseBlocks.okTrailers)
        } else {
            http.sendTrailers(status.fields)
        }
    }

    @usableFromInline
    func sendHeaders(on http: HTTP2Stream) {
        if hasSentHeaders { return }
        hasSentHeaders = true
        stopWaiting()
        http.sendHeaders(ResponseBlocks.head, endStream: false)
    }

    private func stopWaiting() {
        if !isWaiting { return }
        isWaiting = false
        server.callsWaiting -= 1
    }

    private func close() {
        isOver = true
        stopWaiting()
        delegate = nil
        intake = nil
        request = nil
        timer?.invalidate()
        timer = nil
    }

    // MARK: What the transport tells

    public func received(headerName name: Span<UInt8>, value: Span<UInt8>) {
        if isHeadComplete { return }
        if !head.take(name, value, registry: server.registry) { metadata.append(name, value, in: arena) }
    }

    public func headersEnded(endStream: Bool) {
        if isHeadComplete || isOver { return }
        isHeadComplete = true
        switch head.verdict {
        case .notGRPC(let fields):
            close()
            http?.sendHeaders(fields, endStream: true)
        case .refused(let status): finish(status)
        case .accepted(let method): begin(method)
        }
    }

    private func begin(_ method: Method) {
        if server.isOverloaded {
            close()
            http?.sendHeaders(ResponseBlocks.overloaded, endStream: true)
            return
        }
        self.method = method
        deframer.hasUnknownEncoding = head.hasUnknownEncoding
        if let timeout = head.timeout {
            deadline = server.loop.now + timeout
            timer = server.loop.schedule(after: timeout) { [unowned self] in deadlinePassed() }
        }
        if case .manyMessages(let start) = method.intake {
            let intake = start(self)
            if !isOver { self.intake = intake }
        }
    }

    public func received(data: Span<UInt8>) {
        // Taken in any case: the rest of a call that is over must not fill the connection's window.
        http?.consume(data.count)
        data.withUnsafeBytes { bytes in
            var offset = 0
            do throws(Status) {
                while !isOver, let message = try deframer.next(bytes, &offset) { try take(message) }
            } catch { finish(error) }
        }
    }

    private func take(_ message: UnsafeRawBufferPointer) throws(Status) {
        if request != nil { throw Status.cardinalityViolation("more than one") }
        do throws(ProtobufError) {
            if let intake {
                defer { server.scratch.reset() }
                try intake.receive(message, in: server.scratch)
            } else if case .oneMessage(let decode, _) = method?.intake {
                request = try decode(message, arena)
            }
        } catch { throw Status(error) }
    }

    public func endedRemotely() {
        if isOver { return }
        if deframer.isInsideMessage {
            finish(Status(.internal, "the request ended inside a message"))
        } else if let intake {
            intake.end()
        } else if case .oneMessage(_, let begin) = method?.intake {
            guard let request else { return finish(.cardinalityViolation("no")) }
            begin(request, self)
        }
    }

    public func becameWritable() { delegate?.callerCaughtUp() }

    public func closed(errorCode: UInt32) {
        http = nil
        server.callsUnderWay -= 1
        tellCallerLeft()
    }

    private func tellCallerLeft() {
        let delegate = self.delegate
        close()
        delegate?.callerLeft()
    }

    // MARK: The deadline

    /// The caller decides by its own clock in any case; the status tells it why, if it can still be written.
    private func deadlinePassed() {
        tellCallerLeft()
        write(Status(.deadlineExceeded, "the call's deadline passed before it was answered"))
        // A caller that does not read does not get the trailers either.
        timer = server.loop.schedule(after: ServerStream.trailersPatience) { [unowned self] in
            http?.reset(HTTP2ErrorCode.cancel)
        }
    }

    private static let trailersPatience = Duration.seconds(1)
}

/// Header blocks that never change.
@usableFromInline
enum ResponseBlocks {
    static let headFields = [
        HeaderField(":status", "200"),
        HeaderField("content-type", "application/grpc"),
        HeaderField("grpc-accept-encoding", "identity"),
    ]
    @usableFromInline static let head = HeaderBlock(headFields)
    /// What a call gets for which there is no time; says when it may be tried again.
    static let overloaded = HeaderBlock(
        headFields + Status(.unavailable, "the router is overloaded", retryPushback: .seconds(1)).fields)
    static let okTrailers = HeaderBlock([HeaderField("grpc-status", "0")])
}

extension Status {
    /// A request that is not one message, where it should be (statuscodes.md, "cardinality violation").
    fileprivate static func cardinalityViolation(_ count: String) -> Status {
        Status(
            .unimplemented, "cardinality violation: the method takes one message, the request has \(count)")
    }

    fileprivate init(_ error: ProtobufError) {
        switch error {
        case .malformed, .tooDeep: self.init(.internal, error.description)
        case .tooLarge: self.init(.resourceExhausted, error.description)
        case .invalidUTF8, .embeddedNUL: self.init(.invalidArgument, error.description)
        }
    }
}
