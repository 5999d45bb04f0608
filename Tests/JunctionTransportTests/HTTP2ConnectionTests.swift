// HTTP/2 connections over real sockets on loopback: what the session tests show, plus reading, writing,
// time-outs and ends. Most have both sides on one loop, which the test itself turns; some have a thread a
// side.
import Glibc
import Testing

@testable import JunctionTransport

@Suite struct HTTP2ConnectionTests {
    @Test func aCallGoesThereAndBack() throws {
        let pair = try SocketPair(prepare: HTTP2SessionTests.echo)
        let call = pair.open()
        call.stream!.send("hello")
        call.stream!.endBody()
        pair.loop.run { call.errorCode != nil }
        #expect(call.errorCode == 0)
        #expect(call.body == Array("hello".utf8))
        #expect(pair.serverRecorders[0].blocks == [requestFields])
        #expect(call.blocks.last == [HeaderField("status", "0")])
        pair.close()
    }

    @Test func manyMegabytesGoBothWays() throws {
        let data = pattern(4 * 1024 * 1024 + 5)
        let pair = try SocketPair(prepare: HTTP2SessionTests.echo)
        let call = pair.open()
        call.stream!.send(data)
        call.stream!.endBody()
        pair.loop.run { call.errorCode != nil }
        #expect(pair.serverRecorders[0].body == data)
        #expect(call.body == data)
        #expect(call.errorCode == 0)
        pair.close()
    }

    @Test func aThousandStreamsAtOnce() throws {
        let count = 1_000
        let pair = try SocketPair()
        var calls: [Recorder] = []
        for index in 0..<count {
            let call = pair.open()
            call.stream!.send("\(index)")
            call.stream!.endBody()
            calls.append(call)
        }
        pair.loop.run { pair.serverRecorders.filter { $0.events.last == .ended }.count == count }
        #expect(pair.server.openStreams == count)
        for recorder in pair.serverRecorders.reversed() {
            recorder.stream!.sendHeaders(response)
            recorder.stream!.send(recorder.body)
            recorder.stream!.sendTrailers(trailers)
        }
        pair.loop.run { calls.allSatisfy { $0.errorCode != nil } }
        for (index, call) in calls.enumerated() {
            #expect(call.errorCode == 0)
            #expect(String(decoding: call.body, as: UTF8.self) == "\(index)")
        }
        #expect(pair.server.openStreams == 0)
        pair.close()
    }

    @Test func aSlowReaderHoldsTheSenderBackWithBoundedMemory() throws {
        let size = 64 * 1024 * 1024
        var sent = 0
        var mostQueued = 0
        let piece = pattern(20_000)
        func sendMore(_ recorder: Recorder) {
            while sent < size && !recorder.stream!.isCongested {
                recorder.stream!.send(piece)
                sent += piece.count
                mostQueued = max(mostQueued, recorder.stream!.bytesQueued)
            }
            if sent >= size { recorder.stream!.sendTrailers(trailers) }
        }
        let pair = try SocketPair { recorder in
            recorder.onHeaders = { recorder in
                recorder.stream!.sendHeaders(response)
                sendMore(recorder)
            }
            recorder.onWritable = sendMore
        }
        let call = pair.open {
            $0.consumesAtOnce = false
            $0.keepsBody = false
        }
        call.stream!.endBody()
        pair.loop.run {
            call.bytesReceived == 256 * 1024 && pair.serverRecorders.first?.stream?.isCongested == true
        }
        let sentWhileStuck = sent
        #expect(sentWhileStuck < 512 * 1024)
        var consumed = 0
        pair.loop.run {
            let more = min(100_000, call.bytesReceived - consumed)
            call.stream?.consume(more)
            consumed += more
            return call.errorCode != nil
        }
        #expect(call.bytesReceived == sent)
        #expect(mostQueued < 128 * 1024)
        #expect(pair.serverRecorders[0].events.contains(.writable))
        pair.close()
    }

    @Test func aSocketThatTakesNoMoreHoldsFramesBack() throws {
        // The peer reads nothing at all from its socket, though its windows are wide open.
        let loop = EventLoop()
        var served: [Recorder] = []
        var isClosed = false
        var connection: HTTP2Connection?
        let listener = try Listener(loop: loop, host: "127.0.0.1", port: 0) { descriptor in
            connection = HTTP2Connection.serve(descriptor: descriptor, loop: loop) { stream in
                let recorder = Recorder()
                recorder.stream = stream
                served.append(recorder)
                return recorder
            }
            connection?.onClosed = { isClosed = true }
        }
        defer { listener.close() }
        let raw = RawPeer(port: listener.port, receiveBufferBytes: 1_048_576)
        let client = MemoryPeer(.client)
        _ = client.open(endStream: true)
        raw.send(
            client.output()
                + Frame(type: 4, flags: 0, stream: 0, payload: [0, 4, 0x7f, 0xff, 0xff, 0xff]).bytes
                + Frame(type: 8, flags: 0, stream: 0, payload: [0x70, 0, 0, 0]).bytes)
        loop.run { served.first?.events.last == .ended }
        let stream = served[0].stream!
        stream.sendHeaders(response)
        let size = 12 * 1024 * 1024
        stream.send(count: size) { $0.initializeMemory(as: UInt8.self, repeating: 7) }
        stream.sendTrailers(trailers)
        loop.run { connection!.bytesHeldBack > 0 }
        #expect(connection!.bytesHeldBack < 128 * 1024)
        #expect(stream.bytesQueued > size / 2, "the socket cannot have taken that much")
        // It goes on when the peer reads.
        let reader = Thread { raw.readToEnd() }
        loop.run { served[0].errorCode != nil }
        #expect(served[0].errorCode == 0)
        raw.shutdown()
        loop.run { isClosed }
        let received = try #require(reader.value())
        #expect(received.count > size)
    }

    @Test func resetsReachTheOtherSide() throws {
        let pair = try SocketPair()
        let (mine, theirs) = (pair.open(), pair.open())
        pair.loop.run { pair.serverRecorders.count == 2 }
        mine.stream!.reset(HTTP2ErrorCode.cancel)
        pair.serverRecorders[1].stream!.reset(HTTP2ErrorCode.refusedStream)
        pair.loop.run {
            pair.serverRecorders[0].errorCode != nil && theirs.errorCode != nil && mine.errorCode != nil
        }
        #expect(pair.serverRecorders[0].errorCode == HTTP2ErrorCode.cancel)
        #expect(theirs.errorCode == HTTP2ErrorCode.refusedStream)
        pair.close()
    }

    @Test(arguments: [true, false]) func aLostConnectionIsToldToEveryStream(clientLeaves: Bool) throws {
        let pair = try SocketPair()
        let calls = (0..<20).map { _ in pair.open() }
        pair.loop.run { pair.serverRecorders.count == 20 }
        if clientLeaves { pair.client.close() } else { pair.server.close() }
        pair.loop.run { pair.clientIsClosed && pair.serverIsClosed }
        for recorder in calls + pair.serverRecorders {
            #expect(recorder.closings == 1)
            #expect(recorder.errorCode == HTTP2ErrorCode.connectionLost)
        }
        #expect(!pair.client.canOpenStreams)
        let late = pair.open()
        pair.loop.run { late.errorCode != nil }
        #expect(late.errorCode == HTTP2ErrorCode.refusedStream)
    }

    @Test func closingFromWithinACallbackIsSafe() throws {
        var pair: SocketPair?
        pair = try SocketPair { recorder in
            recorder.onHeaders = { recorder in
                recorder.stream!.sendHeaders(response)
                recorder.stream!.send("the last words")
                recorder.stream!.sendTrailers(trailers)
                pair!.server.close()
            }
        }
        let call = pair!.open()
        let other = pair!.open()
        pair!.loop.run { pair!.clientIsClosed && pair!.serverIsClosed }
        #expect(call.body == Array("the last words".utf8))
        #expect(call.errorCode == 0)
        #expect(other.closings == 1)
        pair = nil
    }

    @Test func drainingFinishesStreamsThenCloses() throws {
        let pair = try SocketPair(prepare: HTTP2SessionTests.echo)
        let call = pair.open()
        pair.loop.run { pair.serverRecorders.count == 1 }
        pair.server.drain()
        pair.loop.run { !pair.client.canOpenStreams }
        call.stream!.send("still served")
        #expect(!pair.serverIsClosed)
        call.stream!.endBody()
        pair.loop.run { pair.serverIsClosed && pair.clientIsClosed }
        #expect(call.body == Array("still served".utf8))
        #expect(call.errorCode == 0)
    }

    @Test func drainingDoesNotWaitForAPeerThatIgnoresPings() throws {
        var limits = HTTP2Limits()
        limits.drainPingTimeout = .milliseconds(20)
        limits.lingerTimeout = .milliseconds(20)
        let server = try ThreadedServer(limits: limits)
        let raw = RawPeer(port: server.port)
        raw.send(Preface.bytes + Frame(type: 4, flags: 0, stream: 0, payload: []).bytes)
        server.onEveryConnection { $0.drain() }
        let goAways = Frame.all(in: raw.readToEnd() ?? []).filter { $0.type == Frame.goAway }
        #expect(goAways.count == 2)
        #expect(goAways.first?.payload.prefix(4) == [0x7f, 0xff, 0xff, 0xff])
        #expect(goAways.allSatisfy { $0.errorCode == 0 })
        server.stop()
    }

    // MARK: Peers that speak something else

    @Test(arguments: [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n", "PUT / HTTP/1.1\r\n\r\n",
    ])
    func olderHTTPIsToldWhatThisPortSpeaks(request: String) throws {
        let server = try ThreadedServer()
        let raw = RawPeer(port: server.port)
        raw.send(request)
        let answer = String(decoding: raw.readToEnd() ?? [], as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 505 "))
        #expect(answer.contains("gRPC over HTTP/2 with prior knowledge"))
        server.stop()
    }

    @Test(arguments: ["\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "pri * http/2.0\r\n\r\n", "{\"json\": 1}"])
    func garbageIsAnsweredWithGoAwayAndClosed(garbage: String) throws {
        let server = try ThreadedServer()
        let raw = RawPeer(port: server.port)
        raw.send(garbage)
        let frames = Frame.all(in: try #require(raw.readToEnd()))
        #expect(frames.last?.type == Frame.goAway)
        #expect(frames.last?.errorCode == HTTP2ErrorCode.protocolError)
        server.stop()
    }

    @Test func aMalformedFrameIsAnsweredWithGoAwayAndClosedAndOthersGoOn() throws {
        let server = try ThreadedServer()
        let bystander = ThreadedClient(port: server.port)
        #expect(bystander.call("before") == "before")
        let raw = RawPeer(port: server.port)
        raw.send(Preface.bytes + Frame(type: 4, flags: 0, stream: 0, payload: []).bytes)
        raw.send(Frame(type: 0, flags: 0, stream: 0, payload: [1, 2, 3]).bytes)
        let goAway = Frame.all(in: try #require(raw.readToEnd())).last
        #expect(goAway?.type == Frame.goAway)
        #expect(goAway?.errorCode == HTTP2ErrorCode.protocolError)
        #expect(bystander.call("after") == "after")
        bystander.stop()
        server.stop()
    }

    @Test func aPrefaceMayComeByteByByte() throws {
        var limits = HTTP2Limits()
        limits.drainPingTimeout = .milliseconds(20)
        let server = try ThreadedServer(limits: limits)
        let client = MemoryPeer(.client)
        let call = client.open()
        call.stream!.send("slowly")
        call.stream!.endBody()
        let raw = RawPeer(port: server.port)
        for byte in client.output() { raw.send([byte]) }
        server.onEveryConnection { $0.drain() }
        let received = Frame.all(in: try #require(raw.readToEnd()))
        #expect(received.contains { $0.type == 0 && $0.payload == Array("slowly".utf8) })
        server.stop()
    }

    @Test(arguments: [0, 10, 24]) func aSilentConnectionIsClosed(bytesSent: Int) throws {
        var limits = HTTP2Limits()
        limits.handshakeTimeout = .milliseconds(50)
        let server = try ThreadedServer(limits: limits)
        let raw = RawPeer(port: server.port)
        raw.send(Array(Preface.bytes.prefix(bytesSent)))
        #expect(raw.readToEnd() != nil)
        server.stop()
    }

    @Test func aQuietButEstablishedConnectionStays() throws {
        var limits = HTTP2Limits()
        limits.handshakeTimeout = .milliseconds(50)
        let server = try ThreadedServer(limits: limits)
        let client = ThreadedClient(port: server.port)
        #expect(client.call("first") == "first")
        client.wait(.milliseconds(120))
        #expect(client.call("second") == "second")
        client.stop()
        server.stop()
    }

    // MARK: Threads

    @Test func loopsOnThreadsOfTheirOwnServeEachOther() throws {
        let server = try ThreadedServer()
        let clients = (0..<4).map { _ in ThreadedClient(port: server.port) }
        for round in 0..<50 {
            for (index, client) in clients.enumerated() {
                #expect(client.call("\(round) of \(index)") == "\(round) of \(index)")
            }
        }
        for client in clients { client.stop() }
        server.stop()
    }
}

/// An echo server on a thread of its own.
final class ThreadedServer: Sendable {
    private final class State {
        var listener: Listener?
        var connections: [HTTP2Connection] = []
        var isStopping = false
    }
    private nonisolated(unsafe) let state = State()
    private let thread: LoopThread
    let port: Int

    init(limits: HTTP2Limits = HTTP2Limits()) throws {
        var limits = limits
        limits.lingerTimeout = .milliseconds(100)
        let listening = Mailbox<Result<Int, SystemError>>()
        nonisolated(unsafe) let state = state
        thread = LoopThread(name: "server") { [limits] loop in
            do throws(SystemError) {
                state.listener = try Listener(loop: loop, host: "127.0.0.1", port: 0) { descriptor in
                    ThreadedServer.serve(descriptor, loop, limits, state)
                }
                listening.put(.success(state.listener!.port))
            } catch {
                listening.put(.failure(error))
            }
        }
        port = try #require(listening.take()).get()
    }

    private static func serve(_ descriptor: Int32, _ loop: EventLoop, _ limits: HTTP2Limits, _ state: State) {
        let connection = HTTP2Connection.serve(descriptor: descriptor, loop: loop, limits: limits) { stream in
            let recorder = Recorder()
            recorder.stream = stream
            HTTP2SessionTests.echo(recorder)
            return recorder
        }
        state.connections.append(connection)
        connection.onClosed = { [unowned connection] in
            state.connections.removeAll { $0 === connection }
            if state.isStopping && state.connections.isEmpty { loop.stop() }
        }
    }

    func onEveryConnection(_ action: @escaping @Sendable (HTTP2Connection) -> Void) {
        // A connection that is being made counts: the action runs when there is one.
        thread.loop.submit { [self] in
            if state.connections.isEmpty { return onEveryConnection(action) }
            for connection in state.connections { action(connection) }
        }
    }

    func stop() {
        thread.loop.submit { [self] in
            state.listener?.close()
            state.listener = nil
            state.isStopping = true
            for connection in state.connections { connection.close() }
            if state.connections.isEmpty { thread.loop.stop() }
        }
        thread.join()
    }
}

/// A client on a thread of its own, whose calls block the caller.
final class ThreadedClient: Sendable {
    private final class State { var connection: HTTP2Connection? }
    private nonisolated(unsafe) let state = State()
    private let thread = LoopThread(name: "client") { _ in }
    private let answers = Mailbox<String>()

    init(port: Int) {
        thread.loop.submit { [self] in
            HTTP2Connection.connect(host: "127.0.0.1", port: port, loop: thread.loop) { [self] result in
                state.connection = try? result.get()
                answers.put("connected")
            }
        }
        _ = answers.take()
    }

    /// What the server echoes, or what went wrong.
    func call(_ text: String) -> String? {
        thread.loop.submit { [self] in
            guard let connection = state.connection else { return answers.put("no connection") }
            let recorder = Recorder()
            recorder.onClosed = { [self] recorder in
                let body = String(decoding: recorder.body, as: UTF8.self)
                answers.put(recorder.errorCode == 0 ? body : "error \(recorder.errorCode!)")
            }
            recorder.stream = connection.openStream(headers: request, handler: recorder)
            recorder.stream!.send(text)
            recorder.stream!.endBody()
        }
        return answers.take()
    }

    /// Lets time pass on the client's loop.
    func wait(_ delay: Duration) {
        thread.loop.submit { [self] in
            _ = thread.loop.schedule(after: delay) { [self] in answers.put("waited") }
        }
        _ = answers.take()
    }

    func stop() {
        thread.loop.submit { [self] in
            guard let connection = state.connection else { return thread.loop.stop() }
            state.connection = nil
            connection.onClosed = { [self] in thread.loop.stop() }
            connection.close()
        }
        thread.join()
    }
}

/// Hands one value from a thread to another that waits for it.
final class Mailbox<Value>: @unchecked Sendable {
    private let isFull = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private var value: Value?

    init() { sem_init(isFull, 0, 0) }

    deinit {
        sem_destroy(isFull)
        isFull.deallocate()
    }

    func put(_ value: Value) {
        self.value = value
        sem_post(isFull)
    }

    /// Nil when none comes in 20 seconds.
    func take() -> Value? {
        var limit = timespec()
        clock_gettime(CLOCK_REALTIME, &limit)
        limit.tv_sec += 20
        while sem_timedwait(isFull, &limit) != 0 { if errno != EINTR { return nil } }
        return value
    }
}

/// A blocking call on a thread of its own.
final class Thread: Sendable {
    private let result = Mailbox<[UInt8]?>()
    private let thread: LoopThread

    init(_ work: @escaping () -> [UInt8]?) {
        nonisolated(unsafe) let work = work
        thread = LoopThread(name: "blocking") { [result] loop in
            result.put(work())
            loop.stop()
        }
    }

    func value() -> [UInt8]? {
        thread.join()
        return result.take() ?? nil
    }
}
