// OpenAI's chat completions, as OpenAI documents them and as the many that follow it speak them.
// Source: platform.openai.com/docs/api-reference/chat. Bodies in OpenAIRequest.swift and OpenAIAnswer.swift.

/// What sets a provider apart from others that speak OpenAI's chat completions.
public struct OpenAIQuirks: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Has the role `developer`; elsewhere it is sent as `system`.
    public static let developerRole = OpenAIQuirks(rawValue: 1 << 0)
    /// Its reasoning models take `max_completion_tokens` and refuse `max_tokens`.
    public static let newMaxTokens = OpenAIQuirks(rawValue: 1 << 1)
    /// Refuses `stream_options`, and reports the usage of a stream unasked.
    public static let noStreamOptions = OpenAIQuirks(rawValue: 1 << 2)
    /// Calls the seed `random_seed`.
    public static let randomSeed = OpenAIQuirks(rawValue: 1 << 3)
    /// Calls the tool choice `required` `any`.
    public static let toolChoiceAny = OpenAIQuirks(rawValue: 1 << 4)
    /// Ends streams without `[DONE]`: the finish reason is the end marker.
    public static let noDoneMarker = OpenAIQuirks(rawValue: 1 << 5)
    /// A base without a path means the base with `/v1`: LiteLLM's users give the base of the native API.
    public static let versionedPath = OpenAIQuirks(rawValue: 1 << 6)
    /// Calls the `dimensions` of embeddings `output_dimension`.
    public static let outputDimension = OpenAIQuirks(rawValue: 1 << 7)
    /// Takes no id of a tool call but nine letters and digits.
    public static let nineLetterCallIDs = OpenAIQuirks(rawValue: 1 << 8)
    /// Has the message's member `refusal`; elsewhere a refusal is sent as what the assistant said.
    public static let refusals = OpenAIQuirks(rawValue: 1 << 9)
    /// Refuses the `name` of whoever speaks.
    public static let noNames = OpenAIQuirks(rawValue: 1 << 10)
    /// Refuses it but for users.
    public static let namesOfUsers = OpenAIQuirks(rawValue: 1 << 11)
    /// Takes content in parts only where there are images among them.
    public static let textsAsOne = OpenAIQuirks(rawValue: 1 << 12)
    /// Refuses that a function be `strict`.
    public static let noStrictFunctions = OpenAIQuirks(rawValue: 1 << 13)
    /// Its models' names are paths; LiteLLM's users give the last part alone.
    public static let modelPaths = OpenAIQuirks(rawValue: 1 << 14)

    /// Goes on with an assistant's message that is the last one (Groq, "assistant message prefilling").
    public static let continuesPlainly = OpenAIQuirks(rawValue: 1 << 16)
    /// Goes on with one that is marked with `prefix` (Mistral; DeepSeek, "chat prefix completion").
    public static let continuesPrefix = OpenAIQuirks(rawValue: 1 << 17)
    /// Goes on with one where `continue_final_message` is set (vLLM, SGLang).
    public static let continuesFinalMessage = OpenAIQuirks(rawValue: 1 << 18)
    /// Goes on only at the base that ends in `/beta` (DeepSeek).
    public static let continuesInBeta = OpenAIQuirks(rawValue: 1 << 19)
    /// Its answer begins with what it goes on with (Mistral).
    public static let repeatsPrefix = OpenAIQuirks(rawValue: 1 << 20)

    static let openAI: OpenAIQuirks = [.developerRole, .newMaxTokens, .refusals]
    static let mistral: OpenAIQuirks = [
        .noStreamOptions, .randomSeed, .toolChoiceAny, .outputDimension, .nineLetterCallIDs, .noNames,
        .continuesPrefix, .repeatsPrefix,
    ]
    static let deepSeek: OpenAIQuirks = [.textsAsOne, .continuesPrefix, .continuesInBeta]
    static let fireworks: OpenAIQuirks = [.toolChoiceAny, .noStrictFunctions, .modelPaths]
    static let xAI: OpenAIQuirks = [.namesOfUsers, .noStrictFunctions]
}

/// - Parameter endpoint: `chat/completions` or `embeddings`.
func openAIURL(base: String, quirks: OpenAIQuirks, endpoint: String) -> String {
    var (base, _) = takeApart(base: base)
    if quirks.contains(.versionedPath), !hasPath(base) { base += "/v1" }
    return "\(base)/\(endpoint)"
}

/// The base itself, of what may be a whole endpoint.
func takeApart(base: String) -> (base: Substring, isEndpoint: Bool) {
    var base = base[...]
    while base.last == "/" { base.removeLast() }
    for endpoint in ["/chat/completions", "/embeddings"] where base.hasSuffix(endpoint) {
        return (base.dropLast(endpoint.count), true)
    }
    return (base, false)
}

private func hasPath(_ url: Substring) -> Bool {
    var slashes = 0
    for byte in url.utf8 where byte == UInt8(ascii: "/") { slashes += 1 }
    return slashes > 2
}

func openAIHeaders(key: String?, organization: String?) -> [(name: String, value: String)] {
    var headers = [(name: "content-type", value: "application/json")]
    if let key { headers.append((name: "authorization", value: "Bearer \(key)")) }
    if let organization { headers.append((name: "openai-organization", value: organization)) }
    return headers
}

/// A model's whole name: `accounts/fireworks/models/NAME` (Fireworks) for NAME alone.
func pathOfModel(_ model: String) -> String {
    if model.hasPrefix("accounts/") || model.utf8.contains(UInt8(ascii: "#")) { return model }
    let isPart = model.hasPrefix("models/") || model.hasPrefix("routers/")
    return "accounts/fireworks/" + (isPart ? "" : "models/") + model
}
