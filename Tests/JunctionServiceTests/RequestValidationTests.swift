// Each way in which a request can be wrong is told by its field, and requests that are right pass.
import JunctionMessages
import JunctionProtobuf
import JunctionRPC
import Testing

@testable import JunctionService

@Suite struct RequestValidationTests {
    @Test func aPlainRequestPasses() throws {
        try check { _ in }
    }

    @Test(arguments: Fault.all)
    func aWrongFieldIsNamed(_ fault: Fault) throws {
        let status = try #require(throws: Status.self) { try check(fault.make) }
        #expect(status.code == .invalidArgument)
        #expect(status.message.hasPrefix(fault.field + " "), "\(status.message)")
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let field: String
        let make: @Sendable (inout JunctionV1.Completion) -> Void
        var testDescription: String { field }

        init(_ field: String, _ make: @escaping @Sendable (inout JunctionV1.Completion) -> Void) {
            self.field = field
            self.make = make
        }

        static let all = [
            Fault("completion.model") { $0.model = "" },
            Fault("completion.messages") { $0.messages = [] },
            Fault("completion.messages[0].role") { $0.messages[0].role = .unspecified },
            Fault("completion.messages[0].role") { $0.messages[0].role = .unrecognized(99) },
            Fault("completion.messages[0].tool_call_id") { $0.messages[0].role = .tool },
            Fault("completion.messages[0].parts[1].part") {
                var text = JunctionV1.ContentPart()
                text.part = .text("a")
                $0.messages[0].parts = [text, JunctionV1.ContentPart()]
            },
            Fault("completion.tools[0].function.name") { $0.tools = [JunctionV1.Tool()] },
            Fault("completion.tool_choice.function_name") {
                var choice = JunctionV1.ToolChoice()
                choice.mode = .function
                $0.toolChoice = choice
            },
            Fault("completion.response_format.json_schema.schema_json") {
                var format = JunctionV1.ResponseFormat()
                format.type = .jsonSchema
                $0.responseFormat = format
            },
            Fault("completion.temperature") { $0.temperature = 2.5 },
            Fault("completion.temperature") { $0.temperature = .nan },
            Fault("completion.top_p") { $0.topP = -0.1 },
            Fault("completion.max_tokens") { $0.maxTokens = 0 },
            Fault("completion.n") { $0.n = 0 },
            Fault("completion.presence_penalty") { $0.presencePenalty = 3 },
            Fault("completion.frequency_penalty") { $0.frequencyPenalty = -3 },
            Fault("completion.top_logprobs") { $0.topLogprobs = 21 },
        ]
    }

    @Test func anOverriddenBaseNeedsAKeyAndALeave() throws {
        let fallback = { (base: String, key: String) in
            var override = JunctionV1.DeploymentOverride()
            override.apiBase = base
            override.apiKey = key
            var fallback = JunctionV1.Fallback()
            fallback.target = .override(override)
            return fallback
        }
        let allowed = ["https://gateway.example/v1/"]
        try check(fallback("https://gateway.example/v1", "k"), allowed)
        try check(fallback("https://gateway.example/v1/team", "k"), allowed)
        for base in [
            "https://gateway.example", "https://gateway.example/v1x", "http://gateway.example/v1",
            "https://gateway.example/v1/../admin", "https://gateway.example/v1/%2e%2e/admin",
            "https://gateway.example/v1@evil.example", "https://evil.example/https://gateway.example/v1",
        ] {
            let status = try #require(throws: Status.self, "\(base)") {
                try check(fallback(base, "k"), allowed)
            }
            #expect(status.message.hasPrefix("routing.fallbacks[0].override.api_base "))
        }
        let keyless = try #require(throws: Status.self) {
            try check(fallback("https://gateway.example/v1", ""), allowed)
        }
        #expect(keyless.message.hasPrefix("routing.fallbacks[0].override.api_key "))
        let split = try #require(throws: Status.self) { try check(fallback("", "a\r\nb"), allowed) }
        #expect(split.message.hasPrefix("routing.fallbacks[0].override.api_key "))
        #expect(!split.message.contains("\n"))
    }

    private func check(_ change: (inout JunctionV1.Completion) -> Void) throws {
        var message = JunctionV1.Message()
        message.role = .user
        message.content = "Hello"
        var completion = JunctionV1.Completion()
        completion.model = "gpt-4o"
        completion.messages = [message]
        change(&completion)
        let arena = Arena()
        _ = try validated(completion.view(in: arena))
        withExtendedLifetime(arena) {}
    }

    private func check(_ fallback: JunctionV1.Fallback, _ allowed: [String]) throws {
        var routing = JunctionV1.Routing()
        routing.fallbacks = [fallback]
        let arena = Arena()
        try validate(routing.view(in: arena), allowedBases: allowed)
        withExtendedLifetime(arena) {}
    }
}
