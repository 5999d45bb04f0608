// A provider inside the service (LiteLLM's `mock_response`): answers with a set text, after a set
// latency, at a set speed, and fails as often as it is told, so that the service runs without any account.
// Speaks OpenAI's wire format, so that its answers go the same way as a real provider's.
import JunctionConfig
import JunctionMessages
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import JunctionTransport

/// One answer of a mock deployment: what `HTTPTransfer` is for a real one. Confined to its loop.
final class MockTransfer {
    private let settings: MockSettings
    private let loop: EventLoop
    private var handler: (any HTTPHandler)?
    private var timer: Timer?
    private var wordsLeft: ArraySlice<String>
    private let promptTokens: Int
    private let model: String
    /// The vectors that were asked for, as JSON; nil: a completion was.
    private let embeddings: String?
    private var isPaused = false

    init(
        _ settings: MockSettings, model: String, question: Question, fails: Bool, loop: EventLoop,
        handler: any HTTPHandler
    ) {
        self.settings = settings
        self.loop = loop
        self.handler = handler
        self.model = model
        promptTokens = question.estimatedPromptTokens
        if case .embedding(let embedding) = question {
            embeddings = vectors(of: embedding)
        } else {
            embeddings = nil
        }
        wordsLeft = words(of: settings.response)[...]
        let isStreaming = question.isStreaming
        timer = loop.schedule(after: settings.latency) { [self] in
            if fails {
                fail()
            } else if let embeddings {
                embed(embeddings)
            } else if isStreaming {
                beginStream()
            } else {
                answer()
            }
        }
    }

    /// No callback comes after this.
    func cancel() {
        handler = nil
        timer?.cancel()
        timer = nil
    }

    func pause() {
        isPaused = true
        timer?.cancel()
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        timer?.reschedule(after: .zero)
    }

    private func fail() {
        handler?.received(status: 500)
        end(#"{"error":{"message":"the mock was told to fail","type":"server_error","code":null}}"#)
    }

    private func embed(_ vectors: String) {
        handler?.received(status: 200)
        end(#"{"object":"list","model":\#(jsonText(model)),"data":\#(vectors),"usage":\#(usage(0))}"#)
    }

    private func answer() {
        let tokens = wordsLeft.count
        let text = wordsLeft.joined()
        let writing = settings.tokensPerSecond.map { Duration.seconds(Double(tokens) / $0) } ?? .zero
        timer = loop.schedule(after: writing) { [self] in
            handler?.received(status: 200)
            end(
                #"{"id":"mock","object":"chat.completion","model":\#(jsonText(model)),"choices":[{"index":0,"#
                    + #""message":{"role":"assistant","content":\#(jsonText(text))},"#
                    + #""finish_reason":"stop"}],"usage":\#(usage(tokens))}"#)
        }
    }

    private func beginStream() {
        handler?.received(status: 200)
        let tokens = wordsLeft.count
        let gap = settings.tokensPerSecond.map { Duration.seconds(1 / $0) } ?? .zero
        timer = loop.schedule(after: gap) { [self] in next(gap: gap, tokens: tokens) }
    }

    private func next(gap: Duration, tokens: Int) {
        guard let word = wordsLeft.popFirst() else {
            send(event(#"{"index":0,"delta":{},"finish_reason":"stop"}"#))
            send(
                "data: {\"id\":\"mock\",\"model\":\(jsonText(model)),\"choices\":[],\"usage\":\(usage(tokens))}\n\n"
            )
            return end("data: [DONE]\n\n")
        }
        // Asked for before the piece is sent, since sending may pause or cancel.
        timer?.reschedule(after: gap)
        send(event(#"{"index":0,"delta":{"content":\#(jsonText(word))},"finish_reason":null}"#))
    }

    private func event(_ choice: String) -> String {
        "data: {\"id\":\"mock\",\"object\":\"chat.completion.chunk\",\"model\":\(jsonText(model)),\"choices\":[\(choice)]}\n\n"
    }

    private func usage(_ completionTokens: Int) -> String {
        #"{"prompt_tokens":\#(promptTokens),"completion_tokens":\#(completionTokens),"#
            + #""total_tokens":\#(promptTokens + completionTokens)}"#
    }

    private func send(_ text: String) {
        handler?.received(body: Array(text.utf8).span)
    }

    private func end(_ text: String) {
        timer?.cancel()
        timer = nil
        send(text)
        let handler = handler
        self.handler = nil
        handler?.ended(.complete)
    }
}

/// The text in pieces as a model would stream it: a word with the space before it.
private func words(of text: String) -> [String] {
    var words: [String] = []
    for character in text {
        if words.isEmpty || character == " " {
            words.append(String(character))
        } else {
            words[words.count - 1].append(character)
        }
    }
    return words
}

/// A vector for each text, of length 1, and the same whenever the text is.
private func vectors(of embedding: JunctionV1.Embedding.View) -> String {
    let count = embedding.dimensions.map(Int.init) ?? 8
    let vectors = embedding.inputs.enumerated().map { index, text in
        // FNV-1a (draft-eastlake-fnv).
        var seed: UInt64 = 14_695_981_039_346_656_037
        let bytes = text.bytes
        for place in bytes.indices { seed = (seed ^ UInt64(bytes[place])) &* 1_099_511_628_211 }
        var random = RandomSource(seed: seed)
        let values = (0..<count).map { _ in Double.random(in: -1...1, using: &random) }
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let numbers = values.map { "\(length > 0 ? $0 / length : 1)" }.joined(separator: ",")
        return #"{"object":"embedding","index":\#(index),"embedding":[\#(numbers)]}"#
    }
    return "[\(vectors.joined(separator: ","))]"
}
