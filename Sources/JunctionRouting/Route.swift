// The life of one call, as decisions: it is told what happened and answers what to do next. Knows no
// clock, no chance and no effect of its own; what a failure leads to stands in RetryPolicy.swift.

/// The state machine of one call. Dropped before its end it gives back what it reserved.
public struct Route: ~Copyable {
    private enum Phase { case idle, asking, attempting, backingOff, awaitingReturn, queued, over }

    /// What the usage store is asked, and how to go on when it has no room.
    private struct Question {
        enum Sequel {
            case proceed, moveOn
            case lastResort, queue, nothing
        }

        var number: Int
        var visit: Int
        var choice: Choice
        var only: Int?
        var sequel: Sequel
    }

    private let router: Router
    private let call: CallTraits
    private let startedAt: Instant
    private let deadline: Instant
    private let hedging: Hedging
    private var phase = Phase.idle
    /// Which target is being tried: 0 is the asked model group, n is `plan[n - 1]`.
    private var visit = 0
    /// The furthest target tried so far.
    private var frontier = 0
    private var plan: [Target] = []
    private var attempts = AttemptList()
    /// The attempts under way and what they hold. A second one is made beside a first that is slow.
    private var first = Flight()
    private var second = Flight()
    /// Those whose share of the time has lapsed. The call goes on as if they had failed, and they beside it.
    private var late: [LateFlight] = []
    private var hasHedged = false
    /// The attempt whose content has reached the caller.
    private var committed: Int?
    private var answered: Int?
    /// The attempt whose stream broke off and is to be gone on with.
    private var broken: Int?
    private var queuePlace: QueuePlace?
    /// How long it has waited in queues, and when it does no more.
    private var queued = Duration.zero
    private var queueUntil: Instant?
    private var decisions: [Decision] = []
    /// Called, from any thread, when a call that waits in a queue should be told `woken`. nil: it cannot be
    /// woken, and so does not wait in queues.
    public var wake: (@Sendable () -> Void)?
    private var question: Question?
    private var questions = 0
    private var sequel = Question.Sequel.proceed
    private var backOffs = 0
    /// What the caller will be told if nothing else helps.
    private var outcome: RouteFailure.Outcome?
    /// What no deployment of the last target without an open one can give.
    private var missing: Features = []
    /// When another call has a chance, as far as is known.
    private var chanceAt: Instant?
    /// Whether the call is larger than what any deployment of its last target takes in a minute.
    private var isTooLarge = false
    /// Tokens that it was expected to use there.
    private var tokens = 0
    /// Whether it failed there for want of money.
    private var isBudgetSpent = false

    public init(router: Router, call: CallTraits, now: Instant) {
        self.router = router
        self.call = call
        startedAt = now
        deadline = call.deadline ?? now + router.configuration.defaultDeadline
        hedging = call.hedging ?? router.configuration.hedging
    }

    // MARK: What happens

    /// Begins the call.
    public mutating func start(now: Instant, random: inout RandomSource) -> Action {
        precondition(phase == .idle, "a route starts once")
        return proceed(now, &random)
    }

    /// An attempt failed.
    ///
    /// - Parameter usage: what it used, as far as is known. nil: nothing, or, when content had reached the
    ///   caller, what was reserved.
    /// - Parameter canGoOn: whether what has reached the caller is the beginning of a text, so that another
    ///   deployment could go on with it.
    public mutating func failed(
        _ failure: Failure, attempt: Int, usage: TokenUsage? = nil, canGoOn: Bool = false, now: Instant,
        random: inout RandomSource
    ) -> Action {
        guard isUnderWay(attempt) else { return .none }
        let isLate = isLate(attempt)
        let (time, _) = endAttempt(attempt, failure, usage, now)
        let spread = failure.spread(by: router.configuration.retryAfterSpread, &random)
        // That it failed was told when its share of the time lapsed.
        let isKnown = isLate && !failure.asksForRest && Remedy(of: failure.kind).health != .coolsDown
        settle(attempt, usage, isKnown ? .abandoned : .failed(spread, after: time), now)
        if let wait = failure.retryAfter, wait > .zero { noteChance(at: now + wait) }
        // Another one may answer yet, or the call waits for one.
        let isAwaited = committed == attempt || !isLate || phase == .awaitingReturn && late.isEmpty
        if first.attempt != nil || !isAwaited { return .none }
        dropHedgeQuestion()
        visit = attempts[attempt].visit
        if failure.kind == .cancelled { return reply(.cancelled, failure.message, now) }
        if committed != nil {
            guard canGoOn, broken == nil, router.rescues(call),
                remedy(failure).others == .yes
            else { return reply(.streamInterrupted, failure.message, now) }
            (broken, committed) = (committed, nil)
        }
        let remedy = remedy(failure)
        note(remedy.outcome)
        if remedy.fallback == nil, remedy.others == .no {
            return reply(remedy.outcome, failure.message, now)
        }
        if isLate {
            planFallbacks()
            visit = frontier
        }
        return proceed(now, &random)
    }

    /// The first content of an attempt reached the caller: from now on it is the only one.
    @discardableResult
    public mutating func committed(attempt: Int, now: Instant) -> Action {
        guard isUnderWay(attempt), committed == nil else { return .none }
        committed = attempt
        phase = .attempting
        leaveQueue(now)
        if probe(attempt) != .none, !isLate(attempt) {
            router.groups[attempts[attempt].modelGroup].probeAnswered(attempts[attempt].place, now: now)
        }
        attempts.with(attempt) { $0.timeToFirstToken = now - $0.startedAt }
        return abandonOther(than: attempt)
    }

    /// The attempt's share of the call's time is over without an answer: the call goes on as if it had
    /// failed. It stays under way, and if it answers first after all, that counts.
    public mutating func lapsed(attempt: Int, now: Instant, random: inout RandomSource) -> Action {
        let isFirst = first.attempt == attempt
        guard isFirst || second.attempt == attempt, committed == nil else { return .none }
        let failure = Failure(.timeout, message: "no answer in time")
        let report = attempts.with(attempt) { report in
            report.outcome = failure
            return report
        }
        late.append(LateFlight(isFirst ? first.take() : second.take()))
        if isFirst { swap(&first, &second) }
        if late.last!.isHeld {
            router.groups[report.modelGroup].lapsed(
                report.place, late.last!.flight.probe, failure, after: now - report.startedAt, now: now)
        }
        if first.attempt != nil { return .none }
        dropHedgeQuestion()
        visit = report.visit
        note(remedy(failure).outcome)
        return proceed(now, &random)
    }

    /// An attempt answered: the call is over, but for one that has lost to it.
    @discardableResult
    public mutating func finished(attempt: Int, usage: TokenUsage, now: Instant) -> Action {
        guard isUnderWay(attempt) else { return .none }
        answered = attempt
        let isLate = isLate(attempt)
        let (whole, first) = endAttempt(attempt, nil, usage, now)
        let end = AttemptEnd.answered(
            time: call.isStreaming ? first : whole, completionTokens: usage.completion,
            isStreaming: call.isStreaming, isLate: isLate)
        settle(attempt, usage, end, now)
        leaveQueue(now)
        phase = .over
        return abandonOther(than: attempt)
    }

    /// An attempt was ended since another answered first.
    ///
    /// - Parameter usage: what it used, as far as is known. Providers bill the prompt of a request that they
    ///   have begun, and what they wrote before they saw that nobody listens; so nil is not nothing here, but
    ///   all that was reserved.
    @discardableResult
    public mutating func outrun(attempt: Int, usage: TokenUsage?, now: Instant) -> Action {
        guard isUnderWay(attempt) else { return .none }
        let isLate = isLate(attempt)
        let failure = Failure(.cancelled, message: "another attempt answered first")
        let (time, _) = endAttempt(attempt, isLate ? attempts[attempt].outcome : failure, usage, now)
        attempts.with(attempt) { $0.wasOutrun = !isLate }
        settle(attempt, usage, .outrun(after: time, isStreaming: call.isStreaming), now, unknown: .all)
        return (answered ?? committed).map { abandonOther(than: $0) } ?? .none
    }

    /// The attempt has not answered in the time after which a second one is made beside it.
    public mutating func hedgeTimerFired(
        attempt: Int, now: Instant, random: inout RandomSource
    ) -> Action {
        guard first.attempt == attempt, second.attempt == nil, !hasHedged, committed == nil, now < deadline
        else { return .none }
        visit = attempts[attempt].visit
        sequel = .nothing
        return self.attempt(.besides, now, &random) ?? .none
    }

    /// The attempt that another one was to be made beside is over, or has lapsed.
    private mutating func dropHedgeQuestion() {
        if question?.choice == .besides { question = nil }
    }

    /// The usage store has answered what `reserve` asked.
    public mutating func reserved(
        _ ask: SharedAsk, _ answer: StoreAnswer<SharedReply>, now: Instant, random: inout RandomSource
    ) -> Action {
        let group = router.groups[ask.modelGroup]
        let asked = question?.number == ask.number ? question : nil
        if asked != nil { question = nil }
        switch answer {
        case .content(.full(let time)): group.close(ask, for: time, now: now)
        case .unknownMember, .unavailable: _ = group.part(answersReport: false, now: now)
        case .content(.granted(let grant)):
            // A second attempt has no use any more when the first is over or has begun to answer.
            let isWanted =
                asked?.choice == .besides
                ? first.attempt != nil && second.attempt == nil && committed == nil : phase == .asking
            guard let asked, isWanted, now < deadline, let booking = book(asked, ask, grant, now) else {
                group.giveBack(grant, of: ask)
                break
            }
            return begin(booking, now)
        }
        guard let asked, phase == .asking else { return .none }
        if case .nothing = asked.sequel { return .none }
        visit = asked.visit
        if now >= deadline { return replyAtLast(now) }
        switch asked.sequel {
        case .proceed: return proceed(now, &random)
        case .moveOn: return attempt(asked.choice, now, &random) ?? moveOn(now, &random)
        case .lastResort: return lastResort(now, &random)
        case .queue: return tryQueued(now, &random)
        case .nothing: return .none
        }
    }

    /// The moment that `wait` named has come.
    public mutating func timerFired(now: Instant, random: inout RandomSource) -> Action {
        switch phase {
        case .idle, .asking, .attempting, .over: return .none
        case _ where now >= deadline:
            leaveQueue(now)
            return replyAtLast(now)
        case .backingOff:
            sequel = .moveOn
            return attempt(.again, now, &random) ?? moveOn(now, &random)
        case .awaitingReturn: return lastResort(now, &random)
        case .queued: return tryQueued(now, &random)
        }
    }

    /// The call waits in a queue, and its turn may have come.
    public mutating func woken(now: Instant, random: inout RandomSource) -> Action {
        phase == .queued ? timerFired(now: now, random: &random) : .none
    }

    /// The caller left.
    ///
    /// - Parameter usage: what an attempt under way used, by its number, as `failed` takes it.
    public mutating func cancelled(now: Instant, usage: (Int) -> TokenUsage?) {
        while let attempt = underWay {
            let used = usage(attempt)
            _ = endAttempt(attempt, Failure(.cancelled, message: "the caller gave up"), used, now)
            settle(attempt, used, .abandoned, now)
        }
        leaveQueue(now)
        phase = .over
    }

    /// How the call went so far.
    public var report: RouteReport {
        RouteReport(
            attempts: attempts, answered: answered.map { attempts[$0] }, queued: queued, decisions: decisions)
    }

    // MARK: What to do next

    /// Tries this target, then the next ones, then what is left when all of them are used up.
    private mutating func proceed(_ now: Instant, _ random: inout RandomSource) -> Action {
        if now >= deadline { return replyAtLast(now) }
        sequel = .proceed
        return attempt(.elsewhere, now, &random) ?? attemptAgain(now, &random) ?? moveOn(now, &random)
    }

    /// Asks a deployment again that failed in a way that may pass.
    private mutating func attemptAgain(_ now: Instant, _ random: inout RandomSource) -> Action? {
        guard let last = here.last, let failure = attempts[last].outcome, isOpen(.again, now) else {
            return nil
        }
        if remedy(failure).same == .onceAtOnce, mayPass(last) {
            return attempt(.again, only: attempts[last].place, now, &random)
        }
        let delay = BackOff.delay(round: backOffs, random: &random)
        guard now + delay < deadline else { return nil }
        backOffs += 1
        phase = .backingOff
        return .wait(until: now + delay)
    }

    /// Leaves this target for the next.
    private mutating func moveOn(_ now: Instant, _ random: inout RandomSource) -> Action {
        if let failure = lastFailureHere, remedy(failure).fallback == nil {
            return reply(remedy(failure).outcome, failure.message, now)
        }
        noteShortage(now)
        planFallbacks()
        guard frontier < plan.count else { return lastResort(now, &random) }
        frontier += 1
        visit = frontier
        backOffs = 0
        return proceed(now, &random)
    }

    /// Every target was tried. What is left: a deployment that has become free since; one that cools down
    /// though it may be mended, of which nobody has found out since the call began; and to wait for one of
    /// those, or for the first that returns from its cooldown in time.
    private mutating func lastResort(_ now: Instant, _ random: inout RandomSource) -> Action {
        sequel = .lastResort
        for choice in [Choice.elsewhere, .whenReturned, .inSpite] {
            if let action = attemptAnywhere(choice, now, &random) { return action }
        }
        if let action = enterQueue(now) { return action }
        // A late attempt may take all of the time; meanwhile anything may open.
        var first = late.isEmpty ? deadline : min(deadline, now + .seconds(1))
        for target in 0...frontier {
            visit = target
            first = min(first, returnsAt(now, &random) ?? deadline)
        }
        if first == deadline, late.isEmpty { return replyAtLast(now) }
        phase = .awaitingReturn
        return .wait(until: min(deadline, max(first, now + .milliseconds(10))))
    }

    private mutating func attemptAnywhere(
        _ choice: Choice, _ now: Instant, _ random: inout RandomSource
    ) -> Action? {
        for target in 0...frontier {
            visit = target
            if let action = attempt(choice, now, &random) { return action }
        }
        return nil
    }

    // MARK: Waiting for room

    /// Waits in the asked model group's queue when that may help.
    private mutating func enterQueue(_ now: Instant) -> Action? {
        guard let wake else { return nil }
        let configuration = router.configuration
        let until = queueUntil ?? min(now + (call.queueTimeout ?? configuration.queueTimeout), deadline)
        visit = 0
        guard until > now, let request = request(.elsewhere, now) else { return nil }
        queueUntil = until
        queuePlace = router.groups[target(visit).modelGroup].enterQueue(
            request, size: configuration.queueSize, until: until, now: now, wake: wake)
        guard let wait = queuePlace?.wait(now: now) else {
            leaveQueue(now)
            return nil
        }
        phase = .queued
        return .wait(until: wait)
    }

    private mutating func tryQueued(_ now: Instant, _ random: inout RandomSource) -> Action {
        visit = 0
        sequel = .queue
        return attempt(.elsewhere, now, &random) ?? stayInQueue(now, &random)
    }

    private mutating func stayInQueue(_ now: Instant, _ random: inout RandomSource) -> Action {
        if let wait = queuePlace?.wait(now: now) {
            phase = .queued
            return .wait(until: wait)
        }
        leaveQueue(now)
        queueUntil = now
        return lastResort(now, &random)
    }

    private mutating func leaveQueue(_ now: Instant) {
        guard let place = queuePlace.take() else { return }
        queued += now - place.since
    }

    // MARK: Starting and ending an attempt

    /// Which deployments of a target come into question.
    private enum Choice {
        /// Those that the call has not tried.
        case elsewhere
        /// These, and those that failed in a way that may pass soon.
        case again
        /// The untried, and those that said, or for which it is known, when to come back.
        case whenReturned
        /// The untried, also those that cool down though they may be mended.
        case inSpite
        /// The untried with much of their limits left, for an attempt beside the one under way.
        case besides
    }

    /// A deployment that was chosen for an attempt, and what is reserved there.
    private struct Booking: ~Copyable {
        var target: AttemptTarget
        var kind: AttemptKind
        var place = 0
        var patience: Duration
        var timeout: Duration
        var hedgeAfter: Duration?
        var probe = Probe.none
        var reservation: Reservation?
    }

    /// Reserves at a deployment of the present target and starts an attempt there; nil: none is open.
    private mutating func attempt(
        _ choice: Choice, only: Int? = nil, _ now: Instant, _ random: inout RandomSource
    ) -> Action? {
        var ask: SharedAsk?
        if let booking = book(choice, only: only, now, &random, &ask) { return begin(booking, now) }
        guard var ask else { return nil }
        questions += 1
        ask.number = questions
        ask.modelGroup = target(visit).modelGroup
        question = Question(number: questions, visit: visit, choice: choice, only: only, sequel: sequel)
        if choice != .besides { phase = .asking }
        return .reserve(ask)
    }

    private mutating func book(
        _ choice: Choice, only: Int?, _ now: Instant, _ random: inout RandomSource, _ ask: inout SharedAsk?
    ) -> Booking? {
        guard var request = request(choice, now), request.timeLeft > .zero else { return nil }
        let target = target(visit)
        if case .callersOverride(let index, _, let deployment) = target {
            let isOpen = request.excluded.isEmpty && choice != .besides && broken == nil
            if !isOpen || choice == .whenReturned && now < callersReturnsAt(now) ?? now { return nil }
            let timeout = timeout(deployment, request.timeLeft)
            return Booking(
                target: .override(index: index, deployment: deployment), kind: kind(choice),
                patience: patience(timeout, request.timeLeft, others: 0, expected: 0),
                timeout: timeout)
        }
        request.only = only ?? request.only
        let group = router.groups[target.modelGroup]
        guard let pick = reserve(request, at: group, now, &random, &ask) else { return nil }
        return booking(consume pick, choice, request)
    }

    /// The same, by what the usage store has granted.
    private mutating func book(
        _ question: Question, _ ask: SharedAsk, _ grant: SharedGrant, _ now: Instant
    ) -> Booking? {
        visit = question.visit
        guard var request = request(question.choice, now), request.timeLeft > .zero else { return nil }
        request.only = question.only ?? request.only
        let pick = router.groups[ask.modelGroup].take(grant, of: ask, for: request, now: now)
        return booking(consume pick, question.choice, request)
    }

    private func booking(_ pick: consuming Pick, _ choice: Choice, _ request: PickRequest) -> Booking {
        let target = target(visit)
        let group = router.groups[target.modelGroup]
        let place = pick.reservation.place
        let deployment = group.terms[place].deployment
        var what = AttemptTarget.deployment(deployment)
        if case .configuredOverride(let index, _, _) = target {
            what = .override(index: index, deployment: deployment)
        }
        let timeout = timeout(deployment, request.timeLeft)
        let patience = patience(
            timeout, request.timeLeft, others: group.countOthers(than: place, for: request),
            expected: pick.expectedSeconds)
        let hedgeAfter = request.learnsSlowness ? hedging.delay ?? pick.slowAfter : nil
        let probe = pick.reservation.probe
        return Booking(
            target: what, kind: kind(choice), place: place, patience: patience, timeout: timeout,
            hedgeAfter: hedgeAfter.flatMap { $0 < patience ? $0 : nil }, probe: probe,
            reservation: pick.reservation)
    }

    private func kind(_ choice: Choice) -> AttemptKind {
        broken != nil ? .rescue : choice == .besides ? .hedge : .plain
    }

    private mutating func reserve(
        _ request: PickRequest, at group: ModelGroup, _ now: Instant, _ random: inout RandomSource,
        _ ask: inout SharedAsk?
    ) -> Pick? {
        guard call.explains else { return group.reserve(request, now: now, random: &random, ask: &ask) }
        let sight = Sight()
        let pick = group.reserve(request, now: now, random: &random, ask: &ask, sight: sight)
        decisions.append(group.decision(on: request, from: sight, now: now))
        return pick
    }

    private mutating func begin(_ booking: consuming Booking, _ now: Instant) -> Action {
        phase = .attempting
        leaveQueue(now)
        let number = attempts.count
        let attempt = Attempt(
            number: number, kind: booking.kind, target: booking.target, patience: booking.patience,
            timeout: booking.timeout, hedgeAfter: booking.hedgeAfter)
        attempts.append(
            AttemptReport(
                target: booking.target, kind: booking.kind, modelGroup: target(visit).modelGroup,
                startedAt: now, visit: visit, place: booking.place))
        let flight = Flight(
            attempt: number, probe: booking.probe, reservation: booking.reservation)
        if first.attempt == nil {
            first = flight
        } else {
            second = flight
            hasHedged = true
        }
        return .attempt(attempt)
    }

    /// The most that an attempt may take: what is configured, within the time that is left.
    private func timeout(_ deployment: Int?, _ timeLeft: Duration) -> Duration {
        min(router.timeLimit(deployment, isStreaming: call.isStreaming), timeLeft)
    }

    /// How long an attempt is waited for before the call goes on beside it, so that neither a deployment that
    /// hangs nor one that opens meanwhile costs the call. The time that is left is shared out over what may
    /// be tried yet; but a share is no less than three times an answer's usual length, and at most half.
    /// Where an answer takes more than half, it is waited for as long as a fallback leaves time for it; and
    /// as long as it may take where nothing else may be tried.
    ///
    /// - Parameters:
    ///   - others: how many other deployments of the target the call may go to.
    ///   - expected: the seconds that an answer of the group takes, on average; 0: not known.
    private func patience(
        _ timeout: Duration, _ timeLeft: Duration, others: Int, expected: Double
    ) -> Duration {
        let half = max(timeLeft.half, .milliseconds(100))
        let retries = call.numRetries ?? retriesByPolicy(.timeout) ?? retriesSet ?? .max
        let mayRetry = attemptsHere < retries && (others > 0 || frontier > 0)
        let next = upcoming
        if expected <= half.seconds {
            if !mayRetry, next == nil { return timeout }
            if expected == 0 { return min(timeout, half) }
            let left = (mayRetry ? others : 0) + (next == nil ? 0 : 1)
            return min(timeout, half, max(timeLeft.share(of: left + 1), .nanoseconds(Int(3e9 * expected))))
        }
        guard let next else { return timeout }
        if next.usesCallersKey { return min(timeout, half) }
        let nextExpected = router.groups[next.modelGroup].expectedSeconds(isStreaming: call.isStreaming)
        return min(timeout, nextExpected == 0 ? half : max(half, timeLeft - .seconds(2 * nextExpected)))
    }

    // MARK: Attempts under way

    /// An attempt under way, and what it holds; or none.
    private struct Flight: ~Copyable {
        var attempt: Int?
        var probe = Probe.none
        /// Nil where the caller's own key is used.
        var reservation: Reservation?

        /// Leaves none in its place.
        mutating func take() -> Flight {
            var taken = Flight()
            swap(&taken, &self)
            return taken
        }
    }

    /// An attempt whose share of the time has lapsed.
    private final class LateFlight {
        var flight: Flight

        init(_ flight: consuming Flight) { self.flight = flight }

        /// Whether something is reserved for it.
        var isHeld: Bool {
            switch flight.reservation {
            case .some: true
            case nil: false
            }
        }
    }

    private func isUnderWay(_ attempt: Int) -> Bool {
        first.attempt == attempt || second.attempt == attempt || isLate(attempt)
    }

    private func isLate(_ attempt: Int) -> Bool {
        !late.isEmpty && late.contains { $0.flight.attempt == attempt }
    }

    private func probe(_ attempt: Int) -> Probe {
        if first.attempt == attempt { return first.probe }
        if second.attempt == attempt { return second.probe }
        return late.first { $0.flight.attempt == attempt }?.flight.probe ?? .none
    }

    /// One of the attempts under way; nil: none is.
    private var underWay: Int? { first.attempt ?? second.attempt ?? late.first?.flight.attempt }

    private func abandonOther(than attempt: Int) -> Action {
        let other =
            first.attempt != attempt && first.attempt != nil
            ? first.attempt
            : second.attempt != attempt && second.attempt != nil
                ? second.attempt
                : late.isEmpty ? nil : late.first { $0.flight.attempt != attempt }?.flight.attempt
        return other.map { .abandon(attempt: $0) } ?? .none
    }

    /// Completes the report of an attempt. How long it took, and how long to its first content.
    private mutating func endAttempt(
        _ attempt: Int, _ failure: Failure?, _ usage: TokenUsage?, _ now: Instant
    ) -> (whole: Duration, first: Duration?) {
        attempts.with(attempt) { report in
            report.outcome = failure
            report.usage = usage
            report.duration = now - report.startedAt
            return (report.duration, report.timeToFirstToken)
        }
    }

    /// What of a reservation counts as used when nothing is known of that.
    private enum UnknownUsage { case all, none }

    private mutating func settle(
        _ attempt: Int, _ usage: TokenUsage?, _ end: AttemptEnd, _ now: Instant, unknown: UnknownUsage = .none
    ) {
        let reservation: Reservation?
        if first.attempt == attempt {
            reservation = first.reservation.take()
            first.attempt = nil
            if second.attempt != nil { swap(&first, &second) }
        } else if second.attempt == attempt {
            reservation = second.reservation.take()
            second.attempt = nil
        } else {
            let index = late.firstIndex { $0.flight.attempt == attempt }!
            reservation = late.remove(at: index).flight.reservation.take()
        }
        guard let held = reservation else { return }
        let isAll = unknown == .all || committed == attempt
        let used = usage ?? (isAll ? held.usage : TokenUsage())
        held.settle(used, of: call.size, end: end, now: now)
    }

    // MARK: What was tried

    // Whatever every call asks is answered in place as long as there was no attempt: a route is large, and
    // to call a method that does not change it copies it.

    @inline(__always)
    private func target(_ visit: Int) -> Target {
        visit == 0 ? router.target(call.modelGroup) : plan[visit - 1]
    }

    /// Indices of the attempts at the present target: those of other targets may stand between them.
    @inline(__always)
    private var here: [Int] {
        attempts.isEmpty ? [] : attempts.indices.filter { attempts[$0].visit == visit }
    }

    /// Attempts at the present target that count as its first and its retries.
    @inline(__always)
    private var attemptsHere: Int { attempts.isEmpty ? 0 : countAttemptsHere() }

    private func countAttemptsHere() -> Int {
        let kind = broken == nil ? AttemptKind.plain : .rescue
        return attempts.count { $0.visit == visit && $0.kind == kind }
    }

    /// How the last attempt at the present target failed; nil: none did.
    private var lastFailureHere: Failure? { here.last.flatMap { attempts[$0].outcome } }

    /// What a failure at the present target leads to.
    private func remedy(_ failure: Failure) -> Remedy {
        var remedy = Remedy(
            of: failure.kind, httpStatus: failure.httpStatus, usesCallersKey: target(visit).usesCallersKey)
        if remedy.others == .no, retriesByPolicy(failure.kind) ?? 0 > 0 { remedy.others = .yes }
        // It may be the beginning of an answer that this one does not take.
        if broken != nil, failure.kind == .badRequest { (remedy.others, remedy.fallback) = (.yes, .general) }
        return remedy
    }

    /// The number of retries set for failures of this kind at the present target; nil: none is.
    private func retriesByPolicy(_ kind: Failure.Kind) -> Int? {
        RetryClass(of: kind).flatMap { router.groups[target(visit).modelGroup].retryPolicy[$0] }
    }

    /// Whether the present target may be asked once more.
    ///
    /// Where nobody set a number of retries, every deployment may be asked once; one may be asked again as
    /// long as no more retries than by default were made, or, when it said when to come back, so many times.
    private func isAllowedAgain(_ choice: Choice) -> Bool {
        if choice == .besides { return true }
        if let retriesSet { return attemptsHere <= retriesSet }
        switch choice {
        case .elsewhere, .inSpite, .besides: return true
        case .again: return attemptsHere <= retriesByDefault
        case .whenReturned: return attemptsHere - Set(places { _ in true }).count < retriesByDefault
        }
    }

    /// What was set: the caller's word, else that for the class of the last failure, else that of the
    /// deployment that failed, else the router's.
    @inline(__always)
    private var retriesSet: Int? {
        attempts.isEmpty ? call.numRetries ?? router.configuration.numRetries : retriesSetByNow
    }

    private var retriesSetByNow: Int? {
        if let retries = call.numRetries { return retries }
        if let failure = lastFailureHere, let retries = retriesByPolicy(failure.kind) { return retries }
        let last = here.last.flatMap { attempts[$0].deployment }
        return last.flatMap { router.configuration.deployments[$0].numRetries }
            ?? router.configuration.numRetries
    }

    /// Places of the present target where an attempt failed as `condition` says.
    private func places(where condition: (Int) -> Bool) -> [Int] {
        if attempts.isEmpty { return [] }
        return here.filter(condition).map { attempts[$0].place }
    }

    /// Whether asking the same deployment again may help, after this attempt.
    private func mayPass(_ attempt: Int) -> Bool {
        guard let failure = attempts[attempt].outcome else { return true }
        switch remedy(failure).same {
        case .never: return false
        case .afterBackOff: return true
        case .onceAtOnce:
            let place = attempts[attempt].place
            return here.count { attempts[$0].place == place && attempts[$0].outcome?.kind == .connection } < 2
        case .whenNothingElse: return failure.retryAfter == nil && upcoming == nil
        }
    }

    /// Whether the deployment, or the rule that cools it down, said when to come back.
    private func wasToldToWait(_ attempt: Int) -> Bool {
        switch attempts[attempt].outcome?.kind {
        case .rateLimited: true
        case .overloaded: attempts[attempt].outcome?.retryAfter != nil
        default: false
        }
    }

    /// What the present target is asked; nil: it is not to be asked any more.
    private func request(_ choice: Choice, _ now: Instant) -> PickRequest? {
        guard attempts.isEmpty || isAllowedAgain(choice) else { return nil }
        let excluded =
            switch choice {
            case _ where attempts.isEmpty: [Int]()
            case .elsewhere, .inSpite, .besides: places { _ in true }
            case .again: places { !mayPass($0) }
            case .whenReturned: places { !wasToldToWait($0) }
            }
        var request = PickRequest(
            size: call.size, isStreaming: call.isStreaming, timeLeft: deadline - now,
            excluded: excluded,
            triesSince: choice == .inSpite ? startedAt : nil)
        // Each deployment once is what cooldowns bound; only what goes beyond it can multiply an outage.
        request.budgetUse =
            switch choice {
            case .besides: .takesHedge
            case _ where attempts.isEmpty || attemptsHere == 0: broken == nil ? .addsCall : .none
            case .elsewhere, .inSpite: .none
            case .again, .whenReturned: .takesRetry
            }
        request.learnsSlowness = hedging.isEnabled && !hasHedged && choice != .besides && broken == nil
        request.rank = queuePlace?.rank ?? QueueRank(priority: call.priority, deadline: deadline)
        request.session = call.session
        let target = target(visit)
        switch target {
        case .modelGroup(_, let only), .configuredOverride(_, _, let only): request.only = only
        case .callersOverride: break
        }
        let group = router.groups[target.modelGroup]
        request.features = call.features
        request.matching = group.places(
            tags: tagsLookedAt, regions: call.regions, features: call.features)
        if let broken {
            // What was written is part of the prompt now.
            request.size.tokens += attempts[broken].usage?.completion ?? 0
            request.continuesText = true
            let matching = request.matching
            request.matching = group.terms.enumerated().map { place, terms in
                terms.continuesText && matching?[place] ?? true
            }
        }
        if attempts.isEmpty { return request }
        for attempt in here {
            guard let failure = attempts[attempt].outcome else { continue }
            switch remedy(failure).others {
            case .yes: break
            case .no: return nil
            case .largerWindow:
                guard !target.usesCallersKey else { return nil }
                let window = router.groups[target.modelGroup].terms[attempts[attempt].place].maxInputTokens
                request.windowAbove = max(request.windowAbove ?? 0, window ?? .max)
            }
        }
        return request
    }

    private var tagsLookedAt: [String]? { router.configuration.enableTagFiltering ? call.tags : nil }

    private func isOpen(_ choice: Choice, _ now: Instant) -> Bool {
        guard let request = request(choice, now) else { return false }
        let target = target(visit)
        if target.usesCallersKey { return request.excluded.isEmpty }
        return router.groups[target.modelGroup].isOpen(to: request, now: now)
    }

    /// When it is worth looking again at the present target: the first of its deployments returns, or may be
    /// asked in spite of its cooldown.
    private func returnsAt(_ now: Instant, _ random: inout RandomSource) -> Instant? {
        let target = target(visit)
        if !target.usesCallersKey {
            let group = router.groups[target.modelGroup]
            let returned = (request(.whenReturned, now) ?? request(.elsewhere, now)).flatMap {
                group.shortage(for: $0, now: now).returnsAt
            }
            // Many may wait for the same: they look again one after another.
            let inSpite = request(.inSpite, now).flatMap { group.shortage(for: $0, now: now).returnsAt }
                .map { $0 + CooldownPolicy.probeInterval * random.fraction() }
            return [returned, inSpite].compactMap(\.self).min()
        }
        guard let request = request(.whenReturned, now) ?? request(.elsewhere, now), request.excluded.isEmpty
        else { return nil }
        return callersReturnsAt(now)
    }

    /// When the caller's own deployment said to come back.
    private func callersReturnsAt(_ now: Instant) -> Instant? {
        here.last.flatMap { last in
            attempts[last].outcome?.retryAfter.map {
                attempts[last].startedAt + attempts[last].duration + $0
            }
        }
    }

    // MARK: Fallbacks

    /// Puts the fallbacks of the present target behind it, those that are not planned yet.
    private mutating func planFallbacks() {
        let kinds = here.compactMap { attempts[$0].outcome.flatMap { remedy($0).fallback } }
        let kind = kinds.last { $0 != .general } ?? .general
        let new = fallbacks(kind).filter { !isPlanned($0) }
        plan.insert(contentsOf: new, at: frontier)
        let most = max(frontier, router.configuration.maxFallbacks)
        if plan.count > most { plan.removeLast(plan.count - most) }
    }

    /// The target after this one, as far as it is known.
    private var upcoming: Target? {
        if frontier < plan.count { return plan[frontier] }
        if plan.count >= router.configuration.maxFallbacks { return nil }
        return fallbacks(.general).first { !isPlanned($0) }
    }

    private func isPlanned(_ target: Target) -> Bool {
        target == self.target(0) || plan.contains(target)
    }

    /// The fallbacks of the present target: the call's own, else the configured ones.
    private func fallbacks(_ kind: FallbackKind) -> [Target] {
        if kind == .general, !call.fallbacks.isEmpty {
            return visit == 0 ? call.fallbacks.map(router.target(of:)) : []
        }
        return call.disableFallbacks ? [] : router.fallbacks.targets(of: target(visit).modelGroup, kind)
    }

    // MARK: Telling the caller

    /// The last decides; but a limit, or too little time, does not hide a failure.
    private mutating func note(_ new: RouteFailure.Outcome) {
        switch (outcome, new) {
        case (.unavailable, .limited), (.providerAuthentication, .limited), (.unauthenticated, .limited):
            break
        case (.some, .deadlineExceeded): break
        default: outcome = new
        }
    }

    private mutating func noteChance(at instant: Instant) {
        chanceAt = min(chanceAt ?? instant, instant)
    }

    /// Notes why the present target has no further deployment for the call.
    private mutating func noteShortage(_ now: Instant) {
        let target = target(visit)
        guard !target.usesCallersKey, let request = request(.whenReturned, now) ?? request(.elsewhere, now)
        else {
            return
        }
        let shortage = router.groups[target.modelGroup].shortage(for: request, now: now)
        guard shortage.isServable else {
            if attemptsHere == 0 {
                missing = router.groups[target.modelGroup].missing(
                    tags: tagsLookedAt, regions: call.regions, features: call.features)
                note(missing.isEmpty ? .noMatchingDeployment : .unsupported)
            }
            return
        }
        isTooLarge = shortage.opensAt == nil
        tokens = shortage.tokens
        isBudgetSpent = shortage.isBudgetSpent
        guard let opensAt = shortage.opensAt, !shortage.isForWaiters else { return note(.limited) }
        if opensAt <= now { return note(call.deadline == nil ? .unavailable : .deadlineExceeded) }
        note(shortage.outcome)
        noteChance(at: opensAt)
    }

    private mutating func replyAtLast(_ now: Instant) -> Action {
        if now >= deadline, call.deadline != nil { return reply(.deadlineExceeded, "", now) }
        let cause =
            isTooLarge
            ? "its \(tokens) tokens are more than a deployment may use in a minute"
            : attempts.last?.failureDescription ?? (isBudgetSpent ? "the budget is spent" : "")
        return reply(outcome ?? .unavailable, cause, now)
    }

    private mutating func reply(
        _ final: RouteFailure.Outcome, _ lastCause: String, _ now: Instant
    ) -> Action {
        phase = .over
        while let attempt = underWay {
            _ = endAttempt(attempt, attempts[attempt].outcome, nil, now)
            settle(attempt, nil, .abandoned, now)
        }
        var (outcome, cause) = (final, lastCause)
        if let broken, outcome != .deadlineExceeded, outcome != .cancelled {
            (outcome, cause) = (.streamInterrupted, attempts[broken].failureDescription)
        }
        let isHopeful = outcome == .limited || outcome == .unavailable
        let retryAfter = chanceAt.flatMap { isHopeful && $0 > now ? $0 - now : nil }
        let name = router.name(ofModelGroup: call.modelGroup)
        return .reply(
            RouteFailure(
                outcome: outcome,
                message: outcome.message(modelGroup: name, cause: cause, retryAfter: retryAfter),
                attempts: Array(attempts), retryAfter: retryAfter,
                missing: outcome == .unsupported ? missing : []))
    }
}
