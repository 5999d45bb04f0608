// Refuses a request that no provider could answer, naming the field, before anything is reserved.
import JunctionMessages
import JunctionProtobuf
import JunctionRPC

/// The completion of a request.
///
/// - Throws: INVALID_ARGUMENT that names the field which no provider could take.
func validated(_ completion: JunctionV1.Completion.View?) throws(Status) -> JunctionV1.Completion.View {
    guard let completion else { throw invalid("completion", "is missing: say what to ask the model") }
    if completion.model.isEmpty { throw invalid("completion.model", "is empty: name a model group") }
    if completion.messages.isEmpty {
        throw invalid("completion.messages", "is empty: send at least one message")
    }
    for (index, message) in completion.messages.enumerated() {
        switch message.role {
        case .system, .developer, .user, .assistant: break
        case .tool:
            if message.toolCallId.isEmpty {
                throw invalid(
                    "completion.messages[\(index)].tool_call_id",
                    "is empty: a tool's message names the call it answers")
            }
        case .unspecified, .unrecognized:
            throw invalid(
                "completion.messages[\(index)].role", "is not one of system, developer, user, assistant, tool"
            )
        }
        for (place, part) in message.parts.enumerated() where part.part == nil {
            throw invalid(
                "completion.messages[\(index)].parts[\(place)].part",
                "is not set: a part is a text or an image")
        }
    }
    for (index, tool) in completion.tools.enumerated() where tool.function?.name.isEmpty ?? true {
        throw invalid("completion.tools[\(index)].function.name", "is empty: a tool has a name")
    }
    if let choice = completion.toolChoice, choice.mode == .function, choice.functionName.isEmpty {
        throw invalid(
            "completion.tool_choice.function_name", "is empty: name the function that must be called")
    }
    if let format = completion.responseFormat, format.type == .jsonSchema,
        format.jsonSchema?.schemaJson.isEmpty ?? true
    {
        throw invalid("completion.response_format.json_schema.schema_json", "is empty: give the schema")
    }
    if let value = completion.temperature, !(0...2).contains(value) {
        throw outside("temperature", "\(value)", "0 to 2")
    }
    if let value = completion.topP, !(0...1).contains(value) { throw outside("top_p", "\(value)", "0 to 1") }
    if let value = completion.maxTokens, value < 1 { throw outside("max_tokens", "\(value)", "1 or more") }
    if let value = completion.n, !(1...128).contains(value) { throw outside("n", "\(value)", "1 to 128") }
    if let value = completion.presencePenalty, !(-2...2).contains(value) {
        throw outside("presence_penalty", "\(value)", "-2 to 2")
    }
    if let value = completion.frequencyPenalty, !(-2...2).contains(value) {
        throw outside("frequency_penalty", "\(value)", "-2 to 2")
    }
    if let value = completion.topLogprobs, !(0...20).contains(value) {
        throw outside("top_logprobs", "\(value)", "0 to 20")
    }
    return completion
}

/// Most texts of a request: what OpenAI, the most generous, takes.
private let inputsMax = 2048

/// The embedding of a request.
///
/// - Throws: INVALID_ARGUMENT that names the field which no provider could take.
func validated(_ embedding: JunctionV1.Embedding.View?) throws(Status) -> JunctionV1.Embedding.View {
    guard let embedding else { throw invalid("embedding", "is missing: say what to turn into vectors") }
    if embedding.model.isEmpty { throw invalid("embedding.model", "is empty: name a model group") }
    if embedding.inputs.isEmpty { throw invalid("embedding.inputs", "is empty: send at least one text") }
    if embedding.inputs.count > inputsMax {
        throw invalid("embedding.inputs", "has \(embedding.inputs.count) texts, more than \(inputsMax)")
    }
    for (index, text) in embedding.inputs.enumerated() where text.isEmpty {
        throw invalid("embedding.inputs[\(index)]", "is empty: there is nothing to turn into a vector")
    }
    if let value = embedding.dimensions, !(1...65_536).contains(value) {
        throw invalid("embedding.dimensions", "is \(value), not 1 to 65536")
    }
    return embedding
}

/// Checks the routing asked for.
///
/// - Parameter allowedBases: the bases that an override may name (`allowed_api_bases`).
/// - Throws: INVALID_ARGUMENT that names the field which is wrong.
func validate(_ routing: JunctionV1.Routing.View?, allowedBases: [String]) throws(Status) {
    guard let routing else { return }
    if let retries = routing.numRetries, !(0...100).contains(retries) {
        throw invalid("routing.num_retries", "is \(retries), not 0 to 100")
    }
    if let priority = routing.priority, !(0...255).contains(priority) {
        throw invalid("routing.priority", "is \(priority), not 0 to 255")
    }
    if let delay = routing.hedging?.delayMs, delay < 0 {
        throw invalid("routing.hedging.delay_ms", "is \(delay), not 0 or more")
    }
    if let wait = routing.queueTimeoutMs, wait < 0 {
        throw invalid("routing.queue_timeout_ms", "is \(wait), not 0 or more")
    }
    if routing.sessionKey.count > 256 {
        throw invalid("routing.session_key", "is \(routing.sessionKey.count) bytes long, not at most 256")
    }
    if case .unrecognized = routing.streamRescue {
        throw invalid("routing.stream_rescue", "is not one that this router knows")
    }
    for (index, fallback) in routing.fallbacks.enumerated() {
        let field = "routing.fallbacks[\(index)]"
        switch fallback.target {
        case .modelGroup(let name):
            if name.isEmpty { throw invalid("\(field).model_group", "is empty: name a model group") }
        case .override(let override):
            if override.apiKey.isEmpty, override.apiBase.isEmpty, override.model.isEmpty,
                override.apiVersion.isEmpty
            {
                throw invalid("\(field).override", "is empty: override the model, the key or the base")
            }
            if hasControlCharacter(override.apiKey) {
                throw invalid("\(field).override.api_key", "holds a control character")
            }
            if override.apiBase.isEmpty { continue }
            if override.apiKey.isEmpty {
                throw invalid(
                    "\(field).override.api_key",
                    "is empty, but api_base is overridden: a configured key is never sent to another base")
            }
            let base = String(override.apiBase)
            guard allowedBases.contains(where: { allows(base, by: $0) }) else {
                throw invalid(
                    "\(field).override.api_base", "is not among the configuration's allowed_api_bases")
            }
        case nil:
            throw invalid("\(field).target", "is not set: name a model group or override one")
        }
    }
}

/// Whether `base` is `allowed` itself or a path below it.
private func allows(_ base: String, by allowed: String) -> Bool {
    if base.contains("..") || base.contains(where: { "@?#%\\".contains($0) }) { return false }
    func bare(_ text: String) -> String { text.hasSuffix("/") ? String(text.dropLast()) : text }
    return bare(base) == bare(allowed) || base.hasPrefix(bare(allowed) + "/")
}

private func hasControlCharacter(_ text: Text) -> Bool {
    let bytes = text.bytes
    for index in bytes.indices where bytes[index] < 0x20 || bytes[index] == 0x7f { return true }
    return false
}

private func outside(_ field: String, _ value: String, _ range: String) -> Status {
    invalid("completion.\(field)", "is \(value), not \(range)")
}

/// INVALID_ARGUMENT that names a field and what is wrong with it.
func invalid(_ field: String, _ what: String) -> Status {
    Status(.invalidArgument, "\(field) \(what)")
}
