// What instances admit together over one usage store, in virtual time: never more than a limit in any 60
// seconds, nearly all of it, and no failed call when the store is gone.
import JunctionRouting
import JunctionSimulation
import Testing

@Suite struct SharedSimulationTests {
    @Test(arguments: [SharingMode.exact, .leased], [1, 2] as [UInt64])
    func nothingPassesALimitAndLittleIsLeft(mode: SharingMode, seed: UInt64) {
        var scenario = SharedScenario()
        scenario.mode = mode
        scenario.instances = 4
        scenario.seconds = 62 * 3
        let result = SharedSimulation(configuration(requests: 300, tokens: 60_000), scenario, seed: seed)
            .run()
        #expect(!result.isOverAnyLimit, "seed \(seed): \(result.text())")
        #expect(result.failed == 0)
        let least = mode == .exact ? 0.96 : 0.95
        #expect(result.deployments[0].requestsUsed ?? 0 >= least, "seed \(seed): \(result.text())")
        #expect(result.deployments[1].tokensUsed ?? 0 >= least, "seed \(seed): \(result.text())")
    }

    @Test(arguments: [SharingMode.exact, .leased]) func noCallFailsWithoutTheStore(mode: SharingMode) {
        var scenario = SharedScenario()
        scenario.mode = mode
        scenario.instances = 4
        scenario.load = 0.5
        scenario.seconds = 130
        scenario.outages = [20...35, 60...61]
        scenario.losses = [40, 90]
        let result = SharedSimulation(configuration(requests: 600, tokens: nil), scenario, seed: 3).run()
        #expect(result.failed == 0)
        #expect(result.admitted == result.calls, "\(result.text())")
        #expect(!result.isOverAnyLimit)
    }

    /// Blocks spare the store: what it is asked does not grow with the calls.
    @Test func leasesAskSeldom() {
        var scenario = SharedScenario()
        scenario.instances = 2
        scenario.load = 0.5
        scenario.seconds = 70
        let result = SharedSimulation(configuration(requests: 6_000, tokens: nil), scenario, seed: 4).run()
        #expect(Double(result.waited) < 0.1 * Double(result.calls), "\(result.text())")
        #expect(Double(result.reports) < 2 * 4.5 * 75, "\(result.text())")
    }

    private func configuration(requests: Int?, tokens: Int?) -> RouterConfiguration {
        var deployments: [Deployment] = []
        if let requests {
            deployments.append(Deployment(id: "a", modelGroup: "g", requestsPerMinute: requests))
        }
        if let tokens { deployments.append(Deployment(id: "b", modelGroup: "g", tokensPerMinute: tokens)) }
        return RouterConfiguration(deployments: deployments)
    }
}
