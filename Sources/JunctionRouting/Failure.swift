// How one attempt failed. Whoever speaks with the provider says what happened; what it leads to is
// decided in RetryPolicy.swift alone.

/// One attempt's failure.
public struct Failure: Error, Sendable, Equatable {
    /// What happened.
    public enum Kind: Int, Sendable, CaseIterable {
        /// No connection, or it broke before any byte of an answer.
        case connection
        /// Neither the answer nor, for a stream, its first content came in the attempt's time, or the
        /// provider says that it took too long (408, 504).
        case timeout
        /// The provider limits the rate (429).
        case rateLimited
        /// The account has no credit left (402, 429 with `insufficient_quota`).
        case quotaExhausted
        /// The provider is overloaded (503, 529).
        case overloaded
        /// The provider failed (other 5xx, 409).
        case serverError
        /// The key was refused (401, 403).
        case authentication
        /// The provider does not know the model or deployment (404).
        case notFound
        /// The provider found the request wrong (400, 422).
        case badRequest
        /// The prompt is longer than the model's context window (also 413).
        case contextWindowExceeded
        /// The provider's content policy refused the request.
        case contentPolicy
        /// The answer could not be read, or was empty.
        case malformedResponse
        /// The answer ended before its end marker.
        case streamCut
        /// The caller gave up.
        case cancelled
    }

    public var kind: Kind
    /// The provider's HTTP status; 0 when none came.
    public var httpStatus: Int
    /// What went wrong, for a person to read. Holds no secret.
    public var message: String
    /// How long the provider asked to be left alone.
    public var retryAfter: Duration?

    public init(_ kind: Kind, httpStatus: Int = 0, retryAfter: Duration? = nil, message: String) {
        self.kind = kind
        self.httpStatus = httpStatus
        self.retryAfter = retryAfter
        self.message = message
    }

    /// Whether the provider itself has asked to be left alone.
    var asksForRest: Bool {
        switch kind {
        case .rateLimited, .quotaExhausted: true
        case .overloaded: retryAfter != nil
        default: false
        }
    }

    /// The same with up to a share added to the wait that the provider asked for, so that not all who were
    /// told so come back in one moment, and none too early.
    func spread(by share: Double, _ random: inout RandomSource) -> Failure {
        guard let retryAfter, share > 0 else { return self }
        var failure = self
        failure.retryAfter = retryAfter * (1 + random.fraction() * share)
        return failure
    }
}
