// The table of providers, and where their requests go.
import Testing

@testable import JunctionProviders

struct RegistryTests {
    @Test func namesAreUniqueAndFound() {
        #expect(Set(Registry.names).count == Registry.names.count)
        for name in Registry.names { #expect(Registry.provider(named: name)?.name == name) }
        #expect(Registry.provider(named: "openal") == nil)
        #expect(Registry.notYet.isDisjoint(with: Registry.names))
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
        ("anthropic", "https://api.anthropic.com", nil),
    ])
    func knowsWhereEmbeddingsAreMade(provider: String, base: String, url: String?) {
        let found = Registry.provider(named: provider)?.adapter.embeddingURL(
            base: base, model: "m", apiVersion: nil)
        #expect(found == url)
    }

    @Test func geminisKeyIsInAHeaderAndCoheresIsABearer() {
        #expect(
            Adapter.gemini.headers(key: "k", organization: nil).map { "\($0.name): \($0.value)" } == [
                "content-type: application/json", "x-goog-api-key: k",
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
            #expect(base.hasPrefix(provider.keyVariable == nil ? "http://localhost:" : "https://"))
            #expect(!base.hasSuffix("/"))
        }
    }
}
