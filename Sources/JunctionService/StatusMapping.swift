// The two places where one kind of error becomes another: what libcurl reports becomes a `Failure` of the
// attempt, and a call that no deployment could serve becomes a gRPC status. A provider's own status never
// reaches the caller as it is.
import JunctionMessages
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
///
/// - Parameter detail: what is known of the call; left out where it is too long for trailers.
func status(
    of failure: RouteFailure, detail: JunctionV1.FailureDetail.View?, in arena: Arena,
    target: (Int?, Int?) -> ProviderTarget
) -> Status {
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
    var status = Status(code(of: failure.outcome), message, retryPushback: pushback)
    status.details.append(.errorInfo(reason: reason(of: failure.outcome), domain: "junction"))
    if let detail { status.details.append(detail.shortened(in: arena)) }
    return status
}

/// The reason that `google.rpc.ErrorInfo` gives, for programs to look at.
private func reason(of outcome: RouteFailure.Outcome) -> String {
    switch outcome {
    case .badRequest: "BAD_REQUEST"
    case .contextWindowExceeded: "CONTEXT_WINDOW_EXCEEDED"
    case .contentPolicy: "CONTENT_POLICY"
    case .noMatchingDeployment: "NO_MATCHING_DEPLOYMENT"
    case .unsupported: "UNSUPPORTED"
    case .unauthenticated: "KEY_REFUSED"
    case .limited: "LIMITED"
    case .unavailable: "UNAVAILABLE"
    case .providerAuthentication: "PROVIDER_AUTH"
    case .streamInterrupted: "STREAM_INTERRUPTED"
    case .deadlineExceeded: "DEADLINE_EXCEEDED"
    case .cancelled: "CANCELLED"
    }
}

extension JunctionV1.FailureDetail.View {
    /// Bytes that fit into trailers beside the message: clients take 8 KiB in all, and a detail grows by a
    /// third in base64.
    private static var bytesMax: Int { 3 << 10 }

    /// The detail of a status, without what makes it too long: first the decisions, then the errors' texts.
    fileprivate func shortened(in arena: Arena) -> Status.Detail {
        if encodedSize > Self.bytesMax { _ = route?.setDecisions(count: 0, in: arena) }
        if encodedSize > Self.bytesMax, let attempts = route?.attempts {
            for attempt in attempts { attempt.error = arena.text("") }
        }
        return Status.Detail(
            type: JunctionV1.FailureDetail.fullName, value: encodedSize > Self.bytesMax ? [] : encoded())
    }
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
