// Leads a run that several processes make together: waits until all have joined and are connected, lets them
// begin at one instant, and adds up what they measured: counts and histograms, so that percentiles are those of
// all calls. Makes no call itself.
import JunctionTransport

public final class LoadLeader {
    private typealias Talk = Conversation<MemberWord, LeaderWord>

    /// A process that has joined.
    private final class Member {
        var talk: Talk?
        var progress = LoadProgress()
        var isReady = false
        var isDone = false
    }

    private let plan: LoadPlan
    private let loop = EventLoop()
    private var listener: Listener?
    private var connections: [HTTP2Connection] = []
    private var members: [Member] = []
    /// Those that came too late.
    private var extra: [Member] = []
    private var measured = Measurements()
    private var error: LoadError?
    private var began: ContinuousClock.Instant?
    private var joined: (Int) -> Void = { _ in }

    /// Takes processes in from now on: as many as `plan.processes`.
    ///
    /// - Parameter port: 0 for any free one.
    public init(_ plan: LoadPlan, host: String, port: Int) throws(LoadError) {
        self.plan = plan.settled
        do {
            listener = try Listener(loop: loop, host: host, port: port, reusePort: false) { [unowned self] in
                accept($0)
            }
        } catch { throw LoadError("\(error)") }
    }

    public var port: Int { listener?.port ?? 0 }

    /// Waits for the processes, then for the end of the run.
    ///
    /// - Parameters:
    ///   - patience: seconds after which it is an error that processes are missing; nil: waits for ever.
    ///   - interrupts: signals that end the sending early; what was counted until then is reported.
    ///   - joined: told how many have joined.
    /// - Throws: when a process could not do its part, or left.
    public func run(
        patience: Double? = nil, interrupts: [Int32] = [], joined: @escaping (Int) -> Void = { _ in },
        progress: @escaping (LoadProgress) -> Void = { _ in }
    ) throws(LoadError) -> LoadReport {
        self.joined = joined
        let watches = interrupts.map { signal in loop.onSignal(signal) { [unowned self] in interrupt() } }
        let timer = loop.every(LoadRun.progressInterval) { [unowned self] in
            if let sum = sum() { progress(sum) }
        }
        let gathering = patience.map { seconds in
            loop.schedule(after: .seconds(seconds)) { [unowned self] in
                if members.count < plan.processes {
                    fail("only \(members.count) of \(plan.processes) processes joined the run")
                }
            }
        }
        loop.run()
        gathering?.invalidate()
        timer.invalidate()
        for watch in watches { watch.close() }
        if let error { throw error }
        return LoadReport(plan, measured)
    }

    // MARK: Members

    private func accept(_ descriptor: Int32) {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = 1 << 20
        let connection = HTTP2Connection.serve(descriptor: descriptor, loop: loop, limits: limits) {
            [unowned self] stream in join(stream)
        }
        connections.append(connection)
        connection.onClosed = { [unowned self, unowned connection] in
            connections.removeAll { $0 === connection }
            stopIfOver()
        }
    }

    private func join(_ stream: HTTP2Stream) -> Talk {
        let member = Member()
        let talk = Talk(
            heard: { [unowned self, unowned member] in heard($0, from: member) },
            left: { [unowned self, unowned member] in
                if !member.isDone { fail("a process left before the end of the run") }
            })
        talk.stream = stream
        member.talk = talk
        stream.sendHeaders([HeaderField(":status", "200")])
        guard members.count < plan.processes else {
            // One too many: it finds the run over.
            member.isDone = true
            extra.append(member)
            talk.end()
            return talk
        }
        members.append(member)
        var part = plan
        part.process = members.count - 1
        talk.say(.prepare(part))
        joined(members.count)
        return talk
    }

    private func heard(_ word: MemberWord, from member: Member) {
        switch word {
        case .ready:
            member.isReady = true
            guard members.count == plan.processes, members.allSatisfy(\.isReady) else { return }
            began = loop.now
            for member in members { member.talk?.say(.begin) }
        case .progress(let progress): member.progress = progress
        case .done(let part):
            guard !member.isDone else { return }
            member.isDone = true
            measured.add(part)
            guard members.count(where: \.isDone) == plan.processes else { return }
            // One that hangs up may come again at once, for the next run.
            listener?.close()
            for member in members { member.talk?.end() }
        case .failed(let text): fail(text)
        }
    }

    private func sum() -> LoadProgress? {
        guard let began else { return nil }
        var sum = members.reduce(into: LoadProgress()) { $0.add($1.progress) }
        sum.seconds = Double(nanoseconds(loop.now - began)) / 1e9 - plan.warmUpSeconds
        return sum
    }

    // MARK: The end

    private func interrupt() {
        guard began != nil else { return fail("interrupted before the run began") }
        for member in members { member.talk?.say(.stop) }
    }

    private func fail(_ text: String) {
        guard error == nil else { return }
        error = LoadError(text)
        listener?.close()
        for connection in connections { connection.close() }
        stopIfOver()
    }

    /// The run is over when all have told what they measured, and hung up.
    private func stopIfOver() {
        let isDone = members.count == plan.processes && members.allSatisfy(\.isDone)
        if connections.isEmpty, isDone || error != nil { loop.stop() }
    }
}
