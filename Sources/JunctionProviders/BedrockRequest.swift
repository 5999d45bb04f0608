// Amazon Bedrock's Converse API: the request body. Source:
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse, botocore's bedrock-runtime model.
//
// Left out, since it changes no answer's form: `name`, `user`, an image's `detail`.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

extension BodyWriter {
    func writeBedrock(
        _ completion: JunctionV1.Completion.View, model: String, options: BodyOptions
    ) throws(Failure) {
        try writeSystemBlocks(completion.messages)
        member("messages")
        try writeBedrockTurns(completion.messages)
        try writeBedrockTools(completion)
        if let format = completion.responseFormat { try writeBedrockFormat(format) }
        // They stand in Bedrock's logs of invocations.
        labels("requestMetadata", completion)
        let extras = completion.extraParametersJson
        try openObject("inferenceConfig", extras, options.extraBody) { () throws(Failure) in
            inner("maxTokens", completion.maxTokens)
            try inner("temperature", completion.temperature, field: "temperature")
            try inner("topP", completion.topP, field: "top_p")
            if !completion.stop.isEmpty {
                inner("stopSequences")
                writeTexts(completion.stop)
            }
        }
        try openObject("additionalModelRequestFields", extras, options.extraBody) { () throws(Failure) in
            try writeBedrockThinking(completion, model: model)
        }
        try writeExtras(extras, options.extraBody)
        writer.raw("}")
    }

    // MARK: Messages

    private func writeSystemBlocks(_ messages: Repeated<JunctionV1.Message.View>) throws(Failure) {
        var isOpen = false
        func next() {
            if isOpen { return writer.raw(",") }
            member("system")
            writer.raw("[")
            isOpen = true
        }
        for (index, message) in messages.enumerated()
        where message.role == .system || message.role == .developer {
            if message.parts.isEmpty, !message.content.isEmpty {
                next()
                writeTextBlock(message.content)
            }
            for (place, part) in message.parts.enumerated() {
                guard case .text(let text) = part.part else {
                    throw wrong(
                        "completion.messages[\(index)].parts[\(place)]",
                        "is not text, which is all that Bedrock takes as instructions")
                }
                if text.isEmpty { continue }
                next()
                writeTextBlock(text)
                if part.cacheBreakpoint { writer.raw(#",{"cachePoint":{"type":"default"}}"#) }
            }
        }
        if isOpen { writer.raw("]") }
    }

    /// The conversation. Messages of one side that follow each other are one turn; a message without any
    /// content, which the API refuses, is none.
    private func writeBedrockTurns(_ messages: Repeated<JunctionV1.Message.View>) throws(Failure) {
        var turns = Turns(writer: writer)
        for (index, message) in messages.enumerated() {
            switch message.role {
            case .system, .developer: continue
            case .user:
                turns.side = .user
                try writeContentBlocks(message, index, &turns)
            case .tool:
                turns.side = .user
                try writeToolResultBlock(message, index, &turns)
            case .assistant:
                turns.side = .assistant
                writeReasoningBlocks(message, &turns)
                try writeContentBlocks(message, index, &turns)
                if !message.refusal.isEmpty { writeTextBlock(message.refusal, &turns) }
                try writeToolUseBlocks(message, index, &turns)
            case .unspecified, .unrecognized:
                throw wrong("completion.messages[\(index)].role", "is not one that providers have")
            }
        }
        turns.end()
    }

    private func writeReasoningBlocks(_ message: JunctionV1.Message.View, _ turns: inout Turns) {
        for part in message.reasoningParts where part.isSigned {
            turns.block()
            if part.redacted.isEmpty {
                writer.raw(#"{"reasoningContent":{"reasoningText":{"text":"#)
                writer.string(part.text)
                write("signature", part.signature)
                writer.raw("}}}")
            } else {
                writer.raw(#"{"reasoningContent":{"redactedContent":"#)
                writer.string(part.redacted)
                writer.raw("}}")
            }
        }
    }

    private func writeContentBlocks(
        _ message: JunctionV1.Message.View, _ index: Int, _ turns: inout Turns
    ) throws(Failure) {
        if message.parts.isEmpty, !message.content.isEmpty { writeTextBlock(message.content, &turns) }
        for (place, part) in message.parts.enumerated() {
            switch part.part {
            case .text(let text):
                if text.isEmpty { continue }
                writeTextBlock(text, &turns)
            case .image(let image):
                turns.block()
                try writeImageBlock(image, index, place)
            case nil: throw wrong("completion.messages[\(index)].parts[\(place)].part", "is not set")
            }
            if part.cacheBreakpoint { writeCachePoint(&turns) }
        }
    }

    private func writeCachePoint(_ turns: inout Turns) {
        turns.block()
        writer.raw(#"{"cachePoint":{"type":"default"}}"#)
    }

    private func writeTextBlock(_ text: Text, _ turns: inout Turns) {
        turns.block()
        writeTextBlock(text)
    }

    private func writeTextBlock(_ text: Text) {
        writer.raw(#"{"text":"#)
        writer.string(text)
        writer.raw("}")
    }

    /// Images come with the request, or lie in S3; Bedrock fetches no others.
    private func writeImageBlock(
        _ image: JunctionV1.ImagePart.View, _ index: Int, _ place: Int
    ) throws(Failure) {
        switch image.source {
        case .data(let data):
            try checkMediaType(image, index, place)
            try openImage(
                UnsafeRawBufferPointer(start: image.mediaType.pointer, count: image.mediaType.count), index,
                place)
            writer.raw(#""bytes":""#)
            writer.base64(data.bytes)
            writer.raw(#""}}}"#)
        case .url(let url):
            let bytes = UnsafeRawBufferPointer(start: url.pointer, count: url.count)
            if let image = DataURL(bytes) {
                try openImage(image.mediaType.bytes, index, place)
                writer.raw(#""bytes":"#)
                writer.string(image.base64)
                writer.raw("}}}")
            } else if bytes.starts(with: "s3://".utf8) {
                try checkMediaType(image, index, place)
                try openImage(
                    UnsafeRawBufferPointer(start: image.mediaType.pointer, count: image.mediaType.count),
                    index, place)
                writer.raw(#""s3Location":{"uri":"#)
                writer.string(url)
                writer.raw("}}}}")
            } else {
                throw wrong(
                    "completion.messages[\(index)].parts[\(place)].image.url",
                    "is neither a base64 data: URL nor an s3:// one: Bedrock fetches no other")
            }
        case nil:
            throw wrong(
                "completion.messages[\(index)].parts[\(place)].image.source",
                "is not set: give `url` or `data`")
        }
    }

    /// An image up to its source's only member.
    private func openImage(_ mediaType: UnsafeRawBufferPointer, _ index: Int, _ place: Int) throws(Failure) {
        let format: StaticString
        switch JSONText(mediaType) {
        case "image/png": format = "png"
        case "image/jpeg", "image/jpg": format = "jpeg"
        case "image/gif": format = "gif"
        case "image/webp": format = "webp"
        default:
            throw wrong(
                "completion.messages[\(index)].parts[\(place)].image",
                "is of none of the types that Bedrock takes: image/png, image/jpeg, image/gif, image/webp")
        }
        writer.raw(#"{"image":{"format":""#)
        writer.raw(format)
        writer.raw(#"","source":{"#)
    }

    private func writeToolUseBlocks(
        _ message: JunctionV1.Message.View, _ index: Int, _ turns: inout Turns
    ) throws(Failure) {
        for (place, call) in message.toolCalls.enumerated() {
            turns.block()
            writer.raw(#"{"toolUse":{"toolUseId":"#)
            writeCallID(call.id, .word)
            writer.raw(#","name":"#)
            writer.string(call.function?.name ?? Text(stored: nil))
            writer.raw(#","input":"#)
            try writeArguments(call, index, place)
            writer.raw("}}")
        }
    }

    /// A cache mark within a result stands behind it: results hold none. Empty texts are left out, which the
    /// API refuses, where an empty result it takes.
    private func writeToolResultBlock(
        _ message: JunctionV1.Message.View, _ index: Int, _ turns: inout Turns
    ) throws(Failure) {
        turns.block()
        writer.raw(#"{"toolResult":{"toolUseId":"#)
        try writeAnsweredCallID(message, index)
        writer.raw(#","content":["#)
        if message.parts.isEmpty, !message.content.isEmpty { writeTextBlock(message.content) }
        var isMarked = false
        var isFirst = true
        for (place, part) in message.parts.enumerated() {
            isMarked = isMarked || part.cacheBreakpoint
            if case .text(let text) = part.part, text.isEmpty { continue }
            if !isFirst { writer.raw(",") }
            isFirst = false
            switch part.part {
            case .text(let text): writeTextBlock(text)
            case .image(let image): try writeImageBlock(image, index, place)
            case nil: throw wrong("completion.messages[\(index)].parts[\(place)].part", "is not set")
            }
        }
        writer.raw("]}}")
        if isMarked { writeCachePoint(&turns) }
    }

    // MARK: Tools

    /// A conversation that has calls or results in it needs the tools; Bedrock has no way then to keep the
    /// model from calling one.
    private func writeBedrockTools(_ completion: JunctionV1.Completion.View) throws(Failure) {
        let choice = completion.toolChoice
        if completion.tools.isEmpty {
            if choice?.mode == .required || choice?.mode == .function {
                throw wrong("completion.tool_choice", "asks for a call, but `tools` is empty")
            }
            return
        }
        if choice?.mode == ToolChoiceMode.none {
            if !completion.messages.contains(where: { $0.role == .tool || !$0.toolCalls.isEmpty }) { return }
            throw wrong(
                "completion.tool_choice",
                "forbids calls, which Bedrock does not have for a conversation that has called tools")
        }
        member("toolConfig")
        for (index, tool) in completion.tools.enumerated() {
            guard let function = tool.function else {
                throw wrong("completion.tools[\(index)].function", "is not set")
            }
            writer.raw(index == 0 ? #"{"tools":[{"toolSpec":{"name":"# : #",{"toolSpec":{"name":"#)
            writer.string(function.name)
            write("description", function.description)
            writer.raw(#","inputSchema":{"json":"#)
            try writeParameters(function, index)
            writer.raw("}")
            write("strict", function.strict)
            writer.raw("}}")
            if tool.cacheBreakpoint { writer.raw(#",{"cachePoint":{"type":"default"}}"#) }
        }
        writer.raw("]")
        switch choice?.mode {
        case nil, .unspecified, .some(.none): break
        case .auto: writer.raw(#","toolChoice":{"auto":{}}"#)
        case .required: writer.raw(#","toolChoice":{"any":{}}"#)
        case .function:
            writer.raw(#","toolChoice":{"tool":{"name":"#)
            writer.string(choice?.functionName ?? Text(stored: nil))
            writer.raw("}}")
        case .unrecognized: throw wrong("completion.tool_choice.mode", "is not one that providers have")
        }
        writer.raw("}")
    }

    private typealias ToolChoiceMode = JunctionV1.ToolChoiceMode

    // MARK: Parameters

    /// The schema goes as text. There is no free form of JSON, and answers are always strict.
    private func writeBedrockFormat(_ format: JunctionV1.ResponseFormat.View) throws(Failure) {
        switch format.type {
        case .unspecified, .text, .jsonObject: return
        case .unrecognized: throw wrong("completion.response_format.type", "is not one that providers have")
        case .jsonSchema:
            guard let schema = format.jsonSchema else {
                throw wrong("completion.response_format.json_schema", "is not set")
            }
            let start = writer.count
            try writeObject(schema.schemaJson, "completion.response_format.json_schema.schema_json")
            writer.removeAll(from: start)
            member("outputConfig")
            writer.raw(
                #"{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"#)
            writer.string(schema.schemaJson)
            write("name", schema.name)
            write("description", schema.description)
            writer.raw("}}}}")
        }
    }

    /// Each family of models has its own words for it. Sources:
    /// docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html,
    /// docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html.
    private func writeBedrockThinking(
        _ completion: JunctionV1.Completion.View, model: String
    ) throws(Failure) {
        let effort = completion.reasoningEffort
        if effort.isEmpty || effort == "none" { return }
        if model.has("claude") {
            switch try claudeThinking(completion, model: model) {
            case .off: break
            case .budget(let tokens):
                inner("thinking")
                writer.raw(#"{"type":"enabled","budget_tokens":"#)
                writer.integer(Int64(tokens))
                writer.raw("}")
            case .adaptive(let effort, _):
                inner("thinking")
                writer.raw(#"{"type":"adaptive"}"#)
                inner("output_config")
                writer.raw(#"{"effort":""#)
                writer.raw(effort)
                writer.raw(#""}"#)
            }
        } else if model.has("nova-2") {
            inner("reasoningConfig")
            writer.raw(#"{"type":"enabled","maxReasoningEffort":"#)
            writer.string(effort)
            writer.raw("}")
        } else if model.has("gpt-oss") {
            inner("reasoning_effort")
            writer.string(effort)
        } else {
            throw wrong("completion.reasoning_effort", "is not something that this model of Bedrock takes")
        }
    }
}
