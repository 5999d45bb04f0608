// Amazon Bedrock's Converse API: answers whole and streamed, and errors. Unknown members, blocks and events
// are passed over. Sources: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse,
// …/API_runtime_ConverseStream, …/API_runtime_TokenUsage, botocore's bedrock-runtime model.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

// MARK: Whole answers

/// The answer that `json` is. Neither an id nor the model stands in it.
func readBedrockAnswer(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
    guard let content = json["output"]?["message"]?["content"], content.isArray else {
        if json["message"]?.text != nil || json["__type"] != nil {
            throw .error(bedrockError(json, type: nil))
        }
        throw .malformed("has no content")
    }
    let response = JunctionV1.CompleteResponse.View(in: arena)
    let choice = response.setChoices(count: 1, in: arena)[0]
    readBlocks(content, into: choice, in: arena)
    if let reason = json["stopReason"] { choice.finishReason = try finishReason(reason) }
    let usage = json["usage"].flatMap(tokenUsage)
    response.usage = usage.map { usageMessage($0, in: arena) }
    return AnswerPiece(answer: response, usage: usage, isLast: true)
}

private func readBlocks(_ json: JSONValue, into choice: JunctionV1.Choice.View, in arena: Arena) {
    let message = JunctionV1.Message.View(in: arena)
    message.role = .assistant
    choice.message = message
    var text: [UInt8] = []
    var reasoning: [UInt8] = []
    var calls: [JSONValue] = []
    var parts: [JSONValue] = []
    for block in json.elements {
        for (key, value) in block.members {
            switch key {
            case "text": if let piece = value.text { text += piece.bytes }
            case "toolUse": calls.append(value)
            case "reasoningContent":
                if let piece = value["reasoningText"]?["text"]?.text { reasoning += piece.bytes }
                let isSigned = value["reasoningText"]?["signature"]?.text?.isEmpty == false
                if isSigned || value["redactedContent"] != nil { parts.append(value) }
            default: break
            }
        }
    }
    message.content = arena.text(text.span)
    if !reasoning.isEmpty { choice.reasoning = arena.text(reasoning.span) }
    if !calls.isEmpty {
        let writer = JSONWriter()
        for (call, view) in zip(calls, message.setToolCalls(count: calls.count, in: arena)) {
            readToolUse(call, idName: "toolUseId", into: view, by: writer, in: arena)
        }
    }
    if parts.isEmpty { return }
    for (part, view) in zip(parts, message.setReasoningParts(count: parts.count, in: arena)) {
        if let text = part["redactedContent"]?.text { view.redacted = arena.text(text) }
        if let text = part["reasoningText"]?["text"]?.text { view.text = arena.text(text) }
        if let text = part["reasoningText"]?["signature"]?.text { view.signature = arena.text(text) }
    }
}

// MARK: Streamed answers

/// What a stream has said so far that bears on what its next events mean.
struct BedrockStream {
    /// Whether the reason has come why the answer ended; the usage comes behind it.
    private var isOver = false
    private var callCount: Int32 = 0
    /// The block of the tool call under way, and whether it has any arguments yet.
    private var callBlock: Int64?
    private var hasArguments = false
    private var reasoning = ReasoningBlock()

    /// What an event adds.
    mutating func read(
        _ event: AmazonEventStream.Event, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        if event.isFailure {
            var error = bedrockError(reader.read(event.payload), type: String(event.type))
            if error.message.isEmpty { error.message = String(event.message) }
            throw .error(error)
        }
        switch event.type {
        case "contentBlockDelta", "contentBlockStart", "contentBlockStop", "messageStop", "metadata": break
        // The role, and what later versions may have.
        default: return AnswerPiece()
        }
        guard let json = reader.read(event.payload), json.isObject else {
            throw .malformed("has an event that is no JSON object")
        }
        let index = json["contentBlockIndex"]?.integer ?? 0
        switch event.type {
        case "contentBlockDelta": return json["delta"].map { gained($0, index, in: arena) } ?? AnswerPiece()
        case "contentBlockStart": return start(json["start"]?["toolUse"], index, in: arena)
        case "contentBlockStop": return stop(index, in: arena)
        case "messageStop": return try end(json["stopReason"], in: arena)
        default: return AnswerPiece(usage: json["usage"].flatMap(tokenUsage), isLast: isOver)
        }
    }

    /// The bytes have ended where no event did.
    func end() throws(AnswerProblem) -> AnswerPiece {
        guard isOver else { throw .cut }
        return AnswerPiece(isLast: true)
    }

    /// Only blocks of tool calls need a start.
    private mutating func start(_ call: JSONValue?, _ index: Int64, in arena: Arena) -> AnswerPiece {
        reasoning = ReasoningBlock()
        callBlock = nil
        guard let call else { return AnswerPiece() }
        callBlock = index
        hasArguments = false
        callCount += 1
        let (delta, view) = callDelta(in: arena)
        if let id = call["toolUseId"]?.text { view.id = arena.text(id) }
        if let name = call["name"]?.text { view.name = arena.text(name) }
        return AnswerPiece(delta: delta, hasContent: true)
    }

    private mutating func gained(_ json: JSONValue, _ index: Int64, in arena: Arena) -> AnswerPiece {
        for (key, value) in json.members {
            switch key {
            case "text":
                guard let text = value.text, !text.isEmpty else { break }
                let (delta, choice) = choiceDelta(in: arena)
                choice.content = arena.text(text)
                return AnswerPiece(delta: delta, hasContent: true)
            case "toolUse":
                guard index == callBlock, let input = value["input"]?.text, !input.isEmpty else { break }
                hasArguments = true
                let (delta, call) = callDelta(in: arena)
                call.argumentsJson = arena.text(input)
                return AnswerPiece(delta: delta, hasContent: true)
            case "reasoningContent":
                if let redacted = value["redactedContent"]?.text { reasoning.redacted += redacted.bytes }
                if let signature = value["signature"]?.text { reasoning.signature += signature.bytes }
                guard let text = value["text"]?.text, !text.isEmpty else { break }
                reasoning.text += text.bytes
                let (delta, choice) = choiceDelta(in: arena)
                choice.reasoning = arena.text(text)
                return AnswerPiece(delta: delta, hasContent: true)
            default: break
            }
        }
        return AnswerPiece()
    }

    /// A call without arguments has had no fragment of them by its end, yet arguments are a JSON object.
    private mutating func stop(_ index: Int64, in arena: Arena) -> AnswerPiece {
        defer { reasoning = ReasoningBlock() }
        if reasoning.isSigned {
            let (delta, choice) = choiceDelta(in: arena)
            let part = JunctionV1.ReasoningPart.View(in: arena)
            reasoning.write(to: part, in: arena)
            choice.reasoningPart = part
            return AnswerPiece(delta: delta, hasContent: true)
        }
        guard index == callBlock else { return AnswerPiece() }
        callBlock = nil
        if hasArguments { return AnswerPiece() }
        let (delta, call) = callDelta(in: arena)
        call.argumentsJson = arena.text("{}")
        return AnswerPiece(delta: delta, hasContent: true)
    }

    private mutating func end(_ reason: JSONValue?, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        guard let reason else { throw .malformed("ends without a reason") }
        isOver = true
        let (delta, choice) = choiceDelta(in: arena)
        choice.finishReason = try finishReason(reason)
        return AnswerPiece(delta: delta)
    }

    private func callDelta(
        in arena: Arena
    ) -> (JunctionV1.StreamResponse.View, JunctionV1.ToolCallDelta.View) {
        let (delta, choice) = choiceDelta(in: arena)
        let call = choice.setToolCalls(count: 1, in: arena)[0]
        call.index = callCount - 1
        return (delta, call)
    }
}

private func choiceDelta(
    in arena: Arena
) -> (JunctionV1.StreamResponse.View, JunctionV1.ChoiceDelta.View) {
    let delta = JunctionV1.StreamResponse.View(in: arena)
    return (delta, delta.setChoices(count: 1, in: arena)[0])
}

// MARK: What whole and streamed answers share

private func finishReason(_ json: JSONValue) throws(AnswerProblem) -> JunctionV1.FinishReason {
    guard let reason = json.text else { return .unspecified }
    switch reason {
    case "end_turn", "stop_sequence": return .stop
    case "max_tokens", "model_context_window_exceeded": return .length
    case "tool_use": return .toolCalls
    case "guardrail_intervened", "content_filtered": return .contentFilter
    case "malformed_model_output", "malformed_tool_use":
        throw .malformed("is one that the provider itself cannot read")
    default: return .other
    }
}

/// Tokens read from the cache and written to it are counted beside the other ones of the input. Nil when
/// there is none, or one that says nothing.
private func tokenUsage(_ json: JSONValue) -> TokenUsage? {
    var usage = TokenUsage()
    for (key, value) in json.members {
        switch key {
        case "inputTokens": usage.prompt += tokenCount(value)
        case "outputTokens": usage.completion = tokenCount(value)
        case "cacheReadInputTokens": usage.cached = tokenCount(value)
        case "cacheWriteInputTokens": usage.cacheWritten = tokenCount(value)
        default: break
        }
    }
    usage.prompt += usage.cached + usage.cacheWritten
    return usage.total == 0 ? nil : usage
}

// MARK: Errors

/// The error of that type.
///
/// - Parameters:
///   - json: the body; nil where it is no JSON.
///   - type: what the header `x-amzn-errortype`, or the event, names; nil: the body's `__type`.
func bedrockError(_ json: JSONValue?, type: String?) -> ProviderError {
    var error = ProviderError()
    let words = json?["message"] ?? json?["Message"] ?? json?["originalMessage"]
    if let text = words?.text { error.message = String(text) }
    let type = type ?? json?["__type"]?.text.map { String($0) } ?? ""
    // `com.amazon.coral.service#ThrottlingException:http://internal.amazon.com/…`
    let name = type.prefix { $0 != ":" }.split(separator: "#").last.map(String.init) ?? ""
    error.code = name.prefix(1).uppercased() + name.dropFirst()
    error.status = statuses[error.code]
    if error.message.lowercased().contains("provided model identifier is invalid") {
        error.code = "ResourceNotFoundException"
    }
    return error
}

/// What stands in for the HTTP status where an exception comes inside a stream.
private let statuses = [
    "InternalServerException": 500, "ModelStreamErrorException": 424, "ServiceUnavailableException": 503,
    "ThrottlingException": 429, "ValidationException": 400, "ModelTimeoutException": 408,
]
