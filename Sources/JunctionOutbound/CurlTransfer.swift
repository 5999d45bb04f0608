// Transfers that libcurl carries whole, as it does those over HTTP/2: which of its callbacks reach the
// handler, and what it is asked in return. Knows no socket.
import JunctionTransport

/// One request that a handle of libcurl's carries.
final class CurlTransfer: HTTPTransfer {
    /// How far the answer has come. An interim answer (1xx) is none.
    private enum Part { case start, interim, head, body }

    private unowned let transfers: CurlTransfers
    /// What carries it; until it is over.
    fileprivate(set) var handle: CurlHandle?
    fileprivate var isRunning = false
    /// Its place among the transfers.
    fileprivate var index = 0
    /// Whether libcurl keeps a piece that it must offer again.
    private var isHeld = false
    private var part = Part.start
    /// Whether anything of the final answer has come.
    var responseBegan: Bool { part == .head || part == .body }

    fileprivate init(
        transfers: CurlTransfers, client: HTTPClient, endpoint: HTTPEndpoint, handle: CurlHandle,
        handler: any HTTPHandler
    ) {
        self.transfers = transfers
        self.handle = handle
        super.init(client: client, endpoint: endpoint, handler: handler)
    }

    // libcurl allows little from inside its callbacks.
    override func wasCancelled() { client.attend(self) }

    override func wasResumed() {
        if isHeld && isRunning { client.attend(self) }
    }

    override func serve() {
        guard let handle else { return }
        if isCancelled {
            transfers.end(self, .complete)
        } else if !isRunning {
            transfers.start(self)
        } else {
            if isHeld && !isPaused {
                isHeld = false
                let result = handle.unhold()
                if case .failed = result { return transfers.end(self, result) }
            }
            limitUnwanted()
        }
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
        if part == .head { tell(status: status) }
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
        tell(name: name.span, value: value.span)
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte >= 0x09 && byte <= 0x0d }

    /// A piece of the body.
    func receive(body: UnsafeBufferPointer<UInt8>) -> Verdict {
        let verdict = tell(body: body.span)
        if verdict == .hold { isHeld = true }
        return verdict
    }

    fileprivate func finish(_ result: CurlResult) {
        handle = nil
        finish(end(for: result))
    }

    private func end(for result: CurlResult) -> HTTPEnd {
        if case .complete = result, part != .body {
            // libcurl takes a head that is cut for a whole one.
            let kind = HTTPFailure.Kind.reset(beforeResponse: !responseBegan)
            return .failed(HTTPFailure(kind, message: "the connection was closed inside the answer's head"))
        }
        return HTTPEnd(result, responseBegan: responseBegan)
    }
}

extension HTTPEnd {
    init(_ result: CurlResult, responseBegan: Bool) {
        switch result {
        case .complete: self = .complete
        case .failed(let code, let message):
            self = .failed(HTTPFailure(code.kind(responseBegan: responseBegan), message: message))
        }
    }
}

/// The transfers of a client that libcurl carries whole.
final class CurlTransfers {
    private unowned let client: HTTPClient
    private let driver: CurlDriver
    private var transfers: [CurlTransfer] = []
    var isEmpty: Bool { transfers.isEmpty }

    init(client: HTTPClient, driver: CurlDriver) {
        self.client = client
        self.driver = driver
        driver.onDone = { [unowned self] handle, result in
            if let transfer = handle.transfer { end(transfer, result) }
        }
    }

    deinit {
        driver.onDone = { _, _ in }
        for transfer in transfers {
            if let handle = transfer.handle {
                if transfer.isRunning { driver.remove(handle) }
                handle.transfer = nil
            }
            transfer.handle = nil
            transfer.abandon()
        }
    }

    /// - Parameter lines: of the head, for this request alone.
    func send(
        to endpoint: HTTPEndpoint, lines: [String], body: Span<UInt8>, handler: any HTTPHandler
    ) -> HTTPTransfer {
        let handle = endpoint.takeHandle(sockets: driver.sockets, share: client.share)
        handle.load(body)
        handle.load(headers: lines)
        let transfer = CurlTransfer(
            transfers: self, client: client, endpoint: endpoint, handle: handle, handler: handler)
        handle.transfer = transfer
        transfer.index = transfers.count
        transfers.append(transfer)
        client.attend(transfer)
        return transfer
    }

    fileprivate func start(_ transfer: CurlTransfer) {
        transfer.isRunning = true
        driver.add(transfer.handle!)
    }

    fileprivate func end(_ transfer: CurlTransfer, _ result: CurlResult) {
        guard let handle = transfer.handle else { return }
        if transfer.isRunning { driver.remove(handle) }
        let last = transfers.removeLast()
        if last !== transfer {
            transfers[transfer.index] = last
            last.index = transfer.index
        }
        handle.transfer = nil
        transfer.endpoint.giveBack(handle)
        transfer.finish(result)
    }
}
