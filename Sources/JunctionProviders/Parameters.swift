// What of a request not every provider takes, and who does not take it: all of it on this page, as data. What
// a provider does not take is refused, or dropped where a configuration says so. Sources: the providers'
// references of their chat APIs, docs.litellm.ai/docs/completion/input.
public import JunctionMessages
internal import JunctionProtobuf
public import JunctionRouting

extension Features {
    public static let completions = Features(rawValue: 1 << 0)
    public static let embeddings = Features(rawValue: 1 << 1)
    public static let temperature = Features(rawValue: 1 << 2)
    /// A temperature above 1.
    public static let highTemperature = Features(rawValue: 1 << 3)
    public static let topP = Features(rawValue: 1 << 4)
    public static let stop = Features(rawValue: 1 << 5)
    /// More than one choice.
    public static let n = Features(rawValue: 1 << 6)
    public static let seed = Features(rawValue: 1 << 7)
    public static let presencePenalty = Features(rawValue: 1 << 8)
    public static let frequencyPenalty = Features(rawValue: 1 << 9)
    public static let logprobs = Features(rawValue: 1 << 10)
    public static let topLogprobs = Features(rawValue: 1 << 11)
    public static let logitBias = Features(rawValue: 1 << 12)
    /// That no two tools are called in one turn.
    public static let parallelToolCalls = Features(rawValue: 1 << 13)
    public static let reasoningEffort = Features(rawValue: 1 << 14)
    /// JSON of any form.
    public static let jsonObject = Features(rawValue: 1 << 15)
    public static let jsonSchema = Features(rawValue: 1 << 16)
    public static let tools = Features(rawValue: 1 << 17)
    /// That a tool must be called, or none.
    public static let toolChoice = Features(rawValue: 1 << 18)
    /// That one function must be called.
    public static let toolChoiceFunction = Features(rawValue: 1 << 19)
    /// Temperature, top_p or log probabilities while the model reasons.
    public static let samplingWhileReasoning = Features(rawValue: 1 << 20)
    /// The length of an embedding.
    public static let dimensions = Features(rawValue: 1 << 21)
    /// The end user. A hint: where it is not taken it is left out.
    public static let user = Features(rawValue: 1 << 22)

    /// The most tokens to generate. Every provider takes it.
    public static let maxTokens = Features(rawValue: 1 << 23)
    /// Labels. A hint, too.
    public static let metadata = Features(rawValue: 1 << 24)
    /// That a tool must be called.
    public static let forcedCall = Features(rawValue: 1 << 25)
    /// The same while the model thinks because the call asks it to.
    public static let forcedCallWhileThinking = Features(rawValue: 1 << 26)
    /// A temperature, or a top_p below 0.95, while it does.
    public static let samplingWhileThinking = Features(rawValue: 1 << 27)

    /// Whether completions or embeddings are asked for, which no configuration can leave out of a request.
    public static let kinds: Features = [.completions, .embeddings]
    /// What is left out where it is not taken.
    public static let hints: Features = [.user, .metadata]
    /// Of parameters together: each of them alone may be taken.
    public static let combinations: Features = [
        .samplingWhileReasoning, .samplingWhileThinking, .forcedCallWhileThinking,
    ]
    static let sampling: Features = [.temperature, .highTemperature, .topP, .logprobs, .topLogprobs]
    static let penalties: Features = [.presencePenalty, .frequencyPenalty]
    static let logprobsOfAll: Features = [.logprobs, .topLogprobs, .logitBias]

    /// Each with the field of the request that asks for it, and its name in configurations.
    private static let named: [(feature: Features, field: String, parameter: String?)] = [
        (.completions, "completion", nil),
        (.embeddings, "embedding", nil),
        (.temperature, "completion.temperature", "temperature"),
        (.highTemperature, "completion.temperature above 1", "temperature"),
        (.topP, "completion.top_p", "top_p"),
        (.stop, "completion.stop", "stop"),
        (.n, "completion.n above 1", "n"),
        (.seed, "completion.seed", "seed"),
        (.presencePenalty, "completion.presence_penalty", "presence_penalty"),
        (.frequencyPenalty, "completion.frequency_penalty", "frequency_penalty"),
        (.logprobs, "completion.logprobs", "logprobs"),
        (.topLogprobs, "completion.top_logprobs", "top_logprobs"),
        (.logitBias, "completion.logit_bias", "logit_bias"),
        (.parallelToolCalls, "completion.parallel_tool_calls", "parallel_tool_calls"),
        (.reasoningEffort, "completion.reasoning_effort", "reasoning_effort"),
        (.jsonObject, "completion.response_format.type of JSON without a schema", "response_format"),
        (.jsonSchema, "completion.response_format.json_schema", "response_format"),
        (.tools, "completion.tools", "tools"),
        (.toolChoice, "completion.tool_choice", "tool_choice"),
        (.toolChoiceFunction, "completion.tool_choice.mode of one function", "tool_choice"),
        (.samplingWhileReasoning, "completion.temperature, top_p or logprobs with reasoning", "temperature"),
        (.samplingWhileReasoning, "", "top_p"),
        (.samplingWhileReasoning, "", "logprobs"),
        (.samplingWhileReasoning, "", "top_logprobs"),
        (.samplingWhileThinking, "completion.temperature or top_p with reasoning_effort", "temperature"),
        (.samplingWhileThinking, "", "top_p"),
        (.forcedCall, "completion.tool_choice that asks for a call", "tool_choice"),
        (
            .forcedCallWhileThinking, "completion.tool_choice that asks for a call, with reasoning_effort",
            "tool_choice"
        ),
        (.dimensions, "embedding.dimensions", "dimensions"),
        (.user, "completion.user", "user"),
        (.metadata, "completion.metadata", "metadata"),
        (.maxTokens, "completion.max_tokens", "max_tokens"),
        (.maxTokens, "", "max_completion_tokens"),
    ]

    /// The fields of a request that ask for them.
    public var fields: [String] {
        Features.named.filter { !$0.field.isEmpty && !isDisjoint(with: $0.feature) }.map(\.field)
    }

    /// What a parameter's name in a configuration (`drop_params` and its like) may ask for; empty: nothing.
    public init(parameter name: String) {
        self = Features.named.reduce(into: []) { if $1.parameter == name { $0.formUnion($1.feature) } }
    }

    /// The names that `init(parameter:)` knows.
    public static var parameters: [String] { named.compactMap(\.parameter) }
}

// MARK: What is asked for

extension Features {
    /// What a completion asks for. A value that changes nothing, such as a penalty of 0, asks for nothing.
    public init(of completion: JunctionV1.Completion.View) {
        self = .completions
        func add(_ feature: Features, if isAsked: Bool) { if isAsked { formUnion(feature) } }
        let temperature = completion.temperature ?? 1
        add(.temperature, if: temperature != 1)
        add(.highTemperature, if: temperature > 1)
        add(.topP, if: completion.topP ?? 1 != 1)
        add(.logprobs, if: completion.logprobs ?? false)
        add(.topLogprobs, if: completion.topLogprobs ?? 0 != 0)
        let samples = !isDisjoint(with: .sampling)
        add(.samplingWhileReasoning, if: samples && !(completion.reasoningEffort == "none"))
        let thinks = !completion.reasoningEffort.isEmpty && !(completion.reasoningEffort == "none")
        add(.samplingWhileThinking, if: thinks && (temperature != 1 || completion.topP ?? 1 < 0.95))
        add(.stop, if: !completion.stop.isEmpty)
        add(.n, if: completion.n ?? 1 != 1)
        add(.seed, if: completion.seed != nil)
        add(.presencePenalty, if: completion.presencePenalty ?? 0 != 0)
        add(.frequencyPenalty, if: completion.frequencyPenalty ?? 0 != 0)
        add(.logitBias, if: !completion.logitBias.isEmpty)
        add(.reasoningEffort, if: !completion.reasoningEffort.isEmpty)
        if let format = completion.responseFormat {
            add(.jsonObject, if: format.type == .jsonObject)
            add(.jsonSchema, if: format.type == .jsonSchema)
        }
        guard !completion.tools.isEmpty else { return }
        formUnion(.tools)
        add(.parallelToolCalls, if: completion.parallelToolCalls == false)
        let choice = completion.toolChoice?.mode ?? .auto
        add(.toolChoice, if: choice == .required || choice == .none)
        add(.toolChoiceFunction, if: choice == .function)
        let isForced = choice == .required || choice == .function
        add(.forcedCall, if: isForced)
        add(.forcedCallWhileThinking, if: isForced && thinks)
    }

    /// What texts to embed ask for.
    public init(of embedding: JunctionV1.Embedding.View) {
        self = embedding.dimensions == nil ? .embeddings : [.embeddings, .dimensions]
    }
}

// MARK: What is not taken

extension ProviderSpec {
    /// What this model of the provider does not take.
    public func untaken(by model: String) -> Features {
        var untaken = adapter.untaken.union(untakenByProvider[name] ?? [])
        for rule in untakenByModel where rule.providers.contains(name) {
            if rule.models.contains(where: { matches(model, $0) }) { untaken.formUnion(rule.features) }
        }
        return untaken
    }
}

extension Adapter {
    /// What the wire format has no place for.
    var untaken: Features {
        switch self {
        case .openAI, .azure: []
        case .anthropic:
            [
                .n, .seed, .penalties, .logprobsOfAll, .highTemperature, .jsonObject, .embeddings,
                .samplingWhileThinking, .forcedCallWhileThinking,
            ]
        // Cohere's log probabilities are of pieces of text and not of tokens.
        case .cohere: [.n, .logprobsOfAll, .parallelToolCalls, .toolChoiceFunction]
        case .gemini: [.logitBias, .parallelToolCalls]
        case .bedrock: [.n, .seed, .penalties, .logprobsOfAll, .parallelToolCalls, .jsonObject]
        }
    }
}

/// What those who speak OpenAI's wire format leave out of it.
private let untakenByProvider: [String: Features] = [
    "mistral": [.logprobsOfAll, .user],
    "groq": [.n, .logprobsOfAll, .metadata, .embeddings],
    "deepseek": [.n, .seed, .logitBias, .jsonSchema, .parallelToolCalls, .embeddings],
    "xai": [.logitBias, .embeddings],
    "perplexity": [
        .n, .seed, .stop, .logprobsOfAll, .tools, .toolChoice, .toolChoiceFunction, .parallelToolCalls,
        .jsonObject, .embeddings,
    ],
    "hyperbolic": [.logprobsOfAll, .parallelToolCalls, .embeddings],
    "ollama": [.n, .logitBias, .toolChoice, .toolChoiceFunction, .parallelToolCalls],
    "ollama_chat": [.n, .logitBias, .toolChoice, .toolChoiceFunction, .parallelToolCalls],
]

/// What some models take less than others of their provider. A `*` stands for anything.
private let untakenByModel: [(providers: Set<String>, models: [String], features: Features)] = [
    // Reasoning models. What reasons only when told to takes more while it does not.
    (["openai", "azure"], ["o1*", "o3*", "o4*"], [.sampling, .penalties, .logitBias]),
    (["openai", "azure"], ["o3", "o3-20*", "o4-mini*"], .stop),
    (
        ["openai", "azure"], ["gpt-5", "gpt-5-20*", "gpt-5-mini*", "gpt-5-nano*"],
        [.sampling, .penalties, .logitBias, .stop]
    ),
    (
        ["openai", "azure"], ["gpt-5.1", "gpt-5.1-20*", "gpt-5.2", "gpt-5.2-20*", "gpt-5.4*"],
        [.penalties, .logitBias, .stop]
    ),
    (
        ["openai", "azure"], ["gpt-5.5*", "gpt-5.6*", "gpt-6*"],
        [.samplingWhileReasoning, .penalties, .logitBias, .stop]
    ),
    (["xai"], ["grok-3-mini*", "grok-4*", "grok-code*", "grok-build*"], [.stop, .penalties]),
    (["bedrock", "bedrock_converse"], ["*claude*"], [.samplingWhileThinking, .forcedCallWhileThinking]),
    // Claude that always thinks (LiteLLM 1.110.2, `supports_forced_tool_use`).
    (
        ["anthropic", "bedrock", "bedrock_converse"],
        ["*claude-fable-5-1*", "*claude-mythos-5-1*", "*claude-opus-5-5*", "*claude-sonnet-5-5*"], .forcedCall
    ),
    // Claude from 4.7 on.
    (
        ["anthropic", "bedrock", "bedrock_converse"],
        [
            "*claude-opus-4-7*", "*claude-opus-4-8*", "*claude-opus-5*", "*claude-sonnet-5*",
            "*claude-haiku-5*", "*claude-fable*", "*claude-mythos*",
        ], [.temperature, .topP]
    ),
    (["gemini"], ["*gemini-3*", "*gemini-4*"], .penalties),
    // Embeddings of one length only.
    (["openai", "azure"], ["text-embedding-ada*"], .dimensions),
    (["mistral"], ["mistral-embed*"], .dimensions),
    (["cohere", "cohere_chat", "bedrock"], ["*embed-english*", "*embed-multilingual*"], .dimensions),
    (["bedrock", "bedrock_converse"], ["*titan-embed-text-v1*"], .dimensions),
]

/// Whether the name is as the pattern says, in which a `*` at either end stands for anything.
private func matches(_ name: String, _ pattern: String) -> Bool {
    let isOpenBefore = pattern.first == "*"
    let isOpenBehind = pattern.last == "*"
    let part = pattern.dropFirst(isOpenBefore ? 1 : 0).dropLast(isOpenBehind ? 1 : 0)
    return switch (isOpenBefore, isOpenBehind) {
    case (false, false): name == part
    case (false, true): name.hasPrefix(part)
    case (true, false): name.hasSuffix(part)
    case (true, true): name.contains(part)
    }
}
