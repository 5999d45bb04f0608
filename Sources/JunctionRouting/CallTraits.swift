// What goes into the decisions on a call, and what comes out of them.

/// What the core needs to know of a call.
public struct CallTraits: Sendable {
    /// What the caller asked for, as `Router.modelGroup(named:)` gives it.
    public var modelGroup: Int
    /// From which follows how many tokens are reserved.
    public var size: CallSize
    /// Whether the answer comes piece by piece.
    public var isStreaming: Bool
    /// Most retries within one model group after its first attempt; nil: as configured.
    public var numRetries: Int?
    /// Deployments without any of these are not used, where tag filtering is on.
    public var tags: [String]
    /// Only deployments in one of these are used; empty: all.
    public var regions: [String] = []
    /// When the caller stops waiting; nil: it set no deadline.
    public var deadline: Instant?
    /// Not empty: these are tried, in order, in the place of the configured fallbacks.
    public var fallbacks: [FallbackTarget]
    /// Whether configured fallbacks of every kind are left out.
    public var disableFallbacks: Bool
    /// Whether a second attempt is made beside a slow one; nil: as configured.
    public var hedging: Hedging?
    /// Whether a stream that breaks off after its first content goes on at another deployment, if what is to
    /// be said then can be gone on with; nil: as configured.
    public var rescuesStream: Bool?
    /// Calls with the same one go to the same deployment if they can; nil: each goes where it does best.
    public var session: SessionKey?
    /// Place in the queue, 0 to 255; lower goes first.
    public var priority = 128
    /// How long to wait for room when every deployment of the group is at its limit; nil: as configured.
    public var queueTimeout: Duration?
    /// Whether the report tells how each deployment was chosen.
    public var explains = false

    /// What it asks for that not every deployment can give.
    public var features: Features = []

    public init(
        modelGroup: Int, estimatedTokens: Int, isStreaming: Bool, numRetries: Int? = nil, tags: [String] = [],
        deadline: Instant? = nil, fallbacks: [FallbackTarget] = [], disableFallbacks: Bool = false
    ) {
        self.modelGroup = modelGroup
        size = CallSize(tokens: estimatedTokens)
        self.isStreaming = isStreaming
        self.numRetries = numRetries
        self.tags = tags
        self.deadline = deadline
        self.fallbacks = fallbacks
        self.disableFallbacks = disableFallbacks
    }
}

/// A second attempt beside one that is slow: whichever answers first is used.
public struct Hedging: Sendable, Equatable {
    public var isEnabled: Bool
    /// How long the first attempt is waited for, to the whole answer or a stream's first content. nil: as
    /// long as all but one in twenty of its model group's attempts take, once that is known.
    public var delay: Duration?

    public init(isEnabled: Bool, delay: Duration? = nil) {
        self.isEnabled = isEnabled
        self.delay = delay
    }
}

/// What to do next.
public enum Action: Sendable {
    /// Start this attempt, beside the one under way if there is one; then tell `finished`, `failed` or
    /// `cancelled`.
    case attempt(Attempt)
    /// End this attempt, and tell `outrun`, which says what else there is to end: another answered first.
    case abandon(attempt: Int)
    /// Ask the usage store; then tell `reserved`, also when the call is over by then.
    case reserve(SharedAsk)
    /// Call `timerFired` then, or `woken` when the route's `wake` was called before, or `cancelled`.
    case wait(until: Instant)
    /// Tell the caller; the call is over.
    case reply(RouteFailure)
    /// Nothing: the call is over, or the event came too late to matter, or another attempt is under way.
    case none
}

/// One attempt to make.
public struct Attempt: Sendable, Equatable {
    /// By this the call's events name it: its index in the report's attempts.
    public var number: Int
    public var kind: AttemptKind
    public var target: AttemptTarget
    /// If neither the whole answer nor a stream's first content has come after so long, and `timeout` is
    /// longer, call `lapsed`: the call goes on at another deployment, and this attempt beside it.
    public var patience: Duration
    /// Fail it with `timeout` when that takes longer.
    public var timeout: Duration
    /// If neither has come after so long, call `hedgeTimerFired`; nil: do not.
    public var hedgeAfter: Duration?

    /// The configured deployment, if there is one.
    public var deployment: Int? { target.deployment }
    /// The override's index, if it is one.
    public var overrideIndex: Int? { target.overrideIndex }
}

/// Why an attempt is made.
public enum AttemptKind: Sendable {
    /// As the call's first, or in the place of one that failed.
    case plain
    /// Beside one that is slow.
    case hedge
    /// To go on with a stream that broke off.
    case rescue
}
