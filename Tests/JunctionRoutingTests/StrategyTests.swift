// Each strategy chooses as it promises, over many draws from printed seeds.
import Testing

@testable import JunctionRouting

/// How often each deployment is chosen by calls that are dropped at once: they count as nothing but requests.
private func shares(_ router: Router, _ calls: Int = 4_000, streaming: Bool = false) -> [Double] {
    var chosen = Array(repeating: 0.0, count: router.configuration.deployments.count)
    var random = RandomSource(seed: 5)
    for _ in 0..<calls {
        let traits = CallTraits(modelGroup: 0, estimatedTokens: 1, isStreaming: streaming)
        var route = Route(router: router, call: traits, now: .zero)
        if let deployment = route.start(now: .zero, random: &random).deployment { chosen[deployment] += 1 }
    }
    return chosen.map { $0 / Double(calls) }
}

private func isNear(_ value: Double, _ expected: Double) -> Bool { abs(value - expected) < 0.04 }

@Suite struct StrategyTests {
    @Test func namesAreLiteLLMs() {
        #expect(Strategy(named: "usage-based-routing") == .usageBased)
        #expect(Strategy(named: "usage-based-routing-v2") == .usageBased)
        #expect(Strategy(named: "simple-shuffle") == .simpleShuffle)
        #expect(Strategy(named: "least-busy") == .leastBusy)
        #expect(Strategy(named: "latency-based-routing") == .latencyBased)
        #expect(Strategy(named: "cost-based-routing") == .costBased)
        #expect(Strategy(named: "round-robin") == nil)
    }

    @Test func usageBasedTakesTheLeastUsed() {
        let router = router("a a a")
        router.use("d0", tokens: 30)
        router.use("d1", tokens: 10)
        router.use("d2", tokens: 20)
        #expect(shares(router) == [0, 1, 0])
    }

    @Test func usageBasedCountsWhatIsReserved() {
        let router = router("a a")
        router.use("d1", tokens: 50)
        var first = TestCall(router, tokens: 100)
        #expect(first.start().deployment == 0)
        var second = TestCall(router, tokens: 100)
        #expect(second.start().deployment == 1)
    }

    @Test func usageBasedPassesOverTheFull() {
        let router = router("a a") { $0.deployments[0].requestsPerMinute = 1 }
        router.use("d0", tokens: 1)
        router.use("d1", tokens: 1_000)
        #expect(shares(router) == [0, 1])
    }

    @Test(arguments: [Strategy.usageBased, .leastBusy, .latencyBased, .costBased, .simpleShuffle])
    func tiesAreBrokenAtRandom(strategy: Strategy) {
        let shares = shares(router("a a a") { $0.strategy = strategy })
        #expect(shares.allSatisfy { isNear($0, 1.0 / 3) }, "\(shares)")
    }

    @Test func shuffleWeighsByWeightElseRequestsElseTokens() {
        func change(_ configuration: inout RouterConfiguration, _ field: (inout Deployment, Int) -> Void) {
            configuration.strategy = .simpleShuffle
            field(&configuration.deployments[0], 3_000_000)
            field(&configuration.deployments[1], 1_000_000)
        }
        let byTokens = router("a a a") { change(&$0) { $0.tokensPerMinute = $1 } }
        let byRequests = router("a a a") { change(&$0) { $0.requestsPerMinute = $1 } }
        let byWeight = router("a a a") {
            change(&$0) { $0.weight = Double($1) }
            $0.deployments[2].requestsPerMinute = 1_000_000
        }
        for router in [byTokens, byRequests, byWeight] {
            let shares = shares(router)
            #expect(isNear(shares[0], 0.75) && isNear(shares[1], 0.25) && shares[2] == 0, "\(shares)")
        }
    }

    @Test func shuffleUsesWeightZeroWhenNothingElseIsOpen() {
        let router = router("a a") {
            $0.strategy = .simpleShuffle
            $0.deployments[0].weight = 1
            $0.deployments[0].requestsPerMinute = 1
            $0.deployments[1].weight = 0
        }
        router.use("d0", tokens: 1)
        #expect(shares(router) == [0, 1])
    }

    @Test func leastBusyTakesTheFewestUnderWay() {
        let router = router("a a") { $0.strategy = .leastBusy }
        var busy = TestCall(router, "d0")
        #expect(busy.start().deployment == 0)
        #expect(shares(router) == [0, 1])
        busy.finish()
        #expect(shares(router).allSatisfy { isNear($0, 0.5) })
    }

    @Test(arguments: [false, true]) func latencyBasedTakesTheFastest(streaming: Bool) {
        let router = router("a a a") {
            $0.strategy = .latencyBased
            $0.lowestLatencyBuffer = 0.25
        }
        for (id, seconds) in [("d0", 1.2), ("d1", 1.0), ("d2", 1.3)] {
            var call = TestCall(router, id, streaming: streaming)
            _ = call.start()
            if streaming { call.route.committed(now: at(seconds)) }
            call.finish(streaming ? 9 : seconds)
        }
        let shares = shares(router, streaming: streaming)
        #expect(isNear(shares[0], 0.5) && isNear(shares[1], 0.5) && shares[2] == 0, "\(shares)")
    }

    @Test func latencyBasedLooksAtSecondsAToken() {
        let router = router("a a") { $0.strategy = .latencyBased }
        for (id, tokens) in [("d0", 100), ("d1", 10)] {
            var call = TestCall(router, id)
            _ = call.start()
            call.route.finished(usage: TokenUsage(prompt: 1, completion: tokens), now: at(2))
        }
        #expect(shares(router) == [1, 0])
    }

    @Test func latencyBasedTriesTheUnknownFirst() {
        let router = router("a a") { $0.strategy = .latencyBased }
        var call = TestCall(router, "d0")
        _ = call.start()
        call.finish(0.001)
        #expect(shares(router) == [0, 1])
    }

    @Test func costBasedTakesTheCheapestAndTheUnknownLast() {
        let router = router("a a a") {
            $0.strategy = .costBased
            $0.deployments[0].prices.input = 3
            $0.deployments[1].prices.input = 1
            $0.deployments[1].prices.output = 1.5
            $0.deployments[1].requestsPerMinute = 1
        }
        router.use("d1", tokens: 1)
        #expect(shares(router) == [1, 0, 0])
        var later = TestCall(router)
        #expect(later.start(60).deployment == 1)
    }

    @Test func powerOfTwoTakesTheLessBusyOfTwoAndNeverTheBusiest() {
        let router = router("a a a") { $0.strategy = .powerOfTwo }
        var one = TestCall(router, "d0")
        var two = TestCall(router, "d0")
        var three = TestCall(router, "d1")
        for deployment in [one.start().deployment, two.start().deployment] { #expect(deployment == 0) }
        #expect(three.start().deployment == 1)
        // Of the three pairs, d2 is the less busy in two, d1 in one, d0 in none.
        let shares = shares(router)
        #expect(isNear(shares[2], 2.0 / 3) && isNear(shares[1], 1.0 / 3) && shares[0] == 0, "\(shares)")
    }

    @Test(arguments: [false, true]) func powerOfTwoWeighsCallsByLatency(streaming: Bool) {
        let router = router("a a") { $0.strategy = .powerOfTwo }
        for (id, seconds) in [("d0", 1.0), ("d1", 5.0)] {
            var call = TestCall(router, id, streaming: streaming)
            _ = call.start()
            if streaming { call.route.committed(now: at(seconds)) }
            call.finish(seconds)
        }
        var one = TestCall(router, "d0")
        var two = TestCall(router, "d0")
        #expect(one.start().deployment == 0 && two.start().deployment == 0)
        #expect(
            shares(router, streaming: streaming) == [1, 0], "three calls of 1 s are less than one of 5 s")
    }

    @Test func powerOfTwoIsUniformAmongTheOpenHoweverFewTheyAre() {
        let router = router("a a a a a a a a a a") {
            $0.strategy = .powerOfTwo
            for index in 0..<8 { $0.deployments[index].requestsPerMinute = 1 }
        }
        for index in 0..<8 { router.use("d\(index)", tokens: 1) }
        let shares = shares(router)
        #expect(isNear(shares[8], 0.5) && isNear(shares[9], 0.5), "\(shares)")
        let alone = JunctionRoutingTests.router("a") { $0.strategy = .powerOfTwo }
        #expect(JunctionRoutingTests.shares(alone) == [1])
    }

    @Test func headroomTakesTheLargestShareLeft() {
        let router = router("a a") {
            $0.strategy = .headroom
            $0.deployments[0].tokensPerMinute = 1_000
            $0.deployments[1].tokensPerMinute = 1_000_000
        }
        router.use("d0", tokens: 400)
        router.use("d1", tokens: 300_000)
        var reserved = TestCall(router, tokens: 200_000)
        #expect(reserved.start().deployment == 1, "30 % used, and 40 %")
        var next = TestCall(router, tokens: 1)
        #expect(next.start().deployment == 0, "with the call under way 50 %, and 40 %")
    }

    @Test func headroomLooksAtTheScarcerOfTokensAndRequests() {
        let router = router("a a a") {
            $0.strategy = .headroom
            $0.deployments[0].requestsPerMinute = 2
            $0.deployments[0].tokensPerMinute = 1_000_000
            $0.deployments[1].tokensPerMinute = 100
            $0.deployments[2].maxParallelRequests = 1
        }
        router.use("d0", tokens: 1)
        router.use("d1", tokens: 40)
        router.use("d2", tokens: 1_000_000)
        var unlimited = TestCall(router, tokens: 1)
        #expect(unlimited.start().deployment == 2, "50 %, 40 % and as good as nothing")
        #expect(shares(router, 1) == [0, 1, 0], "50 % of the requests, 40 % of the tokens")
    }

    @Test func aGroupMayHaveItsOwnStrategy() {
        let router = router("a a") {
            $0.modelGroupStrategies = ["a": .costBased]
            $0.deployments[1].prices.input = 1
        }
        #expect(shares(router) == [0, 1])
    }

    @Test func theLowestOrderIsUsedWhileOneOfItIsOpen() {
        let router = router("a a a") {
            $0.deployments[1].order = 2
            $0.deployments[2].order = 1
            $0.deployments[2].requestsPerMinute = 1
        }
        var first = TestCall(router)
        #expect(first.start().deployment == 2)
        var second = TestCall(router)
        #expect(second.start().deployment == 1)
        #expect(second.fail(.serverError).deployment == 0)
    }
}
