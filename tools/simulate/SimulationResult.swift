// What a simulation came to: for each deployment, over all calls, and over time.
import JunctionRouting

/// The end of a simulation.
public struct SimulationResult: Sendable, Equatable, Encodable {
    public struct ByDeployment: Sendable, Equatable, Encodable {
        public var id: String
        public var modelGroup: String
        /// Of all calls that were answered, those that it answered.
        public var share = 0.0
        public var answered = 0
        public var attempts = 0
        /// Attempts that were not their call's first.
        public var retries = 0
        /// Attempts beside one that was slow.
        public var hedges = 0
        public var failures = 0
        /// Requests that the provider refused with 429.
        public var refused = 0
        /// What it used.
        public var promptTokens = 0
        public var completionTokens = 0
        /// US dollars; nil: no price is configured.
        public var cost: Double?
        /// Seconds from a call's arrival to the end of its answer, and to a stream's first content.
        public var p50: Double?
        public var p99: Double?
        public var firstContentP50: Double?
        public var firstContentP99: Double?
        /// What the provider saw beyond the configured limits, summed over its minutes.
        public var tokensOverLimit = 0
        public var requestsOverLimit = 0
        public var secondsOverLimit = 0.0
        /// What the provider counted, and what the router did: the same when nothing is lost.
        public var requestsSeen = 0
        public var requestsCounted = 0
        public var tokensSeen = 0
        public var tokensCounted = 0
        /// What is still held at the end; zero when nothing leaks.
        public var tokensHeld = 0
        public var requestsHeld = 0
    }

    /// Calls that arrived in one span of time, and what became of them.
    public struct Span: Sendable, Equatable, Encodable {
        public var from = 0.0
        public var calls = 0
        /// By deployment.
        public var answered: [Int]
        public var limited = 0
        public var failed = 0
        public var p50: Double?
        public var p99: Double?
    }

    public var deployments: [ByDeployment] = []
    public var strategy = ""
    public var calls = 0
    public var answered = 0
    /// By outcome.
    public var failed: [String: Int] = [:]
    /// Callers that gave up.
    public var left = 0
    /// Answered by a fallback.
    public var byFallback = 0
    public var attempts = 0
    public var retries = 0
    public var hedges = 0
    public var cost: Double?
    public var p50: Double?
    public var p99: Double?
    public var tokensOverLimit = 0
    public var requestsOverLimit = 0
    /// When the last call ended.
    public var seconds = 0.0
    public var spans: [Span] = []

    /// Of the calls whose callers stayed, those that were answered.
    public var shareServed: Double { calls == left ? 1 : Double(answered) / Double(calls - left) }
}

/// Counts while a simulation runs.
struct Measurements {
    private static let spansMost = 120

    private struct Counts {
        var answered = 0
        var attempts = 0
        var retries = 0
        var hedges = 0
        var failures = 0
        var prompt = 0
        var completion = 0
        var whole = Histogram()
        var first = Histogram()
    }

    private var counts: [Counts]
    private var spans: [SimulationResult.Span]
    private var latencies: [Histogram]
    private let spanLength: Int
    private var result = SimulationResult()
    private var outcomes = [Int](repeating: 0, count: RouteFailure.Outcome.allCases.count)

    init(deployments: Int, seconds: Double) {
        counts = Array(repeating: Counts(), count: deployments)
        spanLength = max(second, nanoseconds(seconds) / Self.spansMost + 1)
        spans = (0...nanoseconds(seconds) / spanLength).map { [spanLength] in
            SimulationResult.Span(
                from: Double($0 * spanLength) * 1e-9, answered: Array(repeating: 0, count: deployments))
        }
        latencies = Array(repeating: Histogram(), count: spans.count)
    }

    mutating func arrived(at now: Int) {
        result.calls += 1
        spans[now / spanLength].calls += 1
    }

    mutating func attempted(at deployment: Int, isRetry: Bool, isHedge: Bool) {
        counts[deployment].attempts += 1
        if isHedge { counts[deployment].hedges += 1 }
        if isRetry { counts[deployment].retries += 1 }
    }

    mutating func attemptFailed(at deployment: Int) { counts[deployment].failures += 1 }

    mutating func firstContent(after nanoseconds: Int, at deployment: Int) {
        counts[deployment].first.add(nanoseconds: nanoseconds)
    }

    mutating func used(prompt: Int, completion: Int, at deployment: Int) {
        counts[deployment].prompt += prompt
        counts[deployment].completion += completion
    }

    mutating func answered(by deployment: Int, arrivedAt: Int, now: Int, fallbackUsed: Bool) {
        counts[deployment].answered += 1
        counts[deployment].whole.add(nanoseconds: now - arrivedAt)
        spans[arrivedAt / spanLength].answered[deployment] += 1
        latencies[arrivedAt / spanLength].add(nanoseconds: now - arrivedAt)
        if fallbackUsed { result.byFallback += 1 }
    }

    mutating func failed(_ outcome: RouteFailure.Outcome, arrivedAt: Int) {
        outcomes[RouteFailure.Outcome.allCases.firstIndex(of: outcome)!] += 1
        if outcome == .limited {
            spans[arrivedAt / spanLength].limited += 1
        } else {
            spans[arrivedAt / spanLength].failed += 1
        }
    }

    mutating func left() { result.left += 1 }

    func result(
        _ configuration: RouterConfiguration, providers: [SimulatedProvider], usage: [DeploymentUsage],
        endedAt: Int
    ) -> SimulationResult {
        var result = result
        var whole = Histogram()
        result.strategy = configuration.strategy.rawValue
        result.answered = counts.reduce(0) { $0 + $1.answered }
        for (index, deployment) in configuration.deployments.enumerated() {
            let one = byDeployment(
                deployment, counts[index], providers[index], usage[index], answeredByAll: result.answered)
            whole.add(counts[index].whole)
            result.attempts += one.attempts
            result.retries += one.retries
            result.hedges += one.hedges
            result.tokensOverLimit += one.tokensOverLimit
            result.requestsOverLimit += one.requestsOverLimit
            if let cost = one.cost { result.cost = (result.cost ?? 0) + cost }
            result.deployments.append(one)
        }
        for (outcome, count) in zip(RouteFailure.Outcome.allCases, outcomes) where count > 0 {
            result.failed["\(outcome)"] = count
        }
        (result.p50, result.p99) = (whole.seconds(below: 0.5), whole.seconds(below: 0.99))
        result.seconds = Double(endedAt) * 1e-9
        result.spans = zip(spans, latencies).map { span, latency in
            var span = span
            (span.p50, span.p99) = (latency.seconds(below: 0.5), latency.seconds(below: 0.99))
            return span
        }
        return result
    }

    private func byDeployment(
        _ deployment: Deployment, _ counts: Counts, _ provider: SimulatedProvider, _ usage: DeploymentUsage,
        answeredByAll: Int
    ) -> SimulationResult.ByDeployment {
        var one = SimulationResult.ByDeployment(id: deployment.id, modelGroup: deployment.modelGroup)
        one.share = answeredByAll == 0 ? 0 : Double(counts.answered) / Double(answeredByAll)
        (one.answered, one.attempts, one.retries) = (counts.answered, counts.attempts, counts.retries)
        one.hedges = counts.hedges
        (one.failures, one.refused) = (counts.failures, provider.refused)
        (one.promptTokens, one.completionTokens) = (counts.prompt, counts.completion)
        if deployment.inputCostPerToken != nil || deployment.outputCostPerToken != nil {
            one.cost =
                Double(counts.prompt) * (deployment.inputCostPerToken ?? 0)
                + Double(counts.completion) * (deployment.outputCostPerToken ?? 0)
        }
        (one.p50, one.p99) = (counts.whole.seconds(below: 0.5), counts.whole.seconds(below: 0.99))
        (one.firstContentP50, one.firstContentP99) = (
            counts.first.seconds(below: 0.5), counts.first.seconds(below: 0.99)
        )
        (one.tokensOverLimit, one.requestsOverLimit) = (provider.tokensOverLimit, provider.requestsOverLimit)
        one.secondsOverLimit = Double(provider.timeOverLimit) * 1e-9
        (one.requestsSeen, one.requestsCounted) = (provider.requests, usage.requestsInTotal)
        (one.tokensSeen, one.tokensCounted) = (provider.tokens, usage.tokensInTotal)
        (one.tokensHeld, one.requestsHeld) = (usage.tokensOutstanding, usage.inFlight)
        return one
    }
}
