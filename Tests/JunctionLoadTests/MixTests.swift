// What is asked: mixes from files, sizes from distributions, requests as they go onto the wire.
import JunctionMessages
import JunctionRouting
import Testing

@testable import JunctionLoad

struct MixTests {
    @Test(arguments: [
        "- {model: a, weight: 3, stream: true, max_tokens: 9}\n- {model: b, prompt: Hello, system: Be brief}\n",
        "calls:\n  - model: a\n    weight: 3\n    stream: true\n    max_tokens: 9\n"
            + "  - {model: b, prompt: Hello, system: Be brief}\n",
        "{\"model\": \"a\", \"weight\": 3, \"stream\": true, \"max_tokens\": 9}\n"
            + "{\"model\": \"b\", \"prompt\": \"Hello\", \"system\": \"Be brief\"}\n",
    ])
    func yamlAndJSONLinesSayTheSame(_ text: String) throws {
        let kinds = try readMix(text, file: "mix", base: RequestKind(model: ""))
        var a = RequestKind(model: "a")
        (a.weight, a.streams, a.maxTokens) = (3, true, 9)
        var b = RequestKind(model: "b")
        (b.prompt, b.system) = ("Hello", "Be brief")
        #expect(kinds == [a, b])
    }

    @Test(arguments: [
        ("- {model: a}\n- {model: b, wieght: 2}", "mix:2: there is no key 'wieght'"),
        ("- {weight: 2}", "mix:1: model is missing"), ("- {model: a, weight: -1}", "weight must be"),
        ("- {model: a, prompt_bytes: many}", "prompt_bytes: a size is"), ("[]", "no kind of request"),
        ("- {", "neither YAML"), ("- 5", "a kind of request has keys"),
        ("- {model: a, sessions: 0}", "sessions must be a whole number, 1 to"),
        ("- {model: a, tags: []}", "tags must"),
        ("- {model: a, fallbacks: [{key: x}]}", "fallbacks must be a list"),
        ("- {model: a, fallbacks: [{api_key: os.environ/NOT_THERE}]}", "the environment has no NOT_THERE"),
    ])
    func faultsNameTheirPlace(_ text: String, says: String) {
        do throws(LoadError) {
            _ = try readMix(text, file: "mix", base: RequestKind(model: ""))
            Issue.record("it was read")
        } catch { #expect("\(error)".contains(says), "\(error)") }
    }

    @Test func weightsDecideHowOftenAKindComes() {
        var a = RequestKind(model: "a")
        (a.weight, a.streams) = (3, true)
        let mix = PreparedMix([a, RequestKind(model: "b")], seed: 1)
        var random = RandomSource(seed: 5)
        let streams = (0..<20_000).count { _ in mix.pick(&random).streams }
        #expect((14_600...15_400).contains(streams))
    }

    @Test func aRequestIsFramedAndReadsBack() throws {
        var kind = RequestKind(model: "gpt-4o")
        kind.promptBytes = .fixed(1234)
        var random = RandomSource(seed: 1)
        let bytes = PreparedMix([kind], seed: 1).pick(&random).bytes
        let length = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
        #expect(bytes[0] == 0 && length == bytes.count - 5)
        let request = try JunctionV1.CompleteRequest(decoding: Array(bytes[5...]))
        #expect(request.completion?.model == "gpt-4o")
        #expect(request.completion?.messages.first?.content.utf8.count == 1234)
    }

    @Test func theRouterIsToldOfSessionsTagsAndFallbacks() throws {
        let text = """
            - model: a
              sessions: 3
              tags: [eu, cheap]
              regions: north
              priority: 7
              num_retries: 1
              fallbacks: [b, {model: openai/c, api_key: os.environ/KEY, api_base: "http://x"}]
            """
        let kinds = try readMix(text, file: "m", base: RequestKind(model: ""), environment: ["KEY": "sk-1"])
        let mix = PreparedMix(kinds, seed: 1)
        var random = RandomSource(seed: 1)
        var sessions: Set<String> = []
        for _ in 0..<60 {
            let request = try JunctionV1.CompleteRequest(decoding: Array(mix.pick(&random).bytes[5...]))
            let routing = try #require(request.routing)
            sessions.insert(routing.sessionKey)
            #expect(routing.tags == ["eu", "cheap"] && routing.regions == ["north"])
            #expect(routing.priority == 7 && routing.numRetries == 1)
            #expect(routing.fallbacks.first?.target == .modelGroup("b"))
            guard case .override(let override) = routing.fallbacks.last?.target else {
                Issue.record("no override")
                continue
            }
            #expect((override.model, override.apiKey, override.apiBase) == ("openai/c", "sk-1", "http://x"))
        }
        #expect(sessions == ["session-0", "session-1", "session-2"])
    }

    @Test func aKindWithNothingToTellHasNoRouting() throws {
        var random = RandomSource(seed: 1)
        let bytes = PreparedRequest(RequestKind(model: "a"), &random).bytes
        #expect(try JunctionV1.CompleteRequest(decoding: Array(bytes[5...])).routing == nil)
    }

    /// The lines of a trace say what was asked, as `junction simulate` has them or as JSON.
    @Test func aTraceHasModelsAndSizes() throws {
        let text = """
            seconds,model,prompt_tokens,completion_tokens,stream
            2.5,small,100,30,true
            1,large,10,0
            {"at": 3, "model": "c", "prompt_bytes": 77, "tags": ["x"]}
            0.5
            """
        let calls = try readTrace(text, file: "t", base: RequestKind(model: "base"))
        #expect(calls.map(\.at) == [0.5, 1, 2.5, 3])
        #expect(calls.map { $0.kind?.model } == [nil, "large", "small", "c"])
        #expect(calls[1].kind?.maxTokens == nil && calls[1].kind?.streams == false)
        #expect(calls[2].kind?.promptBytes == .fixed(400) && calls[2].kind?.maxTokens == 30)
        #expect(calls[2].kind?.streams == true && calls[3].kind?.tags == ["x"])
        #expect(calls[3].kind?.promptBytes == .fixed(77))
    }

    @Test(arguments: [
        ("1\nnoon", "t:2: the line does not begin"), ("", "there is no call"),
        ("1,,5,5", "the model is empty"),
        ("1,a,many,5", "prompt_tokens must"), ("1,a,5,-5", "completion_tokens must"),
        ("1,a,5,5,so", "stream must"),
        ("{\"model\": \"a\"}", "no number `at`"), ("{\"at\": 1, \"modle\": \"a\"}", "no key 'modle'"),
    ])
    func faultsOfATraceNameTheirLine(_ text: String, says: String) {
        do throws(LoadError) {
            _ = try readTrace(text, file: "t", base: RequestKind(model: "m"))
            Issue.record("it was read")
        } catch { #expect("\(error)".contains(says), "\(error)") }
    }

    @Test(arguments: ["400", "uniform:100-700", "exponential:400", "lognormal:240:1.0"])
    func sizesHaveTheirMean(_ text: String) throws {
        let sizes = try SizeDistribution(text)
        var random = RandomSource(seed: 11)
        let mean = Double((0..<50_000).reduce(0) { sum, _ in sum + sizes.bytes(&random) }) / 50_000
        #expect(abs(mean / 400 - 1) < 0.03, "mean \(mean)")
    }

    @Test(arguments: ["", "-3", "uniform:5", "uniform:9-3", "normal:4", "lognormal:4"])
    func otherSizesAreRefused(_ text: String) {
        #expect(throws: LoadError.self) { try SizeDistribution(text) }
    }

    @Test func timesHaveUnits() {
        #expect(seconds("50ms") == 0.05 && seconds("1.5s") == 1.5 && seconds("2m") == 120)
        #expect(abs((seconds("200us") ?? 0) - 200e-6) < 1e-12 && seconds("3") == 3)
        #expect(seconds("fast") == nil && seconds("-1s") == nil && seconds("") == nil)
    }
}
