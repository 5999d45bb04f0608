// The route of a call as its answer tells it.
import JunctionMessages
import JunctionProtobuf
import JunctionProviders
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
        view.kind = kind(of: attempt)
        view.outcome = outcome(of: attempt)
        view.durationUs = attempt.duration.microseconds
        view.httpStatus = Int32(attempt.outcome?.httpStatus ?? 200)
        if let failure = attempt.outcome { view.error = arena.text(failure.message) }
        view.timeToFirstTokenUs = attempt.timeToFirstToken?.microseconds ?? 0
        if let used = attempt.usage {
            view.usage = usageMessage(of: used, cost: target.prices.cost(of: used), in: arena)
        }
    }
    if let answered = report.answered {
        let target = target(answered.deployment, answered.overrideIndex)
        route.deploymentId = target.id
        route.provider = target.provider
        route.modelGroup = target.modelGroup
    }
    route.fallbackUsed = report.fallbackUsed
    route.queuedUs = report.queued.microseconds
    let decisions = route.setDecisions(count: report.decisions.count, in: arena)
    for (view, decision) in zip(decisions, report.decisions) {
        view.modelGroup = arena.text(decision.modelGroup)
        view.strategy = arena.text(decision.strategy.rawValue)
        let candidates = view.setCandidates(count: decision.candidates.count, in: arena)
        for (view, candidate) in zip(candidates, decision.candidates) {
            view.deploymentId = target(candidate.deployment, nil).id
            view.chosen = candidate.isChosen
            view.reason = arena.text(decision.reason(for: candidate))
        }
    }
    return route
}

/// What is known of a call that failed, for its status; nil where nothing was asked of any provider, nor to
/// be explained.
///
/// - Parameter usage: what reached the caller before a stream broke off.
func failureDetail(
    of report: RouteReport, usage: JunctionV1.Usage.View?, in arena: Arena,
    target: (Int?, Int?) -> ProviderTarget
) -> JunctionV1.FailureDetail.View? {
    if report.attempts.isEmpty, report.decisions.isEmpty, report.queued == .zero { return nil }
    let detail = JunctionV1.FailureDetail.View(in: arena)
    detail.route = routeMessage(of: report, in: arena, target: target)
    detail.usage = usage
    return detail
}

private func kind(of attempt: AttemptReport) -> JunctionV1.AttemptKind {
    switch attempt.kind {
    case .plain: .unspecified
    case .hedge: .hedge
    case .rescue: .rescue
    }
}

/// The message for tokens used, and what they cost where that is known.
func usageMessage(of used: TokenUsage, cost: Double?, in arena: Arena) -> JunctionV1.Usage.View {
    let view = usageMessage(used, in: arena)
    view.costUsd = cost
    view.estimated = used.isEstimated
    return view
}

func outcome(of attempt: AttemptReport) -> JunctionV1.AttemptOutcome {
    if attempt.wasOutrun { return .hedged }
    return switch attempt.outcome?.kind {
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
