// The core's promises, kept or broken in worlds made up from seeds: outages, storms of 429, callers that leave.
import JunctionRouting

/// What became of one made-up world.
public struct PromiseResult: Sendable {
    public var seed: UInt64
    public var strategy: String
    public var calls = 0
    public var answered = 0
    public var left = 0
    public var failed = 0
    /// Calls that failed though a deployment they might have used could have answered them in time: it was in
    /// order all the time, had room at the beginning and at the end, and its provider had not sent 429.
    public var avoidable = 0
    /// The first of them, for a person to read.
    public var example: String?
    /// How many of them there are of each kind: what became of the call at that deployment.
    public var kinds: [String: Int] = [:]
    public var retries = 0
    /// Passed limits, as the providers counted: tokens and requests.
    public var overLimit = 0
    /// What is still reserved at the end: tokens and requests.
    public var held = 0
    /// What router and providers counted differently: tokens and requests.
    public var miscounted = 0

    public var isKept: Bool { avoidable == 0 && overLimit == 0 && held == 0 && miscounted == 0 }
}

/// A made-up world: the same seed makes the same one.
struct PromiseWorld {
    var configuration: RouterConfiguration
    var scenario = Scenario()
    var seconds: Double

    /// - Parameter halfDown: half of the deployments are out of order all the time; else it is for chance to
    ///   say which are, when, and in what way.
    init(seed: UInt64, calls: Int, halfDown: Bool) {
        var chance = RandomSource(seed: seed &* 0x9E37_79B9_7F4A_7C15)
        func between(_ low: Double, _ high: Double) -> Double { low + (high - low) * chance.fraction() }
        let rate = between(20, 200)
        seconds = Double(calls) / rate
        let count = 4 + Int(seed % 4)
        // A call reserves about 800 tokens; together the deployments have room for two to four times the calls.
        let room = between(2, 4) * rate / Double(count)
        configuration = RouterConfiguration(
            deployments: (0..<count).map { index in
                let share = between(0.5, 1.5)
                return Deployment(
                    id: "d\(index)", modelGroup: index < count - 1 ? "m" : "f",
                    tokensPerMinute: Int(room * share * 60 * 800), requestsPerMinute: Int(room * share * 60),
                    maxParallelRequests: index % 3 == 2 ? max(4, Int(room * share * 5)) : nil,
                    order: index % 5 == 4 ? 2 : 1)
            })
        configuration.strategy = Strategy.allCases[Int(seed) % Strategy.allCases.count]
        configuration.fallbacks = ["m": ["f"]]

        let kinds: [Failure.Kind] = [
            .connection, .serverError, .overloaded, .rateLimited, .timeout, .malformedResponse,
            .authentication, .notFound,
        ]
        for index in 0..<count {
            var provider = ProviderBehaviour()
            provider.firstToken = .logNormal(median: between(0.2, 1), p99: between(1, 3))
            provider.perToken = .logNormal(median: 0.01, p99: 0.02)
            provider.saysRetryAfter = chance.fraction() < 0.5
            if halfDown {
                if index % 2 == 0 {
                    provider.outages = [
                        Outage(from: 0, until: seconds + 1_000, failure: kinds[Int(seed / 2) % kinds.count])
                    ]
                }
            } else {
                var at = between(10, 200)
                while at < seconds {
                    let end = at + between(1, 90)
                    provider.outages.append(
                        Outage(
                            from: at, until: end, failure: kinds[Int(between(0, Double(kinds.count) - 0.01))],
                            share: chance.fraction() < 0.5 ? 1 : between(0.2, 1)))
                    at = end + between(20, 400)
                }
                // One provider in three is stricter than the configuration knows.
                if chance.fraction() < 0.33 {
                    provider.requestsPerMinute = Int(
                        Double(configuration.deployments[index].requestsPerMinute!) * between(0.3, 0.9))
                }
            }
            scenario.providers["d\(index)"] = provider
        }

        var caller = CallerBehaviour()
        caller.rate = rate
        caller.promptTokens = .logNormal(median: 300, p99: 1_500)
        caller.completionTokens = .logNormal(median: 100, p99: 400)
        caller.maxTokens = 400
        caller.deadline = between(15, 60)
        caller.givesUp = 0.03
        caller.givesUpAfter = .logNormal(median: 1, p99: 10)
        scenario.callers = [caller]
    }
}

/// Runs the world of a seed and looks into every failure.
public func promises(seed: UInt64, calls: Int, halfDown: Bool = false) throws -> PromiseResult {
    let world = PromiseWorld(seed: seed, calls: calls, halfDown: halfDown)
    let simulation = try Simulation(
        world.configuration, scenario: world.scenario,
        calls: .callers(world.scenario.callers, seconds: world.seconds), seed: seed)
    simulation.watch = Watch()
    let result = simulation.run()
    var kept = PromiseResult(seed: seed, strategy: result.strategy)
    (kept.calls, kept.answered, kept.left) = (result.calls, result.answered, result.left)
    kept.failed = result.failed.values.reduce(0, +)
    kept.retries = result.retries
    kept.overLimit = result.tokensOverLimit + result.requestsOverLimit
    for one in result.deployments {
        kept.held += one.tokensHeld + one.requestsHeld
        kept.miscounted +=
            abs(one.requestsSeen - one.requestsCounted) + abs(one.tokensSeen - one.tokensCounted)
    }
    kept.avoidable = simulation.watch!.avoidable
    kept.example = simulation.watch!.example
    kept.kinds = simulation.watch!.kinds
    return kept
}

/// The promises over seeds, as a table in Markdown, and whether all were kept.
public func promiseTable(calls: Int, seeds: UInt64, line: (String) -> Void) throws -> Bool {
    line(
        "| seed | world | strategy | calls | answered | left | failed | avoidable | retries a call | over limits | held | miscounted |"
    )
    line("|---|---|---|---|---|---|---|---|---|---|---|---|")
    var (calls, sum, isKept) = (calls / Int(seeds), PromiseResult(seed: 0, strategy: ""), true)
    calls = max(1, calls)
    for seed in 1...seeds {
        let halfDown = seed % 4 == 0
        let one = try promises(seed: seed, calls: calls, halfDown: halfDown)
        let isIn = one.isKept && (!halfDown || one.retries * 5 <= one.calls * 6)
        isKept = isKept && isIn
        line(row(one, halfDown ? "half down" : "chance"))
        if let example = one.example { line("\nBroken in seed \(seed): \(example)\n") }
        for (kind, count) in one.kinds.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            line("- \(count): \(kind)")
        }
        sum.calls += one.calls
        sum.answered += one.answered
        sum.left += one.left
        sum.failed += one.failed
        sum.avoidable += one.avoidable
        sum.retries += one.retries
        sum.overLimit += one.overLimit
        sum.held += one.held
        sum.miscounted += one.miscounted
    }
    line(row(sum, "all"))
    return isKept
}

private func row(_ one: PromiseResult, _ world: String) -> String {
    let retries = Double(one.retries * 1_000 / max(1, one.calls)) / 1_000
    return
        "| \(one.seed) | \(world) | \(one.strategy) | \(one.calls) | \(one.answered) | \(one.left) | \(one.failed)"
        + " | \(one.avoidable) | \(retries) | \(one.overLimit) | \(one.held) | \(one.miscounted) |"
}
