// The life of one RPC: the only object that lives as long as it, and the only one that performs effects.
// Asks the `Route` what to do, does it, tells the `Route` what happened. Decides nothing itself.
import JunctionMessages
import JunctionProtobuf
import JunctionProviders
import JunctionRPC
import JunctionRouting
import JunctionTransport

/// One `Complete`, `Stream` or `Embed` from its request to its status. Confined to its worker's loop. Lives
/// as long as its RPC holds it as delegate, or an attempt is under way.
final class Call: ServerStreamDelegate {
    private let worker: Worker
    private let rpc: ServerStream
    let question: Question
    private let overrides: [ProviderTarget]
    private let modelGroup: Int
    /// As its loop counts time.
    private let startedAt: Int64
    private var route: Route
    /// The attempts under way; the second only beside a first that is slow.
    private var first: AttemptInFlight?
    private var second: AttemptInFlight?
    /// Those that have taken more than their share of the time.
    private var late: [AttemptInFlight] = []
    /// Wakes the call while it waits: none but late attempts are under way then.
    private var timer: Timer?
    /// What has reached the caller, where it may have to be gone on with.
    private var written: WrittenText?
    /// What reached the caller of streams that broke off, and the attempt that was the last of them.
    private var broken: (attempt: Int, usage: TokenUsage, cost: Double?)?
    private var isOver = false
    /// Where the last attempt was made; nil: there was none yet.
    private var lastTarget: Target?

    init(
        worker: Worker, rpc: ServerStream, question: Question, traits: CallTraits,
        overrides: [ProviderTarget]
    ) {
        self.worker = worker
        self.rpc = rpc
        self.question = question
        self.overrides = overrides
        modelGroup = worker.router.modelGroup(meantBy: traits.modelGroup)
        startedAt = worker.loop.time
        route = Route(router: worker.router, call: traits, now: worker.now)
        if worker.router.rescues(traits), case .completion(let completion, _) = question {
            written = WrittenText(of: completion)
        }
        if worker.router.queues(traits) {
            let reference = LoopReference(self, on: worker.loop)
            route.wake = { reference.perform { $0.woken() } }
        }
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
        case .reserve(let ask): reserve(ask)
        case .wait(let until): wake(after: until - worker.now)
        case .reply(let failure):
            let detail = failureDetail(
                of: route.report, usage: broken.map { usageMessage($0.usage, cost: $0.cost) }, in: rpc.arena,
                target: target)
            end(with: status(of: failure, detail: detail, in: rpc.arena, target: target))
        case .none: break
        }
    }

    /// The answer is told also when the call is over by then: what was granted has to go back.
    private func reserve(_ ask: SharedAsk) {
        worker.store!.reserve(ask.request, of: ask.member) { [self] answer in
            perform(route.reserved(ask, answer, now: worker.now, random: &worker.random))
        }
    }

    private func begin(_ attempt: Attempt) {
        let inFlight = worker.takeAttempt()
        if first == nil { first = inFlight } else { second = inFlight }
        countBeginning(of: attempt)
        inFlight.begin(
            attempt, of: self, at: target(attempt.deployment, attempt.overrideIndex),
            continuation: attempt.kind == .rescue ? continuation : nil)
    }

    private func target(_ deployment: Int?, _ overrideIndex: Int?) -> ProviderTarget {
        if let overrideIndex { return overrides[overrideIndex] }
        return worker.target(deployment!, askedFor: question.model)
    }

    private func abandon(_ number: Int) {
        guard let loser = inFlight(number) else { return }
        // It has not told what it used; but its provider has read the prompt, and bills it.
        let used = usageSoFar(of: loser) ?? estimatedUsage(of: loser)
        count(loser, isLate(loser) ? .failed(.timeout) : .outrun, used)
        remove(loser)
        loser.cancel()
        perform(route.outrun(attempt: number, usage: used, now: worker.now))
    }

    /// What an attempt goes on with.
    private var continuation: Continuation? {
        written?.continuation(tokens: broken?.usage.completion ?? 0)
    }

    /// The call's turn in a queue may have come.
    func woken() {
        if !isOver { perform(route.woken(now: worker.now, random: &worker.random)) }
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
        if !attempt.isCommitted {
            if let broken { delta.seam = seam(after: broken.attempt, with: attempt) }
            commit(attempt)
        }
        written?.append(delta)
        rpc.send(delta)
        if rpc.isCongested { attempt.pause() }
    }

    private func seam(after broken: Int, with attempt: AttemptInFlight) -> JunctionV1.Seam.View {
        let report = route.report.attempts[broken]
        let seam = JunctionV1.Seam.View(in: worker.scratch)
        seam.brokenDeploymentId = target(report.deployment, report.overrideIndex).id
        seam.deploymentId = attempt.target!.id
        seam.cause = outcome(of: report)
        return seam
    }

    private func commit(_ attempt: AttemptInFlight) {
        if broken == nil {
            worker.tally.count(firstContentAfter: worker.loop.time - startedAt, modelGroup: modelGroup)
        }
        perform(route.committed(attempt: attempt.number, now: worker.now))
        attempt.commit()
        for early in attempt.takeHeld() { rpc.send(early.view(in: rpc.arena)) }
    }

    func succeeded(_ attempt: AttemptInFlight) {
        let used = attempt.usage ?? estimatedUsage(of: attempt)
        let answer = attempt.answer
        let prices = attempt.prices
        if question.isStreaming, !attempt.isCommitted { commit(attempt) }
        let number = attempt.number
        count(attempt, .answered, used)
        remove(attempt)
        attempt.letGo()
        perform(route.finished(attempt: number, usage: used, now: worker.now))
        let sum = sum(of: used, prices.cost(of: used))
        let usage = usageMessage(sum.usage, cost: sum.cost)
        let taken = routeMessage(of: route.report, in: rpc.arena, target: target)
        if question.isStreaming {
            let last = JunctionV1.StreamResponse.View(in: rpc.arena)
            last.usage = usage
            last.route = taken
            rpc.send(last)
        } else {
            answer?.send(to: rpc, usage: usage, route: taken)
        }
        end(with: .ok)
    }

    func failed(_ attempt: AttemptInFlight, _ failure: Failure) {
        let number = attempt.number
        let used = usageSoFar(of: attempt)
        count(attempt, .failed(failure.kind), used)
        if attempt.isCommitted, let used {
            let sum = sum(of: used, attempt.prices.cost(of: used))
            broken = (number, sum.usage, sum.cost)
        }
        remove(attempt)
        attempt.cancel()
        perform(
            route.failed(
                failure, attempt: number, usage: used, canGoOn: continuation != nil, now: worker.now,
                random: &worker.random))
    }

    /// The attempt has not answered in the time after which another one may be made beside it.
    func isSlow(_ attempt: AttemptInFlight) {
        perform(
            route.hedgeTimerFired(attempt: attempt.number, now: worker.now, random: &worker.random))
    }

    /// The attempt has taken its share of the call's time: the call goes on beside it.
    func hasLapsed(_ attempt: AttemptInFlight) {
        remove(attempt)
        late.append(attempt)
        perform(route.lapsed(attempt: attempt.number, now: worker.now, random: &worker.random))
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
        let isLate = rpc.deadline.map { $0 <= worker.loop.now } ?? false
        close(isLate ? .deadlineExceeded : .cancelled)
    }

    func callerCaughtUp() {
        first?.resume()
        second?.resume()
        for one in late { one.resume() }
    }

    private func end(with status: Status) {
        close(status.code)
        rpc.finish(status)
    }

    private func close(_ code: Status.Code) {
        guard !isOver else { return }
        isOver = true
        worker.tally.count(
            question.method, modelGroup: modelGroup, code: code,
            nanoseconds: worker.loop.time - startedAt, usedFallback: lastTarget ?? .asked != .asked)
        timer?.invalidate()
        timer = nil
        route.wake = nil
        while let one = first ?? second ?? late.last {
            count(one, .failed(isLate(one) ? .timeout : .cancelled), usageSoFar(of: one))
            remove(one)
            one.cancel()
        }
    }

    // MARK: Attempts under way

    private func isLate(_ attempt: AttemptInFlight) -> Bool { late.contains { $0 === attempt } }

    private func inFlight(_ number: Int) -> AttemptInFlight? {
        if first?.number == number { return first }
        if second?.number == number { return second }
        return late.isEmpty ? nil : late.first { $0.number == number }
    }

    private func remove(_ attempt: AttemptInFlight) {
        if first === attempt {
            (first, second) = (second, nil)
        } else if second === attempt {
            second = nil
        } else {
            late.removeAll { $0 === attempt }
        }
    }

    // MARK: Counting

    /// Which of the call's targets an attempt was made at.
    private enum Target: Equatable {
        case asked
        case modelGroup(Int)
        case override(Int)
    }

    private func countBeginning(of attempt: Attempt) {
        let now: Target
        switch attempt.target {
        case .override(let index, _): now = .override(index)
        case .deployment(let deployment):
            let group = worker.router.modelGroup(ofDeployment: deployment)
            now = group == modelGroup ? .asked : .modelGroup(group)
        }
        switch attempt.kind {
        case .plain: if now == lastTarget { worker.tally.count(.retry, modelGroup: modelGroup) }
        case .hedge: worker.tally.count(.hedge, modelGroup: modelGroup)
        case .rescue: worker.tally.count(.rescue, modelGroup: modelGroup)
        }
        lastTarget = now
    }

    private func count(_ attempt: AttemptInFlight, _ outcome: Tally.Outcome, _ used: TokenUsage?) {
        worker.tally.count(outcome, deployment: attempt.deployment, used)
    }

    // MARK: Tokens

    private func usageMessage(_ used: TokenUsage, cost: Double?) -> JunctionV1.Usage.View {
        JunctionService.usageMessage(of: used, cost: cost, in: rpc.arena)
    }

    /// What an attempt used, and what streams did that had broken off before it.
    private func sum(of used: TokenUsage, _ cost: Double?) -> (usage: TokenUsage, cost: Double?) {
        guard let broken else { return (used, cost) }
        let both = cost.flatMap { cost in broken.cost.map { $0 + cost } }
        return (broken.usage + used, both)
    }

    /// What the attempt is known or thought to have used; nil while it has given nothing.
    private func usageSoFar(of attempt: AttemptInFlight) -> TokenUsage? {
        attempt.usage ?? (attempt.isCommitted ? estimatedUsage(of: attempt) : nil)
    }

    private func estimatedUsage(of attempt: AttemptInFlight) -> TokenUsage {
        var usage = TokenUsage(
            prompt: question.estimatedPromptTokens, completion: tokens(ofBytes: attempt.contentBytes))
        usage.isEstimated = true
        return usage
    }
}

/// The text that has reached the caller, as long as it is nothing but a text: no call of a tool, no JSON, no
/// reasoning, one choice.
private struct WrittenText {
    private var text: [UInt8] = []
    private var isPlain = true

    /// nil: what is asked for is no plain text.
    init?(of completion: JunctionV1.Completion.View) {
        switch completion.responseFormat?.type {
        case nil, .unspecified, .text: break
        default: return nil
        }
        // Where the caller has begun the answer itself, there would be two beginnings.
        if completion.logprobs ?? false || completion.n ?? 1 > 1
            || completion.messages.last?.role == .assistant
        {
            return nil
        }
    }

    mutating func append(_ delta: JunctionV1.StreamResponse.View) {
        for choice in delta.choices {
            if choice.index != 0 || !choice.toolCalls.isEmpty || !choice.refusal.isEmpty
                || !choice.reasoning.isEmpty || choice.finishReason != .unspecified
            {
                isPlain = false
            }
            let piece = choice.content.bytes
            for index in piece.indices { text.append(piece[index]) }
        }
    }

    /// nil: another attempt cannot go on with it.
    func continuation(tokens: Int) -> Continuation? {
        isPlain ? Continuation(written: text, tokens: tokens) : nil
    }
}

extension TokenUsage {
    fileprivate static func + (left: TokenUsage, right: TokenUsage) -> TokenUsage {
        TokenUsage(
            prompt: left.prompt + right.prompt, completion: left.completion + right.completion,
            cached: left.cached + right.cached, cacheWritten: left.cacheWritten + right.cacheWritten,
            reasoning: left.reasoning + right.reasoning,
            isEstimated: left.isEstimated || right.isEstimated)
    }
}
