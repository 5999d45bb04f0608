// What a call went through: its attempts, and the one failure that its caller is told of.

/// What an attempt calls.
public enum AttemptTarget: Sendable, Equatable {
    /// A configured deployment, by its index.
    case deployment(Int)
    /// The override with this index of the call's `FallbackTarget`s, and the configured deployment that it
    /// is made from, if there is one.
    case override(index: Int, deployment: Int?)

    /// The configured deployment, if there is one.
    public var deployment: Int? {
        switch self {
        case .deployment(let index): index
        case .override(_, let index): index
        }
    }

    /// The override's index, if it is one.
    public var overrideIndex: Int? {
        if case .override(let index, _) = self { index } else { nil }
    }
}

/// One attempt of a call.
public struct AttemptReport: Sendable, Equatable {
    public var target: AttemptTarget
    public var kind = AttemptKind.plain
    /// The model group, as `Router.modelGroup(named:)` gives it for the group's name.
    public var modelGroup: Int
    /// How it failed; nil: it answered, or is under way.
    public var outcome: Failure?
    public var startedAt: Instant
    /// From its start to its end; zero while it is under way.
    public var duration = Duration.zero
    /// From its start to the first content that reached the caller; nil: none came, or it was no stream.
    public var timeToFirstToken: Duration?
    /// What it used, as far as is known.
    public var usage: TokenUsage?
    /// Whether it was ended since another attempt of the call answered first.
    public var wasOutrun = false
    /// Which of the call's targets it belongs to: 0 is the asked model group.
    var visit: Int
    /// The deployment's place in its model group; 0 for an override with the caller's own key.
    var place: Int

    /// The configured deployment, if there is one.
    public var deployment: Int? { target.deployment }
    /// The override's index, if it is one.
    public var overrideIndex: Int? { target.overrideIndex }

    /// What went wrong, for a person to read; empty when nothing did. Holds no secret.
    public var failureDescription: String { outcome?.message ?? "" }

    /// Whether it was made for a fallback and not for the asked model group.
    public var isFallback: Bool { visit > 0 }
}

/// The attempts of a call, first to last. The first is held in place, so that a call that needs no second
/// allocates nothing.
public struct AttemptList: RandomAccessCollection, Sendable, Equatable {
    private var first: AttemptReport?
    private var others: [AttemptReport] = []
    public private(set) var count = 0

    public var startIndex: Int { 0 }
    public var endIndex: Int { count }

    public subscript(position: Int) -> AttemptReport {
        precondition(position < count, "no such attempt")
        if position == 0, let first { return first }
        return others[position - 1]
    }

    mutating func with<Result>(_ position: Int, _ change: (inout AttemptReport) -> Result) -> Result {
        position == 0 ? change(&first!) : change(&others[position - 1])
    }

    mutating func append(_ attempt: AttemptReport) {
        if count == 0 { first = attempt } else { others.append(attempt) }
        count += 1
    }
}

/// How a call was routed, so far or in the end.
public struct RouteReport: Sendable {
    /// Every attempt, in the order they were started.
    public var attempts: AttemptList
    /// Whether the attempt that answered, or else the last, was made for a fallback.
    public var fallbackUsed: Bool { (answered ?? attempts.last)?.isFallback ?? false }
    /// The attempt that answered; nil: none has.
    public var answered: AttemptReport?
    /// How long the call waited in a queue.
    public var queued = Duration.zero
    /// How each deployment was chosen; empty where the call does not ask to explain.
    public var decisions: [Decision] = []
}

/// Why a call could not be answered.
///
/// | outcome | what happened | gRPC status |
/// |---|---|---|
/// | `badRequest` | a provider found the request wrong | INVALID_ARGUMENT |
/// | `contextWindowExceeded` | the prompt is too long, for every target that may take it | INVALID_ARGUMENT |
/// | `contentPolicy` | a provider's content policy refused | INVALID_ARGUMENT |
/// | `unsupported` | no deployment takes all that the call asks for | INVALID_ARGUMENT |
/// | `noMatchingDeployment` | no deployment carries a tag of the call | INVALID_ARGUMENT |
/// | `unauthenticated` | the caller's own key was refused | UNAUTHENTICATED |
/// | `limited` | every deployment is at its limit, ours or its provider's | RESOURCE_EXHAUSTED |
/// | `unavailable` | every deployment failed or is cooling down | UNAVAILABLE |
/// | `providerAuthentication` | the same, the last since a configured key was refused | UNAVAILABLE |
/// | `streamInterrupted` | it failed after the first content had reached the caller | UNAVAILABLE |
/// | `deadlineExceeded` | the caller's deadline passed | DEADLINE_EXCEEDED |
/// | `cancelled` | the caller gave up | CANCELLED |
///
/// `retryAfter` is known for `limited` and `unavailable` only: after an interrupted stream, a call made again
/// is charged again.
///
/// When several attempts failed in different ways the last decides; but a limit met after a failure does
/// not hide the failure.
public struct RouteFailure: Error, Sendable, Equatable {
    public enum Outcome: Sendable, CaseIterable {
        case badRequest, contextWindowExceeded, contentPolicy, unsupported, noMatchingDeployment
        case unauthenticated, limited
        case unavailable, providerAuthentication, streamInterrupted, deadlineExceeded, cancelled
    }

    public var outcome: Outcome
    /// One sentence for a person. Holds no secret; does not list the attempts.
    public var message: String
    /// Every attempt, in the order they were started.
    public var attempts: [AttemptReport]
    /// After what time another call has a chance; nil: not known, or none.
    public var retryAfter: Duration?
    /// For `unsupported`: what the deployments cannot give.
    public var missing: Features

    public init(
        outcome: Outcome, message: String, attempts: [AttemptReport] = [], retryAfter: Duration? = nil,
        missing: Features = []
    ) {
        self.missing = missing
        self.outcome = outcome
        self.message = message
        self.attempts = attempts
        self.retryAfter = retryAfter
    }
}

extension RouteFailure.Outcome {
    /// One sentence on the call, with the cause as the last attempt named it.
    func message(modelGroup: String, cause: String, retryAfter: Duration?) -> String {
        let because = cause.isEmpty ? "" : ": \(cause)"
        switch self {
        case .badRequest: return "The provider refused the request\(because)."
        case .contextWindowExceeded: return "The prompt is too long for \(modelGroup)\(because)."
        case .contentPolicy: return "The provider's content policy refused the request\(because)."
        case .unsupported: return "No deployment of \(modelGroup) takes all that the call asks for."
        case .noMatchingDeployment: return "No deployment of \(modelGroup) carries a tag of the call."
        case .unauthenticated: return "The key that the call brought was refused\(because)."
        case .limited:
            let frees = retryAfter.map { "; one frees in \($0.rounded) s" } ?? ""
            return "Every deployment of \(modelGroup) is at its limit\(frees)\(because)."
        case .unavailable: return "No deployment of \(modelGroup) could answer\(because)."
        case .providerAuthentication:
            return "No deployment of \(modelGroup) could answer; a configured key was refused."
        case .streamInterrupted: return "The stream broke off after its first content\(because)."
        case .deadlineExceeded: return "The deadline passed before \(modelGroup) answered."
        case .cancelled: return "The caller gave up."
        }
    }
}

extension Duration {
    /// Seconds, rounded up to tenths.
    fileprivate var rounded: Double { (seconds * 10).rounded(.up) / 10 }
}
