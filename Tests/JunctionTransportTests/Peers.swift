// What the tests of HTTP/2 share: a handler that writes down what it is told, and joins of two peers.
import Glibc
import Testing

@testable import JunctionTransport

/// Writes down what a stream is told, and can answer.
final class Recorder: HTTP2StreamHandler {
    enum Event: Equatable {
        case headers(endStream: Bool)
        case data
        case ended
        case writable
        case closed(UInt32)
    }

    var stream: HTTP2Stream?
    /// One array a header block.
    var blocks: [[HeaderField]] = []
    private var block: [HeaderField] = []
    var body: [UInt8] = []
    var bytesReceived = 0
    /// Pieces of data in a row are one event.
    var events: [Event] = []
    var consumesAtOnce = true
    var keepsBody = true
    var onHeaders: ((Recorder) -> Void)?
    var onData: ((Recorder) -> Void)?
    var onEnded: ((Recorder) -> Void)?
    var onWritable: ((Recorder) -> Void)?
    var onClosed: ((Recorder) -> Void)?

    var errorCode: UInt32? {
        guard case .closed(let code) = events.last else { return nil }
        return code
    }
    var closings: Int { events.filter { if case .closed = $0 { true } else { false } }.count }

    func received(headerName: Span<UInt8>, value: Span<UInt8>) {
        block.append(HeaderField(text(headerName), text(value)))
    }

    func headersEnded(endStream: Bool) {
        blocks.append(block)
        block = []
        events.append(.headers(endStream: endStream))
        onHeaders?(self)
    }

    func received(data: Span<UInt8>) {
        bytesReceived += data.count
        if keepsBody { data.withUnsafeBufferPointer { body.append(contentsOf: $0) } }
        if events.last != .data { events.append(.data) }
        if consumesAtOnce { stream?.consume(data.count) }
        onData?(self)
    }

    func endedRemotely() {
        events.append(.ended)
        onEnded?(self)
    }

    func becameWritable() {
        events.append(.writable)
        onWritable?(self)
    }

    func closed(errorCode: UInt32) {
        events.append(.closed(errorCode))
        onClosed?(self)
        // Tests often let these refer to each other.
        (stream, onHeaders, onData, onEnded, onWritable, onClosed) = (nil, nil, nil, nil, nil, nil)
    }

    private func text(_ bytes: Span<UInt8>) -> String {
        bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}

extension HTTP2Stream {
    func send(_ bytes: some Collection<UInt8>) {
        send(count: bytes.count) { room in room.copyBytes(from: bytes) }
    }
    func send(_ text: String) { send(text.utf8) }
}

let requestFields = [
    HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":authority", "test"),
    HeaderField(":path", "/path"), HeaderField("te", "trailers"),
]
let request = HeaderBlock(requestFields)
let response = HeaderBlock([HeaderField(":status", "200"), HeaderField("content-type", "text/plain")])
let trailers = HeaderBlock([HeaderField("status", "0")])

/// Bytes that show where they belong.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

/// One end of a session without a socket.
final class MemoryPeer: HTTP2SessionOwner {
    let session: HTTP2Session
    var recorders: [Recorder] = []
    var prepare: (Recorder) -> Void = { _ in }
    var isEstablished = false
    var shutdownsHeard = 0
    var timesBothered = 0
    var canGoOn = true

    init(_ role: HTTP2Session.Role, limits: HTTP2Limits = HTTP2Limits()) {
        session = HTTP2Session(role: role, limits: limits)
        session.owner = self
    }

    deinit {
        session.connectionLost()
        _ = session.deliverEvents()
    }

    func sessionBecameDirty() {}
    func sessionIsEstablished() { isEstablished = true }
    func shutdownWasHeard() { shutdownsHeard += 1 }
    func sessionWasBothered() { timesBothered += 1 }
    func handler(for stream: HTTP2Stream) -> any HTTP2StreamHandler {
        let recorder = Recorder()
        recorder.stream = stream
        recorders.append(recorder)
        prepare(recorder)
        return recorder
    }

    func open(
        _ fields: HeaderBlock = request, endStream: Bool = false, _ prepare: (Recorder) -> Void = { _ in }
    ) -> Recorder {
        let recorder = Recorder()
        prepare(recorder)
        recorder.stream = session.open(fields, endStream: endStream, handler: recorder)
        recorders.append(recorder)
        return recorder
    }

    /// All that the session has to send.
    func output() -> [UInt8] {
        var bytes: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = session.takeOutput(into: buffer)
            bytes.append(contentsOf: buffer[..<count])
            if !session.deliverEvents() && count == 0 { return bytes }
        }
    }

    func receive(_ bytes: [UInt8]) { canGoOn = session.receive(bytes.span) && canGoOn }
}

/// A client and a server joined in memory.
final class MemoryPair {
    let client = MemoryPeer(.client)
    let server: MemoryPeer

    init(limits: HTTP2Limits = HTTP2Limits(), prepare: @escaping (Recorder) -> Void = { _ in }) {
        server = MemoryPeer(.server, limits: limits)
        server.prepare = prepare
        exchange()
    }

    /// Carries bytes both ways, in pieces of `pieceBytes`, until both are silent.
    func exchange(pieceBytes: Int = 16_384) {
        while true {
            let up = client.output()
            for start in stride(from: 0, to: up.count, by: pieceBytes) {
                server.receive(Array(up[start..<min(up.count, start + pieceBytes)]))
            }
            let down = server.output()
            for start in stride(from: 0, to: down.count, by: pieceBytes) {
                client.receive(Array(down[start..<min(down.count, start + pieceBytes)]))
            }
            if up.isEmpty && down.isEmpty { return }
        }
    }
}

extension EventLoop {
    /// Takes turns on this thread until `condition` holds; a test that waits longer than `limit` fails.
    func run(
        within limit: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation,
        until condition: @escaping () -> Bool
    ) {
        var isLate = false
        let alarm = schedule(after: limit) { isLate = true }
        while !condition() && !isLate { takeTurn() }
        alarm.invalidate()
        if isLate { Issue.record("the condition never held", sourceLocation: sourceLocation) }
    }
}

/// A server and a client connection on one loop, over a real socket.
final class SocketPair {
    let loop = EventLoop()
    private(set) var server: HTTP2Connection!
    private(set) var client: HTTP2Connection!
    var serverRecorders: [Recorder] = []
    var serverIsClosed = false
    var clientIsClosed = false

    init(limits: HTTP2Limits = HTTP2Limits(), prepare: @escaping (Recorder) -> Void = { _ in }) throws {
        let listener = try Listener(loop: loop, host: "127.0.0.1", port: 0) { [unowned self] descriptor in
            server = HTTP2Connection.serve(descriptor: descriptor, loop: loop, limits: limits) {
                [unowned self] stream in
                let recorder = Recorder()
                recorder.stream = stream
                serverRecorders.append(recorder)
                prepare(recorder)
                return recorder
            }
            server.onClosed = { [unowned self] in serverIsClosed = true }
        }
        defer { listener.close() }
        HTTP2Connection.connect(host: "127.0.0.1", port: listener.port, loop: loop) { [unowned self] result in
            client = try? result.get()
            client?.onClosed = { [unowned self] in clientIsClosed = true }
        }
        loop.run { [unowned self] in client != nil && server != nil }
    }

    func open(_ prepare: (Recorder) -> Void = { _ in }) -> Recorder {
        let recorder = Recorder()
        prepare(recorder)
        recorder.stream = client.openStream(headers: request, handler: recorder)
        return recorder
    }

    func close() {
        client.close()
        server.close()
        loop.run { [unowned self] in serverIsClosed && clientIsClosed }
    }
}

/// A peer that sends any bytes it likes, by blocking calls.
final class RawPeer {
    private let descriptor: Int32

    init(port: Int, receiveBufferBytes: Int32? = nil) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(result == 0, "no listener on port \(port)")
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) { _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
    func send(_ text: String) { send(Array(text.utf8)) }
    func shutdown() { _ = Glibc.shutdown(descriptor, Int32(SHUT_WR)) }

    /// Everything until the other side closes; nil when it does not.
    func readToEnd() -> [UInt8]? {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &piece, piece.count, 0)
            if count == 0 || (count < 0 && errno == ECONNRESET) { return all }
            if count < 0 { return nil }
            all.append(contentsOf: piece[..<count])
        }
    }
}

/// Reads frames (RFC 9113 §4.1) as a peer without nghttp2 sees them.
struct Frame: Equatable {
    var type: UInt8
    var flags: UInt8
    var stream: Int
    var payload: [UInt8]

    static let goAway: UInt8 = 7
    static let reset: UInt8 = 3

    /// The error code of a GOAWAY or RST_STREAM.
    var errorCode: UInt32 {
        payload.dropFirst(type == Frame.goAway ? 4 : 0).prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    static func all(in bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let stream = head[5...].reduce(0) { $0 << 8 | Int($1) } & 0x7fff_ffff
            frames.append(
                Frame(
                    type: head[3], flags: head[4], stream: stream,
                    payload: Array(rest.dropFirst(9).prefix(length))))
            rest = rest.dropFirst(9 + length)
        }
        return frames
    }

    var bytes: [UInt8] {
        let length = payload.count
        return [UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags]
            + [24, 16, 8, 0].map { UInt8(stream >> $0 & 255) } + payload
    }
}
