// A client's way to one server: a connection that is made when it is needed and made again when it is lost,
// on a loop thread of its own. Generated stubs call it.
public import JunctionProtobuf
import JunctionTransport
import Synchronization

/// Makes calls to one server. From any thread.
public final class Channel: Sendable {
    private let thread: LoopThread
    private let connection: ChannelConnection
    private let authority: String
    private let messageBytesMax: Int

    /// Connects with the first call, not before.
    ///
    /// - Parameter messageBytesMax: a longer response ends its call with RESOURCE_EXHAUSTED.
    public init(host: String, port: Int, messageBytesMax: Int = 4 * 1024 * 1024) {
        authority = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        self.messageBytesMax = messageBytesMax
        thread = LoopThread(name: "rpc-channel") { _ in }
        connection = ChannelConnection(loop: thread.loop, host: host, port: port)
    }

    deinit { shutdown() }

    /// Ends the calls that are under way with CANCELLED and gives the connection and the thread back. Calls
    /// made later fail with UNAVAILABLE.
    public func shutdown() {
        if connection.submitLast({ [connection] in connection.shutDown() }) { thread.join() }
    }

    // MARK: The four kinds of calls

    /// One request, one response.
    public func unary<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ request: Request, options: CallOptions
    ) async throws(Status) -> Response {
        let responses = ResponseQueue<Response>(bytesHeldMax: .max)
        let call = start(path, options, request: MessageFramer.framed(request), responses)
        return try await only(responses, of: call)
    }

    /// One request, any number of responses. A reader that lags makes the server wait.
    public func serverStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ request: Request, options: CallOptions
    ) -> AsyncThrowingStream<Response, any Error> {
        let responses = ResponseQueue<Response>(bytesHeldMax: 64 * 1024)
        let call = start(path, options, request: MessageFramer.framed(request), responses)
        return stream(responses, of: call, requests: nil)
    }

    /// Any number of requests, one response.
    public func clientStreaming<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ requests: some AsyncSequence<Request, any Error> & Sendable, options: CallOptions
    ) async throws(Status) -> Response {
        let responses = ResponseQueue<Response>(bytesHeldMax: .max)
        let call = start(path, options, request: nil, responses)
        let sending = send(requests, on: call)
        defer { sending.cancel() }
        return try await only(responses, of: call)
    }

    /// Any number of requests, any number of responses. Either side that lags makes the other wait.
    public func bidirectional<Request: ProtobufMessage, Response: ProtobufMessage>(
        _ path: String, _ requests: some AsyncSequence<Request, any Error> & Sendable, options: CallOptions
    ) -> AsyncThrowingStream<Response, any Error> {
        let responses = ResponseQueue<Response>(bytesHeldMax: 64 * 1024)
        let call = start(path, options, request: nil, responses)
        return stream(responses, of: call, requests: send(requests, on: call))
    }

    // MARK: To and from the loop

    private func start(
        _ path: String, _ options: CallOptions, request: [UInt8]?, _ sink: some ResponseSink
    ) -> ClientStream {
        let call = ClientStream(
            head(path, options), timeout: options.timeout, request: request, messageBytesMax: messageBytesMax,
            connections: connection, sink: sink)
        let isStarted = connection.submit { call.start() }
        if !isStarted { sink.end(Status(.unavailable, "the client was shut down")) }
        return call
    }

    private func head(_ path: String, _ options: CallOptions) -> [HeaderField] {
        var head = [
            HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":path", path),
            HeaderField(":authority", authority), HeaderField("te", "trailers"),
            HeaderField("content-type", "application/grpc"),
            HeaderField("user-agent", "grpc-swift-junction/0.1.0"),
            HeaderField("grpc-accept-encoding", "identity"),
        ]
        if let timeout = options.timeout { head.append(HeaderField("grpc-timeout", timeout.grpcTimeout)) }
        return head + options.metadata.map { HeaderField($0.name, $0.value) }
    }

    private func only<Response>(
        _ responses: ResponseQueue<Response>, of call: ClientStream
    ) async throws(Status) -> Response {
        let result: Result<Response, Status> = await withTaskCancellationHandler {
            do throws(Status) { return .success(try await responses.only()) } catch { return .failure(error) }
        } onCancel: {
            connection.submit { call.cancel(.cancelledByCaller) }
        }
        return try result.get()
    }

    private func stream<Response>(
        _ responses: ResponseQueue<Response>, of call: ClientStream, requests: Task<Void, Never>?
    ) -> AsyncThrowingStream<Response, any Error> {
        let reader = Reader(responses: responses, call: call, connection: connection, requests: requests)
        return AsyncThrowingStream { try await reader.next() }
    }

    private func send<Request: ProtobufMessage>(
        _ requests: some AsyncSequence<Request, any Error> & Sendable, on call: ClientStream
    ) -> Task<Void, Never> {
        Task { [connection] in
            do {
                for try await request in requests {
                    let message = MessageFramer.framed(request)
                    let wantsMore = await withCheckedContinuation { done in
                        let isSubmitted = connection.submit { call.send(message, done: done) }
                        if !isSubmitted { done.resume(returning: false) }
                    }
                    if !wantsMore { return }
                }
                connection.submit { call.endRequests() }
            } catch {
                let status = error as? Status ?? Status(.cancelled, "the requests broke off: \(error)")
                connection.submit { call.cancel(status) }
            }
        }
    }
}

/// Reads the responses of one call; the call is cancelled when nobody reads any more.
private final class Reader<Response: ProtobufMessage>: Sendable {
    private let responses: ResponseQueue<Response>
    private let call: ClientStream
    private let connection: ChannelConnection
    private let requests: Task<Void, Never>?

    init(
        responses: ResponseQueue<Response>, call: ClientStream, connection: ChannelConnection,
        requests: Task<Void, Never>?
    ) {
        self.responses = responses
        self.call = call
        self.connection = connection
        self.requests = requests
    }

    deinit { cancel() }

    func next() async throws -> Response? {
        try await withTaskCancellationHandler {
            try await responses.next { connection.submit { [call] in call.readerCaughtUp() } }
        } onCancel: {
            cancel()
        }
    }

    private func cancel() {
        requests?.cancel()
        connection.submit { [call] in call.cancel(.cancelledByCaller) }
    }
}

extension Status {
    fileprivate static let cancelledByCaller = Status(.cancelled, "the caller cancelled the call")
}
