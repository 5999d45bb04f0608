// Cohere's chat API: the request body. What Cohere has no place for and what is more than a hint is refused;
// a speaker's name, a schema's name and labels are left out. Source: docs.cohere.com/reference/chat.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

extension BodyWriter {
    func writeCohere(
        _ completion: JunctionV1.Completion.View, model: String, isStreaming: Bool, options: BodyOptions
    ) throws(Failure) {
        member("model")
        writer.string(model)
        member("messages")
        try writeCohereMessages(completion.messages)
        if isStreaming {
            member("stream")
            writer.bool(true)
        }
        try number("temperature", completion.temperature)
        try number("p", completion.topP, field: "top_p")
        integer("max_tokens", completion.maxTokens)
        texts("stop_sequences", completion.stop)
        integer("seed", completion.seed)
        try number("presence_penalty", completion.presencePenalty)
        try number("frequency_penalty", completion.frequencyPenalty)
        try writeCohereThinking(completion.reasoningEffort)
        try writeCohereTools(completion)
        if let format = completion.responseFormat { try writeCohereFormat(format) }
        try writeExtras(completion.extraParametersJson, options.extraBody)
        writer.raw("}")
    }

    // MARK: Messages

    private func writeCohereMessages(_ messages: Repeated<JunctionV1.Message.View>) throws(Failure) {
        for (index, message) in messages.enumerated() {
            writer.raw(index == 0 ? #"[{"role":"# : #",{"role":"#)
            switch message.role {
            case .system, .developer: writer.raw(#""system""#)
            case .user: writer.raw(#""user""#)
            case .assistant: writer.raw(#""assistant""#)
            case .tool: writer.raw(#""tool""#)
            case .unspecified, .unrecognized:
                throw wrong("completion.messages[\(index)].role", "is not one that providers have")
            }
            try writeCohereContent(message, index)
            writeAnsweredCall(message.toolCallId, .any)
            writeToolCalls(message.toolCalls, .any)
            writer.raw("}")
        }
        writer.raw(messages.isEmpty ? "[]" : "]")
    }

    /// Text alone as text; a message that only calls tools has no content. A refusal is what the assistant
    /// said.
    private func writeCohereContent(_ message: JunctionV1.Message.View, _ index: Int) throws(Failure) {
        if !message.parts.isEmpty {
            writer.raw(#","content":"#)
            return try writeParts(message.parts, index)
        }
        let text = message.content.isEmpty ? message.refusal : message.content
        if text.isEmpty && !message.toolCalls.isEmpty { return }
        writer.raw(#","content":"#)
        writer.string(text)
    }

    // MARK: Parameters

    /// Cohere's models think or do not.
    private func writeCohereThinking(_ effort: Text) throws(Failure) {
        if effort.isEmpty { return }
        guard effort == "none" || effort == "high" else {
            throw wrong("completion.reasoning_effort", "is not `none` or `high`, which is what Cohere takes")
        }
        member("thinking")
        writer.raw(effort == "none" ? #"{"type":"disabled"}"# : #"{"type":"enabled"}"#)
    }

    private func writeCohereTools(_ completion: JunctionV1.Completion.View) throws(Failure) {
        if !completion.tools.isEmpty {
            var isStrict = false
            member("tools")
            for (index, tool) in completion.tools.enumerated() {
                writer.raw(index == 0 ? "[" : ",")
                guard let function = tool.function else {
                    throw wrong("completion.tools[\(index)].function", "is not set")
                }
                try writeCohereFunction(function, index)
                isStrict = isStrict || function.strict == true
            }
            writer.raw("]")
            // For all tools or for none.
            if isStrict { bool("strict_tools", true) }
        }
        guard let choice = completion.toolChoice else { return }
        switch choice.mode {
        case .unspecified, .auto: break
        case .none:
            member("tool_choice")
            writer.raw(#""NONE""#)
        case .required:
            member("tool_choice")
            writer.raw(#""REQUIRED""#)
        case .function: break
        case .unrecognized: throw wrong("completion.tool_choice.mode", "is not one that providers have")
        }
    }

    private func writeCohereFunction(_ function: JunctionV1.FunctionTool.View, _ index: Int) throws(Failure) {
        writer.raw(#"{"type":"function","function":{"name":"#)
        writer.string(function.name)
        write("description", function.description)
        writer.raw(#","parameters":"#)
        try writeParameters(function, index)
        writer.raw("}}")
    }

    private func writeCohereFormat(_ format: JunctionV1.ResponseFormat.View) throws(Failure) {
        switch format.type {
        case .unspecified: return
        case .text:
            member("response_format")
            writer.raw(#"{"type":"text"}"#)
        case .jsonObject:
            member("response_format")
            writer.raw(#"{"type":"json_object"}"#)
        case .jsonSchema:
            guard let schema = format.jsonSchema else {
                throw wrong("completion.response_format.json_schema", "is not set")
            }
            member("response_format")
            writer.raw(#"{"type":"json_object","json_schema":"#)
            try writeObject(schema.schemaJson, "completion.response_format.json_schema.schema_json")
            writer.raw("}")
        case .unrecognized: throw wrong("completion.response_format.type", "is not one that providers have")
        }
    }
}
