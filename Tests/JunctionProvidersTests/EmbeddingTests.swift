// Embeddings where goldens do not reach: vectors in base64, and answers that are none.
import Foundation
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
import Testing

@testable import JunctionProviders

struct EmbeddingTests {
    /// Any floats come out of base64 as they went in.
    @Test func readsBase64() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(state: seed)
        for count in 1...40 {
            let floats = (0..<count).map { _ in Float.random(in: -1e6...1e6, using: &random) }
            let bytes = floats.withUnsafeBytes { Data($0) }
            #expect(vectors(openAI("\"\(bytes.base64EncodedString())\"")) == [floats], "seed \(seed)")
        }
    }

    @Test(arguments: [
        #""AAAA""#, #""AAAAA===""#, #""AA=A""#, #""AAAAAAA""#, #""!AAAAA==""#, #""""#, "[]", "null", "7",
        #"["a"]"#, "[1,null]", "[1e39]", "[[1]]", #""AACAfw==""#,
    ])
    func whatIsNoVectorIsAFailure(embedding: String) {
        let said = failed(openAI(embedding))
        #expect(said?.kind == .malformedResponse, "\(embedding)")
    }

    @Test(arguments: [
        (Adapter.openAI([]), #"{"data":[{"index":1,"embedding":[1]}]}"#),
        (.openAI([]), #"{"data":[{"index":-1,"embedding":[1]}]}"#),
        (.openAI([]), #"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#),
        (.openAI([]), #"{"data":[]}"#), (.openAI([]), #"{"data":{}}"#), (.openAI([]), "[]"),
        (.cohere, #"{"embeddings":{"int8":[[1]]}}"#), (.cohere, #"{"embeddings":[]}"#), (.cohere, "{}"),
        (.gemini, #"{"embeddings":[{}]}"#), (.gemini, #"{"embeddings":[{"values":[1]},{"values":[2]}]}"#),
        (.gemini, "{}"), (.bedrock, #"{"embedding":[]}"#), (.bedrock, "{}"), (.anthropic, "{}"),
    ])
    func whatIsNoAnswerIsAFailure(adapter: Adapter, body: String) {
        #expect(failed(body, adapter)?.kind == .malformedResponse)
    }

    @Test(arguments: [
        (
            Adapter.openAI([]), #"{"error":{"message":"busy","type":"overloaded_error"}}"#,
            Failure.Kind.overloaded
        ),
        (.cohere, #"{"message":"no"}"#, .serverError),
        (
            .gemini, #"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#,
            .rateLimited
        ),
    ])
    func anErrorMayComeInAnAnswersPlace(adapter: Adapter, body: String, kind: Failure.Kind) {
        #expect(failed(body, adapter)?.kind == kind)
    }

    /// Bytes changed at random neither crash the reader nor make it say other things of pieces.
    @Test func survivesAnything() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(state: seed)
        let bodies: [(Adapter, String)] = [
            (.openAI([]), openAI("[0.5,-1e-3,7]")), (.azure, openAI(#""AACAPwAAAEA=""#)),
            (.cohere, #"{"embeddings":{"float":[[1,2.5]]},"meta":{"billed_units":{"input_tokens":7}}}"#),
            (.gemini, #"{"embeddings":[{"values":[1,2.5]}],"usageMetadata":{"promptTokenCount":7}}"#),
            (.bedrock, #"{"embedding":[1,2.5],"inputTextTokenCount":7}"#),
        ]
        let reader = AnswerReader()
        for _ in 0..<400 {
            let (adapter, text) = bodies.randomElement(using: &random)!
            var bytes = Array(text.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] = Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : 0x30
            }
            let cut = Int.random(in: 0...bytes.count, using: &random)
            let whole = read(
                [bytes], adapter: adapter, isStreaming: false, embeddingCount: 1, with: reader)
            let pieces = read(
                [Array(bytes[..<cut]), Array(bytes[cut...])], adapter: adapter, isStreaming: false,
                embeddingCount: 1, with: reader)
            #expect(whole == pieces, "seed \(seed)")
        }
    }

    private func openAI(_ embedding: String) -> String {
        #"{"data":[{"index":0,"embedding":\#(embedding)}],"usage":{"prompt_tokens":1}}"#
    }

    private func vectors(_ body: String) -> [[Float]] {
        var vectors: [[Float]] = []
        events(body, .openAI([])) { event in
            if case .embeddings(let response) = event { vectors = response.vectors.map { Array($0.values) } }
        }
        return vectors
    }

    private func failed(_ body: String, _ adapter: Adapter = .openAI([])) -> Failure? {
        var failure: Failure?
        events(body, adapter) { event in if case .failed(let why) = event { failure = why } }
        return failure
    }

    private func events(_ body: String, _ adapter: Adapter, take: (AnswerReader.Event) -> Void) {
        let reader = AnswerReader()
        let arena = Arena()
        reader.reset(adapter: adapter, isStreaming: false, embeddingCount: 1)
        reader.begin(status: 200)
        reader.append(Array(body.utf8).span)
        reader.end()
        while true {
            let event = reader.next(in: arena)
            take(event)
            switch event {
            case .needsMore, .finished, .failed: return
            default: continue
            }
        }
    }
}
