// A world in virtual time around the real routing core: callers that come, wait and leave, providers that
// answer and fail. One seed, one course of events, to the bit. What becomes of a call the core alone decides.
import JunctionRouting

/// Who calls.
public enum Calls: Sendable {
    /// Callers as the scenario describes them, for so many seconds.
    case callers([CallerBehaviour], seconds: Double)
    /// What was recorded, in order of time. Calls set no deadline, and reserve what they will use.
    case trace([TracedCall])

    var seconds: Double {
        switch self {
        case .callers(_, let seconds): seconds
        case .trace(let calls): calls.last?.at ?? 0
        }
    }
}

/// One call on its way. Reused for later calls.
private final class Call {
    var route: Route
    var prompt = 0
    var completion = 0
    var isStreaming = false
    var arrivedAt = 0
    /// When its caller leaves, and when its deadline passes; `Int.max`: never.
    var leavesAt = Int.max
    var deadlineAt = Int.max
    var attempts = 0
    // The attempt under way.
    var deployment = -1
    var answer = Answer()
    var hasContent = false

    init(route: consuming Route) { self.route = route }
}

public final class Simulation {
    public let router: Router
    private let configuration: RouterConfiguration
    private let calls: Calls
    /// For each of `calls`' callers: its number for the core.
    private let groups: [Int]
    private var providers: [SimulatedProvider]
    private var measured: Measurements
    /// Chance in the world and chance in the core do not disturb each other.
    private var world: RandomSource
    private var decisions: RandomSource
    private var heap = EventHeap()
    private var pool: [Call] = []
    private var free: [Int] = []
    private var traced = 0
    private var now = 0

    /// - Throws: `UnknownModel` when a call asks for what the configuration does not have.
    public init(
        _ configuration: RouterConfiguration, scenario: Scenario, calls: Calls, seed: UInt64
    ) throws {
        self.configuration = configuration
        self.calls = calls
        let router = Router(configuration)
        self.router = router
        providers = configuration.deployments.map {
            SimulatedProvider(scenario.providers[$0.id] ?? scenario.provider, $0)
        }
        measured = Measurements(deployments: configuration.deployments.count, seconds: calls.seconds)
        world = RandomSource(seed: seed)
        decisions = RandomSource(seed: ~seed)
        let first = configuration.deployments.first?.modelGroup ?? ""
        let names: [String] =
            switch calls {
            case .callers(let callers, _): callers.map { $0.model ?? first }
            case .trace(let trace): trace.map(\.model)
            }
        var known: [String: Int] = [:]
        groups = try names.map { name in
            if let number = known[name] { return number }
            guard let number = router.modelGroup(named: name) else { throw UnknownModel(name: name) }
            known[name] = number
            return number
        }
    }

    /// What calls ask for and the configuration does not have.
    public struct UnknownModel: Error, Equatable {
        public var name: String
    }

    /// Runs to the end of the last call.
    public func run() -> SimulationResult {
        switch calls {
        case .callers(let callers, _):
            for (index, caller) in callers.enumerated() {
                planArrival(index, after: nanoseconds(caller.from))
            }
        case .trace(let trace):
            if let first = trace.first { heap.push(at: nanoseconds(first.at), .arrives, 0) }
        }
        while let event = heap.pop() {
            now = event.at
            if event.kind == .arrives {
                arrive(Int(event.subject))
            } else {
                handle(event.kind, Int(event.subject))
            }
        }
        return measured.result(
            configuration, providers: providers, usage: router.usage(now: instant), endedAt: now)
    }

    private var instant: Instant { Instant(.nanoseconds(now)) }

    // MARK: Callers

    private func planArrival(_ index: Int, after: Int) {
        guard case .callers(let callers, let seconds) = calls else { return }
        let caller = callers[index]
        let distance = caller.isPoisson ? Quantity.exponential(&world) / caller.rate : 1 / caller.rate
        let at = after + nanoseconds(distance)
        if at < nanoseconds(min(caller.until ?? seconds, seconds)) { heap.push(at: at, .arrives, index) }
    }

    private func arrive(_ subject: Int) {
        switch calls {
        case .callers(let callers, _):
            planArrival(subject, after: now)
            let caller = callers[subject]
            let prompt = max(1, Int(caller.promptTokens.sample(&world)))
            let most = caller.maxTokens ?? .max
            let completion = max(1, min(most, Int(caller.completionTokens.sample(&world))))
            let deadline = caller.deadline.map { now + nanoseconds($0) }
            let isStreaming = world.fraction() < caller.streaming
            let leaves = caller.givesUp > 0 && world.fraction() < caller.givesUp
            let leavesAt = leaves ? now + nanoseconds(caller.givesUpAfter.sample(&world)) : .max
            let traits = CallTraits(
                modelGroup: groups[subject], estimatedTokens: prompt + (caller.maxTokens ?? 0),
                isStreaming: isStreaming, tags: caller.tags,
                deadline: deadline.map { Instant(.nanoseconds($0)) })
            begin(traits, prompt, completion, leavesAt: leavesAt, deadlineAt: deadline ?? .max)
        case .trace(let trace):
            let call = trace[traced]
            let group = groups[traced]
            traced += 1
            if traced < trace.count { heap.push(at: nanoseconds(trace[traced].at), .arrives, 0) }
            let traits = CallTraits(
                modelGroup: group, estimatedTokens: call.promptTokens + call.completionTokens,
                isStreaming: call.isStreaming)
            begin(traits, call.promptTokens, call.completionTokens, leavesAt: .max, deadlineAt: .max)
        }
    }

    private func begin(
        _ traits: CallTraits, _ prompt: Int, _ completion: Int, leavesAt: Int, deadlineAt: Int
    ) {
        measured.arrived(at: now)
        let index: Int
        if let last = free.popLast() {
            index = last
            pool[index].route = Route(router: router, call: traits, now: instant)
        } else {
            index = pool.count
            pool.append(Call(route: Route(router: router, call: traits, now: instant)))
        }
        let call = pool[index]
        (call.prompt, call.completion, call.isStreaming) = (prompt, completion, traits.isStreaming)
        (call.arrivedAt, call.leavesAt, call.deadlineAt) = (now, leavesAt, deadlineAt)
        call.attempts = 0
        perform(call.route.start(now: instant, random: &decisions), call, index)
    }

    // MARK: What happens to a call

    private func handle(_ kind: Event.Kind, _ index: Int) {
        let call = pool[index]
        switch kind {
        case .arrives: break
        case .firstContent:
            call.hasContent = true
            call.route.committed(now: instant)
            measured.firstContent(after: now - call.arrivedAt, at: call.deployment)
            planEnd(call, index)
        case .answers:
            close(call, used: call.prompt + call.completion)
            call.route.finished(
                usage: TokenUsage(prompt: call.prompt, completion: call.completion), now: instant)
            measured.answered(
                by: call.deployment, arrivedAt: call.arrivedAt, now: now,
                fallbackUsed: call.route.report.fallbackUsed)
            end(index)
        case .fails: fail(call.answer.failure!, call, index)
        case .timesOut: fail(Failure(.timeout, message: "no answer in time"), call, index)
        case .wakes: perform(call.route.timerFired(now: instant, random: &decisions), call, index)
        case .leaves, .deadlinePasses:
            let usage = usageSoFar(call)
            close(call, used: usage?.total ?? 0)
            call.route.cancelled(usage: usage, now: instant)
            if kind == .leaves {
                measured.left()
            } else {
                measured.failed(.deadlineExceeded, arrivedAt: call.arrivedAt)
            }
            end(index)
        }
    }

    private func fail(_ failure: Failure, _ call: Call, _ index: Int) {
        let usage = usageSoFar(call)
        close(call, used: usage?.total ?? 0)
        measured.attemptFailed(at: call.deployment)
        let action = call.route.failed(failure, usage: usage, now: instant, random: &decisions)
        perform(action, call, index)
    }

    /// What the attempt under way used: nothing before its first content.
    private func usageSoFar(_ call: Call) -> TokenUsage? {
        guard call.deployment >= 0, call.hasContent, let first = call.answer.firstAt else { return nil }
        let whole = max(1, (call.answer.endsAt ?? now) - first)
        let part = min(1, Double(now - first) / Double(whole))
        let written = Double(call.completion) * call.answer.writtenShare * part
        return TokenUsage(prompt: call.prompt, completion: Int(written))
    }

    /// Tells the provider that the attempt is over.
    private func close(_ call: Call, used: Int) {
        guard call.deployment >= 0 else { return }
        providers[call.deployment].ended(call.answer, wanted: call.prompt + call.completion, used: used)
        let prompt = min(used, call.prompt)
        measured.used(prompt: prompt, completion: used - prompt, at: call.deployment)
    }

    private func perform(_ action: Action, _ call: Call, _ index: Int) {
        call.hasContent = false
        call.deployment = -1
        switch action {
        case .attempt(let attempt): ask(attempt, call, index)
        case .wait(let until): plan(nanoseconds(until.sinceStart), .wakes, call, index)
        case .reply(let failure):
            measured.failed(failure.outcome, arrivedAt: call.arrivedAt)
            end(index)
        case .none: preconditionFailure("a call with nothing to do")
        }
    }

    private func ask(_ attempt: Attempt, _ call: Call, _ index: Int) {
        call.deployment = attempt.deployment!
        call.attempts += 1
        measured.attempted(at: call.deployment, isRetry: call.attempts > 1)
        call.answer = providers[call.deployment].ask(
            prompt: call.prompt, completion: call.completion, now: now, &world)
        let timesOutAt = now + nanoseconds(attempt.timeout)
        if call.isStreaming, let first = call.answer.firstAt {
            if first <= timesOutAt { return plan(first, .firstContent, call, index) }
        } else if let end = call.answer.endsAt, end <= timesOutAt {
            return planEnd(call, index)
        }
        plan(timesOutAt, .timesOut, call, index)
    }

    private func planEnd(_ call: Call, _ index: Int) {
        plan(call.answer.endsAt!, call.answer.failure == nil ? .answers : .fails, call, index)
    }

    /// Plans the one next event of a call, unless its caller leaves before.
    private func plan(_ at: Int, _ kind: Event.Kind, _ call: Call, _ index: Int) {
        let last = min(call.leavesAt, call.deadlineAt)
        if at <= last { return heap.push(at: at, kind, index) }
        heap.push(at: last, call.leavesAt <= call.deadlineAt ? .leaves : .deadlinePasses, index)
    }

    private func end(_ index: Int) {
        pool[index].deployment = -1
        free.append(index)
    }
}

private func nanoseconds(_ duration: Duration) -> Int {
    let (seconds, attoseconds) = duration.components
    return Int(min(seconds, 1_000_000_000)) * second + Int(attoseconds / 1_000_000_000)
}
