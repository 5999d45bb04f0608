// The mock speaks OpenAI's wire format well enough for the reader of real answers, and fails when told to.
import JunctionConfig
import JunctionMessages
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import JunctionTransport
import Testing

@testable import JunctionService

@Suite struct MockProviderTests {
    @Test func itStreamsItsTextWordByWord() throws {
        let heard = try listen(to: "Say \"hi\",\n once", isStreaming: true)
        #expect(heard.text == "Say \"hi\",\n once")
        #expect(heard.pieces == 3)
        #expect(heard.usage == TokenUsage(prompt: 9, completion: 3))
        #expect(heard.failure == nil)
    }

    @Test func itAnswersWhole() throws {
        let heard = try listen(to: "All at once", isStreaming: false)
        #expect(heard.text == "All at once")
        #expect(heard.usage == TokenUsage(prompt: 9, completion: 3))
    }

    @Test func itMakesTheSameVectorOfTheSameText() throws {
        let heard = try listen(to: "unsaid", embedding: ["one", "two", "one"])
        #expect(heard.vectors.count == 3)
        #expect(heard.vectors[0] == heard.vectors[2])
        #expect(heard.vectors[0] != heard.vectors[1])
        for vector in heard.vectors {
            #expect(vector.count == 3)
            #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
        }
        #expect(heard.usage == TokenUsage(prompt: 3))
    }

    @Test func itFailsAsAProviderDoes() throws {
        let heard = try listen(to: "never", isStreaming: true, fails: true)
        #expect(heard.failure?.kind == .serverError)
        #expect(heard.text.isEmpty)
    }

    private func listen(
        to text: String, isStreaming: Bool = false, fails: Bool = false, embedding texts: [String] = []
    ) throws -> Listener {
        let loop = EventLoop()
        let adapter = try #require(Registry.provider(named: "openai")).adapter
        let arena = Arena()
        let question: Question
        if texts.isEmpty {
            var completion = JunctionV1.Completion()
            var message = JunctionV1.Message()
            message.content = "Hi"
            completion.messages = [message]
            question = .completion(completion.view(in: arena), isStreaming: isStreaming)
        } else {
            var embedding = JunctionV1.Embedding()
            embedding.inputs = texts
            embedding.dimensions = 3
            question = .embedding(embedding.view(in: arena))
        }
        let listener = Listener(loop: loop, adapter: adapter, question: question)
        var settings = MockSettings(response: text)
        settings.latency = .milliseconds(1)
        settings.tokensPerSecond = 10_000
        let transfer = MockTransfer(
            settings, model: "m", question: question, fails: fails, loop: loop, handler: listener)
        loop.run()
        withExtendedLifetime((transfer, arena)) {}
        return listener
    }

    private final class Listener: HTTPHandler {
        var text = ""
        var vectors: [[Float]] = []
        var pieces = 0
        var usage: TokenUsage?
        var failure: Failure?
        private let loop: EventLoop
        private let reader = AnswerReader()
        private let arena = Arena()

        init(loop: EventLoop, adapter: Adapter, question: Question) {
            self.loop = loop
            reader.reset(
                adapter: adapter, isStreaming: question.isStreaming, embeddingCount: question.embeddingCount)
        }

        func received(status: Int) { reader.begin(status: status) }
        func received(headerName: Span<UInt8>, value: Span<UInt8>) {
            reader.header(name: headerName, value: value)
        }

        func received(body: Span<UInt8>) {
            reader.append(body)
            read()
        }

        func ended(_ end: HTTPEnd) {
            reader.end()
            read()
            loop.stop()
        }

        private func read() {
            while true {
                switch reader.next(in: arena) {
                case .needsMore, .finished: return
                case .delta(let delta, let hasContent):
                    text += delta.choices.map { String($0.content) }.joined()
                    if hasContent { pieces += 1 }
                case .complete(let response):
                    text += response.choices.map { String($0.message!.content) }.joined()
                case .embeddings(let response): vectors = response.vectors.map { Array($0.values) }
                case .usage(let counted): usage = counted
                case .failed(let failure):
                    self.failure = failure
                    return
                }
            }
        }
    }
}
