// Tokens, requests and calls under way: admitted exactly to the limit, never past it.
import Testing

@testable import JunctionRouting

@Suite struct LimitsTests {
    @Test func requestsPerMinuteAdmitsExactlyThatMany() {
        let router = router("a") { $0.deployments[0].requestsPerMinute = 3 }
        for _ in 0..<3 { router.use("a", tokens: 1) }
        var call = TestCall(router)
        let failure = call.start(20).failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(40))
        #expect(failure?.message == "Every deployment of a is at its limit; one frees in 40.0 s.")
        #expect(failure?.attempts.isEmpty == true)
    }

    @Test func theNextMinuteIsFree() {
        let router = router("a") { $0.deployments[0].requestsPerMinute = 1 }
        router.use("a", tokens: 1, 59)
        var early = TestCall(router)
        #expect(early.start(59.9).failure?.outcome == .limited)
        var later = TestCall(router)
        #expect(later.start(60).deployment == 0)
    }

    @Test func tokensAreReservedUpToTheLimitAndNoFurther() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 300 }
        var first = TestCall(router, tokens: 200)
        #expect(first.start().deployment == 0)
        var second = TestCall(router, tokens: 101)
        #expect(second.start().failure?.outcome == .limited)
        var third = TestCall(router, tokens: 100)
        #expect(third.start().deployment == 0)
    }

    @Test func theProvidersCountTakesThePlaceOfTheEstimate() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 300 }
        router.use("a", tokens: 300)
        #expect(router.usage(now: at(0))[0].tokensUsed == 300)
        var call = TestCall(router, tokens: 200, now: 60)
        #expect(call.start(60).deployment == 0)
        #expect(router.usage(now: at(60))[0].tokensReserved == 200)
        call.finish(tokens: 50, 61)
        let usage = router.usage(now: at(61))[0]
        #expect(usage.tokensUsed == 50)
        #expect(usage.tokensReserved == 0)
        #expect(usage.tokensInTotal == 350)
    }

    @Test func aFailureGivesTokensBackButNotTheRequest() {
        let router = router("a")
        router.make("a", fail: .badRequest)
        let usage = router.usage(now: at(0))[0]
        #expect(usage.tokensUsed == 0)
        #expect(usage.tokensReserved == 0)
        #expect(usage.requests == 1)
        #expect(usage.inFlight == 0)
    }

    @Test func parallelRequestsAreBounded() {
        let router = router("a") { $0.deployments[0].maxParallelRequests = 1 }
        var first = TestCall(router)
        #expect(first.start().deployment == 0)
        var second = TestCall(router)
        let failure = second.start().failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(1))
        first.finish()
        var third = TestCall(router)
        #expect(third.start().deployment == 0)
    }

    @Test func aCallLargerThanTheLimitIsToldSo() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 50 }
        var call = TestCall(router, tokens: 100)
        let failure = call.start().failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == nil)
        #expect(failure?.message.contains("100 tokens are more than") == true)
    }

    /// A reservation leaves with its minute; later only what it used beyond it counts.
    @Test(arguments: [(used: 40, counted: 0), (used: 130, counted: 30)])
    func settlingInALaterMinute(used: Int, counted: Int) {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 100 }
        var call = TestCall(router, tokens: 100)
        #expect(call.start(59).deployment == 0)
        let before = router.usage(now: at(60))[0]
        #expect(before.tokensReserved == 0)
        #expect(before.tokensOutstanding == 100)
        call.finish(tokens: used, 61)
        let after = router.usage(now: at(61))[0]
        #expect(after.tokensUsed == counted)
        #expect(after.tokensReserved == 0)
        #expect(after.tokensOutstanding == 0)
        #expect(after.tokensInTotal == used)
    }

    /// Another loop's clock may be a little behind: the minute never goes back.
    @Test func theMinuteNeverGoesBack() {
        let router = router("a") { $0.deployments[0].requestsPerMinute = 1 }
        router.use("a", tokens: 1, 60.001)
        var behind = TestCall(router)
        #expect(behind.start(59.999).failure?.outcome == .limited)
    }
}
