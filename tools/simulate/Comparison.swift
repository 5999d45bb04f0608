// Every strategy in the same five worlds, as a table in Markdown.
import JunctionReport
import JunctionRouting

/// One of the five worlds.
public struct ComparisonScenario: Sendable {
    public var name: String
    public var meaning: String
    var configuration: RouterConfiguration
    var scenario: Scenario

    public static let all: [ComparisonScenario] = [steady, burst, slow, halfDown, uneven]

    private static let steady = ComparisonScenario(
        "steady", "60 calls a second for ten minutes, four deployments alike with room for twice as many")

    private static let burst: ComparisonScenario = {
        var world = ComparisonScenario(
            "burst", "as steady, and 400 calls a second more for ten seconds in every second minute")
        for minute in stride(from: 1, to: 10, by: 2) {
            var burst = world.scenario.callers[0]
            (burst.rate, burst.from) = (400, Double(minute) * 60)
            burst.until = burst.from + 10
            world.scenario.callers.append(burst)
        }
        return world
    }()

    private static let slow: ComparisonScenario = {
        var world = ComparisonScenario("one slow", "as steady, but one deployment is ten times as slow")
        var provider = ProviderBehaviour()
        provider.firstToken = .logNormal(median: 4, p99: 20)
        provider.perToken = .logNormal(median: 0.12, p99: 0.3)
        world.scenario.providers["d0"] = provider
        return world
    }()

    private static let halfDown: ComparisonScenario = {
        var world = ComparisonScenario(
            "half down", "as steady, but two of the four fail from 2:00 to 6:00, one of them silently")
        for (id, failure) in [("d0", Failure.Kind.serverError), ("d1", .timeout)] {
            var provider = ProviderBehaviour()
            provider.outages = [Outage(from: 120, until: 360, failure: failure)]
            world.scenario.providers[id] = provider
        }
        return world
    }()

    private static let uneven: ComparisonScenario = {
        var world = ComparisonScenario(
            "uneven limits", "as steady, but the four have room for 6, 12, 25 and 60 calls a second")
        for (index, calls) in [6, 12, 25, 60].enumerated() {
            world.configuration.deployments[index].tokensPerMinute = calls * 60 * 900
            world.configuration.deployments[index].requestsPerMinute = calls * 60
        }
        return world
    }()

    private init(_ name: String, _ meaning: String) {
        self.name = name
        self.meaning = meaning
        // A call reserves 780 tokens on average and uses 500: the requests run out before the tokens.
        configuration = RouterConfiguration(
            deployments: (0..<4).map {
                Deployment(
                    id: "d\($0)", modelGroup: "m", tokensPerMinute: 30 * 60 * 900,
                    requestsPerMinute: 30 * 60,
                    prices: TokenPrices(input: 1e-6 * Double($0 + 1), output: 4e-6 * Double($0 + 1)))
            })
        var caller = CallerBehaviour()
        caller.rate = 60
        caller.promptTokens = .logNormal(median: 300, p99: 1_500)
        caller.completionTokens = .logNormal(median: 100, p99: 400)
        caller.maxTokens = 400
        caller.deadline = 30
        caller.givesUp = 0.01
        scenario = Scenario()
        scenario.callers = [caller]
    }

    /// What becomes of the world under a strategy.
    ///
    /// - Parameter scale: the share of the ten minutes' calls that are made, at the same shape: rates and
    ///   limits are scaled alike.
    public func run(_ strategy: Strategy, seed: UInt64, scale: Double = 1) throws -> SimulationResult {
        var configuration = configuration
        configuration.strategy = strategy
        var callers = scenario.callers
        for index in callers.indices { callers[index].rate *= scale }
        for index in configuration.deployments.indices {
            func scaled(_ limit: Int?) -> Int? { limit.map { Int(Double($0) * scale) } }
            let deployment = configuration.deployments[index]
            configuration.deployments[index].tokensPerMinute = scaled(deployment.tokensPerMinute)
            configuration.deployments[index].requestsPerMinute = scaled(deployment.requestsPerMinute)
        }
        return try Simulation(
            configuration, scenario: scenario, calls: .callers(callers, seconds: 600), seed: seed
        ).run()
    }
}

/// The table of every strategy in the five worlds.
public func comparisonTable(seed: UInt64, scale: Double = 1) throws -> String {
    let options = scale == 1 ? "--seed \(seed)" : "--seed \(seed) --scale \(scale)"
    var text = """
        # The strategies compared

        Made by `junction simulate --table \(options)`: the routing core as it serves, in virtual time
        around simulated providers. The same seed makes the same table.

        Half of the calls stream; one caller in a hundred gives up after five seconds; the deadline is 30
        seconds. *Served* is the share of the calls answered whose callers stayed, the times are from a
        call's arrival to the end of its answer, *retries* are attempts for each call beyond its first, and
        *over* counts tokens used beyond the limits.

        """
    for world in ComparisonScenario.all {
        text +=
            "\n## \(world.name)\n\n\(world.meaning.prefix(1).uppercased())\(world.meaning.dropFirst()).\n\n"
        text += "| strategy | served | p50 | p99 | retries | cost | over |\n|---|---|---|---|---|---|---|\n"
        for strategy in Strategy.allCases {
            let result = try world.run(strategy, seed: seed, scale: scale)
            let retries = fixed(Double(result.retries) / Double(max(1, result.calls)), 3)
            text += "| `\(strategy.rawValue)` | \(fixed(result.shareServed * 100, 2)) %"
            text += " | \(time(result.p50)) | \(time(result.p99)) | \(retries) | \(dollars(result.cost))"
            text += " | \(result.tokensOverLimit) |\n"
        }
    }
    return text + (try windowTable(seed: seed, scale: scale))
}

/// The two ways in which the router can count a minute, before providers that count it in their own ways.
private func windowTable(seed: UInt64, scale: Double) throws -> String {
    var text = """

        ## rate_limit_window

        One deployment with room for ten calls a second, asked for twenty in an hour, one attempt a call: how
        much of the provider's limit is used, and how many requests it refuses with a 429, by how router and
        provider count a minute. *Offset*: the provider's minutes begin 30 seconds after the router's.

        | provider | router | limit used | refused |
        |---|---|---|---|

        """
    let worlds: [(String, ProviderWindow, Double)] = [
        ("fixed", .fixed, 0), ("fixed, offset", .fixed, 30), ("sliding", .sliding, 0), ("bucket", .bucket, 0),
    ]
    for (name, window, offset) in worlds {
        for ours in RateLimitWindow.allCases {
            var configuration = RouterConfiguration(
                deployments: [
                    Deployment(id: "d", modelGroup: "m", requestsPerMinute: Int(600 * scale))
                ], numRetries: 0)
            configuration.rateLimitWindow = ours
            var scenario = Scenario()
            scenario.provider.window = window
            scenario.provider.minuteOffset = offset
            var caller = CallerBehaviour()
            caller.rate = 20 * scale
            caller.deadline = 30
            let result = try Simulation(
                configuration, scenario: scenario, calls: .callers([caller], seconds: 3_600), seed: seed
            ).run()
            let refused = result.deployments[0].refused
            let used = Double(result.answered) / (36_000 * scale)
            text += "| \(name) | `\(ours.rawValue)` | \(fixed(used * 100, 1)) %"
            text += " | \(refused) |\n"
        }
    }
    return text
}
