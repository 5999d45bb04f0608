// One HTTP/2 stream as its user sees it: headers, body, trailers out; events in. What is sent here is only
// queued; the connection makes frames of it at the end of the loop's turn. Knows neither sockets nor nghttp2.

/// What a stream is told. One object a stream; its methods may call any method of any stream.
public protocol HTTP2StreamHandler: AnyObject {
    /// One field of a header block, pseudo-headers included, in order. The bytes are valid during the call.
    func received(headerName: Span<UInt8>, value: Span<UInt8>)
    /// The end of a header block: request head, response head (also an informational one) or trailers.
    func headersEnded(endStream: Bool)
    /// A piece of the body. The peer may send as many bytes again once `HTTP2Stream.consume` hears of them.
    func received(data: Span<UInt8>)
    /// The peer sends no more. Also follows `headersEnded(endStream: true)`.
    func endedRemotely()
    /// Output that had passed the high mark fell below the low mark, and the stream was not ended yet.
    func becameWritable()
    /// The last call, exactly once. 0: both sides ended, or the peer reset the stream without an error;
    /// `HTTP2ErrorCode.connectionLost`: the connection ended under the stream.
    func closed(errorCode: UInt32)
}

/// A header field to send. Names in lower case.
public struct HeaderField: Sendable, Equatable {
    public var name: String
    public var value: String
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Header fields made ready once, to be sent any number of times without building strings.
public final class HeaderBlock: Sendable {
    struct Lengths {
        let name: Int
        let value: Int
    }
    /// Names and values, one after the other; `lengths` divides them.
    nonisolated(unsafe) let bytes: UnsafeMutablePointer<UInt8>
    let lengths: [Lengths]

    public init(_ fields: [HeaderField]) {
        lengths = fields.map { Lengths(name: $0.name.utf8.count, value: $0.value.utf8.count) }
        bytes = .allocate(capacity: max(1, lengths.reduce(0) { $0 + $1.name + $1.value }))
        var end = bytes
        for byte in fields.lazy.flatMap({ [$0.name.utf8, $0.value.utf8] }).joined() {
            end.initialize(to: byte)
            end += 1
        }
    }

    deinit { bytes.deallocate() }
}

/// One stream of a connection. Confined to its loop. After `closed` its methods do nothing.
public final class HTTP2Stream {
    /// Output above which a stream is congested, and below which it is writable again.
    static let highMarkBytes = 64 * 1024
    static let lowMarkBytes = 32 * 1024

    enum End {
        case none
        case body
        case trailers(HeaderBlock)
    }

    /// The number of the stream on its connection; 0 when a request could not be submitted.
    @exclusivity(unchecked) public internal(set) var id: Int32
    // The session's side.
    @exclusivity(unchecked) var session: HTTP2Session?
    @exclusivity(unchecked) var handler: (any HTTP2StreamHandler)?
    @exclusivity(unchecked) var slot = -1
    @exclusivity(unchecked) var output = OutputBuffer()
    @exclusivity(unchecked) var headers: HeaderBlock?
    @exclusivity(unchecked) var end = End.none
    @exclusivity(unchecked) var isDeferred = false
    @exclusivity(unchecked) var hasEndedRemotely = false
    @exclusivity(unchecked) var isAwaitedByHandler = false
    @exclusivity(unchecked) var bytesUnconsumed = 0
    @exclusivity(unchecked) var headerBytes = 0
    @exclusivity(unchecked) var headerFields = 0
    @exclusivity(unchecked) var resetCode: UInt32?

    init(id: Int32, session: HTTP2Session) {
        self.id = id
        self.session = session
    }

    /// Whether `closed` was told, or is about to be after a `reset`.
    public var isClosed: Bool { session == nil || resetCode != nil }

    /// Body bytes that are queued and not yet in frames.
    public var bytesQueued: Int { output.count }

    /// More is queued than should be; `becameWritable` follows when it has gone.
    public var isCongested: Bool { output.count > HTTP2Stream.highMarkBytes }

    /// Sends the head of a response. Once, before everything else. With `endStream` it is the whole of it.
    public func sendHeaders(_ block: HeaderBlock, endStream: Bool = false) {
        guard let session, !isClosed else { return }
        precondition(headers == nil, "the head of a response is sent once")
        headers = block
        if endStream { end = .body }
        session.submitResponse(self, block, endStream: endStream)
    }

    public func sendHeaders(_ fields: [HeaderField], endStream: Bool = false) {
        if !isClosed { sendHeaders(HeaderBlock(fields), endStream: endStream) }
    }

    /// Queues `count` body bytes, which `fill` writes; it must not call the stream.
    public func send(count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
        guard let session, canSend else { return }
        let room = output.reserve(count)
        fill(room)
        output.commit(count)
        if isCongested { isAwaitedByHandler = true }
        session.resume(self)
    }

    /// Queues a body, or a part of it, that is ready.
    public func send(_ bytes: [UInt8]) {
        send(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// Ends the stream with trailers, behind the body that is queued.
    public func sendTrailers(_ block: HeaderBlock) {
        guard let session, canSend else { return }
        end = .trailers(block)
        session.resume(self)
    }

    public func sendTrailers(_ fields: [HeaderField]) {
        if !isClosed { sendTrailers(HeaderBlock(fields)) }
    }

    /// Ends the stream without trailers, behind the body that is queued.
    public func endBody() {
        guard let session, canSend else { return }
        end = .body
        session.resume(self)
    }

    /// Lets the peer send `byteCount` more: that much of the body was taken.
    public func consume(_ byteCount: Int) {
        guard let session else { return }
        let consumed = min(byteCount, bytesUnconsumed)
        bytesUnconsumed -= consumed
        session.consume(self, consumed)
    }

    /// Ends the stream at once in both directions; what is queued is dropped. `closed` follows in this turn
    /// of the loop with the same code, never within this call, and nothing else before it.
    public func reset(_ errorCode: UInt32) {
        guard let session, !isClosed else { return }
        resetCode = errorCode
        output.discard()
        session.reset(self, errorCode)
    }

    private var canSend: Bool {
        guard !isClosed else { return false }
        precondition(headers != nil, "headers come before the body")
        guard case .none = end else { preconditionFailure("the stream was ended already") }
        return true
    }
}
