// One connection over HTTP/1.1: writes a request, reads its answer, and says whether it can carry another.
// Knows no pool's rules and no TLS.
import JunctionTransport

/// A connection that stands. Confined to its loop.
final class HTTP1Connection {
    /// Where a connection's read stops, so that others come before it.
    private static let readsAtOnce = 4

    /// It holds its connections while they are open, and asks nothing of them after.
    private unowned(unsafe) let pool: HTTP1Pool
    private let line: HTTPLine
    @exclusivity(unchecked) private var watch: DescriptorWatch?
    @exclusivity(unchecked) private(set) var transfer: HTTP1Transfer?
    @exclusivity(unchecked) private var reader = HTTP1Reader()
    /// Bytes of an answer that could not be used yet: a line that is not whole, a body that nobody wants now.
    @exclusivity(unchecked) private var held: [UInt8] = []
    @exclusivity(unchecked) private var sentBytes = 0
    /// Whether anything of the answer has come.
    @exclusivity(unchecked) private var hasReceived = false
    @exclusivity(unchecked) private var hasCarried = false
    @exclusivity(unchecked) private var isBroken = false
    /// Since when the pool has it lie idle; nil: it does not.
    @exclusivity(unchecked) var idleSince: ContinuousClock.Instant?

    init(pool: HTTP1Pool, line: HTTPLine, loop: EventLoop) {
        self.pool = pool
        self.line = line
        watch = loop.watch(line.descriptor, .read) { [unowned self] ready in became(ready) }
    }

    deinit { if watch != nil { close() } }

    private var isOpen: Bool { watch != nil }

    // MARK: A request

    /// Carries `transfer` to its end. The handler is told nothing from within.
    func carry(_ transfer: HTTP1Transfer) {
        self.transfer = transfer
        transfer.connection = self
        reader.reset()
        sentBytes = 0
        hasReceived = false
        write()
    }

    private func write() {
        guard let transfer else { return }
        let left = UnsafeRawBufferPointer(rebasing: transfer.request[sentBytes..<transfer.requestBytes])
        switch line.send(left) {
        case .bytes(let count): sentBytes += count
        case .blocked: break
        case .ended, .failed:
            // Reading tells why, and what the provider may have said before.
            isBroken = true
            pool.client.attend(transfer)
            return
        }
        watch(for: isSent(transfer) ? .read : [.read, .write])
    }

    private func watch(for interest: Interest) {
        guard let watch, watch.interest != interest else { return }
        pool.client.changesCount += 1
        watch.update(interest)
    }

    /// Whether the request is on its way as a whole.
    private func isSent(_ transfer: HTTP1Transfer) -> Bool { sentBytes >= transfer.requestBytes }

    /// The transfer is over for its owner: the answer cannot be told from the next one's any more.
    func dropTransfer() {
        transfer = nil
        close()
    }

    func close() {
        guard let watch else { return }
        self.watch = nil
        watch.close()
        line.close()
        pool.closed(self)
    }

    // MARK: Events

    private func became(_ ready: Interest) {
        if ready.contains(.write), let transfer, !isSent(transfer) { write() }
        guard let watch, ready.contains(.read) else { return }
        if transfer?.isPaused == true {
            // The loop would tell it again and again.
            return self.watch(for: watch.interest.subtracting(.read))
        }
        read()
        // The loop stopped watching because of an error that reading did not show.
        if isOpen && watch.interest.isEmpty { lost(nil) }
    }

    /// At the end of a turn: goes on after a pause, or with what libcurl may have read ahead.
    func goOn() {
        guard let watch, let transfer, !transfer.isPaused else { return }
        if !held.isEmpty {
            let bytes = held
            held = []
            bytes.withUnsafeBytes { process($0) }
        }
        guard isOpen, self.transfer === transfer, !transfer.isPaused else { return }
        self.watch(for: watch.interest.union(.read))
        if isBroken || isSecure { read() }
        if isBroken, isOpen, self.transfer === transfer { lost(nil) }
    }

    private var isSecure: Bool { if case .secure = line { true } else { false } }

    private func read() {
        let buffer = pool.client.buffer
        for _ in 0..<HTTP1Connection.readsAtOnce {
            switch line.receive(into: buffer) {
            case .blocked: return
            case .ended: return ended()
            case .failed(let message): return lost(message)
            case .bytes(let count):
                // On an idle connection the provider said something, most often why it closes it. It would
                // be taken for the answer to the next request.
                guard let transfer else { return close() }
                received(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                guard self.transfer === transfer, !transfer.isPaused else { return }
                if !isSecure && count < buffer.count { return }
            }
        }
        // What libcurl has read ahead does not make the socket readable.
        if isSecure, let transfer { pool.client.attend(transfer) }
    }

    private func received(_ bytes: UnsafeRawBufferPointer) {
        hasReceived = true
        if let transfer, isSent(transfer) { transfer.forgetRequest() }
        if held.isEmpty { return process(bytes) }
        var joined = held
        held = []
        joined.append(contentsOf: bytes)
        joined.withUnsafeBytes { process($0) }
    }

    // MARK: The answer

    private func process(_ bytes: UnsafeRawBufferPointer) {
        guard let transfer else { return }
        var at = 0
        while true {
            if transfer.isPaused && !reader.isAtEnd && reader.hasBegun { return hold(bytes[at...]) }
            switch reader.next(bytes, &at) {
            case .needsMore: return hold(bytes[at...])
            case .status(let status): transfer.tell(status: status)
            case .field(let name, let value): transfer.tell(name: bytes.span(name), value: bytes.span(value))
            case .body(let range):
                if transfer.tell(body: bytes.span(range)) == .refuse, self.transfer === transfer {
                    dropTransfer()
                    return transfer.end(.complete)
                }
            case .end: return finish(transfer, isAlone: at == bytes.count)
            case .malformed(let message):
                dropTransfer()
                return transfer.end(.failed(HTTPFailure(.protocol, message: "\(message)")))
            }
            // A handler may cancel from within.
            guard self.transfer === transfer else { return }
        }
    }

    private func hold(_ bytes: Slice<UnsafeRawBufferPointer>) {
        if !bytes.isEmpty { held.append(contentsOf: bytes) }
    }

    /// - Parameter isAlone: nothing came behind the answer.
    private func finish(_ transfer: HTTP1Transfer, isAlone: Bool) {
        let isReusable = reader.isKept && isAlone && isSent(transfer)
        self.transfer = nil
        transfer.connection = nil
        transfer.forgetRequest()
        if isReusable {
            hasCarried = true
            pool.becameFree(self)
        } else {
            close()
        }
        transfer.end(.complete)
    }

    /// The provider sends no more.
    private func ended() {
        if let transfer, reader.mayEndByClosing {
            dropTransfer()
            transfer.end(.complete)
        } else {
            lost(nil)
        }
    }

    private func lost(_ message: String?) {
        let transfer = self.transfer
        dropTransfer()
        guard let transfer else { return }
        if hasCarried && !hasReceived && transfer.triesLeft > 0 && transfer.requestBytes > 0 {
            // The provider closed a kept connection as it was used again: it cannot have answered.
            transfer.triesLeft -= 1
            transfer.connection = nil
            return pool.carry(transfer)
        }
        let message = message ?? (reader.hasBegun ? "the answer was cut off" : "there was no answer")
        let kind = HTTPFailure.Kind.reset(beforeResponse: !reader.hasBegun)
        transfer.end(.failed(HTTPFailure(kind, message: message)))
    }
}

extension UnsafeRawBufferPointer {
    @_lifetime(borrow self)
    fileprivate func span(_ range: Range<Int>) -> Span<UInt8> {
        let bytes = UnsafeRawBufferPointer(rebasing: self[range])
        return _overrideLifetime(Span(_unsafeBytes: bytes), borrowing: self)
    }
}
