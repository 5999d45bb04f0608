// The one place where a call that could not be answered becomes a gRPC status: the last column of the
// table in the docs of `RouteFailure`. A provider's own status never reaches the caller as it is.
import JunctionRouting
import JunctionRPC

/// The status of a call that no deployment could serve. The message lists every attempt.
func status(of failure: RouteFailure, names: [DeploymentNames]) -> Status {
    var message = failure.message
    for (index, attempt) in failure.attempts.enumerated() {
        message += index == 0 ? " Attempts: " : "; "
        message += "\(index + 1). \(names[attempt.deployment].id): \(attempt.failureDescription)"
    }
    return Status(code(of: failure.outcome), message, retryPushback: failure.retryAfter)
}
