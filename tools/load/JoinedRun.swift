// Makes one part of a run that another process leads.
import JunctionTransport
import Synchronization

public enum JoinedRun {
    /// What came of joining.
    public enum Outcome: Sendable, Equatable {
        /// This process's part was made; so many calls were started.
        case made(calls: Int)
        /// Nobody leads a run at the address, or it has all its processes.
        case nobody
    }

    /// Joins the run that is led at an address, makes its part of it and returns when it has told what it measured.
    ///
    /// - Parameter patience: seconds for which it tries to reach the leader.
    /// - Throws: when the leader left, or there is no router where he wants one.
    public static func join(host: String, port: Int, patience: Double) throws(LoadError) -> Outcome {
        let member = RunMember(host: host, port: port, patience: patience)
        member.loop.run()
        return try member.outcome.get()
    }
}

private final class RunMember {
    typealias Talk = Conversation<LeaderWord, MemberWord>

    let loop = EventLoop()
    private(set) var outcome = Result<JoinedRun.Outcome, LoadError>.success(.nobody)
    private let host: String
    private let port: Int
    private let deadline: ContinuousClock.Instant
    private var talk: Talk?
    private var connection: HTTP2Connection?
    private var crew: Crew?
    private var plan = LoadPlan()
    private var timer: Timer?
    private var hasSaidReady = false
    private var isOver = false

    init(host: String, port: Int, patience: Double) {
        self.host = host
        self.port = port
        deadline = loop.now + .seconds(patience)
        loop.beforeSleep { [unowned self] in lookAtCrew() }
        connect()
    }

    private func connect() {
        var limits = HTTP2Limits()
        limits.streamWindowBytes = 1 << 20
        HTTP2Connection.connect(host: host, port: port, loop: loop, limits: limits) { [unowned self] in
            switch $0 {
            case .success(let connection): join(by: connection)
            case .failure: tryAgain()
            }
        }
    }

    private func tryAgain() {
        guard loop.now < deadline else { return loop.stop() }
        timer = loop.schedule(after: .milliseconds(100)) { [unowned self] in connect() }
    }

    private func join(by connection: HTTP2Connection) {
        self.connection = connection
        connection.onClosed = { [unowned self] in
            // A run that has all its processes lets no other in; there may be a next one.
            if crew == nil { tryAgain() } else { loop.stop() }
        }
        let talk = Talk(
            heard: { [unowned self] in heard($0) },
            left: { [unowned self] in
                leave()
                connection.close()
            })
        self.talk = talk
        talk.stream = connection.openStream(
            headers: [
                HeaderField(":method", "POST"), HeaderField(":scheme", "http"),
                HeaderField(":path", Talk.path),
                HeaderField(":authority", "\(host):\(port)"),
            ], handler: talk)
    }

    private func heard(_ word: LeaderWord) {
        switch word {
        case .prepare(let plan):
            self.plan = plan
            outcome = .failure(LoadError("the leader of the run left before its end"))
            let wake: @Sendable () -> Void = { [loop] in loop.submit {} }
            crew = Crew(plan, ready: { _ in wake() }, over: wake)
        case .begin:
            crew?.state.begin()
            timer = loop.every(LoadRun.progressInterval) { [unowned self] in
                if let progress = crew?.state.progress(plan, now: loop.now) { talk?.say(.progress(progress)) }
            }
        case .stop: crew?.state.stop()
        }
    }

    /// Whatever the crew's threads did since the last turn.
    private func lookAtCrew() {
        guard let crew else { return }
        let (isReady, isDone) = crew.state.shared.withLock { shared in
            (shared.connected == plan.threads, shared.done == plan.threads || shared.error != nil)
        }
        if isReady, !hasSaidReady {
            hasSaidReady = true
            talk?.say(.ready)
        }
        if isDone { finish() }
    }

    /// The crew is done.
    private func finish() {
        guard let crew, !isOver else { return }
        isOver = true
        timer?.invalidate()
        do throws(LoadError) {
            let measured = try crew.dismiss()
            outcome = .success(.made(calls: measured.started))
            talk?.say(.done(measured))
        } catch {
            outcome = .failure(error)
            talk?.say(.failed("\(error)"))
        }
        talk?.end()
    }

    /// The leader ended the conversation: rightly, or with the crew still at work.
    private func leave() {
        guard let crew, !isOver else { return }
        isOver = true
        timer?.invalidate()
        crew.state.stop()
        _ = try? crew.dismiss()
    }
}
