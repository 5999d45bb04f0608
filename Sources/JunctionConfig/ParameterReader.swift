// What a deployment's configuration says about the parameters of its calls: which of them are refused,
// dropped or passed on (`drop_params` and its like), and which it sets where a call does not.
import JunctionProviders
import JunctionRouting

/// What becomes of the parameters of a deployment's calls.
public struct ParameterRules: Sendable {
    /// What is refused: calls that ask for it go to other deployments.
    public var untaken: Features
    /// What is left out of requests.
    public var dropped: Features = []
    /// What goes to the provider though its wire format has no place for it.
    public var passed: Features = []
    /// What calls are asked with where they say nothing.
    public var defaults: ParameterDefaults?

    /// As the provider's documentation has it.
    public init(provider: ProviderSpec, model: String) {
        let all = provider.untaken(by: model)
        dropped = all.intersection(.hints)
        untaken = all.subtracting(.hints)
    }

    /// A mock takes everything.
    init() { untaken = [] }
}

extension DeploymentReader {
    /// - Parameter mode: what the table says that the model makes.
    func rules(
        for deployment: DeploymentConfiguration, entry: Values, params: Values, report: inout Report
    ) -> ParameterRules {
        var rules =
            deployment.mock == nil
            ? ParameterRules(
                provider: deployment.provider, model: deployment.baseModel ?? deployment.model)
            : ParameterRules()
        let mode = entry.section("model_info")?.text("mode") ?? deployment.facts?.mode.rawValue
        if mode == "embedding" { rules.untaken.formUnion(.completions) }
        if mode == "chat" { rules.untaken.formUnion(.embeddings) }

        let allowed = features("allowed_openai_params", of: params, report: &report)
        rules.passed = rules.untaken.intersection(allowed)
        // Where a model takes two parameters together, to drop one leaves the other alone.
        let combined = Features.combinations.subtracting(rules.untaken)
        rules.dropped.formUnion(
            features("additional_drop_params", of: params, report: &report).subtracting(combined))
        if params.boolean("drop_params") ?? dropsParameters {
            rules.dropped.formUnion(rules.untaken.subtracting(.kinds).subtracting(allowed))
        }
        rules.dropped.subtract(allowed)
        rules.untaken.subtract(rules.dropped.union(allowed))
        rules.defaults = defaults(params, report: &report)
        if let wrong = rules.defaults?.features.intersection(rules.untaken).fields.first {
            report.error(
                params.place,
                "The model does not take \(wrong), which this deployment sets. Remove it, or set drop_params."
            )
        }
        return rules
    }

    private func features(_ key: String, of params: Values, report: inout Report) -> Features {
        var features: Features = []
        for name in params.texts(key) ?? [] {
            let feature = Features(parameter: name.text)
            if feature.isEmpty {
                let nearest = name.isHidden ? nil : nearestName(to: name.text, among: Features.parameters)
                report.warning(
                    name.place,
                    "This is no parameter that Junction leaves out or refuses, so it has no effect here."
                        + (nearest.map { " Did you mean \($0)?" } ?? ""))
            }
            features.formUnion(feature)
        }
        return features
    }

    private func defaults(_ params: Values, report: inout Report) -> ParameterDefaults? {
        var defaults = ParameterDefaults()
        defaults.temperature = params.number("temperature")
        defaults.topP = params.number("top_p")
        defaults.maxTokens = params.integer("max_completion_tokens") ?? params.integer("max_tokens")
        defaults.stop = params.texts("stop")?.map(\.text) ?? []
        defaults.n = params.integer("n")
        defaults.seed = params.integer("seed")
        defaults.presencePenalty = params.number("presence_penalty")
        defaults.frequencyPenalty = params.number("frequency_penalty")
        defaults.logprobs = params.boolean("logprobs")
        defaults.topLogprobs = params.integer("top_logprobs")
        defaults.parallelToolCalls = params.boolean("parallel_tool_calls")
        defaults.reasoningEffort = params.text("reasoning_effort") ?? ""
        defaults.user = params.text("user") ?? ""
        if let json = params.json("logit_bias"), !defaults.setLogitBias(json: json) {
            report.error(
                params.place(of: "logit_bias"), "Expected token ids with numbers from -100 to 100.")
        }
        if let json = params.json("response_format"), !defaults.setResponseFormat(json: json) {
            report.error(
                params.place(of: "response_format"),
                "Expected {type: text}, {type: json_object}, or "
                    + "{type: json_schema, json_schema: {name: …, schema: …}}."
            )
        }
        return defaults == ParameterDefaults() ? nil : defaults
    }
}
