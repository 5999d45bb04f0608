// The requests that goldens name, built as callers build them.
import JunctionMessages

extension JunctionV1.Message {
    init(_ role: JunctionV1.Role, _ content: String = "", parts: [JunctionV1.ContentPart] = []) {
        self.init()
        self.role = role
        self.content = content
        self.parts = parts
    }
}

extension JunctionV1.ContentPart {
    static func text(_ text: String) -> Self {
        var part = Self()
        part.part = .text(text)
        return part
    }

    static func image(
        _ source: JunctionV1.ImagePart.OneOf_Source?, mediaType: String = "", detail: String = ""
    ) -> Self {
        var image = JunctionV1.ImagePart()
        image.source = source
        image.mediaType = mediaType
        image.detail = detail
        var part = Self()
        part.part = .image(image)
        return part
    }
}

extension JunctionV1.ContentPart {
    /// The part with a mark that the prompt up to it is worth keeping.
    var marked: Self {
        var part = self
        part.cacheBreakpoint = true
        return part
    }
}

extension JunctionV1.ReasoningPart {
    init(_ text: String = "", signature: String = "", redacted: String = "") {
        self.init()
        self.text = text
        self.signature = signature
        self.redacted = redacted
    }
}

extension JunctionV1.Tool {
    init(_ name: String, description: String = "", parameters: String = "", strict: Bool? = nil) {
        self.init()
        var function = JunctionV1.FunctionTool()
        function.name = name
        function.description = description
        function.parametersJson = parameters
        function.strict = strict
        self.function = function
    }
}

extension JunctionV1.ToolChoice {
    init(_ mode: JunctionV1.ToolChoiceMode, _ functionName: String = "") {
        self.init()
        self.mode = mode
        self.functionName = functionName
    }
}

/// A completion whose only message is the user's `text`.
func asking(_ text: String = "Hello!", _ change: (inout JunctionV1.Completion) -> Void = { _ in })
    -> JunctionV1.Completion
{
    var completion = JunctionV1.Completion()
    completion.model = "group"
    completion.messages = [JunctionV1.Message(.user, text)]
    change(&completion)
    return completion
}

private let weather = JunctionV1.Tool(
    "get_weather", description: "The weather at a place",
    parameters: #"{"type":"object","properties":{"city":{"type":"string"}}}"#)

/// A call of `get_weather`.
private func weatherCall(_ id: String, city: String) -> JunctionV1.ToolCall {
    var call = JunctionV1.ToolCall()
    call.id = id
    call.function = JunctionV1.FunctionCall()
    call.function?.name = "get_weather"
    call.function?.argumentsJson = "{\"city\":\"\(city)\"}"
    return call
}

/// Texts that shall become embeddings.
func embedding(_ texts: String..., change: (inout JunctionV1.Embedding) -> Void = { _ in })
    -> JunctionV1.Embedding
{
    var embedding = JunctionV1.Embedding()
    embedding.model = "group"
    embedding.inputs = texts
    change(&embedding)
    return embedding
}

let embeddings: [String: JunctionV1.Embedding] = [
    "one text": embedding("The quick \"brown\" fox"),
    "two texts": embedding("Hello!", "Grüße 🌍") {
        $0.dimensions = 3
        $0.inputType = "search_query"
        $0.user = "caller-7"
        $0.extraParametersJson = #"{"truncate":"END"}"#
    },
]

let requests: [String: JunctionV1.Completion] = [
    "hello": asking(),
    "settings": asking {
        $0.messages.insert(JunctionV1.Message(.developer, "Be brief."), at: 0)
        $0.temperature = 0.5
        $0.topP = 0.9
        $0.maxTokens = 256
        $0.stop = ["\n\n", "END"]
        $0.n = 1
        $0.seed = 7
        $0.presencePenalty = -0.5
        $0.frequencyPenalty = 0.25
        $0.reasoningEffort = "high"
        $0.user = "user-1"
        $0.metadata = ["team": "search"]
    },
    "images": asking {
        $0.messages = [
            JunctionV1.Message(
                .user,
                parts: [
                    .text("Which is older? 🕰"),
                    .image(.url("data:image/png;base64,iVBORw0KGgo=")),
                    .image(.data([0xff, 0xd8, 0xff, 0xe0]), mediaType: "image/jpeg"),
                ])
        ]
    },
    "web-image": asking {
        $0.messages = [
            JunctionV1.Message(
                .user, parts: [.image(.url("https://example.com/cats/1.webp?size=5")), .text("Whose cat?")])
        ]
    },
    "tool-turns": asking("Weather in Paris and Rome?") {
        var asked = JunctionV1.Message(.assistant)
        asked.toolCalls = [
            weatherCall("call_1__thought__c2lnbmVk", city: "Paris"), weatherCall("call_2", city: "Rome"),
        ]
        var first = JunctionV1.Message(.tool, "18 °C")
        first.toolCallId = "call_1__thought__c2lnbmVk"
        var second = JunctionV1.Message(.tool, #"{"celsius": 21}"#)
        second.toolCallId = "call_2"
        $0.messages.insert(JunctionV1.Message(.system, "Use tools."), at: 0)
        $0.messages += [asked, first, second, JunctionV1.Message(.user, "Well?")]
        $0.tools = [weather]
        $0.toolChoice = JunctionV1.ToolChoice(.none)
    },
    // As another provider's model numbers its calls (Kimi's, at Fireworks).
    "calls-of-another": asking("Weather in Paris and Rome?") {
        var asked = JunctionV1.Message(.assistant)
        asked.toolCalls = [
            weatherCall("functions.get_weather:0", city: "Paris"), weatherCall("a1B2c3D4e", city: "Rome"),
        ]
        $0.messages.append(asked)
        for call in asked.toolCalls {
            var result = JunctionV1.Message(.tool, "18 °C")
            result.toolCallId = call.id
            $0.messages.append(result)
        }
        $0.tools = [weather]
    },
    "sampling": asking {
        $0.messages.insert(JunctionV1.Message(.developer, "Be brief."), at: 0)
        $0.temperature = 0.7
        $0.topP = 1
        $0.maxTokens = 256
        $0.stop = ["\n\n", "END"]
        $0.n = 2
        $0.seed = -7_000_000_000
        $0.presencePenalty = -0.5
        $0.frequencyPenalty = 1e-7
        $0.logprobs = true
        $0.topLogprobs = 2
        $0.logitBias = [50256: -100]
        $0.reasoningEffort = "low"
        $0.user = "user-1"
        $0.metadata = ["team": "search"]
    },
    "zeros": asking {
        $0.temperature = 0
        $0.seed = 0
        $0.logprobs = false
        $0.topLogprobs = 0
        $0.parallelToolCalls = false
    },
    "parts": asking {
        $0.messages = [
            JunctionV1.Message(.system, "Tell \"what\" you see\\\u{1}"),
            JunctionV1.Message(
                .user,
                parts: [
                    .text("Which is older? 🕰"),
                    .image(.url("https://example.com/a.png"), detail: "low"),
                    .image(.data([0xff, 0xd8, 0xff, 0xe0]), mediaType: "image/jpeg"),
                ]),
        ]
        $0.messages[1].name = "ada"
    },
    "names": asking {
        $0.messages = [
            JunctionV1.Message(.system, "Be brief."),
            JunctionV1.Message(.user, parts: [.text("May I? "), .text("Do \"tell\".")]),
            JunctionV1.Message(.assistant), JunctionV1.Message(.user, "Why?"),
        ]
        $0.messages[0].name = "rules"
        $0.messages[1].name = "ada"
        $0.messages[2].name = "bot"
        $0.messages[2].refusal = "I cannot."
        $0.tools = [JunctionV1.Tool("now", strict: true)]
        $0.toolChoice = JunctionV1.ToolChoice(.required)
    },
    "tools": asking("Weather in Paris and Rome?") {
        $0.tools = [weather, JunctionV1.Tool("now", strict: true)]
        $0.toolChoice = JunctionV1.ToolChoice(.required)
        $0.parallelToolCalls = true
    },
    "tool-results": asking("Weather in Paris?") {
        var call = JunctionV1.ToolCall()
        call.id = "call_1"
        call.function = JunctionV1.FunctionCall()
        call.function?.name = "get_weather"
        call.function?.argumentsJson = #"{"city": "Paris"}"#
        var asked = JunctionV1.Message(.assistant)
        asked.toolCalls = [call]
        var result = JunctionV1.Message(.tool, "18 °C")
        result.toolCallId = "call_1"
        var refused = JunctionV1.Message(.assistant)
        refused.refusal = "I cannot."
        $0.messages += [
            asked, result, JunctionV1.Message(.assistant, "18 °C."), refused,
            JunctionV1.Message(.user, "Why?"),
        ]
        $0.tools = [weather]
        $0.toolChoice = JunctionV1.ToolChoice(.function, "get_weather")
    },
    "empty-results": asking("Clean up.") {
        var asked = JunctionV1.Message(.assistant)
        asked.toolCalls = ["call_1", "call_2"].map { id in
            var call = JunctionV1.ToolCall()
            call.id = id
            call.function = JunctionV1.FunctionCall()
            call.function?.name = "now"
            return call
        }
        var nothing = JunctionV1.Message(.tool)
        nothing.toolCallId = "call_1"
        var little = JunctionV1.Message(.tool, parts: [.text(""), .text("done")])
        little.toolCallId = "call_2"
        $0.messages += [asked, nothing, little]
        $0.tools = [JunctionV1.Tool("now")]
    },
    "schema": asking {
        var format = JunctionV1.ResponseFormat()
        format.type = .jsonSchema
        format.jsonSchema = JunctionV1.JsonSchema()
        format.jsonSchema?.name = "answer"
        format.jsonSchema?.description = "The answer"
        format.jsonSchema?.schemaJson = #"{ "type": "object" }"#
        format.jsonSchema?.strict = true
        $0.responseFormat = format
        $0.extraParametersJson =
            #"{"service_tier": "flex", "web": {"depth": [1, 2.5, -3, true, null, "é\n"], "e": {}, "a": []}}"#
    },
    "turns": asking {
        func call(_ id: String, _ city: String) -> JunctionV1.ToolCall {
            var call = JunctionV1.ToolCall()
            call.id = id
            call.function = JunctionV1.FunctionCall()
            call.function?.name = "get_weather"
            call.function?.argumentsJson = city
            return call
        }
        func result(_ id: String, _ text: String = "", _ parts: [JunctionV1.ContentPart] = [])
            -> JunctionV1.Message
        {
            var message = JunctionV1.Message(.tool, text, parts: parts)
            message.toolCallId = id
            return message
        }
        var asked = JunctionV1.Message(.assistant, "Let me see.")
        asked.toolCalls = [call("call_1", #"{"city":"Paris"}"#), call("call_2", "")]
        $0.messages = [
            JunctionV1.Message(.system, parts: [.text("Be brief."), .text("")]),
            JunctionV1.Message(.user, "Hello!"),
            JunctionV1.Message(
                .user, parts: [.text("Look:"), .image(.url("data:image/gif;x=y;base64,R0lG"))]),
            JunctionV1.Message(.assistant),
            JunctionV1.Message(.developer, "Use \"metric\" units."),
            asked,
            result("call_1", "18 °C"),
            result("call_2", "", [.text("cold"), .image(.data([1, 2, 3]), mediaType: "image/png")]),
            JunctionV1.Message(.user, "And now?"),
        ]
        $0.tools = [weather]
        $0.toolChoice = JunctionV1.ToolChoice(.none)
    },
    "effort": asking {
        $0.reasoningEffort = "high"
        $0.temperature = 1
        $0.topP = 0.95
        $0.stop = ["END"]
        $0.n = 1
        $0.presencePenalty = 0
        $0.logprobs = false
        $0.user = "user-1"
        $0.metadata = ["team": "search"]
        $0.tools = [JunctionV1.Tool("now")]
        $0.parallelToolCalls = false
        $0.extraParametersJson = #"{"top_k":5,"cache_control":{"type":"ephemeral"}}"#
    },
    "reasoning-turns": asking("Weather in Paris?") {
        var asked = JunctionV1.Message(.assistant, "Let me see.")
        asked.reasoningParts = [
            JunctionV1.ReasoningPart("I should ask.", signature: "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"),
            JunctionV1.ReasoningPart(redacted: "EmwKAhgBEgy3va3pzix/LafPsn4a"),
            JunctionV1.ReasoningPart("Nobody signed this."),
        ]
        asked.toolCalls = [weatherCall("toolu_1", city: "Paris")]
        var result = JunctionV1.Message(.tool, "18 °C")
        result.toolCallId = "toolu_1"
        $0.messages += [asked, result]
        $0.tools = [weather]
        $0.maxTokens = 8000
        $0.reasoningEffort = "high"
    },
    "cache-marks": asking {
        var asked = JunctionV1.Message(.assistant)
        asked.toolCalls = [weatherCall("toolu_1", city: "Paris")]
        var result = JunctionV1.Message(.tool, parts: [.text("18 °C").marked])
        result.toolCallId = "toolu_1"
        $0.messages = [
            JunctionV1.Message(.system, parts: [.text("Be brief."), .text("A long manual.").marked]),
            JunctionV1.Message(
                .user,
                parts: [
                    .text("Look:"), .image(.data([0xff, 0xd8]), mediaType: "image/jpeg").marked,
                    .text("Well?").marked,
                ]),
            asked, result,
        ]
        $0.tools = [weather, JunctionV1.Tool("now")]
        $0.tools[1].cacheBreakpoint = true
    },
    "schema-thought": asking {
        var format = JunctionV1.ResponseFormat()
        format.type = .jsonSchema
        format.jsonSchema = JunctionV1.JsonSchema()
        format.jsonSchema?.name = "answer"
        format.jsonSchema?.description = "The answer"
        format.jsonSchema?.schemaJson = #"{"type":"object"}"#
        $0.responseFormat = format
        $0.reasoningEffort = "low"
    },
    "plain-settings": asking {
        $0.messages.insert(JunctionV1.Message(.developer, "Be brief."), at: 0)
        $0.temperature = 0.5
        $0.topP = 0.9
        $0.maxTokens = 256
        $0.stop = ["END"]
        $0.user = "user-1"
        $0.metadata = ["team": "search"]
        $0.tools = [JunctionV1.Tool("now", strict: true)]
        $0.toolChoice = JunctionV1.ToolChoice(.auto)
    },
    "converse-members": asking {
        $0.maxTokens = 256
        $0.extraParametersJson =
            #"{"additionalModelRequestFields":{"top_k":5},"inferenceConfig":{"topP":0.5},"#
            + #""performanceConfig":{"latency":"optimized"}}"#
    },
    "gemini-members": asking {
        $0.maxTokens = 256
        $0.extraParametersJson =
            #"{"generationConfig":{"topK":5,"mediaResolution":"MEDIA_RESOLUTION_LOW"},"#
            + #""cachedContent":"cachedContents/1"}"#
    },
]
