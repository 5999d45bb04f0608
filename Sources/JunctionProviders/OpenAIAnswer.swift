// OpenAI's chat completions: answers whole and streamed, and errors, as OpenAI documents them and as those
// who follow it send them. Unknown members are passed over. Source:
// platform.openai.com/docs/api-reference/chat.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

// MARK: Whole answers

/// The answer that `json` is.
func readOpenAIAnswer(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
    try checkWhole(json)
    let response = JunctionV1.CompleteResponse.View(in: arena)
    var usage: TokenUsage?
    for (key, value) in json.members {
        switch key {
        case "id": if let text = value.text { response.id = arena.text(text) }
        case "model": if let text = value.text { response.model = arena.text(text) }
        case "created": response.createdUnixSeconds = value.integer ?? 0
        case "system_fingerprint": if let text = value.text { response.systemFingerprint = arena.text(text) }
        case "choices": try readChoices(value, into: response, in: arena)
        case "usage": usage = openAIUsage(value)
        default: break
        }
    }
    response.usage = usage.map { usageMessage($0, in: arena) }
    return AnswerPiece(answer: response, usage: usage, isLast: true)
}

/// Refuses what came in an answer's stead.
private func checkWhole(_ json: JSONValue) throws(AnswerProblem) {
    if let error = openAIError(within: json) { throw .error(error) }
    guard let choices = json["choices"], choices.elements.contains(where: isChoice) else {
        throw .malformed("has no choices")
    }
}

/// Azure leaves out the message of a choice that its filter cut whole.
private func isChoice(_ json: JSONValue) -> Bool {
    if json["message"]?.isObject ?? false { return true }
    return json["finish_reason"]?.text.map { "content_filter" ~= $0 } ?? false
}

private func readChoices(
    _ json: JSONValue, into response: JunctionV1.CompleteResponse.View, in arena: Arena
) throws(AnswerProblem) {
    let choices = response.setChoices(count: json.elements.count, in: arena)
    var place = 0
    for element in json.elements {
        let choice = choices[place]
        choice.index = Int32(place)
        place += 1
        for (key, value) in element.members {
            switch key {
            case "index": choice.index = Int32(clamping: value.integer ?? 0)
            case "message": choice.message = readMessage(value, of: choice, in: arena)
            case "finish_reason": choice.finishReason = try finishReason(value)
            case "logprobs": choice.logprobs = readLogprobs(value, in: arena)
            default: break
            }
        }
    }
}

private func readMessage(
    _ json: JSONValue, of choice: JunctionV1.Choice.View, in arena: Arena
) -> JunctionV1.Message.View? {
    guard json.isObject else { return nil }
    let message = JunctionV1.Message.View(in: arena)
    message.role = .assistant
    for (key, value) in json.members {
        switch key {
        case "content":
            let content = readContent(value, in: arena)
            message.content = content.text
            if !content.reasoning.isEmpty { choice.reasoning = content.reasoning }
        case "refusal": if let text = value.text { message.refusal = arena.text(text) }
        case "reasoning_content", "reasoning":
            if let text = value.text { choice.reasoning = arena.text(text) }
        case "tool_calls": readToolCalls(value, into: message, in: arena)
        case "function_call" where value.isObject:
            message.setToolCalls(count: 1, in: arena)[0].function = readFunction(value, in: arena)
        default: break
        }
    }
    return message
}

func readToolCalls(_ json: JSONValue, into message: JunctionV1.Message.View, in arena: Arena) {
    for (element, call) in zip(json.elements, message.setToolCalls(count: json.elements.count, in: arena)) {
        for (key, value) in element.members {
            switch key {
            case "id": if let text = value.text { call.id = arena.text(text) }
            case "function": call.function = readFunction(value, in: arena)
            default: break
            }
        }
    }
}

private func readFunction(_ json: JSONValue, in arena: Arena) -> JunctionV1.FunctionCall.View {
    let function = JunctionV1.FunctionCall.View(in: arena)
    for (key, value) in json.members {
        switch key {
        case "name": if let text = value.text { function.name = arena.text(text) }
        case "arguments": if let text = value.text { function.argumentsJson = arena.text(text) }
        default: break
        }
    }
    return function
}

// MARK: Streamed answers

/// What a stream has said so far that bears on what its next chunks mean.
struct OpenAIStream {
    private var isHeadSent = false
    private var hasChoice = false
    private var hasFinishReason = false

    /// What an event adds: a chunk, an error, or the end marker.
    mutating func read(
        _ event: EventStream.Event, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        if isEndMarker(event) { return try end() }
        if event.data.allSatisfy({ $0 == 0x20 || $0 == 0x0a }) { return AnswerPiece() }
        guard let json = reader.read(event.data), json.isObject else {
            throw .malformed("has an event that is no JSON object")
        }
        if let error = event.isError ? openAIError(json) : openAIError(within: json) { throw .error(error) }
        return try read(json, in: arena)
    }

    /// What a whole answer comes to, which some providers send where a stream was asked for.
    mutating func read(answer json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        try checkWhole(json)
        var piece = try read(json, in: arena)
        piece.isLast = true
        return piece
    }

    /// The stream ended where no event did. It is whole with its end marker, also when the marker lacks its
    /// line end; a provider that never sends one has given a finish reason. Anything else was cut.
    mutating func end(behind rest: EventStream.Event?, _ quirks: OpenAIQuirks) throws(AnswerProblem)
        -> AnswerPiece
    {
        if let rest, isEndMarker(rest) { return try end() }
        if quirks.contains(.noDoneMarker), hasFinishReason { return try end() }
        throw .cut
    }

    private func end() throws(AnswerProblem) -> AnswerPiece {
        if !hasChoice { throw .malformed("has no choices") }
        return AnswerPiece(isLast: true)
    }

    private func isEndMarker(_ event: EventStream.Event) -> Bool { "[DONE]" ~= JSONText(event.data) }

    /// What a chunk adds.
    private mutating func read(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        let delta = JunctionV1.StreamResponse.View(in: arena)
        var usage: TokenUsage?
        var change = Change.none
        var hasHead = false
        for (key, value) in json.members {
            switch key {
            case "id" where !isHeadSent:
                guard let text = value.text, !text.isEmpty else { continue }
                delta.id = arena.text(text)
                hasHead = true
            case "model" where !isHeadSent:
                guard let text = value.text, !text.isEmpty else { continue }
                delta.model = arena.text(text)
                hasHead = true
            case "created" where !isHeadSent: delta.createdUnixSeconds = value.integer ?? 0
            case "choices": change = try readChoices(value, into: delta, in: arena)
            case "usage": usage = openAIUsage(value) ?? usage
            case "x_groq": usage = value["usage"].flatMap(openAIUsage) ?? usage
            default: break
            }
        }
        if change == .none { delta.setChoices(count: 0, in: arena) }
        if change == .none && !hasHead { return AnswerPiece(usage: usage) }
        // Azure's first chunk has no id and no model; the head is that of the first chunk that has them.
        if hasHead { isHeadSent = true } else if !isHeadSent { delta.createdUnixSeconds = 0 }
        return AnswerPiece(delta: delta, hasContent: change == .content, usage: usage)
    }

    private enum Change { case none, other, content }

    private mutating func readChoices(
        _ json: JSONValue, into delta: JunctionV1.StreamResponse.View, in arena: Arena
    ) throws(AnswerProblem) -> Change {
        var change = Change.none
        let choices = delta.setChoices(count: json.elements.count, in: arena)
        var place = 0
        for element in json.elements {
            hasChoice = true
            let choice = choices[place]
            choice.index = Int32(place)
            place += 1
            var gained: JSONValue?
            for (key, value) in element.members {
                switch key {
                case "index": choice.index = Int32(clamping: value.integer ?? 0)
                case "delta": gained = value
                // Perplexity sends both, the message being all of the answer so far.
                case "message": gained = gained ?? value
                case "finish_reason": choice.finishReason = try finishReason(value)
                case "logprobs": choice.logprobs = readLogprobs(value, in: arena)
                default: break
                }
            }
            if let gained, readDelta(gained, into: choice, in: arena) { change = .content }
            if choice.finishReason != .unspecified { hasFinishReason = true }
            if change == .none, choice.finishReason != .unspecified || choice.logprobs != nil {
                change = .other
            }
        }
        return change
    }
}

/// Returns whether the choice gained content.
private func readDelta(_ json: JSONValue, into choice: JunctionV1.ChoiceDelta.View, in arena: Arena) -> Bool {
    var hasContent = false
    for (key, value) in json.members {
        switch key {
        case "content":
            let content = readContent(value, in: arena)
            choice.content = content.text
            if !content.reasoning.isEmpty { choice.reasoning = content.reasoning }
            if !content.text.isEmpty || !content.reasoning.isEmpty { hasContent = true }
        case "refusal":
            guard let text = value.text, !text.isEmpty else { continue }
            choice.refusal = arena.text(text)
            hasContent = true
        case "reasoning_content", "reasoning":
            guard let text = value.text, !text.isEmpty else { continue }
            choice.reasoning = arena.text(text)
            hasContent = true
        case "tool_calls":
            if readToolCallDeltas(value, into: choice, in: arena) { hasContent = true }
        case "function_call" where value.isObject:
            readFunctionDelta(value, into: choice.setToolCalls(count: 1, in: arena)[0], in: arena)
            hasContent = true
        default: break
        }
    }
    return hasContent
}

/// Returns whether there were any.
private func readToolCallDeltas(
    _ json: JSONValue, into choice: JunctionV1.ChoiceDelta.View, in arena: Arena
) -> Bool {
    let calls = choice.setToolCalls(count: json.elements.count, in: arena)
    for (place, (element, call)) in zip(json.elements, calls).enumerated() {
        call.index = Int32(place)
        for (key, value) in element.members {
            switch key {
            case "index": call.index = value.integer.map { Int32(clamping: $0) } ?? call.index
            case "id": if let text = value.text { call.id = arena.text(text) }
            case "function": readFunctionDelta(value, into: call, in: arena)
            default: break
            }
        }
    }
    return !calls.isEmpty
}

private func readFunctionDelta(_ json: JSONValue, into call: JunctionV1.ToolCallDelta.View, in arena: Arena) {
    for (key, value) in json.members {
        switch key {
        case "name": if let text = value.text { call.name = arena.text(text) }
        case "arguments": if let text = value.text { call.argumentsJson = arena.text(text) }
        default: break
        }
    }
}

// MARK: What whole and streamed answers share

/// Content as text, or as Mistral's reasoning models send it: parts, some of them thinking.
/// Source: docs.mistral.ai/capabilities/reasoning.
private func readContent(_ json: JSONValue, in arena: Arena) -> (text: Text, reasoning: Text) {
    if let text = json.text { return (arena.text(text), Text(stored: nil)) }
    var text: [UInt8] = []
    var reasoning: [UInt8] = []
    for part in json.elements {
        if let piece = part["text"]?.text { text += piece.bytes }
        guard let thinking = part["thinking"] else { continue }
        if let piece = thinking.text { reasoning += piece.bytes }
        for part in thinking.elements {
            if let piece = part["text"]?.text { reasoning += piece.bytes }
        }
    }
    return (arena.text(text.span), arena.text(reasoning.span))
}

private func finishReason(_ json: JSONValue) throws(AnswerProblem) -> JunctionV1.FinishReason {
    // Ollama has sent an empty one while the answer went on.
    guard let reason = json.text, !reason.isEmpty else { return .unspecified }
    switch reason {
    case "stop", "eos", "stop_sequence", "end_turn": return .stop
    case "length", "max_tokens", "model_length": return .length
    case "tool_calls", "function_call": return .toolCalls
    case "content_filter": return .contentFilter
    // OpenRouter and Mistral; DeepSeek. What came before is not an answer.
    case "error": throw .error(ProviderError(message: "the answer broke off", type: "server_error"))
    case "insufficient_system_resource":
        throw .error(
            ProviderError(message: "the answer broke off for want of resources", type: "overloaded_error"))
    default: return .other
    }
}

private func readLogprobs(_ json: JSONValue, in arena: Arena) -> JunctionV1.Logprobs.View? {
    guard let content = json["content"], content.isArray else { return nil }
    let logprobs = JunctionV1.Logprobs.View(in: arena)
    for (element, token) in zip(
        content.elements, logprobs.setContent(count: content.elements.count, in: arena))
    {
        for (key, value) in element.members {
            switch key {
            case "token": if let text = value.text { token.token = arena.text(text) }
            case "logprob": token.logprob = value.number ?? 0
            case "bytes": token.tokenBytes = readBytes(value, in: arena)
            case "top_logprobs":
                for (element, top) in zip(
                    value.elements, token.setTop(count: value.elements.count, in: arena))
                {
                    readTopLogprob(element, into: top, in: arena)
                }
            default: break
            }
        }
    }
    return logprobs
}

private func readTopLogprob(_ json: JSONValue, into top: JunctionV1.TopLogprob.View, in arena: Arena) {
    for (key, value) in json.members {
        switch key {
        case "token": if let text = value.text { top.token = arena.text(text) }
        case "logprob": top.logprob = value.number ?? 0
        case "bytes": top.tokenBytes = readBytes(value, in: arena)
        default: break
        }
    }
}

private func readBytes(_ json: JSONValue, in arena: Arena) -> ByteView {
    let bytes = json.elements.map { UInt8(clamping: $0.integer ?? 0) }
    return arena.bytes(bytes.span)
}

/// Nil when there is none, or one that says nothing.
func openAIUsage(_ json: JSONValue) -> TokenUsage? {
    guard json.isObject else { return nil }
    var usage = TokenUsage(prompt: 0, completion: 0)
    var total = 0
    for (key, value) in json.members {
        switch key {
        case "prompt_tokens": usage.prompt = tokenCount(value)
        case "completion_tokens": usage.completion = tokenCount(value)
        case "total_tokens": total = tokenCount(value)
        case "prompt_tokens_details":
            usage.cached = value["cached_tokens"].map(tokenCount) ?? usage.cached
            // OpenRouter; LiteLLM's proxy.
            let written = value["cache_write_tokens"] ?? value["cache_creation_tokens"]
            usage.cacheWritten = written.map(tokenCount) ?? 0
        case "completion_tokens_details": usage.reasoning = value["reasoning_tokens"].map(tokenCount) ?? 0
        case "prompt_cache_hit_tokens": usage.cached = tokenCount(value)
        // OpenRouter; Perplexity, with what it is made of; xAI.
        case "cost": usage.cost = dollars(value.isObject ? value["total_cost"] : value)
        case "cost_in_usd_ticks": usage.cost = dollars(value).map { $0 / 1e10 }
        default: break
        }
    }
    // xAI counts reasoning beside the completion, and both in the total.
    if usage.reasoning > 0, total == usage.prompt + usage.completion + usage.reasoning {
        usage.completion += usage.reasoning
    }
    return usage == TokenUsage(prompt: 0, completion: 0) ? nil : usage
}

private func dollars(_ json: JSONValue?) -> Double? {
    json?.number.flatMap { (0..<1e9).contains($0) ? $0 : nil }
}

/// Bounded, so that sums cannot overflow.
func tokenCount(_ json: JSONValue) -> Int { Int(min(max(json.integer ?? 0, 0), 1 << 40)) }

// MARK: Errors

/// The error that an answer tells of; nil when it tells of none.
func openAIError(within json: JSONValue) -> ProviderError? {
    // Gemini's OpenAI-compatible endpoint wraps errors in an array.
    if json.isArray { return json.elements.first { $0.isObject }.flatMap(openAIError(within:)) }
    if let error = json["error"] {
        if error.isObject { return providerError(error) }
        // Ollama, and xAI, which puts the code beside it.
        if let text = error.text, !text.isEmpty {
            var provider = providerError(json)
            provider.message = String(text)
            return provider
        }
    }
    // vLLM before 0.10, Mistral: the error is the object itself.
    let isErrorObject = json["object"]?.text.map { "error" ~= $0 } ?? false
    return isErrorObject ? providerError(json) : nil
}

/// The error that `json` is, whatever its form.
func openAIError(_ json: JSONValue) -> ProviderError { openAIError(within: json) ?? providerError(json) }

private func providerError(_ json: JSONValue) -> ProviderError {
    var error = ProviderError()
    for (key, value) in json.members {
        switch key {
        case "message", "detail", "msg": if error.message.isEmpty { error.message = words(value) }
        case "type": if let text = value.text { error.type = String(text) }
        case "param": if let text = value.text { error.parameter = String(text) }
        case "code":
            if let text = value.text { error.code = String(text) }
            let number = value.integer ?? Int64(error.code) ?? 0
            if (400...599).contains(number) { error.status = Int(number) }
        // Azure: the code proper is within.
        case "innererror": if let text = value["code"]?.text { error.type = String(text) }
        default: break
        }
    }
    return error
}

/// A message as text, or as FastAPI's servers send it: `[{"loc": […], "msg": "…"}]`, also within
/// `detail`.
private func words(_ json: JSONValue) -> String {
    if let text = json.text { return String(text) }
    if json.isObject { return (json["detail"] ?? json["message"] ?? json["msg"]).map(words) ?? "" }
    return json.elements.prefix(3).map { element in
        let place = element["loc"]?.elements.map { $0.text.map(String.init) ?? "\($0.integer ?? 0)" }.joined(
            separator: ".")
        return [place, element["msg"]?.text.map(String.init)].compactMap { $0 }.joined(separator: ": ")
    }.joined(separator: "; ")
}
