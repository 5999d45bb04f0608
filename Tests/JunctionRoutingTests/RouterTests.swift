// Names of model groups, aliases and deployments, and what the counters show.
import Testing

@testable import JunctionRouting

@Suite struct RouterTests {
    @Test func namesAreGroupsAliasesAndDeployments() {
        let router = router("a b a") { $0.aliases = ["nick": "b", "void": "c"] }
        #expect(router.modelGroup(named: "a") == 0)
        #expect(router.modelGroup(named: "b") == 1)
        #expect(router.modelGroup(named: "nick") == 1)
        #expect(router.modelGroup(named: "void") == nil)
        #expect(router.modelGroup(named: "c") == nil)
        let d2 = router.modelGroup(named: "d2")!
        #expect(router.name(ofModelGroup: d2) == "a")
        #expect(router.modelGroup(ofDeployment: 1) == 1)
    }

    @Test func aDeploymentsIdUsesOnlyThatOne() {
        let router = router("a a a")
        for _ in 0..<20 { router.use("d1", tokens: 1) }
        #expect(router.usage(now: at(0)).map(\.requests) == [0, 20, 0])
        var call = TestCall(router, "d1")
        #expect(call.start().deployment == 1)
        #expect(call.fail(.timeout).failure?.outcome == .unavailable)
    }

    @Test func tagsChooseAndDefaultTakesTheRest() {
        let router = router("a a a") {
            $0.enableTagFiltering = true
            $0.deployments[0].tags = ["free", "eu"]
            $0.deployments[1].tags = ["paid"]
            $0.deployments[2].tags = ["default"]
        }
        func chosen(_ tags: [String]) -> Int? {
            var call = TestCall(router, tags: tags)
            return call.start().deployment
        }
        #expect(chosen(["eu", "other"]) == 0)
        #expect(chosen(["paid"]) == 1)
        #expect(chosen(["unknown"]) == 2)
        #expect(chosen([]) == 2)
    }

    @Test func tagsThatNothingCarriesAreRefused() {
        let router = router("a a") {
            $0.enableTagFiltering = true
            $0.deployments[0].tags = ["eu"]
        }
        var call = TestCall(router, tags: ["us"])
        #expect(call.start().failure?.outcome == .noMatchingDeployment)
        var without = TestCall(router)
        #expect(without.start().deployment != nil)
    }

    @Test func tagsMeanNothingWhileFilteringIsOff() {
        let router = router("a") { $0.deployments[0].tags = ["eu"] }
        var call = TestCall(router, tags: ["us"])
        #expect(call.start().deployment == 0)
    }
}
