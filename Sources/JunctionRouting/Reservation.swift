// A call's hold on a deployment: made in the same step in which the deployment is chosen, given back once.

/// What a call holds at a deployment.
struct Hold: Sendable {
    let place: Int
    let tokens: ExpectedTokens
    /// The period of the window that it counts in.
    let period: Int
    /// Money taken from budgets.
    let spending: Spending
    /// The bucket that it counts in where limits are shared, by the usage store's clock.
    let sharedBucket: Int
    let probe: Probe
}

/// Whether an attempt finds out if its deployment answers again.
enum Probe: Sendable {
    case none
    /// After a cooldown. The deployment is closed to others meanwhile.
    case afterCooldown
    /// In spite of a cooldown.
    case inCooldown
}

/// Tokens, a request, a place in flight and money, held at one deployment. Gives itself back, unused, when it
/// is dropped without being settled.
struct Reservation: ~Copyable {
    let group: ModelGroup
    let hold: Hold
    private var isHeld = true

    init(group: ModelGroup, hold: Hold) {
        self.group = group
        self.hold = hold
    }

    var place: Int { hold.place }
    var probe: Probe { hold.probe }
    /// What is held, as if it had been used.
    var usage: TokenUsage { hold.tokens.usage }

    /// Puts what was used in the place of what was reserved, and tells the model group how it ended.
    consuming func settle(_ used: TokenUsage, of size: CallSize, end: AttemptEnd, now: Instant) {
        isHeld = false
        group.settle(hold, used: used, of: size, end: end, now: now)
    }

    deinit {
        if isHeld {
            group.settle(hold, used: TokenUsage(), of: CallSize(tokens: 0), end: .abandoned, now: .zero)
        }
    }
}

/// How an attempt ended, as far as its deployment is concerned.
enum AttemptEnd {
    /// - Parameters:
    ///   - time: to the whole answer, or for a stream to its first content; nil: not known.
    ///   - isLate: whether it was told before that its share of the call's time had lapsed.
    case answered(time: Duration?, completionTokens: Int, isStreaming: Bool, isLate: Bool)
    case failed(Failure, after: Duration)
    /// Another attempt of the call answered first, after it had been waited for so long.
    case outrun(after: Duration, isStreaming: Bool)
    /// Nobody waited for the answer.
    case abandoned
}
