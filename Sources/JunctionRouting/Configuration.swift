// What a router is made of, as values. Where it was read from, the core does not know.

/// The deployments of a router and how it chooses among them. Names and defaults are LiteLLM's.
public struct RouterConfiguration: Sendable {
    /// Every deployment. Its index here is its identity everywhere.
    public var deployments: [Deployment]
    /// Other names of model groups (`model_group_alias`).
    public var aliases: [String: String]
    /// Model groups to try, in order, when one cannot answer. "*" stands for every group without its own.
    public var fallbacks: [String: [String]]
    /// Model groups to try when the prompt is too long for one.
    public var contextWindowFallbacks: [String: [String]]
    /// Model groups to try when the content policy of one refused.
    public var contentPolicyFallbacks: [String: [String]]
    /// Fallbacks of the groups that have none in `fallbacks`.
    public var defaultFallbacks: [String]
    /// Most fallbacks tried for one call.
    public var maxFallbacks: Int
    /// Most retries within one model group after its first attempt. nil: 2, but every deployment of the
    /// group may be tried once.
    public var numRetries: Int?
    /// Most retries after failures of a class, in the place of `numRetries`. Where the table of failures
    /// would ask no other deployment, a number above zero lets it.
    public var retryPolicy: [RetryClass: Int]
    /// The policies of single model groups, by their names, each in the place of `retryPolicy` as a whole.
    public var modelGroupRetryPolicies: [String: [RetryClass: Int]]
    /// Most retries at deployments that a call has tried, or that are cooling down, in the calls of a model
    /// group together: this share of its calls in ten seconds, and ten a second beside. The way to an open
    /// deployment that a call has not tried is free.
    public var retryBudget: Double
    /// Most time for one attempt.
    public var timeout: Duration
    /// Most time to the first content of a stream; nil: `timeout`.
    public var streamTimeout: Duration?
    /// Time for a call, over all attempts, when its caller set no deadline.
    public var defaultDeadline: Duration
    /// How long a deployment is left alone after failures; zero: never by our own judgement. Then one call
    /// probes it; each probe that fails doubles the time, up to 120 s.
    public var cooldownTime: Duration
    /// Failures in a minute that are borne before a deployment is cooled down. nil: more than half of at
    /// least five attempts in a minute, or five in a row.
    public var allowedFails: Int?
    /// Whether a call's tags choose the deployments that it may use.
    public var enableTagFiltering: Bool
    /// How a deployment is chosen among those that are open.
    public var strategy: Strategy
    /// How a deployment is chosen in single model groups, by their names.
    public var modelGroupStrategies: [String: Strategy]
    /// `latency-based-routing` chooses at random among deployments at most this share slower than the
    /// fastest.
    public var lowestLatencyBuffer: Double
    /// Whether a second attempt is made beside a slow one, where the call does not say.
    public var hedging = Hedging(isEnabled: false)
    /// Most hedges in the calls of a model group together: this share of its calls in ten seconds, and one
    /// in ten seconds beside.
    public var hedgeBudget = 0.05

    public init(
        deployments: [Deployment], aliases: [String: String] = [:], fallbacks: [String: [String]] = [:],
        contextWindowFallbacks: [String: [String]] = [:], contentPolicyFallbacks: [String: [String]] = [:],
        defaultFallbacks: [String] = [], maxFallbacks: Int = 5, numRetries: Int? = nil,
        retryPolicy: [RetryClass: Int] = [:], modelGroupRetryPolicies: [String: [RetryClass: Int]] = [:],
        retryBudget: Double = 0.2, timeout: Duration = .seconds(600), streamTimeout: Duration? = nil,
        defaultDeadline: Duration = .seconds(600), cooldownTime: Duration = .seconds(5),
        allowedFails: Int? = nil, enableTagFiltering: Bool = false, strategy: Strategy = .usageBased,
        modelGroupStrategies: [String: Strategy] = [:], lowestLatencyBuffer: Double = 0
    ) {
        self.deployments = deployments
        self.aliases = aliases
        self.fallbacks = fallbacks
        self.contextWindowFallbacks = contextWindowFallbacks
        self.contentPolicyFallbacks = contentPolicyFallbacks
        self.defaultFallbacks = defaultFallbacks
        self.maxFallbacks = maxFallbacks
        self.numRetries = numRetries
        self.retryPolicy = retryPolicy
        self.modelGroupRetryPolicies = modelGroupRetryPolicies
        self.retryBudget = retryBudget
        self.timeout = timeout
        self.streamTimeout = streamTimeout
        self.defaultDeadline = defaultDeadline
        self.cooldownTime = cooldownTime
        self.allowedFails = allowedFails
        self.enableTagFiltering = enableTagFiltering
        self.strategy = strategy
        self.modelGroupStrategies = modelGroupStrategies
        self.lowestLatencyBuffer = lowestLatencyBuffer
    }
}
