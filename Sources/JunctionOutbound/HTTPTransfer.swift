// One request and its answer under way: which of libcurl's callbacks reach the handler. Knows no socket.
import JunctionTransport

/// One request under way. Confined to its client's loop.
public final class HTTPTransfer {
    enum Phase { case waiting, running, over }
    enum Verdict { case taken, hold, refuse }
    /// How far the answer has come. An interim answer (1xx) is none.
    private enum Part { case start, interim, head, body }

    /// Bytes of an unwanted rest that are read to keep a connection; a longer rest closes it.
    static let unwantedBytesMax = 65_536

    private unowned let client: HTTPClient
    let endpoint: HTTPEndpoint
    /// What carries it; until it is over.
    var handle: CurlHandle?
    var phase = Phase.waiting
    /// Its place among the client's transfers.
    var index = 0
    /// Whether the client looks at it at the end of the turn.
    var isQueued = false

    private var handler: (any HTTPHandler)?
    private(set) var isCancelled = false
    private(set) var isUnwanted = false
    private var unwantedTimer: Timer?
    private var isPaused = false
    /// Whether libcurl keeps a piece that it must offer again.
    private(set) var isHeld = false
    /// Whether libcurl has waited for its socket; a kept connection may have answered before that.
    var isPlaced = false
    private var part = Part.start
    /// Whether anything of the final answer has come.
    var responseBegan: Bool { part == .head || part == .body }
    private var bodyBytes = 0
    private var isTooLarge = false

    init(client: HTTPClient, endpoint: HTTPEndpoint, handle: CurlHandle, handler: any HTTPHandler) {
        self.client = client
        self.endpoint = endpoint
        self.handle = handle
        self.handler = handler
    }

    // MARK: What its owner asks

    /// Ends it: the handler is told nothing more, and its connection is closed (a stream of HTTP/2: reset).
    public func cancel() {
        guard phase != .over else { return }
        handler = nil
        isCancelled = true
        client.attend(self)
    }

    /// Asks for no more of the body. At most one buffer of libcurl's (16 KiB) is read before it stops; then
    /// the provider is held back by its own full socket.
    public func pause() { isPaused = true }

    /// Asks for more of the body, after `pause`.
    public func resume() {
        isPaused = false
        if isHeld && phase == .running { client.attend(self) }
    }

    /// The handler is told nothing more. What is left of the body is read and thrown away, so that the
    /// connection can be used again; if that takes more than 64 KiB or 2 seconds, the connection is closed.
    public func letGo() {
        guard phase != .over, !isCancelled, !isUnwanted else { return }
        handler = nil
        isUnwanted = true
        isPaused = false
        bodyBytes = 0
        client.attend(self)
    }

    // MARK: What libcurl tells

    /// One line of a head, or of the trailers; false ends the transfer.
    func receive(line: UnsafeBufferPointer<UInt8>) -> Bool {
        if part == .body { return !isCancelled }
        if line.starts(with: "HTTP/".utf8) {
            receive(status: line)
        } else if part == .head {
            receive(header: line)
        }
        return !isCancelled
    }

    private func receive(status line: UnsafeBufferPointer<UInt8>) {
        var status = 0
        if let space = line.firstIndex(of: UInt8(ascii: " ")) {
            for byte in line[(space + 1)...].prefix(3) where byte >= 0x30 && byte <= 0x39 {
                status = status * 10 + Int(byte - 0x30)
            }
        }
        part = status >= 100 && status < 200 ? .interim : .head
        if part == .head { handler?.received(status: status) }
    }

    private func receive(header line: UnsafeBufferPointer<UInt8>) {
        if line.allSatisfy({ isBlank($0) }) {
            part = .body
            return
        }
        // A continuation of the line before (RFC 9112 §5.2: obsolete) names nothing.
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0, !isBlank(line[0]) else { return }
        var start = colon + 1
        var end = line.count
        while start < end, isBlank(line[start]) { start += 1 }
        while end > start, isBlank(line[end - 1]) { end -= 1 }
        let name = UnsafeBufferPointer(rebasing: line[..<colon])
        let value = UnsafeBufferPointer(rebasing: line[start..<end])
        handler?.received(headerName: name.span, value: value.span)
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte >= 0x09 && byte <= 0x0d }

    /// A piece of the body.
    func receive(body: UnsafeBufferPointer<UInt8>) -> Verdict {
        if isPaused && handler != nil {
            isHeld = true
            return .hold
        }
        bodyBytes += body.count
        if isUnwanted { return bodyBytes <= HTTPTransfer.unwantedBytesMax ? .taken : .refuse }
        isTooLarge = bodyBytes > endpoint.options.bodyBytesMax
        guard let handler, !isTooLarge else { return .refuse }
        handler.received(body: body.span)
        return isCancelled ? .refuse : .taken
    }

    // MARK: What the client asks, at the end of a turn

    /// Has libcurl offer again what it held, if it may.
    func unhold() -> CurlResult {
        guard isHeld, !isPaused, let handle else { return .complete }
        isHeld = false
        return handle.unhold()
    }

    /// Bounds how long an unwanted rest may take.
    func limitUnwanted(on loop: EventLoop) {
        guard isUnwanted, unwantedTimer == nil else { return }
        unwantedTimer = loop.schedule(after: endpoint.options.unwantedTimeout) { [weak self] in
            self?.cancel()
        }
    }

    /// Tells the handler the end, if it still listens.
    func finish(_ result: CurlResult) {
        let handler = self.handler
        abandon()
        handler?.ended(end(for: result))
    }

    /// Ends it without a word.
    func abandon() {
        phase = .over
        handler = nil
        handle = nil
        unwantedTimer?.invalidate()
    }

    private func end(for result: CurlResult) -> HTTPEnd {
        if isTooLarge {
            let limit = endpoint.options.bodyBytesMax
            return .failed(HTTPFailure(.tooLarge, message: "the answer has more than \(limit) bytes"))
        }
        switch result {
        case .failed(let code, let message):
            return .failed(HTTPFailure(code.kind(responseBegan: responseBegan), message: message))
        case .complete where part != .body:
            // libcurl takes a head that is cut for a whole one.
            let kind = HTTPFailure.Kind.reset(beforeResponse: !responseBegan)
            return .failed(HTTPFailure(kind, message: "the connection was closed inside the answer's head"))
        case .complete: return .complete
        }
    }
}
