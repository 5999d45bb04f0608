// What a decision costs: choose + reserve + settle of one call, in nanoseconds of one core and in
// allocations, for each strategy and both windows at 10 and at 1,000 deployments.
// Run in release: swift run -c release routing-bench
// Exit code 1: more than 1 µs at 10 deployments, more than 3 µs at 1,000, or an allocation.
import AllocationCount
import Glibc
import JunctionRouting

/// Nanoseconds a call, the best of many rounds: what other processes take is not ours; and allocations a
/// call, in all rounds but the first.
func measure(
    _ strategy: Strategy, _ window: RateLimitWindow, deployments count: Int, calls: Int
) -> (nanoseconds: Double, allocations: Double) {
    let deployments = (0..<count).map { index in
        Deployment(
            id: "d\(index)", modelGroup: "m", tokensPerMinute: 1_000_000_000, requestsPerMinute: 100_000_000,
            prices: TokenPrices(input: Double(index % 7), output: 1))
    }
    var configuration = RouterConfiguration(deployments: deployments, strategy: strategy)
    configuration.rateLimitWindow = window
    let router = Router(configuration)
    var traits = CallTraits(modelGroup: 0, estimatedTokens: 0, isStreaming: false)
    traits.size = CallSize(tokens: 10, asciiBytes: 200, otherBytes: 10, maxAnswerTokens: nil)
    var random = RandomSource(seed: 1)
    var best = Double.infinity
    var milliseconds = 0
    var before = 0
    let rounds = 12
    for round in 0..<rounds {
        if round == 1 { before = allocations() }
        let start = ContinuousClock.now
        for number in 0..<calls {
            if number % 100 == 0 { milliseconds += 1 }
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
    return (best, Double(allocations() - before) / Double(calls * (rounds - 1)))
}

func column(_ text: String) -> String { String(repeating: " ", count: max(0, 12 - text.count)) + text }

print("ns a decision" + String(repeating: " ", count: 17) + column("10") + column("1,000") + " deployments")
var most = 0.0
var isQuick = true
for window in RateLimitWindow.allCases {
    for strategy in Strategy.allCases {
        let few = measure(strategy, window, deployments: 10, calls: 100_000)
        let many = measure(strategy, window, deployments: 1_000, calls: 20_000)
        most = max(most, few.allocations, many.allocations)
        isQuick = isQuick && few.nanoseconds <= 1_000 && many.nanoseconds <= 3_000
        let name = "\(strategy.rawValue), \(window.rawValue)"
        print(
            name + String(repeating: " ", count: 30 - name.count) + column("\(Int(few.nanoseconds))")
                + column("\(Int(many.nanoseconds))"))
    }
}
print("allocations a decision: \(most)")
if !isQuick { print("a decision takes more than 1 µs at 10 deployments, or 3 µs at 1,000") }
exit(isQuick && most < 0.01 ? 0 : 1)
