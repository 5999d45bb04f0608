// A client that sends what it is told, right or wrong, and shows the answer as it came.
import JunctionTransport
import Synchronization

/// What came back on one stream.
struct RawAnswer: Sendable {
    var blocks: [[String: String]] = []
    var data: [UInt8] = []
    var closedWith: UInt32?

    /// The fields of the first block.
    var head: [String: String] { blocks.first ?? [:] }
    /// gRPC's status, wherever it came.
    var status: String? { blocks.last?["grpc-status"] }
    var statusMessage: String { blocks.last?["grpc-message"] ?? "" }
    /// One block and nothing else.
    var isTrailersOnly: Bool { blocks.count == 1 && data.isEmpty }
}

/// One connection, on a loop of its own.
final class RawClient: Sendable {
    private let thread: LoopThread
    private let connection: Connection

    private final class Connection: @unchecked Sendable {
        let connection: HTTP2Connection
        init(_ connection: HTTP2Connection) { self.connection = connection }
    }

    init(port: Int) async throws {
        let thread = LoopThread(name: "raw-client") { _ in }
        self.thread = thread
        connection = try await withCheckedThrowingContinuation { continuation in
            thread.loop.submit {
                HTTP2Connection.connect(host: "127.0.0.1", port: port, loop: thread.loop) { result in
                    continuation.resume(with: result.map(Connection.init))
                }
            }
        }
    }

    func stop() async {
        await withCheckedContinuation { continuation in
            thread.loop.submit { [connection] in
                connection.connection.onClosed = { continuation.resume() }
                connection.connection.close()
            }
        }
        thread.loop.stop()
        thread.join()
    }

    /// The head of a call that is as it should be.
    static func head(
        _ path: String, without omitted: Set<String> = [], with changed: KeyValuePairs<String, String> = [:]
    ) -> [HeaderField] {
        let usual: KeyValuePairs = [
            ":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost", "te": "trailers",
            "content-type": "application/grpc",
        ]
        let changedNames = Set(changed.map(\.key))
        let fields =
            changed.filter { $0.key.hasPrefix(":") }
            + usual.filter { !omitted.contains($0.key) && !changedNames.contains($0.key) }
            + changed.filter { !$0.key.hasPrefix(":") }
        return fields.map { HeaderField($0.key, $0.value) }
    }

    /// Sends a request in pieces, each in a turn of its own, and waits until the stream is closed.
    ///
    /// - Parameters:
    ///   - resetAfter: cancel once that many pieces are sent.
    ///   - reads: whether the server may send more than the first window.
    func call(
        _ head: [HeaderField], _ pieces: [[UInt8]] = [], endsBody: Bool = true, resetAfter: Int? = nil,
        reads: Bool = true
    ) async -> RawAnswer {
        await withCheckedContinuation { continuation in
            thread.loop.submit { [connection, thread] in
                let handler = Handler(reads: reads) { continuation.resume(returning: $0) }
                let stream = connection.connection.openStream(headers: head, handler: handler)
                handler.stream = stream
                Sending(stream, pieces, endsBody, resetAfter, thread.loop).next()
            }
        }
    }

    private final class Sending {
        let stream: HTTP2Stream
        var pieces: ArraySlice<[UInt8]>
        let endsBody: Bool
        var resetAfter: Int?
        let loop: EventLoop

        init(
            _ stream: HTTP2Stream, _ pieces: [[UInt8]], _ endsBody: Bool, _ resetAfter: Int?,
            _ loop: EventLoop
        ) {
            self.stream = stream
            self.pieces = pieces[...]
            self.endsBody = endsBody
            self.resetAfter = resetAfter
            self.loop = loop
        }

        func next() {
            if stream.isClosed { return }
            if resetAfter == 0 { return stream.reset(HTTP2ErrorCode.cancel) }
            resetAfter = resetAfter.map { $0 - 1 }
            guard let piece = pieces.popFirst() else {
                if endsBody { stream.endBody() }
                return
            }
            if !piece.isEmpty { stream.send(count: piece.count) { $0.copyBytes(from: piece) } }
            _ = loop.schedule(after: .zero) { self.next() }
        }
    }

    private final class Handler: HTTP2StreamHandler {
        var answer = RawAnswer()
        var block: [String: String] = [:]
        var stream: HTTP2Stream?
        let reads: Bool
        let done: (RawAnswer) -> Void
        init(reads: Bool, done: @escaping (RawAnswer) -> Void) {
            self.reads = reads
            self.done = done
        }

        func received(headerName: Span<UInt8>, value: Span<UInt8>) {
            func text(_ bytes: Span<UInt8>) -> String {
                bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            }
            block[text(headerName)] = text(value)
        }
        func headersEnded(endStream: Bool) {
            answer.blocks.append(block)
            block = [:]
        }
        func received(data: Span<UInt8>) {
            data.withUnsafeBufferPointer { answer.data += $0 }
            if reads { stream?.consume(data.count) }
        }
        func endedRemotely() {}
        func becameWritable() {}
        func closed(errorCode: UInt32) {
            answer.closedWith = errorCode
            stream = nil
            done(answer)
        }
    }
}
