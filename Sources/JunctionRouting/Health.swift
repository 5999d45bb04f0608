// How a deployment has done lately, and when it is left alone. Also how fast a model group answers.

/// One deployment's record.
struct Health {
    /// Attempts that ended in this minute and say something of its health.
    private var answers = 0
    private var failures = 0
    private var failuresInARow = 0
    /// Failures in this minute of the classes that have a rule of their own.
    private var failuresOfClass = InlineArray<6, Int>(repeating: 0)
    /// Why it is, or was last, cooling down.
    private(set) var cause = Failure.Kind.serverError
    /// Whether it is cooling down by our own judgement, and not since its provider said so.
    private(set) var isJudged = false
    /// Whether it was cooled down by a rule of ours and no probe has answered since.
    private(set) var isOnProbation = false
    /// The length of its last cooldown by a rule of ours; also how long one probe keeps other calls away.
    private(set) var lastCooldown = Duration.zero
    /// Until when the present probe keeps other calls away.
    private(set) var probedUntil = Instant.zero
    /// Mean seconds a completion token, of whole answers; 0: none yet.
    private(set) var secondsPerToken = 0.0
    /// Mean seconds to the first content, of streams; 0: none yet.
    private(set) var secondsToFirstContent = 0.0
    /// When the last attempt began that was to find out if it answers again.
    private var probedAt: Instant?
    /// When the last cooldown would have ended that was over sooner: what others tell of it is no news.
    private(set) var reopenedBefore = Instant.zero
    /// When the last of those began that have failed.
    private var failedSince: Instant?
    /// Tokens reserved by all calls under way, whatever minute they began in.
    var tokensOutstanding = 0
    /// Since the start.
    var tokensInTotal = 0
    var requestsInTotal = 0

    mutating func startMinute() {
        answers = 0
        failures = 0
        failuresOfClass = InlineArray(repeating: 0)
    }

    /// Mean seconds to a stream's first content, or a token of a whole answer; 0: none came yet.
    func latency(isStreaming: Bool) -> Double { isStreaming ? secondsToFirstContent : secondsPerToken }

    var latency: SharedLatency {
        SharedLatency(perToken: secondsPerToken, toFirstContent: secondsToFirstContent)
    }

    /// What all instances see of its latency: counts for half, and for all where we have seen nothing.
    mutating func hear(_ latency: SharedLatency) {
        func mean(_ own: Double, _ others: Double) -> Double {
            others == 0 ? own : own == 0 ? others : (own + others) / 2
        }
        secondsPerToken = mean(secondsPerToken, latency.perToken)
        secondsToFirstContent = mean(secondsToFirstContent, latency.toFirstContent)
    }

    /// Another instance was told by the provider to leave it alone.
    mutating func hear(_ cause: Failure.Kind) {
        self.cause = cause
        isJudged = false
    }

    /// Counts an answer. One that came late counts as the failure that it was for its call.
    mutating func answered(in time: Duration, completionTokens: Int, isStreaming: Bool, isLate: Bool) {
        if !isLate {
            answers += 1
            failuresInARow = 0
        }
        if isStreaming {
            Self.learn(time.seconds, into: &secondsToFirstContent)
        } else {
            Self.learn(time.seconds / Double(max(1, completionTokens)), into: &secondsPerToken)
        }
    }

    /// A call goes there after its cooldown to see whether it answers again. Others that have no other way
    /// may follow.
    mutating func startProbe(_ now: Instant) -> Instant {
        probedAt = now
        isJudged = true
        probedUntil = now + lastCooldown
        return probedUntil
    }

    /// A call goes there in spite of its cooldown.
    mutating func startProbeInCooldown(_ now: Instant) { probedAt = now }

    /// An attempt that began then has failed.
    mutating func failed(since start: Instant) { failedSince = max(failedSince ?? start, start) }

    /// It answers again, sooner than it was to be asked.
    mutating func reopen(before end: Instant) { reopenedBefore = max(reopenedBefore, end) }

    /// A later failure would have cooled it down for a shorter time.
    mutating func keepCause(of before: Health) { (cause, isJudged) = (before.cause, before.isJudged) }

    /// Whether what it cools down for may have been mended meanwhile, and its provider did not name a time.
    var mayBeMended: Bool { isJudged || cause == .authentication || cause == .notFound }

    /// When a call that began at `start` may go there in spite of the cooldown; nil: it is known to be of no
    /// use. One call in a while is enough to find out.
    func opensInCooldown(since start: Instant) -> Instant? {
        if !mayBeMended || failedSince.map({ $0 > start }) ?? false { return nil }
        return probedAt.map { $0 + CooldownPolicy.probeInterval } ?? .zero
    }

    /// Whether its cooldown does not keep the call away.
    func isIgnored(by request: PickRequest, _ now: Instant) -> Bool {
        request.triesSince.flatMap(opensInCooldown).map { $0 <= now } ?? false
    }

    mutating func endProbation() { isOnProbation = false }

    /// Counts a failure. How long to leave the deployment alone for it; nil: not at all.
    mutating func failed(_ failure: Failure, policy: CooldownPolicy, isLastUsable: Bool, isProbe: Bool)
        -> Duration?
    {
        if isProbe { endProbation() }
        let effect = Remedy(of: failure.kind).health
        let allowed = policy.allowed(failure.kind)
        if let allowed { failuresOfClass[allowed.place] += 1 }
        if effect == .none, allowed == nil { return nil }
        if effect == .failure, allowed == nil {
            failures += 1
            failuresInARow += 1
        }
        // The provider's word outranks ours, also on the last deployment that is left.
        if let wait = failure.retryAfter, wait > .zero,
            failure.kind == .rateLimited || failure.kind == .overloaded
        {
            return cool(for: min(wait, CooldownPolicy.longestRetryAfter), failure.kind, judged: false)
        }
        if let allowed {
            guard policy.time > .zero, !isLastUsable else { return nil }
            guard failuresOfClass[allowed.place] > allowed.count || isProbe && effect != .none else {
                return nil
            }
            return cool(by: policy, failure.kind, judged: true, isProbe: isProbe)
        }
        switch failure.kind {
        case .quotaExhausted: return cool(for: CooldownPolicy.quotaTime, failure.kind, judged: false)
        case .authentication, .notFound:
            guard policy.time > .zero else { return nil }
            return cool(by: policy, failure.kind, judged: false, isProbe: isProbe)
        default:
            guard policy.time > .zero, !isLastUsable else { return nil }
            guard
                failure.kind == .rateLimited || isProbe
                    || policy.isTooMany(failures, of: answers + failures, failuresInARow)
            else { return nil }
            return cool(by: policy, failure.kind, judged: failure.kind != .rateLimited, isProbe: isProbe)
        }
    }

    /// A cooldown by a rule of ours: twice as long as the last one when a probe has failed.
    private mutating func cool(
        by policy: CooldownPolicy, _ kind: Failure.Kind, judged: Bool, isProbe: Bool
    ) -> Duration {
        let time = isProbe ? max(policy.time, min(CooldownPolicy.longest, lastCooldown * 2)) : policy.time
        lastCooldown = isOnProbation ? max(lastCooldown, time) : time
        isOnProbation = true
        return cool(for: time, kind, judged: judged)
    }

    /// Starts afresh after a cooldown: only what happens from then on is held against the deployment.
    private mutating func cool(for time: Duration, _ kind: Failure.Kind, judged: Bool) -> Duration {
        cause = kind
        isJudged = judged
        answers = 0
        failures = 0
        failuresInARow = 0
        failuresOfClass = InlineArray(repeating: 0)
        return time
    }

    private static func learn(_ sample: Double, into mean: inout Double) {
        mean = mean == 0 ? sample : mean + (sample - mean) * 0.1
    }
}

/// When a deployment is cooled down by our own judgement.
struct CooldownPolicy: Sendable {
    /// The longest that a provider's Retry-After is believed.
    static let longestRetryAfter = Duration.seconds(120)
    /// The longest that a cooldown is made by doubling.
    static let longest = Duration.seconds(120)
    /// An account without credit does not get some by itself.
    static let quotaTime = Duration.seconds(600)
    /// Failures say nothing below this many attempts.
    static let fewestAttempts = 5
    /// How often a deployment may be asked in spite of its cooldown.
    static let probeInterval = Duration.milliseconds(100)

    let time: Duration
    let allowedFails: Int?
    let allowedByClass: [RetryClass: Int]

    init(_ deployment: Deployment, _ configuration: RouterConfiguration) {
        time = deployment.cooldownTime ?? configuration.cooldownTime
        allowedFails = configuration.allowedFails
        allowedByClass =
            configuration.modelGroupAllowedFailsPolicies[deployment.modelGroup]
            ?? configuration.allowedFailsPolicy
    }

    /// How many failures are allowed where those of this kind have a rule of their own, and the place of
    /// their class among all classes.
    func allowed(_ kind: Failure.Kind) -> (count: Int, place: Int)? {
        guard !allowedByClass.isEmpty, let retryClass = RetryClass(of: kind),
            let count = allowedByClass[retryClass],
            let place = RetryClass.allCases.firstIndex(of: retryClass)
        else { return nil }
        return (count, place)
    }

    func isTooMany(_ failures: Int, of attempts: Int, _ inARow: Int) -> Bool {
        if let allowedFails { return failures > allowedFails }
        return inARow >= Self.fewestAttempts || attempts >= Self.fewestAttempts && failures * 2 > attempts
    }
}

/// How fast a model group answers: whole answers or first contents.
struct Pace {
    /// Mean seconds of those that came; 0: none yet.
    private(set) var expected = 0.0
    private var fastestNow = Double.infinity
    private var fastestBefore = Double.infinity

    /// Seconds of the fastest in this minute and the one before; 0: not known.
    var fastest: Double {
        let fastest = min(fastestNow, fastestBefore)
        return fastest.isFinite ? fastest : 0
    }

    mutating func startMinute() {
        fastestBefore = fastestNow
        fastestNow = .infinity
    }

    mutating func answered(in seconds: Double) {
        expected = expected == 0 ? seconds : expected + (seconds - expected) * 0.1
        fastestNow = min(fastestNow, seconds)
    }
}
