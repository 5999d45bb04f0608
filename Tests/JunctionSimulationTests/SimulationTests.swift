// The simulated world itself: the same seed gives the same course, nothing is lost, limits hold.
import Foundation
import JunctionRouting
import Testing

@testable import JunctionSimulation

/// Four deployments of one group with limits, and one behind them.
private func configuration(_ change: (inout RouterConfiguration) -> Void = { _ in }) -> RouterConfiguration {
    var deployments = (0..<4).map {
        Deployment(id: "d\($0)", modelGroup: "m", tokensPerMinute: 600_000, requestsPerMinute: 600)
    }
    deployments[2].maxParallelRequests = 5
    deployments.append(Deployment(id: "last", modelGroup: "n", requestsPerMinute: 200))
    var configuration = RouterConfiguration(deployments: deployments, fallbacks: ["m": ["n"]])
    change(&configuration)
    return configuration
}

/// Everything that can go wrong at once.
private let chaos: Scenario = {
    var scenario = Scenario()
    scenario.provider.failureRate = 0.05
    scenario.provider.hangRate = 0.01
    scenario.provider.cutRate = 0.05
    scenario.provider.slowStartFactor = 5
    var stingy = scenario.provider
    stingy.requestsPerMinute = 200
    stingy.minuteOffset = 20
    scenario.providers["d1"] = stingy
    scenario.providers["d0"] = scenario.provider
    scenario.providers["d0"]?.outages = [
        Outage(from: 50, until: 100), Outage(from: 150, until: 200, failure: .timeout, share: 0.7),
    ]
    var caller = CallerBehaviour()
    caller.rate = 30
    caller.givesUp = 0.1
    caller.givesUpAfter = .logNormal(median: 1, p99: 10)
    caller.deadline = 20
    var burst = caller
    (burst.rate, burst.from, burst.until) = (150, 70, 80)
    scenario.callers = [caller, burst]
    return scenario
}()

private func run(_ configuration: RouterConfiguration, seed: UInt64) throws -> SimulationResult {
    try Simulation(
        configuration, scenario: chaos, calls: .callers(chaos.callers, seconds: 240), seed: seed
    ).run()
}

struct SimulationTests {
    @Test func theSameSeedGivesTheSameResult() throws {
        #expect(try run(configuration(), seed: 3) == run(configuration(), seed: 3))
        #expect(try run(configuration(), seed: 3) != run(configuration(), seed: 4))
    }

    /// Every call ends in one way, nothing stays reserved, both sides count alike, and limits hold.
    @Test(arguments: Strategy.allCases, [1, 2] as [UInt64])
    func nothingIsLost(_ strategy: Strategy, seed: UInt64) throws {
        let result = try run(configuration { $0.strategy = strategy }, seed: seed)
        #expect(result.calls > 7_000)
        #expect(result.answered + result.failed.values.reduce(0, +) + result.left == result.calls)
        // The world is hard enough for the rest to mean something, and not dead.
        #expect(result.answered > result.calls / 3 && result.retries > 100 && result.left > 0)
        #expect(!result.failed.isEmpty)
        for one in result.deployments {
            #expect(one.tokensHeld == 0 && one.requestsHeld == 0, "\(one.id)")
            #expect(one.requestsSeen == one.requestsCounted, "\(one.id)")
            #expect(one.tokensSeen == one.tokensCounted, "\(one.id)")
            #expect(one.requestsSeen == one.attempts, "\(one.id)")
            #expect(one.tokensSeen == one.promptTokens + one.completionTokens, "\(one.id)")
        }
        // The provider with shifted minutes does not count as the router does.
        let aligned = result.deployments.filter { $0.id != "d1" }
        #expect(aligned.allSatisfy { $0.tokensOverLimit == 0 && $0.requestsOverLimit == 0 })
        #expect(result.spans.reduce(0) { $0 + $1.calls } == result.calls)
        #expect(result.spans.reduce(0) { $0 + $1.answered.reduce(0, +) } == result.answered)
    }

    /// Where calls reserve too little, the measure says so: it can be other than zero.
    @Test func useBeyondTheReservationIsSeen() throws {
        var caller = CallerBehaviour()
        (caller.promptTokens, caller.completionTokens, caller.maxTokens) = (
            .constant(10), .constant(990), nil
        )
        let deployment = Deployment(id: "d", modelGroup: "m", tokensPerMinute: 100_000)
        var scenario = Scenario()
        scenario.provider.tokensPerMinute = .max
        let result = try Simulation(
            RouterConfiguration(deployments: [deployment]), scenario: scenario,
            calls: .callers([caller], seconds: 120), seed: 1
        ).run()
        #expect(result.tokensOverLimit > 0 && result.deployments[0].secondsOverLimit > 0)
    }

    /// A provider refuses what is over its own limits, and the router goes elsewhere.
    @Test func aProviderKnowsItsLimits() throws {
        var caller = CallerBehaviour()
        (caller.rate, caller.isPoisson) = (2, false)
        var scenario = Scenario()
        scenario.provider.firstToken = .constant(0.1)
        scenario.provider.perToken = .constant(0)
        scenario.providers["a"] = scenario.provider
        scenario.providers["a"]?.requestsPerMinute = 10
        let deployments = ["a", "b"].map { Deployment(id: $0, modelGroup: "m") }
        let result = try Simulation(
            RouterConfiguration(deployments: deployments), scenario: scenario,
            calls: .callers([caller], seconds: 60), seed: 1
        ).run()
        #expect(result.deployments[0].answered == 10 && result.deployments[0].refused > 0)
        #expect(result.answered == result.calls && result.calls == 119)
    }

    @Test func aTraceIsPlayedAsItStands() throws {
        let calls = (0..<100).map {
            TracedCall(
                at: Double($0), model: $0 % 4 == 0 ? "n" : "m", promptTokens: 10, completionTokens: 5,
                isStreaming: false)
        }
        let result = try Simulation(configuration(), scenario: Scenario(), calls: .trace(calls), seed: 1)
            .run()
        #expect(result.answered == 100)
        #expect(result.deployments[4].answered == 25 && result.deployments[4].tokensSeen == 25 * 15)
        let unknown = TracedCall(
            at: 0, model: "x", promptTokens: 1, completionTokens: 1, isStreaming: false)
        #expect(throws: Simulation.UnknownModel(name: "x")) {
            try Simulation(configuration(), scenario: Scenario(), calls: .trace([unknown]), seed: 1)
        }
    }

    @Test func percentilesAreTrueToThreeInAHundred() {
        var histogram = Histogram()
        for milliseconds in 1...10_000 { histogram.add(nanoseconds: milliseconds * 1_000_000) }
        for share in [0.01, 0.5, 0.9, 0.99, 1] {
            #expect(abs(histogram.seconds(below: share)! / (share * 10) - 1) < 0.03)
        }
        #expect(Histogram().seconds(below: 0.5) == nil)
    }

    @Test func logNormalHasItsMedianAndPercentile() {
        var random = RandomSource(seed: 5)
        let samples = (0..<20_000).map { _ in Quantity.logNormal(median: 2, p99: 9).sample(&random) }.sorted()
        #expect(abs(samples[10_000] - 2) < 0.1 && abs(samples[19_800] - 9) < 0.7)
    }

    @Test func thePageNeedsNoNetwork() throws {
        let result = try run(configuration { $0.deployments[0].id = "<b>&" }, seed: 1)
        let page = result.html(title: "A <title>")
        #expect(page.count { $0 == "\n" } > 20 && page.matches(of: #/<svg /#).count == 3)
        #expect(!page.contains("http") && !page.contains("nan") && !page.contains("<b>&<"))
        #expect(page.contains("&lt;b&gt;&amp;") && page.contains("A &lt;title&gt;"))
    }

    /// Every world and every strategy has its line.
    @Test func theTableIsWhole() throws {
        let table = try comparisonTable(seed: 1, scale: 0.05)
        let rows = table.split(separator: "\n").filter { $0.hasPrefix("| `") }
        #expect(rows.count == Strategy.allCases.count * 5)
        #expect(rows.allSatisfy { $0.hasSuffix("| 0 |") })
        #expect(try table == comparisonTable(seed: 1, scale: 0.05))
    }

    /// The committed table is of these worlds. `junction simulate --table > tools/simulate/strategies.md`
    /// makes it anew.
    @Test func theCommittedTableIsOfTheseWorlds() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let table = try String(
            contentsOf: root.appending(path: "tools/simulate/strategies.md"), encoding: .utf8)
        let headings = table.matches(of: #/(?m)^## (.+)$/#).map { String($0.1) }
        #expect(headings.starts(with: ComparisonScenario.all.map(\.name)))
        let strategies = Set(table.matches(of: #/(?m)^\| `([\w-]+)`/#).map { String($0.1) })
        #expect(!strategies.isEmpty && strategies.isSubset(of: Strategy.allCases.map(\.rawValue)))
    }

    /// Worlds of outages, storms of 429 and callers that leave; in every fourth, half of the deployments are
    /// down all the time.
    @Test(arguments: 1...32 as ClosedRange<UInt64>)
    func promisesAreKept(seed: UInt64) throws {
        let world = try promises(seed: seed, calls: 2_000, halfDown: seed % 4 == 0)
        #expect(world.calls == world.answered + world.left + world.failed && world.answered > 1_000)
        #expect(world.isKept, "seed \(seed): \(world)")
        #expect(world.retries * 5 <= world.calls * 6, "seed \(seed): \(world.retries)")
    }

    /// A call that may not be tried again fails beside a deployment that would have answered.
    @Test func aFailureThatCouldHaveBeenAvoidedIsFound() throws {
        var configuration = RouterConfiguration(
            deployments: ["down", "up"].map { Deployment(id: $0, modelGroup: "m") })
        configuration.numRetries = 0
        var scenario = Scenario()
        scenario.providers["down"] = ProviderBehaviour()
        scenario.providers["down"]!.outages = [Outage(from: 0, until: 1_000, failure: .serverError)]
        let callers = [CallerBehaviour()]
        let simulation = try Simulation(
            configuration, scenario: scenario, calls: .callers(callers, seconds: 10), seed: 1)
        simulation.watch = Watch()
        let result = simulation.run()
        let failed = result.failed.values.reduce(0, +)
        #expect(failed > 0 && simulation.watch!.avoidable == failed)
        #expect(simulation.watch!.example?.contains("by up") ?? false)
    }
}
