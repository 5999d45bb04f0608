// What a model's tokens cost. Knows no model and no provider.

/// US dollars a token; nil where it is not known.
public struct TokenPrices: Sendable, Equatable {
    /// Of a token of the prompt.
    public var input: Double?
    /// Of a token of the answer.
    public var output: Double?
    /// Of a prompt token that the provider reads from its cache; nil: as any other.
    public var cachedInput: Double?
    /// Of a prompt token that the provider writes to its cache; nil: as any other.
    public var cacheWrite: Double?
    /// What is different for long prompts; nil: nothing.
    public var longPrompt: LongPrompt?

    /// Prompts above a length cost more, with all their tokens and those of their answers.
    public struct LongPrompt: Sendable, Equatable {
        /// The longest prompt, in tokens, that is not long.
        public var bound: Int
        /// How many times as much the prompt's tokens cost, cached ones too.
        public var inputFactor: Double
        /// How many times as much the answer's tokens cost.
        public var outputFactor: Double

        public init(bound: Int, inputFactor: Double, outputFactor: Double) {
            self.bound = bound
            self.inputFactor = inputFactor
            self.outputFactor = outputFactor
        }
    }

    public init(
        input: Double? = nil, output: Double? = nil, cachedInput: Double? = nil, cacheWrite: Double? = nil,
        longPrompt: LongPrompt? = nil
    ) {
        self.input = input
        self.output = output
        self.cachedInput = cachedInput
        self.cacheWrite = cacheWrite
        self.longPrompt = longPrompt
    }

    /// What the tokens cost, in US dollars: what the provider says, else by these prices; nil when the price
    /// of any of them is not known.
    public func cost(of usage: TokenUsage) -> Double? {
        if let cost = usage.cost { return cost }
        var sum = 0.0
        let long = longPrompt.flatMap { usage.prompt > $0.bound ? $0 : nil }
        if usage.prompt > 0 {
            guard let input else { return nil }
            let cached = min(max(usage.cached, 0), usage.prompt)
            let written = min(max(usage.cacheWritten, 0), usage.prompt - cached)
            sum = Double(usage.prompt - cached - written) * input
            sum += Double(cached) * (cachedInput ?? input) + Double(written) * (cacheWrite ?? input)
            sum *= long?.inputFactor ?? 1
        }
        if usage.completion > 0 {
            guard let output else { return nil }
            sum += Double(usage.completion) * output * (long?.outputFactor ?? 1)
        }
        return sum
    }
}
