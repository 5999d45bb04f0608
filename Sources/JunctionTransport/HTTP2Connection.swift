// A socket and an HTTP/2 session on one loop: reads what is there, and at the end of the loop's turn writes,
// in one piece, what the turn left to send. Knows neither nghttp2 nor gRPC.
import Glibc

/// One HTTP/2 connection in clear text with prior knowledge (RFC 9113 §3.3), as server or as client. Confined
/// to its loop, which keeps it alive until it is closed.
public final class HTTP2Connection: Flushable, HTTP2SessionOwner {
    private enum Phase {
        case open
        /// Everything is written; the peer may still read it.
        case lingering
        case closed
    }

    private let loop: EventLoop
    private let descriptor: Int32
    private let limits: HTTP2Limits
    private let session: HTTP2Session
    @exclusivity(unchecked) private var makeHandler: ((HTTP2Stream) -> any HTTP2StreamHandler)?
    @exclusivity(unchecked) private var watch: DescriptorWatch?
    @exclusivity(unchecked) private var timer: Timer?
    @exclusivity(unchecked) private var phase = Phase.open
    @exclusivity(unchecked) private var prefaceMatched = 0
    @exclusivity(unchecked) private var isDirty = false
    /// The connection is to end with this turn, and this is to be told to the peer.
    @exclusivity(unchecked) private var closingCode: UInt32?
    @exclusivity(unchecked) private var isDraining = false
    @exclusivity(unchecked) private var nuisances = NuisanceBucket()
    /// What the socket did not take. While there is any, no frame is made.
    @exclusivity(unchecked) private var unsent = OutputBuffer()
    var bytesHeldBack: Int { unsent.count }
    /// Called once, when the connection is closed and every stream's handler was told.
    @exclusivity(unchecked) public var onClosed: (() -> Void)?

    // MARK: Making one

    /// Serves HTTP/2 on an accepted, non-blocking socket, which belongs to the connection from here on.
    ///
    /// - Parameter makeHandler: called for each stream that the peer opens, before its first header field.
    @discardableResult
    public static func serve(
        descriptor: Int32, loop: EventLoop, limits: HTTP2Limits = HTTP2Limits(),
        makeHandler: @escaping (HTTP2Stream) -> any HTTP2StreamHandler
    ) -> HTTP2Connection {
        HTTP2Connection(descriptor, loop, .server, limits, makeHandler)
    }

    /// Connects to the first address of `host` that answers. `completion` runs later, on the loop.
    public static func connect(
        host: String, port: Int, loop: EventLoop, limits: HTTP2Limits = HTTP2Limits(),
        timeout: Duration = .seconds(10),
        completion: @escaping (Result<HTTP2Connection, SystemError>) -> Void
    ) {
        Connector.connect(host: host, port: port, loop: loop, timeout: timeout) { result in
            completion(result.map { HTTP2Connection($0, loop, .client, limits, nil) })
        }
    }

    private init(
        _ descriptor: Int32, _ loop: EventLoop, _ role: HTTP2Session.Role, _ limits: HTTP2Limits,
        _ makeHandler: ((HTTP2Stream) -> any HTTP2StreamHandler)?
    ) {
        self.descriptor = descriptor
        self.loop = loop
        self.limits = limits
        self.makeHandler = makeHandler
        session = HTTP2Session(role: role, limits: limits)
        session.owner = self
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        watch = loop.watch(descriptor, .read) { ready in self.became(ready) }
        timer = loop.schedule(after: limits.handshakeTimeout) { [unowned self] in tearDown() }
        // A server's settings wait for the first bytes: a peer of HTTP/1.1 could not read them.
        if role == .client { sessionBecameDirty() }
    }

    // MARK: For users

    /// Opens a stream with a request; clients only. When the peer's limit of streams is reached it is sent
    /// when another has ended. When the connection takes no more, the handler's `closed` follows with
    /// `refusedStream`.
    public func openStream(
        headers: HeaderBlock, endStream: Bool = false, handler: any HTTP2StreamHandler
    ) -> HTTP2Stream {
        session.open(headers, endStream: endStream, handler: handler)
    }

    public func openStream(
        headers: [HeaderField], endStream: Bool = false, handler: any HTTP2StreamHandler
    ) -> HTTP2Stream {
        openStream(headers: HeaderBlock(headers), endStream: endStream, handler: handler)
    }

    /// Whether the peer takes further streams: false once either side has announced the end.
    public var canOpenStreams: Bool {
        phase == .open && !isDraining && closingCode == nil && session.canOpenStreams
    }

    /// Streams under way.
    public var openStreams: Int { session.openStreams }

    /// Ends the connection when its streams have ended: the peer is told to open no more, and those that it
    /// opened before it heard are still served.
    public func drain() {
        guard phase == .open, !isDraining, closingCode == nil else { return }
        isDraining = true
        session.announceShutdown()
        startTimer(limits.drainPingTimeout) { connection in connection.shutdownWasHeard() }
    }

    /// Ends the connection at the end of this turn of the loop; streams under way are closed with
    /// `connectionLost`.
    public func close() {
        close(HTTP2ErrorCode.noError)
    }

    private func close(_ errorCode: UInt32) {
        guard phase == .open, closingCode == nil else { return }
        closingCode = errorCode
        sessionBecameDirty()
    }

    // MARK: What the session asks

    func sessionBecameDirty() {
        guard !isDirty else { return }
        isDirty = true
        loop.markDirty(self)
    }

    func handler(for stream: HTTP2Stream) -> any HTTP2StreamHandler { makeHandler!(stream) }

    func sessionWasBothered() {
        if nuisances.isTooMany(at: loop.time) { close(HTTP2ErrorCode.enhanceYourCalm) }
    }

    func sessionIsEstablished() {
        if !isDraining { stopTimer() }
    }

    func shutdownWasHeard() {
        guard isDraining else { return }
        stopTimer()
        session.refuseNewStreams()
    }

    // MARK: Reading

    private func became(_ ready: Interest) {
        if ready.contains(.write) && !unsent.isEmpty { writeUnsent() }
        if ready.contains(.read) { read() }
        // The loop stopped watching because of an error that neither reading nor writing showed.
        if let watch, watch.interest.isEmpty { tearDown() }
    }

    /// One piece a turn: what callers send may be more than can be served, and answers must come between.
    private func read() {
        let buffer = loop.transferBuffer.bytes
        let count = recv(descriptor, buffer.baseAddress, TransferBuffer.byteCount, 0)
        guard count > 0 else {
            if count == 0 || (errno != EAGAIN && errno != EINTR) { tearDown() }
            return
        }
        if phase == .open { received(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
    }

    private func received(_ bytes: UnsafeRawBufferPointer) {
        if session.role == .server && prefaceMatched < Preface.bytes.count {
            switch Preface.match(bytes, after: prefaceMatched) {
            case .matches(let count): prefaceMatched += count
            case .olderHTTP: return refuseOlderHTTP()
            case .garbage: prefaceMatched = Preface.bytes.count
            }
        }
        if !session.receive(bytes.assumingMemoryBound(to: UInt8.self).span) {
            close(HTTP2ErrorCode.protocolError)
        }
    }

    private func refuseOlderHTTP() {
        Preface.answerToOlderHTTP.utf8.withContiguousStorageIfAvailable { answer in
            _ = Glibc.send(descriptor, answer.baseAddress, answer.count, Int32(MSG_NOSIGNAL))
        }
        linger()
    }

    // MARK: Writing

    public func flush() {
        var isMore = false
        if phase == .open {
            isMore = writeFrames()
            if let closingCode {
                session.terminate(closingCode)
                _ = writeFrames()
            }
            finishIfOver()
        } else {
            while session.deliverEvents() {}
        }
        isDirty = false
        if isMore { sessionBecameDirty() }
    }

    /// Whether there is more to write: after some, other connections come first, and this one goes on in the
    /// next turn, which does not wait.
    private func writeFrames() -> Bool {
        for _ in 0..<4 {
            let count = gatherFrames()
            if count == 0 || !write(loop.transferBuffer.bytes, count) { return false }
            if count < TransferBuffer.byteCount { return false }
        }
        return true
    }

    /// Lets handlers add to what is sent, as long as there is room for it.
    private func gatherFrames() -> Int {
        let buffer = loop.transferBuffer.bytes
        var count = 0
        repeat {
            if unsent.isEmpty {
                count += session.takeOutput(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
            }
        } while session.deliverEvents()
        return count
    }

    /// Whether the socket took all.
    private func write(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int) -> Bool {
        let sent = transmit(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        if sent == count { return true }
        unsent.append(UnsafeRawBufferPointer(rebasing: buffer[sent..<count]))
        watch?.update([.read, .write])
        return false
    }

    private func writeUnsent() {
        unsent.drop(transmit(unsent.bytes))
        guard unsent.isEmpty else { return }
        watch?.update(.read)
        sessionBecameDirty()
    }

    /// How much the socket took. An error counts as nothing taken: reading reports it.
    private func transmit(_ bytes: UnsafeRawBufferPointer) -> Int {
        max(0, Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)))
    }

    // MARK: The end

    private func finishIfOver() {
        if closingCode != nil || (unsent.isEmpty && session.isOver) { linger() }
    }

    /// Closes the sending side and waits for the peer to do so: closing at once could destroy the last bytes
    /// on their way.
    private func linger() {
        guard phase == .open else { return }
        phase = .lingering
        unsent.discard()
        session.connectionLost()
        guard phase == .lingering else { return }
        shutdown(descriptor, Int32(SHUT_WR))
        watch?.update(.read)
        startTimer(limits.lingerTimeout) { connection in connection.tearDown() }
    }

    private func tearDown() {
        guard phase != .closed else { return }
        phase = .closed
        stopTimer()
        watch?.close()
        watch = nil
        Glibc.close(descriptor)
        unsent.discard()
        session.connectionLost()
        _ = session.deliverEvents()
        makeHandler = nil
        let told = onClosed
        onClosed = nil
        told?()
    }

    private func startTimer(_ delay: Duration, _ action: @escaping (HTTP2Connection) -> Void) {
        stopTimer()
        timer = loop.schedule(after: delay) { [unowned self] in action(self) }
    }

    private func stopTimer() {
        timer?.invalidate()
        timer = nil
    }
}

/// Counts frames that cost work and move nothing: so many may come at once, and so many more a second. An
/// honest peer stays far below.
struct NuisanceBucket {
    static let atOnce = 1000
    static let aSecond = 100
    private var level = atOnce
    private var filledAt: Int64 = 0

    /// Takes one more, at a time in nanoseconds.
    mutating func isTooMany(at time: Int64) -> Bool {
        let added = (time - filledAt) / (1_000_000_000 / Int64(NuisanceBucket.aSecond))
        if added > 0 {
            level = min(NuisanceBucket.atOnce, level + Int(min(added, 1_000_000)))
            filledAt = time
        }
        level -= 1
        return level < 0
    }
}

/// The first bytes of a connection: HTTP/2's preface (RFC 9113 §3.4), or something else.
enum Preface {
    enum Match: Equatable {
        case matches(Int)
        case olderHTTP
        case garbage
    }

    static let bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private static let text = """
        This port speaks gRPC over HTTP/2 with prior knowledge, in clear text. HTTP/1.1 is not served here.

        """
    static let answerToOlderHTTP =
        "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain\r\n"
        + "Content-Length: \(text.utf8.count)\r\nConnection: close\r\n\r\n\(text)"

    /// Judges what came after the first `matched` bytes of the preface.
    static func match(_ received: UnsafeRawBufferPointer, after matched: Int) -> Match {
        let expected = bytes[matched...]
        if zip(received, expected).allSatisfy(==) { return .matches(min(received.count, expected.count)) }
        // A method is upper-case letters before a space.
        let method = (bytes[..<matched] + received.prefix(16)).prefix { $0 != UInt8(ascii: " ") }
        let letters = UInt8(ascii: "A")...UInt8(ascii: "Z")
        return !method.isEmpty && method.allSatisfy(letters.contains) ? .olderHTTP : .garbage
    }
}
