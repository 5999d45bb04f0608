// Reads a provider's answer: bytes in, split anywhere; events out. Knows no socket and no clock.
public import JunctionMessages
public import JunctionProtobuf
public import JunctionRouting

/// Reads answers, one attempt's at a time; keeps its memory. Confined to one thread.
///
/// For each attempt: `reset`, `begin`, `header` for each field, `append` as bytes come, `end` when the body
/// is complete; `next` after each of the last two until it needs more.
public final class AnswerReader {
    public enum Event {
        /// The bytes so far hold nothing more.
        case needsMore
        /// A piece of a streamed answer. `hasContent`: it holds text, refusal, reasoning or a tool call; a
        /// piece without may be held back until one with content comes.
        case delta(JunctionV1.StreamResponse.View, hasContent: Bool)
        /// The whole answer.
        case complete(JunctionV1.CompleteResponse.View)
        /// The embeddings that were asked for, as many as there were texts.
        case embeddings(JunctionV1.EmbedResponse.View)
        /// Tokens used so far; a later one replaces an earlier.
        case usage(TokenUsage)
        /// The answer ended as it should; the last event.
        case finished
        /// The attempt failed; the last event.
        case failed(Failure)
    }

    private enum State {
        /// No byte of the body yet that tells what it is.
        case waiting
        /// One JSON text, or what a provider sends in its stead.
        case whole
        case events
        /// Amazon's binary ones.
        case frames
        /// The last event was given.
        case over
    }

    private static let bodyBytesMax = 16 << 20
    /// Vectors are long, and there may be thousands.
    private static let embeddingBytesMax = 96 << 20
    /// An error's body is read as far as this; what is behind tells nothing.
    private static let errorBytesMax = 64 << 10

    private let json: JSONReader
    @exclusivity(unchecked) private var adapter = Adapter.openAI([])
    @exclusivity(unchecked) private var isStreaming = false
    /// How many embeddings are awaited; nil: a completion is.
    @exclusivity(unchecked) private var embeddingCount: Int?
    @exclusivity(unchecked) private var state = State.waiting
    @exclusivity(unchecked) private var isEnded = false
    @exclusivity(unchecked) private var status = 0
    @exclusivity(unchecked) private var headers = AnswerHeaders()
    @exclusivity(unchecked) private var body = ByteBuffer(keeping: 32 << 10)
    @exclusivity(unchecked) private var events = EventStream()
    @exclusivity(unchecked) private var frames = AmazonEventStream()
    @exclusivity(unchecked) private var openAI = OpenAIStream()
    @exclusivity(unchecked) private var anthropic = AnthropicStream()
    @exclusivity(unchecked) private var cohere = CohereStream()
    @exclusivity(unchecked) private var gemini = GeminiStream()
    @exclusivity(unchecked) private var bedrock = BedrockStream()
    /// What was read and is yet to be given.
    @exclusivity(unchecked) private var piece = AnswerPiece()

    /// - Parameter json: shared by whoever runs on the thread.
    public init(json: JSONReader = JSONReader()) { self.json = json }

    /// Forgets the attempt before and awaits an answer of another.
    ///
    /// - Parameter embeddingCount: how many texts were sent to become embeddings; nil: a completion was
    ///   asked for.
    public func reset(adapter: Adapter, isStreaming: Bool, embeddingCount: Int? = nil) {
        self.adapter = adapter
        self.isStreaming = isStreaming
        self.embeddingCount = embeddingCount
        state = .waiting
        isEnded = false
        status = 0
        headers = AnswerHeaders()
        body.removeAll()
        events.reset()
        frames.reset()
        openAI = OpenAIStream()
        anthropic = AnthropicStream()
        cohere = CohereStream()
        gemini = GeminiStream()
        bedrock = BedrockStream()
        piece = AnswerPiece()
    }

    /// The answer's status. Once an attempt; 1xx statuses are not told.
    public func begin(status: Int) { self.status = status }

    /// A field of the answer's head; its name in any case.
    public func header(name: Span<UInt8>, value: Span<UInt8>) { headers.read(name: name, value: value) }

    /// What the answer says about the provider's limits; whole once its header fields are in.
    public var rateLimits: RateLimits { headers.rateLimits }

    /// Bytes of the body.
    public func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { bytes in
            let bytes = state == .waiting ? settle(bytes) : bytes
            switch state {
            case .waiting, .over: break
            case .events: events.append(bytes)
            case .frames: frames.append(bytes)
            case .whole:
                let room = max(
                    0, (isSuccess ? bodyBytesMax + 1 : AnswerReader.errorBytesMax) - body.count)
                body.append(UnsafeRawBufferPointer(rebasing: bytes.prefix(room)))
            }
        }
    }

    /// The body is complete, as far as HTTP can tell.
    public func end() { isEnded = true }

    private var bodyBytesMax: Int {
        embeddingCount == nil ? AnswerReader.bodyBytesMax : AnswerReader.embeddingBytesMax
    }

    private var isSuccess: Bool { (200..<300).contains(status) }

    /// Decides what the body is. Its first byte is a better witness than its content type: providers answer a
    /// stream's request with a JSON text, and proxies with a page.
    ///
    /// - Returns: what is to be read. White space before the first byte is not, however the network cuts it.
    private func settle(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        if !isStreaming || !isSuccess {
            state = .whole
            return bytes
        }
        let first = bytes.firstIndex { $0 != 0x20 && $0 != 0x09 && $0 != 0x0a && $0 != 0x0d }
        guard let first else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        switch bytes[first] {
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "<"): state = .whole
        default: state = adapter == .bedrock ? .frames : .events
        }
        return UnsafeRawBufferPointer(rebasing: bytes[first...])
    }

    /// The next thing that the bytes so far say. Its views live in `arena`.
    public func next(in arena: Arena) -> Event {
        do throws(AnswerProblem) {
            while true {
                if let event = piece.takeEvent() {
                    if case .finished = event { state = .over }
                    return event
                }
                guard try readPiece(in: arena) else { return .needsMore }
            }
        } catch {
            state = .over
            return .failed(failure(error))
        }
    }

    /// Reads what is complete into `piece`; false when nothing is.
    private func readPiece(in arena: Arena) throws(AnswerProblem) -> Bool {
        switch state {
        case .over: return false
        case .events: return try readEvent(in: arena)
        case .frames: return try readFrame(in: arena)
        case .whole, .waiting:
            if body.count > bodyBytesMax { throw .malformed("is too long to be read") }
            guard isEnded else { return false }
            piece = try wholeAnswer(in: arena)
            return true
        }
    }

    private func wholeAnswer(in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        guard isSuccess else { throw .error(errorAnswer()) }
        if body.count == 0 { throw isStreaming ? .cut : .malformed("is empty") }
        guard let value = json.read(body.bytes) else { throw .malformed("is not JSON") }
        if let embeddingCount { return try embeddings(value, count: embeddingCount, in: arena) }
        switch adapter {
        case .openAI, .azure:
            return isStreaming
                ? try openAI.read(answer: value, in: arena) : try readOpenAIAnswer(value, in: arena)
        case .anthropic:
            let answer = try readAnthropicAnswer(value, in: arena)
            return isStreaming ? try answer.asPieceOfStream(in: arena) : answer
        case .cohere:
            return isStreaming
                ? try cohere.read(answer: value, in: arena) : try readCohereAnswer(value, in: arena)
        case .gemini:
            return isStreaming
                ? try gemini.read(answer: value, in: arena) : try readGeminiAnswer(value, in: arena)
        case .bedrock:
            let answer = try readBedrockAnswer(value, in: arena)
            return isStreaming ? try answer.asPieceOfStream(in: arena) : answer
        }
    }

    private func embeddings(_ value: JSONValue, count: Int, in arena: Arena) throws(AnswerProblem)
        -> AnswerPiece
    {
        switch adapter {
        case .openAI, .azure: try readOpenAIEmbeddings(value, count: count, in: arena)
        case .cohere: try readCohereEmbeddings(value, count: count, in: arena)
        case .gemini: try readGeminiEmbeddings(value, count: count, in: arena)
        case .bedrock: try readBedrockEmbeddings(value, count: count, in: arena)
        case .anthropic: throw .malformed("has no embeddings")
        }
    }

    private func errorAnswer() -> ProviderError {
        let value = json.read(body.bytes)
        if adapter == .bedrock, value != nil || headers.errorType != nil {
            return bedrockError(value, type: headers.errorType)
        }
        if let value {
            switch adapter {
            case .openAI, .azure, .anthropic: return openAIError(value)
            case .cohere: return cohereError(value, status: status)
            case .gemini: return geminiError(value)
            case .bedrock: break
            }
        }
        let isPage = body.bytes.first == UInt8(ascii: "<")
        return ProviderError(message: isPage ? "" : String(decoding: body.bytes, as: UTF8.self))
    }

    private func readEvent(in arena: Arena) throws(AnswerProblem) -> Bool {
        if let event = events.next() {
            switch adapter {
            case .openAI, .azure: piece = try openAI.read(event, by: json, in: arena)
            case .anthropic: piece = try anthropic.read(event, by: json, in: arena)
            case .cohere: piece = try cohere.read(event, by: json, in: arena)
            case .gemini: piece = try gemini.read(event, by: json, in: arena)
            case .bedrock: break
            }
            return true
        }
        if events.isTooLong { throw .malformed("has an event longer than 16 MiB") }
        guard isEnded else { return false }
        switch adapter {
        case .openAI(let quirks): piece = try openAI.end(behind: events.rest(), quirks)
        case .azure: piece = try openAI.end(behind: events.rest(), .azure)
        case .anthropic: piece = try anthropic.end(behind: events.rest(), by: json, in: arena)
        case .cohere: piece = try cohere.end(behind: events.rest(), by: json, in: arena)
        case .gemini: piece = try gemini.end(behind: events.rest(), by: json, in: arena)
        case .bedrock: throw .cut
        }
        return true
    }

    private func readFrame(in arena: Arena) throws(AnswerProblem) -> Bool {
        if let event = try frames.next() {
            piece = try bedrock.read(event, by: json, in: arena)
            return true
        }
        guard isEnded else { return false }
        if frames.isWithinFrame { throw .cut }
        piece = try bedrock.end()
        return true
    }

    private func failure(_ problem: AnswerProblem) -> Failure {
        switch problem {
        case .error(let error): error.failure(status: status, retryAfter: headers.wait)
        case .malformed(let what):
            Failure(.malformedResponse, httpStatus: status, message: "the provider's answer \(what)")
        case .cut:
            Failure(
                .streamCut, httpStatus: status, message: "the provider's stream ended before its end marker")
        }
    }
}

/// What one event of a stream, or a whole answer, comes to.
struct AnswerPiece {
    var answer: JunctionV1.CompleteResponse.View?
    var embeddings: JunctionV1.EmbedResponse.View?
    var delta: JunctionV1.StreamResponse.View?
    var hasContent = false
    var usage: TokenUsage?
    /// Whether the answer is complete with it.
    var isLast = false

    /// The first event that the piece still holds, which it holds no more then.
    mutating func takeEvent() -> AnswerReader.Event? {
        if let answer {
            self.answer = nil
            return .complete(answer)
        }
        if let embeddings {
            self.embeddings = nil
            return .embeddings(embeddings)
        }
        if let delta {
            self.delta = nil
            return .delta(delta, hasContent: hasContent)
        }
        if let usage {
            self.usage = nil
            return .usage(usage)
        }
        if isLast {
            isLast = false
            return .finished
        }
        return nil
    }
}

extension AnswerPiece {
    /// A whole answer that came where a stream was asked for, as proxies send it.
    fileprivate func asPieceOfStream(in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        guard let answer, answer.choices.allSatisfy({ $0.finishReason != .unspecified }) else {
            throw .malformed("is not a stream")
        }
        let delta = JunctionV1.StreamResponse.View(in: arena)
        delta.id = answer.id
        delta.model = answer.model
        // One change of a choice holds one part of signed reasoning; each part is one of its own.
        let parts = answer.choices.flatMap { choice in
            choice.message.map { $0.reasoningParts.map { (choice.index, $0) } } ?? []
        }
        let deltas = delta.setChoices(count: answer.choices.count + parts.count, in: arena)
        for (place, (index, part)) in parts.enumerated() {
            deltas[place].index = index
            deltas[place].reasoningPart = part
        }
        for (choice, delta) in zip(answer.choices, deltas.dropFirst(parts.count)) {
            delta.index = choice.index
            delta.content = choice.message?.content ?? Text(stored: nil)
            delta.reasoning = choice.reasoning
            delta.finishReason = choice.finishReason
            let calls = choice.message?.toolCalls
            let fragments = delta.setToolCalls(count: calls?.count ?? 0, in: arena)
            for (place, fragment) in fragments.enumerated() {
                guard let call = calls?[place] else { break }
                fragment.index = Int32(clamping: place)
                fragment.id = call.id
                fragment.name = call.function?.name ?? Text(stored: nil)
                fragment.argumentsJson = call.function?.argumentsJson ?? Text(stored: nil)
            }
        }
        return AnswerPiece(delta: delta, hasContent: true, usage: usage, isLast: true)
    }
}

/// Why an answer is none.
enum AnswerProblem: Error {
    /// The provider says so.
    case error(ProviderError)
    /// It cannot be read; what it does wrong.
    case malformed(StaticString)
    /// The stream ended too soon.
    case cut
}

/// The message for tokens used.
public func usageMessage(_ usage: TokenUsage, in arena: Arena) -> JunctionV1.Usage.View {
    let message = JunctionV1.Usage.View(in: arena)
    message.promptTokens = Int64(usage.prompt)
    message.completionTokens = Int64(usage.completion)
    message.totalTokens = Int64(usage.total)
    message.cachedTokens = Int64(usage.cached)
    message.cacheWriteTokens = Int64(usage.cacheWritten)
    message.reasoningTokens = Int64(usage.reasoning)
    return message
}
