// One request to a provider and what has come of it so far. Reads the answer and tells its call; decides
// nothing. Kept by the worker between attempts, with its memory.
import JunctionMessages
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import JunctionTransport

/// An attempt under way, or waiting to be one. Confined to its worker's loop.
final class AttemptInFlight: HTTPHandler {
    private unowned let worker: Worker
    private let reader: AnswerReader
    private lazy var timer = worker.loop.schedule(after: .zero) { [unowned self] in timerFired() }
    private lazy var hedgeTimer = worker.loop.schedule(after: .zero) { [unowned self] in hedgeTimerFired() }
    private var transfer: Transfer?
    /// Whose attempt it is; nil while it is under way no more. Keeps the call alive.
    private var call: Call?
    /// The deployment whose provider's word on its limits is to be passed on; nil: none, or it was.
    private var speaksFor: Int?
    /// The configured deployment that it is counted for.
    private(set) var deployment = 0
    /// What the route calls it.
    private(set) var number = -1
    private(set) var target: ProviderTarget?
    /// Where it joins what another attempt has begun; nil: it begins itself, or is past that.
    private var joint: Joint?
    /// What is left of its time once its share of the call's is over; nil: nothing, or that is past.
    private var timeAfterPatience: Duration?
    /// Attempts that it has been; tells whether the present one is still the same.
    private var uses = 0

    /// The provider's count; nil while it has told none.
    private(set) var usage: TokenUsage?
    /// What its tokens cost.
    private(set) var prices = TokenPrices()
    private(set) var answer: Answer?
    private(set) var contentBytes = 0
    /// Whether content of it has reached the caller.
    private(set) var isCommitted = false
    /// Pieces without content that came before any content; sent if the answer turns out to have none.
    private var held: [JunctionV1.StreamResponse] = []

    init(worker: Worker, json: JSONReader) {
        self.worker = worker
        reader = AnswerReader(json: json)
    }

    var isUnderWay: Bool { call != nil }

    // MARK: What its call asks

    /// - Parameter continuation: what another attempt has begun and this one goes on with.
    func begin(
        _ attempt: Attempt, of call: Call, at target: ProviderTarget, continuation: Continuation?
    ) {
        self.call = call
        self.target = target
        number = attempt.number
        joint = continuation.map { Joint($0, adapter: target.adapter) }
        // What a provider says to a call with another key is nothing to us.
        if case .deployment(let deployment) = attempt.target { speaksFor = deployment }
        deployment = speaksFor ?? worker.deployments.count
        prices = target.prices
        let question = call.question
        reader.reset(
            adapter: target.adapter, isStreaming: question.isStreaming,
            embeddingCount: question.embeddingCount)
        timer.reschedule(after: attempt.patience)
        timeAfterPatience = attempt.timeout > attempt.patience ? attempt.timeout - attempt.patience : nil
        if let after = attempt.hedgeAfter { hedgeTimer.reschedule(after: after) }
        do throws(Failure) {
            transfer = try target.send(question, continuation: continuation, by: worker, handler: self)
        } catch {
            fail(error)
        }
    }

    /// Ends it: the provider sees its connection closed.
    func cancel() {
        transfer?.cancel()
        release()
    }

    /// The answer is complete: what is left of the body tells nothing.
    func letGo() {
        transfer?.letGo()
        release()
    }

    private func release() {
        guard call != nil else { return }
        transfer = nil
        call = nil
        target = nil
        joint = nil
        uses &+= 1
        speaksFor = nil
        timer.cancel()
        hedgeTimer.cancel()
        usage = nil
        answer = nil
        contentBytes = 0
        isCommitted = false
        held.removeAll(keepingCapacity: true)
        worker.giveBack(self)
    }

    func pause() { transfer?.pause() }

    func resume() {
        transfer?.resume()
        if isCommitted { awaitNextPiece() }
    }

    /// From here on the caller has something of this attempt.
    func commit() {
        isCommitted = true
        hedgeTimer.cancel()
        awaitNextPiece()
    }

    /// Gives what was held back.
    func takeHeld() -> [JunctionV1.StreamResponse] {
        defer { held.removeAll(keepingCapacity: true) }
        return held
    }

    // MARK: What the provider answers

    func received(status: Int) { reader.begin(status: status) }

    func received(headerName name: Span<UInt8>, value: Span<UInt8>) {
        reader.header(name: name, value: value)
    }

    /// The head of the answer is whole: what the provider leaves us is known.
    private func passOnLimits() {
        guard let deployment = speaksFor.take() else { return }
        let limits = reader.rateLimits
        if limits != RateLimits() {
            worker.router.noted(limits, deployment: deployment, now: worker.now)
        }
    }

    func received(body: Span<UInt8>) {
        passOnLimits()
        reader.append(body)
        if isCommitted { awaitNextPiece() }
        pump()
    }

    func ended(_ end: HTTPEnd) {
        transfer = nil
        switch end {
        case .complete:
            passOnLimits()
            reader.end()
            pump()
        case .failed(let failure):
            fail(Failure(failure))
        }
    }

    /// Takes from the reader whatever the bytes so far have completed.
    private func pump() {
        let use = uses
        while use == uses, let call {
            switch reader.next(in: call.question.isStreaming ? worker.scratch : call.arena) {
            case .needsMore: return
            case .delta(let delta, let hasContent): take(delta, hasContent: hasContent, for: call)
            case .complete(let response): take(.completion(response))
            case .embeddings(let response): take(.embeddings(response))
            case .usage(let counted): usage = counted
            case .finished: return call.succeeded(self)
            case .failed(let failure): return fail(failure)
            }
        }
    }

    private func take(_ delta: JunctionV1.StreamResponse.View, hasContent: Bool, for call: Call) {
        if joint != nil, leavesOutWhatIsThere(of: delta) { return worker.scratch.reset() }
        if !isCommitted {
            guard hasContent else {
                held.append(JunctionV1.StreamResponse(delta))
                worker.scratch.reset()
                return
            }
            if let first = held.first { delta.carry(identityOf: first, in: worker.scratch) }
            // What else was held says nothing, but for a choice that ended without content.
            held.removeAll { !$0.choices.contains { $0.finishReason != .unspecified } }
        }
        for choice in delta.choices { contentBytes += choice.content.count }
        call.forward(delta, from: self)
        worker.scratch.reset()
    }

    /// Leaves out of a piece what the caller has already; whether nothing is left.
    private func leavesOutWhatIsThere(of delta: JunctionV1.StreamResponse.View) -> Bool {
        var isEmpty = false
        for choice in delta.choices where !choice.content.isEmpty {
            let new = joint!.new(of: choice.content.bytes)
            choice.content = worker.scratch.text(new.span)
            isEmpty = new.isEmpty && choice.finishReason == .unspecified
        }
        if joint!.isDone { joint = nil }
        return isEmpty
    }

    private func take(_ whole: Answer) {
        answer = whole
        contentBytes += whole.contentBytes
    }

    private func fail(_ failure: Failure) { call?.failed(self, failure) }

    // MARK: Time

    private func awaitNextPiece() { timer.reschedule(after: worker.server.streamIdleTimeout) }

    private func timerFired() {
        guard let call else { return }
        if !isCommitted, let left = timeAfterPatience.take() {
            timer.reschedule(after: left)
            call.hasLapsed(self)
        } else if !isCommitted {
            fail(Failure(.timeout, message: "no answer in time"))
        } else if !call.callerHasStoppedReading() {
            fail(Failure(.timeout, message: "the stream fell silent"))
        }
    }

    private func hedgeTimerFired() { call?.isSlow(self) }
}

extension JunctionV1.StreamResponse.View {
    /// Says in this piece what the first of an answer says of the whole.
    fileprivate func carry(identityOf first: JunctionV1.StreamResponse, in arena: Arena) {
        id = arena.text(first.id)
        model = arena.text(first.model)
        createdUnixSeconds = first.createdUnixSeconds
    }
}
