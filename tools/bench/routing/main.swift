// What a decision costs: choose + reserve + settle of one call, in nanoseconds of one core, for each
// strategy at 10 and at 1,000 deployments. Run in release: swift run -c release routing-bench
import JunctionRouting

/// Nanoseconds a call, the best of five rounds: what other processes take is not ours.
func measure(_ strategy: Strategy, deployments count: Int, calls: Int) -> Double {
    let deployments = (0..<count).map { index in
        Deployment(
            id: "d\(index)", modelGroup: "m", tokensPerMinute: 1_000_000_000, requestsPerMinute: 100_000_000,
            inputCostPerToken: Double(index % 7), outputCostPerToken: 1)
    }
    let router = Router(RouterConfiguration(deployments: deployments, strategy: strategy))
    let traits = CallTraits(modelGroup: 0, estimatedTokens: 100, isStreaming: false)
    var random = RandomSource(seed: 1)
    var best = Double.infinity
    var milliseconds = 0
    for _ in 0..<5 {
        let start = ContinuousClock.now
        for number in 0..<calls {
            if number % 1_000 == 0 { milliseconds += 1 }
            let now = Instant(.milliseconds(milliseconds))
            var route = Route(router: router, call: traits, now: now)
            guard case .attempt(let attempt) = route.start(now: now, random: &random) else {
                fatalError("no attempt")
            }
            route.finished(
                attempt: attempt.number, usage: TokenUsage(prompt: 60 + number % 80, completion: 20),
                now: now + .milliseconds(1))
        }
        best = min(best, (ContinuousClock.now - start) / .nanoseconds(calls))
    }
    return best
}

func column(_ text: String) -> String { String(repeating: " ", count: max(0, 12 - text.count)) + text }

print("ns a decision" + column("10") + column("1,000") + " deployments")
for strategy in Strategy.allCases {
    let few = measure(strategy, deployments: 10, calls: 200_000)
    let many = measure(strategy, deployments: 1_000, calls: 20_000)
    let name = strategy.rawValue
    print(name + column("\(Int(few))") + column("\(Int(many))"))
}
