// One request and its answer under way: what its owner may ask of it, and what reaches the handler. Knows
// neither sockets nor a version of HTTP.
import JunctionTransport

/// One request under way. Confined to its client's loop.
public class HTTPTransfer {
    enum Verdict { case taken, hold, refuse }

    /// Bytes of an unwanted rest that are read to keep a connection; a longer rest closes it.
    private static let unwantedBytesMax = 65_536

    /// Not to be asked once it is over: the client may be gone then.
    unowned(unsafe) let client: HTTPClient
    final let endpoint: HTTPEndpoint
    @exclusivity(unchecked) final private var handler: (any HTTPHandler)?
    @exclusivity(unchecked) final private(set) var isOver = false
    @exclusivity(unchecked) final private(set) var isCancelled = false
    @exclusivity(unchecked) final private(set) var isUnwanted = false
    @exclusivity(unchecked) final private(set) var isPaused = false
    /// Whether the client looks at it at the end of the turn.
    @exclusivity(unchecked) final var isQueued = false
    @exclusivity(unchecked) final private var unwantedTimer: Timer?
    @exclusivity(unchecked) final private var bodyBytes = 0
    @exclusivity(unchecked) final private var isTooLarge = false

    init(client: HTTPClient, endpoint: HTTPEndpoint, handler: any HTTPHandler) {
        self.client = client
        self.endpoint = endpoint
        self.handler = handler
    }

    // MARK: What its owner asks

    /// Ends it: the handler is told nothing more, and its connection is closed (a stream of HTTP/2: reset).
    public final func cancel() {
        guard !isOver, !isCancelled else { return }
        handler = nil
        isCancelled = true
        wasCancelled()
    }

    /// Asks for no more of the body. At most one buffer (16 KiB) is read before it stops; then the provider
    /// is held back by its own full socket.
    public final func pause() { isPaused = true }

    /// Asks for more of the body, after `pause`.
    public final func resume() {
        guard isPaused else { return }
        isPaused = false
        if !isOver { wasResumed() }
    }

    /// The handler is told nothing more. What is left of the body is read and thrown away, so that the
    /// connection can be used again; if that takes more than 64 KiB or 2 seconds, the connection is closed.
    public final func letGo() {
        guard !isOver, !isCancelled, !isUnwanted else { return }
        handler = nil
        isUnwanted = true
        isPaused = false
        bodyBytes = 0
        client.attend(self)
    }

    // MARK: What a version of HTTP does about it

    func wasCancelled() {}

    func wasResumed() {}

    /// Called at the end of a turn in which the client was asked to attend to it.
    func serve() {}

    // MARK: What came

    final func tell(status: Int) { handler?.received(status: status) }

    final func tell(name: Span<UInt8>, value: Span<UInt8>) {
        handler?.received(headerName: name, value: value)
    }

    /// A piece of the body: `hold`: it is to be told again after `resume`.
    final func tell(body: Span<UInt8>) -> Verdict {
        if isPaused && handler != nil { return .hold }
        bodyBytes += body.count
        if isUnwanted { return bodyBytes <= HTTPTransfer.unwantedBytesMax ? .taken : .refuse }
        isTooLarge = bodyBytes > endpoint.options.bodyBytesMax
        guard let handler, !isTooLarge else { return .refuse }
        handler.received(body: body)
        return isCancelled ? .refuse : .taken
    }

    /// Bounds how long an unwanted rest may take.
    final func limitUnwanted() {
        guard isUnwanted, !isOver, unwantedTimer == nil else { return }
        unwantedTimer = client.loop.schedule(after: endpoint.options.unwantedTimeout) { [weak self] in
            self?.cancel()
        }
    }

    /// Tells the handler the end, if it still listens. A body that was refused for its length ends so.
    final func finish(_ end: HTTPEnd) {
        let handler = self.handler
        let limit = endpoint.options.bodyBytesMax
        abandon()
        if isTooLarge {
            let message = "the answer has more than \(limit) bytes"
            handler?.ended(.failed(HTTPFailure(.tooLarge, message: message)))
        } else {
            handler?.ended(end)
        }
    }

    /// Ends it without a word.
    final func abandon() {
        isOver = true
        handler = nil
        unwantedTimer?.invalidate()
        unwantedTimer = nil
    }
}
