// The wire formats that providers speak. A format is a case here and a file of its own that says where
// requests go, how they are written and how answers are read. Knows no socket, no configuration and no key's
// owner.

/// A provider's wire format, with what sets this provider apart from others that speak it.
public enum Adapter: Sendable, Hashable {
    /// OpenAI's chat completions, and all who follow them.
    case openAI(OpenAIQuirks)
    /// Azure OpenAI: OpenAI's bodies under an address of its own.
    case azure
    /// Anthropic's Messages API.
    case anthropic
    /// Cohere's chat API, version 2.
    case cohere
    /// Google's Gemini API.
    case gemini
    /// Amazon Bedrock's Converse API.
    case bedrock
}

extension Adapter {
    /// Where to POST a chat completion.
    ///
    /// - Parameters:
    ///   - base: the provider's base URL, such as `https://api.openai.com/v1`; with or without a slash at its
    ///     end. A base that is the whole endpoint already is taken as it is.
    ///   - model: the provider's name of the model, for providers that have it in the path.
    ///   - apiVersion: for providers that ask for one; nil: the newest that Junction knows.
    ///   - isStreaming: whether the answer shall come piece by piece, for providers that have two endpoints.
    public func url(base: String, model: String, apiVersion: String?, isStreaming: Bool) -> String {
        switch self {
        case .openAI(let quirks): openAIURL(base: base, quirks: quirks)
        case .azure: azureURL(base: base, deployment: model, apiVersion: apiVersion)
        case .anthropic: anthropicURL(base: base)
        case .cohere: cohereURL(base: base)
        case .gemini: geminiURL(base: base, model: model, isStreaming: isStreaming)
        case .bedrock: bedrockURL(base: base, model: model, isStreaming: isStreaming)
        }
    }

    /// The header fields that every request carries, in lower case, the key among them.
    ///
    /// - Parameters:
    ///   - key: nil for a provider that takes none.
    ///   - organization: the account's organization, for providers that have such a thing.
    public func headers(key: String?, organization: String?) -> [(name: String, value: String)] {
        switch self {
        case .openAI: openAIHeaders(key: key, organization: organization)
        case .azure: azureHeaders(key: key)
        case .anthropic: anthropicHeaders(key: key)
        case .cohere: cohereHeaders(key: key)
        case .gemini: geminiHeaders(key: key)
        case .bedrock: bedrockHeaders(key: key)
        }
    }
}
