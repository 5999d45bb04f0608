// Calls that wait for room: in which order they get it, when they give up, and that nobody is forgotten.
import Synchronization
import Testing

@testable import JunctionRouting

/// A call that waits, or may, with what it was woken for.
private final class Waiting {
    var route: Route
    var action = Action.none
    private var random = RandomSource(seed: 3)
    private let wakes = Counter()

    final class Counter: Sendable { let count = Atomic(0) }

    init(
        _ router: Router, _ model: String = "a", tokens: Int = 10, priority: Int = 128,
        deadline: Double = 1_000, timeout: Double? = 60, tags: [String] = [], now: Double = 0
    ) {
        var traits = CallTraits(
            modelGroup: router.modelGroup(named: model)!, estimatedTokens: tokens, isStreaming: false,
            tags: tags, deadline: at(deadline))
        traits.priority = priority
        traits.queueTimeout = timeout.map { .seconds($0) }
        route = Route(router: router, call: traits, now: at(now))
        route.wake = { [wakes] in wakes.count.add(1, ordering: .relaxed) }
        action = route.start(now: at(now), random: &random)
    }

    /// How often it was woken since it was last asked.
    var woken: Int { wakes.count.exchange(0, ordering: .relaxed) }

    func wake(_ now: Double = 0) { action = route.woken(now: at(now), random: &random) }
    func timer(_ now: Double) { action = route.timerFired(now: at(now), random: &random) }
    func finish(_ now: Double = 0) {
        route.finished(attempt: 0, usage: TokenUsage(prompt: 10), now: at(now))
    }
    func leave(_ now: Double = 0) { route.cancelled(now: at(now)) { _ in nil } }
}

private func single(_ change: (inout RouterConfiguration) -> Void = { _ in }) -> Router {
    router("a") {
        $0.deployments[0].maxParallelRequests = 1
        change(&$0)
    }
}

extension Router {
    fileprivate var waiting: Int { groups[0].queueLength() }
}

@Suite struct QueueTests {
    @Test func withoutATimeoutACallFailsAtOnce() {
        let router = single()
        let busy = Waiting(router)
        #expect(busy.action.attempt != nil)
        #expect(Waiting(router, timeout: 0).action.failure?.outcome == .limited)
        #expect(Waiting(router, timeout: nil).action.failure?.outcome == .limited, "the default")
        #expect(router.waiting == 0)
    }

    @Test func aSlotThatFreesGoesToTheOneThatWaits() {
        let router = single()
        let busy = Waiting(router)
        let next = Waiting(router)
        #expect(next.action.waitsUntil != nil && router.waiting == 1 && next.woken == 0)
        busy.finish(2)
        #expect(next.woken == 1)
        next.wake(2)
        #expect(next.action.attempt != nil && router.waiting == 0)
        #expect(next.route.report.queued == .seconds(2))
        next.finish(3)
        #expect(router.usage(now: at(3))[0].inFlight == 0)
    }

    /// A deployment that is found to answer again, in spite of its cooldown, has room for those that wait.
    @Test func aProbeThatBeginsToAnswerWakesThem() {
        let router = router("a a") {
            $0.deployments[0].maxParallelRequests = 1
            $0.cooldownTime = .seconds(600)
        }
        router.make("d1", fail: .notFound)
        let busy = Waiting(router)
        var probe = TestCall(router, streaming: true)
        #expect(busy.action.deployment == 0 && probe.start().deployment == 1)
        let next = Waiting(router)
        #expect(next.action.waitsUntil != nil && next.woken == 0)
        probe.route.committed(attempt: 0, now: at(0.05))
        #expect(next.woken == 1)
        next.wake(0.05)
        #expect(next.action.deployment == 1)
    }

    /// What cools down is for those that wait already, too: who may not wait is refused at once.
    @Test func whoMayNotWaitDoesNotWaitForAProbe() {
        let router = router("a a") {
            $0.deployments[0].maxParallelRequests = 1
            $0.cooldownTime = .seconds(600)
        }
        router.make("d1", fail: .notFound)
        let (busy, probe) = (Waiting(router), Waiting(router))
        #expect(busy.action.deployment == 0 && probe.action.deployment == 1)
        let others = [Waiting(router), Waiting(router)]
        #expect(others.allSatisfy { $0.action.waitsUntil != nil } && router.waiting == 2)
        #expect(Waiting(router, timeout: 0).action.failure?.outcome == .limited)
    }

    @Test func priorityThenDeadlineThenArrivalDecide() {
        let router = single()
        let busy = Waiting(router)
        let late = Waiting(router, priority: 200, deadline: 10)
        let second = Waiting(router, deadline: 90)
        let first = Waiting(router, deadline: 80)
        let third = Waiting(router, deadline: 90)
        let urgent = Waiting(router, priority: 0, deadline: 500)
        let order = [urgent, first, second, third, late]
        var before = busy
        for call in order {
            before.finish()
            #expect(order.filter { $0.woken > 0 }.map(ObjectIdentifier.init) == [ObjectIdentifier(call)])
            call.wake()
            #expect(call.action.attempt != nil)
            before = call
        }
        #expect(router.waiting == 0)
    }

    @Test func aNewcomerDoesNotOvertake() {
        let router = single()
        let busy = Waiting(router)
        let first = Waiting(router)
        busy.finish()
        let newcomer = Waiting(router)
        #expect(newcomer.action.waitsUntil != nil, "the slot is free, but not for it")
        #expect(Waiting(router, timeout: 0).action.failure?.outcome == .limited)
        let urgent = Waiting(router, priority: 1)
        #expect(urgent.action.attempt != nil, "who ranks before those that wait goes first")
        urgent.finish()
        first.wake()
        #expect(first.action.attempt != nil)
    }

    @Test func oneThatLeavesMakesWayForTheNext() {
        let router = single()
        let busy = Waiting(router)
        let (first, second) = (Waiting(router), Waiting(router))
        busy.finish()
        #expect(first.woken == 1 && second.woken == 0)
        first.leave()
        #expect(second.woken == 1)
        second.wake()
        #expect(second.action.attempt != nil)
    }

    @Test func aDroppedCallLeavesTheQueue() {
        let router = single()
        let busy = Waiting(router)
        do { _ = Waiting(router) }
        #expect(router.waiting == 0)
        busy.finish()
    }

    @Test func itGivesUpInTime() {
        let router = single()
        let busy = Waiting(router)
        let call = Waiting(router, timeout: 5)
        var now = 0.0
        while let until = call.action.waitsUntil {
            #expect(until <= at(5) && until > at(now))
            now = until.sinceStart / .seconds(1)
            call.timer(now)
        }
        #expect(now == 5)
        #expect(call.action.failure?.outcome == .limited)
        #expect(call.route.report.queued == .seconds(5) && router.waiting == 0)
        let hurried = Waiting(router, deadline: 7, timeout: 60, now: 5)
        hurried.timer(7)
        #expect(hurried.action.failure?.outcome == .deadlineExceeded && router.waiting == 0)
        busy.finish(8)
    }

    /// The minute's requests are used up, and the next minute begins too late.
    @Test func whatCannotBeInTimeIsShedAtOnce() {
        let router = router("a") { $0.deployments[0].requestsPerMinute = 1 }
        router.use("a", tokens: 1)
        #expect(Waiting(router, timeout: 20).action.failure?.outcome == .limited)
        let patient = Waiting(router, timeout: 80)
        #expect(patient.action.waitsUntil == at(60))
        patient.timer(60)
        #expect(patient.action.attempt != nil)
        let tooLarge = JunctionRoutingTests.router("a") { $0.deployments[0].tokensPerMinute = 5 }
        #expect(Waiting(tooLarge, tokens: 10).action.failure?.outcome == .limited)
    }

    @Test func behindTooManyItIsShedAtOnce() {
        let router = single()
        var teacher = TestCall(router)
        _ = teacher.start()
        teacher.finish(4)
        let busy = Waiting(router, now: 4)
        var queue: [Waiting] = []
        while queue.last?.action.failure == nil { queue.append(Waiting(router, timeout: 60, now: 4)) }
        #expect(queue.count <= 17, "sixty seconds, four for each: \(queue.count)")
        #expect(queue.count > 14)
        busy.finish(5)
    }

    @Test func aFullQueueShedsTheLastInRank() {
        let router = single { $0.queueSize = 2 }
        let busy = Waiting(router)
        let (better, worse) = (Waiting(router, priority: 10), Waiting(router, priority: 20))
        #expect(Waiting(router, priority: 30).action.failure?.outcome == .limited)
        let best = Waiting(router, priority: 5)
        #expect(best.action.waitsUntil != nil && worse.woken == 1 && better.woken == 0)
        worse.wake()
        #expect(worse.action.failure?.outcome == .limited)
        #expect(router.waiting == 2)
        busy.finish()
    }

    /// One waits for a deployment of its own; the others need not wait for it.
    @Test func whoeverWaitsForAnotherDeploymentIsNotInTheWay() {
        let router = router("a a") {
            $0.deployments[0].maxParallelRequests = 1
            $0.enableTagFiltering = true
            $0.deployments[0].tags = ["x"]
            $0.deployments[1].tags = ["y"]
        }
        let busy = Waiting(router, tags: ["x"])
        let waiting = Waiting(router, priority: 0, tags: ["x"])
        #expect(waiting.action.waitsUntil != nil)
        #expect(Waiting(router, tags: ["y"]).action.attempt != nil)
        #expect(Waiting(router, tags: ["x", "y"]).action.deployment == 1)
        busy.finish()
        #expect(waiting.woken == 1)
    }

    @Test func aLargeCallIsNotOvertakenBySmallOnes() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 100 }
        let busy = [Waiting(router, tokens: 50), Waiting(router, tokens: 50)]
        let large = Waiting(router, tokens: 100)
        let small = Waiting(router, tokens: 10)
        #expect(large.action.waitsUntil != nil && small.action.waitsUntil != nil)
        busy[0].finish()
        #expect(large.woken + small.woken == 0, "40 are free: not enough for the first")
        large.timer(60)
        #expect(large.action.attempt != nil)
        busy[1].finish(60)
    }

    @Test func fallbacksComeBeforeTheQueue() {
        let router = router("a b") {
            $0.deployments[0].maxParallelRequests = 1
            $0.fallbacks = ["a": ["b"]]
        }
        let busy = Waiting(router)
        #expect(Waiting(router).action.deployment == 1)
        busy.finish()
    }

    @Test func aWakeThatCameTooLateChangesNothing() {
        let router = single()
        let call = Waiting(router)
        call.wake()
        #expect(call.action.isNone)
        call.finish()
        call.wake()
        #expect(call.action.isNone)
    }
}
