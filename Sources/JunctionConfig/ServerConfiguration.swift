// What a configuration file says, as values: what the service starts with. Knows neither YAML nor where a
// value came from.
import JunctionProviders
import JunctionRouting

/// All that a router starts with.
public struct ServerConfiguration: Sendable {
    public var server: Server
    /// How each deployment is called. Index `i` is the deployment that `router.deployments[i]` decides about.
    public var deployments: [DeploymentConfiguration]
    public var router: RouterConfiguration
    /// Nil: the process counts usage for itself.
    public var sharedUsage: SharedUsageConfiguration?

    public init(
        server: Server = Server(), deployments: [DeploymentConfiguration], router: RouterConfiguration
    ) {
        self.server = server
        self.deployments = deployments
        self.router = router
    }

    /// `junction_settings`: the process itself, and what holds for every provider.
    public struct Server: Sendable {
        /// Address to listen on.
        public var host = "127.0.0.1"
        /// Port to listen on; 0: a free one.
        public var port = 50051
        /// Port of the page of metrics, at the same address; 0: a free one; nil: there is none.
        public var metricsPort: Int?
        /// Event loops, one a thread; nil: one a core.
        public var threads: Int?
        /// Largest message that a caller may send.
        public var messageBytesMax = 4 << 20
        /// Bases that an override in a request may name, and all below them. Empty: none.
        public var allowedAPIBases: [String] = []
        /// Longest silence of a stream after its first content before it counts as cut.
        public var streamIdleTimeout: Duration = .seconds(60)
        /// Most time a connection to a provider may take, TLS included.
        public var connectTimeout: Duration = .seconds(10)
        /// Connections of one loop to one host over HTTP/1.1, where each carries one call; more calls wait.
        public var connectionsPerHostMax = 32_768
        /// Time a call has whose caller sets no deadline, over all its attempts.
        public var defaultDeadline: Duration = .seconds(600)
        /// Time that calls under way have to end once the process is told to stop.
        public var drainGrace: Duration = .seconds(30)
        /// Whether HTTP/2 is offered to providers over TLS.
        public var offersHTTP2 = false

        public init() {}
    }
}

/// How one deployment is called.
public struct DeploymentConfiguration: Sendable {
    /// `model_info.id`, else `GROUP/PROVIDER-HASH`; unique in the configuration.
    public var id: String
    /// The `model_name` that callers ask for.
    public var modelGroup: String
    public var provider: ProviderSpec
    /// The model as the provider names it.
    public var model: String
    /// The model that stands behind it, where that name does not tell (`base_model`).
    public var baseModel: String?
    /// Base URL without a slash at its end; empty for a mock that has none.
    public var apiBase: String
    /// Nil: the provider is called without a key.
    public var apiKey: Secret?
    /// Signs requests where there is no key; nil: they are not signed.
    public var amazon: AmazonSettings?
    /// Fetches tokens where there is no key; nil: there are none.
    public var entra: EntraSettings?
    public var apiVersion: String?
    public var organization: String?
    /// Sent with each request, beside what the provider's wire format needs.
    public var extraHeaders: [(name: String, value: Secret)] = []
    /// Whether the provider's certificate is checked.
    public var verifyTLS = true
    /// A JSON object whose members are added to each request body; nil: none.
    public var extraBodyJSON: String?
    /// Not nil: answered inside the service, no provider is called.
    public var mock: MockSettings?
    /// What its tokens cost: as configured, else by the table.
    public var prices = TokenPrices()
    /// What the table says of its model.
    public var facts: ModelFacts?
    /// What becomes of its calls' parameters.
    public var rules: ParameterRules

    /// The provider as answers and tables name it.
    public var providerName: String { mock == nil ? provider.name : "mock" }

    /// Puts a model's name in the place of the star in `model`, if there is one.
    public mutating func fill(star name: String) {
        model = model.split(separator: "*", omittingEmptySubsequences: false).joined(separator: name)
    }

    /// Where what signs in comes from, fit to be shown.
    var keySource: String {
        apiKey?.source ?? amazon?.accessKeyID.source ?? entra?.clientSecret.source
            ?? extraHeaders.first { $0.name.lowercased() == "authorization" }?.value.source ?? "none"
    }

    public init(id: String, modelGroup: String, provider: ProviderSpec, model: String, apiBase: String) {
        self.id = id
        self.modelGroup = modelGroup
        self.provider = provider
        self.model = model
        self.apiBase = apiBase
        rules = ParameterRules(provider: provider, model: model)
    }
}

/// Whose signature goes with requests to Amazon.
public struct AmazonSettings: Sendable {
    public var accessKeyID: Secret
    public var secretAccessKey: Secret
    /// For keys that are lent for some hours.
    public var sessionToken: Secret?
    public var region: String
}

/// Where tokens of Microsoft's Entra ID come from, for Azure.
public struct EntraSettings: Sendable, Hashable {
    public var tokenURL: String
    public var clientID: String
    public var clientSecret: Secret
    /// What the tokens are good for.
    public var scope: String
}

/// How a mock deployment answers.
public struct MockSettings: Sendable, Equatable {
    /// The text of every answer.
    public var response: String
    /// Time to the first word, or to a failure.
    public var latency: Duration = .zero
    /// Speed of the words after that; nil: all at once.
    public var tokensPerSecond: Double?
    /// Share of calls that fail, 0 to 1.
    public var failureRate = 0.0

    public init(response: String) {
        self.response = response
    }
}
