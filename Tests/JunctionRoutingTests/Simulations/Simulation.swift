// A world in virtual time around the real core: providers that answer, fail, hang and break off, callers
// that come and leave. One seed, one course of events.
@testable import JunctionRouting

/// What a simulated provider does with one request.
enum Behaviour {
    case answers
    case fails(Failure.Kind, retryAfter: Duration? = nil)
    /// Never answers.
    case hangs
    /// Breaks off after the first content; for whole answers, before it is complete.
    case cuts
}

/// One deployment's far end. Counts for itself, so that the router's counters can be compared.
struct Provider {
    var latency: ClosedRange<Double> = 0.3...1.5
    var behaviour: (Instant, inout RandomSource) -> Behaviour = { _, _ in .answers }
    var requests = 0
    var tokens = 0
    /// Requests by the minute they came in.
    var requestsInMinute: [Int: Int] = [:]
}

/// One simulated call.
final class SimulatedCall {
    let traits: CallTraits
    let actualTokens: Int
    let arrivesAt: Instant
    var route: Route
    /// Counts actions, so that events of an earlier one are known to be stale.
    var step = 0
    var current: Attempt?
    var hasContent = false
    var end: End?

    enum End {
        case answered
        case failed(RouteFailure)
        case left
    }

    init(router: Router, traits: CallTraits, actualTokens: Int, arrivesAt: Instant) {
        self.traits = traits
        self.actualTokens = actualTokens
        self.arrivesAt = arrivesAt
        route = Route(router: router, call: traits, now: arrivesAt)
    }
}

final class Simulation {
    enum Event {
        case arrives, answers, firstContent
        case ends(Failure, usesTokens: Bool)
        case timesOut, wakes, leaves
    }

    let router: Router
    var providers: [Provider]
    var calls: [SimulatedCall] = []
    /// Called at every failed reply: what was wrong with that, if anything.
    var judge: (SimulatedCall, RouteFailure, Instant) -> Void = { _, _, _ in }
    /// Called after every attempt was started.
    var watch: (Instant) -> Void = { _ in }
    private(set) var now = Instant.zero
    private var world: RandomSource
    private var decisions: RandomSource
    private var queue = EventQueue()

    init(_ router: Router, providers: [Provider], seed: UInt64) {
        self.router = router
        self.providers = providers
        world = RandomSource(seed: seed)
        decisions = RandomSource(seed: seed &+ 1)
    }

    /// Adds a call; `leavesAfter`: the caller gives up after so many seconds.
    func add(_ traits: CallTraits, at instant: Instant, actualTokens: Int, leavesAfter: Double? = nil) {
        let index = calls.count
        calls.append(
            SimulatedCall(router: router, traits: traits, actualTokens: actualTokens, arrivesAt: instant))
        queue.push(instant, index, step: 0, .arrives)
        if let leavesAfter { queue.push(instant + .seconds(leavesAfter), index, step: -1, .leaves) }
    }

    func run() {
        while let next = queue.pop() {
            now = next.at
            let call = calls[next.call]
            guard call.end == nil, next.step == call.step || next.step == -1 else { continue }
            handle(next.event, call, next.call)
        }
    }

    private func handle(_ event: Event, _ call: SimulatedCall, _ index: Int) {
        switch event {
        case .arrives: perform(call.route.start(now: now, random: &decisions), call, index)
        case .wakes: perform(call.route.timerFired(now: now, random: &decisions), call, index)
        case .firstContent:
            call.hasContent = true
            call.route.committed(now: now)
        case .answers:
            bill(call)
            call.route.finished(usage: usage(call), now: now)
            call.end = .answered
        case .timesOut where call.hasContent: break
        case .timesOut:
            perform(call.route.failed(failure(.timeout), now: now, random: &decisions), call, index)
        case .ends(let failure, let usesTokens):
            if usesTokens { bill(call) }
            let action = call.route.failed(
                failure, usage: usesTokens ? usage(call) : nil, now: now, random: &decisions)
            perform(action, call, index)
        case .leaves:
            let used = call.current != nil && call.hasContent
            if used { bill(call) }
            call.route.cancelled(usage: used ? usage(call) : nil, now: now)
            call.end = .left
        }
    }

    private func usage(_ call: SimulatedCall) -> TokenUsage {
        TokenUsage(prompt: call.actualTokens, completion: 0)
    }

    private func bill(_ call: SimulatedCall) {
        if let deployment = call.current?.deployment { providers[deployment].tokens += call.actualTokens }
    }

    private func perform(_ action: Action, _ call: SimulatedCall, _ index: Int) {
        call.step += 1
        call.current = nil
        call.hasContent = false
        switch action {
        case .attempt(let attempt):
            call.current = attempt
            ask(attempt, call, index)
            watch(now)
        case .wait(let until): queue.push(until, index, step: call.step, .wakes)
        case .reply(let failure):
            call.end = .failed(failure)
            judge(call, failure, now)
        case .none: preconditionFailure("nothing to do")
        }
    }

    private func ask(_ attempt: Attempt, _ call: SimulatedCall, _ index: Int) {
        let deployment = attempt.deployment!
        let range = providers[deployment].latency
        let whole = range.lowerBound + (range.upperBound - range.lowerBound) * world.fraction()
        providers[deployment].requests += 1
        providers[deployment].requestsInMinute[Int(now.sinceStart.components.seconds / 60), default: 0] += 1
        func push(_ seconds: Double, _ event: Event) {
            queue.push(now + .seconds(seconds), index, step: call.step, event)
        }
        queue.push(now + attempt.timeout, index, step: call.step, .timesOut)
        switch providers[deployment].behaviour(now, &world) {
        case .answers:
            if call.traits.isStreaming { push(whole / 4, .firstContent) }
            push(whole, .answers)
        case .fails(let kind, let retryAfter):
            push(
                kind == .connection ? 0.001 : 0.05,
                .ends(failure(kind, retryAfter: retryAfter), usesTokens: false))
        case .hangs: break
        case .cuts:
            if call.traits.isStreaming { push(whole / 4, .firstContent) }
            push(whole / 2, .ends(failure(.streamCut), usesTokens: call.traits.isStreaming))
        }
    }
}

/// Events by time, then by the order in which they were added.
struct EventQueue {
    struct Entry {
        var at: Instant
        var number: Int
        var call: Int
        var step: Int
        var event: Simulation.Event
    }

    private var heap: [Entry] = []
    private var count = 0

    mutating func push(_ at: Instant, _ call: Int, step: Int, _ event: Simulation.Event) {
        heap.append(Entry(at: at, number: count, call: call, step: step, event: event))
        count += 1
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> Entry? {
        guard !heap.isEmpty else { return nil }
        heap.swapAt(0, heap.count - 1)
        let first = heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].at, heap[left].number) < (heap[right].at, heap[right].number)
    }
}
