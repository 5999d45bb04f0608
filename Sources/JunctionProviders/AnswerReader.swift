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
    /// An error's body is read as far as this; what is behind tells nothing.
    private static let errorBytesMax = 64 << 10

    private let json: JSONReader
    private var adapter = Adapter.openAI([])
    private var isStreaming = false
    private var state = State.waiting
    private var isEnded = false
    private var status = 0
    private var headers = AnswerHeaders()
    private var body = ByteBuffer(keeping: 32 << 10)
    private var events = EventStream()
    private var frames = AmazonEventStream()
    private var openAI = OpenAIStream()
    private var anthropic = AnthropicStream()
    private var cohere = CohereStream()
    private var gemini = GeminiStream()
    private var bedrock = BedrockStream()
    /// What was read and is yet to be given.
    private var piece = AnswerPiece()

    /// - Parameter json: shared by whoever runs on the thread.
    public init(json: JSONReader = JSONReader()) { self.json = json }

    /// Forgets the attempt before and awaits an answer of another.
    public func reset(adapter: Adapter, isStreaming: Bool) {
        self.adapter = adapter
        self.isStreaming = isStreaming
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
            if state == .waiting { settle(bytes) }
            switch state {
            case .waiting, .over: break
            case .events: events.append(bytes)
            case .frames: frames.append(bytes)
            case .whole:
                let room = max(
                    0, (isSuccess ? AnswerReader.bodyBytesMax + 1 : AnswerReader.errorBytesMax) - body.count)
                body.append(UnsafeRawBufferPointer(rebasing: bytes.prefix(room)))
            }
        }
    }

    /// The body is complete, as far as HTTP can tell.
    public func end() { isEnded = true }

    private var isSuccess: Bool { (200..<300).contains(status) }

    /// Decides what the body is. Its first byte is a better witness than its content type: providers answer a
    /// stream's request with a JSON text, and proxies with a page.
    private func settle(_ bytes: UnsafeRawBufferPointer) {
        if !isStreaming || !isSuccess {
            state = .whole
            return
        }
        let first = bytes.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0a && $0 != 0x0d }
        switch first {
        case nil: break
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "<"): state = .whole
        default: state = adapter == .bedrock ? .frames : .events
        }
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
            if body.count > AnswerReader.bodyBytesMax { throw .malformed("is longer than 16 MiB") }
            guard isEnded else { return false }
            piece = try wholeAnswer(in: arena)
            return true
        }
    }

    private func wholeAnswer(in arena: Arena) throws(AnswerProblem) -> AnswerPiece {
        guard isSuccess else { throw .error(errorAnswer()) }
        if body.count == 0 { throw isStreaming ? .cut : .malformed("is empty") }
        guard let value = json.read(body.bytes) else { throw .malformed("is not JSON") }
        switch adapter {
        case .openAI, .azure:
            return isStreaming
                ? try openAI.read(answer: value, in: arena) : try readOpenAIAnswer(value, in: arena)
        case .anthropic:
            let answer = try readAnthropicAnswer(value, in: arena)
            if isStreaming { throw .malformed("is not a stream") }
            return answer
        case .cohere:
            return isStreaming
                ? try cohere.read(answer: value, in: arena) : try readCohereAnswer(value, in: arena)
        case .gemini:
            return isStreaming
                ? try gemini.read(answer: value, in: arena) : try readGeminiAnswer(value, in: arena)
        case .bedrock:
            let answer = try readBedrockAnswer(value, in: arena)
            if isStreaming { throw .malformed("is not a stream") }
            return answer
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

/// Why an answer is none.
enum AnswerProblem: Error {
    /// The provider says so.
    case error(ProviderError)
    /// It cannot be read; what it does wrong.
    case malformed(StaticString)
    /// The stream ended too soon.
    case cut
}
