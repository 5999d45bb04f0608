// Limits and budgets: those of a whole model group beside its deployments', and money.
import Testing

@testable import JunctionRouting

@Suite struct GroupLimitsTests {
    @Test(arguments: RateLimitWindow.allCases) func theGroupsRequestsAreThoseOfAllItsDeployments(
        window: RateLimitWindow
    ) {
        let router = router("a a") {
            $0.rateLimitWindow = window
            $0.modelGroupLimits["a"] = Limits(requestsPerMinute: 3)
        }
        for _ in 0..<3 { router.use("a", tokens: 1) }
        var call = TestCall(router)
        let failure = call.start(20).failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(window == .fixed ? 40 : 41))
        var later = TestCall(router, now: 61)
        #expect(later.start(61).deployment != nil)
    }

    @Test func theGroupsTokensAreReservedAndSettled() {
        let router = router("a a") { $0.modelGroupLimits["a"] = Limits(tokensPerMinute: 300) }
        var first = TestCall(router, tokens: 200)
        #expect(first.start().deployment != nil)
        var second = TestCall(router, tokens: 101)
        #expect(second.start().failure?.outcome == .limited)
        first.finish(tokens: 50)
        var third = TestCall(router, tokens: 250)
        #expect(third.start().deployment != nil)
    }

    @Test func theGroupsCallsUnderWayAreBounded() {
        let router = router("a a") { $0.modelGroupLimits["a"] = Limits(maxParallelRequests: 2) }
        var one = TestCall(router)
        var two = TestCall(router)
        var three = TestCall(router)
        _ = one.start()
        _ = two.start()
        let failure = three.start().failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(1))
        one.finish()
        var four = TestCall(router)
        #expect(four.start().deployment != nil)
    }

    @Test func aCallLargerThanTheGroupsLimitIsToldSo() {
        let router = router("a") { $0.modelGroupLimits["a"] = Limits(tokensPerMinute: 50) }
        var call = TestCall(router, tokens: 100)
        #expect(call.start().failure?.message.contains("100 tokens are more than") == true)
    }

    @Test func otherGroupsAreNotBound() {
        let router = router("a b") {
            $0.modelGroupLimits["a"] = Limits(requestsPerMinute: 1)
            $0.fallbacks = ["a": ["b"]]
        }
        router.use("a", tokens: 1)
        var call = TestCall(router)
        #expect(call.start().deployment == 1)
    }
}

@Suite struct BudgetTests {
    /// Dollars a token: 0.01 in, 0.02 out.
    private func priced(_ groups: String, change: (inout RouterConfiguration) -> Void = { _ in }) -> Router {
        router(groups) {
            for index in $0.deployments.indices {
                $0.deployments[index].prices = TokenPrices(input: 0.01, output: 0.02)
            }
            change(&$0)
        }
    }

    private let tenADay = BudgetLimit(dollars: 10, duration: .seconds(86_400))

    @Test func aDeploymentIsClosedWhenItsBudgetDoesNotReach() {
        let router = priced("a a") { $0.deployments[0].limits.budget = tenADay }
        var first = TestCall(router, "d0", tokens: 900)
        #expect(first.start().deployment == 0)
        var second = TestCall(router, "d0", tokens: 101)
        #expect(second.start().failure?.outcome == .limited)
        var third = TestCall(router, "d0", tokens: 100)
        #expect(third.start().deployment == 0, "to the last cent")
        router.use("d1", tokens: 10_000)
        var fourth = TestCall(router, tokens: 1)
        #expect(fourth.start().deployment == 1, "d0 is less used, but has no money left")
    }

    @Test func whatACallCostTakesThePlaceOfWhatWasReserved() {
        let router = priced("a") { $0.deployments[0].limits.budget = tenADay }
        var dear = TestCall(router, tokens: 1_000)
        _ = dear.start()
        dear.route.finished(usage: TokenUsage(prompt: 100, completion: 50), now: at(1))
        // Two dollars were spent.
        var next = TestCall(router, tokens: 801, now: 1)
        #expect(next.start(1).failure?.outcome == .limited)
        var fitting = TestCall(router, tokens: 800, now: 1)
        #expect(fitting.start(1).deployment == 0)
    }

    @Test func cachedTokensCostWhatTheyCost() {
        let router = priced("a") {
            $0.deployments[0].limits.budget = tenADay
            $0.deployments[0].prices.cachedInput = 0.001
        }
        var call = TestCall(router, tokens: 1_000)
        _ = call.start()
        call.route.finished(usage: TokenUsage(prompt: 1_000, completion: 0, cached: 1_000), now: at(1))
        var next = TestCall(router, tokens: 900, now: 1)
        #expect(next.start(1).deployment == 0, "one dollar was spent")
    }

    @Test func theShortageNamesTheBudgetAndItsEnd() {
        let router = priced("a") {
            $0.deployments[0].limits.budget = BudgetLimit(dollars: 1, duration: .seconds(100))
        }
        router.use("a", tokens: 100)
        var call = TestCall(router, tokens: 1, now: 30)
        let failure = call.start(30).failure
        #expect(failure?.outcome == .limited)
        #expect(failure?.retryAfter == .seconds(70))
        #expect(failure?.message.contains("budget is spent") == true)
        var later = TestCall(router, tokens: 1, now: 100)
        #expect(later.start(100).deployment == 0)
    }

    @Test func failuresAndAbandonedCallsGiveTheMoneyBack() {
        let router = priced("a") { $0.deployments[0].limits.budget = tenADay }
        router.make("a", fail: .badRequest)
        do {
            var dropped = TestCall(router, tokens: 1_000)
            #expect(dropped.start().deployment == 0)
        }
        var call = TestCall(router, tokens: 1_000)
        #expect(call.start().deployment == 0)
    }

    @Test func ofAnEarlierPeriodOnlyTheExcessCounts() {
        let router = priced("a") {
            $0.deployments[0].limits.budget = BudgetLimit(dollars: 10, duration: .seconds(100))
        }
        var call = TestCall(router, tokens: 500, now: 99)
        _ = call.start(99)
        call.finish(tokens: 700, 101)
        var next = TestCall(router, tokens: 801, now: 101)
        #expect(next.start(101).failure?.outcome == .limited, "two dollars beyond the reservation")
        var fitting = TestCall(router, tokens: 800, now: 101)
        #expect(fitting.start(101).deployment == 0)
    }

    @Test func theGroupsBudgetBindsAllItsDeployments() {
        let router = priced("a a") { $0.modelGroupLimits["a"] = Limits(budget: tenADay) }
        router.use("d0", tokens: 400)
        router.use("d1", tokens: 400)
        var call = TestCall(router, tokens: 201)
        #expect(call.start().failure?.outcome == .limited)
    }

    @Test func aProvidersBudgetBindsItsDeploymentsInEveryGroup() {
        let router = priced("a b b") {
            for index in 0..<2 { $0.deployments[index].provider = "openai" }
            $0.providerBudgets["openai"] = tenADay
        }
        router.use("a", tokens: 800)
        router.use("d2", tokens: 10_000)
        var dear = TestCall(router, "b", tokens: 201)
        #expect(dear.start().deployment == 2)
        dear.finish(tokens: 201)
        var cheap = TestCall(router, "b", tokens: 200)
        #expect(cheap.start().deployment == 1)
    }

    /// The reservation that a second budget refuses is given back to the first.
    @Test func aRefusalTakesNothing() {
        let router = priced("a") {
            $0.deployments[0].limits.budget = tenADay
            $0.modelGroupLimits["a"] = Limits(budget: BudgetLimit(dollars: 5, duration: .seconds(60)))
        }
        for _ in 0..<10 {
            var call = TestCall(router, tokens: 600)
            #expect(call.start().failure?.outcome == .limited)
        }
        router.use("a", tokens: 500)
        var later = TestCall(router, tokens: 500, now: 60)
        #expect(later.start(60).deployment == 0)
    }

    @Test func aDeploymentWithoutPricesSpendsNothing() {
        let router = router("a") { $0.deployments[0].limits.budget = tenADay }
        router.use("a", tokens: 1_000_000_000)
        var call = TestCall(router, tokens: 1)
        #expect(call.start().deployment == 0)
    }
}
