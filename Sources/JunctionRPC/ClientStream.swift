// One call on the client's side, from its request to its status. Confined to the loop of its channel.
// Sources: grpc/doc/PROTOCOL-HTTP2.md, grpc/doc/http-grpc-status-mapping.md, grpc/doc/statuscodes.md.
import JunctionProtobuf
import JunctionTransport

/// Who gets the responses of a call.
protocol ResponseSink: AnyObject, Sendable {
    /// Takes a message; answers whether it can take more now. If not, `ClientStream.readerCaughtUp` follows.
    func receive(_ bytes: UnsafeRawBufferPointer, in arena: Arena) throws(ProtobufError) -> Bool
    /// The last call, exactly once.
    func end(_ status: Status)
}

/// A call of a client. Every method but `init` runs on the loop of its channel.
final class ClientStream: HTTP2StreamHandler, @unchecked Sendable {
    private let connections: ChannelConnection
    private let head: [HeaderField]
    private let timeout: Duration?
    private let sink: any ResponseSink

    private var http: HTTP2Stream?
    private var timer: Timer?
    private var deframer: MessageDeframer
    /// Bytes to send once there is a connection; kept until the server answers when they are all there is, so
    /// that a refused call can be tried once more.
    private var unsent: [UInt8]
    private var hasEndedRequests: Bool
    private let canBeRepeated: Bool
    private var isRepeated = false
    private var whenWritable: CheckedContinuation<Bool, Never>?
    private var isOver = false

    private var httpStatus = 0
    private var isGRPC = false
    private var trailers = Trailers()
    /// Bytes that the sink's reader must take before the server may send as many again.
    private var bytesHeldBack = 0
    private var isReaderBehind = false

    /// - Parameter request: the only message of the request, framed; nil when messages follow one by one.
    init(
        _ head: [HeaderField], timeout: Duration?, request: [UInt8]?, messageBytesMax: Int,
        connections: ChannelConnection, sink: any ResponseSink
    ) {
        self.head = head
        self.timeout = timeout
        self.connections = connections
        self.sink = sink
        unsent = request ?? []
        hasEndedRequests = request != nil
        canBeRepeated = request != nil
        deframer = MessageDeframer(messageBytesMax: messageBytesMax)
    }

    // MARK: The caller's side

    func start() {
        if isOver { return }
        if let timeout {
            timer = connections.loop.schedule(after: timeout) { [unowned self] in
                cancel(Status(.deadlineExceeded, "no answer within \(timeout)"))
            }
        }
        connections.place(self)
    }

    /// Ends the call from this side; the server is told by RST_STREAM(CANCEL).
    func cancel(_ status: Status) {
        if isOver { return }
        http?.reset(HTTP2ErrorCode.cancel)
        end(status)
    }

    /// Sends one framed message; `done` is told whether the call wants more, when there is room for it.
    func send(_ message: [UInt8], done: CheckedContinuation<Bool, Never>) {
        if isOver { return done.resume(returning: false) }
        guard let http else {
            unsent += message
            whenWritable = done
            return
        }
        write(message, to: http)
        if http.isCongested { whenWritable = done } else { done.resume(returning: true) }
    }

    func endRequests() {
        if isOver { return }
        hasEndedRequests = true
        http?.endBody()
    }

    /// The reader took what the sink held: the server may send on.
    func readerCaughtUp() {
        isReaderBehind = false
        http?.consume(bytesHeldBack)
        bytesHeldBack = 0
    }

    // MARK: The connection's side

    /// There is a connection: the request goes out.
    func begin(on connection: HTTP2Connection) {
        if isOver { return }
        let http = connection.openStream(headers: head, handler: self)
        self.http = http
        if !unsent.isEmpty { write(unsent, to: http) }
        if !canBeRepeated { unsent = [] }
        if hasEndedRequests { http.endBody() }
        becameWritable()
    }

    /// There is no connection.
    func couldNotBegin(_ status: Status) {
        if !isOver { end(status) }
    }

    private func write(_ bytes: [UInt8], to http: HTTP2Stream) {
        http.send(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    private func end(_ status: Status) {
        isOver = true
        timer?.invalidate()
        timer = nil
        http = nil
        unsent = []
        connections.forget(self)
        whenWritable?.resume(returning: false)
        whenWritable = nil
        sink.end(status)
    }

    // MARK: What the transport tells

    func received(headerName name: Span<UInt8>, value: Span<UInt8>) {
        if name.equals(":status") {
            httpStatus = Int(String(value)) ?? 0
        } else if name.equals("content-type") {
            isGRPC = RequestHead.isGRPC(contentType: value)
        } else if name.equals("grpc-encoding") {
            deframer.hasUnknownEncoding = !value.equals("identity")
        } else {
            trailers.take(name, value)
        }
    }

    func headersEnded(endStream: Bool) {
        if isOver || (100..<200).contains(httpStatus) { return }
        unsent = []
        if endStream || (httpStatus == 200 && isGRPC) { return }
        cancel(trailers.status ?? missingStatus)
    }

    private var missingStatus: Status {
        if httpStatus != 200 { return Status(httpStatus: httpStatus) }
        if !isGRPC { return Status(.unknown, "the server answered with something that is not gRPC") }
        return Status(.unknown, "the server ended the call without a status")
    }

    func received(data: Span<UInt8>) {
        bytesHeldBack += data.count
        data.withUnsafeBytes { bytes in
            var offset = 0
            do throws(Status) {
                while !isOver, let message = try deframer.next(bytes, &offset) { try take(message) }
            } catch { cancel(error) }
        }
        if !isReaderBehind { readerCaughtUp() }
    }

    private func take(_ message: UnsafeRawBufferPointer) throws(Status) {
        defer { connections.scratch.reset() }
        do throws(ProtobufError) {
            if try !sink.receive(message, in: connections.scratch) { isReaderBehind = true }
        } catch { throw Status(.internal, "the response is wrong: \(error)") }
    }

    func endedRemotely() {
        if isOver { return }
        let http = self.http
        var status = trailers.status ?? missingStatus
        if status == .ok, deframer.isInsideMessage {
            status = Status(.internal, "the response ended inside a message")
        }
        end(status)
        if !hasEndedRequests { http?.reset(HTTP2ErrorCode.cancel) }
    }

    func becameWritable() {
        whenWritable?.resume(returning: true)
        whenWritable = nil
    }

    func closed(errorCode: UInt32) {
        http = nil
        if isOver { return }
        if errorCode == HTTP2ErrorCode.refusedStream, canBeRepeated, !isRepeated {
            isRepeated = true
            return connections.place(self)
        }
        end(Status(http2Error: errorCode))
    }
}

/// What the trailers say about how the call ended.
private struct Trailers {
    private var code: Status.Code?
    private var message = ""
    private var retryPushback: Duration?

    mutating func take(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        if name.equals("grpc-status") {
            code = Int(String(value)).flatMap(Status.Code.init(rawValue:)) ?? .unknown
        } else if name.equals("grpc-message") {
            message = value.withUnsafeBufferPointer { percentDecoded(Array($0)) }
        } else if name.equals("grpc-retry-pushback-ms") {
            retryPushback = .milliseconds(Int64(String(value)) ?? -1)
        }
    }

    var status: Status? { code.map { Status($0, message, retryPushback: retryPushback) } }
}
