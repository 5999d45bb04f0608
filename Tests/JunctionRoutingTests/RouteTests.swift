// The life of one call: retries, waits, deadlines, time-outs, commitment.
import Testing

@testable import JunctionRouting

@Suite struct RouteTests {
    // MARK: Retries

    @Test(arguments: [
        (call: 1 as Int?, deployment: 3 as Int?, router: 4 as Int?, attempts: 2), (nil, 3, 4, 4),
        (nil, nil, 4, 5),
        (nil, nil, nil, 3), (0, 3, 4, 1),
    ])
    func retriesAreTheCallsElseTheDeploymentsElseTheRouters(
        call: Int?, deployment: Int?, router: Int?, attempts: Int
    ) {
        let router = JunctionRoutingTests.router("a") {
            $0.numRetries = router
            $0.deployments[0].numRetries = deployment
        }
        var call = TestCall(router, retries: call)
        var action = call.start()
        while action.failure == nil {
            if let until = action.waitsUntil {
                action = call.wake(until)
            } else {
                action = call.fail(.serverError)
            }
        }
        #expect(action.failure?.attempts.count == attempts)
        #expect(action.failure?.outcome == .unavailable)
    }

    @Test func whereNobodySetANumberEveryDeploymentIsTriedOnce() {
        var call = TestCall(router("a a a a a a"))
        var tried: Set<Int> = []
        var action = call.start()
        while let deployment = action.deployment {
            #expect(tried.insert(deployment).inserted, "d\(deployment) twice")
            action = call.fail(.serverError)
        }
        #expect(tried.count == 6)
        #expect(action.failure?.outcome == .unavailable)
    }

    @Test func aSetNumberOfRetriesIsKept() {
        var call = TestCall(router("a a a a a a"), retries: 2)
        _ = call.start()
        #expect(call.fail(.serverError).deployment != nil)
        #expect(call.fail(.serverError).deployment != nil)
        #expect(call.fail(.serverError).failure?.attempts.count == 3)
    }

    @Test func withTwoDeploymentsBothAreTriedBeforeOneIsTriedAgain() {
        var call = TestCall(router("a a"))
        let first = call.start().deployment
        let second = call.fail(.serverError).deployment
        #expect(first != second)
        let wait = call.fail(.serverError).waitsUntil
        #expect(wait != nil)
        #expect(call.wake(wait!).deployment != nil)
        #expect(call.fail(.serverError).failure?.attempts.count == 3)
    }

    @Test func aTimedOutDeploymentIsNotAskedAgainAfterABackOff() {
        var call = TestCall(router("a a"))
        let first = call.start().deployment!
        _ = call.fail(.timeout)
        let wait = call.fail(.serverError).waitsUntil
        #expect(call.wake(wait!).deployment == 1 - first)
    }

    // MARK: Waiting

    @Test func theCallWaitsForTheFirstThatReturnsInTime() {
        let router = router("a a")
        router.make("d0", fail: .rateLimited, retryAfter: .seconds(8))
        router.make("d1", fail: .rateLimited, retryAfter: .seconds(3))
        var call = TestCall(router, deadline: 10)
        #expect(call.start().waitsUntil == at(3))
        #expect(call.wake(at(3)).deployment == 1)
    }

    @Test func theCallDoesNotWaitBeyondItsDeadline() {
        let router = router("a")
        router.make("a", fail: .rateLimited, retryAfter: .seconds(8))
        var call = TestCall(router, deadline: 8)
        let failure = call.start().failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(8))
    }

    @Test func fallbacksAreTriedBeforeWaiting() {
        let router = router("a b") { $0.fallbacks = ["a": ["b"]] }
        router.make("d0", fail: .rateLimited, retryAfter: .seconds(1))
        var call = TestCall(router, deadline: 10)
        #expect(call.start().deployment == 1)
        #expect(call.fail(.timeout).waitsUntil == at(1))
        #expect(call.wake(at(1)).deployment == 0)
        call.finish(2)
        #expect(call.route.report.answered?.deployment == 0)
        #expect(!call.route.report.fallbackUsed)
    }

    @Test func aRateLimitedDeploymentIsAskedAgainWhenItSaid() {
        var call = TestCall(router("a"), deadline: 10)
        _ = call.start()
        #expect(call.fail(.rateLimited, retryAfter: .seconds(4), 1).waitsUntil == at(5))
        #expect(call.wake(at(5)).deployment == 0)
    }

    @Test func aRateLimitThatDoesNotFitIsTheCallers() {
        var call = TestCall(router("a"), deadline: 10)
        _ = call.start()
        let failure = call.fail(.rateLimited, retryAfter: .seconds(20), 1).failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(20))
    }

    @Test func timeDoesNotMendARefusedKey() {
        let router = router("a")
        router.make("a", fail: .authentication)
        var call = TestCall(router, deadline: 60)
        #expect(call.start().deployment == 0, "no wait for the end of the cooldown")
        #expect(call.fail(.authentication).failure?.outcome == .providerAuthentication)
    }

    /// Somebody may have mended the key, or deployed the model: it is asked before a call fails, by one call
    /// in a while.
    @Test(arguments: [Failure.Kind.authentication, .notFound])
    func aRefusalYieldsBeforeACallFails(kind: Failure.Kind) {
        let router = router("a a") { $0.cooldownTime = .seconds(60) }
        router.make("d1", fail: kind)
        router.make("d0", fail: .rateLimited, retryAfter: .seconds(60))
        var call = TestCall(router, deadline: 10)
        #expect(call.start().deployment == 1)
        var next = TestCall(router, deadline: 10, now: 0.02)
        #expect((at(0.1)...at(0.2)).contains(next.start(0.02).waitsUntil!))
        call.finish(0.05)
        #expect(next.wake(at(0.1)).deployment == 1)
        next.finish(1)
        #expect(router.usage(now: at(1)).map(\.coolingCause) == [.rateLimited, nil], "it answers again")
    }

    /// Both cool down, one by our own judgement: it is used rather than to fail the call.
    @Test func ourOwnJudgementYieldsBeforeACallFails() {
        let router = router("a a")
        router.make("d0", fail: .serverError, times: 5)
        router.make("d1", fail: .rateLimited, retryAfter: .seconds(60))
        var call = TestCall(router, deadline: 3)
        #expect(call.start().deployment == 0)
    }

    /// Nothing answers so fast: there is nothing to wait for.
    @Test func noDeploymentIsWaitedForThatCannotAnswerInTime() {
        let router = router("a")
        var teacher = TestCall(router)
        _ = teacher.start()
        teacher.finish(2)
        router.make("a", fail: .notFound, 3)
        var call = TestCall(router, deadline: 5, now: 4)
        #expect(call.start(4).failure != nil)
    }

    /// A caller with little time gives up early: that proves nothing for one that has more.
    @Test func anImpatientCallIsNoProof() {
        let router = router("a")
        router.make("a", fail: .notFound)
        var before = TestCall(router, deadline: 30, now: 0.9)
        #expect(before.start(0.9).deployment == 0)
        var patient = TestCall(router, deadline: 30, now: 0.95)
        #expect(patient.start(0.95).waitsUntil != nil)
        var impatient = TestCall(router, deadline: 3, now: 1)
        #expect(impatient.start(1).deployment == 0)
        _ = impatient.route.lapsed(attempt: 0, now: at(2), random: &impatient.random)
        #expect(patient.wake(at(2.1)).deployment == 0)
    }

    /// A provider's own word holds, whatever else goes wrong there meanwhile.
    @Test func aProvidersWordOutlastsOurJudgement() {
        final class Held {
            var call: TestCall

            init(_ router: Router) {
                call = TestCall(router, "d0", retries: 0)
                _ = call.start()
            }
        }
        let router = router("a a")
        let held = (0..<6).map { _ in Held(router) }
        _ = held[0].call.fail(.rateLimited, retryAfter: .seconds(60), 1)
        for one in held.dropFirst() { _ = one.call.fail(.serverError, 2) }
        #expect(router.usage(now: at(3))[0].coolingUntil == at(61))
        var next = TestCall(router, "d0", deadline: 10, now: 3)
        #expect(next.start(3).failure?.outcome == .limited)
    }

    /// What one call finds out of a deployment that cools down is enough for those that wait for the same.
    @Test func oneCallFindsOutForAllWhoWait() {
        let router = router("a")
        router.make("a", fail: .notFound)
        var first = TestCall(router, deadline: 30, now: 1)
        var second = TestCall(router, deadline: 30, now: 1.02)
        var third = TestCall(router, deadline: 30, now: 1.03)
        #expect(first.start(1).deployment == 0)
        for wait in [second.start(1.02).waitsUntil, third.start(1.03).waitsUntil] {
            #expect((at(1.1)...at(1.2)).contains(wait!), "one after another")
        }
        #expect(second.wake(at(1.1)).deployment == 0)
        #expect((at(1.19)...at(1.31)).contains(third.wake(at(1.1)).waitsUntil!))
        #expect(second.fail(.notFound, 1.15).failure?.outcome == .unavailable)
        #expect(third.wake(at(1.2)).failure?.outcome == .unavailable)
        #expect(router.usage(now: at(1.2))[0].coolingUntil == at(5), "no longer for that")
    }

    // MARK: Deadlines

    @Test func aPassedDeadlineStartsNothing() {
        let router = router("a")
        var call = TestCall(router, deadline: 5)
        let failure = call.start(5).failure
        #expect(failure?.outcome == .deadlineExceeded)
        #expect(router.usage(now: at(5))[0].requestsInTotal == 0)
    }

    @Test func anAttemptIsWaitedForHalfOfTheTimeAndMayTakeAll() {
        var call = TestCall(router("a a"), deadline: 10)
        let first = call.start().attempt
        #expect(first?.patience == .seconds(5) && first?.timeout == .seconds(10))
        let second = call.fail(.timeout, 5).attempt
        #expect(second?.patience == .seconds(5) && second?.timeout == .seconds(5), "nothing else is left")
        #expect(call.fail(.timeout, 10).failure?.outcome == .deadlineExceeded)
    }

    @Test func anAttemptWithoutAlternativeGetsAll() {
        var single = TestCall(router("a"), deadline: 10)
        #expect(single.start().attempt?.patience == .seconds(10))
        var noRetry = TestCall(router("a a"), retries: 0, deadline: 10)
        #expect(noRetry.start().attempt?.patience == .seconds(10))
    }

    /// What is closed now may open while an attempt hangs, so time is left for it where answers are quick.
    @Test func aClosedDeploymentKeepsItsShare() {
        let router = router("a a") { $0.deployments[1].maxParallelRequests = 1 }
        var teacher = TestCall(router, "d0")
        _ = teacher.start()
        teacher.finish(1)
        var holder = TestCall(router, "d1")
        _ = holder.start()
        var full = TestCall(router, deadline: 30, now: 10)
        #expect(full.start(10).attempt?.patience == .seconds(10))
        var hasNoRetry = TestCall(router, retries: 0, deadline: 30, now: 10)
        #expect(hasNoRetry.start(10).attempt?.patience == .seconds(20))
    }

    @Test func aFallbackIsAnAlternative() {
        var call = TestCall(router("a b") { $0.fallbacks = ["a": ["b"]] }, deadline: 10)
        #expect(call.start().attempt?.patience == .seconds(5))
        #expect(call.fail(.timeout, 5).attempt?.patience == .seconds(2.5), "a may be open again")
    }

    /// Two attempts of the usual length do not fit: one is made that can succeed.
    @Test func aSlowGroupIsNotCutIntoHalvesThatAreTooShort() {
        let router = router("a a")
        var teacher = TestCall(router)
        _ = teacher.start()
        teacher.finish(2)
        var call = TestCall(router, deadline: 13, now: 10)
        #expect(call.start(10).attempt?.patience == .seconds(3))
        var just = TestCall(router, deadline: 14, now: 10)
        #expect(just.start(10).attempt?.patience == .seconds(2))
        var longer = TestCall(router, deadline: 18, now: 10)
        #expect(longer.start(10).attempt?.patience == .seconds(4))
    }

    @Test func aFastFallbackKeepsItsShare() {
        let router = router("a b") { $0.fallbacks = ["a": ["b"]] }
        for (model, seconds) in [("a", 2.0), ("b", 0.25)] {
            var teacher = TestCall(router, model)
            _ = teacher.start()
            teacher.finish(seconds)
        }
        var call = TestCall(router, deadline: 13, now: 10)
        #expect(call.start(10).attempt?.patience == .seconds(2.5))
    }

    @Test func anAttemptThatCannotFinishIsNotStarted() {
        let router = router("a a")
        var teacher = TestCall(router)
        _ = teacher.start()
        teacher.finish(2)
        var call = TestCall(router, deadline: 11, now: 10)
        #expect(call.start(10).failure?.outcome == .deadlineExceeded)
        #expect(router.usage(now: at(10)).map(\.requests).reduce(0, +) == 1)
        var fits = TestCall(router, deadline: 12, now: 10)
        #expect(fits.start(10).deployment != nil)
    }

    @Test func aBackOffThatDoesNotFitIsNotMade() {
        var call = TestCall(router("a"), deadline: 1)
        _ = call.start()
        #expect(call.fail(.serverError, 0.999_999).failure?.outcome == .unavailable)
    }

    @Test(arguments: [
        (streaming: false, own: nil as Double?, ownStream: nil as Double?, seconds: 100.0),
        (true, nil, nil, 40),
        (false, 30, 20, 30), (true, 30, 20, 20), (true, 30, nil, 30),
    ])
    func timeoutsAreTheDeploymentsElseTheRouters(
        streaming: Bool, own: Double?, ownStream: Double?, seconds: Double
    ) {
        let router = router("a") {
            $0.timeout = .seconds(100)
            $0.streamTimeout = .seconds(40)
            $0.deployments[0].timeout = own.map { .seconds($0) }
            $0.deployments[0].streamTimeout = ownStream.map { .seconds($0) }
        }
        var call = TestCall(router, streaming: streaming)
        #expect(call.start().attempt?.timeout == .seconds(seconds))
    }

    @Test func withoutADeadlineACallHasTenMinutes() {
        var call = TestCall(router("a a"))
        #expect(call.start().attempt?.patience == .seconds(300))
        let failure = call.fail(.timeout, 600).failure
        #expect(failure?.outcome == .unavailable, "the caller set no deadline")
    }

    // MARK: Streams

    @Test func afterTheFirstContentAFailureIsFinal() {
        let router = router("a a b") { $0.fallbacks = ["a": ["b"]] }
        var call = TestCall(router, tokens: 100, streaming: true)
        let deployment = call.start().deployment!
        call.route.committed(now: at(0.5))
        let action = call.route.failed(
            failure(.streamCut), usage: TokenUsage(prompt: 60, completion: 12), now: at(2),
            random: &call.random)
        #expect(action.failure?.outcome == .streamInterrupted)
        #expect(action.failure?.retryAfter == nil)
        #expect(action.failure?.attempts.first?.timeToFirstToken == .milliseconds(500))
        let usage = router.usage(now: at(2))[deployment]
        #expect(usage.tokensUsed == 72)
        #expect(usage.tokensOutstanding == 0)
    }

    @Test func aCutStreamWhoseUsageIsUnknownCountsAsEstimated() {
        let router = router("a")
        var call = TestCall(router, tokens: 100, streaming: true)
        _ = call.start()
        call.route.committed(now: at(1))
        _ = call.fail(.streamCut, 2)
        #expect(router.usage(now: at(2))[0].tokensUsed == 100)
    }

    @Test func beforeTheFirstContentAStreamFailsOver() {
        var call = TestCall(router("a a"), streaming: true)
        let first = call.start().deployment!
        #expect(call.fail(.streamCut).deployment == 1 - first)
    }

    // MARK: Context windows

    @Test func aLargerWindowOfTheGroupIsTried() {
        let router = router("a a a") {
            $0.deployments[0].maxInputTokens = 8_000
            $0.deployments[1].maxInputTokens = 8_000
            $0.deployments[2].maxInputTokens = 32_000
            $0.deployments[2].order = 2
            $0.deployments[0].order = 1
            $0.deployments[1].order = 1
        }
        var call = TestCall(router)
        _ = call.start()
        #expect(call.fail(.contextWindowExceeded).deployment == 2)
        #expect(call.fail(.contextWindowExceeded).failure?.outcome == .contextWindowExceeded)
    }

    // MARK: What the caller is told

    @Test func aLimitDoesNotHideAFailure() {
        let router = router("a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.deployments[1].requestsPerMinute = 0
        }
        var call = TestCall(router)
        _ = call.start()
        let failure = call.fail(.malformedResponse, 1).failure
        #expect(failure?.outcome == .unavailable)
        #expect(failure?.retryAfter == .seconds(59), "then the fallback is free")
    }

    @Test func limitsInEveryTargetAreALimit() {
        let router = router("a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.deployments[0].requestsPerMinute = 0
            $0.deployments[1].requestsPerMinute = 0
        }
        var call = TestCall(router)
        #expect(call.start().failure?.outcome == .limited)
    }

    @Test func theReportTellsEveryAttempt() {
        let router = router("a a")
        var call = TestCall(router, streaming: true)
        let first = call.start(1).deployment
        let second = call.fail(.timeout, 3).deployment
        call.route.committed(now: at(4))
        call.finish(6)
        let report = call.route.report
        #expect(report.attempts.map(\.deployment) == [first, second])
        #expect(report.attempts.map(\.outcome?.kind) == [.timeout, nil])
        #expect(report.attempts.map(\.startedAt) == [at(1), at(3)])
        #expect(report.attempts.map(\.duration) == [.seconds(2), .seconds(3)])
        #expect(report.attempts.map(\.timeToFirstToken) == [nil, .seconds(1)])
        #expect(report.answered == report.attempts.last)
        #expect(!report.fallbackUsed)
    }
}
