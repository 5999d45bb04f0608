// An answer that one provider began and another goes on with: what the other is sent, and how both are joined.
import JunctionMessages
import JunctionProtobuf
import Testing

@testable import JunctionProviders

private func continuation(_ text: String, tokens: Int = 3) -> Continuation? {
    Continuation(written: Array(text.utf8), tokens: tokens)
}

/// The body that asks a provider to go on with `text`.
private func body(
    _ text: String, _ provider: String, change: (inout JunctionV1.Completion) -> Void = { _ in }
)
    throws -> String
{
    var completion = JunctionV1.Completion()
    completion.messages = [JunctionV1.Message()]
    completion.messages[0].role = .user
    completion.messages[0].content = "Hi"
    change(&completion)
    let arena = Arena()
    let writer = BodyWriter()
    try writer.write(
        completion.view(in: arena), model: "m", isStreaming: true,
        adapter: Registry.provider(named: provider)!.adapter, continuation: continuation(text))
    return writer.bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
}

@Suite struct ContinuationTests {
    @Test(arguments: [
        ("hosted_vllm", #"{"role":"assistant","content":"Once upon"}]"#, #""continue_final_message":true"#),
        ("hosted_vllm", #""add_generation_prompt":false"#, ""),
        ("mistral", #"{"role":"assistant","content":"Once upon","prefix":true}]"#, ""),
        ("deepseek", #"{"role":"assistant","content":"Once upon","prefix":true}]"#, ""),
        ("groq", #"{"role":"assistant","content":"Once upon"}]"#, ""),
        ("anthropic", #"{"role":"assistant","content":[{"type":"text","text":"Once upon"}]}]"#, ""),
    ])
    func itIsTheLastMessage(provider: String, part: String, other: String) throws {
        let body = try body("Once upon \n", provider)
        #expect(body.contains(part) && (other.isEmpty || body.contains(other)), "\(body)")
    }

    @Test(arguments: ["groq", "anthropic"]) func theBoundIsOfTheWholeAnswer(provider: String) throws {
        #expect(try body("a b c", provider) { $0.maxTokens = 10 }.contains(#""max_tokens":7"#))
        #expect(try body("a b c", provider) { $0.maxTokens = 2 }.contains(#""max_tokens":1"#))
    }

    /// Anthropic takes no beginning of an answer that shall be thought about first.
    @Test func whatIsGoneOnWithIsNotThoughtAbout() throws {
        #expect(try !body("a", "anthropic") { $0.reasoningEffort = "high" }.contains("thinking"))
    }

    @Test func theNextBodyIsAsUsual() throws {
        let arena = Arena()
        let writer = BodyWriter()
        let adapter = Registry.provider(named: "hosted_vllm")!.adapter
        let completion = JunctionV1.Completion().view(in: arena)
        try writer.write(
            completion, model: "m", isStreaming: true, adapter: adapter, continuation: continuation("a"))
        try writer.write(completion, model: "m", isStreaming: true, adapter: adapter)
        let body = writer.bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        #expect(!body.contains("assistant") && !body.contains("continue"))
    }

    @Test func blanksAloneAreNoBeginning() {
        #expect(continuation(" \n\t") == nil)
        #expect(continuation("") == nil)
    }

    @Test(arguments: [
        ("openai", "https://api.openai.com/v1", false), ("azure", "https://a.example", false),
        ("cohere", "https://api.cohere.com", false), ("gemini", "https://g.example", false),
        ("anthropic", "https://api.anthropic.com", true), ("groq", "https://g.example", true),
        ("mistral", "https://m.example", true), ("hosted_vllm", "http://127.0.0.1:8000/v1", true),
        ("deepseek", "https://api.deepseek.com/v1", false),
        ("deepseek", "https://api.deepseek.com/beta", true),
    ])
    func whoGoesOn(provider: String, base: String, goesOn: Bool) {
        let adapter = Registry.provider(named: provider)!.adapter
        #expect(adapter.continuesText(base: base, model: "claude-sonnet-4-5") == goesOn)
    }

    @Test func newerModelsOfAnthropicDoNot() {
        #expect(!Adapter.anthropic.continuesText(base: "", model: "claude-opus-4-6"))
    }

    // MARK: The joint

    /// What of an answer in such pieces is new, however the pieces are cut.
    private func joined(_ written: String, _ answer: String, _ provider: String, piece: Int) -> String {
        var joint = Joint(continuation(written)!, adapter: Registry.provider(named: provider)!.adapter)
        let bytes = Array(answer.utf8)
        var new: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            new += joint.new(of: bytes[start..<min(start + piece, bytes.count)].span)
        }
        return String(decoding: new, as: UTF8.self)
    }

    @Test(arguments: 1...12) func blanksAtTheJointAreNotDoubled(piece: Int) {
        #expect(joined("One ", " two", "groq", piece: piece) == "two")
        #expect(joined("One ", "two", "groq", piece: piece) == "two")
        #expect(joined("One", " two", "groq", piece: piece) == " two")
        #expect(joined("One\n\n", "\n* two", "groq", piece: piece) == "* two")
        #expect(joined("One ", "  two", "groq", piece: piece) == " two")
    }

    @Test(arguments: 1...12) func aRepeatedBeginningIsLeftOut(piece: Int) {
        #expect(joined("One ", "One two", "mistral", piece: piece) == "two")
        #expect(joined("One", "One two", "mistral", piece: piece) == " two")
        #expect(joined("One ", "Only", "mistral", piece: piece) == "Only", "it only looked like it")
        #expect(joined("One", "One two", "groq", piece: piece) == "One two", "others do not repeat")
    }
}
