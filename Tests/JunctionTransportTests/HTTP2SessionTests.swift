// HTTP/2 sessions joined in memory: what a stream's user is told and what goes over the wire.
import Testing

@testable import JunctionTransport

@Suite struct HTTP2SessionTests {
    /// Answers a request with its own body and trailers.
    static func echo(_ recorder: Recorder) {
        recorder.onEnded = { recorder in
            recorder.stream!.sendHeaders(response)
            if !recorder.body.isEmpty { recorder.stream!.send(recorder.body) }
            recorder.stream!.sendTrailers(trailers)
        }
    }

    @Test func aCallGoesThereAndBack() {
        let pair = MemoryPair(prepare: HTTP2SessionTests.echo)
        #expect(pair.server.isEstablished && pair.client.isEstablished)
        let call = pair.client.open()
        call.stream!.send("hello")
        call.stream!.endBody()
        pair.exchange()
        let served = pair.server.recorders[0]
        #expect(served.blocks == [requestFields])
        #expect(served.body == Array("hello".utf8))
        #expect(served.events == [.headers(endStream: false), .data, .ended, .closed(0)])
        #expect(
            call.blocks == [
                [HeaderField(":status", "200"), HeaderField("content-type", "text/plain")],
                [HeaderField("status", "0")],
            ])
        #expect(call.body == Array("hello".utf8))
        #expect(
            call.events == [
                .headers(endStream: false), .data, .headers(endStream: true), .ended, .closed(0),
            ])
        #expect(pair.client.session.openStreams == 0 && pair.server.session.openStreams == 0)
    }

    @Test(arguments: [1, 2, 7, 23, 4096]) func piecesMayBeCutAnywhere(pieceBytes: Int) {
        let pair = MemoryPair(prepare: HTTP2SessionTests.echo)
        let call = pair.client.open()
        call.stream!.send(pattern(20_000))
        call.stream!.endBody()
        pair.exchange(pieceBytes: pieceBytes)
        #expect(call.body == pattern(20_000))
        #expect(call.errorCode == 0)
    }

    @Test func anAnswerCanBeHeadersAlone() {
        let pair = MemoryPair { recorder in
            recorder.onEnded = { $0.stream!.sendHeaders([HeaderField(":status", "404")], endStream: true) }
        }
        let call = pair.client.open(endStream: true)
        pair.exchange()
        #expect(call.blocks == [[HeaderField(":status", "404")]])
        #expect(call.events == [.headers(endStream: true), .ended, .closed(0)])
    }

    @Test func trailersComeAfterAStreamThatWasIdle() {
        let pair = MemoryPair()
        let call = pair.client.open(endStream: true)
        pair.exchange()
        let stream = pair.server.recorders[0].stream!
        stream.sendHeaders(response)
        pair.exchange()
        #expect(call.events == [.headers(endStream: false)])
        stream.send("a")
        pair.exchange()
        stream.send("b")
        pair.exchange()
        #expect(call.body == Array("ab".utf8))
        stream.sendTrailers(trailers)
        pair.exchange()
        #expect(call.errorCode == 0)
        #expect(call.blocks.count == 2)
    }

    @Test func preparedAndPlainHeadersAreTheSame() {
        let pair = MemoryPair { recorder in
            recorder.onEnded = { recorder in
                recorder.stream!.sendHeaders([HeaderField(":status", "200"), HeaderField("empty", "")])
                recorder.stream!.sendTrailers([HeaderField("utf8", "\u{2603}"), HeaderField("second", "2")])
            }
        }
        let call = pair.client.open(endStream: true)
        pair.exchange()
        #expect(
            call.blocks == [
                [HeaderField(":status", "200"), HeaderField("empty", "")],
                [HeaderField("utf8", "\u{2603}"), HeaderField("second", "2")],
            ])
    }

    @Test func anAnswerBeforeTheRequestEndsFreesTheStreamWithoutAnError() {
        let pair = MemoryPair { recorder in
            recorder.onHeaders = { recorder in
                recorder.stream!.sendHeaders(response)
                recorder.stream!.sendTrailers(trailers)
            }
        }
        let call = pair.client.open()
        call.stream!.send("more to come")
        pair.exchange()
        #expect(call.blocks.count == 2)
        #expect(call.errorCode == 0)
        #expect(pair.server.recorders[0].errorCode == 0)
        #expect(pair.server.session.openStreams == 0 && pair.client.session.openStreams == 0)
    }

    // MARK: Flow control

    @Test func aSenderStopsAtTheWindowUntilBytesAreConsumed() {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = 100_000
        let pair = MemoryPair(limits: limits) { $0.consumesAtOnce = false }
        let call = pair.client.open()
        call.stream!.send(pattern(250_000))
        call.stream!.endBody()
        pair.exchange()
        let served = pair.server.recorders[0]
        #expect(served.bytesReceived == 100_000)
        #expect(call.stream!.bytesQueued == 150_000)
        served.stream!.consume(100_000)
        pair.exchange()
        #expect(served.bytesReceived == 200_000)
        served.stream!.consume(100_000)
        pair.exchange()
        #expect(served.body == pattern(250_000))
        #expect(served.events.last == .ended)
    }

    @Test func bytesThatNobodyConsumesDoNotUseUpTheConnection() {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = 65_535
        limits.connectionWindowBytes = 65_535
        let pair = MemoryPair(limits: limits) { $0.consumesAtOnce = false }
        for index in 0..<20 {
            let call = pair.client.open()
            call.stream!.send(pattern(50_000))
            pair.exchange()
            #expect(pair.server.recorders[index].bytesReceived == 50_000)
            if index % 2 == 0 { call.stream!.reset(HTTP2ErrorCode.cancel) }
            if index % 2 == 1 { pair.server.recorders[index].stream!.reset(HTTP2ErrorCode.cancel) }
            pair.exchange()
        }
        #expect(pair.server.session.openStreams == 0)
    }

    @Test func aCongestedStreamBecomesWritableWhenItsOutputHasGone() {
        let pair = MemoryPair()
        let call = pair.client.open { $0.consumesAtOnce = false }
        pair.exchange()
        let served = pair.server.recorders[0]
        let stream = served.stream!
        stream.sendHeaders(response)
        stream.send(pattern(60_000))
        #expect(!stream.isCongested)
        stream.send(pattern(440_000))
        #expect(stream.isCongested)
        #expect(stream.bytesQueued == 500_000)
        pair.exchange()
        #expect(call.bytesReceived == 256 * 1024)
        #expect(stream.isCongested)
        #expect(!served.events.contains(.writable))
        call.stream!.consume(256 * 1024)
        pair.exchange()
        #expect(served.events.filter { $0 == .writable }.count == 1)
        #expect(!stream.isCongested)
    }

    @Test func aHandlerMaySendMoreFromBecameWritable() {
        let size = 3 * 1024 * 1024
        let data = pattern(size)
        let pair = MemoryPair { recorder in
            var sent = 0
            func sendMore(_ recorder: Recorder) {
                while sent < size && !recorder.stream!.isCongested {
                    recorder.stream!.send(data[sent..<min(size, sent + 50_000)])
                    sent = min(size, sent + 50_000)
                    #expect(recorder.stream!.bytesQueued < 200_000)
                }
                if sent == size { recorder.stream!.sendTrailers(trailers) }
            }
            recorder.onEnded = { recorder in
                recorder.stream!.sendHeaders(response)
                sendMore(recorder)
            }
            recorder.onWritable = sendMore
        }
        let call = pair.client.open(endStream: true)
        pair.exchange()
        #expect(call.body == data)
        #expect(call.errorCode == 0)
    }

    // MARK: Ends

    @Test func resetsReachTheOtherSideWithTheirCode() {
        let pair = MemoryPair()
        let first = pair.client.open()
        let second = pair.client.open()
        pair.exchange()
        first.stream!.reset(HTTP2ErrorCode.cancel)
        #expect(first.events == [], "closed must not come from within reset")
        pair.server.recorders[1].stream!.reset(HTTP2ErrorCode.enhanceYourCalm)
        pair.exchange()
        #expect(pair.server.recorders[0].errorCode == HTTP2ErrorCode.cancel)
        #expect(first.errorCode == HTTP2ErrorCode.cancel)
        #expect(second.errorCode == HTTP2ErrorCode.enhanceYourCalm)
        #expect(pair.server.recorders[1].errorCode == HTTP2ErrorCode.enhanceYourCalm)
        for recorder in pair.client.recorders + pair.server.recorders { #expect(recorder.closings == 1) }
    }

    @Test func afterItsEndAStreamIgnoresCalls() {
        let pair = MemoryPair()
        let call = pair.client.open()
        pair.exchange()
        let stream = call.stream!
        stream.reset(HTTP2ErrorCode.cancel)
        stream.reset(HTTP2ErrorCode.internalError)
        stream.send("late")
        pair.exchange()
        stream.send("later")
        stream.endBody()
        stream.sendTrailers(trailers)
        stream.consume(10)
        stream.reset(HTTP2ErrorCode.cancel)
        pair.exchange()
        #expect(stream.isClosed && stream.bytesQueued == 0)
        #expect(pair.server.recorders[0].bytesReceived == 0)
        #expect(call.events == [.closed(HTTP2ErrorCode.cancel)])
    }

    @Test func aResetMayCrossAnAnswerThatIsNotYetInFrames() {
        let pair = MemoryPair()
        let call = pair.client.open(endStream: true)
        let other = pair.client.open(endStream: true)
        pair.exchange()
        // The answer's header block lives no longer than the stream, which ends before it is sent.
        pair.server.recorders[0].stream!.sendHeaders([HeaderField(":status", "200"), HeaderField("x", "y")])
        pair.server.recorders[0].stream!.send("never seen")
        call.stream!.reset(HTTP2ErrorCode.cancel)
        pair.server.receive(pair.client.output())
        #expect(pair.server.recorders[0].errorCode == HTTP2ErrorCode.cancel)
        pair.server.recorders[1].stream!.sendHeaders(response, endStream: true)
        pair.exchange()
        #expect(call.blocks.isEmpty)
        #expect(other.errorCode == 0)
    }

    @Test func nothingIsToldBetweenAResetAndItsEnd() {
        let pair = MemoryPair { recorder in
            recorder.onHeaders = { $0.stream!.reset(HTTP2ErrorCode.refusedStream) }
        }
        let call = pair.client.open()
        call.stream!.send("body")
        call.stream!.endBody()
        pair.exchange()
        #expect(
            pair.server.recorders[0].events == [
                .headers(endStream: false), .closed(HTTP2ErrorCode.refusedStream),
            ])
        #expect(call.errorCode == HTTP2ErrorCode.refusedStream)
    }

    @Test(arguments: ["headers", "data", "ended", "closed"]) func anyCallMayComeFromAnyCallback(
        from place: String
    ) {
        // Another stream of the same connection is answered, and one reset, from within a callback.
        let pair = MemoryPair()
        let waiting = pair.client.open(endStream: true)
        let doomed = pair.client.open()
        pair.exchange()
        let (other, victim) = (pair.server.recorders[0].stream!, pair.server.recorders[1].stream!)
        let act: (Recorder) -> Void = { recorder in
            guard !other.isClosed, recorder.stream !== other, recorder.stream !== victim else { return }
            other.sendHeaders(response)
            other.send("from elsewhere")
            other.sendTrailers(trailers)
            victim.reset(HTTP2ErrorCode.cancel)
            recorder.stream?.consume(1)
        }
        pair.server.prepare = { recorder in
            switch place {
            case "headers": recorder.onHeaders = act
            case "data": recorder.onData = act
            case "ended": recorder.onEnded = act
            default:
                recorder.onEnded = { $0.stream!.sendHeaders(response, endStream: true) }
                recorder.onClosed = act
            }
        }
        let call = pair.client.open()
        call.stream!.send("body")
        call.stream!.endBody()
        pair.exchange()
        #expect(waiting.body == Array("from elsewhere".utf8))
        #expect(waiting.errorCode == 0)
        #expect(doomed.errorCode == HTTP2ErrorCode.cancel)
    }

    @Test func aLostConnectionClosesEveryStreamOnce() {
        let pair = MemoryPair()
        for _ in 0..<50 { _ = pair.client.open() }
        pair.exchange()
        var reopened: Recorder?
        pair.client.recorders[0].onClosed = { _ in reopened = pair.client.open() }
        pair.client.recorders[1].onClosed = { _ in pair.client.recorders[2].stream?.send("too late") }
        pair.client.session.connectionLost()
        pair.server.session.connectionLost()
        for recorder in pair.client.recorders.prefix(50) + pair.server.recorders {
            #expect(recorder.errorCode == HTTP2ErrorCode.connectionLost)
            #expect(recorder.closings == 1)
        }
        #expect(reopened?.events == [], "closed must not come from within open")
        #expect(pair.client.session.deliverEvents())
        #expect(reopened?.errorCode == HTTP2ErrorCode.refusedStream)
        #expect(pair.client.session.isOver && !pair.client.session.canOpenStreams)
    }

    // MARK: Limits

    @Test(arguments: [(1, 17_000), (101, 10)]) func tooManyHeadersResetOnlyTheirStream(count: Int, bytes: Int)
    {
        let pair = MemoryPair(prepare: HTTP2SessionTests.echo)
        let before = pair.client.open()
        let fields = (0..<count).map { HeaderField("x-\($0)", String(repeating: "v", count: bytes)) }
        let tooLarge = pair.client.open(HeaderBlock(requestFields + fields), endStream: true)
        pair.exchange()
        #expect(tooLarge.errorCode == HTTP2ErrorCode.internalError)
        #expect(pair.server.recorders[1].events == [.closed(HTTP2ErrorCode.internalError)])
        before.stream!.send("still here")
        before.stream!.endBody()
        let after = pair.client.open(endStream: true)
        pair.exchange()
        #expect(before.body == Array("still here".utf8) && before.errorCode == 0)
        #expect(after.errorCode == 0)
    }

    @Test func headersJustWithinTheLimitPass() {
        let pair = MemoryPair(prepare: HTTP2SessionTests.echo)
        let used = requestFields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 32 }
        let room = 16 * 1024 - used - 32 - 1
        let call = pair.client.open(
            HeaderBlock(requestFields + [HeaderField("x", String(repeating: "v", count: room))]),
            endStream: true)
        pair.exchange()
        #expect(call.errorCode == 0)
        #expect(call.blocks.count == 2)
    }

    @Test func requestsOverTheLimitOfStreamsWaitForTheirTurn() {
        var limits = HTTP2Limits()
        limits.concurrentStreams = 3
        let pair = MemoryPair(limits: limits)
        for _ in 0..<8 { _ = pair.client.open(endStream: true) }
        pair.exchange()
        #expect(pair.server.recorders.count == 3)
        pair.client.recorders[7].stream!.reset(HTTP2ErrorCode.cancel)
        pair.exchange()
        #expect(pair.client.recorders[7].errorCode == HTTP2ErrorCode.cancel)
        while let served = pair.server.recorders.first(where: { $0.stream != nil }) {
            #expect(pair.server.session.openStreams <= 3)
            served.stream!.sendHeaders(response, endStream: true)
            pair.exchange()
        }
        #expect(pair.server.recorders.count == 7)
        #expect(pair.client.recorders.prefix(7).allSatisfy { $0.errorCode == 0 })
        #expect(pair.client.session.openStreams == 0)
    }

    // MARK: Shutdown

    @Test func shutdownInTwoStepsLetsStreamsFinish() {
        let pair = MemoryPair(prepare: HTTP2SessionTests.echo)
        let early = pair.client.open()
        pair.exchange()
        pair.server.session.announceShutdown()
        // On its way before the peer heard: still served.
        let crossing = pair.client.open(endStream: true)
        pair.exchange()
        #expect(pair.server.shutdownsHeard == 1)
        #expect(crossing.errorCode == 0)
        #expect(!pair.client.session.canOpenStreams)
        pair.server.session.refuseNewStreams()
        let late = pair.client.open(endStream: true)
        pair.exchange()
        #expect(late.errorCode == HTTP2ErrorCode.refusedStream)
        #expect(!pair.server.session.isOver)
        early.stream!.endBody()
        pair.exchange()
        #expect(early.errorCode == 0)
        #expect(pair.server.session.isOver && pair.client.session.isOver)
    }

    // MARK: Bad input

    @Test func garbageInsteadOfAPrefaceEndsTheSession() {
        let server = MemoryPeer(.server)
        server.receive(Array("this is not HTTP/2 at all".utf8))
        #expect(!server.canGoOn)
    }

    static let faults: [(name: String, frame: Frame, code: UInt32)] = [
        ("DATA on stream 0", Frame(type: 0, flags: 0, stream: 0, payload: [1]), HTTP2ErrorCode.protocolError),
        (
            "HEADERS on an even stream", Frame(type: 1, flags: 5, stream: 2, payload: [0x82]),
            HTTP2ErrorCode.protocolError
        ),
        ("SETTINGS of 5 bytes", Frame(type: 4, flags: 0, stream: 0, payload: [0, 1, 0, 0, 0]), 6),
        ("PING of 7 bytes", Frame(type: 6, flags: 0, stream: 0, payload: Array(repeating: 0, count: 7)), 6),
        (
            "WINDOW_UPDATE of 0", Frame(type: 8, flags: 0, stream: 0, payload: [0, 0, 0, 0]),
            HTTP2ErrorCode.protocolError
        ),
        (
            "CONTINUATION alone", Frame(type: 9, flags: 4, stream: 1, payload: [0x82]),
            HTTP2ErrorCode.protocolError
        ),
        (
            "a broken header block",
            Frame(type: 1, flags: 5, stream: 1, payload: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 9
        ),
        (
            "a frame of 16,385 bytes",
            Frame(type: 0, flags: 0, stream: 1, payload: Array(repeating: 0, count: 16_385)), 6
        ),
    ]

    @Test(arguments: faults.indices) func aMalformedFrameEndsTheSessionWithGoAway(index: Int) throws {
        let (name, frame, code) = HTTP2SessionTests.faults[index]
        let server = MemoryPeer(.server)
        server.receive(Preface.bytes + Frame(type: 4, flags: 0, stream: 0, payload: []).bytes)
        _ = server.output()
        #expect(!server.session.isOver)
        server.receive(frame.bytes)
        let goAway = try #require(Frame.all(in: server.output()).last { $0.type == Frame.goAway }, "\(name)")
        #expect(goAway.errorCode == code, "\(name)")
        #expect(server.session.isOver, "\(name)")
    }

    @Test func aFaultyRequestResetsOnlyItsStream() {
        let pair = MemoryPair(prepare: HTTP2SessionTests.echo)
        let other = pair.client.open()
        let faulty = pair.client.open(
            HeaderBlock(requestFields + [HeaderField("connection", "close")]), endStream: true)
        pair.exchange()
        #expect(faulty.errorCode == HTTP2ErrorCode.protocolError)
        #expect(pair.server.recorders[1].closings == 1)
        other.stream!.endBody()
        pair.exchange()
        #expect(other.errorCode == 0)
    }

    @Test func anyBytesAreSurvived() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SplitMix(state: seed)
        for _ in 0..<300 {
            let server = MemoryPeer(.server)
            server.prepare = { HTTP2SessionTests.echo($0) }
            let client = MemoryPeer(.client)
            for _ in 0..<3 {
                let call = client.open()
                call.stream!.send(pattern(100))
                call.stream!.endBody()
            }
            var bytes = client.output()
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 24..<bytes.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            server.receive(bytes)
            _ = server.output()
            server.session.connectionLost()
            for recorder in server.recorders { #expect(recorder.closings == 1, "seed \(seed)") }
            client.session.connectionLost()
        }
    }
}

/// Reproducible random numbers for tests.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
