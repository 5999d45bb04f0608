// The life of one RPC: the only object that lives as long as it, and the only one that performs effects.
// Asks the `Route` what to do, does it, tells the `Route` what happened. Decides nothing itself.
import JunctionMessages
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import JunctionRPC
import JunctionTransport

/// One `Complete` or `Stream` from its request to its status. Confined to its worker's loop.
final class Call: HTTPHandler {
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
    private var bytesOfContent = 0
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
        rpc.onCancel = { self.callerLeft() }
        if isStreaming { rpc.onWritable = { self.transfer?.resume() } }
        perform(route.start(now: worker.now, random: &worker.random))
    }

    // MARK: What the route asks for

    private func perform(_ action: Action) {
        switch action {
        case .attempt(let attempt): begin(attempt)
        case .wait(let until): wake(after: until - worker.now)
        case .reply(let failure): end(with: status(of: failure))
        case .none: break
        }
    }

    private func begin(_ attempt: Attempt) {
        let target = attempt.overrideIndex.map { overrides[$0] } ?? worker.targets[attempt.deployment]
        usage = nil
        answer = nil
        held.removeAll()
        bytesOfContent = 0
        reader.reset(adapter: target.adapter, isStreaming: isStreaming)
        wake(after: attempt.timeout)
        do {
            transfer = try target.send(completion, isStreaming: isStreaming, by: worker, handler: self)
        } catch {
            attemptFailed(error)
        }
    }

    private func wake(after delay: Duration) {
        if let timer { timer.reschedule(after: delay) } else {
            timer = worker.loop.schedule(after: delay) { self.timerFired() }
        }
    }

    private func timerFired() {
        guard !isOver else { return }
        guard transfer != nil else {
            perform(route.timerFired(now: worker.now, random: &worker.random))
            return
        }
        if isCommitted && rpc.isCongested {
            wake(after: worker.limits.streamIdleTimeout)
            return
        }
        attemptFailed(Failure(.timeout, message: isCommitted ? "the stream fell silent" : "no answer in time"))
    }

    // MARK: What the provider answers

    func received(status: Int) { reader.begin(status: status) }

    func received(headerName: Span<UInt8>, value: Span<UInt8>) { reader.header(name: headerName, value: value) }

    func received(body: Span<UInt8>) {
        reader.append(body)
        if isCommitted { wake(after: worker.limits.streamIdleTimeout) }
        pump()
    }

    func ended(_ end: HTTPEnd) {
        transfer = nil
        switch end {
        case .complete:
            reader.end()
            pump()
        case .failed(let failure):
            attemptFailed(self.failure(of: failure))
        }
    }

    /// Takes from the reader whatever the bytes so far have completed.
    private func pump() {
        while !isOver {
            switch reader.next(in: isStreaming ? worker.scratch : rpc.arena) {
            case .needsMore: return
            case .delta(let delta, let hasContent): forward(delta, hasContent: hasContent)
            case .complete(let response): answer = response
            case .usage(let counted): usage = counted
            case .finished: return succeed()
            case .failed(let failure): return attemptFailed(failure)
            }
        }
    }

    private func forward(_ delta: JunctionV1.StreamResponse.View, hasContent: Bool) {
        defer { worker.scratch.reset() }
        if !isCommitted {
            guard hasContent else {
                held.append(JunctionV1.StreamResponse(delta))
                return
            }
            commit()
        }
        for choice in delta.choices { bytesOfContent += choice.content.count }
        rpc.send(delta)
        if rpc.isCongested { transfer?.pause() }
    }

    /// From here on the caller has something of this attempt.
    private func commit() {
        isCommitted = true
        route.committed(now: worker.now)
        for early in held { rpc.send(early.view(in: worker.heldArena)) }
        worker.heldArena.reset()
        held.removeAll()
        wake(after: worker.limits.streamIdleTimeout)
    }

    private func succeed() {
        let used = usage ?? estimatedUsage()
        if let transfer {
            // The provider said all it had to say; what is left of its body tells nothing.
            transfer.letGo()
            self.transfer = nil
        }
        route.finished(usage: used, now: worker.now)
        if isStreaming {
            if !isCommitted { commit() }
            let last = JunctionV1.StreamResponse.View(in: rpc.arena)
            last.usage = message(of: used, estimated: usage == nil)
            last.route = message(of: route.report, in: rpc.arena, names: worker.names)
            rpc.send(last)
        } else if let answer {
            answer.usage = message(of: used, estimated: usage == nil)
            answer.route = message(of: route.report, in: rpc.arena, names: worker.names)
            rpc.send(answer)
        }
        end(with: Status(.ok))
    }

    private func attemptFailed(_ failure: Failure) {
        transfer?.cancel()
        transfer = nil
        timer?.cancel()
        perform(route.failed(failure, now: worker.now, random: &worker.random))
    }

    // MARK: The end

    private func callerLeft() {
        guard !isOver else { return }
        transfer?.cancel()
        transfer = nil
        route.cancelled(now: worker.now, usage: usage ?? (isCommitted ? estimatedUsage() : nil))
        close()
    }

    private func end(with status: Status) {
        guard !isOver else { return }
        close()
        rpc.finish(status)
    }

    private func close() {
        isOver = true
        timer?.cancel()
        timer = nil
        rpc.onCancel = nil
        rpc.onWritable = nil
        worker.giveBack(reader)
    }

    /// What the call used, where the provider did not say.
    private func estimatedUsage() -> TokenUsage {
        TokenUsage(prompt: estimatedTokens(completion), completion: bytesOfContent / 4)
    }
}
