// What Cohere is not asked, and answers of Cohere's that are none.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
import Testing

@testable import JunctionProviders

struct CohereTests {
    @Test(arguments: [
        (asking { $0.n = 2 }, "completion.n"),
        (asking { $0.logprobs = true }, "completion.logprobs"),
        (asking { $0.topLogprobs = 1 }, "completion.top_logprobs"),
        (asking { $0.logitBias = [1: 2] }, "completion.logit_bias"),
        (
            asking {
                $0.tools = [JunctionV1.Tool("f")]
                $0.parallelToolCalls = false
            }, "completion.parallel_tool_calls"
        ),
        (asking { $0.reasoningEffort = "low" }, "completion.reasoning_effort"),
        (asking { $0.topP = .nan }, "completion.top_p"),
        (
            asking {
                $0.tools = [JunctionV1.Tool("f")]
                $0.toolChoice = JunctionV1.ToolChoice(.function, "f")
            }, "completion.tool_choice.mode"
        ),
        (asking { $0.messages[0].role = .unspecified }, "completion.messages[0].role"),
        (asking { $0.tools = [JunctionV1.Tool()] }, "completion.tools[0].function"),
        (
            asking { $0.tools = [JunctionV1.Tool("f", parameters: "7")] },
            "completion.tools[0].function.parameters_json"
        ),
        (asking { $0.extraParametersJson = #"{"stream":true}"# }, "completion.extra_parameters_json"),
    ])
    func refusesNamingTheField(completion: JunctionV1.Completion, field: String) {
        let failure = #expect(throws: Failure.self) { try body(completion, .cohere) }
        #expect(failure?.kind == .badRequest)
        #expect(failure?.message.hasPrefix(field + " ") ?? false, "\(failure?.message ?? "")")
    }

    @Test func takesWhatSaysNothing() throws {
        let text = try body(
            asking {
                $0.n = 1
                $0.logprobs = false
                $0.parallelToolCalls = true
                $0.toolChoice = JunctionV1.ToolChoice(.auto)
                $0.reasoningEffort = "none"
                $0.extraParametersJson = #"{"k":3}"#
            }, .cohere)
        #expect(
            text == #"{"model":"m","messages":[{"role":"user","content":"Hello!"}],"#
                + #""thinking":{"type":"disabled"},"k":3}"#)
    }

    @Test(
        arguments: [
            (404, "model 'x' not found, make sure the correct model ID was used", .notFound),
            (498, "blocked", .contentPolicy), (499, "request cancelled", .serverError),
            (429, "You are using a Trial key, which is limited to 1000 API calls / month", .quotaExhausted),
            (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", .rateLimited),
            (402, "Please add or update your payment method", .quotaExhausted),
            (400, "too many tokens: max tokens must be less than or equal to 4096", .badRequest),
            (400, "too many tokens: size limit exceeded by 11326 tokens.", .contextWindowExceeded),
            (422, "invalid type: parameter temperature is of type string", .badRequest),
            (503, "", .overloaded), (504, "", .timeout),
        ] as [(Int, String, Failure.Kind)])
    func classesErrors(status: Int, message: String, kind: Failure.Kind) {
        let body = "{\"id\":\"1\",\"message\":\"\(message)\"}"
        #expect(failure(status: status, body, adapter: .cohere)?.kind == kind)
    }

    @Test(arguments: [
        ("", Failure.Kind.malformedResponse), ("[]", .malformedResponse), ("{}", .malformedResponse),
        (#"{"message":"internal"}"#, .serverError),
        (#"{"message":{"content":[]},"finish_reason":"ERROR"}"#, .serverError),
        (#"{"message":{"content":[]},"finish_reason":"TIMEOUT"}"#, .timeout),
    ])
    func whatIsNoAnswerIsAFailure(body: String, kind: Failure.Kind) {
        #expect(failure(status: 200, body, adapter: .cohere)?.kind == kind)
    }

    @Test(arguments: [
        ("", Failure.Kind.streamCut), ("data: {\"type\":\"message-start\"}\n\n", .streamCut),
        ("data: {\"type\":\"message-end\"}\n\n", .malformedResponse), ("data: 7\n\n", .malformedResponse),
        ("data: {\"message\":\"gone\"}\n\n", .serverError), ("{\"message\":\"gone\"}", .serverError),
        ("{\"type\":\"message-start\"}", .streamCut),
    ])
    func whatIsNoStreamIsAFailure(body: String, kind: Failure.Kind) {
        #expect(failure(status: 200, body, isStreaming: true, adapter: .cohere)?.kind == kind)
    }

    @Test(arguments: ["", "\n", "\n\n", "\r\n"])
    func theEndOfTheMessageEndsAStream(lineEnd: String) {
        let said = read(
            [
                Array(
                    ("data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\"}}" + lineEnd)
                        .utf8)
            ], adapter: .cohere, isStreaming: true)
        #expect(said == "delta without content\n  choices\n    finishReason: stop\nfinished\n")
    }
}
