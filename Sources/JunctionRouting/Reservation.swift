// A call's hold on a deployment: made in the same step in which the deployment is chosen, given back once.

/// Tokens, a request and a place in flight, held at one deployment. Gives itself back, unused, when it is
/// dropped without being settled.
struct Reservation: ~Copyable {
    let group: ModelGroup
    let place: Int
    let tokens: Int
    /// The number of the minute whose limits it counts against.
    let minute: Int
    /// Whether its attempt finds out if the deployment answers again after a cooldown.
    let isProbe: Bool
    private var isHeld = true

    init(group: ModelGroup, place: Int, tokens: Int, minute: Int, isProbe: Bool = false) {
        self.group = group
        self.place = place
        self.tokens = tokens
        self.minute = minute
        self.isProbe = isProbe
    }

    /// Puts what was used in the place of what was reserved, and tells the model group how it ended.
    consuming func settle(tokensUsed: Int, end: AttemptEnd, now: Instant) {
        isHeld = false
        group.settle(
            place: place, reserved: tokens, minute: minute, used: tokensUsed, isProbe: isProbe, end: end,
            now: now)
    }

    deinit {
        if isHeld {
            group.settle(
                place: place, reserved: tokens, minute: minute, used: 0, isProbe: isProbe, end: .abandoned,
                now: .zero)
        }
    }
}

/// How an attempt ended, as far as its deployment is concerned.
enum AttemptEnd {
    /// - Parameter time: to the whole answer, or for a stream to its first content; nil: not known.
    case answered(time: Duration?, completionTokens: Int, isStreaming: Bool)
    case failed(Failure, after: Duration, isStreaming: Bool)
    /// Another attempt of the call answered first, after it had been waited for so long.
    case outrun(after: Duration, isStreaming: Bool)
    /// Nobody waited for the answer.
    case abandoned
}
