// The providers that Junction knows, as data: a provider that speaks a known wire format is one line here.
// Bases from the providers' API references; prefixes and key variables as LiteLLM names them.

/// A provider as the configuration names it: the prefix of a deployment's `model`.
public struct ProviderSpec: Sendable, Hashable {
    /// The prefix, such as `groq` of `groq/llama-3.3-70b-versatile`.
    public let name: String
    public let adapter: Adapter
    /// The base URL where the configuration gives none; nil: it must give one.
    public let defaultBase: String?
    /// The environment variables of which the first that is set holds the key where the configuration gives
    /// none; none: no key is needed.
    public let keyVariables: [String]

    init(_ name: String, _ adapter: Adapter, _ defaultBase: String?, key keyVariables: String...) {
        self.init(name, adapter, defaultBase, keys: keyVariables)
    }

    private init(_ name: String, _ adapter: Adapter, _ defaultBase: String?, keys keyVariables: [String]) {
        self.name = name
        self.adapter = adapter
        self.defaultBase = defaultBase
        self.keyVariables = keyVariables
    }

    /// The same provider, whose base depends on what the configuration says: Bedrock's, on the region.
    public func reached(at defaultBase: String) -> ProviderSpec {
        ProviderSpec(name, adapter, defaultBase, keys: keyVariables)
    }
}

public enum Registry {
    static let providers: [ProviderSpec] = [
        .init("openai", .openAI(.openAI), "https://api.openai.com/v1", key: "OPENAI_API_KEY"),
        .init("azure", .azure, nil, key: "AZURE_API_KEY"),
        .init("anthropic", .anthropic, "https://api.anthropic.com", key: "ANTHROPIC_API_KEY"),
        .init("mistral", .openAI(.mistral), "https://api.mistral.ai/v1", key: "MISTRAL_API_KEY"),
        .init("groq", .openAI(.continuesPlainly), "https://api.groq.com/openai/v1", key: "GROQ_API_KEY"),
        .init(
            "together_ai", .openAI([]), "https://api.together.xyz/v1", key: "TOGETHERAI_API_KEY",
            "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
        .init("deepseek", .openAI(.deepSeek), "https://api.deepseek.com/v1", key: "DEEPSEEK_API_KEY"),
        .init("openrouter", .openAI([]), "https://openrouter.ai/api/v1", key: "OPENROUTER_API_KEY"),
        .init(
            "fireworks_ai", .openAI(.fireworks), "https://api.fireworks.ai/inference/v1",
            key: "FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY"),
        .init("xai", .openAI(.xAI), "https://api.x.ai/v1", key: "XAI_API_KEY"),
        .init(
            "perplexity", .openAI(.noDoneMarker), "https://api.perplexity.ai", key: "PERPLEXITYAI_API_KEY",
            "PERPLEXITY_API_KEY"),
        .init("hyperbolic", .openAI([]), "https://api.hyperbolic.xyz/v1", key: "HYPERBOLIC_API_KEY"),
        .init("cohere", .cohere, "https://api.cohere.com", key: "COHERE_API_KEY"),
        .init("cohere_chat", .cohere, "https://api.cohere.com", key: "COHERE_API_KEY"),
        .init(
            "gemini", .gemini, "https://generativelanguage.googleapis.com/v1beta", key: "GEMINI_API_KEY",
            "GOOGLE_API_KEY"),
        .init("bedrock", .bedrock, nil, key: "AWS_BEARER_TOKEN_BEDROCK"),
        .init("bedrock_converse", .bedrock, nil, key: "AWS_BEARER_TOKEN_BEDROCK"),
        .init("ollama", .openAI(.versionedPath), "http://localhost:11434/v1"),
        .init("ollama_chat", .openAI(.versionedPath), "http://localhost:11434/v1"),
        .init("hosted_vllm", .openAI(.continuesFinalMessage), nil),
        .init("vllm", .openAI(.continuesFinalMessage), nil),
        .init("sglang", .openAI(.continuesFinalMessage), nil),
        .init("lm_studio", .openAI([]), nil),
        .init("litellm_proxy", .openAI([]), nil),
        .init("custom_openai", .openAI([]), nil),
    ]

    /// Providers that LiteLLM has and whose wire format Junction does not speak yet.
    public static let notYet: Set<String> = [
        "azure_ai", "vertex_ai", "sagemaker",
    ]

    /// The names of all providers, in the order of the table.
    public static var names: [String] { providers.map(\.name) }

    /// The provider of that name; nil when there is none.
    public static func provider(named name: String) -> ProviderSpec? {
        providers.first { $0.name == name }
    }

    /// Splits a deployment's `model`, such as `groq/llama-3.3-70b-versatile`, at its first slash. A model
    /// without a prefix is OpenAI's, as LiteLLM has it.
    public static func split(_ model: String) -> (provider: String, model: String) {
        guard let slash = model.firstIndex(of: "/") else { return ("openai", model) }
        return (String(model[..<slash]), String(model[model.index(after: slash)...]))
    }
}
