// The beginning of an answer that one provider has written and another is to go on with: how it is handed
// over, and how the two are joined. Which providers take one stands in the registry.
internal import JunctionMessages
internal import JunctionProtobuf

/// What has been written of an answer so far.
public struct Continuation: Sendable {
    /// The text without blanks at its end: some providers refuse those, and all write better without.
    public let text: String
    /// The blanks.
    let blanks: [UInt8]
    /// The tokens of the text, which the answer's bound counts too.
    let tokens: Int

    /// - Parameter written: the text so far, in UTF-8.
    /// - Returns: nil when it holds nothing but blanks.
    public init?(written: [UInt8], tokens: Int) {
        let end = written.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? 0
        if end == 0 { return nil }
        text = String(decoding: written[..<end], as: UTF8.self)
        blanks = Array(written[end...])
        self.tokens = tokens
    }

    /// The bound of what is left to be written of `tokens`.
    func rest(of most: Int32?) -> Int32? { most.map { max(1, $0 - Int32(clamping: tokens)) } }
}

/// Leaves out of a continuation what the caller has already: the text, where a provider repeats it, and the
/// blanks at its end.
public struct Joint {
    private let text: [UInt8]
    private let blanks: [UInt8]
    private var textSeen = 0
    private var blanksSeen = 0
    private var isRepeating: Bool
    private var isAtStart = true

    /// - Parameter adapter: of whoever goes on.
    public init(_ continuation: Continuation, adapter: Adapter) {
        text = Array(continuation.text.utf8)
        blanks = continuation.blanks
        isRepeating = adapter.repeatsContinuedText
    }

    /// Whether all that comes from now on is new.
    public var isDone: Bool { !isRepeating && !isAtStart }

    /// What of the next piece the caller does not have yet.
    public mutating func new(of piece: Span<UInt8>) -> [UInt8] {
        var new: [UInt8] = []
        for index in piece.indices { take(piece[index], &new) }
        return new
    }

    private mutating func take(_ byte: UInt8, _ new: inout [UInt8]) {
        if isRepeating {
            if byte == text[textSeen] {
                textSeen += 1
                isRepeating = textSeen < text.count
                return
            }
            // It only looked like the text.
            isRepeating = false
            for early in text[..<textSeen] { take(early, &new) }
        }
        if isAtStart {
            if blanksSeen < blanks.count, byte == blanks[blanksSeen] {
                blanksSeen += 1
                return
            }
            isAtStart = false
        }
        new.append(byte)
    }
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte >= 0x09 && byte <= 0x0d }

extension Adapter {
    /// Whether the provider goes on with an assistant's message that is last, at this base and with this model.
    public func continuesText(base: String, model: String) -> Bool {
        switch self {
        case .openAI(let quirks):
            if quirks.contains(.continuesInBeta) { return base.hasSuffix("/beta") }
            return !quirks.isDisjoint(with: [.continuesPlainly, .continuesPrefix, .continuesFinalMessage])
        // Claude 4.6 and later refuse it.
        case .anthropic: return !thinksAdaptively(model)
        case .azure, .bedrock, .cohere, .gemini: return false
        }
    }

    /// Whether the answer begins with the text that it goes on with.
    var repeatsContinuedText: Bool {
        if case .openAI(let quirks) = self { quirks.contains(.repeatsPrefix) } else { false }
    }
}
