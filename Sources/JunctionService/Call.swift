// The life of one RPC: the only object that lives as long as it, and the only one that performs effects.
// Asks the `Route` what to do, does it, tells the `Route` what happened. Decides nothing itself.
import JunctionMessages
import JunctionProtobuf
import JunctionProviders
import JunctionRPC
import JunctionRouting
import JunctionTransport

/// One `Complete` or `Stream` from its request to its status. Confined to its worker's loop. Lives as long as
/// its RPC holds it as delegate, or an attempt is under way.
final class Call: ServerStreamDelegate {
    private let worker: Worker
    private let rpc: ServerStream
    let completion: JunctionV1.Completion.View
    private let overrides: [ProviderTarget]
    let isStreaming: Bool
    private var route: Route
    /// The attempts under way; the second only beside a first that is slow.
    private var first: AttemptInFlight?
    private var second: AttemptInFlight?
    /// Wakes the call while no attempt is under way.
    private var timer: Timer?
    private var isOver = false

    init(
        worker: Worker, rpc: ServerStream, completion: JunctionV1.Completion.View, isStreaming: Bool,
        traits: CallTraits, overrides: [ProviderTarget]
    ) {
        self.worker = worker
        self.rpc = rpc
        self.completion = completion
        self.isStreaming = isStreaming
        self.overrides = overrides
        route = Route(router: worker.router, call: traits, now: worker.now)
    }

    func start() {
        rpc.delegate = self
        perform(route.start(now: worker.now, random: &worker.random))
    }

    /// Lives as long as the RPC.
    var arena: Arena { rpc.arena }

    // MARK: What the route asks for

    private func perform(_ action: Action) {
        switch action {
        case .attempt(let attempt): begin(attempt)
        case .abandon(let number): abandon(number)
        case .wait(let until): wake(after: until - worker.now)
        case .reply(let failure): end(with: status(of: failure, target: target))
        case .none: break
        }
    }

    private func begin(_ attempt: Attempt) {
        let inFlight = worker.takeAttempt()
        if first == nil { first = inFlight } else { second = inFlight }
        inFlight.begin(attempt, of: self, at: target(attempt.deployment, attempt.overrideIndex))
    }

    private func target(_ deployment: Int?, _ overrideIndex: Int?) -> ProviderTarget {
        if let overrideIndex { return overrides[overrideIndex] }
        return worker.targets[deployment!]
    }

    private func abandon(_ number: Int) {
        guard let loser = inFlight(number) else { return }
        let used = usageSoFar(of: loser) ?? TokenUsage(prompt: estimatedPromptTokens(completion))
        remove(loser)
        loser.cancel()
        route.outrun(attempt: number, usage: used, now: worker.now)
    }

    private func wake(after delay: Duration) {
        if let timer {
            timer.reschedule(after: delay)
        } else {
            timer = worker.loop.schedule(after: delay) { [unowned self] in
                perform(route.timerFired(now: worker.now, random: &worker.random))
            }
        }
    }

    // MARK: What an attempt tells

    /// Hands a piece with content to the caller.
    func forward(_ delta: JunctionV1.StreamResponse.View, from attempt: AttemptInFlight) {
        if !attempt.isCommitted { commit(attempt) }
        rpc.send(delta)
        if rpc.isCongested { attempt.pause() }
    }

    private func commit(_ attempt: AttemptInFlight) {
        perform(route.committed(attempt: attempt.number, now: worker.now))
        attempt.commit()
        for early in attempt.takeHeld() { rpc.send(early.view(in: rpc.arena)) }
    }

    func succeeded(_ attempt: AttemptInFlight) {
        let used = attempt.usage ?? estimatedUsage(of: attempt)
        let isEstimated = attempt.usage == nil
        let answer = attempt.answer
        if isStreaming, !attempt.isCommitted { commit(attempt) }
        let number = attempt.number
        remove(attempt)
        attempt.letGo()
        perform(route.finished(attempt: number, usage: used, now: worker.now))
        if isStreaming {
            let last = JunctionV1.StreamResponse.View(in: rpc.arena)
            last.usage = usageMessage(of: used, isEstimated: isEstimated, in: rpc.arena)
            last.route = routeMessage(of: route.report, in: rpc.arena, target: target)
            rpc.send(last)
        } else if let answer {
            answer.usage = usageMessage(of: used, isEstimated: isEstimated, in: rpc.arena)
            answer.route = routeMessage(of: route.report, in: rpc.arena, target: target)
            rpc.send(answer)
        }
        end(with: .ok)
    }

    func failed(_ attempt: AttemptInFlight, _ failure: Failure) {
        let number = attempt.number
        let used = usageSoFar(of: attempt)
        remove(attempt)
        attempt.cancel()
        perform(
            route.failed(failure, attempt: number, usage: used, now: worker.now, random: &worker.random))
    }

    /// The attempt has not answered in the time after which another one may be made beside it.
    func isSlow(_ attempt: AttemptInFlight) {
        perform(
            route.hedgeTimerFired(attempt: attempt.number, now: worker.now, random: &worker.random))
    }

    /// Whether the silence of a stream is the caller's, who has not read a thing since the last piece. Then
    /// its call is over.
    func callerHasStoppedReading() -> Bool {
        guard rpc.isCongested else { return false }
        callerLeft()
        rpc.finish(Status(.cancelled, "the caller has stopped reading"))
        return true
    }

    // MARK: The end

    func callerLeft() {
        route.cancelled(now: worker.now) { number in inFlight(number).flatMap(usageSoFar) }
        close()
    }

    func callerCaughtUp() {
        first?.resume()
        second?.resume()
    }

    private func end(with status: Status) {
        close()
        rpc.finish(status)
    }

    private func close() {
        guard !isOver else { return }
        isOver = true
        timer?.invalidate()
        timer = nil
        let (one, other) = (first, second)
        (first, second) = (nil, nil)
        one?.cancel()
        other?.cancel()
    }

    // MARK: Attempts under way

    private func inFlight(_ number: Int) -> AttemptInFlight? {
        first?.number == number ? first : second?.number == number ? second : nil
    }

    private func remove(_ attempt: AttemptInFlight) {
        if first === attempt {
            (first, second) = (second, nil)
        } else if second === attempt {
            second = nil
        }
    }

    // MARK: Tokens

    /// What the attempt is known or thought to have used; nil while it has given nothing.
    private func usageSoFar(of attempt: AttemptInFlight) -> TokenUsage? {
        attempt.usage ?? (attempt.isCommitted ? estimatedUsage(of: attempt) : nil)
    }

    private func estimatedUsage(of attempt: AttemptInFlight) -> TokenUsage {
        TokenUsage(
            prompt: estimatedPromptTokens(completion), completion: tokens(ofBytes: attempt.contentBytes))
    }
}
