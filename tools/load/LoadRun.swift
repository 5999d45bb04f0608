// A run from start to end in one process: threads with their workers, what they tell on the way, and the report
// of them all.
import JunctionRouting
import JunctionTransport
import Synchronization

/// How a run goes, some times a second.
public struct LoadProgress: Sendable, Codable {
    /// Seconds since the counted part began; negative during the warm-up.
    public var seconds = 0.0
    public var started = 0
    public var succeeded = 0
    public var failed = 0
    public var tokens = 0

    public init() {}

    mutating func add(_ other: LoadProgress) {
        started += other.started
        succeeded += other.succeeded
        failed += other.failed
        tokens += other.tokens
    }
}

/// What the threads of a run tell each other.
final class RunState: Sendable {
    struct Shared: Sendable {
        var connected = 0
        var error: SystemError?
        /// The start of the run, warm-up included; set when every thread of every process has its connections.
        var origin: ContinuousClock.Instant?
        var mustStop = false
        var done = 0
        var progress = LoadProgress()
        var measured = Measurements()
    }

    let shared = Mutex(Shared())

    /// Lets the threads begin, at the same instant.
    func begin() { shared.withLock { $0.origin = ContinuousClock.now + .milliseconds(20) } }

    /// Starts no further call.
    func stop() { shared.withLock { $0.mustStop = true } }

    /// What is counted by now; nil before the start.
    func progress(_ plan: LoadPlan, now: ContinuousClock.Instant) -> LoadProgress? {
        let (origin, sum) = shared.withLock { ($0.origin, $0.progress) }
        guard let origin else { return nil }
        var progress = sum
        progress.seconds = Double(nanoseconds(now - origin)) / 1e9 - plan.warmUpSeconds
        return progress
    }
}

/// The threads that make this process's part of a run.
struct Crew: Sendable {
    let state = RunState()
    private let threads: [LoopThread]

    /// - Parameters:
    ///   - ready: called when all have their connections; they wait for `state.begin()`.
    ///   - over: called when all are done, or one could not connect.
    init(
        _ plan: LoadPlan, ready: @escaping @Sendable (RunState) -> Void, over: @escaping @Sendable () -> Void
    ) {
        let state = state
        let mix = PreparedMix(plan.kinds, seed: plan.seed)
        threads = (0..<plan.threads).map { thread in
            LoopThread(name: "load-\(thread)") { loop in
                let index = plan.process * plan.threads + thread
                let share = Worker.Share(
                    plan: plan, mix: mix, index: index, state: state, ready: { ready(state) }, over: over)
                let worker = Worker(share, loop: loop)
                loop.keep(worker)
                worker.connect()
            }
        }
    }

    /// What they measured, after `over`.
    func dismiss() throws(LoadError) -> Measurements {
        for thread in threads { thread.loop.stop() }
        for thread in threads { thread.join() }
        let (error, measured) = state.shared.withLock { ($0.error, $0.measured) }
        if let error { throw LoadError("\(error)") }
        return measured
    }
}

public enum LoadRun {
    /// Runs `plan` on threads of its own and waits for its end on the calling thread.
    ///
    /// - Parameter interrupts: signals that end the sending early; what was counted until then is reported.
    /// - Throws: when there is no router at the address.
    public static func run(
        _ plan: LoadPlan, interrupts: [Int32] = [], progress: @escaping (LoadProgress) -> Void = { _ in }
    ) throws(LoadError) -> LoadReport {
        let plan = plan.settled
        let waiting = EventLoop()
        let crew = Crew(plan, ready: { $0.begin() }, over: { waiting.stop() })
        let watches = interrupts.map { signal in waiting.onSignal(signal) { crew.state.stop() } }
        let timer = waiting.every(progressInterval) {
            if let sum = crew.state.progress(plan, now: waiting.now) { progress(sum) }
        }
        waiting.run()
        timer.invalidate()
        for watch in watches { watch.close() }
        return LoadReport(plan, try crew.dismiss())
    }

    static let progressInterval = Duration.milliseconds(200)
}

extension EventLoop {
    /// Runs `action` again and again until the timer is invalidated.
    func every(_ interval: Duration, _ action: @escaping () -> Void) -> Timer {
        var timer: Timer?
        timer = schedule(after: interval) {
            action()
            timer?.reschedule(after: interval)
        }
        return timer!
    }
}
