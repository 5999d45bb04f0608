// The table of providers, the files of their wire formats, and where their requests go.
import Foundation
import Testing

@testable import JunctionProviders

struct RegistryTests {
    @Test func namesAreUniqueAndFound() {
        #expect(Set(Registry.names).count == Registry.names.count)
        for name in Registry.names { #expect(Registry.provider(named: name)?.name == name) }
        #expect(Registry.provider(named: "openal") == nil)
        #expect(Registry.notYet.isDisjoint(with: Registry.names))
    }

    /// A wire format without a provider is dead; a provider without its files or goldens is a promise.
    @Test func everyWireFormatHasItsFilesAndAProvider() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let sources = tests.appendingPathComponent("../../Sources/JunctionProviders")
        func files(_ folder: URL) throws -> Set<String> {
            Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
        }
        let names = try files(sources)
        let formats = Set(
            Registry.providers.map { provider in
                let name = "\(provider.adapter)".prefix { $0 != "(" }
                return name.prefix(1).uppercased() + name.dropFirst()
            })
        let withBodies = Set(names.filter { $0.hasSuffix("Answer.swift") }.map { $0.dropLast(12) })
        // Azure is OpenAI under another address.
        #expect(Set(formats.subtracting(["Azure"])) == Set(withBodies.map { String($0) }))
        for format in formats { #expect(names.contains("\(format).swift")) }
        for format in withBodies { #expect(names.contains("\(format)Request.swift")) }
        let goldens = try files(tests.appendingPathComponent("Goldens"))
        for format in formats {
            for kind in ["whole", "stream", "key"] {
                #expect(goldens.contains("\(format.lowercased())-\(kind)"))
            }
        }
    }

    @Test func theReadmeNamesEveryProvider() throws {
        let readme = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../README.md")
        let text = try String(contentsOf: readme, encoding: .utf8)
        #expect(Registry.names.filter { !text.contains("`\($0)`") && !text.contains("`\($0)/") } == [])
    }

    @Test(arguments: [
        ("gpt-4o", "openai", "gpt-4o"), ("openai/gpt-4o", "openai", "gpt-4o"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("together_ai/meta-llama/Llama-3", "together_ai", "meta-llama/Llama-3"), ("", "openai", ""),
    ])
    func splitsAModel(text: String, provider: String, model: String) {
        #expect(Registry.split(text) == (provider, model))
    }

    @Test(arguments: [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("openai", "http://127.0.0.1:8080//", "http://127.0.0.1:8080/chat/completions"),
        ("openai", "http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("ollama", "http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
        ("ollama", "http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
        ("perplexity", "https://api.perplexity.ai", "https://api.perplexity.ai/chat/completions"),
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("anthropic", "http://h/proxy/v1/", "http://h/proxy/v1/messages"),
        ("anthropic", "http://h/v1/messages", "http://h/v1/messages"),
        ("cohere", "https://api.cohere.com", "https://api.cohere.com/v2/chat"),
        ("cohere_chat", "http://h/v2/", "http://h/v2/chat"),
        ("cohere", "http://h/v2/chat", "http://h/v2/chat"),
        ("gemini", "http://h/v1beta/", "http://h/v1beta/models/m:generateContent"),
        ("bedrock", "http://h/", "http://h/model/m/converse"),
    ])
    func knowsWhereRequestsGo(provider: String, base: String, url: String) {
        let found = Registry.provider(named: provider)?.adapter.url(
            base: base, model: "m", apiVersion: nil, isStreaming: false)
        #expect(found == url)
    }

    @Test(arguments: [
        ("gemini-2.5-flash", "http://h/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("tunedModels/mine-1", "http://h/v1/tunedModels/mine-1:streamGenerateContent?alt=sse"),
        ("../a?b#cé", "http://h/v1/models/..%2Fa%3Fb%23c%C3%A9:streamGenerateContent?alt=sse"),
    ])
    func aModelInTheAddressStaysThere(model: String, url: String) {
        let found = Adapter.gemini.url(base: "http://h/v1", model: model, apiVersion: nil, isStreaming: true)
        #expect(found == url)
    }

    @Test(arguments: [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com/v1/embeddings"),
        ("openai", "http://h/v1/chat/completions", "http://h/v1/embeddings"),
        ("openai", "http://h/v1/embeddings/", "http://h/v1/embeddings"),
        ("ollama", "http://localhost:11434", "http://localhost:11434/v1/embeddings"),
        (
            "azure", "https://r.openai.azure.com",
            "https://r.openai.azure.com/openai/deployments/m/embeddings?api-version=2024-10-21"
        ),
        ("azure", "https://r.openai.azure.com/openai/v1", "https://r.openai.azure.com/openai/v1/embeddings"),
        ("cohere", "https://api.cohere.com", "https://api.cohere.com/v2/embed"),
        ("cohere", "http://h/v2/chat", "http://h/v2/embed"),
        ("gemini", "http://h/v1beta", "http://h/v1beta/models/m:batchEmbedContents"),
        ("bedrock", "http://h", "http://h/model/m/invoke"),
        ("anthropic", "https://api.anthropic.com", nil),
    ])
    func knowsWhereEmbeddingsAreMade(provider: String, base: String, url: String?) {
        let found = Registry.provider(named: provider)?.adapter.embeddingURL(
            base: base, model: "m", apiVersion: nil)
        #expect(found == url)
    }

    @Test(arguments: [
        ("anthropic.claude-v2:1", "anthropic.claude-v2%3A1"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.meta.llama"
        ),
    ])
    func aModelOfBedrockIsOneSegment(model: String, segment: String) {
        let found = Adapter.bedrock.url(base: "http://h", model: model, apiVersion: nil, isStreaming: true)
        #expect(found == "http://h/model/\(segment)/converse-stream")
    }

    @Test(arguments: [
        ("anthropic.claude-v2:1", "anthropic.claude-v2:1", nil),
        ("converse/us.anthropic.claude-opus-4-6-v1", "us.anthropic.claude-opus-4-6-v1", nil),
        ("invoke/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", nil),
        ("us-west-2/meta.llama3-8b", "meta.llama3-8b", "us-west-2"),
        ("converse/us-gov-east-1/meta.llama3-8b", "meta.llama3-8b", "us-gov-east-1"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc",
            "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc", "eu-west-1"
        ),
        ("us-east/x", "us-east/x", nil), ("", "", nil),
    ])
    func aModelOfBedrockMaySayItsRegion(name: String, id: String, region: String?) {
        let model = BedrockModel(name)
        #expect(model.id == id && model.region == region)
    }

    @Test func geminisKeyIsInAHeaderAndCoheresIsABearer() {
        #expect(
            Adapter.gemini.headers(key: "k", organization: nil).map { "\($0.name): \($0.value)" } == [
                "content-type: application/json", "x-goog-api-key: k",
            ])
        #expect(
            Adapter.bedrock.headers(key: "k", organization: nil).map { "\($0.name): \($0.value)" } == [
                "content-type: application/json", "authorization: Bearer k",
            ])
        #expect(
            Adapter.cohere.headers(key: "k", organization: nil).map { "\($0.name): \($0.value)" } == [
                "content-type: application/json", "authorization: Bearer k",
            ])
    }

    @Test(arguments: [
        (
            "https://r.openai.azure.com", nil,
            "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
        ),
        (
            "https://r.openai.azure.com/", "2025-04-01-preview",
            "/openai/deployments/my%20gpt/chat/completions?api-version=2025-04-01-preview"
        ),
        (
            "https://r.openai.azure.com", "a&b",
            "/openai/deployments/my%20gpt/chat/completions?api-version=a%26b"
        ),
        (
            "https://r.openai.azure.com/openai", nil,
            "/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
        ),
        ("https://r.openai.azure.com/openai/deployments/d", nil, "/chat/completions?api-version=2024-10-21"),
        (
            "https://r.openai.azure.com/openai/deployments/d/chat/completions", nil,
            "?api-version=2024-10-21"
        ),
        ("https://r.openai.azure.com/openai/v1", nil, "/chat/completions"),
        ("https://r.openai.azure.com/openai/v1/", "preview", "/chat/completions?api-version=preview"),
        ("https://r.openai.azure.com/openai/v1/chat/completions", nil, ""),
    ])
    func knowsWhereAzuresRequestsGo(base: String, version: String?, path: String) {
        let url = Adapter.azure.url(base: base, model: "my gpt", apiVersion: version, isStreaming: true)
        #expect(url == (base.hasSuffix("/") ? String(base.dropLast()) : base) + path)
    }

    @Test func headersCarryTheKey() {
        let headers = Adapter.openAI([]).headers(key: "k", organization: "org")
        #expect(
            headers.map { "\($0.name): \($0.value)" } == [
                "content-type: application/json", "authorization: Bearer k", "openai-organization: org",
            ])
        #expect(Adapter.openAI([]).headers(key: nil, organization: nil).count == 1)
        #expect(
            Adapter.azure.headers(key: "k", organization: nil).map { "\($0.name): \($0.value)" } == [
                "content-type: application/json", "api-key: k",
            ])
        #expect(
            Adapter.anthropic.headers(key: "k", organization: nil).map { "\($0.name): \($0.value)" } == [
                "content-type: application/json", "anthropic-version: 2023-06-01", "x-api-key: k",
            ])
    }

    @Test func defaultBasesAreHTTPS() {
        for provider in Registry.providers {
            guard let base = provider.defaultBase else { continue }
            #expect(base.hasPrefix(provider.keyVariables.isEmpty ? "http://localhost:" : "https://"))
            #expect(!base.hasSuffix("/"))
        }
    }
}
