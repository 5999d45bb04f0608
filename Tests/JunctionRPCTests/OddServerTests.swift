// What a client makes of servers that do not answer as gRPC has it.
import JunctionMessages
import JunctionTransport
import Synchronization
import Testing

@testable import JunctionRPC

struct OddServerTests {
    private static let gRPC = [
        HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
    ]

    /// Calls a server that answers with `answer`, given the stream and how many came before it.
    private func ask(
        _ answer: @escaping @Sendable (HTTP2Stream, Int) -> Void
    ) async throws -> Result<Message, Status> {
        let server = try await OddServer(answer)
        let channel = Channel(host: "127.0.0.1", port: server.port)
        let result: Result<Message, Status>
        do throws(Status) {
            result = .success(
                try await channel.unary("/test.Calls/Echo", message("hello"), options: CallOptions()))
        } catch { result = .failure(error) }
        channel.shutdown()
        await server.stop()
        return result
    }

    private func code(_ answer: @escaping @Sendable (HTTP2Stream, Int) -> Void) async throws -> Status.Code {
        switch try await ask(answer) {
        case .success: .ok
        case .failure(let status): status.code
        }
    }

    @Test(
        arguments: [(404, .unimplemented), (503, .unavailable), (401, .unauthenticated), (500, .unknown)]
            as [(Int, Status.Code)])
    func anHTTPErrorHasAStatus(http: Int, code expected: Status.Code) async throws {
        let alone = try await code { stream, _ in
            stream.sendHeaders([HeaderField(":status", "\(http)")], endStream: true)
        }
        #expect(alone == expected)
        let withPage = try await code { stream, _ in
            stream.sendHeaders([HeaderField(":status", "\(http)"), HeaderField("content-type", "text/html")])
            stream.send(count: 3) { $0.copyBytes(from: Array("<p>".utf8)) }
        }
        #expect(withPage == expected)
    }

    @Test func anHTTPErrorMayCarryAStatus() async throws {
        let result = try await ask { stream, _ in
            stream.sendHeaders(
                [
                    HeaderField(":status", "503"), HeaderField("grpc-status", "8"),
                    HeaderField("grpc-message", "full%21"),
                ],
                endStream: true)
        }
        #expect(result == .failure(Status(.resourceExhausted, "full!")))
    }

    @Test func aPageIsNoAnswer() async throws {
        let found = try await code { stream, _ in
            stream.sendHeaders([HeaderField(":status", "200"), HeaderField("content-type", "text/html")])
        }
        #expect(found == .unknown)
    }

    @Test func noStatusAtAllIsUnknown() async throws {
        let found = try await code { stream, _ in
            stream.sendHeaders(OddServerTests.gRPC)
            stream.endBody()
        }
        #expect(found == .unknown)
    }

    @Test func aCodeThatNobodyKnowsIsUnknown() async throws {
        for value in ["17", "99999", "-1", "", "five"] {
            let found = try await code { stream, _ in
                stream.sendHeaders(OddServerTests.gRPC + [HeaderField("grpc-status", value)], endStream: true)
            }
            #expect(found == .unknown, "\(value)")
        }
    }

    @Test(
        arguments: [
            (HTTP2ErrorCode.cancel, .cancelled), (HTTP2ErrorCode.internalError, .internal),
            (HTTP2ErrorCode.enhanceYourCalm, .resourceExhausted),
            (HTTP2ErrorCode.refusedStream, .unavailable),
        ] as [(UInt32, Status.Code)])
    func aResetHasAStatus(error: UInt32, code expected: Status.Code) async throws {
        #expect(try await code { stream, _ in stream.reset(error) } == expected)
    }

    @Test func aRefusedCallIsTriedOnceMore() async throws {
        let result = try await ask { stream, before in
            if before == 0 { return stream.reset(HTTP2ErrorCode.refusedStream) }
            let hello = MessageFramer.framed(message("second"))
            stream.sendHeaders(OddServerTests.gRPC)
            stream.send(count: hello.count) { $0.copyBytes(from: hello) }
            stream.sendTrailers([HeaderField("grpc-status", "0")])
        }
        #expect(result == .success(message("second")))
    }

    @Test(
        arguments: [
            ([0, 0, 0, 0, 1, 0xff], .internal), ([0, 0, 0, 0, 9, 1], .internal),
            ([1, 0, 0, 0, 0], .internal), ([], .unimplemented),
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .unimplemented),
        ] as [([UInt8], Status.Code)])
    func aWrongBodyIsAnError(body: [UInt8], code expected: Status.Code) async throws {
        let found = try await code { stream, _ in
            stream.sendHeaders(OddServerTests.gRPC)
            if !body.isEmpty { stream.send(count: body.count) { $0.copyBytes(from: body) } }
            stream.sendTrailers([HeaderField("grpc-status", "0")])
        }
        #expect(found == expected)
    }
}

/// An HTTP/2 server that answers each stream as it is told.
final class OddServer: Sendable {
    let port: Int
    private let thread: LoopThread
    private let parts: Parts

    private final class Parts: @unchecked Sendable {
        let listener: Listener
        var connections: [HTTP2Connection] = []
        var whenClosed: (() -> Void)?
        init(listener: Listener) { self.listener = listener }
    }

    init(_ answer: @escaping @Sendable (HTTP2Stream, Int) -> Void) async throws {
        let thread = LoopThread(name: "odd-server") { _ in }
        self.thread = thread
        parts = try await withCheckedThrowingContinuation { continuation in
            thread.loop.submit {
                continuation.resume(
                    with: Result {
                        var streams = 0
                        var accepted: ((Int32) -> Void)?
                        let parts = Parts(
                            listener: try Listener(loop: thread.loop, host: "127.0.0.1", port: 0) {
                                accepted?($0)
                            })
                        accepted = { [unowned parts] descriptor in
                            let connection = HTTP2Connection.serve(descriptor: descriptor, loop: thread.loop)
                            { stream in
                                defer { streams += 1 }
                                return Answering(stream, streams, answer)
                            }
                            parts.connections.append(connection)
                            connection.onClosed = { [unowned connection] in
                                parts.connections.removeAll { $0 === connection }
                                if parts.connections.isEmpty { parts.whenClosed?() }
                            }
                        }
                        return parts
                    })
            }
        }
        port = parts.listener.port
    }

    func stop() async {
        await withCheckedContinuation { continuation in
            thread.loop.submit { [parts] in
                parts.listener.close()
                parts.whenClosed = { continuation.resume() }
                for connection in parts.connections { connection.close() }
                if parts.connections.isEmpty { continuation.resume() }
            }
        }
        thread.loop.stop()
        thread.join()
    }

    private final class Answering: HTTP2StreamHandler {
        var stream: HTTP2Stream?
        let before: Int
        let answer: (HTTP2Stream, Int) -> Void
        init(_ stream: HTTP2Stream, _ before: Int, _ answer: @escaping (HTTP2Stream, Int) -> Void) {
            self.stream = stream
            self.before = before
            self.answer = answer
        }
        func received(headerName: Span<UInt8>, value: Span<UInt8>) {}
        func headersEnded(endStream: Bool) { if let stream { answer(stream, before) } }
        func received(data: Span<UInt8>) { stream?.consume(data.count) }
        func endedRemotely() {}
        func becameWritable() {}
        func closed(errorCode: UInt32) { stream = nil }
    }
}
