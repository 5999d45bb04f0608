// Model groups with a star in their names: which one a name means, and what the star stands for. Also what
// regions and tags leave of a group.
import Testing

@testable import JunctionRouting

@Suite struct WildcardTests {
    private let router = JunctionRoutingTests.router(
        "* openai/* openai/gpt-* openai/gpt-4o */gpt-5 openai/*-mini a"
    ) { $0.aliases = ["b": "openai/*"] }

    @Test(
        arguments: [
            ("openai/gpt-4o", "openai/gpt-4o", nil), ("openai/gpt-4.1", "openai/gpt-*", "4.1"),
            ("openai/o3", "openai/*", "o3"), ("openai/o3-mini", "openai/*-mini", "o3"),
            ("openai/gpt-4o-mini", "openai/*-mini", "gpt-4o"), ("azure/gpt-5", "*/gpt-5", "azure"),
            ("openai/gpt-5", "openai/gpt-*", "5"), ("whatever", "*", "whatever"), ("openai/", "*", "openai/"),
            ("a", "a", nil), ("b", "openai/*", nil), ("openai/*", "openai/*", nil), ("d6", "a", nil),
        ] as [(String, String, String?)])
    func theMostSpecificNameIsMeant(name: String, group: String, text: String?) {
        #expect(router.modelGroup(named: name).map(router.name(ofModelGroup:)) == group)
        #expect(router.wildcardText(in: name) == text)
    }

    @Test func aNameThatFitsNoneIsNone() {
        let router = JunctionRoutingTests.router("openai/*")
        #expect(router.modelGroup(named: "azure/gpt") == nil)
        #expect(router.modelGroup(named: "openai/") == nil)
        #expect(router.modelGroup(named: "") == nil)
        #expect(router.wildcardText(in: "azure/gpt") == nil)
    }

    @Test func usageIsTheDeploymentsWhateverIsAskedFor() {
        let router = JunctionRoutingTests.router("openai/*") { $0.deployments[0].requestsPerMinute = 2 }
        router.use("openai/one", tokens: 5)
        router.use("openai/two", tokens: 6)
        #expect(router.usage(now: at(0))[0].tokensUsed == 11)
        var call = TestCall(router, "openai/three")
        #expect(call.start().failure?.outcome == .limited)
    }

    @Test func regionsChooseAmongDeployments() {
        let router = JunctionRoutingTests.router("a a a") {
            $0.deployments[0].region = "eu"
            $0.deployments[1].region = "us"
        }
        func places(_ regions: [String]) -> [Bool]? {
            router.groups[0].places(tags: nil, regions: regions, features: [])
        }
        #expect(places([]) == nil)
        #expect(places(["eu"]) == [true, false, false])
        #expect(places(["eu", "us"]) == [true, true, false])
        #expect(places(["asia"]) == [false, false, false])
    }

    @Test func aCallStaysInItsRegions() {
        let router = JunctionRoutingTests.router("a a") {
            $0.deployments[1].region = "eu"
            $0.enableTagFiltering = true
        }
        var random = RandomSource(seed: 1)
        for (regions, deployment) in [(["eu"], 1), (["us"], nil)] {
            var traits = CallTraits(modelGroup: 0, estimatedTokens: 1, isStreaming: false)
            traits.regions = regions
            var route = Route(router: router, call: traits, now: .zero)
            let action = route.start(now: .zero, random: &random)
            #expect(action.deployment == deployment)
            if deployment == nil { #expect(action.failure?.outcome == .noMatchingDeployment) }
        }
    }

    @Test(arguments: [(true, [true, true, false]), (false, [true, false, false])])
    func oneTagIsEnoughOrAllAreNeeded(any: Bool, expected: [Bool]) {
        let router = JunctionRoutingTests.router("a a a") {
            $0.tagFilteringMatchAny = any
            $0.deployments[0].tags = ["x", "y", "z"]
            $0.deployments[1].tags = ["x"]
        }
        #expect(router.groups[0].places(tags: ["x", "y"], regions: [], features: []) == expected)
        #expect(router.groups[0].places(tags: ["w"], regions: [], features: []) == [false, false, false])
        #expect(router.groups[0].places(tags: [], regions: [], features: []) == nil)
    }
}
