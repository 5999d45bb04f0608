// Where a call goes when its model group cannot answer: order, kinds, bounds, overrides.
import Testing

@testable import JunctionRouting

/// The deployments a call goes through when each attempt fails so and it is never retried in a group.
private func path(
    _ router: Router, _ kind: Failure.Kind = .timeout, fallbacks: [FallbackTarget] = [],
    disabled: Bool = false
) -> [Int] {
    var call = TestCall(router, retries: 0, fallbacks: fallbacks, disableFallbacks: disabled)
    var path: [Int] = []
    var action = call.start()
    while let deployment = action.deployment {
        path.append(deployment)
        action = call.fail(kind)
    }
    return path
}

@Suite struct FallbacksTests {
    @Test func fallbacksAreTriedInOrder() {
        #expect(path(router("a b c") { $0.fallbacks = ["a": ["c", "b"]] }) == [0, 2, 1])
    }

    @Test func aFallbacksOwnFallbacksComeDirectlyAfterIt() {
        let router = router("a b c d") { $0.fallbacks = ["a": ["b", "c"], "b": ["d"]] }
        #expect(path(router) == [0, 1, 3, 2])
    }

    @Test func aLoopEnds() {
        #expect(path(router("a b") { $0.fallbacks = ["a": ["b"], "b": ["a"]] }) == [0, 1])
    }

    @Test func groupsWithoutTheirOwnHaveTheDefaults() {
        let router = router("a b c") {
            $0.fallbacks = ["a": ["c"]]
            $0.defaultFallbacks = ["b"]
        }
        #expect(path(router) == [0, 2, 1], "c has none of its own, so b comes after it")
        let stars = JunctionRoutingTests.router("a b") { $0.fallbacks = ["*": ["b"]] }
        #expect(path(stars) == [0, 1])
    }

    @Test func atMostMaxFallbacksAreTried() {
        let router = router("a b c d e f g") { $0.fallbacks = ["a": ["b", "c", "d", "e", "f", "g"]] }
        #expect(path(router) == [0, 1, 2, 3, 4, 5])
        let two = JunctionRoutingTests.router("a b c d") {
            $0.fallbacks = ["a": ["b", "c", "d"]]
            $0.maxFallbacks = 2
        }
        #expect(path(two) == [0, 1, 2])
    }

    @Test func aliasesAndDeploymentsMayBeFallbacks() {
        let router = router("a b b") {
            $0.aliases = ["nick": "b"]
            $0.fallbacks = ["a": ["d2", "nick", "nobody"]]
            $0.deployments[2].requestsPerMinute = 1
        }
        #expect(path(router) == [0, 2, 1])
    }

    @Test func theCallsOwnReplaceTheConfigured() {
        let router = router("a b c d") { $0.fallbacks = ["a": ["b"], "c": ["d"]] }
        let own: [FallbackTarget] = [.modelGroup(router.modelGroup(named: "c")!)]
        #expect(path(router, fallbacks: own) == [0, 2])
    }

    @Test func disabledFallbacksAreNotTried() {
        let router = router("a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.contextWindowFallbacks = ["a": ["b"]]
        }
        #expect(path(router, disabled: true) == [0])
        #expect(path(router, .contextWindowExceeded, disabled: true) == [0])
        let own: [FallbackTarget] = [.modelGroup(router.modelGroup(named: "b")!)]
        #expect(
            path(router, fallbacks: own, disabled: true) == [0, 1], "the call's own are not configured ones")
    }

    @Test func eachFallbackHasItsOwnRetries() {
        var call = TestCall(router("a b b b") { $0.fallbacks = ["a": ["b"]] }, retries: 1)
        _ = call.start()
        let wait = call.fail(.serverError).waitsUntil!
        #expect(call.wake(wait).deployment == 0)
        #expect(call.fail(.serverError).deployment! > 0)
        #expect(call.fail(.serverError).deployment! > 0)
        #expect(call.fail(.serverError).failure?.attempts.count == 4)
    }

    @Test func fallbacksAreTriedWhenTheGroupIsAtItsLimit() {
        let router = router("a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.deployments[0].requestsPerMinute = 0
        }
        #expect(path(router) == [1])
    }

    @Test func contextWindowFallbacksChain() {
        let router = router("a b c") {
            $0.contextWindowFallbacks = ["a": ["b"], "b": ["c"]]
            $0.fallbacks = ["b": ["a"]]
        }
        #expect(path(router, .contextWindowExceeded) == [0, 1, 2])
    }
}

@Suite struct OverrideTests {
    private func override(_ index: Int, _ deployment: Int?, own: Bool) -> FallbackTarget {
        .override(index: index, deployment: deployment, modelGroup: 0, usesCallersKey: own)
    }

    @Test func aCallersKeyIsNobodyElsesBusiness() {
        let router = router("a") { $0.deployments[0].requestsPerMinute = 1 }
        var call = TestCall(router, retries: 0, fallbacks: [override(7, 0, own: true)])
        #expect(call.start().attempt?.target == .deployment(0))
        let before = router.usage(now: at(0))[0]
        let attempt = call.fail(.timeout).attempt
        #expect(attempt?.target == .override(index: 7, deployment: 0), "whatever the configured one's limit")
        let failure = call.fail(.authentication).failure
        #expect(failure?.outcome == .unauthenticated)
        let after = router.usage(now: at(0))[0]
        #expect(after.requests == before.requests)
        #expect(after.coolingUntil == nil)
        #expect(failure?.attempts.map(\.overrideIndex) == [nil, 7])
    }

    @Test func aRefusedKeyLeadsToTheNextEntry() {
        let router = router("a b")
        let b = FallbackTarget.modelGroup(router.modelGroup(named: "b")!)
        var call = TestCall(router, retries: 0, fallbacks: [override(0, nil, own: true), b])
        _ = call.start()
        #expect(call.fail(.serverError).attempt?.overrideIndex == 0)
        #expect(call.fail(.authentication).deployment == 1)
        #expect(call.fail(.timeout).failure?.outcome == .unavailable, "the last decides")
    }

    @Test func anOverrideWithoutADeploymentHasNone() {
        var call = TestCall(router("a"), retries: 0, fallbacks: [override(3, nil, own: true)])
        _ = call.start()
        let attempt = call.fail(.timeout).attempt
        #expect(attempt?.deployment == nil)
        #expect(attempt?.overrideIndex == 3)
        call.finish(1)
        #expect(call.route.report.fallbackUsed)
        #expect(call.route.report.answered?.modelGroup == 0)
    }

    @Test func withAConfiguredKeyItCountsAsItsDeployment() {
        let router = router("a a")
        var call = TestCall(router, tokens: 40, retries: 0, fallbacks: [override(0, 1, own: false)])
        _ = call.start()
        let before = router.usage(now: at(0))[1].requests
        #expect(call.fail(.timeout).attempt?.target == .override(index: 0, deployment: 1))
        #expect(router.usage(now: at(0))[1].requests == before + 1)
        #expect(router.usage(now: at(0))[1].tokensReserved == 40)
        _ = call.fail(.authentication)
        #expect(router.usage(now: at(0))[1].coolingCause == .authentication)
    }

    @Test func withAConfiguredKeyAndNoDeploymentOneIsChosen() {
        var call = TestCall(router("a a"), retries: 0, fallbacks: [override(4, nil, own: false)])
        _ = call.start()
        let attempt = call.fail(.timeout).attempt
        #expect(attempt?.overrideIndex == 4)
        #expect(attempt?.deployment != nil)
    }

    @Test func anOverrideIsAskedAgainLikeADeploymentThatIsAlone() {
        var call = TestCall(router("a"), retries: 1, fallbacks: [override(0, nil, own: true)])
        _ = call.start()
        #expect(call.fail(.timeout).attempt?.overrideIndex == 0)
        #expect(call.fail(.connection).attempt?.overrideIndex == 0)
        #expect(call.fail(.connection).failure?.attempts.count == 3)
    }

    @Test func anOverrideThatSaysWhenIsWaitedFor() {
        var call = TestCall(router("a"), deadline: 10, fallbacks: [override(0, nil, own: true)])
        _ = call.start()
        #expect(call.fail(.timeout).attempt?.overrideIndex == 0)
        #expect(call.fail(.rateLimited, retryAfter: .seconds(3), 1).waitsUntil == at(4))
        #expect(call.wake(at(4)).attempt?.overrideIndex == 0)
    }
}
