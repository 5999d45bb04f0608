// A second attempt beside a slow one: when it is made, what becomes of the two, what it may cost.
import Testing

@testable import JunctionRouting

private func hedging(
    _ groups: String, delay: Double? = 1, change: (inout RouterConfiguration) -> Void = { _ in }
)
    -> Router
{
    router(groups) {
        $0.hedging = Hedging(isEnabled: true, delay: delay.map { .seconds($0) })
        change(&$0)
    }
}

extension TestCall {
    mutating func isSlow(_ attempt: Int = 0, _ now: Double = 1) -> Action {
        route.hedgeTimerFired(attempt: attempt, now: at(now), random: &random)
    }
}

@Suite struct HedgingTests {
    @Test func itIsOffUnlessAskedFor() {
        var call = TestCall(router("a a"), deadline: 10)
        #expect(call.start().attempt?.hedgeAfter == nil)
        #expect(call.isSlow().isNone == false, "who asks all the same is served: the budget has one")
    }

    @Test func aSlowAttemptGetsAnotherBesideIt() {
        let router = hedging("a a")
        var call = TestCall(router, deadline: 10)
        let first = call.start().attempt!
        #expect(first.hedgeAfter == .seconds(1) && first.kind == .plain)
        let second = call.isSlow().attempt!
        #expect(second.kind == .hedge && second.number == 1 && second.hedgeAfter == nil)
        #expect(second.deployment != first.deployment)
        #expect(router.usage(now: at(1)).map(\.inFlight) == [1, 1])
        #expect(call.isSlow().isNone, "two at most")
        #expect(call.isSlow(1).isNone)
    }

    @Test(arguments: [0, 1]) func theFirstToAnswerIsUsed(winner: Int) {
        let router = hedging("a a")
        var call = TestCall(router, tokens: 100, deadline: 10)
        let first = call.start().deployment!
        _ = call.isSlow()
        let action = call.route.finished(
            attempt: winner, usage: TokenUsage(prompt: 30, completion: 12), now: at(2))
        guard case .abandon(let loser) = action else { return #expect(Bool(false), "\(action)") }
        #expect(loser == 1 - winner)
        call.route.outrun(attempt: loser, usage: TokenUsage(prompt: 30), now: at(2))
        let report = call.route.report
        #expect(report.answered?.deployment == (winner == 0 ? first : 1 - first))
        #expect(report.attempts.map(\.wasOutrun) == [winner == 1, winner == 0])
        #expect(report.attempts.map(\.kind) == [.plain, .hedge])
        #expect(report.attempts[loser].usage?.total == 30)
        let usage = router.usage(now: at(2))
        #expect(usage.map(\.tokensUsed).sorted() == [30, 42], "the loser's prompt is billed")
        #expect(usage.allSatisfy { $0.inFlight == 0 && $0.tokensOutstanding == 0 })
    }

    @Test func whatIsNotKnownOfTheLoserCountsAsReserved() {
        let router = hedging("a a")
        var call = TestCall(router, tokens: 100)
        _ = call.start()
        _ = call.isSlow()
        call.route.finished(attempt: 0, usage: TokenUsage(prompt: 1), now: at(2))
        call.route.outrun(attempt: 1, usage: nil, now: at(2))
        #expect(router.usage(now: at(2)).map(\.tokensUsed).sorted() == [1, 100])
    }

    @Test func theFirstContentDecidesAStream() {
        var call = TestCall(hedging("a a"), streaming: true)
        _ = call.start()
        _ = call.isSlow()
        guard case .abandon(0) = call.route.committed(attempt: 1, now: at(2)) else {
            return #expect(Bool(false), "the first goes on")
        }
        call.route.outrun(attempt: 0, usage: nil, now: at(2))
        #expect(call.isSlow().isNone)
        #expect(call.route.committed(attempt: 0, now: at(2)).isNone)
        #expect(call.route.report.attempts[1].timeToFirstToken == .seconds(1))
    }

    @Test(arguments: [0, 1]) func whileOneIsUnderWayAFailureOfTheOtherIsNoEnd(failing: Int) {
        var call = TestCall(hedging("a a"))
        _ = call.start()
        _ = call.isSlow()
        let action = call.route.failed(
            failure(.badRequest), attempt: failing, now: at(2), random: &call.random)
        #expect(action.isNone)
        call.route.finished(attempt: 1 - failing, usage: TokenUsage(prompt: 1), now: at(3))
        #expect(call.route.report.answered?.outcome == nil)
        #expect(call.route.report.answered != nil)
    }

    @Test func whenBothFailTheCallGoesOn() {
        let router = hedging("a a b") { $0.fallbacks = ["a": ["b"]] }
        var call = TestCall(router)
        _ = call.start()
        _ = call.isSlow()
        #expect(call.route.failed(failure(.timeout), attempt: 0, now: at(2), random: &call.random).isNone)
        let action = call.route.failed(failure(.timeout), attempt: 1, now: at(2), random: &call.random)
        #expect(action.deployment == 2)
    }

    @Test func aCallThatLeavesGivesBothBack() {
        let router = hedging("a a")
        var call = TestCall(router, tokens: 100)
        _ = call.start()
        _ = call.isSlow()
        call.route.cancelled(now: at(2)) { $0 == 0 ? TokenUsage(prompt: 7) : nil }
        let usage = router.usage(now: at(2))
        #expect(usage.map(\.tokensUsed).reduce(0, +) == 7)
        #expect(usage.allSatisfy { $0.inFlight == 0 && $0.tokensOutstanding == 0 })
    }

    @Test func aHedgeIsNoRetry() {
        var call = TestCall(hedging("a a a a"), retries: 1)
        _ = call.start()
        _ = call.isSlow()
        _ = call.route.failed(failure(.serverError), attempt: 0, now: at(2), random: &call.random)
        let retry = call.route.failed(failure(.serverError), attempt: 1, now: at(2), random: &call.random)
        #expect(retry.attempt != nil)
        #expect(call.fail(.serverError, 2).failure?.attempts.count == 3)
    }

    @Test(arguments: [
        (requests: 1 as Int?, tokens: nil as Int?, parallel: nil as Int?), (nil, 150, nil), (nil, nil, 1),
    ])
    func itIsMadeOnlyWhereHalfOfTheLimitsIsLeft(requests: Int?, tokens: Int?, parallel: Int?) {
        let router = hedging("a a") {
            $0.deployments[0].order = 1
            $0.deployments[1].requestsPerMinute = requests
            $0.deployments[1].tokensPerMinute = tokens
            $0.deployments[1].maxParallelRequests = parallel
        }
        var other = TestCall(router, "d1", tokens: 80)
        _ = other.start()
        var call = TestCall(router, tokens: 10)
        #expect(call.start().deployment == 0)
        #expect(call.isSlow().isNone)
    }

    @Test func aNamedDeploymentHasNoOtherBesideIt() {
        var call = TestCall(hedging("a a"), "d0")
        _ = call.start()
        #expect(call.isSlow().isNone)
    }

    @Test func itsBudgetIsAShareOfTheCallsAndOneInTenSeconds() {
        let router = hedging("a a")
        var hedges = 0
        for _ in 0..<100 {
            var call = TestCall(router, tokens: 1)
            _ = call.start(1)
            if call.isSlow().attempt != nil { hedges += 1 }
        }
        #expect(hedges == 5 || hedges == 6, "\(hedges)")
    }

    @Test func aHedgeThatCannotFinishIsNotStarted() {
        let router = hedging("a a")
        var teacher = TestCall(router)
        _ = teacher.start()
        teacher.finish(2)
        var call = TestCall(router, deadline: 13, now: 10)
        #expect(call.start(10).attempt != nil)
        #expect(call.isSlow(0, 11.5).isNone)
        var other = TestCall(router, deadline: 13, now: 10)
        #expect(other.start(10).attempt != nil)
        #expect(other.isSlow(0, 11).attempt != nil)
    }

    // MARK: How long is slow

    @Test func withoutADelayTheSlowestTwentiethIsSlow() {
        let router = hedging("a a", delay: nil)
        for number in 1...100 {
            var call = TestCall(router)
            #expect(call.start().attempt?.hedgeAfter == nil || number > 40)
            call.finish(Double(number) / 100)
        }
        var call = TestCall(router)
        let after = call.start().attempt!.hedgeAfter!
        #expect(after >= .seconds(0.95) && after < .seconds(0.95 * 1.13))
        var stream = TestCall(router, streaming: true)
        #expect(stream.start().attempt?.hedgeAfter == nil, "first contents are learned on their own")
    }

    @Test func theCallsWordComesFirst() {
        var traits = CallTraits(modelGroup: 0, estimatedTokens: 1, isStreaming: false)
        traits.hedging = Hedging(isEnabled: true, delay: .milliseconds(7))
        var random = RandomSource(seed: 1)
        var call = Route(router: router("a a"), call: traits, now: .zero)
        #expect(call.start(now: .zero, random: &random).attempt?.hedgeAfter == .milliseconds(7))
        traits.hedging = Hedging(isEnabled: false)
        var without = Route(router: hedging("a a"), call: traits, now: .zero)
        #expect(without.start(now: .zero, random: &random).attempt?.hedgeAfter == nil)
    }

    /// Were losers left out, only quick answers would be seen, and more and more calls be slow.
    @Test func whatWasGivenUpCountsAsSlow() {
        var tail = LatencyTail()
        for _ in 0..<95 { tail.add(1) }
        for _ in 0..<5 { tail.add(10) }
        let slow = tail.slow!
        #expect(slow > 1 && slow < 1.2)
        for _ in 0..<1_000 {
            for _ in 0..<94 { tail.add(1) }
            for _ in 0..<6 { tail.add(atLeast: slow) }
        }
        #expect(tail.slow! > 1.1)
        tail.add(atLeast: 0.1)
        #expect(tail.slow! > 1.1)
    }

    @Test func timesFarApartAreTold() {
        for seconds in [0.0001, 0.004, 0.3, 7, 90, 800, 5_000] {
            var tail = LatencyTail()
            for _ in 0..<50 { tail.add(seconds) }
            let expected = max(0.001, min(seconds, 1_000))
            #expect(tail.slow! >= expected && tail.slow! <= expected * 1.126, "\(seconds)")
        }
    }
}
