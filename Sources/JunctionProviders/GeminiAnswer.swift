// Google's Gemini API: answers whole and streamed, and errors. Unknown members are passed over. Sources:
// ai.google.dev/api/generate-content, ai.google.dev/gemini-api/docs/troubleshooting.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

// MARK: Whole answers

/// The answer that `json` is.
func readGeminiAnswer(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
    guard let candidates = json["candidates"], candidates.elements.count > 0 else {
        throw notAnAnswer(json)
    }
    let response = JunctionV1.CompleteResponse.View(in: arena)
    if let id = json["responseId"]?.text { response.id = arena.text(id) }
    if let model = json["modelVersion"]?.text { response.model = arena.text(model) }
    let choices = response.setChoices(count: candidates.elements.count, in: arena)
    for (place, candidate) in candidates.elements.enumerated() {
        let choice = choices[place]
        let message = JunctionV1.Message.View(in: arena)
        let said = candidate["content"]?["parts"]
        message.role = .assistant
        message.content = said.text(isThought: false, in: arena)
        choice.message = message
        choice.index = Int32(clamping: candidate["index"]?.integer ?? Int64(place))
        choice.reasoning = said.text(isThought: true, in: arena)
        let calls = message.setToolCalls(count: said.callCount, in: arena)
        for (index, part) in said.calls.enumerated() {
            let call = FunctionCallPart(part, at: index, of: response.id, in: arena)
            calls[index].id = call.id
            let function = JunctionV1.FunctionCall.View(in: arena)
            function.name = call.name
            function.argumentsJson = call.arguments
            calls[index].function = function
        }
        if let reason = candidate["finishReason"] {
            choice.finishReason = try finishReason(reason, hasCalls: !calls.isEmpty)
        }
        choice.logprobs = candidate["logprobsResult"].map { readLogprobs($0, in: arena) }
    }
    let usage = json["usageMetadata"].flatMap(tokenUsage)
    response.usage = usage.map { usageMessage($0, in: arena) }
    return AnswerPiece(answer: response, usage: usage, isLast: true)
}

// MARK: Streamed answers

/// What a stream has said so far that bears on what its next chunks mean.
struct GeminiStream {
    private var isHeadSent = false
    /// Of each choice so far, how many calls it made and whether it has ended.
    private var choices: [(callCount: Int, isOver: Bool)] = []

    mutating func read(
        _ event: EventStream.Event, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        try read(reader.object(event), in: arena)
    }

    /// What a whole answer comes to, where a stream was asked for.
    mutating func read(answer json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        var piece = try read(json, in: arena)
        piece.isLast = try end().isLast
        return piece
    }

    /// The stream ended where no event did. An event that is whole but for its line ends counts.
    mutating func end(
        behind rest: EventStream.Event?, by reader: JSONReader, in arena: Arena
    ) throws(AnswerProblem) -> AnswerPiece {
        guard let rest, let json = reader.read(rest.data) else { return try end() }
        return try read(json, in: arena)
    }

    /// What a chunk adds: it is a whole answer in form, its parts the next ones.
    private mutating func read(_ json: JSONValue, in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        guard let candidates = json["candidates"], candidates.elements.count > 0 else {
            if json["usageMetadata"] == nil || json["promptFeedback"]?["blockReason"] != nil {
                throw notAnAnswer(json)
            }
            return AnswerPiece(usage: json["usageMetadata"].flatMap(tokenUsage))
        }
        let delta = JunctionV1.StreamResponse.View(in: arena)
        let id = json["responseId"]?.text.map { arena.text($0) } ?? Text(stored: nil)
        if !isHeadSent {
            delta.id = id
            if let model = json["modelVersion"]?.text { delta.model = arena.text(model) }
            isHeadSent = true
        }
        var hasContent = false
        let count = candidates.elements.count
        for (candidate, choice) in zip(candidates.elements, delta.setChoices(count: count, in: arena)) {
            if try read(candidate, into: choice, of: id, in: arena) { hasContent = true }
        }
        return AnswerPiece(
            delta: delta, hasContent: hasContent, usage: json["usageMetadata"].flatMap(tokenUsage))
    }

    /// Returns whether the choice gained content.
    private mutating func read(
        _ candidate: JSONValue, into choice: JunctionV1.ChoiceDelta.View, of id: Text, in arena: Arena
    ) throws(AnswerProblem) -> Bool {
        let index = Int(min(max(candidate["index"]?.integer ?? 0, 0), 127))
        while choices.count <= index { choices.append((0, true)) }
        let said = candidate["content"]?["parts"]
        choice.index = Int32(index)
        choice.content = said.text(isThought: false, in: arena)
        choice.reasoning = said.text(isThought: true, in: arena)
        let calls = choice.setToolCalls(count: said.callCount, in: arena)
        for (part, delta) in zip(said.calls, calls) {
            let place = choices[index].callCount
            let call = FunctionCallPart(part, at: place, of: id, in: arena)
            delta.index = Int32(clamping: place)
            delta.id = call.id
            delta.name = call.name
            delta.argumentsJson = call.arguments
            choices[index].callCount += 1
        }
        if let reason = candidate["finishReason"] {
            choice.finishReason = try finishReason(reason, hasCalls: choices[index].callCount > 0)
        }
        choices[index].isOver = choice.finishReason != .unspecified
        choice.logprobs = candidate["logprobsResult"].map { readLogprobs($0, in: arena) }
        return !choice.content.isEmpty || !choice.reasoning.isEmpty || !calls.isEmpty
    }

    /// The stream has no end marker: it is whole when each choice has said why it ended.
    private func end() throws(AnswerProblem) -> AnswerPiece {
        guard !choices.isEmpty, choices.allSatisfy(\.isOver) else { throw .cut }
        return AnswerPiece(isLast: true)
    }
}

// MARK: Parts

extension JSONValue? {
    /// The parts' texts, one behind the other: the answer's or those of thoughts.
    fileprivate func text(isThought: Bool, in arena: Arena) -> Text {
        var first: JSONText?
        var joined: [UInt8] = []
        for part in self?.elements ?? JSONElements.none {
            guard let text = part["text"]?.text, !text.isEmpty, part.isThought == isThought else { continue }
            if let earlier = first, joined.isEmpty { joined += earlier.bytes }
            if first == nil { first = text } else { joined += text.bytes }
        }
        return joined.isEmpty ? first.map { arena.text($0) } ?? Text(stored: nil) : arena.text(joined.span)
    }

    fileprivate var callCount: Int {
        var count = 0
        for part in self?.elements ?? JSONElements.none where part["functionCall"] != nil { count += 1 }
        return count
    }

    fileprivate var calls: [JSONValue] { self?.elements.filter { $0["functionCall"] != nil } ?? [] }
}

extension JSONValue {
    fileprivate var isThought: Bool {
        if case .bool(true)? = self["thought"]?.kind { true } else { false }
    }
}

/// A function call, which comes whole also in streams.
private struct FunctionCallPart {
    let id: Text
    let name: Text
    let arguments: Text

    /// - Parameters:
    ///   - place: which call of the answer it is; makes an id where Gemini gives none.
    ///   - answer: the answer's id.
    init(_ part: JSONValue, at place: Int, of answer: Text, in arena: Arena) {
        let writer = JSONWriter()
        let call = part["functionCall"]
        if let id = call?["id"]?.text, !id.isEmpty {
            writer.raw(id.bytes)
        } else {
            writer.raw("call_")
            writer.raw(UnsafeRawBufferPointer(start: answer.pointer, count: answer.count))
            writer.raw(answer.isEmpty ? "" : "_")
            writer.integer(Int64(place))
        }
        if let signature = part["thoughtSignature"]?.text, !signature.isEmpty {
            writer.raw(thoughtMark)
            writer.raw(signature.bytes)
        }
        id = arena.text(Span(_unsafeBytes: writer.bytes))
        name = call?["name"]?.text.map { arena.text($0) } ?? Text(stored: nil)
        writer.removeAll()
        if let arguments = call?["args"], arguments.isObject {
            writer.value(arguments)
        } else {
            writer.raw("{}")
        }
        arguments = arena.text(Span(_unsafeBytes: writer.bytes))
        withExtendedLifetime(writer) {}
    }
}

// MARK: What whole and streamed answers share

/// An answer that calls functions ends like any other.
private func finishReason(_ json: JSONValue, hasCalls: Bool) throws(AnswerProblem)
    -> JunctionV1.FinishReason
{
    guard let reason = json.text, !reason.isEmpty else { return .unspecified }
    switch reason {
    case "STOP": return hasCalls ? .toolCalls : .stop
    case "MAX_TOKENS": return .length
    case "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR":
        return .contentFilter
    case "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE":
        throw .malformed("calls a function in a way that cannot be read")
    case "MISSING_THOUGHT_SIGNATURE":
        throw .error(
            ProviderError(message: "a function call lacks its thought signature", type: "BadRequestError"))
    case "FINISH_REASON_UNSPECIFIED": return .unspecified
    default: return .other
    }
}

/// Gemini counts thoughts beside the answer, and results of its own tools beside the prompt. Nil when there
/// is none, or one that says nothing.
private func tokenUsage(_ json: JSONValue) -> TokenUsage? {
    var usage = TokenUsage()
    for (key, value) in json.members {
        switch key {
        case "promptTokenCount", "toolUsePromptTokenCount": usage.prompt += tokenCount(value)
        case "candidatesTokenCount": usage.completion += tokenCount(value)
        case "thoughtsTokenCount":
            usage.reasoning = tokenCount(value)
            usage.completion += usage.reasoning
        case "cachedContentTokenCount": usage.cached = tokenCount(value)
        default: break
        }
    }
    return usage.total == 0 ? nil : usage
}

private func readLogprobs(_ json: JSONValue, in arena: Arena) -> JunctionV1.Logprobs.View {
    let logprobs = JunctionV1.Logprobs.View(in: arena)
    guard let chosen = json["chosenCandidates"] else { return logprobs }
    var tops = json["topCandidates"]?.elements
    let tokens = logprobs.setContent(count: chosen.elements.count, in: arena)
    for (element, token) in zip(chosen.elements, tokens) {
        if let text = element["token"]?.text { token.token = arena.text(text) }
        token.logprob = element["logProbability"]?.number ?? 0
        guard let candidates = tops?.next()?["candidates"] else { continue }
        let likeliest = token.setTop(count: candidates.elements.count, in: arena)
        for (element, top) in zip(candidates.elements, likeliest) {
            if let text = element["token"]?.text { top.token = arena.text(text) }
            top.logprob = element["logProbability"]?.number ?? 0
        }
    }
    return logprobs
}

// MARK: Errors

/// What came in an answer's stead: an error, a refusal of the prompt, or nonsense.
private func notAnAnswer(_ json: JSONValue) -> AnswerProblem {
    if json["error"] != nil || json.isArray { return .error(geminiError(json)) }
    guard let reason = json["promptFeedback"]?["blockReason"]?.text else {
        return .malformed("has no candidates")
    }
    return .error(
        ProviderError(message: "the prompt was blocked: \(String(reason))", code: "content_filter"))
}

/// The error that `json` is: as google.rpc.Status, in an array where a stream was asked for. Source:
/// google.aip.dev/193.
func geminiError(_ json: JSONValue) -> ProviderError {
    var array = json.elements
    guard let status = (json.isArray ? array.next() : json)?["error"], status.isObject else {
        return ProviderError()
    }
    var error = ProviderError()
    for (key, value) in status.members {
        switch key {
        case "code":
            if let code = value.integer, (400...599).contains(code) { error.status = Int(code) }
        case "message": if let text = value.text { error.message = String(text) }
        case "status": if let text = value.text { error.code = String(text) }
        case "details":
            // google.rpc.ErrorInfo and google.rpc.RetryInfo.
            for detail in value.elements {
                if let reason = detail["reason"]?.text { error.type = String(reason) }
                if let delay = detail["retryDelay"]?.text {
                    error.retryAfter = duration(Span(_unsafeBytes: delay.bytes))
                }
            }
        default: break
        }
    }
    return error
}
