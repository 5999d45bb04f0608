// One thread of a run: an event loop, its connections, its share of the calls. Starts each call when it is
// due, or when another has ended, and counts what comes back. Confined to its loop.
import JunctionProtobuf
import JunctionRouting
import JunctionTransport

final class Worker {
    /// What all threads of a run share.
    struct Share: Sendable {
        let plan: LoadPlan
        let mix: PreparedMix
        /// Which of all parts of the run this thread makes.
        let index: Int
        let state: RunState
        /// Called when the last thread of this process has its connections.
        let ready: @Sendable () -> Void
        /// Called when the last thread of this process is done, or one could not connect.
        let over: @Sendable () -> Void
    }

    private let share: Share
    private let loop: EventLoop
    private let headers: (complete: HeaderBlock, stream: HeaderBlock)
    private var connections: [HTTP2Connection?]
    private var next = 0
    private var random: RandomSource
    private var arrivals: Arrivals?
    private var nextArrival: Int64?
    private var alarm: Alarm?
    private var ticker: Timer?
    private var giveUp: Timer?
    private var pool: [LoadCall] = []
    private var callsUnderWay = 0
    /// Calls of a closed loop that are to be started at the end of the turn, and on which connections others
    /// have just ended.
    private var callsOwed = 0
    private var freed: [Int] = []
    /// Those that lost their connection, and so wait for a tick.
    private var callsLost = 0
    private var countedStarts = 0
    private var isSending = false
    private(set) var isGivingUp = false
    private var isDone = false
    private var progress = LoadProgress()
    /// The start of the run.
    private var origin = ContinuousClock.now
    let arena = Arena()
    var measured = Measurements()

    private let warmUpEnd: Int64
    private let sendingEnd: Int64
    private let callsMax: Int

    init(_ share: Share, loop: EventLoop) {
        self.share = share
        self.loop = loop
        let plan = share.plan
        connections = Array(repeating: nil, count: plan.share(of: plan.connections, share.index))
        headers = (
            Worker.headers("Complete", plan: plan), Worker.headers("Stream", plan: plan)
        )
        random = RandomSource(seed: plan.seed &+ UInt64(share.index) &* 7919)
        warmUpEnd = Int64(plan.warmUpSeconds * 1e9)
        sendingEnd = Int64((plan.warmUpSeconds + plan.seconds) * 1e9)
        callsMax = plan.callsMax.map { plan.share(of: $0, share.index) } ?? Int.max
    }

    private static func headers(_ method: String, plan: LoadPlan) -> HeaderBlock {
        HeaderBlock([
            HeaderField(":method", "POST"), HeaderField(":scheme", "http"),
            HeaderField(":path", "/junction.v1.RouterService/\(method)"),
            HeaderField(":authority", "\(plan.host):\(plan.port)"), HeaderField("te", "trailers"),
            HeaderField("content-type", "application/grpc"),
            HeaderField("grpc-timeout", "\(Int(min(99_999_999, plan.timeoutSeconds * 1000)))m"),
        ])
    }

    /// Nanoseconds since the start of the run, by the clock and not by the turn: a turn with many answers
    /// takes a while.
    var now: Int64 { nanoseconds(ContinuousClock.now - origin) }

    // MARK: Connections

    func connect() {
        var missing = connections.count
        for index in connections.indices {
            connect(index) { [unowned self] error in
                missing -= 1
                if let error { fail(error) } else if missing == 0 { awaitOthers() }
            }
        }
    }

    private func fail(_ error: SystemError) {
        share.state.shared.withLock { $0.error = error }
        share.over()
    }

    /// Begins when the time is set.
    private func awaitOthers() {
        let isLast = share.state.shared.withLock { shared in
            shared.connected += 1
            return shared.connected == share.plan.threads
        }
        if isLast { share.ready() }
        ticker = loop.schedule(after: .milliseconds(1)) { [unowned self] in
            let origin = share.state.shared.withLock { $0.origin }
            guard let origin, origin <= loop.now else { return ticker!.reschedule(after: .milliseconds(1)) }
            self.origin = origin
            begin()
        }
    }

    private func connect(_ index: Int, then: @escaping (SystemError?) -> Void) {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = 1 << 20
        limits.connectionWindowBytes = 1 << 26
        let host = share.plan.host
        HTTP2Connection.connect(host: host, port: share.plan.port, loop: loop, limits: limits) {
            [unowned self] in
            switch $0 {
            case .failure(let error): then(error)
            case .success(let connection):
                connections[index] = connection
                connection.onClosed = { [unowned self] in
                    connections[index] = nil
                    tellIfClosed()
                }
                then(nil)
            }
        }
    }

    /// Opens again what was lost; one try a tick.
    private func reconnect() {
        for index in connections.indices where connections[index] == nil {
            connect(index) { _ in }
        }
    }

    /// One on which a call has just ended, so that each keeps as many as it had; else the next.
    private func anyConnection() -> (HTTP2Connection, Int)? {
        while let index = freed.popLast() {
            if let connection = connections[index], connection.canOpenStreams { return (connection, index) }
        }
        for _ in connections.indices {
            next = (next + 1) % connections.count
            if let connection = connections[next], connection.canOpenStreams { return (connection, next) }
        }
        return nil
    }

    // MARK: Starting calls

    func begin() {
        isSending = true
        ticker?.invalidate()
        ticker = loop.schedule(after: .milliseconds(100)) { [unowned self] in tick() }
        if case .concurrency(let calls) = share.plan.pacing {
            callsOwed = share.plan.share(of: calls, share.index)
            loop.beforeSleep { [unowned self] in payOwedCalls() }
        } else {
            arrivals = share.plan.arrivals()
            for _ in 0..<share.index { _ = arrivals?.next() }
            nextArrival = arrivals?.next().map { Int64($0 * 1e9) }
            alarm = Alarm(loop: loop) { [unowned self] in startDueCalls() }
            startDueCalls()
        }
    }

    /// Starts what is due by now and sets the alarm for what comes next.
    private func startDueCalls() {
        guard isSending, let alarm else { return }
        var now = self.now
        // Not for ever: answers must be read between.
        for _ in 0..<256 {
            guard let due = nextArrival, due <= now, isSending else { break }
            start(intended: due, now: now, kind: arrivals?.kind)
            // Every thread goes through all arrivals and takes each n-th.
            for _ in 1..<share.plan.parts { _ = arrivals?.next() }
            nextArrival = arrivals?.next().map { Int64($0 * 1e9) }
        }
        guard isSending else { return }
        now = self.now
        if let nextArrival {
            alarm.set(afterNanoseconds: nextArrival - now)
        } else if now < sendingEnd {
            alarm.set(afterNanoseconds: sendingEnd - now)
        } else {
            stopSending()
        }
    }

    /// Once all answers of the turn are read, and each connection's calls are written before the next one's are
    /// started: what the tool takes for others is no part of a call's time.
    private func payOwedCalls() {
        var last: HTTP2Connection?
        while callsOwed > 0, isSending, let (connection, index) = anyConnection() {
            if let last, last !== connection { last.flush() }
            last = connection
            callsOwed -= 1
            let now = self.now
            start(intended: now, now: now, on: (connection, index))
        }
        last?.flush()
    }

    /// - Parameter kind: what is asked; nil: what the mix has.
    private func start(
        intended: Int64, now: Int64, kind: RequestKind? = nil, on chosen: (HTTP2Connection, Int)? = nil
    ) {
        let isCounted = intended >= warmUpEnd
        if isCounted {
            if countedStarts == callsMax { return stopSending() }
            countedStarts += 1
            measured.started += 1
            measured.lateness.record(microseconds(now - intended))
            measured.withSecond(Int((intended - warmUpEnd) / 1_000_000_000)) { $0.started += 1 }
            progress.started += 1
        }
        let request = kind.map { PreparedRequest($0, &random) } ?? share.mix.pick(&random)
        guard let (connection, index) = chosen ?? anyConnection() else {
            if isCounted {
                count(CallOutcome.connectionLost, intended: intended, sent: now, tokens: 0)
            }
            return
        }
        let call = pool.popLast() ?? LoadCall(worker: self)
        callsUnderWay += 1
        call.start(
            request, on: connection, connection: index,
            headers: request.streams ? headers.stream : headers.complete, intended: intended, now: now,
            isCounted: isCounted)
    }

    // MARK: What calls tell

    /// A message of a stream came; `last` is when the one before it did.
    func sawMessage(of call: LoadCall, at now: Int64, after last: Int64?) {
        measured.streamMessages += 1
        if let last {
            measured.gaps.record(microseconds(now - last))
        } else {
            measured.firstToken.record(microseconds(now - call.intended))
        }
    }

    func ended(_ call: LoadCall, outcome: Int) {
        callsUnderWay -= 1
        if call.isCounted {
            measured.bytesSent += call.bytesSent
            measured.bytesReceived += call.bytesReceived
            if outcome != 0, measured.examples[outcome] == nil {
                measured.examples[outcome] = call.errorMessage
            }
            count(outcome, intended: call.intended, sent: call.sent, tokens: call.completionTokens)
        }
        pool.append(call)
        if case .concurrency = share.plan.pacing, isSending {
            if outcome == CallOutcome.connectionLost {
                callsLost += 1
            } else {
                callsOwed += 1
                freed.append(call.connection)
            }
            if now >= sendingEnd { stopSending() }
        }
        finishIfOver()
    }

    private func count(_ outcome: Int, intended: Int64, sent: Int64, tokens: Int) {
        measured.record(
            outcome: outcome, intended: intended, sent: sent, ended: now, tokens: tokens, start: warmUpEnd)
        if outcome == 0, isSending {
            measured.answeredWhileSending += 1
            measured.tokensWhileSending += tokens
        }
        progress.tokens += tokens
        if outcome == 0 { progress.succeeded += 1 } else { progress.failed += 1 }
    }

    // MARK: The end

    private func tick() {
        let mustStop = tell()
        if mustStop { stopSending() }
        if isSending {
            reconnect()
            if now >= sendingEnd, alarm == nil { stopSending() }
            callsOwed += callsLost
            callsLost = 0
        }
        if !isDone { ticker?.reschedule(after: .milliseconds(100)) }
    }

    /// Starts no further call; those under way have as long as a call may take.
    func stopSending() {
        guard isSending else { return }
        isSending = false
        measured.sendingSeconds = Double(max(0, min(now, sendingEnd) - warmUpEnd)) / 1e9
        alarm?.close()
        alarm = nil
        giveUp = loop.schedule(after: .seconds(share.plan.timeoutSeconds + 1)) { [unowned self] in
            isGivingUp = true
            for connection in connections { connection?.close() }
        }
        finishIfOver()
    }

    private func finishIfOver() {
        guard !isSending, callsUnderWay == 0, !isDone else { return }
        isDone = true
        giveUp?.invalidate()
        ticker?.invalidate()
        for connection in connections { connection?.close() }
        tell()
        tellIfClosed()
    }

    /// The thread is done when its sockets are closed.
    private func tellIfClosed() {
        guard isDone, connections.allSatisfy({ $0 == nil }) else { return }
        let isLast = share.state.shared.withLock { shared in
            shared.measured.add(measured)
            shared.done += 1
            return shared.done == share.plan.threads
        }
        if isLast { share.over() }
    }

    /// Adds to the sums that are shown; answers whether to stop.
    @discardableResult
    private func tell() -> Bool {
        let progress = self.progress
        self.progress = LoadProgress()
        return share.state.shared.withLock { shared in
            shared.progress.started += progress.started
            shared.progress.succeeded += progress.succeeded
            shared.progress.failed += progress.failed
            shared.progress.tokens += progress.tokens
            return shared.mustStop
        }
    }
}

func nanoseconds(_ duration: Duration) -> Int64 {
    let (seconds, attoseconds) = duration.components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
}
