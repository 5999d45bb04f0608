// A run from start to end: threads with their workers, what they tell on the way, and the report of them all.
import JunctionRouting
import JunctionTransport
import Synchronization

/// How a run goes, some times a second.
public struct LoadProgress: Sendable {
    /// Seconds since the counted part began; negative during the warm-up.
    public var seconds = 0.0
    public var started = 0
    public var succeeded = 0
    public var failed = 0
    public var tokens = 0

    public init() {}
}

/// What the threads of a run tell each other.
final class RunState: Sendable {
    struct Shared: Sendable {
        var connected = 0
        var error: SystemError?
        /// Set when every thread has its connections: the start of the run, warm-up included.
        var origin: ContinuousClock.Instant?
        var mustStop = false
        var done = 0
        var progress = LoadProgress()
        var measured = Measurements()
    }

    let shared = Mutex(Shared())
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
        let state = RunState()
        let mix = PreparedMix(plan.kinds, seed: plan.seed)
        let waiting = EventLoop()
        let threads = (0..<plan.threads).map { index in
            LoopThread(name: "load-\(index)") { loop in
                let share = Worker.Share(plan: plan, mix: mix, index: index, state: state) { waiting.stop() }
                let worker = Worker(share, loop: loop)
                loop.keep(worker)
                worker.connect()
            }
        }
        wait(on: waiting, for: state, plan, interrupts, progress)
        for thread in threads { thread.loop.stop() }
        for thread in threads { thread.join() }
        let (error, measured) = state.shared.withLock { ($0.error, $0.measured) }
        if let error { throw LoadError("\(error)") }
        return LoadReport(plan, measured)
    }

    /// Tells progress until the workers are done.
    private static func wait(
        on loop: EventLoop, for state: RunState, _ plan: LoadPlan, _ interrupts: [Int32],
        _ progress: @escaping (LoadProgress) -> Void
    ) {
        let watches = interrupts.map { signal in
            loop.onSignal(signal) { state.shared.withLock { $0.mustStop = true } }
        }
        var timer: Timer?
        timer = loop.schedule(after: .milliseconds(200)) {
            let (origin, sum) = state.shared.withLock { ($0.origin, $0.progress) }
            if let origin {
                var sum = sum
                sum.seconds = Double(nanoseconds(loop.now - origin)) / 1e9 - plan.warmUpSeconds
                progress(sum)
            }
            timer?.reschedule(after: .milliseconds(200))
        }
        loop.run()
        timer?.invalidate()
        for watch in watches { watch.close() }
    }
}
