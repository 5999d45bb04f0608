// Cohere's chat API: answers whole and streamed, and errors. Unknown members and events are passed over.
// Sources: docs.cohere.com/reference/chat, …/v2/docs/streaming, …/reference/errors.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

// MARK: Whole answers

/// The answer that `json` is.
func readCohereAnswer(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
    guard let said = json["message"], said.isObject else { throw notAnAnswer(json) }
    let response = JunctionV1.CompleteResponse.View(in: arena)
    if let id = json["id"]?.text { response.id = arena.text(id) }
    let choice = response.setChoices(count: 1, in: arena)[0]
    let message = JunctionV1.Message.View(in: arena)
    choice.message = message
    message.role = .assistant
    for (key, value) in said.members {
        switch key {
        case "content":
            message.content = value.text.map { arena.text($0) } ?? value.joined("text", in: arena)
            let thinking = value.joined("thinking", in: arena)
            if !thinking.isEmpty { choice.reasoning = thinking }
        case "tool_plan": if let text = value.text, !text.isEmpty { choice.reasoning = arena.text(text) }
        case "tool_calls": readToolCalls(value, into: message, in: arena)
        default: break
        }
    }
    if let reason = json["finish_reason"] { choice.finishReason = try finishReason(reason, nil) }
    let usage = json["usage"].flatMap(tokenUsage)
    response.usage = usage.map { usageMessage($0, in: arena) }
    return AnswerPiece(answer: response, usage: usage, isLast: true)
}

// MARK: Streamed answers

/// What a stream has said so far that bears on what its next events mean.
struct CohereStream {
    private var id: [UInt8] = []
    /// The events' indices of the tool calls, in the order of their starts.
    private var calls: [Int64] = []

    mutating func read(
        _ event: EventStream.Event, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        try read(reader.object(event), in: arena)
    }

    /// What came where a stream was asked for: an error, or one event.
    mutating func read(answer json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        let piece = try read(json, in: arena)
        guard piece.isLast else { throw .cut }
        return piece
    }

    /// The stream ended where no event did. An event that is whole but for its line ends counts.
    mutating func end(
        behind rest: EventStream.Event?, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        guard let rest, let json = reader.read(rest.data) else { throw .cut }
        return try read(json, in: arena)
    }

    /// What an event adds. Its type stands in its data too.
    private mutating func read(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        guard let type = json["type"]?.text else { throw notAnAnswer(json) }
        let delta = json["delta"]
        switch type {
        case "message-start":
            if let id = json["id"]?.text { self.id = Array(id.bytes) }
            return AnswerPiece()
        case "content-start", "content-delta":
            guard let content = delta?["message"]?["content"] else { return AnswerPiece() }
            return text(content["text"]?.text, thinking: content["thinking"]?.text, in: arena)
        case "tool-plan-delta":
            return text(nil, thinking: delta?["message"]?["tool_plan"]?.text, in: arena)
        case "tool-call-start", "tool-call-delta":
            guard let call = delta?["message"]?["tool_calls"] else { return AnswerPiece() }
            return toolCall(
                call, at: json["index"]?.integer ?? 0, isFirst: "tool-call-start" ~= type, in: arena)
        case "message-end": return try end(delta, in: arena)
        default: return AnswerPiece()
        }
    }

    private mutating func text(_ text: JSONText?, thinking: JSONText?, in arena: Arena) -> AnswerPiece {
        let content = text.map { arena.text($0) } ?? Text(stored: nil)
        let reasoning = thinking.map { arena.text($0) } ?? Text(stored: nil)
        if content.isEmpty && reasoning.isEmpty { return AnswerPiece() }
        let (delta, choice) = makeDelta(in: arena)
        choice.content = content
        choice.reasoning = reasoning
        return AnswerPiece(delta: delta, hasContent: true)
    }

    private mutating func toolCall(_ json: JSONValue, at index: Int64, isFirst: Bool, in arena: Arena)
        -> AnswerPiece
    {
        if isFirst || calls.isEmpty { calls.append(index) }
        let (delta, choice) = makeDelta(in: arena)
        let call = choice.setToolCalls(count: 1, in: arena)[0]
        call.index = Int32(clamping: calls.lastIndex(of: index) ?? calls.count - 1)
        if let id = json["id"]?.text { call.id = arena.text(id) }
        if let name = json["function"]?["name"]?.text { call.name = arena.text(name) }
        if let arguments = json["function"]?["arguments"]?.text { call.argumentsJson = arena.text(arguments) }
        return AnswerPiece(delta: delta, hasContent: true)
    }

    private mutating func end(_ json: JSONValue?, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        guard let json, let reason = json["finish_reason"] else { throw .malformed("ends without a reason") }
        let (delta, choice) = makeDelta(in: arena)
        choice.finishReason = try finishReason(reason, json["error"]?.text)
        return AnswerPiece(delta: delta, usage: json["usage"].flatMap(tokenUsage), isLast: true)
    }

    /// The id goes with the first piece.
    private mutating func makeDelta(in arena: Arena) -> (
        JunctionV1.StreamResponse.View, JunctionV1.ChoiceDelta.View
    ) {
        let delta = JunctionV1.StreamResponse.View(in: arena)
        if !id.isEmpty {
            delta.id = arena.text(id.span)
            id.removeAll(keepingCapacity: true)
        }
        return (delta, delta.setChoices(count: 1, in: arena)[0])
    }
}

// MARK: What whole and streamed answers share

private func finishReason(_ json: JSONValue, _ error: JSONText?) throws(AnswerProblem)
    -> JunctionV1.FinishReason
{
    guard let reason = json.text else { return .unspecified }
    switch reason {
    case "COMPLETE", "STOP_SEQUENCE": return .stop
    case "MAX_TOKENS": return .length
    case "TOOL_CALL": return .toolCalls
    case "ERROR", "TIMEOUT":
        let (message, type) =
            "TIMEOUT" ~= reason
            ? ("the model took too long", "timeout_error") : ("the answer broke off", "server_error")
        throw .error(ProviderError(message: error.map(String.init) ?? message, type: type))
    default: return .other
    }
}

/// All tokens, and not only the billed ones, count against limits. Nil when there is none.
private func tokenUsage(_ json: JSONValue) -> TokenUsage? {
    guard let tokens = json["tokens"] ?? json["billed_units"] else { return nil }
    let usage = TokenUsage(
        prompt: tokens["input_tokens"].map(tokenCount) ?? 0,
        completion: tokens["output_tokens"].map(tokenCount) ?? 0,
        cached: json["cached_tokens"].map(tokenCount) ?? 0)
    return usage.total == 0 ? nil : usage
}

extension JSONValue {
    /// The texts that an array's objects have under `name`, one behind the other.
    fileprivate func joined(_ name: StaticString, in arena: Arena) -> Text {
        var elements = elements
        guard let first = elements.next() else { return Text(stored: nil) }
        var rest = elements
        if rest.next() == nil { return first[name]?.text.map { arena.text($0) } ?? Text(stored: nil) }
        var bytes: [UInt8] = []
        if let text = first[name]?.text { bytes += text.bytes }
        for element in elements { if let text = element[name]?.text { bytes += text.bytes } }
        return arena.text(bytes.span)
    }
}

// MARK: Errors

/// What came in an answer's stead: an error, which is an object with a message, or nonsense.
private func notAnAnswer(_ json: JSONValue) -> AnswerProblem {
    json["message"]?.text == nil ? .malformed("has no message") : .error(cohereError(json, status: 200))
}

/// The error that `json` is, in an answer of that status.
func cohereError(_ json: JSONValue, status: Int) -> ProviderError {
    var error = ProviderError(message: json["message"]?.text.map(String.init) ?? "")
    // The request or the answer held a deny-listed token.
    if status == 498 { error.code = "content_filter" }
    // A trial key that is used up for the month, told like one that is asked too often.
    if status == 429, error.message.contains("/ month") { error.code = "insufficient_quota" }
    return error
}
