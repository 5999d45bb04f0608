// An attempt whose share of the call's time lapses: the call goes on beside it, and the first answer wins.
import Testing

@testable import JunctionRouting

extension TestCall {
    fileprivate mutating func lapse(_ attempt: Int, _ now: Double) -> Action {
        route.lapsed(attempt: attempt, now: at(now), random: &random)
    }

    fileprivate mutating func fail(_ attempt: Int, _ kind: Failure.Kind, _ now: Double) -> Action {
        route.failed(failure(kind), attempt: attempt, now: at(now), random: &random)
    }
}

@Suite struct LapseTests {
    @Test func anotherIsAskedBesideIt() {
        let router = router("a a")
        var call = TestCall(router, deadline: 10)
        let first = call.start().attempt!
        #expect(first.patience == .seconds(5) && first.timeout == .seconds(10))
        let second = call.lapse(0, 5).attempt!
        #expect(second.deployment != first.deployment && second.kind == .plain)
        #expect(router.usage(now: at(5)).map(\.inFlight) == [1, 1])
        #expect(call.lapse(0, 6).isNone, "once")
    }

    @Test(arguments: [0, 1]) func theFirstToAnswerIsUsed(winner: Int) {
        let router = router("a a")
        var call = TestCall(router, tokens: 100, deadline: 10)
        _ = call.start()
        _ = call.lapse(0, 5)
        let action = call.route.finished(attempt: winner, usage: TokenUsage(prompt: 7), now: at(6))
        guard case .abandon(let loser) = action, loser == 1 - winner else {
            return #expect(Bool(false), "\(action)")
        }
        #expect(call.route.outrun(attempt: loser, usage: TokenUsage(prompt: 3), now: at(6)).isNone)
        let report = call.route.report
        #expect(report.attempts[winner].outcome == nil)
        #expect(report.attempts[loser].wasOutrun == (loser == 1), "the late one failed by its time")
        #expect(report.attempts[loser].outcome?.kind == (loser == 1 ? .cancelled : .timeout))
        #expect(report.answered == report.attempts[winner])
        let usage = router.usage(now: at(6))
        #expect(usage.map(\.tokensUsed).sorted() == [3, 7])
        #expect(usage.allSatisfy { $0.inFlight == 0 && $0.tokensOutstanding == 0 })
    }

    /// Three at a time: each loser is ended.
    @Test func allOthersAreEndedByAStreamsFirstContent() {
        let router = router("a a a")
        var call = TestCall(router, streaming: true, deadline: 20)
        _ = call.start()
        #expect(call.lapse(0, 10).attempt != nil && call.lapse(1, 15).attempt != nil)
        var action = call.route.committed(attempt: 1, now: at(16))
        var ended: [Int] = []
        while case .abandon(let number) = action {
            ended.append(number)
            action = call.route.outrun(attempt: number, usage: TokenUsage(), now: at(16))
        }
        #expect(ended.sorted() == [0, 2] && action.isNone)
        call.route.finished(attempt: 1, usage: TokenUsage(prompt: 1), now: at(17))
        #expect(router.usage(now: at(17)).allSatisfy { $0.inFlight == 0 })
    }

    @Test func whenNothingElseIsLeftItIsWaitedFor() {
        let router = router("a a")
        var call = TestCall(router, deadline: 10)
        _ = call.start()
        _ = call.lapse(0, 5)
        #expect(call.fail(1, .authentication, 6).waitsUntil == at(7))
        #expect(call.wake(at(7)).waitsUntil == at(8))
        #expect(call.fail(0, .authentication, 7.5).failure?.outcome == .providerAuthentication)
        #expect(router.usage(now: at(8)).allSatisfy { $0.inFlight == 0 })
    }

    @Test func whatOpensMeanwhileIsAsked() {
        let router = router("a a") { $0.deployments[1].maxParallelRequests = 1 }
        var holder = TestCall(router, "d1")
        _ = holder.start()
        var call = TestCall(router, deadline: 10)
        #expect(call.start().deployment == 0)
        #expect(call.lapse(0, 5).waitsUntil == at(6))
        holder.route.cancelled(now: at(5.5)) { _ in nil }
        #expect(call.wake(at(6)).deployment == 1)
    }

    @Test func whatNoOtherWouldTakeEndsTheCallAtOnce() {
        let router = router("a a")
        var call = TestCall(router, deadline: 10)
        _ = call.start()
        _ = call.lapse(0, 5)
        #expect(call.fail(1, .badRequest, 6).failure?.outcome == .badRequest)
        #expect(router.usage(now: at(6)).allSatisfy { $0.inFlight == 0 && $0.tokensOutstanding == 0 })
    }

    /// The late attempt has begun to answer, and then breaks off: there is nothing else to wait for.
    @Test func aLateStreamThatBreaksOffEndsTheCall() {
        let router = router("a a")
        var call = TestCall(router, streaming: true, deadline: 20)
        _ = call.start()
        _ = call.lapse(0, 10)
        guard case .abandon(1) = call.route.committed(attempt: 0, now: at(11)) else {
            return #expect(Bool(false))
        }
        _ = call.route.outrun(attempt: 1, usage: TokenUsage(), now: at(11))
        #expect(call.fail(0, .streamCut, 12).failure?.outcome == .streamInterrupted)
    }

    @Test func theLapseCountsAsATimeoutOnce() {
        let router = router("a a") { $0.allowedFails = 1 }
        var call = TestCall(router, deadline: 10)
        let slow = call.start().deployment!
        _ = call.lapse(0, 5)
        _ = call.route.failed(failure(.timeout), attempt: 0, now: at(6), random: &call.random)
        #expect(router.usage(now: at(6))[slow].coolingUntil == nil)
        router.make("d\(slow)", fail: .timeout, 7)
        #expect(router.usage(now: at(7))[slow].coolingUntil != nil)
    }

    @Test func whateverBecomesOfItAfterwards() {
        let router = router("a a") { $0.allowedFails = 1 }
        var call = TestCall(router, deadline: 10)
        let slow = call.start().deployment!
        _ = call.lapse(0, 5)
        _ = call.fail(0, .serverError, 6)
        #expect(router.usage(now: at(6))[slow].coolingUntil == nil)
    }

    @Test func whereNothingElseMayBeTriedItGetsAll() {
        let router = router("a a")
        var one = TestCall(router, "d0", deadline: 10)
        #expect(one.start().attempt?.patience == .seconds(10))
        var last = TestCall(router, deadline: 10)
        _ = last.start()
        #expect(last.fail(0, .authentication, 0).attempt?.patience == .seconds(10))
    }

    @Test func whereATimeoutIsNotRetriedItGetsAll() {
        let router = router("a a") { $0.retryPolicy = [.timeout: 0] }
        var call = TestCall(router, deadline: 10)
        #expect(call.start().attempt?.patience == .seconds(10))
    }

    /// A late attempt finds the request against the content policy: its fallbacks are asked.
    @Test func aLateFailureHasItsOwnFallbacks() {
        let router = router("a a b") { $0.contentPolicyFallbacks = ["a": ["b"]] }
        var call = TestCall(router, deadline: 20)
        _ = call.start()
        _ = call.lapse(0, 10)
        #expect(call.fail(1, .authentication, 11).waitsUntil != nil)
        #expect(call.fail(0, .contentPolicy, 11.5).deployment == 2)
    }

    @Test func aCallThatLeavesGivesAllBack() {
        let router = router("a a a")
        var call = TestCall(router, deadline: 20)
        _ = call.start()
        _ = call.lapse(0, 10)
        _ = call.lapse(1, 15)
        call.route.cancelled(now: at(16)) { _ in nil }
        #expect(router.usage(now: at(16)).allSatisfy { $0.inFlight == 0 && $0.tokensOutstanding == 0 })
    }
}
