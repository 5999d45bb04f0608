// Many instances of the real routing core around one usage store, in virtual time: what they admit together,
// how much of the limits they use, and how often they ask. One seed, one course of events.
import JunctionRouting

/// What is simulated.
public struct SharedScenario: Sendable {
    public var instances = 8
    public var mode = SharingMode.leased
    /// Calls come for so many times what the limits of the first model group take.
    public var load = 5.0
    public var seconds = 600.0
    /// From an instance to the store and back.
    public var roundTrip = 0.001
    /// Seconds that an answer takes.
    public var answer = Quantity.logNormal(median: 1, p99: 4)
    public var promptTokens = 200
    /// The bound that calls set, and what they use of it.
    public var maxTokens = 300
    public var completionTokens = Quantity.logNormal(median: 120, p99: 290)
    /// When the store does not answer, in seconds from the start.
    public var outages: [ClosedRange<Double>] = []
    /// When the store loses all.
    public var losses: [Double] = []

    public init() {}
}

/// What came of it.
public struct SharedResult: Sendable {
    public struct Deployment: Sendable {
        public var id: String
        public var tokensLimit: Int?
        public var requestsLimit: Int?
        /// The most in any 60 seconds.
        public var mostTokens = 0
        public var mostRequests = 0
        /// In 60 seconds, on average over all such from the start on, as a share of the limit.
        public var tokensUsed: Double?
        public var requestsUsed: Double?
        /// The most in flight at a time.
        public var mostInFlight = 0
    }

    public var deployments: [Deployment] = []
    public var calls = 0
    public var admitted = 0
    /// Calls that failed otherwise than for a limit.
    public var failed = 0
    /// Calls that waited for the store, at least once.
    public var waited = 0
    public var reservations = 0
    public var reports = 0
    public var seconds = 0.0
}

public final class SharedSimulation {
    private enum Event {
        case arrives
        case exchanges(Int)
        case reserves(Int, SharedAsk)
        case told(Int, SharedAsk, StoreAnswer<SharedReply>)
        case reports(Int, Int, SharedReport, StoreMember, Instant)
        case heard(Int, Int, SharedReport, Instant, StoreAnswer<SharedNews>)
        case answers(Int, Int)
        case wakes(Int)
        case loses
    }

    private final class Call {
        var route: Route
        let instance: Int
        let completion: Int
        var hasWaited = false

        init(_ route: consuming Route, instance: Int, completion: Int) {
            self.route = route
            self.instance = instance
            self.completion = completion
        }
    }

    private struct Admission {
        var at: Double
        var tokens: Int
    }

    private let scenario: SharedScenario
    private let configuration: RouterConfiguration
    private let store: InProcessUsageStore
    private let clock = Clock()
    private var routers: [Router]
    private var world: RandomSource
    private var decisions: RandomSource
    private var calls: [Int: Call] = [:]
    private var admissions: [[Admission]]
    private var inFlight: [Int]
    private var result = SharedResult()
    private var rate = 1.0
    private var heap: [(at: Double, number: Int, event: Event)] = []
    private var events = 0

    private final class Clock { var now = 0.0 }

    /// - Parameter configuration: its first model group is called.
    public init(_ configuration: RouterConfiguration, _ scenario: SharedScenario, seed: UInt64) {
        self.scenario = scenario
        self.configuration = configuration
        world = RandomSource(seed: seed)
        decisions = RandomSource(seed: ~seed)
        // The store's seconds are not those of the instances.
        store = InProcessUsageStore { [clock] in .seconds(1_000.4) + .seconds(clock.now) }
        routers = (0..<scenario.instances).map { number in
            var its = configuration
            its.sharing = Sharing(mode: scenario.mode, name: "instance-\(number)")
            return Router(its)
        }
        admissions = configuration.deployments.map { _ in [] }
        inFlight = configuration.deployments.map { _ in 0 }
        let name = configuration.deployments[0].modelGroup
        let group = configuration.deployments.filter { $0.modelGroup == name }
        let perCall = Double(scenario.promptTokens) + 130
        let capacity = group.map { deployment in
            min(
                Double(deployment.limits.tokensPerMinute ?? .max) / perCall,
                Double(deployment.limits.requestsPerMinute ?? .max)) / 60
        }
        rate = scenario.load * capacity.reduce(0, +)
        result.deployments = group.map {
            .init(
                id: $0.id, tokensLimit: $0.limits.tokensPerMinute, requestsLimit: $0.limits.requestsPerMinute)
        }
    }

    public func run() -> SharedResult {
        plan(0.5, .arrives)
        for instance in routers.indices {
            plan(Double(instance) * 0.05 / Double(routers.count), .exchanges(instance))
        }
        for loss in scenario.losses { plan(loss, .loses) }
        while let (at, event) = pop() {
            clock.now = at
            handle(event)
        }
        result.seconds = scenario.seconds
        for (index, admitted) in admissions.enumerated() where index < result.deployments.count {
            judge(admitted, &result.deployments[index])
        }
        return result
    }

    private var now: Instant { Instant(.seconds(clock.now)) }

    private var isOut: Bool { scenario.outages.contains { $0.contains(clock.now) } }

    private func handle(_ event: Event) {
        switch event {
        case .arrives: arrive()
        case .exchanges(let instance):
            if clock.now < scenario.seconds { plan(0.05, .exchanges(instance)) }
            for group in 0..<routers[instance].modelGroupCount {
                guard let (report, member) = routers[instance].report(ofModelGroup: group, now: now) else {
                    continue
                }
                plan(scenario.roundTrip / 2, .reports(instance, group, report, member, now))
            }
        case .reports(let instance, let group, let report, let member, let sentAt):
            result.reports += 1
            if isOut { return plan(0.05, .heard(instance, group, report, sentAt, .unavailable("out"))) }
            store.exchange(report, of: member) { [self] answer in
                plan(scenario.roundTrip / 2, .heard(instance, group, report, sentAt, answer))
            }
        case .heard(let instance, let group, let report, let sentAt, let answer):
            if let news = answer.content {
                _ = routers[instance].learn(
                    news, to: report, ofModelGroup: group, sentAt: sentAt, now: now)
            } else {
                _ = routers[instance].part(fromStoreOfModelGroup: group, now: now)
            }
        case .reserves(let number, let ask):
            result.reservations += 1
            if isOut { return plan(0.05, .told(number, ask, .unavailable("out"))) }
            store.reserve(ask.request, of: ask.member) { [self] answer in
                plan(scenario.roundTrip / 2, .told(number, ask, answer))
            }
        case .told(let number, let ask, let answer):
            let call = calls[number]!
            perform(call.route.reserved(ask, answer, now: now, random: &decisions), call, number)
        case .answers(let number, let attempt):
            let call = calls[number]!
            let deployment = call.route.report.attempts[attempt].deployment!
            inFlight[deployment] -= 1
            call.route.finished(
                attempt: attempt,
                usage: TokenUsage(prompt: scenario.promptTokens, completion: call.completion), now: now)
            calls[number] = nil
        case .wakes(let number):
            guard let call = calls[number] else { return }
            perform(call.route.timerFired(now: now, random: &decisions), call, number)
        case .loses: store.clear()
        }
    }

    private func arrive() {
        if clock.now < scenario.seconds { plan(Quantity.exponential(&world) / rate, .arrives) }
        let instance = Int(world.fraction() * Double(routers.count))
        let completion = max(1, min(scenario.maxTokens, Int(scenario.completionTokens.sample(&world))))
        var traits = CallTraits(
            modelGroup: 0, estimatedTokens: scenario.promptTokens + scenario.maxTokens, isStreaming: false)
        traits.deadline = now + .seconds(30)
        let call = Call(
            Route(router: routers[instance], call: traits, now: now), instance: instance,
            completion: completion)
        result.calls += 1
        calls[result.calls] = call
        perform(call.route.start(now: now, random: &decisions), call, result.calls)
    }

    private func perform(_ action: Action, _ call: Call, _ number: Int) {
        switch action {
        case .attempt(let attempt):
            let deployment = attempt.deployment!
            result.admitted += 1
            admissions[deployment].append(
                Admission(at: clock.now, tokens: scenario.promptTokens + call.completion))
            inFlight[deployment] += 1
            result.deployments[deployment].mostInFlight = max(
                result.deployments[deployment].mostInFlight, inFlight[deployment])
            plan(scenario.answer.sample(&world), .answers(number, attempt.number))
        case .reserve(let ask):
            if !call.hasWaited { result.waited += 1 }
            call.hasWaited = true
            plan(scenario.roundTrip / 2, .reserves(number, ask))
        case .wait(let until): plan((until - now) / .seconds(1), .wakes(number))
        case .reply(let failure):
            if failure.outcome != .limited { result.failed += 1 }
            calls[number] = nil
        case .abandon, .none: break
        }
    }

    // MARK: Judging

    private func judge(_ admitted: [Admission], _ its: inout SharedResult.Deployment) {
        var first = 0
        var tokens = 0
        for (last, admission) in admitted.enumerated() {
            tokens += admission.tokens
            while admitted[first].at <= admission.at - 60 {
                tokens -= admitted[first].tokens
                first += 1
            }
            its.mostTokens = max(its.mostTokens, tokens)
            its.mostRequests = max(its.mostRequests, last - first + 1)
        }
        // Each admission lies in 60 seconds' worth of windows, but for those cut off at the ends.
        func mean(_ weight: (Admission) -> Double) -> Double {
            let sum = admitted.reduce(0) { sum, admission in
                let time = min(scenario.seconds, admission.at + 60) - max(60, admission.at)
                return sum + weight(admission) * max(0, time)
            }
            return sum / (scenario.seconds - 60)
        }
        its.tokensUsed = its.tokensLimit.map { mean { Double($0.tokens) } / Double($0) }
        its.requestsUsed = its.requestsLimit.map { mean { _ in 1 } / Double($0) }
    }

    // MARK: Time

    private func plan(_ after: Double, _ event: Event) {
        events += 1
        heap.append((clock.now + after, events, event))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private func precedes(_ one: Int, _ other: Int) -> Bool {
        (heap[one].at, heap[one].number) < (heap[other].at, heap[other].number)
    }

    private func pop() -> (Double, Event)? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= heap.count { break }
            if child + 1 < heap.count, precedes(child + 1, child) { child += 1 }
            guard precedes(child, parent) else { break }
            heap.swapAt(parent, child)
            parent = child
        }
        return (first.at, first.event)
    }
}

extension SharedResult {
    /// Whether more was admitted in any 60 seconds than a limit.
    public var isOverAnyLimit: Bool {
        deployments.contains {
            $0.mostTokens > $0.tokensLimit ?? .max || $0.mostRequests > $0.requestsLimit ?? .max
        }
    }

    public func text() -> String {
        var lines = [
            "\(calls) calls in \(seconds) s: \(admitted) admitted, "
                + "\(failed) failed otherwise than for a limit",
            "\(waited) waited for the store (\(percent(Double(waited) / Double(max(1, calls)))))",
            "store: \(perSecond(reservations)) reservations/s, \(perSecond(reports)) reports/s",
        ]
        for its in deployments {
            if let limit = its.tokensLimit {
                lines.append(
                    "\(its.id): tokens \(its.mostTokens) of \(limit) at most in any 60 s, "
                        + "\(percent(its.tokensUsed ?? 0)) used")
            }
            if let limit = its.requestsLimit {
                lines.append(
                    "\(its.id): requests \(its.mostRequests) of \(limit) at most in any 60 s, "
                        + "\(percent(its.requestsUsed ?? 0)) used")
            }
            lines.append("\(its.id): \(its.mostInFlight) in flight at most")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func percent(_ share: Double) -> String { "\((share * 1_000).rounded() / 10) %" }
    private func perSecond(_ count: Int) -> Double { (Double(count) / seconds * 10).rounded() / 10 }
}
