// A world in virtual time around the real routing core: callers that come, wait and leave, providers that
// answer and fail. One seed, one course of events, to the bit. What becomes of a call the core alone decides.
import JunctionRouting
import Synchronization

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
    /// Tokens that it reserves.
    var estimated = 0
    /// Deployments, a bit each, whose providers could have answered when it arrived. Only where that is asked.
    var chances: UInt64 = 0
    /// Attempts and waits so far, over all calls that this one stood for.
    var turns: Int32 = 0
    /// The attempts under way, and the wait.
    var flights: [Flight] = []
    var waitTurn: Int32 = -1

    init(route: consuming Route) { self.route = route }

    /// Changes the attempt that began in that turn; nil: it is under way no more.
    func with<Result>(_ turn: Int32, _ change: (inout Flight) -> Result) -> Result? {
        flights.firstIndex { $0.turn == turn }.map { change(&flights[$0]) }
    }

    /// Ends the attempt with that number, and gives it back.
    func take(_ number: Int) -> Flight? {
        flights.firstIndex { $0.number == number }.map { flights.remove(at: $0) }
    }
}

/// Calls that the router has woken, in the order in which it did. It may do so from any thread.
private final class WokenCalls: Sendable {
    private let calls = Mutex<[Int]>([])

    func add(_ index: Int) { calls.withLock { $0.append(index) } }

    func takeAll() -> [Int] {
        calls.withLock { calls in
            defer { calls.removeAll(keepingCapacity: true) }
            return calls
        }
    }
}

/// An attempt under way.
private struct Flight {
    var turn: Int32
    var number: Int
    var deployment: Int
    var answer: Answer
    var hasContent = false
}

/// Failures that should not have been.
struct Watch {
    var avoidable = 0
    var example: String?
    /// How many of them there are of each kind, as `Simulation.kind` says it.
    var kinds: [String: Int] = [:]
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
    /// Calls whose turn in a queue may have come, to be told at this same time.
    private let woken = WokenCalls()
    private var now = 0
    /// Where set, every failed call is looked into: see `Promises.swift`.
    var watch: Watch?

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
                handle(event)
            }
            for index in woken.takeAll() {
                heap.push(at: now, .isWoken, index, turn: pool[index].waitTurn)
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
        if router.queues(traits) {
            call.route.wake = { [woken] in woken.add(index) }
        }
        if watch != nil {
            call.estimated = traits.size.tokens
            call.chances = chances(call)
        }
        perform(call.route.start(now: instant, random: &decisions), call, index)
    }

    // MARK: What happens to a call

    private func handle(_ event: Event) {
        let index = Int(event.subject)
        let call = pool[index]
        if event.turn == call.waitTurn {
            if event.kind == .isWoken {
                let action = call.route.woken(now: instant, random: &decisions)
                if case .none = action { return }
                call.waitTurn = -1
                return perform(action, call, index)
            }
            call.waitTurn = -1
            if event.kind != .wakes { return leave(event.kind, call, index) }
            return perform(call.route.timerFired(now: instant, random: &decisions), call, index)
        }
        // What no longer concerns anybody: an attempt that was ended before.
        guard let flight = call.with(event.turn, { $0 }) else { return }
        switch event.kind {
        case .arrives, .wakes, .isWoken: break
        case .firstContent:
            _ = call.with(event.turn) { $0.hasContent = true }
            measured.firstContent(after: now - call.arrivedAt, at: flight.deployment)
            planEnd(flight, call, index)
            perform(call.route.committed(attempt: flight.number, now: instant), call, index)
        case .answers: finish(flight, call, index)
        case .fails: fail(flight.answer.failure!, flight, call, index)
        case .lapses:
            let action = call.route.lapsed(attempt: flight.number, now: instant, random: &decisions)
            perform(action, call, index)
        case .timesOut: fail(Failure(.timeout, message: "no answer in time"), flight, call, index)
        case .isSlow:
            let action = call.route.hedgeTimerFired(attempt: flight.number, now: instant, random: &decisions)
            perform(action, call, index)
        case .leaves, .deadlinePasses: leave(event.kind, call, index)
        }
    }

    private func finish(_ flight: Flight, _ call: Call, _ index: Int) {
        let usage = TokenUsage(prompt: call.prompt, completion: call.completion)
        close(flight, call, used: usage)
        perform(call.route.finished(attempt: flight.number, usage: usage, now: instant), call, index)
        let report = call.route.report
        measured.answered(
            by: flight.deployment, arrivedAt: call.arrivedAt, now: now, fallbackUsed: report.fallbackUsed)
        end(index)
    }

    private func fail(_ failure: Failure, _ flight: Flight, _ call: Call, _ index: Int) {
        let usage = usageSoFar(flight, call)
        close(flight, call, used: usage)
        measured.attemptFailed(at: flight.deployment)
        let action = call.route.failed(
            failure, attempt: flight.number, usage: usage, now: instant, random: &decisions)
        perform(action, call, index)
    }

    private func leave(_ kind: Event.Kind, _ call: Call, _ index: Int) {
        let hasBegun = call.flights.contains { $0.hasContent }
        call.route.cancelled(now: instant) { number in
            guard let flight = call.take(number) else { return nil }
            let usage = usageSoFar(flight, call)
            close(flight, call, used: usage)
            return usage
        }
        if kind == .leaves {
            measured.left()
        } else {
            if watch != nil, !hasBegun { judge(call, "the deadline passed") }
            measured.failed(.deadlineExceeded, arrivedAt: call.arrivedAt)
        }
        end(index)
    }

    /// What the attempt used: nothing before its first content.
    private func usageSoFar(_ flight: Flight, _ call: Call) -> TokenUsage? {
        guard flight.hasContent, let first = flight.answer.firstAt else { return nil }
        let whole = max(1, (flight.answer.endsAt ?? now) - first)
        let part = min(1, Double(now - first) / Double(whole))
        let written = Double(call.completion) * flight.answer.writtenShare * part
        return TokenUsage(prompt: call.prompt, completion: Int(written))
    }

    /// Tells the provider that the attempt is over.
    private func close(_ flight: Flight, _ call: Call, used: TokenUsage?) {
        _ = call.take(flight.number)
        let used = used ?? TokenUsage()
        providers[flight.deployment].ended(
            flight.answer, wanted: call.prompt + call.completion, used: used.total)
        measured.used(prompt: used.prompt, completion: used.completion, at: flight.deployment)
    }

    private func perform(_ action: Action, _ call: Call, _ index: Int) {
        switch action {
        case .attempt(let attempt): ask(attempt, call, index)
        case .abandon(let number): abandon(number, call, index)
        case .wait(let until):
            call.turns += 1
            call.waitTurn = call.turns
            plan(nanoseconds(until.sinceStart), .wakes, call, index, call.turns)
        case .reply(let failure):
            if watch != nil, failure.outcome != .streamInterrupted { judge(call, failure.message) }
            measured.failed(failure.outcome, arrivedAt: call.arrivedAt)
            end(index)
        case .reserve: preconditionFailure("no simulated router shares its limits")
        case .none: break
        }
    }

    /// The loser of two attempts is ended. Its prompt is billed.
    private func abandon(_ number: Int, _ call: Call, _ index: Int) {
        guard let flight = call.take(number) else { return }
        let usage = usageSoFar(flight, call) ?? TokenUsage(prompt: call.prompt)
        let isLetIn = flight.answer.minute != nil
        close(flight, call, used: isLetIn ? usage : nil)
        let action = call.route.outrun(
            attempt: number, usage: isLetIn ? usage : TokenUsage(), now: instant)
        perform(action, call, index)
    }

    private func ask(_ attempt: Attempt, _ call: Call, _ index: Int) {
        let deployment = attempt.deployment!
        measured.attempted(
            at: deployment, isRetry: attempt.number > 0 && attempt.kind == .plain,
            isHedge: attempt.kind == .hedge)
        call.turns += 1
        let flight = Flight(
            turn: call.turns, number: attempt.number, deployment: deployment,
            answer: providers[deployment].ask(
                prompt: call.prompt, completion: call.completion, now: now, &world))
        call.flights.append(flight)
        if let after = attempt.hedgeAfter {
            plan(now + nanoseconds(after), .isSlow, call, index, flight.turn)
        }
        let timesOutAt = now + nanoseconds(attempt.timeout)
        if attempt.patience < attempt.timeout {
            plan(now + nanoseconds(attempt.patience), .lapses, call, index, flight.turn)
        }
        if call.isStreaming, let first = flight.answer.firstAt {
            if first <= timesOutAt { return plan(first, .firstContent, call, index, flight.turn) }
        } else if let end = flight.answer.endsAt, end <= timesOutAt {
            return planEnd(flight, call, index)
        }
        plan(timesOutAt, .timesOut, call, index, flight.turn)
    }

    private func planEnd(_ flight: Flight, _ call: Call, _ index: Int) {
        let kind: Event.Kind = flight.answer.failure == nil ? .answers : .fails
        plan(flight.answer.endsAt!, kind, call, index, flight.turn)
    }

    /// Plans the next event of an attempt or a wait, unless the caller leaves before.
    private func plan(_ at: Int, _ kind: Event.Kind, _ call: Call, _ index: Int, _ turn: Int32) {
        let last = min(call.leavesAt, call.deadlineAt)
        if at <= last { return heap.push(at: at, kind, index, turn: turn) }
        let isLeft = call.leavesAt <= call.deadlineAt
        heap.push(at: last, isLeft ? .leaves : .deadlinePasses, index, turn: turn)
    }

    /// What was under way is of no use any more.
    private func end(_ index: Int) {
        let call = pool[index]
        while let flight = call.flights.last { close(flight, call, used: nil) }
        call.waitTurn = -1
        free.append(index)
    }

    // MARK: Whether a failure could have been avoided

    /// Deployments whose providers, asked now, would answer before the caller goes, for all that chance can do.
    private func chances(_ call: Call) -> UInt64 {
        var chances: UInt64 = 0
        let last = min(call.leavesAt, call.deadlineAt)
        for (index, provider) in providers.enumerated()
        where provider.isSure(
            toAnswer: call.prompt + call.completion, completion: call.completion, from: now, until: last)
        {
            chances |= 1 << UInt64(index)
        }
        return chances
    }

    /// What became of the call at a deployment that could have answered it, in short.
    private func kind(_ call: Call, _ one: DeploymentUsage) -> String {
        let report = call.route.report
        let left = Double(call.deadlineAt - call.arrivedAt)
        let asked = report.attempts.first { $0.deployment == one.deployment }.map { attempt in
            let at = Double(nanoseconds(attempt.startedAt.sinceStart) - call.arrivedAt) / left
            return "asked after \(Int(at * 10) * 10) % of its time"
        }
        let state = one.coolingCause.map { "cooling down: \($0)" } ?? "open"
        return "\(asked ?? "not asked"), \(state), attempts: \(report.attempts.count)"
    }

    /// A failure could have been avoided when a deployment had been able to answer all the time that the call
    /// was there, has room now, and its provider has not said to keep away.
    private func judge(_ call: Call, _ message: String) {
        if call.chances == 0 { return }
        let usage = router.usage(now: instant)
        for (index, deployment) in configuration.deployments.enumerated()
        where call.chances & 1 << UInt64(index) != 0 {
            let one = usage[index]
            let tokens = one.tokensUsed + one.tokensReserved + call.estimated
            if tokens > deployment.tokensPerMinute ?? .max
                || one.requests >= deployment.requestsPerMinute ?? .max
                || one.inFlight >= deployment.maxParallelRequests ?? .max || one.coolingCause == .rateLimited
                || !providers[index].hasRoom(for: call.prompt + call.completion, at: now)
            {
                continue
            }
            watch!.avoidable += 1
            watch!.kinds[kind(call, one), default: 0] += 1
            if watch!.example == nil {
                let attempts = call.route.report.attempts.map {
                    "\(configuration.deployments[$0.deployment!].id) \($0.failureDescription)"
                }
                let at = Double(call.arrivedAt) * 1e-9
                watch!.example =
                    "the call of \(at) s, by \(deployment.id): \(message); tried: \(attempts.joined(separator: ", "))"
            }
            return
        }
    }
}

private func nanoseconds(_ duration: Duration) -> Int {
    let (seconds, attoseconds) = duration.components
    return Int(min(seconds, 1_000_000_000)) * second + Int(attoseconds / 1_000_000_000)
}
