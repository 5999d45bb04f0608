// What a method of a service answers through: a typed door over the stream.
public import JunctionProtobuf
import JunctionTransport

/// One call of a method whose responses are `Response`. Confined to the loop of its stream.
public struct ServerCall<Response: ProtobufMessage> {
    public let stream: ServerStream

    init(_ stream: ServerStream) { self.stream = stream }

    /// Where the request lives; responses may be built there too.
    public var arena: Arena { stream.arena }

    /// Sends a response.
    @inlinable public func send(_ response: Response.View) { stream.send(response) }

    /// Sends a response that is a value.
    public func send(_ response: Response) { stream.send(response.view(in: stream.arena)) }

    /// Ends the call.
    public func finish(_ status: Status = .ok) { stream.finish(status) }

    /// Sends the only response and ends the call well.
    @inlinable public func answer(_ response: Response.View) {
        stream.send(response)
        stream.finish(.ok)
    }

    /// Answers with what `body` returns, or ends the call with the `Status` that it throws. `body` runs off
    /// the loop, in a task that is cancelled when the caller leaves. The request's view is not valid in it:
    /// copy what it needs into values first.
    public func answer(by body: @escaping @Sendable () async throws -> Response) {
        let answer = AsyncAnswer(self)
        let loop = stream.server.loop
        stream.delegate = answer
        // The stream must go away on its loop: the task only carries it there and back.
        nonisolated(unsafe) let carried = Unmanaged.passRetained(answer)
        answer.task = Task {
            let result: Result<Response, Status>
            do { result = .success(try await body()) } catch {
                result = .failure(error as? Status ?? Status(.unknown, "\(error)"))
            }
            loop.submit { carried.takeRetainedValue().end(with: result) }
        }
    }
}

/// A response on its way from a task to the loop.
private final class AsyncAnswer<Response: ProtobufMessage>: ServerStreamDelegate {
    private let call: ServerCall<Response>
    var task: Task<Void, Never>?

    init(_ call: ServerCall<Response>) { self.call = call }

    func callerLeft() { task?.cancel() }

    func callerCaughtUp() {}

    func end(with result: Result<Response, Status>) {
        switch result {
        case .success(let response):
            call.send(response)
            call.finish()
        case .failure(let status): call.finish(status)
        }
    }
}
