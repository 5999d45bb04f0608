// Anthropic's format where goldens do not reach: what of a request is refused, answers that are none, limits.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
import Testing

@testable import JunctionProviders

struct AnthropicTests {
    @Test(arguments: [
        (asking { $0.n = 2 }, "completion.n"), (asking { $0.seed = 0 }, "completion.seed"),
        (asking { $0.presencePenalty = 0.1 }, "completion.presence_penalty"),
        (asking { $0.frequencyPenalty = .nan }, "completion.frequency_penalty"),
        (asking { $0.logprobs = true }, "completion.logprobs"),
        (asking { $0.topLogprobs = 1 }, "completion.top_logprobs"),
        (asking { $0.logitBias = [1: 0] }, "completion.logit_bias"),
        (asking { $0.temperature = 1.1 }, "completion.temperature"),
        (asking { $0.temperature = .infinity }, "completion.temperature"),
        (asking { $0.topP = .nan }, "completion.top_p"),
        (asking { $0.reasoningEffort = "utmost" }, "completion.reasoning_effort"),
        (
            asking {
                $0.reasoningEffort = "low"
                $0.maxTokens = 1024
            }, "completion.max_tokens"
        ),
        (asking { $0.responseFormat = format(.jsonObject) }, "completion.response_format.type"),
        (asking { $0.responseFormat = format(.jsonSchema) }, "completion.response_format.json_schema"),
        (asking { $0.responseFormat = format(.unrecognized(9)) }, "completion.response_format.type"),
        (asking { $0.toolChoice = JunctionV1.ToolChoice(.required) }, "completion.tool_choice"),
        (asking { $0.toolChoice = JunctionV1.ToolChoice(.function, "f") }, "completion.tool_choice"),
        (
            asking {
                $0.tools = [JunctionV1.Tool("f")]
                $0.toolChoice = JunctionV1.ToolChoice(.unrecognized(9))
            }, "completion.tool_choice.mode"
        ),
        (asking { $0.tools = [JunctionV1.Tool()] }, "completion.tools[0].function"),
        (
            asking { $0.tools = [JunctionV1.Tool("f", parameters: "[]")] },
            "completion.tools[0].function.parameters_json"
        ),
        (asking { $0.messages.append(JunctionV1.Message(.unspecified)) }, "completion.messages[1].role"),
        (
            asking { $0.messages.append(JunctionV1.Message(.tool, "18")) },
            "completion.messages[1].tool_call_id"
        ),
        (
            asking { $0.messages.append(calling(arguments: "{\"city\":")) },
            "completion.messages[1].tool_calls[0].function.arguments_json"
        ),
        (
            asking { $0.messages.append(JunctionV1.Message(.system, parts: [.image(.url("https://h"))])) },
            "completion.messages[1].parts[0]"
        ),
        (
            asking { $0.messages[0].parts = [JunctionV1.ContentPart()] },
            "completion.messages[0].parts[0].part"
        ),
        (asking { $0.messages[0].parts = [.image(nil)] }, "completion.messages[0].parts[0].image.source"),
        (
            asking { $0.messages[0].parts = [.image(.data([1]))] },
            "completion.messages[0].parts[0].image.media_type"
        ),
        (
            asking { $0.messages[0].parts = [.text("a"), .image(.url("data:image/png,x"))] },
            "completion.messages[0].parts[1].image.url"
        ),
        (
            asking { $0.messages[0].parts = [.image(.url("data:;base64,AA=="))] },
            "completion.messages[0].parts[0].image.url"
        ),
        (
            asking { $0.messages[0].parts = [.image(.url("data:"))] },
            "completion.messages[0].parts[0].image.url"
        ),
        (asking { $0.extraParametersJson = #"{"max_tokens":1}"# }, "completion.extra_parameters_json"),
    ])
    func refusesNamingTheField(completion: JunctionV1.Completion, field: String) {
        let failure = #expect(throws: Failure.self) { try body(completion) }
        #expect(failure?.kind == .badRequest)
        let message = failure?.message ?? ""
        #expect(message.hasPrefix(field + " "), "\(message)")
    }

    @Test func whatAsksForNothingIsLeftOut() throws {
        let plain = try body(asking())
        let asked = asking {
            $0.n = 1
            $0.presencePenalty = 0
            $0.frequencyPenalty = 0
            $0.logprobs = false
            $0.topLogprobs = 0
            $0.parallelToolCalls = false
            $0.toolChoice = JunctionV1.ToolChoice(.none)
            $0.reasoningEffort = "none"
            $0.responseFormat = format(.text)
            $0.messages.append(JunctionV1.Message(.assistant))
        }
        #expect(try body(asked) == plain)
    }

    @Test(arguments: [("minimal", 1024), ("low", 1024), ("medium", 2048), ("high", 4096)])
    func effortIsABudgetOfThinking(effort: String, budget: Int) throws {
        let thinking = #","thinking":{"type":"enabled","budget_tokens":\#(budget)}"#
        let text = try body(asking { $0.reasoningEffort = effort })
        #expect(text.contains(#""max_tokens":\#(4096 + budget),"#) && text.contains(thinking))
        let bounded = try body(
            asking {
                $0.reasoningEffort = effort
                $0.maxTokens = Int32(budget) + 1
            })
        #expect(bounded.contains(#""max_tokens":\#(budget + 1),"#) && bounded.contains(thinking))
        // The API wants signed thinking before a call whose result follows.
        let going = try body(
            asking {
                $0.reasoningEffort = effort
                var result = JunctionV1.Message(.tool, "18")
                result.toolCallId = "call_1"
                $0.messages += [calling(arguments: "{}"), result]
            })
        #expect(!going.contains("thinking") && going.contains(#""max_tokens":4096,"#))
    }

    @Test(arguments: [
        ("", "is empty"), ("<html></html>", "is not JSON"), ("null", "has no content"),
        (#"{"type":"message","content":"text"}"#, "has no content"),
        (#"{"choices":[{"message":{"content":"Hi"}}]}"#, "has no content"),
    ])
    func whatIsNoAnswerIsAFailure(body: String, what: String) {
        let said = said(body, isStreaming: false)
        #expect(said == "failed: malformedResponse, status 200\n  the provider's answer \(what)\n")
    }

    @Test(arguments: [
        ("", "streamCut"), ("event: ping\ndata: {\"type\":\"ping\"}\n\n", "streamCut"),
        ("data: {\"type\":\"message_stop\"}\n\n", "malformedResponse"), ("data: 7\n\n", "malformedResponse"),
        ("data: [DONE]\n\n", "malformedResponse"),
        ("{\"type\":\"message\",\"content\":[]}", "malformedResponse"),
        ("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", "overloaded"),
        ("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}\n\n", "serverError"),
        ("data: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}\n\n", "rateLimited"),
        ("data: {\"type\":\"error\",\"error\":{\"type\":\"permission_error\"}}\n\n", "authentication"),
        ("data: {\"type\":\"error\",\"error\":{\"type\":\"billing_error\"}}\n\n", "quotaExhausted"),
        ("data: {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\"}}\n\n", "notFound"),
        (
            "data: {\"type\":\"error\",\"error\":{\"type\":\"request_too_large\"}}\n\n",
            "contextWindowExceeded"
        ),
        (
            "data: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long\"}}\n\n",
            "contextWindowExceeded"
        ),
    ])
    func whatIsNoStreamIsAFailure(body: String, kind: String) {
        #expect(said(body, isStreaming: true).hasPrefix("failed: \(kind), "))
    }

    @Test(arguments: ["\n\n", "\n", ""])
    func theEndMarkerEndsAStreamAlsoWithoutItsLineEnds(end: String) {
        let start = "data: {\"type\":\"message_start\",\"message\":{}}\n\n"
        let said = said(
            start + "event: message_stop\ndata: {\"type\":\"message_stop\"}" + end, isStreaming: true)
        #expect(said.hasSuffix("finished\n"))
    }

    @Test func tellsTheProvidersLimits() {
        let reader = AnswerReader()
        let fields = [
            ("anthropic-ratelimit-requests-limit", "50"), ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2025-08-01T00:00:01Z"),
            ("Anthropic-RateLimit-Tokens-Limit", "40000"), ("anthropic-ratelimit-tokens-remaining", "39000"),
            ("anthropic-ratelimit-tokens-reset", "2025-07-31T23:59:00.5Z"),
            ("anthropic-ratelimit-input-tokens-limit", "7"), ("anthropic-ratelimit-output-tokens-reset", "x"),
            ("date", "Thu, 31 Jul 2025 23:59:30 GMT"),
        ]
        _ = read([], fields: fields, adapter: .anthropic, isStreaming: false, with: reader)
        #expect(reader.rateLimits.requests == RateLimits.Limit(limit: 50, remaining: 49, reset: .seconds(31)))
        #expect(reader.rateLimits.tokens == RateLimits.Limit(limit: 40000, remaining: 39000, reset: .zero))
        for wrong in ["", "soon", "2025-13-01T00:00:01Z", "2025-08-01T00:00:01+02:00"] {
            let fields = [("anthropic-ratelimit-tokens-reset", wrong), fields[8]]
            _ = read([], fields: fields, adapter: .anthropic, isStreaming: false, with: reader)
            #expect(reader.rateLimits == RateLimits(), "\(wrong)")
        }
    }

    private func body(_ completion: JunctionV1.Completion) throws -> String {
        let arena = Arena()
        let writer = BodyWriter()
        try writer.write(
            completion.view(in: arena), model: "claude", isStreaming: false, adapter: .anthropic)
        return writer.text
    }

    private func said(_ body: String, isStreaming: Bool) -> String {
        read([Array(body.utf8)], adapter: .anthropic, isStreaming: isStreaming)
    }
}

private func format(_ type: JunctionV1.ResponseFormatType) -> JunctionV1.ResponseFormat {
    var format = JunctionV1.ResponseFormat()
    format.type = type
    return format
}

private func calling(arguments: String) -> JunctionV1.Message {
    var call = JunctionV1.ToolCall()
    call.id = "call_1"
    call.function = JunctionV1.FunctionCall()
    call.function?.argumentsJson = arguments
    var message = JunctionV1.Message(.assistant)
    message.toolCalls = [call]
    return message
}
