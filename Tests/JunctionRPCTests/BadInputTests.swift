// What the gRPC documents say a server does with input that is wrong, case by case, on one connection on
// which other calls go on.
import JunctionMessages
import JunctionTransport
import Testing

@testable import JunctionRPC

struct BadInputTests {
    private static let echo = "/test.Calls/Echo"
    private static let hello = MessageFramer.framed(message("hello"))

    /// Asks the server something wrong, then shows that the connection still serves.
    private func ask(
        _ head: [HeaderField], _ pieces: [[UInt8]] = [hello], endsBody: Bool = true
    ) async throws -> RawAnswer {
        let server = try await TestServer(messageBytesMax: 1000)
        let client = try await RawClient(port: server.port)
        async let beside = client.call(RawClient.head("/test.Calls/EchoLater"), [BadInputTests.hello])
        let answer = await client.call(head, pieces, endsBody: endsBody)
        let after = await client.call(RawClient.head(BadInputTests.echo), [BadInputTests.hello])
        for good in [await beside, after] {
            #expect(good.status == "0")
            #expect(good.data == BadInputTests.hello)
        }
        await client.stop()
        await server.stop()
        return answer
    }

    @Test func aServerThatHasNoTimeRefusesBeforeItReads() async throws {
        let server = try await TestServer()
        let client = try await RawClient(port: server.port)
        await server.onLoop { server in
            server.callsWaitingMax = 0
            server.busyTimeMax = -1
        }
        let refused = await client.call(RawClient.head(BadInputTests.echo), [BadInputTests.hello])
        expectRefusal(refused, .unavailable, naming: "overloaded")
        #expect(refused.head["grpc-retry-pushback-ms"] == "1000")
        #expect(server.begun == 0)
        // Many that wait are no overload while the loop has time to sleep.
        await server.onLoop { $0.busyTimeMax = 20_000_000_000 }
        let served = await client.call(RawClient.head(BadInputTests.echo), [BadInputTests.hello])
        #expect(served.status == "0")
        await client.stop()
        await server.stop()
    }

    private func expectRefusal(
        _ answer: RawAnswer, _ code: Status.Code, naming words: String, _ comment: Comment? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(answer.isTrailersOnly, comment, sourceLocation: sourceLocation)
        #expect(answer.head[":status"] == "200", comment, sourceLocation: sourceLocation)
        #expect(answer.head["content-type"] == "application/grpc", comment, sourceLocation: sourceLocation)
        #expect(answer.status == String(code.rawValue), comment, sourceLocation: sourceLocation)
        #expect(answer.statusMessage.contains(words), comment, sourceLocation: sourceLocation)
    }

    @Test func aGoodCallHasHeadMessageAndTrailers() async throws {
        let answer = try await ask(
            RawClient.head(BadInputTests.echo, with: ["content-type": "application/grpc+proto"]))
        #expect(
            answer.blocks == [
                [":status": "200", "content-type": "application/grpc", "grpc-accept-encoding": "identity"],
                ["grpc-status": "0"],
            ])
        #expect(answer.data == BadInputTests.hello)
        #expect(answer.closedWith == 0)
    }

    @Test(arguments: ["application/json", "application/grpc-web+proto", ""])
    func anotherContentTypeIsAnHTTPError(type: String) async throws {
        for endsBody in [true, false] {
            let answer = try await ask(
                RawClient.head(BadInputTests.echo, with: ["content-type": type]), endsBody: endsBody)
            #expect(answer.blocks == [[":status": "415"]])
            #expect(answer.data.isEmpty)
        }
    }

    @Test func noContentTypeIsAnHTTPError() async throws {
        #expect(
            try await ask(RawClient.head(BadInputTests.echo, without: ["content-type"])).blocks == [
                [":status": "415"]
            ])
    }

    @Test func anotherMethodIsAnHTTPError() async throws {
        let answer = try await ask(RawClient.head(BadInputTests.echo, with: [":method": "PUT"]))
        #expect(answer.blocks == [[":status": "405", "allow": "POST"]])
    }

    @Test func teIsNotAskedFor() async throws {
        #expect(try await ask(RawClient.head(BadInputTests.echo, without: ["te"])).status == "0")
    }

    @Test(arguments: [
        "/test.Calls/echo", "/test.calls/Echo", "/test.Calls/", "/", "/test.Calls/Echo/",
        "/other.Service/Echo",
    ])
    func anUnknownMethodIsNamed(path: String) async throws {
        expectRefusal(try await ask(RawClient.head(path)), .unimplemented, naming: path)
        expectRefusal(try await ask(RawClient.head(path), [], endsBody: false), .unimplemented, naming: path)
    }

    @Test(arguments: ["5", "S", "5s", "123456789S", "-1S", "soon"])
    func aMalformedTimeoutIsInternal(timeout: String) async throws {
        let answer = try await ask(RawClient.head(BadInputTests.echo, with: ["grpc-timeout": timeout]))
        expectRefusal(answer, .internal, naming: "grpc-timeout")
    }

    @Test func aTimeoutOfZeroHasPassed() async throws {
        let answer = try await ask(
            RawClient.head("/test.Calls/Hang", with: ["grpc-timeout": "0S"]), endsBody: false)
        expectRefusal(answer, .deadlineExceeded, naming: "deadline")
    }

    @Test func theLongestTimeoutIsNoOverflow() async throws {
        let answer = try await ask(RawClient.head(BadInputTests.echo, with: ["grpc-timeout": "99999999H"]))
        #expect(answer.status == "0")
    }

    @Test func aCompressedMessageIsRefused() async throws {
        let compressed: [UInt8] = [1] + BadInputTests.hello.dropFirst()
        let head = RawClient.head(BadInputTests.echo)
        expectRefusal(try await ask(head, [compressed]), .internal, naming: "compressed", "no encoding")
        let identity = RawClient.head(BadInputTests.echo, with: ["grpc-encoding": "identity"])
        expectRefusal(try await ask(identity, [compressed]), .internal, naming: "compressed", "identity")
        let gzip = RawClient.head(BadInputTests.echo, with: ["grpc-encoding": "gzip"])
        let answer = try await ask(gzip, [compressed])
        expectRefusal(answer, .unimplemented, naming: "compressed", "gzip")
        #expect(answer.head["grpc-accept-encoding"] == "identity")
        #expect(try await ask(gzip, [BadInputTests.hello]).status == "0", "gzip announced, but not used")
        let flag: [UInt8] = [2] + BadInputTests.hello.dropFirst()
        expectRefusal(try await ask(head, [flag]), .internal, naming: "flag")
    }

    @Test func aMessageOverTheLimitIsRefusedAtItsPrefix() async throws {
        let prefix: [UInt8] = [0, 0, 0, 3, 233]
        let answer = try await ask(RawClient.head(BadInputTests.echo), [prefix], endsBody: false)
        expectRefusal(answer, .resourceExhausted, naming: "1001")
    }

    @Test func aMessageCutShortIsInternal() async throws {
        for count in 1..<BadInputTests.hello.count {
            let answer = try await ask(
                RawClient.head(BadInputTests.echo), [Array(BadInputTests.hello[..<count])])
            expectRefusal(answer, .internal, naming: "inside a message")
        }
    }

    @Test(arguments: [[0x0a, 5, 1], [0xff], [0x0b], [0x12, 200, 1, 0]] as [[UInt8]])
    func whatIsNoProtobufIsInternal(bytes: [UInt8]) async throws {
        let answer = try await ask(RawClient.head(BadInputTests.echo), [MessageFramingTests.framed(bytes)])
        expectRefusal(answer, .internal, naming: "parsed")
    }

    @Test func textThatIsNoUTF8NamesItsField() async throws {
        let content = Message.View.descriptor  // field 2 is `content`
        #expect(String(cString: content.pointee.name) == "junction.v1.Message")
        let wrong: [UInt8] = [0x12, 2, 0xc3, 0x28]
        let answer = try await ask(RawClient.head(BadInputTests.echo), [MessageFramingTests.framed(wrong)])
        expectRefusal(answer, .invalidArgument, naming: "content is not valid UTF-8")
        let nul: [UInt8] = [0x12, 3, 65, 0, 66]
        let other = try await ask(RawClient.head(BadInputTests.echo), [MessageFramingTests.framed(nul)])
        expectRefusal(other, .invalidArgument, naming: "content holds a NUL")
    }

    @Test func aUnaryCallTakesOneMessage() async throws {
        for method in ["Echo", "Count"] {
            let head = RawClient.head("/test.Calls/" + method)
            expectRefusal(try await ask(head, []), .unimplemented, naming: "cardinality violation", "none")
            let two = try await ask(head, [BadInputTests.hello, BadInputTests.hello])
            expectRefusal(two, .unimplemented, naming: "cardinality violation", "two")
            let together = try await ask(head, [BadInputTests.hello + BadInputTests.hello], endsBody: false)
            expectRefusal(together, .unimplemented, naming: "cardinality violation", "two in one piece")
        }
    }

    @Test func aMessageMayComeByteByByte() async throws {
        let answer = try await ask(RawClient.head(BadInputTests.echo), BadInputTests.hello.map { [$0] })
        #expect(answer.status == "0")
        #expect(answer.data == BadInputTests.hello)
    }

    @Test func aHeadOverTheLimitIsReset() async throws {
        let large = RawClient.head(
            BadInputTests.echo, with: ["x-large": String(repeating: "a", count: 20_000)])
        let answer = try await ask(large, endsBody: false)
        #expect(answer.blocks.isEmpty)
        #expect(answer.closedWith != 0)
    }
}
