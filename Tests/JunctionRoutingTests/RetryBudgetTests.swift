// What the retry budget of a model group allows, and what it does not touch.
import Testing

@testable import JunctionRouting

@Suite struct RetryBudgetTests {
    /// How many retries it gives at that moment, until it has no more.
    private func drain(_ budget: inout RetryBudget, _ now: Double) -> Int {
        budget.advance(to: at(now))
        var count = 0
        while budget.hasOne {
            budget.takeRetry()
            count += 1
        }
        return count
    }

    @Test func tenASecondAreThereWithoutCalls() {
        var budget = RetryBudget(share: 0.2)
        #expect(drain(&budget, 0) == 100)
        #expect(drain(&budget, 9.9) == 0)
        #expect(drain(&budget, 10) == 100)
        #expect(drain(&budget, 1_000) == 100)
    }

    @Test func callsAddTheirShareForTenSeconds() {
        var budget = RetryBudget(share: 0.25)
        for _ in 0..<400 { budget.addCall() }
        budget.advance(to: at(5))
        for _ in 0..<40 { budget.addCall() }
        var sooner = budget
        #expect(drain(&sooner, 9.9) == 210)
        #expect(drain(&budget, 10) == 110)
    }

    @Test func timeDoesNotGoBack() {
        var budget = RetryBudget(share: 0.2)
        #expect(drain(&budget, 30) == 100)
        #expect(drain(&budget, 3) == 0)
    }

    /// A router whose one deployment has used up the free retries, in calls that each made one.
    private func exhausted(_ groups: String, _ change: (inout RouterConfiguration) -> Void = { _ in })
        -> Router
    {
        let router = router(groups) {
            $0.retryBudget = 0
            $0.numRetries = 1
            change(&$0)
        }
        for _ in 0..<100 {
            var call = TestCall(router, "d0")
            _ = call.start()
            #expect(call.fail(.connection).deployment == 0)
            _ = call.fail(.connection)
        }
        return router
    }

    @Test func withoutBudgetTheSameDeploymentIsNotAskedAgain() {
        let router = exhausted("a")
        var call = TestCall(router)
        #expect(call.start().deployment == 0)
        #expect(call.fail(.connection).failure?.outcome == .unavailable)
        var later = TestCall(router, now: 10)
        #expect(later.start(10).deployment == 0)
        #expect(later.fail(.connection, 10).deployment == 0)
    }

    @Test func theWayToAnUntriedDeploymentIsFree() {
        let router = exhausted("a a a") { $0.cooldownTime = .zero }
        for _ in 0..<200 {
            var call = TestCall(router)
            let first = call.start().deployment
            let second = call.fail(.serverError).deployment
            #expect(second != nil && second != first)
            call.finish()
        }
    }

    @Test func fallbacksAreFreeAndEachGroupHasItsOwnBudget() {
        let router = exhausted("a b") { $0.fallbacks = ["a": ["b"]] }
        var call = TestCall(router)
        _ = call.start()
        #expect(call.fail(.connection).deployment == 1)
        #expect(call.fail(.connection).deployment == 1, "b's own budget")
    }
}
