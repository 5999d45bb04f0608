// Anthropic's Messages API: the request body. Source: docs.anthropic.com/en/api/messages.
//
// Left out, since it changes no answer's form: `name`, `metadata` (labels it does not keep), an image's
// `detail`. What else the API has comes by `extra_parameters_json`.
import Glibc
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

/// The API has no default of its own; every model can write as much.
private let maxTokensDefault = 4096

extension BodyWriter {
    func writeAnthropic(
        _ completion: JunctionV1.Completion.View, model: String, isStreaming: Bool, options: BodyOptions
    ) throws(Failure) {
        // What is gone on with cannot be thought about first.
        let known = options.baseModel ?? model
        let thinking = continuation == nil ? try claudeThinking(completion, model: known) : .off
        member("model")
        writer.string(model)
        integer(
            "max_tokens", maxTokens(of: completion).map(Int.init) ?? maxTokensDefault + thinking.tokens)
        try writeSystem(completion.messages)
        member("messages")
        try writeTurns(completion.messages)
        bool("stream", isStreaming ? true : nil)
        try number("temperature", completion.temperature)
        try number("top_p", completion.topP)
        texts("stop_sequences", completion.stop)
        writeThinking(thinking)
        try writeAnthropicTools(completion)
        if !completion.user.isEmpty {
            member("metadata")
            writer.raw(#"{"user_id":"#)
            writer.string(completion.user)
            writer.raw("}")
        }
        let extras = completion.extraParametersJson
        try openObject("output_config", extras, options.extraBody) { () throws(Failure) in
            if case .adaptive(let effort, _) = thinking {
                inner("effort")
                writer.raw(#"""#)
                writer.raw(effort)
                writer.raw(#"""#)
            }
            if let format = completion.responseFormat { try writeAnthropicFormat(format) }
        }
        try writeExtras(extras, options.extraBody)
        writer.raw("}")
    }

    private func writeThinking(_ thinking: ClaudeThinking) {
        switch thinking {
        case .off: break
        case .budget(let tokens):
            member("thinking")
            writer.raw(#"{"type":"enabled","budget_tokens":"#)
            writer.integer(Int64(tokens))
            writer.raw("}")
        case .adaptive:
            member("thinking")
            writer.raw(#"{"type":"adaptive"}"#)
        }
    }

    // MARK: Messages

    /// The instructions of the whole conversation, which stand apart here.
    private func writeSystem(_ messages: Repeated<JunctionV1.Message.View>) throws(Failure) {
        var isOpen = false
        for (index, message) in messages.enumerated() where message.isInstruction {
            try writeTexts(of: message, index) { text, isMarked in
                if isOpen { writer.raw(",") } else { member("system") }
                if !isOpen { writer.raw("[") }
                isOpen = true
                writeText(text, isMarked: isMarked)
            }
        }
        if isOpen { writer.raw("]") }
    }

    /// The text of an instruction, which may hold nothing else.
    private func writeTexts(
        of message: JunctionV1.Message.View, _ index: Int, _ write: (Text, _ isMarked: Bool) -> Void
    ) throws(Failure) {
        if message.parts.isEmpty, !message.content.isEmpty { write(message.content, false) }
        for (place, part) in message.parts.enumerated() {
            guard case .text(let text) = part.part else {
                throw wrong(
                    "completion.messages[\(index)].parts[\(place)]",
                    "is not text, which is all that Anthropic takes as instructions")
            }
            if !text.isEmpty { write(text, part.cacheBreakpoint) }
        }
    }

    /// The conversation. Messages of one side that follow each other are one turn; a message without any
    /// content, which the API refuses, is none.
    private func writeTurns(_ messages: Repeated<JunctionV1.Message.View>) throws(Failure) {
        var turns = Turns(writer: writer)
        for (index, message) in messages.enumerated() {
            switch message.role {
            case .system, .developer: continue
            case .user:
                turns.side = .user
                try writeBlocks(message, index, &turns)
            case .tool:
                turns.side = .user
                try writeToolResult(message, index, &turns)
            case .assistant:
                turns.side = .assistant
                writeThinkingBlocks(message, &turns)
                try writeBlocks(message, index, &turns)
                if !message.refusal.isEmpty { writeText(message.refusal, &turns) }
                try writeToolUses(message, index, &turns)
            case .unspecified, .unrecognized:
                throw wrong("completion.messages[\(index)].role", "is not one that providers have")
            }
        }
        if let continuation {
            turns.side = .assistant
            turns.block()
            writer.raw(#"{"type":"text","text":"#)
            writer.string(continuation.text)
            writer.raw("}")
        }
        turns.end()
    }

    /// What is not signed, the API would refuse.
    private func writeThinkingBlocks(_ message: JunctionV1.Message.View, _ turns: inout Turns) {
        for part in message.reasoningParts where part.isSigned {
            turns.block()
            if part.redacted.isEmpty {
                writer.raw(#"{"type":"thinking","thinking":"#)
                writer.string(part.text)
                write("signature", part.signature)
            } else {
                writer.raw(#"{"type":"redacted_thinking","data":"#)
                writer.string(part.redacted)
            }
            writer.raw("}")
        }
    }

    private func writeBlocks(
        _ message: JunctionV1.Message.View, _ index: Int, _ turns: inout Turns
    ) throws(Failure) {
        if message.parts.isEmpty, !message.content.isEmpty { writeText(message.content, &turns) }
        for (place, part) in message.parts.enumerated() {
            switch part.part {
            case .text(let text):
                if !text.isEmpty { writeText(text, isMarked: part.cacheBreakpoint, &turns) }
            case .image(let image):
                turns.block()
                try writeAnthropicImage(image, index, place)
                closeBlock(isMarked: part.cacheBreakpoint)
            case nil: throw wrong("completion.messages[\(index)].parts[\(place)].part", "is not set")
            }
        }
    }

    private func writeText(_ text: Text, isMarked: Bool = false, _ turns: inout Turns) {
        turns.block()
        writeText(text, isMarked: isMarked)
    }

    private func writeText(_ text: Text, isMarked: Bool) {
        writer.raw(#"{"type":"text","text":"#)
        writer.string(text)
        closeBlock(isMarked: isMarked)
    }

    /// Closes a block or a tool, up to which the prompt is kept in the cache where it is marked. Source:
    /// docs.anthropic.com/en/docs/build-with-claude/prompt-caching.
    private func closeBlock(isMarked: Bool) {
        writer.raw(isMarked ? #","cache_control":{"type":"ephemeral"}}"# : "}")
    }

    /// An image's block up to its closing brace.
    private func writeAnthropicImage(
        _ image: JunctionV1.ImagePart.View, _ index: Int, _ place: Int
    ) throws(Failure) {
        switch image.source {
        case .url(let url):
            let bytes = UnsafeRawBufferPointer(start: url.pointer, count: url.count)
            guard bytes.count >= 5, strncasecmp(url.pointer, "data:", 5) == 0 else {
                writer.raw(#"{"type":"image","source":{"type":"url","url":"#)
                writer.string(url)
                return writer.raw("}")
            }
            guard let comma = bytes.firstIndex(of: UInt8(ascii: ",")),
                let mediaType = base64MediaType(bytes[5..<max(comma, 5)])
            else {
                throw wrong(
                    "completion.messages[\(index)].parts[\(place)].image.url",
                    "is a data: URL without a media type, or not in base64")
            }
            writeSource(mediaType)
            writer.string(JSONText(UnsafeRawBufferPointer(rebasing: bytes[(comma + 1)...])))
            writer.raw("}")
        case .data(let data):
            try checkMediaType(image, index, place)
            writeSource(
                JSONText(UnsafeRawBufferPointer(start: image.mediaType.pointer, count: image.mediaType.count))
            )
            writer.raw(#"""#)
            writer.base64(data.bytes)
            writer.raw(#""}"#)
        case nil:
            throw wrong(
                "completion.messages[\(index)].parts[\(place)].image.source",
                "is not set: give `url` or `data`")
        }
    }

    /// An image's source up to its data.
    private func writeSource(_ mediaType: JSONText) {
        writer.raw(#"{"type":"image","source":{"type":"base64","media_type":"#)
        writer.string(mediaType)
        writer.raw(#","data":"#)
    }

    private func writeToolUses(
        _ message: JunctionV1.Message.View, _ index: Int, _ turns: inout Turns
    ) throws(Failure) {
        for (place, call) in message.toolCalls.enumerated() {
            turns.block()
            writer.raw(#"{"type":"tool_use","id":"#)
            writeCallID(call.id, .word)
            writer.raw(#","name":"#)
            writer.string(call.function?.name ?? Text(stored: nil))
            writer.raw(#","input":"#)
            try writeArguments(call, index, place)
            writer.raw("}")
        }
    }

    private func writeToolResult(
        _ message: JunctionV1.Message.View, _ index: Int, _ turns: inout Turns
    ) throws(Failure) {
        turns.block()
        writer.raw(#"{"type":"tool_result","tool_use_id":"#)
        try writeAnsweredCallID(message, index)
        if message.parts.isEmpty {
            write("content", message.content)
        } else {
            try writeResultParts(message.parts, index)
        }
        writer.raw("}")
    }

    private func writeResultParts(
        _ parts: Repeated<JunctionV1.ContentPart.View>, _ index: Int
    ) throws(Failure) {
        writer.raw(#","content":["#)
        var isFirst = true
        for (place, part) in parts.enumerated() {
            if case .text(let text) = part.part, text.isEmpty { continue }
            if !isFirst { writer.raw(",") }
            isFirst = false
            switch part.part {
            case .text(let text): writeText(text, isMarked: part.cacheBreakpoint)
            case .image(let image):
                try writeAnthropicImage(image, index, place)
                closeBlock(isMarked: part.cacheBreakpoint)
            case nil: throw wrong("completion.messages[\(index)].parts[\(place)].part", "is not set")
            }
        }
        writer.raw("]")
    }

    // MARK: Tools

    private func writeAnthropicTools(_ completion: JunctionV1.Completion.View) throws(Failure) {
        let choice = completion.toolChoice
        if completion.tools.isEmpty {
            // The API takes no choice without tools; what would not call any anyway is left out.
            if choice?.mode == .required || choice?.mode == .function {
                throw wrong("completion.tool_choice", "asks for a call, but `tools` is empty")
            }
            return
        }
        member("tools")
        for (index, tool) in completion.tools.enumerated() {
            guard let function = tool.function else {
                throw wrong("completion.tools[\(index)].function", "is not set")
            }
            writer.raw(index == 0 ? #"[{"name":"# : #",{"name":"#)
            writer.string(function.name)
            write("description", function.description)
            writer.raw(#","input_schema":"#)
            try writeParameters(function, index)
            write("strict", function.strict)
            closeBlock(isMarked: tool.cacheBreakpoint)
        }
        writer.raw("]")
        try writeAnthropicToolChoice(choice, callsOnlyOne: completion.parallelToolCalls == false)
    }

    private func writeAnthropicToolChoice(
        _ choice: JunctionV1.ToolChoice.View?, callsOnlyOne: Bool
    ) throws(Failure) {
        if choice == nil && !callsOnlyOne { return }
        member("tool_choice")
        switch choice?.mode {
        case nil, .unspecified, .auto: writer.raw(#"{"type":"auto""#)
        case .some(.none): return writer.raw(#"{"type":"none"}"#)
        case .required: writer.raw(#"{"type":"any""#)
        case .function:
            writer.raw(#"{"type":"tool","name":"#)
            writer.string(choice?.functionName ?? Text(stored: nil))
        case .unrecognized: throw wrong("completion.tool_choice.mode", "is not one that providers have")
        }
        if callsOnlyOne { writer.raw(#","disable_parallel_tool_use":true"#) }
        writer.raw("}")
    }

    /// Structured outputs, which older models refuse. They take no free form of JSON, no name, and are always
    /// strict. Source: docs.anthropic.com/en/docs/build-with-claude/structured-outputs.
    private func writeAnthropicFormat(_ format: JunctionV1.ResponseFormat.View) throws(Failure) {
        switch format.type {
        case .unspecified, .text, .jsonObject: return
        case .unrecognized: throw wrong("completion.response_format.type", "is not one that providers have")
        case .jsonSchema:
            guard let schema = format.jsonSchema else {
                throw wrong("completion.response_format.json_schema", "is not set")
            }
            inner("format")
            writer.raw(#"{"type":"json_schema","schema":"#)
            try writeObject(schema.schemaJson, "completion.response_format.json_schema.schema_json")
            writer.raw("}")
        }
    }
}

/// A conversation that takes turns, of blocks each: opens and closes turns as blocks come. Bedrock has the
/// same.
struct Turns {
    enum Side { case user, assistant }

    let writer: JSONWriter
    /// Whose blocks come next.
    var side = Side.user
    private var sideOpen: Side?

    init(writer: JSONWriter) { self.writer = writer }

    /// Before each block.
    mutating func block() {
        if side == sideOpen { return writer.raw(",") }
        writer.raw(sideOpen == nil ? #"[{"role":""# : #"]},{"role":""#)
        writer.raw(side == .user ? #"user","content":["# : #"assistant","content":["#)
        sideOpen = side
    }

    func end() { writer.raw(sideOpen == nil ? "[]" : "]}]") }
}

extension JunctionV1.Message.View {
    fileprivate var isInstruction: Bool { role == .system || role == .developer }
}

/// The media type of what stands between `data:` and the comma, where it says base64.
private func base64MediaType(_ head: Slice<UnsafeRawBufferPointer>) -> JSONText? {
    let marker = Array(";base64".utf8)
    guard head.count > marker.count, head.suffix(marker.count).elementsEqual(marker) else { return nil }
    let type = head.dropLast(marker.count).prefix { $0 != UInt8(ascii: ";") }
    return type.isEmpty ? nil : JSONText(UnsafeRawBufferPointer(rebasing: type))
}
