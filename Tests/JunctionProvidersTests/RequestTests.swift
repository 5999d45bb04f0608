// What of a request is refused, and how text, numbers and JSON of callers are written.
import Foundation
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
import Testing

@testable import JunctionProviders

struct RequestTests {
    @Test(arguments: [
        (
            asking { $0.tools = [JunctionV1.Tool("f", parameters: "{")] },
            "completion.tools[0].function.parameters_json"
        ),
        (
            asking { $0.tools = [JunctionV1.Tool("f"), JunctionV1.Tool("g", parameters: "[]")] },
            "completion.tools[1].function.parameters_json"
        ),
        (
            asking { $0.tools = [JunctionV1.Tool("f", parameters: "{}}")] },
            "completion.tools[0].function.parameters_json"
        ),
        (asking { $0.tools = [JunctionV1.Tool()] }, "completion.tools[0].function"),
        (asking { $0.responseFormat = schema("7") }, "completion.response_format.json_schema.schema_json"),
        (asking { $0.responseFormat = schema("") }, "completion.response_format.json_schema.schema_json"),
        (asking { $0.responseFormat = schema(nil) }, "completion.response_format.json_schema"),
        (asking { $0.extraParametersJson = "nonsense" }, "completion.extra_parameters_json"),
        (asking { $0.extraParametersJson = #"{"model":"x"}"# }, "completion.extra_parameters_json"),
        (asking { $0.extraParametersJson = #"{"mes\u0073ages":[]}"# }, "completion.extra_parameters_json"),
        (asking { $0.extraParametersJson = #"{"stream":true}"# }, "completion.extra_parameters_json"),
        (
            asking {
                $0.temperature = 1
                $0.extraParametersJson = #"{"temperature":2}"#
            }, "completion.extra_parameters_json"
        ),
        (asking { $0.temperature = .nan }, "completion.temperature"),
        (asking { $0.topP = .infinity }, "completion.top_p"),
        (asking { $0.presencePenalty = -.infinity }, "completion.presence_penalty"),
        (asking { $0.frequencyPenalty = .nan }, "completion.frequency_penalty"),
        (asking { $0.logitBias = [7: .nan] }, "completion.logit_bias[7]"),
        (asking { $0.messages.append(JunctionV1.Message(.unspecified)) }, "completion.messages[1].role"),
        (
            asking { $0.messages[0].parts = [.text("a"), JunctionV1.ContentPart()] },
            "completion.messages[0].parts[1].part"
        ),
        (asking { $0.messages[0].parts = [.image(nil)] }, "completion.messages[0].parts[0].image.source"),
        (
            asking { $0.messages[0].parts = [.image(.data([1]))] },
            "completion.messages[0].parts[0].image.media_type"
        ),
        (asking { $0.toolChoice = JunctionV1.ToolChoice(.unrecognized(9)) }, "completion.tool_choice.mode"),
    ])
    func refusesNamingTheField(completion: JunctionV1.Completion, field: String) {
        let failure = #expect(throws: Failure.self) { try body(completion) }
        #expect(failure?.kind == .badRequest)
        let message = failure?.message ?? ""
        #expect(message.hasPrefix(field + " "), "\(message)")
    }

    @Test func aRefusedBodyDoesNotSpoilTheNext() throws {
        let arena = Arena()
        let writer = BodyWriter()
        let wrong = asking { $0.extraParametersJson = "{" }.view(in: arena)
        #expect(throws: Failure.self) {
            try writer.write(wrong, model: "m", isStreaming: true, adapter: .openAI([]))
        }
        try writer.write(asking().view(in: arena), model: "m", isStreaming: false, adapter: .openAI([]))
        #expect(writer.text == #"{"model":"m","messages":[{"role":"user","content":"Hello!"}]}"#)
    }

    @Test func theDeploymentsMembersGiveWayToTheRequests() throws {
        let extra = try ExtraBody(json: #"{"temperature": 0.5, "seed": 1, "top_k": 3, "b": {"c": "d"}}"#)
        let completion = asking {
            $0.temperature = 1
            $0.extraParametersJson = #"{"top_k":5}"#
        }
        let text = try body(completion, options: BodyOptions(extraBody: extra))
        #expect(text.hasSuffix(#","temperature":1,"top_k":5,"seed":1,"b":{"c":"d"}}"#))
        #expect(throws: ExtraBody.Problem.notAnObject) { try ExtraBody(json: "[]") }
        #expect(throws: ExtraBody.Problem.reserved(member: "stream")) {
            try ExtraBody(json: #"{"stream":1}"#)
        }
    }

    @Test(arguments: [
        ("openai/gpt-4o", "max_tokens"), ("openai/o1", "max_completion_tokens"),
        ("openai/o3-mini", "max_completion_tokens"),
        ("openai/gpt-5.1", "max_completion_tokens"), ("groq/openai/gpt-oss-20b", "max_tokens"),
        ("hosted_vllm/o1-like", "max_tokens"), ("azure/gpt-4o", "max_tokens"),
        ("azure/o3-mini", "max_completion_tokens"),
    ])
    func namesTheTokenLimitAsTheProviderDoes(deployment: String, member: String) throws {
        let (provider, model) = Registry.split(deployment)
        let adapter = try #require(Registry.provider(named: provider)).adapter
        #expect(
            try body(asking { $0.maxTokens = 5 }, model: model, adapter: adapter).contains("\"\(member)\":5"))
    }

    /// A deployment's name says nothing of its model where a configuration says what that is.
    @Test func whatAModelTakesGoesByWhatItIs() throws {
        var options = BodyOptions()
        func text(_ adapter: Adapter, _ base: String) throws -> String {
            options.baseModel = base
            let completion = asking {
                $0.maxTokens = 5000
                $0.reasoningEffort = "low"
            }
            return try JunctionProvidersTests.body(completion, model: "mine", adapter, options: options)
        }
        #expect(try text(.azure, "gpt-5").contains(#""model":"mine""#))
        #expect(try text(.azure, "gpt-5").contains(#""max_completion_tokens":5000"#))
        #expect(try text(.azure, "gpt-4o").contains(#""max_tokens":5000"#))
        #expect(try text(.anthropic, "claude-opus-5").contains(#""thinking":{"type":"adaptive"}"#))
        #expect(try text(.bedrock, "anthropic.claude-opus-4-1").contains(#""budget_tokens":1024"#))
        #expect(try text(.gemini, "gemini-3-pro").contains(#""thinkingLevel":"low""#))
    }

    @Test(arguments: [
        ("gpt-oss-20b", "accounts/fireworks/models/gpt-oss-20b"),
        ("models/gpt-oss-20b", "accounts/fireworks/models/gpt-oss-20b"),
        ("routers/auto", "accounts/fireworks/routers/auto"),
        ("accounts/me/models/own", "accounts/me/models/own"),
        ("own#accounts/me/deployments/d1", "own#accounts/me/deployments/d1"),
    ])
    func aModelAtFireworksIsAPath(model: String, path: String) throws {
        #expect(try body(asking(), model: model, adapter: .openAI(.fireworks)).contains("\"\(path)\""))
        #expect(try body(asking(), model: model).contains("\"\(model)\""))
    }

    /// Any text comes out of the JSON as it went in.
    @Test func writesAnyText() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(state: seed)
        let alphabet = Array("abc \"\\/\n\r\t\u{1}\u{1f}\u{7f}é\u{2028}🌍\u{10ffff}").map(String.init)
        for _ in 0..<500 {
            let text = (0..<Int.random(in: 0...100, using: &random)).map { _ in
                alphabet.randomElement(using: &random)!
            }.joined()
            let json =
                try JSONSerialization.jsonObject(with: Data(try body(asking(text)).utf8)) as? [String: Any]
            let message = (json?["messages"] as? [[String: Any]])?.first
            #expect(message?["content"] as? String == text, "seed \(seed)")
        }
    }

    @Test func writesBytesAsBase64() throws {
        for count in 0...50 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 97 &+ 200) }
            let text = try body(
                asking { $0.messages[0].parts = [.image(.data(bytes), mediaType: "image/png")] })
            #expect(text.contains("\"data:image/png;base64,\(Data(bytes).base64EncodedString())\""))
        }
    }

    @Test(arguments: [
        0, 0.1, -2, 1e-7, 1.7976931348623157e308, Double.leastNonzeroMagnitude, 0.30000000000000004,
        123_456_789,
    ])
    func writesNumbersThatReadBackTheSame(number: Double) throws {
        let text = try body(asking { $0.temperature = number })
        let digits = try #require(text.dropLast().split(separator: ":").last)
        #expect(Double(digits) == number)
        #expect(try JSONSerialization.jsonObject(with: Data(text.utf8)) is [String: Any])
    }

    private func body(
        _ completion: JunctionV1.Completion, model: String = "m", adapter: Adapter = .openAI([]),
        options: BodyOptions = BodyOptions()
    ) throws -> String {
        let arena = Arena()
        let writer = BodyWriter()
        try writer.write(
            completion.view(in: arena), model: model, isStreaming: false, adapter: adapter, options: options)
        return writer.text
    }
}

private func schema(_ json: String?) -> JunctionV1.ResponseFormat {
    var format = JunctionV1.ResponseFormat()
    format.type = .jsonSchema
    guard let json else { return format }
    format.jsonSchema = JunctionV1.JsonSchema()
    format.jsonSchema?.schemaJson = json
    return format
}
