// Why a call goes where it goes, as `Router.explain` tells it.
import Testing

@testable import JunctionRouting

struct ExplanationTests {
    private func router(_ change: (inout RouterConfiguration) -> Void = { _ in }) -> Router {
        var configuration = RouterConfiguration(
            deployments: [
                Deployment(id: "a", modelGroup: "m", tokensPerMinute: 100, order: 1, tags: ["x"]),
                Deployment(id: "b", modelGroup: "m", requestsPerMinute: 1, order: 1, tags: ["y"]),
                Deployment(id: "c", modelGroup: "m", order: 2, tags: ["x", "y"], maxInputTokens: 50),
                Deployment(id: "d", modelGroup: "n", maxParallelRequests: 1),
                Deployment(id: "e", modelGroup: "o"),
            ],
            fallbacks: ["m": ["n"], "n": ["o"]], contextWindowFallbacks: ["m": ["o"]])
        change(&configuration)
        return Router(configuration)
    }

    private func explain(
        _ router: Router, _ model: String = "m", tokens: Int = 10, tags: [String] = [], now: Instant = .zero
    ) -> [GroupExplanation] {
        let call = CallTraits(
            modelGroup: router.modelGroup(named: model)!, estimatedTokens: tokens, isStreaming: false,
            tags: tags)
        return router.explain(call, now: now)
    }

    private func obstacles(_ explanations: [GroupExplanation]) -> [[Obstacle]] {
        explanations[0].candidates.map(\.obstacles)
    }

    @Test func theLowestOrderIsSharedByTheStrategy() {
        let group = explain(router())[0]
        #expect(group.candidates.map(\.obstacles) == [[], [], [.laterOrder]])
        #expect(abs(group.candidates[0].chance - 0.5) < 0.05 && group.candidates[2].chance == 0)
        #expect(abs(group.candidates.reduce(0) { $0 + $1.chance } - 1) < 1e-9)
    }

    @Test func limitsAreNamed() {
        let router = router()
        #expect(obstacles(explain(router, tokens: 101))[0] == [.tokens(limit: 100, counted: 0)])
        var random = RandomSource(seed: 1)
        let name = router.modelGroup(named: "b")!
        var route = Route(
            router: router, call: CallTraits(modelGroup: name, estimatedTokens: 5, isStreaming: false),
            now: .zero)
        _ = route.start(now: .zero, random: &random)
        #expect(obstacles(explain(router)) == [[], [.requests(limit: 1)], [.laterOrder]])
        let later = Instant(.seconds(60))
        #expect(obstacles(explain(router, now: later)) == [[], [], [.laterOrder]])
        let other = router.modelGroup(named: "d")!
        var second = Route(
            router: router, call: CallTraits(modelGroup: other, estimatedTokens: 5, isStreaming: false),
            now: .zero)
        _ = second.start(now: .zero, random: &random)
        #expect(explain(router)[1].candidates[0].obstacles == [.parallelRequests(limit: 1)])
        second.finished(usage: TokenUsage(), now: later)
        route.finished(usage: TokenUsage(), now: later)
    }

    @Test func cooldownsAreNamed() {
        let router = router()
        var random = RandomSource(seed: 1)
        let group = router.modelGroup(named: "a")!
        var route = Route(
            router: router, call: CallTraits(modelGroup: group, estimatedTokens: 5, isStreaming: false),
            now: .zero)
        _ = route.start(now: .zero, random: &random)
        let failure = Failure(.rateLimited, retryAfter: .seconds(9), message: "")
        _ = route.failed(failure, now: .zero, random: &random)
        let until = Instant(.seconds(9))
        #expect(obstacles(explain(router))[0] == [.cooldown(until: until, .rateLimited)])
        #expect(obstacles(explain(router, now: until))[0] == [])
        route.cancelled(usage: nil, now: .zero)
    }

    @Test func tagsAreNamedWhereTheyAreFiltered() {
        #expect(obstacles(explain(router(), tags: ["y"])) == [[], [], [.laterOrder]])
        let filtering = router { $0.enableTagFiltering = true }
        #expect(obstacles(explain(filtering, tags: ["y"])) == [[.tags], [], [.laterOrder]])
        #expect(obstacles(explain(filtering, tags: ["z"])) == [[.tags], [.tags], [.tags]])
    }

    @Test func aNamedDeploymentStandsAlone() {
        #expect(obstacles(explain(router(), "c")) == [[.notAsked], [.notAsked], []])
        #expect(explain(router(), "c")[0].candidates[2].chance > 0.999)
    }

    @Test func fallbacksComeInTheirOrder() {
        #expect(explain(router()).map(\.modelGroup) == ["m", "n", "o"])
        #expect(explain(router())[0].contextWindowFallbacks == ["o"])
        #expect(explain(router { $0.maxFallbacks = 1 }).map(\.modelGroup) == ["m", "n"])
        #expect(explain(router { $0.fallbacks = ["m": ["m"]] }).map(\.modelGroup) == ["m"])
    }

    @Test func aSmallWindowIsAWarningOnly() {
        let group = explain(router(), "c", tokens: 60)[0]
        #expect(group.candidates[2].smallWindow == 50 && group.candidates[2].obstacles == [])
        #expect(explain(router(), "c", tokens: 50)[0].candidates[2].smallWindow == nil)
    }
}
