// The route of a call as its answer tells it.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting

/// The message for a route; `target` gives a deployment, or an override, its names.
func routeMessage(
    of report: RouteReport, in arena: Arena, target: (Int?, Int?) -> ProviderTarget
) -> JunctionV1.Route.View {
    let route = JunctionV1.Route.View(in: arena)
    let attempts = route.setAttempts(count: report.attempts.count, in: arena)
    for (view, attempt) in zip(attempts, report.attempts) {
        let target = target(attempt.deployment, attempt.overrideIndex)
        view.deploymentId = target.id
        view.modelGroup = target.modelGroup
        view.provider = target.provider
        view.kind = attempt.kind == .hedge ? .hedge : .unspecified
        view.outcome = attempt.wasOutrun ? .hedged : outcome(of: attempt.outcome)
        view.durationUs = attempt.duration.microseconds
        view.httpStatus = Int32(attempt.outcome?.httpStatus ?? 200)
        if let failure = attempt.outcome { view.error = arena.text(failure.message) }
        view.timeToFirstTokenUs = attempt.timeToFirstToken?.microseconds ?? 0
    }
    if let answered = report.answered {
        let target = target(answered.deployment, answered.overrideIndex)
        route.deploymentId = target.id
        route.provider = target.provider
        route.modelGroup = target.modelGroup
    }
    route.fallbackUsed = report.fallbackUsed
    return route
}

/// The message for tokens used.
func usageMessage(of used: TokenUsage, isEstimated: Bool, in arena: Arena) -> JunctionV1.Usage.View {
    let view = JunctionV1.Usage.View(in: arena)
    view.promptTokens = Int64(used.prompt)
    view.completionTokens = Int64(used.completion)
    view.totalTokens = Int64(used.total)
    view.cachedTokens = Int64(used.cached)
    view.cacheWriteTokens = Int64(used.cacheWritten)
    view.reasoningTokens = Int64(used.reasoning)
    view.estimated = isEstimated
    return view
}

private func outcome(of failure: Failure?) -> JunctionV1.AttemptOutcome {
    switch failure?.kind {
    case nil: .success
    case .connection: .connectionFailed
    case .timeout: .timeout
    case .rateLimited: .rateLimited
    case .quotaExhausted: .quotaExhausted
    case .overloaded: .overloaded
    case .serverError: .serverError
    case .authentication: .authenticationFailed
    case .notFound: .notFound
    case .badRequest: .badRequest
    case .contextWindowExceeded: .contextWindowExceeded
    case .contentPolicy: .contentPolicy
    case .malformedResponse: .malformedResponse
    case .streamCut: .streamCut
    case .cancelled: .cancelled
    }
}

extension Duration {
    /// Whole microseconds.
    var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
