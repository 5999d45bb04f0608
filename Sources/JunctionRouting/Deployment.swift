// One way to reach a model: what the core needs to know of it to choose it. Where it is and how to speak
// with it, the core does not know.

/// A deployment of a model group. Its index in `RouterConfiguration.deployments` is its identity.
public struct Deployment: Sendable {
    /// Unique name; also a model name that callers may ask for.
    public var id: String
    /// The name of its model group.
    public var modelGroup: String
    /// Most tokens in a minute; nil: no limit.
    public var tokensPerMinute: Int?
    /// Most requests in a minute; nil: no limit.
    public var requestsPerMinute: Int?
    /// Most requests under way at a time; nil: no limit.
    public var maxParallelRequests: Int?
    /// Share of the calls under `simple-shuffle`, relative to the other deployments.
    public var weight: Double?
    /// Deployments of the lowest order are used while one of them is open; nil: after all that have one.
    public var order: Int?
    /// What calls are filtered by, where tag filtering is on. "default" takes calls that match nothing.
    public var tags: [String]
    /// Most time for one attempt; nil: the router's.
    public var timeout: Duration?
    /// Most time to the first content of a stream; nil: `timeout`, then the router's.
    public var streamTimeout: Duration?
    /// Most retries after it failed; nil: the router's. The caller's word comes first.
    public var numRetries: Int?
    /// How long it is left alone after failures; nil: the router's; zero: never by our own judgement.
    public var cooldownTime: Duration?
    /// US dollars a token of the prompt; nil: unknown.
    public var inputCostPerToken: Double?
    /// US dollars a token of the answer; nil: unknown.
    public var outputCostPerToken: Double?
    /// The model's context window, in tokens; nil: unknown.
    public var maxInputTokens: Int?
    /// Whether it goes on with the beginning of an answer when it is given one.
    public var continuesText = false

    public init(
        id: String, modelGroup: String, tokensPerMinute: Int? = nil, requestsPerMinute: Int? = nil,
        maxParallelRequests: Int? = nil, weight: Double? = nil, order: Int? = nil, tags: [String] = [],
        timeout: Duration? = nil, streamTimeout: Duration? = nil, numRetries: Int? = nil,
        cooldownTime: Duration? = nil, inputCostPerToken: Double? = nil, outputCostPerToken: Double? = nil,
        maxInputTokens: Int? = nil
    ) {
        self.id = id
        self.modelGroup = modelGroup
        self.tokensPerMinute = tokensPerMinute
        self.requestsPerMinute = requestsPerMinute
        self.maxParallelRequests = maxParallelRequests
        self.weight = weight
        self.order = order
        self.tags = tags
        self.timeout = timeout
        self.streamTimeout = streamTimeout
        self.numRetries = numRetries
        self.cooldownTime = cooldownTime
        self.inputCostPerToken = inputCostPerToken
        self.outputCostPerToken = outputCostPerToken
        self.maxInputTokens = maxInputTokens
    }
}
