// Whole calls from a channel to a server over loopback sockets: the four kinds, and how calls end early.
import JunctionMessages
import JunctionTransport
import Synchronization
import Testing

@testable import JunctionRPC

struct CallTests {
    private func unary(
        _ channel: Channel, _ method: String, _ content: String, _ options: CallOptions = CallOptions()
    ) async throws(Status) -> String {
        let response: Message = try await channel.unary(
            "/test.Calls/" + method, message(content), options: options)
        return response.content
    }

    /// Shows that calls are answered.
    private func expectEcho(
        _ channel: Channel, _ content: String = "on", by method: String = "Echo",
        options: CallOptions = CallOptions(), sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let echoed = try await unary(channel, method, content, options)
        #expect(echoed == content, sourceLocation: sourceLocation)
    }

    private func stream(
        _ channel: Channel, _ method: String, _ content: String, _ options: CallOptions = CallOptions()
    ) -> AsyncThrowingStream<Message, any Error> {
        channel.serverStreaming("/test.Calls/" + method, message(content), options: options)
    }

    private func requests(_ contents: [String]) -> AsyncThrowingStream<Message, any Error> {
        AsyncThrowingStream { continuation in
            for content in contents { continuation.yield(message(content)) }
            continuation.finish()
        }
    }

    /// The status that `body` throws.
    private func status(_ body: () async throws -> Void) async -> Status? {
        do { try await body() } catch { return error as? Status }
        return nil
    }

    // MARK: The four kinds

    @Test func unaryCallsAreAnsweredAtOnceLaterAndFromATask() async throws {
        try await withServer { _, channel in
            for method in ["Echo", "EchoLater", "EchoAsync"] {
                try await expectEcho(channel, "hello ☺", by: method)
                try await expectEcho(channel, "", by: method)
            }
            let failure = await status { _ = try await unary(channel, "EchoAsync", "fail") }
            #expect(failure == Status(.failedPrecondition, "as asked"))
        }
    }

    @Test func aStreamOfResponsesComesInOrder() async throws {
        try await withServer { _, channel in
            var numbers: [Int] = []
            for try await response in stream(channel, "Count", "500") {
                numbers.append(try #require(Int(response.content.prefix { $0 != " " })))
            }
            #expect(numbers == Array(0..<500))
            for try await _ in stream(channel, "Count", "0") { Issue.record("a response came") }
        }
    }

    @Test func aStreamOfRequestsIsTakenInOrder() async throws {
        try await withServer { _, channel in
            let parts = (0..<300).map { "\($0)," }
            let response: Message = try await channel.clientStreaming(
                "/test.Calls/Join", requests(parts), options: CallOptions())
            #expect(response.content == parts.joined())
            let nothing: Message = try await channel.clientStreaming(
                "/test.Calls/Join", requests([]), options: CallOptions())
            #expect(nothing.content == "")
        }
    }

    @Test func bothSidesMayStream() async throws {
        try await withServer { _, channel in
            let (requests, continuation) = AsyncThrowingStream<Message, any Error>.makeStream()
            let responses: AsyncThrowingStream<Message, any Error> = channel.bidirectional(
                "/test.Calls/Chat", requests, options: CallOptions())
            var reader = responses.makeAsyncIterator()
            for content in ["one", "two", String(repeating: "three", count: 100_000)] {
                continuation.yield(message(content))
                let response = try await reader.next()
                #expect(response?.content == content)
            }
            continuation.finish()
            let end = try await reader.next()
            #expect(end == nil)
        }
    }

    // MARK: Errors

    @Test func aStatusArrivesWhole() async throws {
        try await withServer { _, channel in
            let words = "\t no such thing: 100 % ☺ 😈 \r\n"
            let failure = await status { _ = try await unary(channel, "Fail", words) }
            #expect(failure == Status(.notFound, words, retryPushback: .milliseconds(250)))
            let unknown = await status { _ = try await unary(channel, "Nothing", "") }
            #expect(unknown?.code == .unimplemented)
            #expect(unknown?.message.contains("/test.Calls/Nothing") == true)
        }
    }

    @Test func aStreamMayFailMidway() async throws {
        try await withServer { _, channel in
            var seen: [String] = []
            let failure = await status {
                for try await response in stream(channel, "FailMidway", "first") {
                    seen.append(response.content)
                }
            }
            #expect(seen == ["first"])
            #expect(failure == Status(.dataLoss, "broke off"))
        }
    }

    @Test func aServerMayAnswerBeforeTheRequestsEnd() async throws {
        try await withServer { _, channel in
            let (requests, continuation) = AsyncThrowingStream<Message, any Error>.makeStream()
            continuation.yield(message("please "))
            continuation.yield(message("stop"))
            let failure = await status {
                let _: Message = try await channel.clientStreaming(
                    "/test.Calls/Join", requests, options: CallOptions())
            }
            #expect(failure == Status(.aborted, "stopped at please stop"))
            try await expectEcho(channel)
        }
    }

    @Test func requestsThatBreakOffEndTheCall() async throws {
        struct Broken: Error {}
        try await withServer { _, channel in
            let broken = AsyncThrowingStream<Message, any Error> { $0.finish(throwing: Broken()) }
            let failure = await status {
                let _: Message = try await channel.clientStreaming(
                    "/test.Calls/Join", broken, options: CallOptions())
            }
            #expect(failure?.code == .cancelled)
            #expect(failure?.message.contains("Broken") == true)
        }
    }

    @Test func aUnaryCallWithoutAResponseIsAnError() async throws {
        try await withServer { _, channel in
            #expect(await status { _ = try await unary(channel, "Silent", "") }?.code == .unimplemented)
        }
    }

    @Test func aResponseOverTheLimitIsRefused() async throws {
        try await withServer { server, _ in
            let small = Channel(host: "127.0.0.1", port: server.port, messageBytesMax: 100)
            defer { small.shutdown() }
            let failure = await status {
                _ = try await unary(small, "Echo", String(repeating: "a", count: 101))
            }
            #expect(failure?.code == .resourceExhausted)
            try await expectEcho(small)
        }
    }

    // MARK: Leaving

    @Test func aCallerThatCancelsIsSeenToLeaveOnce() async throws {
        try await withServer { server, channel in
            let call = Task { await status { _ = try await unary(channel, "Hang", "") } }
            try await eventually { server.begun == 1 }
            call.cancel()
            #expect(await call.value?.code == .cancelled)
            try await eventually { server.left == 1 && server.freed == 1 }
            try await expectEcho(channel)
            #expect(server.left == 1)
        }
    }

    @Test func cancellingReachesATaskThatAnswers() async throws {
        try await withServer { server, channel in
            let call = Task { await status { _ = try await unary(channel, "HangAsync", "") } }
            try await eventually { server.begun == 1 }
            call.cancel()
            #expect(await call.value?.code == .cancelled)
            try await eventually { server.left == 1 }
        }
    }

    @Test func aReaderThatGoesAwayCancels() async throws {
        try await withServer { server, channel in
            for try await _ in stream(channel, "Count", "1000000000") { break }
            try await eventually { server.left == 1 }
        }
    }

    @Test func aResetInTheRequestMakesNoCall() async throws {
        let server = try await TestServer()
        let client = try await RawClient(port: server.port)
        let hello = MessageFramer.framed(message("hello"))
        let answer = await client.call(RawClient.head("/test.Calls/Hang"), [hello], resetAfter: 1)
        #expect(answer.blocks.isEmpty)
        #expect(await client.call(RawClient.head("/test.Calls/Echo"), [hello]).status == "0")
        #expect(server.begun == 0)
        await client.stop()
        await server.stop()
    }

    @Test func aLostConnectionIsSeenByBothSides() async throws {
        let server = try await TestServer()
        let client = try await RawClient(port: server.port)
        async let lost = client.call(RawClient.head("/test.Calls/Hang"), [MessageFramer.framed(message(""))])
        try await eventually { server.begun == 1 }
        await client.stop()
        #expect(await lost.closedWith == HTTP2ErrorCode.connectionLost)
        try await eventually { server.left == 1 && server.freed == 1 }
        await server.stop()
    }

    // MARK: Deadlines

    @Test func theServerEndsACallWhoseDeadlinePassed() async throws {
        let server = try await TestServer()
        let client = try await RawClient(port: server.port)
        let head = RawClient.head("/test.Calls/Hang", with: ["grpc-timeout": "20m"])
        let answer = await client.call(head, [MessageFramer.framed(message(""))])
        #expect(answer.isTrailersOnly)
        #expect(answer.status == "4")
        #expect(server.begun == 1 && server.left == 1)
        try await eventually { server.freed == 1 }
        await client.stop()
        await server.stop()
    }

    @Test func aCallerThatDoesNotReadIsResetAfterItsDeadline() async throws {
        let server = try await TestServer()
        let client = try await RawClient(port: server.port)
        let head = RawClient.head("/test.Calls/Count", with: ["grpc-timeout": "100m"])
        let answer = await client.call(head, [MessageFramer.framed(message("1000000000"))], reads: false)
        #expect(answer.closedWith == HTTP2ErrorCode.cancel)
        #expect(server.left == 1)
        let other = await client.call(
            RawClient.head("/test.Calls/Echo"), [MessageFramer.framed(message("on"))])
        #expect(other.status == "0")
        await client.stop()
        await server.stop()
    }

    @Test func theClientKeepsItsDeadline() async throws {
        try await withServer { server, channel in
            let failure = await status {
                _ = try await unary(channel, "Hang", "", CallOptions(timeout: .milliseconds(20)))
            }
            #expect(failure?.code == .deadlineExceeded)
            try await expectEcho(channel, options: CallOptions(timeout: .seconds(3600)))
        }
    }

    // MARK: Metadata

    @Test func aHandlerReadsMetadata() async throws {
        try await withServer { _, channel in
            let metadata = [("x-tag", "one"), ("other", "no"), ("x-tag", "two"), ("trace-bin", "YWI=,Y2Q")]
            let answer = try await unary(channel, "Metadata", "x-tag", CallOptions(metadata: metadata))
            #expect(answer == "one|two|ab|cd")
            for hidden in ["te", "content-type", "grpc-accept-encoding", ":path"] {
                #expect(try await unary(channel, "Metadata", hidden) == "", "\(hidden)")
            }
        }
    }

    // MARK: Much at once

    @Test func aThousandCallsAtOnceAreAllAnswered() async throws {
        var limits = HTTP2Limits()
        limits.concurrentStreams = 100
        try await withServer(limits: limits) { server, channel in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<1000 {
                    let method = ["Echo", "EchoLater", "EchoAsync"][index % 3]
                    group.addTask { try await unary(channel, method, "call \(index)") == "call \(index)" }
                }
                for try await isRight in group { #expect(isRight) }
            }
            #expect(await server.onLoop { $0.connectionCount } == 1)
            try await eventually { await server.onLoop { $0.callsUnderWay } == 0 }
        }
    }

    @Test func aRequestOfThreeMebibytesIsEchoed() async throws {
        try await withServer { _, channel in
            let large = String(repeating: "0123456789abcdef", count: 3 * 65_536)
            try await expectEcho(channel, large)
            let tooLarge = String(repeating: "x", count: 4 * 1024 * 1024)
            #expect(
                await status { _ = try await unary(channel, "Echo", tooLarge) }?.code == .resourceExhausted)
            try await expectEcho(channel)
        }
    }

    @Test func aReaderThatLagsMakesTheServerWait() async throws {
        try await withServer { server, channel in
            var reader = stream(channel, "Count", "20000").makeAsyncIterator()
            #expect(try await reader.next() != nil)
            // The server has stopped when it sent nothing between two looks; other calls go on meanwhile.
            var before = -1
            try await eventually {
                let sent = server.sent
                defer { before = sent }
                let other = try? await unary(channel, "EchoLater", "on")
                return other == "on" && sent == before && sent > 1
            }
            #expect(server.sent < 2000)
            var count = 1
            while try await reader.next() != nil { count += 1 }
            #expect(count == 20_000)
        }
    }

    // MARK: The connection

    @Test func nobodyListeningIsUnavailable() async throws {
        let server = try await TestServer()
        let port = server.port
        await server.stop()
        let channel = Channel(host: "127.0.0.1", port: port)
        let failure = await status { _ = try await unary(channel, "Echo", "") }
        #expect(failure?.code == .unavailable)
        #expect(failure?.message.hasPrefix("cannot connect to 127.0.0.1:\(port): ") == true)
        // Once somebody listens, the same channel works.
        let second = try await TestServer(port: port)
        try await expectEcho(channel)
        channel.shutdown()
        await second.stop()
    }

    @Test func aLostConnectionIsMadeAgain() async throws {
        let first = try await TestServer()
        let channel = Channel(host: "127.0.0.1", port: first.port)
        let hanging = Task { await status { _ = try await unary(channel, "Hang", "") } }
        try await eventually { first.begun == 1 }
        await first.stop()
        #expect(await hanging.value?.code == .unavailable)
        let second = try await TestServer(port: first.port)
        try await expectEcho(channel)
        channel.shutdown()
        await second.stop()
    }

    @Test func drainingLetsCallsEnd() async throws {
        let server = try await TestServer()
        let channel = Channel(host: "127.0.0.1", port: server.port)
        let (requests, continuation) = AsyncThrowingStream<Message, any Error>.makeStream()
        let responses: AsyncThrowingStream<Message, any Error> = channel.bidirectional(
            "/test.Calls/Chat", requests, options: CallOptions())
        var reader = responses.makeAsyncIterator()
        continuation.yield(message("before"))
        #expect(try await reader.next()?.content == "before")
        async let stopped: Void = server.stop(patience: .seconds(3600))
        continuation.yield(message("while"))
        #expect(try await reader.next()?.content == "while")
        continuation.finish()
        #expect(try await reader.next() == nil)
        await stopped
        #expect(await status { _ = try await unary(channel, "Echo", "") }?.code == .unavailable)
        channel.shutdown()
    }

    @Test func aChannelThatWasShutDownSaysSo() async throws {
        try await withServer { server, channel in
            let hanging = Task { await status { _ = try await unary(channel, "Hang", "") } }
            try await eventually { server.begun == 1 }
            channel.shutdown()
            #expect(await hanging.value == Status(.cancelled, "the client was shut down"))
            #expect(await status { _ = try await unary(channel, "Echo", "") }?.code == .unavailable)
            let later = await status { for try await _ in stream(channel, "Count", "1") {} }
            #expect(later?.code == .unavailable)
        }
    }
}
