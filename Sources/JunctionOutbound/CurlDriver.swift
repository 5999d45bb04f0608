// Drives one of libcurl's multi handles on an event loop: gives it its sockets' events and its time, and
// tells what is done. Knows no libcurl type and no HTTP.
import JunctionTransport

/// A multi handle on a loop. Confined to it.
final class CurlDriver {
    private let loop: EventLoop
    let sockets: HTTPSockets
    private let multi: CurlMulti
    /// Told of each handle that libcurl is done with.
    var onDone: (CurlEasy, CurlResult) -> Void = { _, _ in }
    /// Told once when `run` is to be called at the end of the turn.
    private let onDueNow: (CurlDriver) -> Void
    /// When libcurl wants to be called; nil: not at all.
    private var due: ContinuousClock.Instant?
    private var isDueNow = false
    private var timer: Timer?
    private var timerDue: ContinuousClock.Instant?

    init(loop: EventLoop, onDueNow: @escaping (CurlDriver) -> Void) {
        self.loop = loop
        self.onDueNow = onDueNow
        sockets = HTTPSockets(loop: loop)
        multi = CurlMulti(sockets: sockets)
        sockets.onReady = { [unowned self] descriptor, ready in
            self.multi.became(ready, descriptor)
            self.collect()
        }
        multi.onTimer = { [unowned self] delay in self.setTimer(delay) }
    }

    deinit {
        sockets.onReady = { _, _ in }
        multi.onTimer = { _ in }
        timer?.invalidate()
    }

    /// Begins at the end of this turn.
    func add(_ handle: CurlEasy) {
        multi.add(handle)
        becomeDueNow()
    }

    func remove(_ handle: CurlEasy) { multi.remove(handle) }

    /// At the end of a turn: what libcurl asked to do at once, libcurl does.
    func run() {
        isDueNow = false
        multi.timePassed()
        collect()
    }

    /// Tells of the handles that libcurl is done with.
    func collect() {
        while let (handle, result) = multi.nextDone() { onDone(handle, result) }
    }

    // MARK: Time

    private func becomeDueNow() {
        if isDueNow { return }
        isDueNow = true
        onDueNow(self)
    }

    private func setTimer(_ delay: Duration?) {
        guard let delay, delay > .zero else {
            due = nil
            if delay != nil { becomeDueNow() }
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
        if due <= loop.now { becomeDueNow() } else { setTimer(due - loop.now) }
    }
}
