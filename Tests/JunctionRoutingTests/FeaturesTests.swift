// Calls that ask for what a deployment cannot give go past it, and are told so where none is left.
import Testing

@testable import JunctionRouting

private let seed = Features(rawValue: 1)
private let tools = Features(rawValue: 2)

struct FeaturesTests {
    @Test func aDeploymentThatCannotIsPassedOver() {
        let router = router("a a a") {
            $0.deployments[0].lacks = seed
            $0.deployments[1].lacks = tools
        }
        for _ in 0..<20 {
            var withSeed = TestCall(router, features: seed)
            #expect(withSeed.start().deployment != 0)
            var withBoth = TestCall(router, features: [seed, tools])
            #expect(withBoth.start().deployment == 2)
        }
        #expect(router.usage(now: .zero)[0].requests == 0, "nothing is reserved there")
    }

    @Test func itIsNoRetryToPassOne() {
        let router = router("a a") {
            $0.numRetries = 0
            $0.deployments[0].order = 1
            $0.deployments[1].order = 2
            $0.deployments[0].lacks = seed
        }
        var withSeed = TestCall(router, features: seed)
        #expect(withSeed.start().deployment == 1)
        var without = TestCall(router, features: [])
        #expect(without.start().deployment == 0)
    }

    @Test func aFallbackMayTakeWhatTheGroupDoesNot() {
        let router = router("a b") {
            $0.deployments[0].lacks = seed
            $0.fallbacks = ["a": ["b"]]
        }
        var withSeed = TestCall(router, features: seed)
        #expect(withSeed.start().deployment == 1)
    }

    @Test(
        arguments: [
            ([seed, seed], seed, seed),
            ([seed, [seed, tools]], [seed, tools], seed),
            ([seed, tools], [seed, tools], [seed, tools]),
        ] as [([Features], Features, Features)])
    func whatNoneTakesIsNamed(lacks: [Features], asked: Features, missing: Features) {
        let router = router("a a") {
            for index in lacks.indices { $0.deployments[index].lacks = lacks[index] }
        }
        var call = TestCall(router, features: asked)
        let failure = call.start().failure
        #expect(failure?.outcome == .unsupported)
        #expect(failure?.missing == missing)
        #expect(failure?.attempts.isEmpty ?? false)
        #expect(failure?.retryAfter == nil)
    }

    @Test func otherReasonsAreNotMistakenForIt() {
        let tagged = router("a a") {
            $0.enableTagFiltering = true
            $0.deployments[0].tags = ["x"]
            $0.deployments[0].lacks = seed
            $0.deployments[1].tags = ["y"]
        }
        var elsewhere = TestCall(tagged, tags: ["z"], features: seed)
        #expect(elsewhere.start().failure?.outcome == .noMatchingDeployment)
        var here = TestCall(tagged, tags: ["x"], features: seed)
        #expect(here.start().failure?.outcome == .unsupported)

        let full = router("a a") {
            $0.deployments[0].lacks = seed
            $0.deployments[1].requestsPerMinute = 1
        }
        full.use("d1", tokens: 1)
        var limited = TestCall(full, features: seed)
        #expect(limited.start().failure?.outcome == .limited)
    }

    @Test func anExplanationSaysSo() throws {
        let router = router("a a") { $0.deployments[0].lacks = seed }
        var traits = CallTraits(modelGroup: 0, estimatedTokens: 1, isStreaming: false)
        traits.features = [seed, tools]
        let candidates = try #require(router.explain(traits, now: .zero).first).candidates
        #expect(candidates[0].obstacles == [.features(seed)])
        #expect(candidates[1].obstacles == [] && candidates[1].chance > 0.99)
    }
}
