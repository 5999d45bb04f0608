// How many tokens a call will use, before it is sent: from the length of its text by what a byte has come to
// of late, and from the answers of late where the call sets no bound. Errs to the high side on purpose.

/// How large a call is, as far as is known before it is sent.
public struct CallSize: Sendable, Equatable {
    /// Tokens of the prompt that are known as such: of a chat template, of images.
    public var tokens: Int
    /// Bytes of the prompt's text that are ASCII.
    public var asciiBytes: Int
    /// Bytes of the prompt's text that are not.
    public var otherBytes: Int
    /// Most tokens of each answer; nil: no bound is set, as many as usual are expected.
    public var maxAnswerTokens: Int?
    /// Answers asked for.
    public var answers: Int

    /// By default, a call that uses exactly `tokens`.
    public init(
        tokens: Int, asciiBytes: Int = 0, otherBytes: Int = 0, maxAnswerTokens: Int? = 0, answers: Int = 1
    ) {
        self.tokens = tokens
        self.asciiBytes = asciiBytes
        self.otherBytes = otherBytes
        self.maxAnswerTokens = maxAnswerTokens
        self.answers = answers
    }
}

/// Tokens that a call is expected to use.
public struct ExpectedTokens: Sendable, Equatable {
    public var prompt: Int
    public var completion: Int
    public var total: Int { prompt + completion }

    /// The same as if it had been used.
    var usage: TokenUsage { TokenUsage(prompt: prompt, completion: completion, isEstimated: true) }
}

/// What a model group's calls have taught. All its deployments teach and use one: they serve one model.
struct TokenModel {
    /// The most that is expected of an answer without a bound.
    private static let mostExpected = 8_192
    /// More than any call has; so that sums stay in range.
    private static let most = 1_000_000_000

    private var perASCIIByte = RunningQuantile(0.9, start: 1 / 3)
    private var perOtherByte = RunningQuantile(0.9, start: 1 / 2)
    private var completion = RunningQuantile(0.95, start: 512)
    /// An expectation alone must not keep calls from a deployment with a low limit.
    private let cap: Double

    /// - Parameter lowestLimit: of the tokens a minute of the group and its deployments; nil: there is none.
    init(lowestLimit: Int?) {
        cap = Double(min(Self.mostExpected, (lowestLimit ?? .max) / 4))
    }

    func expected(_ size: CallSize) -> ExpectedTokens {
        let text =
            Double(size.asciiBytes) * perASCIIByte.value + Double(size.otherBytes) * perOtherByte.value
        let prompt = min(Self.most, max(0, size.tokens) + Int(text.rounded(.up)))
        let each = size.maxAnswerTokens ?? Int(min(completion.value, cap))
        let (answers, isTooMuch) = max(0, each).multipliedReportingOverflow(by: max(1, size.answers))
        return ExpectedTokens(prompt: prompt, completion: isTooMuch ? Self.most : min(Self.most, answers))
    }

    /// Learns from what a provider has counted.
    mutating func learn(_ size: CallSize, _ usage: TokenUsage) {
        let text = Double(usage.prompt - size.tokens)
        let ascii = Double(size.asciiBytes) * perASCIIByte.value
        let other = Double(size.otherBytes) * perOtherByte.value
        // The kind of text that most of the tokens come from is what the count tells of.
        if ascii >= other, size.asciiBytes >= 16, text > 0 {
            perASCIIByte.add(min(2, max(1 / 64, (text - other) / Double(size.asciiBytes))))
        } else if other > ascii, size.otherBytes >= 16, text > 0 {
            perOtherByte.add(min(2, max(1 / 64, (text - ascii) / Double(size.otherBytes))))
        }
        if size.maxAnswerTokens == nil, usage.completion > 0 {
            completion.add(Double(usage.completion / max(1, size.answers)))
        }
    }
}

/// The value that a share of the samples of late is below: found without keeping them, by steps that are
/// in balance there.
struct RunningQuantile {
    private let share: Double
    private(set) var value: Double
    private var highest = 0.0
    private var count = 0

    private static let step = 0.05
    /// Before so many samples have come, `value` is at least where it started.
    private static let fewest = 5

    init(_ share: Double, start: Double) {
        self.share = share
        value = start
    }

    mutating func add(_ sample: Double) {
        count += 1
        // Of the first ten (at a share of 0.9) the highest is the best guess.
        if Double(count) * (1 - share) <= 1.001 {
            highest = max(highest, sample)
            value = count < Self.fewest ? max(value, highest) : highest
        } else if sample > value {
            value *= 1 + Self.step * share
        } else if sample < value {
            value *= 1 - Self.step * (1 - share)
        }
    }
}
