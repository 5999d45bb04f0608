// Anthropic's Messages API: answers whole and streamed. Unknown members, blocks and events are passed over.
// Errors have OpenAI's form. Sources: docs.anthropic.com/en/api/messages,
// docs.anthropic.com/en/docs/build-with-claude/streaming.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

// MARK: Whole answers

/// The answer that `json` is.
func readAnthropicAnswer(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
    if json["error"]?.isObject ?? false { throw .error(openAIError(json)) }
    guard let content = json["content"], content.isArray else { throw .malformed("has no content") }
    let response = JunctionV1.CompleteResponse.View(in: arena)
    let choice = response.setChoices(count: 1, in: arena)[0]
    var usage = AnthropicUsage()
    for (key, value) in json.members {
        switch key {
        case "id": if let text = value.text { response.id = arena.text(text) }
        case "model": if let text = value.text { response.model = arena.text(text) }
        case "stop_reason": choice.finishReason = finishReason(value)
        case "usage": usage.read(value)
        default: break
        }
    }
    readBlocks(content, into: choice, in: arena)
    response.usage = usage.tokens.map { usageMessage($0, in: arena) }
    return AnswerPiece(answer: response, usage: usage.tokens, isLast: true)
}

private func readBlocks(_ json: JSONValue, into choice: JunctionV1.Choice.View, in arena: Arena) {
    let message = JunctionV1.Message.View(in: arena)
    message.role = .assistant
    choice.message = message
    var text: [UInt8] = []
    var thinking: [UInt8] = []
    var parts: [ReasoningBlock] = []
    var callCount = 0
    for block in json.elements {
        switch block["type"]?.text {
        case .some("text"): if let piece = block["text"]?.text { text += piece.bytes }
        case .some("thinking"):
            if let piece = block["thinking"]?.text { thinking += piece.bytes }
            parts.append(ReasoningBlock(block))
        case .some("redacted_thinking"): parts.append(ReasoningBlock(block))
        case .some("tool_use"): callCount += 1
        default: break
        }
    }
    message.content = arena.text(text.span)
    if !thinking.isEmpty { choice.reasoning = arena.text(thinking.span) }
    parts.removeAll { !$0.isSigned }
    if !parts.isEmpty {
        for (part, view) in zip(parts, message.setReasoningParts(count: parts.count, in: arena)) {
            part.write(to: view, in: arena)
        }
    }
    if callCount > 0 {
        readToolUses(json, into: message.setToolCalls(count: callCount, in: arena), in: arena)
    }
}

private func readToolUses(
    _ json: JSONValue, into calls: Repeated<JunctionV1.ToolCall.View>, in arena: Arena
) {
    let writer = JSONWriter()
    var place = 0
    for block in json.elements {
        guard case .some("tool_use") = block["type"]?.text else { continue }
        readToolUse(block, idName: "id", into: calls[place], by: writer, in: arena)
        place += 1
    }
}

/// A call of a tool whose arguments are an object, as Anthropic and Bedrock have it.
func readToolUse(
    _ json: JSONValue, idName: StaticString, into call: JunctionV1.ToolCall.View, by writer: JSONWriter,
    in arena: Arena
) {
    let function = JunctionV1.FunctionCall.View(in: arena)
    call.function = function
    for (key, value) in json.members {
        switch key {
        case idName: if let text = value.text { call.id = arena.text(text) }
        case "name": if let text = value.text { function.name = arena.text(text) }
        case "input":
            writer.removeAll()
            writer.value(value)
            function.argumentsJson = arena.text(Span(_unsafeBytes: writer.bytes))
        default: break
        }
    }
}

// MARK: Streamed answers

/// What a stream has said so far that bears on what its next events mean.
struct AnthropicStream {
    private var isStarted = false
    private var usage = AnthropicUsage()
    private var callCount: Int32 = 0
    /// The block of the tool call under way, and whether it has any arguments yet.
    private var callBlock: Int64?
    private var hasArguments = false
    private var reasoning = ReasoningBlock()

    /// What an event adds. Its type stands in its data too.
    mutating func read(
        _ event: EventStream.Event, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        if event.data.isEmpty { return AnswerPiece() }
        guard let json = reader.read(event.data), json.isObject else {
            throw .malformed("has an event that is no JSON object")
        }
        if event.isError { throw .error(openAIError(json)) }
        return try read(json, in: arena)
    }

    /// The stream ended where no event did. An event that is whole but for its line end counts.
    mutating func end(
        behind rest: EventStream.Event?, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        guard let rest, reader.read(rest.data) != nil else { throw .cut }
        let piece = try read(rest, by: reader, in: arena)
        if !piece.isLast { throw .cut }
        return piece
    }

    private mutating func read(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        var type = JSONText(UnsafeRawBufferPointer(start: nil, count: 0))
        var index: Int64 = 0
        var body: JSONValue?
        var usage: JSONValue?
        for (key, value) in json.members {
            switch key {
            case "type": type = value.text ?? type
            case "index": index = value.integer ?? 0
            case "message", "content_block", "delta": body = value
            case "usage": usage = value
            case "error": throw .error(openAIError(json))
            default: break
            }
        }
        switch type {
        case "content_block_delta": if let body { return blockDelta(body, index, in: arena) }
        case "content_block_start": if let body { return blockStart(body, index, in: arena) }
        case "content_block_stop": return blockStop(index, in: arena)
        case "message_start": if let body, !isStarted { return start(body, in: arena) }
        case "message_delta": return messageDelta(body, usage, in: arena)
        case "message_stop":
            if !isStarted { throw .malformed("has no message") }
            return AnswerPiece(isLast: true)
        default: break
        }
        return AnswerPiece()
    }

    private mutating func start(_ json: JSONValue, in arena: Arena) -> AnswerPiece {
        isStarted = true
        let delta = JunctionV1.StreamResponse.View(in: arena)
        for (key, value) in json.members {
            switch key {
            case "id": if let text = value.text { delta.id = arena.text(text) }
            case "model": if let text = value.text { delta.model = arena.text(text) }
            case "usage": usage.read(value)
            default: break
            }
        }
        return AnswerPiece(delta: delta, usage: usage.tokens)
    }

    /// A block of text or thinking starts empty, but may not.
    private mutating func blockStart(_ json: JSONValue, _ index: Int64, in arena: Arena) -> AnswerPiece {
        callBlock = nil
        reasoning = ReasoningBlock(json)
        guard case .some("tool_use") = json["type"]?.text else { return gained(json, in: arena) }
        callBlock = index
        hasArguments = false
        callCount += 1
        let (delta, call) = callDelta(in: arena)
        for (key, value) in json.members {
            switch key {
            case "id": if let text = value.text { call.id = arena.text(text) }
            case "name": if let text = value.text { call.name = arena.text(text) }
            default: break
            }
        }
        return AnswerPiece(delta: delta, hasContent: true)
    }

    private mutating func blockDelta(_ json: JSONValue, _ index: Int64, in arena: Arena) -> AnswerPiece {
        guard let arguments = json["partial_json"]?.text else {
            reasoning.add(json)
            return gained(json, in: arena)
        }
        // Tools that the provider calls itself have arguments too.
        guard index == callBlock, !arguments.isEmpty else { return AnswerPiece() }
        hasArguments = true
        let (delta, call) = callDelta(in: arena)
        call.argumentsJson = arena.text(arguments)
        return AnswerPiece(delta: delta, hasContent: true)
    }

    /// A call without arguments has had no fragment of them by its end, yet arguments are a JSON object.
    private mutating func blockStop(_ index: Int64, in arena: Arena) -> AnswerPiece {
        if reasoning.isSigned {
            let (delta, choice) = choiceDelta(in: arena)
            let part = JunctionV1.ReasoningPart.View(in: arena)
            reasoning.write(to: part, in: arena)
            choice.reasoningPart = part
            reasoning = ReasoningBlock()
            return AnswerPiece(delta: delta, hasContent: true)
        }
        guard index == callBlock else { return AnswerPiece() }
        callBlock = nil
        if hasArguments { return AnswerPiece() }
        let (delta, call) = callDelta(in: arena)
        call.argumentsJson = arena.text("{}")
        return AnswerPiece(delta: delta, hasContent: true)
    }

    private mutating func messageDelta(
        _ json: JSONValue?, _ counts: JSONValue?, in arena: Arena
    ) -> AnswerPiece {
        if let counts { usage.read(counts) }
        let reason = json?["stop_reason"].map(finishReason) ?? .unspecified
        if reason == .unspecified { return AnswerPiece(usage: usage.tokens) }
        let (delta, choice) = choiceDelta(in: arena)
        choice.finishReason = reason
        return AnswerPiece(delta: delta, usage: usage.tokens)
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

extension ReasoningBlock {
    /// A block of thinking, as a whole or at its start.
    fileprivate init(_ json: JSONValue) { add(json) }

    /// What a block of thinking, or a delta of one, holds.
    fileprivate mutating func add(_ json: JSONValue) {
        for (key, value) in json.members {
            switch key {
            case "thinking": if let piece = value.text { text += piece.bytes }
            case "signature": if let piece = value.text { signature += piece.bytes }
            case "data": if let piece = value.text { redacted += piece.bytes }
            default: break
            }
        }
    }
}

/// The text or the thinking that a block or its delta holds; a signature or a citation is neither.
private func gained(_ json: JSONValue, in arena: Arena) -> AnswerPiece {
    for (key, value) in json.members {
        guard let text = value.text, !text.isEmpty else { continue }
        switch key {
        case "text":
            let (delta, choice) = choiceDelta(in: arena)
            choice.content = arena.text(text)
            return AnswerPiece(delta: delta, hasContent: true)
        case "thinking":
            let (delta, choice) = choiceDelta(in: arena)
            choice.reasoning = arena.text(text)
            return AnswerPiece(delta: delta, hasContent: true)
        default: break
        }
    }
    return AnswerPiece()
}

private func choiceDelta(
    in arena: Arena
) -> (JunctionV1.StreamResponse.View, JunctionV1.ChoiceDelta.View) {
    let delta = JunctionV1.StreamResponse.View(in: arena)
    return (delta, delta.setChoices(count: 1, in: arena)[0])
}

// MARK: What whole and streamed answers share

private func finishReason(_ json: JSONValue) -> JunctionV1.FinishReason {
    guard let reason = json.text else { return .unspecified }
    switch reason {
    case "end_turn", "stop_sequence": return .stop
    case "max_tokens", "model_context_window_exceeded": return .length
    case "tool_use": return .toolCalls
    case "refusal": return .contentFilter
    default: return .other
    }
}

/// Token counts as the API gives them: those of the input do not overlap, and a stream gives some of them
/// first and others later, the later ones being sums.
private struct AnthropicUsage {
    private var input = 0
    private var written = 0
    private var cached = 0
    private var output = 0
    private var thinking = 0

    mutating func read(_ json: JSONValue) {
        for (key, value) in json.members where value.integer != nil || value.isObject {
            switch key {
            case "input_tokens": input = tokenCount(value)
            case "cache_creation_input_tokens": written = tokenCount(value)
            case "cache_read_input_tokens": cached = tokenCount(value)
            case "output_tokens": output = tokenCount(value)
            case "output_tokens_details": thinking = value["thinking_tokens"].map(tokenCount) ?? thinking
            default: break
            }
        }
    }

    /// Nil when there is none, or one that says nothing.
    var tokens: TokenUsage? {
        let usage = TokenUsage(
            prompt: input + written + cached, completion: output, cached: cached, cacheWritten: written,
            reasoning: thinking)
        return usage.total == 0 ? nil : usage
    }
}
