// One way to reach a model: what the core needs to know of it to choose it. Where it is and how to speak
// with it, the core does not know.

/// A deployment of a model group. Its index in `RouterConfiguration.deployments` is its identity.
public struct Deployment: Sendable {
    /// Unique name; also a model name that callers may ask for.
    public var id: String
    /// The name of its model group.
    public var modelGroup: String
    /// What it takes at most.
    public var limits: Limits
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
    /// What its tokens cost.
    public var prices: TokenPrices
    /// The model's context window, in tokens; nil: unknown.
    public var maxInputTokens: Int?
    /// Whether it goes on with the beginning of an answer when it is given one.
    public var continuesText = false
    /// What it cannot give: a call that asks for any of it goes elsewhere.
    public var lacks: Features = []
    /// The provider's name, which `RouterConfiguration.providerBudgets` go by.
    public var provider = ""
    /// Where it is; calls can ask for regions. nil: unknown, in none.
    public var region: String?

    public init(
        id: String, modelGroup: String, tokensPerMinute: Int? = nil, requestsPerMinute: Int? = nil,
        maxParallelRequests: Int? = nil, weight: Double? = nil, order: Int? = nil, tags: [String] = [],
        timeout: Duration? = nil, streamTimeout: Duration? = nil, numRetries: Int? = nil,
        cooldownTime: Duration? = nil, prices: TokenPrices = TokenPrices(), maxInputTokens: Int? = nil
    ) {
        self.id = id
        self.modelGroup = modelGroup
        limits = Limits(
            tokensPerMinute: tokensPerMinute, requestsPerMinute: requestsPerMinute,
            maxParallelRequests: maxParallelRequests)
        self.weight = weight
        self.order = order
        self.tags = tags
        self.timeout = timeout
        self.streamTimeout = streamTimeout
        self.numRetries = numRetries
        self.cooldownTime = cooldownTime
        self.prices = prices
        self.maxInputTokens = maxInputTokens
    }

    /// `limits.tokensPerMinute`
    public var tokensPerMinute: Int? {
        get { limits.tokensPerMinute }
        set { limits.tokensPerMinute = newValue }
    }
    /// `limits.requestsPerMinute`
    public var requestsPerMinute: Int? {
        get { limits.requestsPerMinute }
        set { limits.requestsPerMinute = newValue }
    }
    /// `limits.maxParallelRequests`
    public var maxParallelRequests: Int? {
        get { limits.maxParallelRequests }
        set { limits.maxParallelRequests = newValue }
    }
}
