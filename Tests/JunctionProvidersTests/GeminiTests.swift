// What Gemini is not asked, how what is its own is written, and answers of Gemini's that are none.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
import Testing

@testable import JunctionProviders

struct GeminiTests {
    @Test(arguments: [
        (asking { $0.logitBias = [1: 2] }, "completion.logit_bias"),
        (
            asking {
                $0.tools = [JunctionV1.Tool("f")]
                $0.parallelToolCalls = false
            }, "completion.parallel_tool_calls"
        ),
        (asking { $0.seed = 1 << 31 }, "completion.seed"),
        (asking { $0.reasoningEffort = "some" }, "completion.reasoning_effort"),
        (asking { $0.topP = .nan }, "completion.top_p"),
        (asking { $0.messages[0].role = .unrecognized(9) }, "completion.messages[0].role"),
        (
            asking { $0.messages[0].parts = [.image(.url("http://example.com/a.png"))] },
            "completion.messages[0].parts[0].image.url"
        ),
        (
            asking { $0.messages[0].parts = [.text("a"), .image(.url("data:image/png,abc"))] },
            "completion.messages[0].parts[1].image.url"
        ),
        (
            asking { $0.messages[0].parts = [.image(.data([1]))] },
            "completion.messages[0].parts[0].image.media_type"
        ),
        (asking { $0.messages[0].parts = [.image(nil)] }, "completion.messages[0].parts[0].image.source"),
        (
            asking { $0.messages.append(JunctionV1.Message(.tool, "18")) },
            "completion.messages[1].tool_call_id"
        ),
        (
            asking { $0.messages += [called("[]")] },
            "completion.messages[1].tool_calls[0].function.arguments_json"
        ),
        (
            asking {
                var result = JunctionV1.Message(.tool, parts: [.image(.data([1]), mediaType: "image/png")])
                result.toolCallId = "c"
                $0.messages += [called("{}"), result]
            }, "completion.messages[2].parts[0]"
        ),
        (
            asking { $0.responseFormat = jsonSchema("7") },
            "completion.response_format.json_schema.schema_json"
        ),
        (asking { $0.toolChoice = JunctionV1.ToolChoice(.unrecognized(9)) }, "completion.tool_choice.mode"),
        (
            asking {
                $0.temperature = 1
                $0.extraParametersJson = #"{"generationConfig":{"temperature":0}}"#
            }, "completion.extra_parameters_json"
        ),
    ])
    func refusesNamingTheField(completion: JunctionV1.Completion, field: String) {
        let failure = #expect(throws: Failure.self) { try body(completion, .gemini) }
        #expect(failure?.kind == .badRequest)
        #expect(failure?.message.hasPrefix(field + " ") ?? false, "\(failure?.message ?? "")")
    }

    @Test(arguments: [
        ("gemini-2.5-flash", "none", #"{"thinkingBudget":0}"#),
        ("gemini-2.5-flash", "minimal", #"{"thinkingBudget":1024,"includeThoughts":true}"#),
        ("gemini-2.5-pro", "medium", #"{"thinkingBudget":8192,"includeThoughts":true}"#),
        ("gemini-3-pro-preview", "low", #"{"thinkingLevel":"low","includeThoughts":true}"#),
    ])
    func thinksAsHardAsAsked(model: String, effort: String, config: String) throws {
        let text = try body(asking { $0.reasoningEffort = effort }, model: model, .gemini)
        #expect(text.hasSuffix(#""generationConfig":{"thinkingConfig":\#(config)}}"#), "\(text)")
    }

    @Test func aFileOfTheGeminiAPIIsNamed() throws {
        let url = "https://generativelanguage.googleapis.com/v1beta/files/abc"
        let text = try body(asking { $0.messages[0].parts = [.image(.url(url))] }, .gemini)
        #expect(text.contains(#"[{"fileData":{"fileUri":"\#(url)"}}]"#))
    }

    @Test(arguments: [
        ("https://example.com/a.PNG?w=5", "", #","mimeType":"image/png""#),
        ("HTTPS://example.com/a.b/c.jpeg#x", "", #","mimeType":"image/jpeg""#),
        ("https://example.com/a.png", "image/webp", #","mimeType":"image/webp""#),
        ("https://example.com/image?name=a.png", "", ""), ("https://example.com/a.b/c", "", ""),
    ])
    func anImageOnTheWebIsNamed(url: String, mediaType: String, type: String) throws {
        let image = JunctionV1.ContentPart.image(.url(url), mediaType: mediaType)
        let text = try body(asking { $0.messages[0].parts = [image] }, .gemini)
        #expect(text.contains(#"[{"fileData":{"fileUri":"\#(url)"\#(type)}}]"#), "\(text)")
    }

    @Test func aDataURLLosesItsTypesParameters() throws {
        let text = try body(
            asking { $0.messages[0].parts = [.image(.url("DATA:image/svg+xml;charset=utf-8;BASE64,AA=="))] },
            .gemini)
        #expect(text.contains(#"{"inlineData":{"mimeType":"image/svg+xml","data":"AA=="}}"#))
    }

    @Test func strictFunctionsAreValidated() throws {
        let text = try body(asking { $0.tools = [JunctionV1.Tool("f", strict: true)] }, .gemini)
        #expect(text.hasSuffix(#""toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}}"#))
    }

    /// Ids may come again in later turns: the latest call is meant.
    @Test func aResultNamesTheLatestFunctionOfItsId() throws {
        var result = JunctionV1.Message(.tool, "1")
        result.toolCallId = "c"
        let text = try body(
            asking { $0.messages += [called("{}", "first"), result, called("", "second"), result] }, .gemini)
        #expect(text.contains(#"{"functionResponse":{"name":"first","id":"c","response":{"output":"1"}}}"#))
        #expect(text.contains(#"{"functionCall":{"name":"second","args":{},"id":"c"}}"#))
        #expect(text.contains(#"{"functionResponse":{"name":"second","id":"c","response":{"output":"1"}}}"#))
    }

    /// OpenAI refuses ids longer than 40 characters, Anthropic such as have other signs than - and _.
    @Test func noOtherProviderGetsASignature() throws {
        var result = JunctionV1.Message(.tool, "1")
        result.toolCallId = "c__thought__c2ln"
        let completion = asking {
            $0.messages += [called("{}"), result]
            $0.messages[1].toolCalls[0].id = result.toolCallId
        }
        for adapter in [Adapter.openAI([]), .cohere, .anthropic] {
            let text = try body(completion, adapter)
            #expect(text.contains(#""id":"c""#) && text.contains(#"_id":"c""#))
            #expect(!text.contains("thought"))
        }
        #expect(try body(completion, .gemini).contains(#""thoughtSignature":"c2ln""#))
    }

    @Test(
        arguments: [
            (400, "INVALID_ARGUMENT", "Unknown name", .badRequest),
            (400, "FAILED_PRECONDITION", "User location is not supported", .quotaExhausted),
            (403, "PERMISSION_DENIED", "no", .authentication),
            (404, "NOT_FOUND", "models/x is not found for API version v1beta", .notFound),
            (429, "RESOURCE_EXHAUSTED", "no", .rateLimited), (500, "INTERNAL", "no", .serverError),
            (503, "UNAVAILABLE", "overloaded", .overloaded), (504, "DEADLINE_EXCEEDED", "no", .timeout),
        ] as [(Int, String, String, Failure.Kind)])
    func classesErrors(code: Int, status: String, message: String, kind: Failure.Kind) {
        let error = #"{"error":{"code":\#(code),"message":"\#(message)","status":"\#(status)"}}"#
        for text in [error, "[\(error)]"] {
            #expect(failure(status: code, text, isStreaming: true, adapter: .gemini)?.kind == kind)
            #expect(failure(status: 200, text, isStreaming: true, adapter: .gemini)?.kind == kind)
            #expect(failure(status: 200, text, adapter: .gemini)?.httpStatus == code)
        }
    }

    @Test func theHeadRanksAboveTheBodyInWhenToComeAgain() {
        let error = #"{"error":{"code":429,"details":[{"retryDelay":"34s"}]}}"#
        #expect(failure(status: 429, error, adapter: .gemini)?.retryAfter == .seconds(34))
        #expect(
            failure(status: 429, error, fields: [("retry-after", "5")], adapter: .gemini)?.retryAfter
                == .seconds(5))
    }

    @Test(arguments: [
        ("", Failure.Kind.malformedResponse), ("{}", .malformedResponse), ("[]", .serverError),
        (#"{"candidates":[]}"#, .malformedResponse),
        (#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#, .malformedResponse),
        (#"{"candidates":[{"finishReason":"MISSING_THOUGHT_SIGNATURE"}]}"#, .badRequest),
    ])
    func whatIsNoAnswerIsAFailure(body: String, kind: Failure.Kind) {
        #expect(failure(status: 200, body, adapter: .gemini)?.kind == kind)
    }

    @Test(arguments: [
        ("", Failure.Kind.streamCut), ("data: {\"usageMetadata\":{}}\n\n", .streamCut),
        ("data: {}\n\n", .malformedResponse), ("data: 7\n\n", .malformedResponse),
        ("data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{}}\n\n", .contentPolicy),
        ("data: {\"candidates\":[{\"index\":0,\"finishReason\":\"STOP\"},{\"index\":1}]}\n\n", .streamCut),
        ("{\"candidates\":[{\"content\":{}}]}", .streamCut),
    ])
    func whatIsNoStreamIsAFailure(body: String, kind: Failure.Kind) {
        #expect(failure(status: 200, body, isStreaming: true, adapter: .gemini)?.kind == kind)
    }

    @Test(arguments: ["data: ", ""], ["", "\n", "\r\n\r\n"])
    func aStreamEndsWithItsChoice(opening: String, lineEnd: String) {
        let chunk = #"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#
        let said = read(
            [Array((opening + chunk + lineEnd).utf8)], adapter: .gemini, isStreaming: true)
        #expect(said == "delta\n  choices\n    content: \"a\"\n    finishReason: stop\nfinished\n")
    }
}

/// An assistant's message that calls a function with the id `c`.
private func called(_ arguments: String, _ name: String = "f") -> JunctionV1.Message {
    var call = JunctionV1.ToolCall()
    call.id = "c"
    call.function = JunctionV1.FunctionCall()
    call.function?.name = name
    call.function?.argumentsJson = arguments
    var message = JunctionV1.Message(.assistant)
    message.toolCalls = [call]
    return message
}

private func jsonSchema(_ json: String) -> JunctionV1.ResponseFormat {
    var format = JunctionV1.ResponseFormat()
    format.type = .jsonSchema
    format.jsonSchema = JunctionV1.JsonSchema()
    format.jsonSchema?.schemaJson = json
    return format
}
