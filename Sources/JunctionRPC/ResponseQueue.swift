// The responses of a call between the loop that receives them and the task that reads them.
import JunctionProtobuf
import Synchronization

/// Holds the responses that have come and are not read; says when the reader lags behind. From any thread.
final class ResponseQueue<Response: ProtobufMessage>: ResponseSink {
    private let bytesHeldMax: Int

    private struct State {
        var responses: ArraySlice<(response: Response, bytes: Int)> = []
        var bytesHeld = 0
        var end: Status?
        var isReaderBehind = false
        var reader: CheckedContinuation<Void, Never>?
        var readerWantsEnd = false

        mutating func take() -> Taken {
            guard let (response, bytes) = responses.popFirst() else {
                return end.map { .end($0) } ?? .nothing
            }
            bytesHeld -= bytes
            return .response(response)
        }

        mutating func readerCaughtUp(below bytesHeldMin: Int) -> Bool {
            if !isReaderBehind || bytesHeld > bytesHeldMin { return false }
            isReaderBehind = false
            return true
        }
    }
    private enum Taken {
        case response(Response)
        case end(Status)
        case nothing
    }
    private let state = Mutex(State())

    /// - Parameter bytesHeldMax: bytes of unread responses above which the server is not let send more.
    init(bytesHeldMax: Int) { self.bytesHeldMax = bytesHeldMax }

    // MARK: The loop's side

    func receive(_ bytes: UnsafeRawBufferPointer, in arena: Arena) throws(ProtobufError) -> Bool {
        let response = Response(try decode(Response.View.self, bytes.span, in: arena))
        let count = bytes.count
        let (reader, canTakeMore) = state.withLock { state in
            state.responses.append((response, count))
            state.bytesHeld += count
            if state.bytesHeld > bytesHeldMax { state.isReaderBehind = true }
            return (state.readerWantsEnd ? nil : state.reader.take(), !state.isReaderBehind)
        }
        reader?.resume()
        return canTakeMore
    }

    func end(_ status: Status) {
        let reader = state.withLock { state in
            state.end = status
            return state.reader.take()
        }
        reader?.resume()
    }

    // MARK: The reader's side

    /// The next response, nil at a good end. One reader at a time.
    ///
    /// - Parameter caughtUp: called when the server may send on.
    func next(caughtUp: () -> Void) async throws(Status) -> Response? {
        while true {
            if state.withLock({ $0.readerCaughtUp(below: bytesHeldMax / 2) }) { caughtUp() }
            switch state.withLock({ $0.take() }) {
            case .response(let response): return response
            case .end(let status):
                if status.code == .ok { return nil }
                throw status
            case .nothing: await wait(forEnd: false)
            }
        }
    }

    /// The one response of a call that has one.
    func only() async throws(Status) -> Response {
        await wait(forEnd: true)
        let (end, responses) = state.withLock { ($0.end ?? .ok, $0.responses) }
        guard end.code == .ok else { throw end }
        guard responses.count == 1, let response = responses.first?.response else {
            throw Status(
                .unimplemented, "cardinality violation: the server sent \(responses.count) responses, not one"
            )
        }
        return response
    }

    private func wait(forEnd: Bool) async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.end != nil || (!forEnd && !state.responses.isEmpty) { return true }
                state.reader = continuation
                state.readerWantsEnd = forEnd
                return false
            }
            if isReady { continuation.resume() }
        }
    }
}
