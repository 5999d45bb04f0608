// The two places where one kind of error becomes another: what libcurl reports becomes a `Failure` of the
// attempt, and a call that no deployment could serve becomes a gRPC status. A provider's own status never
// reaches the caller as it is.
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRPC
import JunctionRouting

extension Failure {
    /// The failure of an attempt whose request got no whole answer.
    init(_ failure: HTTPFailure) {
        let kind: Kind =
            switch failure.kind {
            case .invalidEndpoint, .resolve, .connect, .tls, .reset(beforeResponse: true): .connection
            case .timeout: .timeout
            case .reset(beforeResponse: false): .streamCut
            case .protocol, .tooLarge: .malformedResponse
            }
        self.init(kind, message: failure.message)
    }
}

/// The status of a call that no deployment could serve. Its message lists every attempt.
func status(of failure: RouteFailure, target: (Int?, Int?) -> ProviderTarget) -> Status {
    var message = failure.message
    if !failure.missing.isEmpty {
        message += " Not taken: \(failure.missing.fields.joined(separator: ", "))"
    }
    for (index, attempt) in failure.attempts.enumerated() {
        let name = String(target(attempt.deployment, attempt.overrideIndex).id)
        message += index == 0 ? ". Attempts: " : "; "
        message += "\(index + 1). \(name): \(attempt.outcome?.message ?? "answered")"
    }
    // What has reached the caller was paid for: a retry that knows nothing of it would pay again.
    let pushback = failure.outcome == .streamInterrupted ? .seconds(-1) : failure.retryAfter
    return Status(code(of: failure.outcome), message, retryPushback: pushback)
}

/// The last column of the table of `RouteFailure`.
func code(of outcome: RouteFailure.Outcome) -> Status.Code {
    switch outcome {
    case .badRequest, .contextWindowExceeded, .contentPolicy, .unsupported, .noMatchingDeployment:
        .invalidArgument
    case .unauthenticated: .unauthenticated
    case .limited: .resourceExhausted
    case .unavailable, .providerAuthentication, .streamInterrupted: .unavailable
    case .deadlineExceeded: .deadlineExceeded
    case .cancelled: .cancelled
    }
}
