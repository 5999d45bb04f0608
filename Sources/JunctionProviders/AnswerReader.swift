// Reads a provider's answer: bytes in, split anywhere; events out. Knows no socket and no clock.
public import JunctionMessages
public import JunctionProtobuf
public import JunctionRouting

/// Reads answers, one attempt's at a time; keeps its memory. Confined to one thread.
///
/// For each attempt: `reset`, `begin`, `header` for each field, `append` as bytes come, `end` when the body is
/// complete; `next` after each of the last two until it needs more.
public final class AnswerReader {
    public enum Event {
        /// The bytes so far hold nothing more.
        case needsMore
        /// A piece of a streamed answer. `hasContent`: it holds text, refusal, reasoning or a tool call; a piece
        /// without may be held back until one with content comes.
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

    /// What the answer says about the provider's limits; whole once its header fields are in.
    public private(set) var rateLimits = RateLimits()

    /// - Parameter json: shared by whoever runs on the thread.
    public init(json: JSONReader = JSONReader()) {}

    /// Forgets the attempt before and awaits an answer of another.
    public func reset(adapter: Adapter, isStreaming: Bool) {}

    /// The answer's status. Once an attempt; 1xx statuses are not told.
    public func begin(status: Int) {}

    public func header(name: Span<UInt8>, value: Span<UInt8>) {}

    /// Bytes of the body.
    public func append(_ bytes: Span<UInt8>) {}

    /// The body is complete, as far as HTTP can tell.
    public func end() {}

    /// The next thing that the bytes so far say. Its views live in `arena`.
    public func next(in arena: Arena) -> Event { .needsMore }
}
