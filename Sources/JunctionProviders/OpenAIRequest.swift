// OpenAI's chat completions: the request body. Source: platform.openai.com/docs/api-reference/chat/create.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

/// OpenAI's models that refuse `max_tokens`, by the start of their names.
private let reasoningModels = ["o1", "o3", "o4", "gpt-5", "gpt-6"]

extension BodyWriter {
    func writeOpenAI(
        _ completion: JunctionV1.Completion.View, model: String, isStreaming: Bool, quirks: OpenAIQuirks,
        options: BodyOptions
    ) throws(Failure) {
        member("model")
        writer.string(quirks.contains(.modelPaths) ? pathOfModel(model) : model)
        member("messages")
        try writeMessages(completion, quirks)
        if isStreaming {
            member("stream")
            writer.bool(true)
            if !quirks.contains(.noStreamOptions) {
                member("stream_options")
                writer.raw(#"{"include_usage":true}"#)
            }
        }
        try writeSampling(completion, model: options.baseModel ?? model, quirks)
        try writeTools(completion, quirks)
        if let format = completion.responseFormat { try writeResponseFormat(format) }
        text("user", completion.user)
        labels("metadata", completion)
        if continuation != nil, quirks.contains(.continuesFinalMessage) {
            bool("continue_final_message", true)
            bool("add_generation_prompt", false)
        }
        try writeExtras(completion.extraParametersJson, options.extraBody)
        writer.raw("}")
    }

    // MARK: Messages

    private func writeMessages(_ completion: JunctionV1.Completion.View, _ quirks: OpenAIQuirks)
        throws(Failure)
    {
        for (index, message) in completion.messages.enumerated() {
            writer.raw(index == 0 ? "[{" : ",{")
            writer.raw(#""role":"#)
            switch message.role {
            case .system: writer.raw(#""system""#)
            case .developer: writer.raw(quirks.contains(.developerRole) ? #""developer""# : #""system""#)
            case .user: writer.raw(#""user""#)
            case .assistant: writer.raw(#""assistant""#)
            case .tool: writer.raw(#""tool""#)
            case .unspecified, .unrecognized:
                throw wrong("completion.messages[\(index)].role", "is not one that providers have")
            }
            try writeContent(message, index, quirks)
            let isNamed = quirks.contains(.namesOfUsers) ? message.role == .user : !quirks.contains(.noNames)
            if isNamed { write("name", message.name) }
            if quirks.contains(.refusals) { write("refusal", message.refusal) }
            let rule: CallIDRule = quirks.contains(.nineLetterCallIDs) ? .nine : .any
            writeAnsweredCall(message.toolCallId, rule)
            writeToolCalls(message.toolCalls, rule)
            writer.raw("}")
        }
        if let continuation {
            writer.raw(#",{"role":"assistant","content":"#)
            writer.string(continuation.text)
            if quirks.contains(.continuesPrefix) { writer.raw(#","prefix":true"#) }
            writer.raw("}")
        }
        writer.raw(completion.messages.isEmpty ? "[]" : "]")
    }

    private func writeContent(
        _ message: JunctionV1.Message.View, _ index: Int, _ quirks: OpenAIQuirks
    ) throws(Failure) {
        writer.raw(#","content":"#)
        if message.parts.isEmpty {
            let refuses = message.content.isEmpty && !message.refusal.isEmpty
            if refuses && !quirks.contains(.refusals) {
                writer.string(message.refusal)
            } else if message.content.isEmpty && (refuses || !message.toolCalls.isEmpty) {
                writer.raw("null")
            } else {
                writer.string(message.content)
            }
            return
        }
        if quirks.contains(.textsAsOne), writeAsOne(message.parts) { return }
        try writeParts(message.parts, index)
    }

    /// One text of all parts; nothing, and false, where one is no text.
    private func writeAsOne(_ parts: Repeated<JunctionV1.ContentPart.View>) -> Bool {
        let start = writer.count
        writer.raw(#"""#)
        for part in parts {
            guard case .text(let text) = part.part else {
                writer.removeAll(from: start)
                return false
            }
            writer.escaped(text)
        }
        writer.raw(#"""#)
        return true
    }

    /// An array of parts, of the message at `index`.
    func writeParts(_ parts: Repeated<JunctionV1.ContentPart.View>, _ index: Int) throws(Failure) {
        for (place, part) in parts.enumerated() {
            writer.raw(place == 0 ? "[" : ",")
            switch part.part {
            case .text(let text):
                writer.raw(#"{"type":"text","text":"#)
                writer.string(text)
                writer.raw("}")
            case .image(let image):
                try writeImage(image, index, place)
            case nil:
                throw wrong("completion.messages[\(index)].parts[\(place)].part", "is not set")
            }
        }
        writer.raw("]")
    }

    private func writeImage(_ image: JunctionV1.ImagePart.View, _ index: Int, _ place: Int) throws(Failure) {
        writer.raw(#"{"type":"image_url","image_url":{"url":"#)
        switch image.source {
        case .url(let url): writer.string(url)
        case .data(let data):
            try checkMediaType(image, index, place)
            writer.raw(#""data:"#)
            writer.escaped(image.mediaType)
            writer.raw(";base64,")
            writer.base64(data.bytes)
            writer.raw(#"""#)
        case nil:
            throw wrong(
                "completion.messages[\(index)].parts[\(place)].image.source",
                "is not set: give `url` or `data`")
        }
        write("detail", image.detail)
        writer.raw("}}")
    }

    func checkMediaType(_ image: JunctionV1.ImagePart.View, _ index: Int, _ place: Int) throws(Failure) {
        guard image.mediaType.isEmpty else { return }
        throw wrong(
            "completion.messages[\(index)].parts[\(place)].image.media_type", "is empty: say what `data` is")
    }

    func writeAnsweredCall(_ id: Text, _ rule: CallIDRule) {
        if id.isEmpty { return }
        writer.raw(#","tool_call_id":"#)
        writeCallID(id, rule)
    }

    func writeToolCalls(_ calls: Repeated<JunctionV1.ToolCall.View>, _ rule: CallIDRule) {
        if calls.isEmpty { return }
        for (index, call) in calls.enumerated() {
            writer.raw(index == 0 ? #","tool_calls":[{"id":"# : #",{"id":"#)
            writeCallID(call.id, rule)
            writer.raw(#","type":"function","function":{"name":"#)
            writer.string(call.function?.name ?? Text(stored: nil))
            writer.raw(#","arguments":"#)
            writer.string(call.function?.argumentsJson ?? Text(stored: nil))
            writer.raw("}}")
        }
        writer.raw("]")
    }

    // MARK: Parameters

    private func writeSampling(
        _ completion: JunctionV1.Completion.View, model: String, _ quirks: OpenAIQuirks
    ) throws(Failure) {
        try number("temperature", completion.temperature)
        try number("top_p", completion.topP)
        let isNew = quirks.contains(.newMaxTokens) && reasoningModels.contains { model.hasPrefix($0) }
        integer(isNew ? "max_completion_tokens" : "max_tokens", maxTokens(of: completion))
        texts("stop", completion.stop)
        integer("n", completion.n)
        integer(quirks.contains(.randomSeed) ? "random_seed" : "seed", completion.seed)
        try number("presence_penalty", completion.presencePenalty)
        try number("frequency_penalty", completion.frequencyPenalty)
        bool("logprobs", completion.logprobs)
        integer("top_logprobs", completion.topLogprobs)
        try writeLogitBias(completion.logitBias)
        text("reasoning_effort", completion.reasoningEffort)
    }

    func writeLogitBias(
        _ bias: Repeated<JunctionV1.Completion.LogitBiasEntry.View>
    ) throws(Failure) {
        if bias.isEmpty { return }
        member("logit_bias")
        for (index, entry) in bias.enumerated() {
            guard entry.value.isFinite else {
                throw wrong("completion.logit_bias[\(entry.key)]", "is not a finite number")
            }
            writer.raw(index == 0 ? #"{""# : #",""#)
            writer.integer(Int64(entry.key))
            writer.raw(#"":"#)
            writer.number(entry.value)
        }
        writer.raw("}")
    }

    private func writeTools(_ completion: JunctionV1.Completion.View, _ quirks: OpenAIQuirks) throws(Failure)
    {
        if !completion.tools.isEmpty {
            member("tools")
            for (index, tool) in completion.tools.enumerated() {
                writer.raw(index == 0 ? "[" : ",")
                try writeTool(tool, index, quirks)
            }
            writer.raw("]")
        }
        if let choice = completion.toolChoice { try writeToolChoice(choice, quirks) }
        bool("parallel_tool_calls", completion.parallelToolCalls)
    }

    func writeToolChoice(
        _ choice: JunctionV1.ToolChoice.View, _ quirks: OpenAIQuirks = []
    ) throws(Failure) {
        member("tool_choice")
        switch choice.mode {
        case .unspecified, .auto: writer.raw(#""auto""#)
        case .none: writer.raw(#""none""#)
        case .required: writer.raw(quirks.contains(.toolChoiceAny) ? #""any""# : #""required""#)
        case .function:
            writer.raw(#"{"type":"function","function":{"name":"#)
            writer.string(choice.functionName)
            writer.raw("}}")
        case .unrecognized: throw wrong("completion.tool_choice.mode", "is not one that providers have")
        }
    }

    private func writeTool(_ tool: JunctionV1.Tool.View, _ index: Int, _ quirks: OpenAIQuirks)
        throws(Failure)
    {
        guard let function = tool.function else {
            throw wrong("completion.tools[\(index)].function", "is not set")
        }
        writer.raw(#"{"type":"function","function":{"name":"#)
        writer.string(function.name)
        write("description", function.description)
        if !function.parametersJson.isEmpty {
            writer.raw(#","parameters":"#)
            try writeObject(function.parametersJson, "completion.tools[\(index)].function.parameters_json")
        }
        if !quirks.contains(.noStrictFunctions) { write("strict", function.strict) }
        writer.raw("}}")
    }

    func writeResponseFormat(_ format: JunctionV1.ResponseFormat.View) throws(Failure) {
        if format.type == .unspecified { return }
        member("response_format")
        switch format.type {
        case .unspecified, .text: writer.raw(#"{"type":"text"}"#)
        case .jsonObject: writer.raw(#"{"type":"json_object"}"#)
        case .unrecognized: throw wrong("completion.response_format.type", "is not one that providers have")
        case .jsonSchema:
            guard let schema = format.jsonSchema else {
                throw wrong("completion.response_format.json_schema", "is not set")
            }
            writer.raw(#"{"type":"json_schema","json_schema":{"name":"#)
            writer.string(schema.name)
            write("description", schema.description)
            writer.raw(#","schema":"#)
            try writeObject(schema.schemaJson, "completion.response_format.json_schema.schema_json")
            write("strict", schema.strict)
            writer.raw("}}")
        }
    }
}
