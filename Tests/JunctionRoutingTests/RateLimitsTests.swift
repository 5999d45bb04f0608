// What providers say of their own limits: it lowers what we may reserve until it is over, and raises nothing.
import Testing

@testable import JunctionRouting

extension Router {
    /// The provider of the first deployment says so much.
    fileprivate func hears(
        tokens: Int? = nil, requests: Int? = nil, limit: Int? = nil, reset: Double? = 30, _ now: Double = 0
    ) {
        var said = RateLimits()
        said.tokens = .init(limit: limit, remaining: tokens, reset: reset.map { .seconds($0) })
        said.requests = .init(limit: limit, remaining: requests, reset: reset.map { .seconds($0) })
        noted(said, deployment: 0, now: at(now))
    }

    fileprivate func admits(tokens: Int, _ now: Double = 0) -> Bool {
        var call = TestCall(self, tokens: tokens, now: now)
        return call.start(now).deployment == 0
    }
}

@Suite struct RateLimitsTests {
    @Test func whatIsLeftIsAllUntilTheReset() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 10_000 }
        router.hears(tokens: 500)
        #expect(!router.admits(tokens: 501))
        #expect(router.admits(tokens: 500))
        #expect(!router.admits(tokens: 1, 29.9), "it was taken, though given back unused")
        #expect(router.admits(tokens: 501, 30))
    }

    @Test func theShortageSaysWhen() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 10_000 }
        router.hears(tokens: 500)
        var call = TestCall(router, tokens: 501, now: 10)
        let failure = call.start(10).failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(20))
    }

    @Test func requestsToo() {
        let router = router("a")
        router.hears(requests: 2, reset: 5)
        #expect(router.admits(tokens: 1))
        #expect(router.admits(tokens: 1))
        #expect(!router.admits(tokens: 1))
        #expect(router.admits(tokens: 1, 5))
    }

    @Test func nothingIsRaised() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 100 }
        router.hears(tokens: 1_000_000)
        #expect(!router.admits(tokens: 101))
        router.use("a", tokens: 100)
        router.hears(tokens: 1_000_000)
        #expect(!router.admits(tokens: 1))
    }

    @Test func theNewestWordHolds() {
        let router = router("a")
        router.hears(tokens: 5, reset: 30)
        router.hears(tokens: 50, reset: 20, 1)
        #expect(router.admits(tokens: 50, 1))
        router.hears(tokens: 0, reset: 1, 2)
        #expect(!router.admits(tokens: 1, 2))
        #expect(router.admits(tokens: 1_000, 3))
    }

    @Test(arguments: [(-1, 30.0), (0, 0), (0, -5)] as [(Int, Double)])
    func absurdWordsAreNoWords(remaining: Int, reset: Double) {
        let router = router("a")
        router.hears(tokens: remaining, requests: remaining, reset: reset)
        #expect(router.admits(tokens: 1_000))
    }

    @Test func aWordWithoutAnEndIsNone() {
        let router = router("a")
        router.hears(tokens: 0, reset: nil)
        #expect(router.admits(tokens: 1))
    }

    /// A limit of a day: what is left of it is left in every minute, but a new word is waited for no longer
    /// than two.
    @Test func aLongResetIsBelievedForTwoMinutes() {
        let router = router("a")
        router.hears(requests: 0, reset: 86_000)
        #expect(!router.admits(tokens: 1, 119))
        #expect(router.admits(tokens: 1, 120))
    }

    /// What others use up with the same key counts for the strategies that look at usage.
    @Test(arguments: [Strategy.usageBased, .headroom])
    func usageThatOthersMakeIsSeen(strategy: Strategy) {
        let router = router("a a") {
            $0.strategy = strategy
            for index in 0..<2 { $0.deployments[index].tokensPerMinute = 10_000 }
        }
        router.use("d1", tokens: 500)
        router.hears(tokens: 9_000, limit: 10_000)
        var call = TestCall(router, tokens: 10)
        #expect(call.start().deployment == 1, "1,000 are used at d0, of which we know nothing")
    }

    @Test func onlyItsOwnDeploymentIsBound() {
        let router = router("a a")
        router.hears(requests: 0)
        for _ in 0..<20 {
            var call = TestCall(router, tokens: 10)
            #expect(call.start().deployment == 1)
        }
    }

    @Test func theWaitIsSpreadAndNeverShortened() {
        var random = RandomSource(seed: 3)
        let waits = (0..<200).map { _ in
            failure(.rateLimited, retryAfter: .seconds(10)).spread(by: 0.1, &random).retryAfter!
        }
        #expect(waits.allSatisfy { $0 >= .seconds(10) && $0 <= .seconds(11) })
        #expect(Set(waits).count > 100)
        #expect(failure(.rateLimited).spread(by: 0.1, &random).retryAfter == nil)
    }
}
