// Requests to providers on one event loop: starts, ends and resumes transfers in one batch a turn, and gives
// libcurl its sockets' events and its time. Knows no libcurl type; time-outs beyond connecting are its
// owner's.
import JunctionTransport

/// Sends requests and keeps their connections. Confined to its loop; make and drop it on the loop's thread.
/// When it goes, transfers under way end without a word.
///
/// A kept connection that turns out dead before any byte of an answer came is replaced by libcurl itself: it
/// sends the request again on another one. A new connection that dies so is a failure, `.reset`.
public final class HTTPClient {
    private let loop: EventLoop
    let sockets: HTTPSockets
    private let multi: CurlMulti
    private var transfers: [HTTPTransfer] = []
    /// Transfers that asked for something since the last batch.
    private var queue: [HTTPTransfer] = []
    /// When libcurl wants to be called; nil: not at all.
    private var due: ContinuousClock.Instant?
    private var isDueNow = false
    private var timer: Timer?
    private var timerDue: ContinuousClock.Instant?

    public init(loop: EventLoop) {
        self.loop = loop
        sockets = HTTPSockets(loop: loop)
        multi = CurlMulti(sockets: sockets)
        sockets.onReady = { [unowned self] descriptor, ready in
            self.multi.became(ready, descriptor)
            self.collect()
        }
        sockets.isAnyTransferUnplaced = { [unowned self] in transfers.contains { $0.isHeld && !$0.isPlaced } }
        multi.onTimer = { [unowned self] delay in self.setTimer(delay) }
        loop.beforeSleep { [weak self] in self?.endTurn() }
    }

    deinit {
        sockets.onReady = { _, _ in }
        sockets.isAnyTransferUnplaced = { false }
        multi.onTimer = { _ in }
        timer?.invalidate()
        for transfer in transfers {
            if let handle = transfer.handle {
                if transfer.phase == .running { multi.remove(handle) }
                handle.transfer = nil
            }
            transfer.abandon()
        }
    }

    /// POSTs `body` to `endpoint` at the end of this turn. The body is copied.
    ///
    /// - Parameter authorization: the field of that name, for this request alone; must be fit for one line.
    public func send(
        to endpoint: HTTPEndpoint, body: Span<UInt8>, authorization: String? = nil,
        handler: any HTTPHandler
    ) -> HTTPTransfer {
        let handle = endpoint.takeHandle(for: self)
        handle.load(body)
        var headers = authorization.map { ["Authorization: \($0)"] } ?? []
        if endpoint.isSigned { headers += endpoint.signature(of: body, at: loop.secondsSince1970) }
        handle.load(headers: headers)
        let transfer = HTTPTransfer(client: self, endpoint: endpoint, handle: handle, handler: handler)
        handle.transfer = transfer
        transfer.index = transfers.count
        transfers.append(transfer)
        attend(transfer)
        return transfer
    }

    /// Looks at `transfer` at the end of this turn: libcurl allows little from inside its callbacks.
    func attend(_ transfer: HTTPTransfer) {
        guard !transfer.isQueued else { return }
        transfer.isQueued = true
        queue.append(transfer)
    }

    // MARK: The end of a turn

    private func endTurn() {
        // Bounded, so that transfers that fail at once and are sent again cannot keep the loop from its
        // sockets.
        for _ in 0..<8 {
            if queue.isEmpty && !isDueNow { return }
            serveQueue()
            if isDueNow {
                isDueNow = false
                multi.timePassed()
            }
            collect()
        }
        loop.runAgain()
    }

    private func serveQueue() {
        let transfers = queue
        queue.removeAll(keepingCapacity: true)
        for transfer in transfers {
            transfer.isQueued = false
            serve(transfer)
        }
    }

    private func serve(_ transfer: HTTPTransfer) {
        guard let handle = transfer.handle else { return }
        if transfer.isCancelled {
            if transfer.phase == .running { multi.remove(handle) }
            finish(transfer, handle, .complete)
        } else if transfer.phase == .waiting {
            transfer.phase = .running
            multi.add(handle)
            isDueNow = true
        } else {
            let result = transfer.unhold()
            if case .failed = result {
                multi.remove(handle)
                return finish(transfer, handle, result)
            }
            transfer.limitUnwanted(on: loop)
        }
    }

    /// Ends the transfers that libcurl is done with.
    private func collect() {
        while let (handle, result) = multi.nextDone() {
            multi.remove(handle)
            if let transfer = handle.transfer { finish(transfer, handle, result) }
        }
    }

    private func finish(_ transfer: HTTPTransfer, _ handle: CurlHandle, _ result: CurlResult) {
        let last = transfers.removeLast()
        if last !== transfer {
            transfers[transfer.index] = last
            last.index = transfer.index
        }
        handle.transfer = nil
        transfer.endpoint.giveBack(handle)
        transfer.finish(result)
    }

    // MARK: Time

    private func setTimer(_ delay: Duration?) {
        guard let delay, delay > .zero else {
            due = nil
            if delay != nil { isDueNow = true }
            return
        }
        let due = loop.now + delay
        self.due = due
        // A timer that fires too early is cheaper than one that moves with each call.
        if let timerDue, timerDue <= due { return }
        timerDue = due
        if let timer {
            timer.reschedule(after: delay)
        } else {
            timer = loop.schedule(after: delay) { [unowned self] in self.timerFired() }
        }
    }

    private func timerFired() {
        timerDue = nil
        guard let due else { return }
        if due <= loop.now { isDueNow = true } else { setTimer(due - loop.now) }
    }
}
