// Models are found in the table by the names that deployments give them, and its numbers can be true.
import JunctionRouting
import Testing

@testable import JunctionProviders

struct ModelFactsTests {
    @Test(arguments: [
        ("openai", "gpt-4o", "gpt-4o"), ("openai", "gpt-4o-2024-11-20", "gpt-4o"),
        ("openai", "gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("azure", "gpt-4o-2024-08-06", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("cohere_chat", "command-r-08-2024", "command-r-08-2024"),
        ("mistral", "mistral-embed-2312", "mistral-embed"),
        ("fireworks_ai", "kimi-k3", "accounts/fireworks/models/kimi-k3"),
        (
            "bedrock_converse", "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0"
        ),
    ])
    func findsAModelByItsOtherNames(provider: String, name: String, other: String) throws {
        let facts = try #require(ModelFacts.of(model: name, provider: provider))
        let owner = ["azure": "openai", "cohere_chat": "cohere", "bedrock_converse": "bedrock"][provider]
        #expect(facts == ModelFacts.of(model: other, provider: owner ?? provider))
    }

    @Test func namesThatOnlyLookAlikeAreNotMixedUp() throws {
        let old = try #require(ModelFacts.of(model: "gpt-4o-2024-05-13", provider: "openai"))
        #expect(old.prices.input == 5e-6, "an older version with its own price")
        #expect(ModelFacts.of(model: "gpt-4o-mini-tts", provider: "openai") == nil)
        #expect(ModelFacts.of(model: "gpt-4o", provider: "groq") == nil)
        #expect(ModelFacts.of(model: "", provider: "openai") == nil)
        #expect(ModelFacts.of(model: "-latest", provider: "openai") == nil)
    }

    @Test func readsALine() throws {
        let gemini = try #require(ModelFacts.of(model: "gemini-2.5-pro", provider: "gemini"))
        #expect(gemini.mode == .chat)
        #expect(
            gemini.prices
                == TokenPrices(
                    input: 1.25e-6, output: 10e-6, cachedInput: 0.125e-6,
                    longPrompt: .init(bound: 200_000, inputFactor: 2, outputFactor: 1.5)))
        #expect(gemini.maxInputTokens == 1_048_576)
        #expect(gemini.maxOutputTokens == 65_536)
        let embedding = try #require(ModelFacts.of(model: "text-embedding-3-small", provider: "openai"))
        #expect(embedding.mode == .embedding)
        #expect(embedding.prices == TokenPrices(input: 0.02e-6))
        #expect(embedding.maxInputTokens == 8191)
    }

    /// A price out of line by a factor of a thousand is a slip.
    @Test func everyLineIsOfAProviderAndCanBeTrue() throws {
        var provider = ""
        for line in ModelTable.text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 2 {
                provider = words[1]
                #expect(Registry.names.contains(provider) || Registry.notYet.contains(provider))
                continue
            }
            let facts = try #require(ModelFacts.of(model: words[0], provider: provider), "\(line)")
            let input = try #require(facts.prices.input, "\(line)")
            #expect((1e-9...1e-4).contains(input), "\(line)")
            #expect(facts.maxInputTokens ?? 512 >= 512, "\(line)")
            guard facts.mode == .chat else { continue }
            let output = try #require(facts.prices.output, "\(line)")
            #expect((input...input * 10).contains(output), "\(line)")
            #expect(facts.prices.cachedInput ?? 0 < input, "\(line)")
            #expect(facts.prices.cacheWrite ?? input >= input, "\(line)")
        }
    }
}
