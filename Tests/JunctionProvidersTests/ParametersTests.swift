// Which parameters are refused, dropped, passed on and filled in, by provider and model.
import Foundation
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
import Testing

@testable import JunctionProviders

struct ParametersTests {
    /// Everything that not all providers take.
    private static let all = asking {
        $0.temperature = 1.5
        $0.topP = 0.5
        $0.stop = ["END"]
        $0.n = 2
        $0.seed = 7
        $0.presencePenalty = 1
        $0.frequencyPenalty = -1
        $0.logprobs = true
        $0.topLogprobs = 3
        $0.logitBias = [5: 1]
        $0.reasoningEffort = "high"
        $0.tools = [JunctionV1.Tool("now")]
        $0.toolChoice = JunctionV1.ToolChoice(.function, "now")
        $0.parallelToolCalls = false
        $0.responseFormat = JunctionV1.ResponseFormat()
        $0.responseFormat?.type = .jsonObject
        $0.user = "me"
    }

    @Test func whatChangesNothingAsksForNothing() {
        let arena = Arena()
        let modest = asking {
            $0.temperature = 1
            $0.topP = 1
            $0.n = 1
            $0.presencePenalty = 0
            $0.frequencyPenalty = 0
            $0.logprobs = false
            $0.topLogprobs = 0
            $0.maxTokens = 5
            $0.parallelToolCalls = false
            $0.toolChoice = JunctionV1.ToolChoice(.auto)
        }
        #expect(Features(of: modest.view(in: arena)) == .completions)
        #expect(Features(of: embedding("a").view(in: arena)) == .embeddings)
        let asked = Features(of: ParametersTests.all.view(in: arena))
        #expect(asked.isSuperset(of: [.sampling, .penalties, .logprobsOfAll, .samplingWhileReasoning]))
        #expect(asked.isSuperset(of: [.n, .seed, .stop, .reasoningEffort, .jsonObject, .tools]))
        #expect(asked.isSuperset(of: [.toolChoiceFunction, .parallelToolCalls]))
        #expect(asked.isDisjoint(with: [.jsonSchema, .toolChoice, .user, .embeddings]))
        withExtendedLifetime(arena) {}
    }

    @Test(
        arguments: [
            ("", 0.5, 1, .function, .forcedCall), ("none", 0.5, 0.5, .required, .forcedCall),
            ("low", 1, 1, .auto, []), ("low", 1, 0.95, .none, []),
            ("low", 0.5, 1, .auto, .samplingWhileThinking),
            ("low", 1, 0.9, .auto, .samplingWhileThinking),
            ("low", 1, 1, .required, [.forcedCall, .forcedCallWhileThinking]),
            ("max", 1, 1, .function, [.forcedCall, .forcedCallWhileThinking]),
        ] as [(String, Double, Double, JunctionV1.ToolChoiceMode, Features)])
    func knowsWhatDoesNotGoWithThinking(
        effort: String, temperature: Double, topP: Double, choice: JunctionV1.ToolChoiceMode, asked: Features
    ) {
        let arena = Arena()
        let completion = asking {
            $0.reasoningEffort = effort
            $0.temperature = temperature
            $0.topP = topP
            $0.tools = [JunctionV1.Tool("now")]
            $0.toolChoice = JunctionV1.ToolChoice(choice)
        }
        let some: Features = [.samplingWhileThinking, .forcedCall, .forcedCallWhileThinking]
        #expect(Features(of: completion.view(in: arena)).intersection(some) == asked)
        withExtendedLifetime(arena) {}
    }

    /// The effort stays, as in LiteLLM.
    @Test func whatDoesNotGoWithThinkingIsDropped() throws {
        let completion = asking {
            $0.reasoningEffort = "low"
            $0.temperature = 0.5
            $0.topP = 0.5
            $0.tools = [JunctionV1.Tool("now")]
            $0.toolChoice = JunctionV1.ToolChoice(.required)
        }
        for (adapter, model) in [
            (Adapter.anthropic, "claude-sonnet-4-5"), (.bedrock, "anthropic.claude-opus-4-1"),
        ] {
            var options = BodyOptions()
            options.dropped = [.samplingWhileThinking, .forcedCallWhileThinking]
            let text = try body(completion, model: model, adapter, options: options)
            #expect(text.contains(#""budget_tokens":1024"#))
            for name in ["temperature", "top_p", "topP", "tool_choice", "toolChoice"] {
                #expect(!text.contains("\"\(name)\""), "\(text)")
            }
        }
    }

    @Test func reasoningThatIsOffLeavesSamplingAlone() {
        let arena = Arena()
        let cold = asking {
            $0.temperature = 0
            $0.reasoningEffort = "none"
        }
        #expect(!Features(of: cold.view(in: arena)).contains(.samplingWhileReasoning))
        withExtendedLifetime(arena) {}
    }

    @Test(
        arguments: [
            ("openai/gpt-4o", []), ("openai/gpt-4.1-mini", []), ("azure/my-own", []),
            ("openai/o1", [.temperature, .topP, .logprobs, .logitBias, .presencePenalty]),
            ("openai/o3-mini", [.temperature]), ("openai/o3", [.temperature, .stop]),
            ("openai/gpt-5-mini-2025-08-07", [.temperature, .stop]),
            ("openai/gpt-5.2", [.stop, .presencePenalty]),
            ("openai/gpt-6-sol", [.samplingWhileReasoning, .stop]),
            ("anthropic/claude-sonnet-4-5", [.n, .seed, .jsonObject, .embeddings, .highTemperature]),
            ("anthropic/claude-sonnet-4-5", [.samplingWhileThinking, .forcedCallWhileThinking]),
            ("bedrock/eu.anthropic.claude-sonnet-4-6", [.samplingWhileThinking, .forcedCallWhileThinking]),
            ("anthropic/claude-opus-5-5", [.temperature, .forcedCall]),
            ("anthropic/claude-opus-4-7", [.temperature, .topP, .seed]),
            ("bedrock/us.anthropic.claude-opus-5", [.temperature, .seed]),
            ("cohere/command-a", [.n, .logprobs, .toolChoiceFunction]),
            ("gemini/gemini-2.5-pro", [.logitBias]),
            ("gemini/gemini-3-flash", [.logitBias, .presencePenalty]),
            ("groq/llama", [.n, .logitBias, .embeddings]),
            ("mistral/mistral-large-latest", [.logprobs, .user]),
            ("xai/grok-4.5", [.stop, .frequencyPenalty]), ("perplexity/sonar", [.tools, .seed]),
            ("deepseek/deepseek-chat", [.n, .jsonSchema]), ("ollama/llama3", [.n, .toolChoice]),
            ("cohere/embed-english-v3.0", [.dimensions]), ("openai/text-embedding-ada-002", [.dimensions]),
            ("hosted_vllm/o3", []), ("custom_openai/gpt-5", []),
        ] as [(String, Features)])
    func knowsWhatAModelDoesNotTake(deployment: String, some: Features) throws {
        let (provider, model) = Registry.split(deployment)
        let untaken = try #require(Registry.provider(named: provider)).untaken(by: model)
        #expect(untaken.isSuperset(of: some), "\(untaken.fields)")
        if some.isEmpty { #expect(untaken.isEmpty, "\(untaken.fields)") }
        if !some.contains(.temperature) { #expect(!untaken.contains(.temperature)) }
    }

    @Test func theTableIsOfKnownProviders() {
        let arena = Arena()
        let asked = Features(of: ParametersTests.all.view(in: arena))
        for provider in Registry.providers {
            let untaken = provider.untaken(by: "any")
            #expect(untaken.isDisjoint(with: .completions))
            #expect(untaken.intersection(asked).fields.allSatisfy { $0.hasPrefix("completion.") })
        }
        for name in Features.parameters { #expect(!Features(parameter: name).isEmpty) }
        #expect(Features(parameter: "temprature").isEmpty)
        #expect(Features(parameter: "temperature").isSuperset(of: [.temperature, .highTemperature]))
        withExtendedLifetime(arena) {}
    }

    @Test(arguments: [Adapter.openAI(.openAI), .azure, .anthropic, .cohere, .gemini, .bedrock])
    func whatIsDroppedIsNotThere(adapter: Adapter) throws {
        var options = BodyOptions()
        options.dropped = Features(rawValue: .max)
        let text = try written(ParametersTests.all, adapter, options)
        #expect(text == (try written(asking(), adapter, BodyOptions())))
    }

    @Test func onlyWhatIsAskedForIsDropped() throws {
        var options = BodyOptions()
        options.dropped = [.highTemperature, .jsonObject, .toolChoiceFunction]
        let cool = asking {
            $0.temperature = 0.5
            $0.responseFormat = JunctionV1.ResponseFormat()
            $0.responseFormat?.type = .text
        }
        #expect(try written(cool, .anthropic, options).contains(#""temperature":0.5"#))
        let hot = asking { $0.temperature = 1.5 }
        #expect(!(try written(hot, .anthropic, options).contains("temperature")))
    }

    @Test func whatIsRefusedIsNamed() {
        var options = BodyOptions()
        options.untaken = [.seed, .toolChoiceFunction]
        let failure = #expect(throws: Failure.self) {
            try written(ParametersTests.all, .openAI([]), options)
        }
        #expect(failure?.kind == .badRequest)
        #expect(failure?.message == "completion.seed is not something that the deployment takes")
    }

    @Test(arguments: [Adapter.anthropic, .cohere, .gemini, .bedrock])
    func whatIsAllowedGoesUnderOpenAIsName(adapter: Adapter) throws {
        var options = BodyOptions()
        options.passed = adapter.untaken
        let completion = asking {
            $0.n = 2
            $0.seed = 7
            $0.presencePenalty = 1
            $0.logprobs = true
            $0.logitBias = [5: 1]
        }
        let json = try JSONSerialization.jsonObject(
            with: Data(try written(completion, adapter, options).utf8))
        let body = try #require(json as? [String: Any])
        #expect(body["logit_bias"] as? [String: Int] == ["5": 1])
        for name in ["n", "seed", "presence_penalty", "logprobs"]
        where !adapter.untaken.isDisjoint(with: Features(parameter: name)) {
            #expect(body[name] != nil, "\(name)")
        }
    }

    @Test func defaultsGiveWayToTheCaller() throws {
        var defaults = ParameterDefaults()
        defaults.temperature = 0.25
        defaults.topP = 0.5
        defaults.maxTokens = 64
        defaults.stop = ["END"]
        defaults.seed = 3
        defaults.logitBias = [7: -1, 5: 0.5]
        defaults.reasoningEffort = "low"
        defaults.responseFormat = .jsonSchema(name: "x", schema: #"{"type":"object"}"#, strict: true)
        defaults.user = "team"
        var options = BodyOptions()
        options.defaults = defaults
        options.dropped = .seed
        let caller = asking {
            $0.temperature = 0
            $0.stop = ["."]
        }
        let text = try written(caller, .openAI([]), options)
        #expect(
            text.hasSuffix(
                #","temperature":0,"top_p":0.5,"max_tokens":64,"stop":["."],"logit_bias":{"5":0.5,"7":-1},"#
                    + #""reasoning_effort":"low","response_format":{"type":"json_schema","json_schema":{"#
                    + #""name":"x","schema":{"type":"object"},"strict":true}},"user":"team"}"#), "\(text)")
        #expect(
            defaults.features
                == [
                    .completions, .temperature, .topP, .stop, .seed, .logitBias, .reasoningEffort,
                    .jsonSchema, .samplingWhileReasoning, .samplingWhileThinking,
                ])
    }

    /// The caller's message may be asked of another deployment after this one.
    @Test func theCallersMessageStaysAsItIs() throws {
        let arena = Arena()
        let view = ParametersTests.all.view(in: arena)
        let writer = BodyWriter()
        var options = BodyOptions()
        options.dropped = Features(rawValue: .max)
        try writer.write(view, model: "m", isStreaming: false, adapter: .openAI([]), options: options)
        #expect(JunctionV1.Completion(view) == ParametersTests.all)
    }

    @Test func embeddingsLoseWhatIsDropped() throws {
        let arena = Arena()
        let asked = embedding("a") {
            $0.dimensions = 5
            $0.user = "me"
        }
        let writer = BodyWriter()
        var options = BodyOptions()
        options.dropped = [.dimensions, .user]
        try writer.write(asked.view(in: arena), model: "m", adapter: .openAI([]), options: options)
        #expect(writer.text == #"{"model":"m","input":["a"]}"#)
        options.dropped = []
        options.untaken = .dimensions
        let failure = #expect(throws: Failure.self) {
            try writer.write(asked.view(in: arena), model: "m", adapter: .openAI([]), options: options)
        }
        #expect(failure?.message.hasPrefix("embedding.dimensions ") ?? false)
    }

    private func written(
        _ completion: JunctionV1.Completion, _ adapter: Adapter, _ options: BodyOptions
    ) throws -> String {
        let arena = Arena()
        let writer = BodyWriter()
        try writer.write(
            completion.view(in: arena), model: "m", isStreaming: false, adapter: adapter, options: options)
        return writer.text
    }
}
