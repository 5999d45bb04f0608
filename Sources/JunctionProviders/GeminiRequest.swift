// Google's Gemini API: the request body. What Gemini has no place for and what is more than a hint is
// refused; a speaker's name, an image's detail, a schema's name and labels are left out. Source:
// ai.google.dev/api/generate-content, ai.google.dev/gemini-api/docs/file-input-methods.
import Glibc
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

extension BodyWriter {
    func writeGemini(_ completion: JunctionV1.Completion.View, model: String, options: BodyOptions)
        throws(Failure)
    {
        try writeInstruction(completion.messages)
        member("contents")
        try writeContents(completion.messages, model: model)
        try writeConfig(completion, model: model, options: options)
        try writeGeminiTools(completion)
        try writeExtras(completion.extraParametersJson, options.extraBody)
        writer.raw("}")
    }

    // MARK: Messages

    /// Instructions stand apart from the conversation, all in one.
    private func writeInstruction(_ messages: Repeated<JunctionV1.Message.View>) throws(Failure) {
        var isOpen = false
        for (index, message) in messages.enumerated() where message.isInstruction {
            if !isOpen {
                member("systemInstruction")
                writer.raw(#"{"parts":["#)
            }
            try writeGeminiParts(message, index, isFirst: !isOpen)
            isOpen = true
        }
        if isOpen { writer.raw("]}") }
    }

    /// Results of tools that follow each other are one turn, as the calls were.
    private func writeContents(_ messages: Repeated<JunctionV1.Message.View>, model: String) throws(Failure) {
        writer.raw("[")
        var roleBefore: JunctionV1.Role?
        for (index, message) in messages.enumerated() where !message.isInstruction {
            let goesOn = message.role == .tool && roleBefore == .tool
            if !goesOn {
                if roleBefore != nil { writer.raw("]},") }
                switch message.role {
                case .user, .tool: writer.raw(#"{"role":"user","parts":["#)
                case .assistant: writer.raw(#"{"role":"model","parts":["#)
                default: throw wrong("completion.messages[\(index)].role", "is not one that providers have")
                }
            }
            if message.role == .tool {
                if goesOn { writer.raw(",") }
                try writeFunctionResponse(message, index, messages)
            } else {
                try writeGeminiParts(message, index, isFirst: true)
                try writeFunctionCalls(message, index, model: model)
            }
            roleBefore = message.role
        }
        writer.raw(roleBefore == nil ? "]" : "]}]")
    }

    /// Content and images. A refusal is what the assistant said.
    private func writeGeminiParts(_ message: JunctionV1.Message.View, _ index: Int, isFirst: Bool)
        throws(Failure)
    {
        if message.parts.isEmpty {
            let text = message.content.isEmpty ? message.refusal : message.content
            if text.isEmpty && !message.toolCalls.isEmpty { return }
            writer.raw(isFirst ? #"{"text":"# : #",{"text":"#)
            writer.string(text)
            return writer.raw("}")
        }
        for (place, part) in message.parts.enumerated() {
            if place > 0 || !isFirst { writer.raw(",") }
            switch part.part {
            case .text(let text):
                writer.raw(#"{"text":"#)
                writer.string(text)
                writer.raw("}")
            case .image(let image): try writeGeminiImage(image, index, place)
            case nil: throw wrong("completion.messages[\(index)].parts[\(place)].part", "is not set")
            }
        }
    }

    private func writeGeminiImage(_ image: JunctionV1.ImagePart.View, _ index: Int, _ place: Int)
        throws(Failure)
    {
        switch image.source {
        case .data(let data):
            try checkMediaType(image, index, place)
            writer.raw(#"{"inlineData":{"mimeType":"#)
            writer.string(image.mediaType)
            writer.raw(#","data":""#)
            writer.base64(data.bytes)
            writer.raw(#""}}"#)
        case .url(let url):
            let bytes = UnsafeRawBufferPointer(start: url.pointer, count: url.count)
            if let image = DataURL(bytes) {
                writer.raw(#"{"inlineData":{"mimeType":"#)
                writer.string(image.mediaType)
                writer.raw(#","data":"#)
                writer.string(image.base64)
                writer.raw("}}")
            } else if isFetched(bytes) {
                writer.raw(#"{"fileData":{"fileUri":"#)
                writer.string(url)
                if !image.mediaType.isEmpty {
                    write("mimeType", image.mediaType)
                } else if let mediaType = imageType(ofURL: bytes) {
                    writer.raw(#","mimeType":""#)
                    writer.raw(mediaType)
                    writer.raw(#"""#)
                }
                writer.raw("}}")
            } else {
                throw wrong(
                    "completion.messages[\(index)].parts[\(place)].image.url",
                    "is neither a base64 data: URL nor an https:// one: Gemini fetches no other")
            }
        case nil:
            throw wrong(
                "completion.messages[\(index)].parts[\(place)].image.source",
                "is not set: give `url` or `data`")
        }
    }

    // MARK: Function calls

    private func writeFunctionCalls(_ message: JunctionV1.Message.View, _ index: Int, model: String)
        throws(Failure)
    {
        let hasText = !(message.parts.isEmpty && message.content.isEmpty && message.refusal.isEmpty)
        for (place, call) in message.toolCalls.enumerated() {
            writer.raw(place == 0 && !hasText ? #"{"functionCall":{"name":"# : #",{"functionCall":{"name":"#)
            writer.string(call.function?.name ?? Text(stored: nil))
            writer.raw(#","args":"#)
            try writeArguments(call, index, place)
            let (id, signature) = takeApart(callID: call.id)
            write("id", id)
            writer.raw("}")
            if let signature {
                write("thoughtSignature", signature)
            } else if place == 0, model.hasPrefix("gemini-3") {
                writer.raw(#","thoughtSignature":""#)
                writer.raw(thoughtOfAnother)
                writer.raw(#"""#)
            }
            writer.raw("}")
        }
    }

    /// A result names the function, which callers do not say: the call with its id does.
    private func writeFunctionResponse(
        _ message: JunctionV1.Message.View, _ index: Int, _ messages: Repeated<JunctionV1.Message.View>
    ) throws(Failure) {
        guard let name = functionName(of: message.toolCallId, in: messages, before: index) else {
            throw wrong(
                "completion.messages[\(index)].tool_call_id", "is not the id of a call in an earlier message")
        }
        writer.raw(#"{"functionResponse":{"name":"#)
        writer.string(name)
        write("id", takeApart(callID: message.toolCallId).id)
        writer.raw(#","response":"#)
        if message.parts.isEmpty, tryWriteObject(message.content) {
            return writer.raw("}}")
        }
        writer.raw(#"{"output":""#)
        if message.parts.isEmpty { writer.escaped(message.content) }
        for (place, part) in message.parts.enumerated() {
            guard case .text(let text) = part.part else {
                throw wrong(
                    "completion.messages[\(index)].parts[\(place)]",
                    "is not text: Gemini takes no other results of tools")
            }
            writer.escaped(text)
        }
        writer.raw(#""}}}"#)
    }

    /// The latest call of that id: ids need not differ between turns.
    private func functionName(
        of id: Text, in messages: Repeated<JunctionV1.Message.View>, before index: Int
    ) -> Text? {
        for place in (0..<index).reversed() {
            for call in messages[place].toolCalls
            where call.id.count == id.count && memcmp(call.id.pointer, id.pointer, id.count) == 0 {
                return call.function?.name
            }
        }
        return nil
    }

    // MARK: Parameters

    private func writeConfig(
        _ completion: JunctionV1.Completion.View, model: String, options: BodyOptions
    ) throws(Failure) {
        let extras = completion.extraParametersJson
        try openObject("generationConfig", extras, options.extraBody) { () throws(Failure) in
            try inner("temperature", completion.temperature, field: "temperature")
            try inner("topP", completion.topP, field: "top_p")
            inner("maxOutputTokens", completion.maxTokens)
            if !completion.stop.isEmpty {
                inner("stopSequences")
                writeTexts(completion.stop)
            }
            inner("candidateCount", completion.n)
            if let seed = completion.seed, Int32(exactly: seed) == nil {
                throw wrong(
                    "completion.seed", "is out of Gemini's range, which is that of a 32-bit integer")
            }
            inner("seed", completion.seed)
            try inner("presencePenalty", completion.presencePenalty, field: "presence_penalty")
            try inner("frequencyPenalty", completion.frequencyPenalty, field: "frequency_penalty")
            if let logprobs = completion.logprobs {
                inner("responseLogprobs")
                writer.bool(logprobs)
            }
            inner("logprobs", completion.topLogprobs)
            if let format = completion.responseFormat { try writeGeminiFormat(format) }
            try writeThinking(completion.reasoningEffort, model: model)
        }
    }

    private func writeGeminiFormat(_ format: JunctionV1.ResponseFormat.View) throws(Failure) {
        switch format.type {
        case .unspecified, .text: return
        case .unrecognized: throw wrong("completion.response_format.type", "is not one that providers have")
        case .jsonObject, .jsonSchema:
            inner("responseMimeType")
            writer.raw(#""application/json""#)
        }
        if format.type == .jsonObject { return }
        guard let schema = format.jsonSchema else {
            throw wrong("completion.response_format.json_schema", "is not set")
        }
        inner("responseJsonSchema")
        try writeObject(schema.schemaJson, "completion.response_format.json_schema.schema_json")
    }

    /// Gemini 3 takes levels, models before it budgets of tokens; which budget a level is as Google has it.
    /// Source: ai.google.dev/gemini-api/docs/openai#thinking.
    private func writeThinking(_ effort: Text, model: String) throws(Failure) {
        if effort.isEmpty { return }
        var budget = 0
        switch effort {
        case _ where effort == "none": budget = 0
        case _ where effort == "minimal" || effort == "low": budget = 1024
        case _ where effort == "medium": budget = 8192
        case _ where effort == "high": budget = 24576
        default:
            throw wrong(
                "completion.reasoning_effort", "is not one of `none`, `minimal`, `low`, `medium` and `high`")
        }
        inner("thinkingConfig")
        if model.hasPrefix("gemini-3") && !(effort == "none") {
            writer.raw(#"{"thinkingLevel":"#)
            writer.string(effort)
        } else {
            writer.raw(#"{"thinkingBudget":"#)
            writer.integer(Int64(budget))
        }
        writer.raw(budget > 0 ? #","includeThoughts":true}"# : "}")
    }

    // MARK: Tools

    private func writeGeminiTools(_ completion: JunctionV1.Completion.View) throws(Failure) {
        var isStrict = false
        if !completion.tools.isEmpty {
            member("tools")
            writer.raw(#"[{"functionDeclarations":["#)
            for (index, tool) in completion.tools.enumerated() {
                if index > 0 { writer.raw(",") }
                guard let function = tool.function else {
                    throw wrong("completion.tools[\(index)].function", "is not set")
                }
                try writeDeclaration(function, index)
                isStrict = isStrict || function.strict == true
            }
            writer.raw("]}]")
        }
        let choice = completion.toolChoice
        switch choice?.mode ?? .unspecified {
        case .unspecified, .auto: if isStrict { writeCalling("VALIDATED") }
        case .none: writeCalling("NONE")
        case .required: writeCalling("ANY")
        case .function: writeCalling("ANY", choice?.functionName)
        case .unrecognized: throw wrong("completion.tool_choice.mode", "is not one that providers have")
        }
    }

    private func writeCalling(_ mode: StaticString, _ name: Text? = nil) {
        member("toolConfig")
        writer.raw(#"{"functionCallingConfig":{"mode":""#)
        writer.raw(mode)
        writer.raw(#"""#)
        if let name {
            writer.raw(#","allowedFunctionNames":["#)
            writer.string(name)
            writer.raw("]")
        }
        writer.raw("}}")
    }

    private func writeDeclaration(_ function: JunctionV1.FunctionTool.View, _ index: Int) throws(Failure) {
        writer.raw(#"{"name":"#)
        writer.string(function.name)
        write("description", function.description)
        if !function.parametersJson.isEmpty {
            writer.raw(#","parametersJsonSchema":"#)
            try writeObject(function.parametersJson, "completion.tools[\(index)].function.parameters_json")
        }
        writer.raw("}")
    }
}

extension JunctionV1.Message.View {
    fileprivate var isInstruction: Bool { role == .system || role == .developer }
}

/// A data: URL in base64 (RFC 2397), taken apart.
struct DataURL {
    let mediaType: JSONText
    let base64: JSONText

    init?(_ url: UnsafeRawBufferPointer) {
        let scheme: StaticString = "data:"
        let encoding: StaticString = ";base64"
        let start = scheme.utf8CodeUnitCount
        guard url.count > start, strncasecmp(url.baseAddress!, scheme.utf8Start, start) == 0,
            let comma = url.firstIndex(of: UInt8(ascii: ","))
        else { return nil }
        let end = comma - encoding.utf8CodeUnitCount
        guard end > start,
            strncasecmp(url.baseAddress! + end, encoding.utf8Start, encoding.utf8CodeUnitCount) == 0
        else { return nil }
        // Parameters of the type, such as a character set, are none of an image.
        let type = url[start..<end].prefix { $0 != UInt8(ascii: ";") }
        mediaType = JSONText(UnsafeRawBufferPointer(rebasing: type))
        base64 = JSONText(UnsafeRawBufferPointer(rebasing: url[(comma + 1)...]))
    }
}

private func strncasecmp(_ text: UnsafeRawPointer, _ literal: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    Glibc.strncasecmp(
        text.assumingMemoryBound(to: CChar.self),
        UnsafeRawPointer(literal).assumingMemoryBound(to: CChar.self), count)
}

/// Whether Gemini takes what the URL names: anything that is public, and files that were given to it.
private func isFetched(_ url: UnsafeRawBufferPointer) -> Bool {
    let scheme: StaticString = "https://"
    let count = scheme.utf8CodeUnitCount
    return url.count > count && strncasecmp(url.baseAddress!, scheme.utf8Start, count) == 0
}

/// The media type of an image by the end of its name, of those that Gemini takes; callers hardly ever say it.
private func imageType(ofURL url: UnsafeRawBufferPointer) -> StaticString? {
    let path = url.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    guard let dot = path.lastIndex(of: UInt8(ascii: ".")) else { return nil }
    return switch String(decoding: path[(dot + 1)...], as: UTF8.self).lowercased() {
    case "png": "image/png"
    case "jpg", "jpeg": "image/jpeg"
    case "webp": "image/webp"
    case "heic": "image/heic"
    case "heif": "image/heif"
    default: nil
    }
}
