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
