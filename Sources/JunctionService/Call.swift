// The life of one RPC: the only object that lives as long as it, and the only one that performs effects.
// Asks the `Route` what to do, does it, tells the `Route` what happened. Decides nothing itself.
import JunctionMessages
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRPC
import JunctionRouting
import JunctionTransport

/// One `Complete` or `Stream` from its request to its status. Confined to its worker's loop. Lives as long as
/// its RPC holds it as delegate, or a transfer as handler.
final class Call: HTTPHandler, ServerStreamDelegate {
    private let worker: Worker
    private let rpc: ServerStream
    private let completion: JunctionV1.Completion.View
    private let overrides: [ProviderTarget]
    private let isStreaming: Bool
    private var route: Route

    /// The attempt under way; nil between attempts and after the end.
    private var transfer: Transfer?
    private let reader: AnswerReader
    private var timer: Timer?
    private var usage: TokenUsage?
    private var answer: JunctionV1.CompleteResponse.View?
    /// Whether content of the attempt under way has reached the caller: no other attempt can follow.
    private var isCommitted = false
    /// Pieces without content that came before any content; sent if the answer turns out to have none.
    private var held: [JunctionV1.StreamResponse] = []
    private var contentBytes = 0
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
        reader = worker.takeReader()
        route = Route(router: worker.router, call: traits, now: worker.now)
    }

    func start() {
        rpc.delegate = self
        perform(route.start(now: worker.now, random: &worker.random))
    }

    // MARK: What the route asks for

    private func perform(_ action: Action) {
        switch action {
        case .attempt(let attempt): begin(attempt)
        case .wait(let until): wake(after: until - worker.now)
        case .reply(let failure): end(with: status(of: failure, target: target))
        case .none: break
        }
    }

    private func begin(_ attempt: Attempt) {
        let target = target(attempt.deployment, attempt.overrideIndex)
        usage = nil
        answer = nil
        held.removeAll()
        contentBytes = 0
        reader.reset(adapter: target.adapter, isStreaming: isStreaming)
        wake(after: attempt.timeout)
        do throws(Failure) {
            transfer = try target.send(completion, isStreaming: isStreaming, by: worker, handler: self)
        } catch {
            attemptFailed(error)
        }
    }

    private func target(_ deployment: Int?, _ overrideIndex: Int?) -> ProviderTarget {
        if let overrideIndex { return overrides[overrideIndex] }
        return worker.targets[deployment!]
    }

    private func wake(after delay: Duration) {
        if let timer {
            timer.reschedule(after: delay)
        } else {
            timer = worker.loop.schedule(after: delay) { [unowned self] in timerFired() }
        }
    }

    private func timerFired() {
        if transfer == nil {
            perform(route.timerFired(now: worker.now, random: &worker.random))
        } else if !isCommitted {
            attemptFailed(Failure(.timeout, message: "no answer in time"))
        } else if rpc.isCongested {
            // The silence is the caller's: it has not read a thing since the timer was set.
            abandon(Status(.cancelled, "the caller has stopped reading"))
        } else {
            attemptFailed(Failure(.timeout, message: "the stream fell silent"))
        }
    }

    // MARK: What the provider answers

    func received(status: Int) { reader.begin(status: status) }

    func received(headerName name: Span<UInt8>, value: Span<UInt8>) {
        reader.header(name: name, value: value)
    }

    func received(body: Span<UInt8>) {
        reader.append(body)
        if isCommitted { wake(after: worker.server.streamIdleTimeout) }
        pump()
    }

    func ended(_ end: HTTPEnd) {
        transfer = nil
        switch end {
        case .complete:
            reader.end()
            pump()
        case .failed(let failure):
            attemptFailed(Failure(failure))
        }
    }

    /// Takes from the reader whatever the bytes so far have completed.
    private func pump() {
        while !isOver {
            switch reader.next(in: isStreaming ? worker.scratch : rpc.arena) {
            case .needsMore: return
            case .delta(let delta, let hasContent): forward(delta, hasContent: hasContent)
            case .complete(let response):
                answer = response
                for choice in response.choices { contentBytes += choice.message?.content.count ?? 0 }
            case .usage(let counted): usage = counted
            case .finished: return succeed()
            case .failed(let failure): return attemptFailed(failure)
            }
        }
    }

    private func forward(_ delta: JunctionV1.StreamResponse.View, hasContent: Bool) {
        if !isCommitted {
            guard hasContent else {
                held.append(JunctionV1.StreamResponse(delta))
                worker.scratch.reset()
                return
            }
            if let first = held.first { delta.carry(identityOf: first, in: worker.scratch) }
            // What else was held says nothing, but for a choice that ended without content.
            held.removeAll { !$0.choices.contains { $0.finishReason != .unspecified } }
            commit()
        }
        for choice in delta.choices { contentBytes += choice.content.count }
        rpc.send(delta)
        worker.scratch.reset()
        if rpc.isCongested { transfer?.pause() }
    }

    /// From here on the caller has something of this attempt.
    private func commit() {
        isCommitted = true
        route.committed(now: worker.now)
        for early in held { rpc.send(early.view(in: rpc.arena)) }
        held.removeAll()
        wake(after: worker.server.streamIdleTimeout)
    }

    private func succeed() {
        let used = usage ?? estimatedUsage()
        // The provider said all it had to say; what is left of its body tells nothing.
        transfer?.letGo()
        transfer = nil
        route.finished(usage: used, now: worker.now)
        if isStreaming {
            if !isCommitted { commit() }
            let last = JunctionV1.StreamResponse.View(in: rpc.arena)
            last.usage = usageMessage(of: used)
            last.route = routeMessage(of: route.report, in: rpc.arena, target: target)
            rpc.send(last)
        } else if let answer {
            answer.usage = usageMessage(of: used)
            answer.route = routeMessage(of: route.report, in: rpc.arena, target: target)
            rpc.send(answer)
        }
        end(with: .ok)
    }

    private func attemptFailed(_ failure: Failure) {
        transfer?.cancel()
        transfer = nil
        timer?.cancel()
        perform(route.failed(failure, usage: usageSoFar, now: worker.now, random: &worker.random))
    }

    // MARK: The end

    func callerLeft() {
        transfer?.cancel()
        transfer = nil
        route.cancelled(usage: usageSoFar, now: worker.now)
        close()
    }

    func callerCaughtUp() {
        transfer?.resume()
        if isCommitted { wake(after: worker.server.streamIdleTimeout) }
    }

    private func abandon(_ status: Status) {
        callerLeft()
        rpc.finish(status)
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
        worker.giveBack(reader)
    }

    // MARK: Tokens

    /// What the attempt under way is known or thought to have used; nil while it has given nothing.
    private var usageSoFar: TokenUsage? { usage ?? (isCommitted ? estimatedUsage() : nil) }

    private func estimatedUsage() -> TokenUsage {
        TokenUsage(
            prompt: estimatedPromptTokens(completion), completion: tokens(ofBytes: contentBytes),
            isEstimated: true)
    }

    private func usageMessage(of used: TokenUsage) -> JunctionV1.Usage.View {
        let view = JunctionV1.Usage.View(in: rpc.arena)
        view.promptTokens = Int64(used.prompt)
        view.completionTokens = Int64(used.completion)
        view.totalTokens = Int64(used.total)
        view.cachedTokens = Int64(used.cached)
        view.reasoningTokens = Int64(used.reasoning)
        view.estimated = usage == nil
        return view
    }
}

extension JunctionV1.StreamResponse.View {
    /// Says in this piece what the first of an answer says of the whole.
    fileprivate func carry(identityOf first: JunctionV1.StreamResponse, in arena: Arena) {
        id = arena.text(first.id)
        model = arena.text(first.model)
        createdUnixSeconds = first.createdUnixSeconds
    }
}
