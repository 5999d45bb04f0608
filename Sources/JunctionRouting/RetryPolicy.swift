// What each failure leads to: the whole table, in one place. Also how long to wait before the same
// deployment is asked again.

/// Whether the deployment that failed may be asked again for the same call.
enum SameDeployment: Sendable {
    case never
    /// Once, at once: its connection may have been an old one.
    case onceAtOnce
    case afterBackOff
    /// Only when no other deployment and no fallback is left.
    case whenNothingElse
}

/// Whether other deployments of the same model group may be asked.
enum OtherDeployments: Sendable { case no, yes, largerWindow }

/// What a failure says of its deployment.
enum HealthEffect: Sendable {
    /// Nothing: it is the request's fault, or the caller's.
    case none
    /// One failure: too many cool it down.
    case failure
    /// It is of no use for a while.
    case coolsDown
}

/// What one failure leads to.
struct Remedy: Sendable {
    var same: SameDeployment
    var others: OtherDeployments
    /// Which fallbacks are tried when the model group has no way left; nil: none, the call ends.
    var fallback: FallbackKind?
    var health: HealthEffect
    /// What the caller is told when nothing else helps.
    var outcome: RouteFailure.Outcome

    private init(
        _ same: SameDeployment, _ others: OtherDeployments, _ fallback: FallbackKind?, _ health: HealthEffect,
        _ outcome: RouteFailure.Outcome
    ) {
        (self.same, self.others, self.fallback, self.health, self.outcome) = (
            same, others, fallback, health, outcome
        )
    }

    /// - Parameter httpStatus: what the provider answered; 0: nothing.
    init(of kind: Failure.Kind, httpStatus: Int = 0, usesCallersKey: Bool = false) {
        self =
            switch kind {
            case .connection: Remedy(.onceAtOnce, .yes, .general, .failure, .unavailable)
            case .serverError: Remedy(.afterBackOff, .yes, .general, .failure, .unavailable)
            case .overloaded: Remedy(.afterBackOff, .yes, .general, .failure, .unavailable)
            case .rateLimited: Remedy(.whenNothingElse, .yes, .general, .coolsDown, .limited)
            case .quotaExhausted: Remedy(.never, .yes, .general, .coolsDown, .limited)
            case .authentication where usesCallersKey: Remedy(.never, .no, .general, .none, .unauthenticated)
            case .authentication: Remedy(.never, .yes, .general, .coolsDown, .providerAuthentication)
            case .notFound: Remedy(.never, .yes, .general, .coolsDown, .unavailable)
            case .badRequest: Remedy(.never, .no, nil, .none, .badRequest)
            case .contextWindowExceeded:
                Remedy(.never, .largerWindow, .contextWindow, .none, .contextWindowExceeded)
            case .contentPolicy: Remedy(.never, .no, .contentPolicy, .none, .contentPolicy)
            case .malformedResponse: Remedy(.whenNothingElse, .yes, .general, .failure, .unavailable)
            case .streamCut: Remedy(.whenNothingElse, .yes, .general, .failure, .unavailable)
            case .timeout where httpStatus > 0:
                // It was the provider that gave up, before the attempt's time was over.
                Remedy(.afterBackOff, .yes, .general, .failure, .unavailable)
            case .timeout: Remedy(.never, .yes, .general, .failure, .unavailable)
            case .cancelled: Remedy(.never, .no, nil, .none, .cancelled)
            }
    }
}

/// Failures whose number of retries can be set on its own (`retry_policy`). Raw values are LiteLLM's names
/// of errors. A kind of failure that belongs to none of them is retried as `num_retries` says.
public enum RetryClass: String, Sendable, CaseIterable {
    case badRequest = "BadRequestError"
    case authentication = "AuthenticationError"
    case timeout = "TimeoutError"
    case rateLimit = "RateLimitError"
    case contentPolicy = "ContentPolicyViolationError"
    /// All that is the provider's own fault, a broken connection among it.
    case internalServer = "InternalServerError"

    /// The class of a kind of failure; nil: it has none.
    init?(of kind: Failure.Kind) {
        switch kind {
        case .badRequest: self = .badRequest
        case .authentication: self = .authentication
        case .timeout: self = .timeout
        case .rateLimited, .quotaExhausted: self = .rateLimit
        case .contentPolicy: self = .contentPolicy
        case .connection, .overloaded, .serverError, .malformedResponse, .streamCut: self = .internalServer
        case .notFound, .contextWindowExceeded, .cancelled: return nil
        }
    }
}

/// The wait before the same deployment is asked again: a random time up to a bound that doubles ("full
/// jitter"). Going to another deployment takes no wait.
enum BackOff {
    static let base = Duration.milliseconds(50)
    static let cap = Duration.seconds(2)

    /// - Parameter round: how many back-offs went before, in the same model group and call.
    static func delay(round: Int, random: inout RandomSource) -> Duration {
        let bound = round < 6 ? min(cap, base * (1 << round)) : cap
        return bound * random.fraction()
    }
}

/// Retries after a first attempt when nobody set a number.
let retriesByDefault = 2
