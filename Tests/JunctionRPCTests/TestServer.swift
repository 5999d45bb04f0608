// A server on a free loopback port with one method for each behaviour that the tests ask for.
import JunctionMessages
import JunctionProtobuf
import JunctionTransport
import Synchronization

@testable import JunctionRPC

typealias Message = JunctionV1.Message

func message(_ content: String) -> Message {
    var message = Message()
    message.content = content
    return message
}

/// Serves `/test.Calls/…` until it is stopped.
final class TestServer: Sendable {
    /// What happened on the server, as tests count it.
    struct Counts {
        var begun = 0
        var left = 0
        var sent = 0
        var freed = 0
    }
    let counts = Mutex(Counts())
    let port: Int
    private let thread: LoopThread
    private let serving: Mutex<Serving?>

    /// What belongs to the loop.
    final class Serving: @unchecked Sendable {
        let server: RPCServer
        let listener: Listener
        init(server: RPCServer, listener: Listener) {
            self.server = server
            self.listener = listener
        }
    }

    init(port: Int = 0, limits: HTTP2Limits = HTTP2Limits(), messageBytesMax: Int = 4 * 1024 * 1024)
        async throws
    {
        let methods = Mutex<TestServer?>(nil)
        let thread = LoopThread(name: "test-server") { _ in }
        self.thread = thread
        let serving: Serving = try await withCheckedThrowingContinuation { continuation in
            thread.loop.submit {
                do {
                    let server = RPCServer(
                        registry: Methods.registry { methods.withLock { $0! } }, loop: thread.loop,
                        limits: limits,
                        messageBytesMax: messageBytesMax)
                    let listener = try Listener(loop: thread.loop, host: "127.0.0.1", port: port) {
                        server.accept($0)
                    }
                    continuation.resume(returning: Serving(server: server, listener: listener))
                } catch { continuation.resume(throwing: error) }
            }
        }
        self.port = serving.listener.port
        self.serving = Mutex(serving)
        methods.withLock { $0 = self }
    }

    /// Runs `body` on the server's loop.
    func onLoop<Result: Sendable>(_ body: @escaping @Sendable (RPCServer) -> Result) async -> Result {
        let serving = serving.withLock { $0! }
        return await withCheckedContinuation { continuation in
            thread.loop.submit { continuation.resume(returning: body(serving.server)) }
        }
    }

    /// Lets calls under way end for as long as `patience`; returns when no connection is left.
    func stop(patience: Duration = .zero) async {
        guard let serving = serving.withLock({ $0.take() }) else { return }
        await withCheckedContinuation { continuation in
            thread.loop.submit {
                serving.listener.close()
                serving.server.drain(within: patience) { continuation.resume() }
            }
        }
        thread.loop.stop()
        thread.join()
    }

    var left: Int { counts.withLock { $0.left } }
    var begun: Int { counts.withLock { $0.begun } }
    var sent: Int { counts.withLock { $0.sent } }
    var freed: Int { counts.withLock { $0.freed } }
}

/// Runs `body` with a server and a channel to it.
func withServer(
    limits: HTTP2Limits = HTTP2Limits(), messageBytesMax: Int = 4 * 1024 * 1024,
    _ body: (TestServer, Channel) async throws -> Void
) async throws {
    let server = try await TestServer(limits: limits, messageBytesMax: messageBytesMax)
    let channel = Channel(host: "127.0.0.1", port: server.port)
    do {
        try await body(server, channel)
    } catch {
        channel.shutdown()
        await server.stop()
        throw error
    }
    channel.shutdown()
    await server.stop()
}

/// Waits until `condition` holds.
func eventually(_ condition: () async -> Bool) async throws {
    while !(await condition()) { try await Task.sleep(for: .milliseconds(1)) }
}

enum Methods {
    static func registry(_ server: @escaping @Sendable () -> TestServer) -> ServiceRegistry {
        var registry = ServiceRegistry()
        registry.unary("/test.Calls/Echo", Message.self, Message.self) { request, call in call.answer(request)
        }
        registry.unary("/test.Calls/EchoLater", Message.self, Message.self) { request, call in
            _ = call.stream.server.loop.schedule(after: .milliseconds(1)) { call.answer(request) }
        }
        registry.unary("/test.Calls/EchoAsync", Message.self, Message.self) { request, call in
            let value = Message(request)
            call.answer {
                await Task.yield()
                if value.content == "fail" { throw Status(.failedPrecondition, "as asked") }
                return value
            }
        }
        registry.unary("/test.Calls/HangAsync", Message.self, Message.self) { _, call in
            server().counts.withLock { $0.begun += 1 }
            call.answer {
                do { try await Task.sleep(for: .seconds(3600)) } catch {
                    server().counts.withLock { $0.left += 1 }
                    throw error
                }
                return Message()
            }
        }
        registry.unary("/test.Calls/Fail", Message.self, Message.self) { request, call in
            call.finish(Status(.notFound, String(request.content), retryPushback: .milliseconds(250)))
        }
        registry.unary("/test.Calls/Metadata", Message.self, Message.self) { request, call in
            let values = call.stream.metadata.values(String(request.content))
            let binary = call.stream.metadata.binaryValues("trace-bin").map {
                String(decoding: $0, as: UTF8.self)
            }
            call.send(message((values + binary).joined(separator: "|")))
            call.finish()
        }
        registry.unary("/test.Calls/Hang", Message.self, Message.self) { _, call in
            server().counts.withLock { $0.begun += 1 }
            call.stream.delegate = Hanging(call.stream, server())
        }
        registry.unary("/test.Calls/Silent", Message.self, Message.self) { _, call in call.finish() }
        registry.serverStreaming("/test.Calls/Count", Message.self, Message.self) { request, call in
            let counting = Counting(call, upTo: Int(String(request.content)) ?? 0, server())
            call.stream.delegate = counting
            counting.callerCaughtUp()
        }
        registry.serverStreaming("/test.Calls/FailMidway", Message.self, Message.self) { request, call in
            call.send(request)
            call.finish(Status(.dataLoss, "broke off"))
        }
        registry.clientStreaming("/test.Calls/Join", Message.self, Message.self) { call in
            let joined = Joined()
            return MessageReceiver(
                onMessage: { request in
                    joined.text += String(request.content)
                    if joined.text.hasSuffix("stop") {
                        call.finish(Status(.aborted, "stopped at \(joined.text)"))
                    }
                }, onEnd: { call.answer(message(joined.text).view(in: call.arena)) })
        }
        registry.bidirectional("/test.Calls/Chat", Message.self, Message.self) { call in
            MessageReceiver(onMessage: { call.send($0) }, onEnd: { call.finish() })
        }
        return registry
    }

    private final class Joined { var text = "" }

    /// Never answers; counts when the caller leaves, and when its memory is given back.
    private final class Hanging: ServerStreamDelegate {
        let stream: ServerStream
        let server: TestServer
        init(_ stream: ServerStream, _ server: TestServer) {
            self.stream = stream
            self.server = server
        }
        deinit { server.counts.withLock { $0.freed += 1 } }
        func callerLeft() {
            server.counts.withLock { $0.left += 1 }
            // Both do nothing any more.
            stream.send(message("too late").view(in: stream.arena))
            stream.finish(.ok)
        }
        func callerCaughtUp() {}
    }

    /// Sends as much as the caller reads.
    private final class Counting: ServerStreamDelegate {
        let call: ServerCall<Message>
        let end: Int
        let server: TestServer
        let scratch = Arena()
        var next = 0
        init(_ call: ServerCall<Message>, upTo end: Int, _ server: TestServer) {
            self.call = call
            self.end = end
            self.server = server
        }
        func callerLeft() { server.counts.withLock { $0.left += 1 } }
        func callerCaughtUp() {
            while next < end {
                if call.stream.isCongested { return }
                scratch.reset()
                let number = message(String(next) + String(repeating: " ", count: 1000))
                call.send(number.view(in: scratch))
                server.counts.withLock { $0.sent += 1 }
                next += 1
            }
            call.finish()
        }
    }
}
