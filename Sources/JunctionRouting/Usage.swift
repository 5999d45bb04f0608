// Tokens that a call used, as the provider counts them.

/// Tokens used by one attempt.
public struct TokenUsage: Sendable, Equatable {
    /// Tokens of the prompt, cached ones included.
    public var prompt: Int
    /// Tokens of the answer, reasoning included.
    public var completion: Int
    /// Prompt tokens that the provider read from its cache.
    public var cached: Int
    /// Prompt tokens that the provider wrote to its cache.
    public var cacheWritten: Int
    /// Completion tokens spent on reasoning.
    public var reasoning: Int

    /// What counts against a deployment's tokens per minute.
    public var total: Int { prompt + completion }

    public init(
        prompt: Int = 0, completion: Int = 0, cached: Int = 0, cacheWritten: Int = 0, reasoning: Int = 0
    ) {
        self.prompt = prompt
        self.completion = completion
        self.cached = cached
        self.cacheWritten = cacheWritten
        self.reasoning = reasoning
    }
}
