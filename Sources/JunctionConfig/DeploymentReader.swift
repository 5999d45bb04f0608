// Makes deployments of `model_list`: how each is called, and what the routing core decides about it by.
// Checks all that can be known without calling the provider.
import JunctionProviders
import JunctionRouting

struct DeploymentReader {
    let environment: [String: String]
    /// What holds for deployments that say nothing themselves.
    let verifyTLS: Bool
    let maxParallelRequests: Int?
    let dropsParameters: Bool

    /// How each deployment is called; index by index the deployments in `routed`.
    private(set) var called: [DeploymentConfiguration] = []
    private(set) var routed: [Deployment] = []
    /// Where each of them stands.
    private(set) var places: [Place] = []
    private var placesOfIDs: [String: Place] = [:]

    init(
        environment: [String: String], verifyTLS: Bool, maxParallelRequests: Int?, dropsParameters: Bool
    ) {
        self.environment = environment
        self.dropsParameters = dropsParameters
        self.verifyTLS = verifyTLS
        self.maxParallelRequests = maxParallelRequests
    }

    mutating func read(_ root: Values, report: inout Report) {
        for entry in root.sections("model_list") ?? [] { read(entry: entry, report: &report) }
        if called.isEmpty, !report.hasErrors {
            report.error(
                root.place(of: "model_list"), "There is no deployment. model_list needs at least one.")
        }
        let groups = Set(called.map(\.modelGroup))
        for deployment in called
        where deployment.id != deployment.modelGroup && groups.contains(deployment.id) {
            report.warning(
                placesOfIDs[deployment.id]!,
                "This is also the name of a model group: callers that ask for it reach the group.")
        }
    }

    private mutating func read(entry: Values, report: inout Report) {
        guard let group = required("model_name", of: entry, report: &report) else { return }
        guard let params = entry.section("litellm_params") else {
            if !report.speaks(of: "\(entry.place.path).litellm_params") {
                report.error(entry.place, "The key litellm_params is missing, with at least the model in it.")
            }
            return
        }
        guard let model = required("model", of: params, report: &report) else { return }
        if let fault = wildcardFault(group: group.text, model: model.text) {
            return report.warning(group.place, "\(fault) This deployment is left out.")
        }
        let mock = mock(params, report: &report)
        guard
            var (provider, name) = provider(of: model, params: params, isMock: mock != nil, report: &report)
        else { return }
        if mock == nil { checkSignIn(params, provider: provider, report: &report) }
        let amazon = AmazonReader(
            params, provider: provider, model: name, environment: environment, report: &report)
        if let amazon { (provider, name) = (amazon.provider, amazon.model) }
        let base = base(params, provider: provider, isMock: mock != nil, report: &report)

        var deployment = DeploymentConfiguration(
            id: "", modelGroup: group.text, provider: provider, model: name, apiBase: base ?? "")
        deployment.extraHeaders = extraHeaders(params, report: &report)
        var isSignedIn = false
        if mock == nil, let amazon {
            isSignedIn = amazon.signIn(&deployment, base: base, report: &report)
        } else if mock == nil, provider.adapter == .azure {
            let azure = AzureReader(params, environment: environment)
            isSignedIn = azure.signIn(&deployment, report: &report)
        }
        if !isSignedIn { deployment.apiKey = key(params, of: deployment, base: base, report: &report) }
        deployment.apiVersion = headerText("api_version", of: params, report: &report)
        deployment.organization = headerText("organization", of: params, report: &report)
        deployment.verifyTLS = params.boolean("ssl_verify") ?? verifyTLS
        deployment.extraBodyJSON = extraBody(params, report: &report)
        deployment.mock = mock
        let named = baseModel(entry: entry, params: params)
        deployment.baseModel = named?.model
        deployment.facts = facts(of: deployment, base: named)
        deployment.prices = prices(deployment.facts?.prices, entry: entry, params: params)
        deployment.rules = rules(for: deployment, entry: entry, params: params, report: &report)
        deployment.id = id(of: deployment, entry: entry, report: &report)
        called.append(deployment)
        places.append(entry.place)
        routed.append(routed(deployment, entry: entry, params: params, report: &report))
    }

    private func required(_ key: String, of values: Values, report: inout Report) -> LocatedText? {
        guard let text = values.located(key) else {
            // A key that is there but wrong was reported when it was read.
            if !report.speaks(of: "\(values.place.path).\(key)") {
                report.error(values.place, "The key \(key) is missing.")
            }
            return nil
        }
        if text.text.isEmpty || hasControlCharacter(text.text) {
            report.error(
                text.place, text.text.isEmpty ? "This is empty." : "The value holds a line end. Remove it.")
            return nil
        }
        return text
    }

    // MARK: The provider

    private func provider(
        of model: LocatedText, params: Values, isMock: Bool, report: inout Report
    ) -> (ProviderSpec, model: String)? {
        var (prefix, name) = Registry.split(model.text)
        var place = model
        if let custom = params.located("custom_llm_provider") {
            // The whole text is the model's name then, unless it says the provider again.
            if prefix != custom.text { name = model.text }
            prefix = custom.text
            place = custom
        }
        if name.isEmpty {
            report.error(model.place, "The model's name is missing after the provider's.")
            return nil
        }
        if let provider = Registry.provider(named: prefix) { return (provider, name) }
        if Registry.notYet.contains(prefix) {
            // A mock speaks OpenAI's wire format whatever it stands in for.
            if isMock, let provider = Registry.provider(named: "openai") { return (provider, name) }
            report.error(place.place, "Junction does not speak the wire format of \(prefix) yet.")
            return nil
        }
        let nearest = place.isHidden ? nil : nearestName(to: prefix, among: Registry.names)
        let hint =
            nearest.map { "Did you mean \($0)?" } ?? "Known are: \(Registry.names.joined(separator: ", "))."
        let what = place.isHidden ? "that this environment variable names" : "\"\(prefix)\""
        report.error(place.place, "The provider \(what) is not known. \(hint)")
        return nil
    }

    private func base(
        _ params: Values, provider: ProviderSpec, isMock: Bool, report: inout Report
    ) -> String? {
        if params["api_base"] != nil, let other = params["base_url"] {
            report.warning(other.place, "api_base is given too and ranks above this.")
        }
        guard
            let text = params.located("api_base") ?? params.located("base_url")
                ?? params.located("aws_bedrock_runtime_endpoint")
        else {
            if isMock { return nil }
            if provider.defaultBase == nil, !report.speaks(of: "\(params.place.path).api_base") {
                report.error(
                    params.place, "The key api_base is missing: \(provider.name) has no base URL of its own.")
            }
            return provider.defaultBase
        }
        switch baseURL(text.text) {
        case .success(let url): return url
        case .failure(let fault):
            report.error(text.place, "This base URL \(fault).")
            return nil
        }
    }

    /// The configured key, else the provider's own variable. That one goes to the provider's own base only:
    /// whoever writes another base must say which key goes there. A provider without a base of its own, such
    /// as Azure, has none but the configured one. No key is missing where a header field signs in.
    private func key(
        _ params: Values, of deployment: DeploymentConfiguration, base: String?, report: inout Report
    ) -> Secret? {
        if let key = params.secret("api_key") { return key }
        let provider = deployment.provider
        let variables = provider.keyVariables
        func isSet(_ variable: String) -> Bool {
            environment[variable].map { !$0.isEmpty && !hasControlCharacter($0) } ?? false
        }
        guard let variable = variables.first(where: isSet) ?? variables.first, let base,
            !deployment.hasAuthorization,
            !report.speaks(of: "\(params.place.path).api_key")
        else { return nil }
        let source = SectionReader.environmentPrefix + variable
        switch (base == provider.defaultBase ?? base, isSet(variable)) {
        case (true, true):
            return Secret(environment[variable]!, source: source)
        case (true, false):
            report.error(
                params.place,
                "The key api_key is missing, and the environment variable \(variable) is not set.")
        case (false, true):
            report.warning(
                params.place,
                "This base is called without a key. To send it \(variable), write api_key: \(source).")
        case (false, false): break
        }
        return nil
    }

    /// A text that becomes a header field or part of a URL.
    private func headerText(_ key: String, of params: Values, report: inout Report) -> String? {
        guard let text = params.located(key) else { return nil }
        if text.text.isEmpty || !text.text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) {
            report.error(text.place, "Expected a text of printable ASCII without spaces.")
            return nil
        }
        return text.text
    }

    private func extraHeaders(_ params: Values, report: inout Report) -> [(name: String, value: Secret)] {
        let pairs = (params.secretMap("headers") ?? []) + (params.secretMap("extra_headers") ?? [])
        for (name, value) in pairs {
            if !isFieldName(name.text) {
                report.error(name.place, "This is not a name that a header field can have (RFC 9110, 5.1).")
            } else if framingFields.contains(name.text.lowercased()) {
                report.error(name.place, "Junction sets this header field itself. Remove it.")
            } else if hasControlCharacter(value.reveal()) {
                report.error(
                    name.place, "The value holds a line end or another control character. Remove it.")
            }
        }
        return pairs.map { ($0.name.text, $0.value) }
    }

    private func extraBody(_ params: Values, report: inout Report) -> String? {
        guard let json = params.json("extra_body") else { return nil }
        do {
            _ = try ExtraBody(json: json)
        } catch .reserved(let member) {
            report.error(params.place(of: "extra_body"), "Junction writes \(member) itself. Remove it.")
        } catch {
            report.error(params.place(of: "extra_body"), "This does not make a JSON object.")
        }
        return json
    }

    private func mock(_ params: Values, report: inout Report) -> MockSettings? {
        guard let response = params.text("mock_response") else {
            for key in ["mock_latency_ms", "mock_tokens_per_second", "mock_failure_rate"] {
                guard let entry = params[key] else { continue }
                report.warning(entry.place, "This has no effect without mock_response.")
            }
            return nil
        }
        var mock = MockSettings(response: response)
        mock.latency = .milliseconds(params.integer("mock_latency_ms") ?? 0)
        mock.tokensPerSecond = params.number("mock_tokens_per_second")
        mock.failureRate = params.number("mock_failure_rate") ?? 0
        return mock
    }

    // MARK: What the routing core decides by

    private func routed(
        _ configuration: DeploymentConfiguration, entry: Values, params: Values, report: inout Report
    ) -> Deployment {
        let info = entry.section("model_info")
        var deployment = Deployment(id: configuration.id, modelGroup: configuration.modelGroup)
        deployment.continuesText =
            configuration.mock == nil
            && configuration.provider.adapter.continuesText(
                base: configuration.apiBase, model: configuration.baseModel ?? configuration.model)
        deployment.tokensPerMinute = limit("tpm", entry: entry, params: params, report: &report)
        deployment.requestsPerMinute = limit("rpm", entry: entry, params: params, report: &report)
        deployment.maxParallelRequests = params.integer("max_parallel_requests") ?? maxParallelRequests
        deployment.limits.budget = budget("max_budget", "budget_duration", of: params, report: &report)
        deployment.provider = configuration.providerName
        deployment.region = params.text("region_name")
        deployment.weight = params.number("weight")
        deployment.order = params.integer("order")
        deployment.tags = params.texts("tags")?.map(\.text) ?? []
        deployment.timeout = params.duration("timeout")
        deployment.streamTimeout = params.duration("stream_timeout")
        deployment.numRetries = params.integer("num_retries") ?? params.integer("max_retries")
        deployment.cooldownTime = params.duration("cooldown_time")
        deployment.prices = configuration.prices
        deployment.lacks = configuration.rules.untaken
        deployment.maxInputTokens =
            info?.integer("max_input_tokens") ?? info?.integer("max_tokens")
            ?? configuration.facts?.maxInputTokens
        return deployment
    }

    /// What `base_model` names: an Azure deployment, for one, may have any name. It may say a provider, too.
    private func baseModel(entry: Values, params: Values) -> (provider: String?, model: String)? {
        let base = params.text("base_model") ?? entry.section("model_info")?.text("base_model")
        guard let base else { return nil }
        let (prefix, name) = Registry.split(base)
        let isNamed = base.contains("/") && Registry.provider(named: prefix) != nil
        return isNamed ? (prefix, name) : (nil, base)
    }

    /// What the table says of the deployment's model. Nothing of what a mock stands in for.
    private func facts(
        of deployment: DeploymentConfiguration, base: (provider: String?, model: String)?
    ) -> ModelFacts? {
        if deployment.mock != nil { return nil }
        return ModelFacts.of(
            model: base?.model ?? deployment.model, provider: base?.provider ?? deployment.provider.name)
    }

    /// The configured prices, then the table's. Who has a price of their own for the prompt has none of the
    /// table's for the prompts that cost less or more there.
    private func prices(_ table: TokenPrices?, entry: Values, params: Values) -> TokenPrices {
        let info = entry.section("model_info")
        func price(_ key: String) -> Double? { params.number(key) ?? info?.number(key) }
        var prices = table ?? TokenPrices()
        if let input = price("input_cost_per_token") {
            prices = TokenPrices(input: input, output: prices.output)
        }
        if let output = price("output_cost_per_token") {
            prices.output = output
            prices.longPrompt = nil
        }
        prices.cachedInput = price("cache_read_input_token_cost") ?? prices.cachedInput
        prices.cacheWrite = price("cache_creation_input_token_cost") ?? prices.cacheWrite
        return prices
    }

    /// `tpm` or `rpm`, which may stand beside `litellm_params` or in it. The smaller one where both do.
    private func limit(_ key: String, entry: Values, params: Values, report: inout Report) -> Int? {
        guard let outer = entry.integer(key), let inner = params.integer(key) else {
            return entry.integer(key) ?? params.integer(key)
        }
        if outer != inner {
            report.warning(
                entry.place(of: key),
                "litellm_params has another \(key), \(inner). The smaller of the two holds; keep one.")
        }
        return min(outer, inner)
    }

    // MARK: The id

    private mutating func id(
        of deployment: DeploymentConfiguration, entry: Values, report: inout Report
    ) -> String {
        if let given = entry.section("model_info")?.located("id") {
            if given.text.isEmpty || hasControlCharacter(given.text) {
                report.error(given.place, "Expected a text of one line.")
            } else if let first = placesOfIDs[given.text] {
                report.error(
                    given.place,
                    "Another deployment has this id, on line \(first.position.line). Ids are unique.")
            }
            placesOfIDs[given.text] = given.place
            return given.text
        }
        let made = madeID(of: deployment)
        var id = made
        var count = 1
        while placesOfIDs[id] != nil {
            count += 1
            id = "\(made)-\(count)"
        }
        placesOfIDs[id] = entry.place
        return id
    }
}

/// What is wrong with the stars of a name and a model; nil: nothing. What a star in the name stands for in a
/// call takes the place of the model's.
private func wildcardFault(group: String, model: String) -> String? {
    let (inGroup, inModel) = (group.count { $0 == "*" }, model.count { $0 == "*" })
    if inGroup > 1 || inModel > 1 { return "A name has one star at most." }
    if inModel == 1, inGroup == 0 { return "A model with a star needs one in model_name too." }
    if model == "*" { return "Say whose models these are, as in openai/*." }
    return nil
}

/// `GROUP/PROVIDER-HASH`: readable, and the same whatever else the file lists and in whatever order, so that
/// what is counted for a deployment stays its own. The hash is over what tells deployments of a group apart,
/// and over where the key comes from, never the key itself.
private func madeID(of deployment: DeploymentConfiguration) -> String {
    let parts = [
        deployment.model, deployment.apiBase, deployment.apiVersion ?? "", deployment.organization ?? "",
        deployment.apiKey?.source ?? deployment.amazon?.accessKeyID.source
            ?? deployment.entra.map { "\($0.tokenURL) \($0.clientID)" } ?? "",
        deployment.mock?.response ?? "",
    ]
    // FNV-1a (draft-eastlake-fnv), 32 bits folded to 24.
    var hash: UInt32 = 2_166_136_261
    for byte in parts.joined(separator: "\n").utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    let digits = String((hash >> 24) ^ (hash & 0xff_ffff), radix: 16)
    let padded = String(repeating: "0", count: 6 - digits.count) + digits
    return "\(deployment.modelGroup)/\(deployment.providerName)-\(padded)"
}

/// Header fields that say how the message is framed or where it goes.
private let framingFields: Set<String> = [
    "connection", "content-length", "content-type", "expect", "host", "keep-alive", "te", "trailer",
    "transfer-encoding", "upgrade",
]

/// A token of RFC 9110, 5.6.2.
private func isFieldName(_ name: String) -> Bool {
    !name.isEmpty
        && name.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
        }
}
