// Bedrock: what is refused, Amazon's frames, and what goldens do not show.
import JunctionMessages
import JunctionRouting
import Testing

@testable import JunctionProviders

struct BedrockTests {
    @Test(arguments: [
        (asking { $0.n = 2 }, "completion.n"),
        (asking { $0.seed = 0 }, "completion.seed"),
        (asking { $0.presencePenalty = 1 }, "completion.presence_penalty"),
        (asking { $0.frequencyPenalty = 1 }, "completion.frequency_penalty"),
        (asking { $0.logprobs = true }, "completion.logprobs"),
        (asking { $0.logitBias = [1: 1] }, "completion.logit_bias"),
        (
            asking {
                $0.tools = [JunctionV1.Tool("now")]
                $0.parallelToolCalls = false
            }, "completion.parallel_tool_calls"
        ),
        (asking { $0.toolChoice = JunctionV1.ToolChoice(.required) }, "completion.tool_choice"),
        (requests["tool-turns"]!, "completion.tool_choice"),
        (asking { $0.reasoningEffort = "high" }, "completion.reasoning_effort"),
        (
            asking { $0.messages[0].parts = [.image(.url("https://example.com/a.png"))] },
            "completion.messages[0].parts[0].image.url"
        ),
        (
            asking { $0.messages[0].parts = [.image(.data([1]), mediaType: "image/tiff")] },
            "completion.messages[0].parts[0].image"
        ),
        (
            asking { $0.messages[0].parts = [.image(.url("s3://b/k"))] },
            "completion.messages[0].parts[0].image.media_type"
        ),
        (asking { $0.messages[0].parts = [.image(nil)] }, "completion.messages[0].parts[0].image.source"),
        (asking { $0.messages = [JunctionV1.Message(.tool, "x")] }, "completion.messages[0].tool_call_id"),
        (
            asking { $0.extraParametersJson = #"{"messages":[]}"# }, "completion.extra_parameters_json"
        ),
        (
            asking {
                $0.temperature = 1
                $0.extraParametersJson = #"{"inferenceConfig":{"temperature":0}}"#
            }, "completion.extra_parameters_json"
        ),
    ])
    func refusesNamingTheField(completion: JunctionV1.Completion, field: String) {
        let failure = #expect(throws: Failure.self) { try body(completion, .bedrock) }
        #expect(failure?.kind == .badRequest)
        #expect(failure?.message.hasPrefix(field + " ") ?? false, "\(failure?.message ?? "")")
    }

    @Test func anImageInS3IsNamed() throws {
        let text = try body(
            asking { $0.messages[0].parts = [.image(.url("s3://bucket/a.png"), mediaType: "image/png")] },
            .bedrock)
        #expect(
            text.contains(
                #"{"image":{"format":"png","source":{"s3Location":{"uri":"s3://bucket/a.png"}}}}"#))
    }

    @Test(arguments: [
        (
            "amazon.nova-2-lite-v1:0", "medium",
            #"{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"medium"}}"#
        ),
        ("openai.gpt-oss-120b-1:0", "low", #"{"reasoning_effort":"low"}"#),
        (
            "anthropic.claude-sonnet-4-20250514-v1:0", "low",
            #"{"thinking":{"type":"enabled","budget_tokens":1024}}"#
        ),
        (
            "anthropic.claude-opus-4-7", "max",
            #"{"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}}"#
        ),
    ])
    func thinksAsHardAsAsked(model: String, effort: String, fields: String) throws {
        let text = try body(asking { $0.reasoningEffort = effort }, model: model, .bedrock)
        #expect(text.hasSuffix(#","additionalModelRequestFields":\#(fields)}"#), "\(text)")
    }

    @Test func toolsAreLeftOutWhereNoneMayBeCalled() throws {
        let text = try body(
            asking {
                $0.tools = [JunctionV1.Tool("now")]
                $0.toolChoice = JunctionV1.ToolChoice(.none)
            }, .bedrock)
        #expect(!text.contains("tool"))
    }
}

struct AmazonFrameTests {
    private static let event = frame(
        [(":event-type", "metadata"), (":message-type", "event")], payload: Array("{}".utf8))

    /// What is left of the answer behind an event that ends it: frames, each wrong in its way.
    private static let wrong: [(String, [UInt8])] = {
        var prelude = event
        prelude[9] ^= 1
        var body = event
        body[body.count - 1] ^= 1
        var payload = event
        payload[payload.count - 5] ^= 1
        func headed(_ total: UInt32, _ headers: UInt32) -> [UInt8] {
            let head =
                withUnsafeBytes(of: total.bigEndian, Array.init)
                + withUnsafeBytes(of: headers.bigEndian, Array.init)
            return head + withUnsafeBytes(of: UInt32(checksum(head)).bigEndian, Array.init)
        }
        return [
            ("prelude does not match", prelude), ("does not match its checksum", body),
            ("does not match its checksum", payload), ("lengths are impossible", headed(15, 0)),
            ("lengths are impossible", headed(100, 85)), ("lengths are impossible", headed(16, .max)),
            ("longer than 16 MiB", headed(.max, 0)),
            ("no known type", raw(headers: [1, 0x61, 10])),
            ("headers are cut", raw(headers: [9, 0x61])),
            ("headers are cut", raw(headers: [1, 0x61, 7, 0, 5, 0x62])),
        ]
    }()

    private static func raw(headers: [UInt8]) -> [UInt8] {
        func bigEndian(_ value: Int) -> [UInt8] { withUnsafeBytes(of: UInt32(value).bigEndian, Array.init) }
        var frame = bigEndian(16 + headers.count) + bigEndian(headers.count)
        frame += bigEndian(checksum(frame)) + headers
        return frame + bigEndian(checksum(frame))
    }

    @Test(arguments: wrong)
    func aWrongFrameIsAFailure(what: String, bytes: [UInt8]) {
        for pieces in [[bytes], bytes.map { [$0] }] {
            let said = read(pieces, adapter: .bedrock, isStreaming: true)
            #expect(said.contains("failed: malformedResponse") && said.contains(what), "\(said)")
        }
    }

    @Test func headersOfEveryTypeArePassedOver() {
        let name: [UInt8] = [1, 0x61]
        var headers: [UInt8] = []
        for (type, length) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
            headers += name + [UInt8(type)] + [UInt8](repeating: 7, count: length)
        }
        headers += name + [6, 0, 3, 1, 2, 3]
        let text = frames("event messageStop {\"stopReason\":\"end_turn\"}")
        let said = read([Self.raw(headers: headers) + text], adapter: .bedrock, isStreaming: true)
        #expect(said.contains("finishReason: stop") && said.hasSuffix("finished\n"))
    }

    /// An error that is no exception of the service has its words in its headers.
    @Test func anErrorOfTheTransportIsAFailure() {
        let bytes = frame(
            [
                (":message-type", "error"), (":error-code", "InternalFailure"),
                (":error-message", "Something broke."),
            ], payload: [])
        let said = read([bytes], adapter: .bedrock, isStreaming: true)
        #expect(said == "failed: serverError, status 200\n  the provider answered with an error: Something broke.\n")
    }

    @Test func aFrameThatIsCutIsACutStream() {
        let text = frames("event messageStop {\"stopReason\":\"end_turn\"}")
        for count in 0..<text.count {
            let said = read([Array(text[..<count])], adapter: .bedrock, isStreaming: true)
            #expect(said.contains("failed: streamCut"), "\(count) bytes")
        }
        let whole = read([text + Self.event.dropLast()], adapter: .bedrock, isStreaming: true)
        #expect(whole.contains("failed: streamCut"))
    }

    @Test func theChecksumIsThatOfTheBitByBitOne() {
        #expect(crc(Array("123456789".utf8)) == 0xcbf4_3926)
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(state: seed)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(Int(crc(bytes)) == checksum(bytes), "seed \(seed), \(count) bytes")
        }
    }

    private func crc(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { crc32($0) } }
}

struct ClaudeTests {
    @Test(arguments: [
        ("claude-opus-4-6", true), ("claude-sonnet-4-6-20260301", true), ("claude-opus-4-7", true),
        ("claude-opus-5", true), ("claude-sonnet-5-1", true), ("claude-mythos-preview", true),
        ("us.anthropic.claude-opus-4-6-v1", true), ("anthropic.claude-fable-5", true),
        ("claude-opus-4-5-20251101", false), ("claude-opus-4-20250514", false), ("claude-opus-4-1", false),
        ("claude-3-7-sonnet-20250219", false), ("claude-instant-1", false), ("claude-2.1", false),
        ("anthropic.claude-v2:1", false), ("anthropic.claude-sonnet-4-20250514-v1:0", false),
        ("claude-haiku-4-5", false), ("claude", false), ("mine", false), ("", false),
    ])
    func newerModelsThinkAdaptively(model: String, isAdaptive: Bool) {
        #expect(thinksAdaptively(model) == isAdaptive)
    }
}

struct OpenObjectTests {
    private func gemini(_ extra: String, _ configured: String? = nil) throws -> String {
        let options = try BodyOptions(extraBody: configured.map { text throws in try ExtraBody(json: text) })
        return try body(
            asking {
                $0.maxTokens = 1
                $0.extraParametersJson = extra
            }, .gemini, options: options)
    }

    @Test(arguments: [
        ("", nil, #""generationConfig":{"maxOutputTokens":1}}"#),
        (#"{"generationConfig":{}}"#, nil, #""generationConfig":{"maxOutputTokens":1}}"#),
        (
            #"{"generationConfig":{"topK":2}}"#, #"{"generationConfig":{"topK":3,"topP":1},"a":{"b":1}}"#,
            #""generationConfig":{"maxOutputTokens":1,"topK":2,"topP":1},"a":{"b":1}}"#
        ),
        (
            "", #"{"generationConfig":{"maxOutputTokens":9,"topK":3}}"#,
            #""generationConfig":{"maxOutputTokens":1,"topK":3}}"#
        ),
        ("", #"{"generationConfig":7}"#, #""generationConfig":{"maxOutputTokens":1}}"#),
    ])
    func nobodysMembersAreLost(extra: String, configured: String?, end: String) throws {
        let text = try gemini(extra, configured)
        #expect(text.hasSuffix(end), "\(text)")
    }

    @Test func whatJunctionLeavesOutOthersMayGive() throws {
        let text = try body(
            asking { $0.extraParametersJson = #"{"generationConfig":{"topK":2}}"# }, .gemini,
            options: BodyOptions(extraBody: try ExtraBody(json: #"{"generationConfig":{"seed":1}}"#)))
        #expect(text.hasSuffix(#""generationConfig":{"topK":2,"seed":1}}"#))
        let configured = try body(
            asking(), .gemini,
            options: BodyOptions(extraBody: try ExtraBody(json: #"{"generationConfig":{"seed":1}}"#)))
        #expect(configured.hasSuffix(#""generationConfig":{"seed":1}}"#))
    }

    @Test(arguments: [#"{"generationConfig":{"maxOutputTokens":2}}"#, #"{"generationConfig":2}"#])
    func whatIsWrittenAlreadyIsRefused(extra: String) {
        let failure = #expect(throws: Failure.self) { try gemini(extra) }
        #expect(failure?.message.contains("`generationConfig") ?? false)
    }
}
