// A world in virtual time around the real core: providers that answer, fail, hang and break off, callers
// that come and leave. One seed, one course of events.
import Synchronization

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
    /// Counts waits, so that events of an earlier one are known to be stale.
    var waits = 0
    /// The attempts under way, by their numbers, and whether content of them has come.
    var underWay: [Int: (attempt: Attempt, hasContent: Bool, hasLapsed: Bool)] = [:]
    /// Without those whose share of the time has lapsed.
    var mostUnderWay = 0
    var isWaiting = false
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
        case arrives, leaves, isWoken
        case wakes(wait: Int)
        case answers(Int)
        case firstContent(Int)
        case isSlow(Int)
        case lapses(Int)
        case timesOut(Int)
        case ends(Int, Failure, usesTokens: Bool)
    }

    let router: Router
    var providers: [Provider]
    var calls: [SimulatedCall] = []
    /// Called at every failed reply: what was wrong with that, if anything.
    var judge: (SimulatedCall, RouteFailure, Instant) -> Void = { _, _, _ in }
    /// Called after every attempt was started.
    var watch: (Instant) -> Void = { _ in }
    /// Called at every attempt that is started.
    var started: (SimulatedCall, Attempt) -> Void = { _, _ in }
    private(set) var now = Instant.zero
    private var world: RandomSource
    private var decisions: RandomSource
    private var queue = EventQueue()
    /// Calls whose turn in a queue may have come.
    private let woken = WokenCalls()

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
        calls[index].route.wake = { [woken] in woken.add(index) }
        queue.push(instant, index, .arrives)
        if let leavesAfter { queue.push(instant + .seconds(leavesAfter), index, .leaves) }
    }

    func run() {
        while let next = queue.pop() {
            now = next.at
            let call = calls[next.call]
            if call.end == nil { handle(next.event, call, next.call) }
            for index in woken.takeAll() { queue.push(now, index, .isWoken) }
        }
    }

    private func handle(_ event: Event, _ call: SimulatedCall, _ index: Int) {
        switch event {
        case .arrives: perform(call.route.start(now: now, random: &decisions), call, index)
        case .wakes(call.waits): perform(call.route.timerFired(now: now, random: &decisions), call, index)
        case .wakes: break
        case .isWoken:
            let action = call.route.woken(now: now, random: &decisions)
            if !action.isNone { perform(action, call, index) }
        case .leaves:
            call.route.cancelled(now: now) { number in
                guard call.underWay[number]?.hasContent == true else { return nil }
                bill(call, number)
                return usage(call)
            }
            call.underWay = [:]
            call.isWaiting = false
            call.end = .left
        case .answers(let number), .firstContent(let number), .isSlow(let number), .lapses(let number),
            .timesOut(let number), .ends(let number, _, _):
            if call.underWay[number] != nil { handle(event, number, call, index) }
        }
    }

    /// What happens to an attempt that is under way.
    private func handle(_ event: Event, _ number: Int, _ call: SimulatedCall, _ index: Int) {
        switch event {
        case .arrives, .leaves, .wakes, .isWoken: break
        case .firstContent:
            call.underWay[number]?.hasContent = true
            perform(call.route.committed(attempt: number, now: now), call, index)
        case .answers:
            bill(call, number)
            call.underWay[number] = nil
            let action = call.route.finished(attempt: number, usage: usage(call), now: now)
            call.end = .answered
            perform(action, call, index)
        case .isSlow:
            let action = call.route.hedgeTimerFired(attempt: number, now: now, random: &decisions)
            perform(action, call, index)
        case .lapses:
            call.underWay[number]?.hasLapsed = true
            perform(call.route.lapsed(attempt: number, now: now, random: &decisions), call, index)
        case .timesOut where call.underWay[number]?.hasContent == true: break
        case .timesOut: fail(failure(.timeout), usage: nil, number, call, index)
        case .ends(_, let failure, let usesTokens):
            if usesTokens { bill(call, number) }
            fail(failure, usage: usesTokens ? usage(call) : nil, number, call, index)
        }
    }

    private func fail(
        _ failure: Failure, usage: TokenUsage?, _ number: Int, _ call: SimulatedCall, _ index: Int
    ) {
        call.underWay[number] = nil
        let action = call.route.failed(
            failure, attempt: number, usage: usage, canGoOn: usage != nil, now: now, random: &decisions)
        perform(action, call, index)
    }

    private func usage(_ call: SimulatedCall) -> TokenUsage {
        TokenUsage(prompt: call.actualTokens, completion: 0)
    }

    private func bill(_ call: SimulatedCall, _ number: Int) {
        let deployment = call.underWay[number]!.attempt.deployment!
        providers[deployment].tokens += call.actualTokens
    }

    private func perform(_ action: Action, _ call: SimulatedCall, _ index: Int) {
        switch action {
        case .attempt(let attempt):
            call.isWaiting = false
            started(call, attempt)
            call.underWay[attempt.number] = (attempt, false, false)
            call.mostUnderWay = max(call.mostUnderWay, call.underWay.values.count { !$0.hasLapsed })
            ask(attempt, call, index)
            watch(now)
        case .abandon(let number):
            bill(call, number)
            call.underWay[number] = nil
            perform(call.route.outrun(attempt: number, usage: usage(call), now: now), call, index)
        case .wait(let until):
            call.waits += 1
            call.isWaiting = true
            queue.push(until, index, .wakes(wait: call.waits))
        case .reply(let failure):
            call.isWaiting = false
            call.underWay = [:]
            call.end = .failed(failure)
            judge(call, failure, now)
        case .reserve: preconditionFailure("no simulated router shares its limits")
        case .none: precondition(call.end != nil || !call.underWay.isEmpty, "nothing to do")
        }
    }

    private func ask(_ attempt: Attempt, _ call: SimulatedCall, _ index: Int) {
        let (deployment, number) = (attempt.deployment!, attempt.number)
        let range = providers[deployment].latency
        let whole = range.lowerBound + (range.upperBound - range.lowerBound) * world.fraction()
        providers[deployment].requests += 1
        providers[deployment].requestsInMinute[Int(now.sinceStart.components.seconds / 60), default: 0] += 1
        func push(_ seconds: Double, _ event: Event) { queue.push(now + .seconds(seconds), index, event) }
        if attempt.patience < attempt.timeout { queue.push(now + attempt.patience, index, .lapses(number)) }
        queue.push(now + attempt.timeout, index, .timesOut(number))
        if let after = attempt.hedgeAfter { queue.push(now + after, index, .isSlow(number)) }
        switch providers[deployment].behaviour(now, &world) {
        case .answers:
            if call.traits.isStreaming { push(whole / 4, .firstContent(number)) }
            push(whole, .answers(number))
        case .fails(let kind, let retryAfter):
            push(
                kind == .connection ? 0.001 : 0.05,
                .ends(number, failure(kind, retryAfter: retryAfter), usesTokens: false))
        case .hangs: break
        case .cuts:
            if call.traits.isStreaming { push(whole / 4, .firstContent(number)) }
            push(whole / 2, .ends(number, failure(.streamCut), usesTokens: call.traits.isStreaming))
        }
    }
}

/// Calls that the router has woken, in the order in which it did.
final class WokenCalls: Sendable {
    private let calls = Mutex<[Int]>([])

    func add(_ index: Int) { calls.withLock { $0.append(index) } }

    func takeAll() -> [Int] {
        calls.withLock { calls in
            defer { calls = [] }
            return calls
        }
    }
}

/// Events by time, then by the order in which they were added.
struct EventQueue {
    struct Entry {
        var at: Instant
        var number: Int
        var call: Int
        var event: Simulation.Event
    }

    private var heap: [Entry] = []
    private var count = 0

    mutating func push(_ at: Instant, _ call: Int, _ event: Simulation.Event) {
        heap.append(Entry(at: at, number: count, call: call, event: event))
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
