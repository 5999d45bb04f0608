// The far end of one deployment: answers, fails, hangs, breaks off, refuses what is over its own limits. It
// counts for itself, so that the router's counters can be compared with it.
import JunctionRouting

/// A second of virtual time, in nanoseconds.
let second = 1_000_000_000
private let minute = 60 * second

func nanoseconds(_ seconds: Double) -> Int { Int(min(seconds, 1e9) * 1e9) }

/// What one request comes to.
struct Answer {
    /// When the first token is there; nil: never.
    var firstAt: Int?
    /// When it is over, well or not; nil: never.
    var endsAt: Int?
    /// The share of the answer that is written by then.
    var writtenShare = 1.0
    /// Nil: it is answered.
    var failure: Failure?
    /// The provider's minute that its tokens count in; nil: it was not let in.
    var minute: Int?
}

struct SimulatedProvider {
    private let behaviour: ProviderBehaviour
    private let tokensLimit: Int
    private let requestsLimit: Int
    private let parallelLimit: Int
    /// What the configuration allows, if it does not say more than the provider.
    private let configured: (tokens: Int, requests: Int)
    private let offset: Int
    private let outages: [(from: Int, until: Int, failure: Failure.Kind, share: Double)]
    private var inFlight = 0
    /// What was let in of late, where that is counted by the moment.
    private var recent: [(at: Int, tokens: Int)] = []
    /// What a bucket holds, and since when.
    private var bucket: (tokens: Double, requests: Double, at: Int) = (.infinity, .infinity, 0)
    private var minuteNow = -1
    private var requestsLetIn = 0
    private var isOver = false
    /// Every request, by minute, and the tokens of those that were let in.
    private var requestsByMinute: [Int] = []
    private var tokensByMinute: [Int] = []

    private(set) var requests = 0
    private(set) var tokens = 0
    private(set) var refused = 0
    private(set) var timeOverLimit = 0

    init(_ behaviour: ProviderBehaviour, _ deployment: Deployment) {
        self.behaviour = behaviour
        configured = (deployment.tokensPerMinute ?? .max, deployment.requestsPerMinute ?? .max)
        tokensLimit = behaviour.tokensPerMinute ?? configured.tokens
        requestsLimit = behaviour.requestsPerMinute ?? configured.requests
        parallelLimit = behaviour.maxParallelRequests ?? deployment.maxParallelRequests ?? .max
        offset = nanoseconds(behaviour.minuteOffset)
        outages = behaviour.outages.map {
            (nanoseconds($0.from), nanoseconds($0.until), $0.failure, $0.share)
        }
    }

    var isIdle: Bool { inFlight == 0 }
    /// Tokens used beyond the configured limit, summed over the minutes.
    var tokensOverLimit: Int { tokensByMinute.reduce(0) { $0 + max(0, $1 - configured.tokens) } }
    var requestsOverLimit: Int { requestsByMinute.reduce(0) { $0 + max(0, $1 - configured.requests) } }

    /// Takes a request.
    mutating func ask(prompt: Int, completion: Int, now: Int, _ random: inout RandomSource) -> Answer {
        enterMinute(of: now)
        requests += 1
        requestsByMinute[minuteNow] += 1
        defer { noteLimits(now) }
        for outage in outages
        where outage.from <= now && now < outage.until
            && (outage.share >= 1 || random.fraction() < outage.share)
        {
            return failure(outage.failure, now)
        }
        let wanted = prompt + completion
        if let until = full(for: wanted, now) { return refuse(until: until, now) }
        if inFlight >= parallelLimit { return refuse(until: now + second, now) }
        if behaviour.failureRate > 0, random.fraction() < behaviour.failureRate {
            return failure(behaviour.failure, now)
        }
        requestsLetIn += 1
        if behaviour.window == .sliding { recent.append((now, wanted)) }
        bucket.tokens -= Double(wanted)
        bucket.requests -= 1
        inFlight += 1
        tokensByMinute[minuteNow] += wanted
        return answer(completion: completion, now, &random)
    }

    /// A request that was let in is over and used so many tokens.
    mutating func ended(_ answer: Answer, wanted: Int, used: Int) {
        guard let minute = answer.minute else { return }
        inFlight -= 1
        tokensByMinute[minute] -= wanted - used
        tokens += used
    }

    private func answer(completion: Int, _ now: Int, _ random: inout RandomSource) -> Answer {
        if behaviour.hangRate > 0, random.fraction() < behaviour.hangRate { return Answer(minute: minuteNow) }
        let slowness = slowness(now)
        let first = nanoseconds(behaviour.firstToken.sample(&random) * slowness)
        let rest = nanoseconds(behaviour.perToken.sample(&random) * slowness * Double(completion))
        var answer = Answer(firstAt: now + first, endsAt: now + first + rest, minute: minuteNow)
        if behaviour.cutRate > 0, random.fraction() < behaviour.cutRate {
            answer.writtenShare = random.fraction()
            answer.endsAt = now + first + Int(Double(rest) * answer.writtenShare)
            answer.failure = Failure(.streamCut, message: "the answer broke off")
        }
        for outage in outages where outage.share >= 1 && outage.from > now && outage.from < answer.endsAt! {
            let writing = answer.endsAt! - now - first
            answer.writtenShare *= Double(max(0, outage.from - now - first)) / Double(max(1, writing))
            answer.endsAt = outage.from
            answer.failure = Failure(.streamCut, message: "the answer broke off in an outage")
            if answer.firstAt! >= outage.from {
                answer.firstAt = nil
                answer.failure = Failure(.connection, message: "the connection broke in an outage")
            }
        }
        return answer
    }

    /// When there is room for a request; nil: now.
    private mutating func full(for wanted: Int, _ now: Int) -> Int? {
        switch behaviour.window {
        case .fixed:
            return requestsLetIn >= requestsLimit || wanted > tokensLimit - tokensByMinute[minuteNow]
                ? minuteEnd : nil
        case .sliding:
            recent.removeAll { $0.at <= now - minute }
            let used = recent.reduce(0) { $0 + $1.tokens }
            if recent.count < requestsLimit, wanted <= tokensLimit - used { return nil }
            return (recent.first?.at ?? now) + minute
        case .bucket:
            let minutes = Double(now - bucket.at) / Double(minute)
            bucket.tokens = min(Double(tokensLimit), bucket.tokens + minutes * Double(tokensLimit))
            bucket.requests = min(Double(requestsLimit), bucket.requests + minutes * Double(requestsLimit))
            bucket.at = now
            let missing = max(
                (Double(wanted) - bucket.tokens) / Double(tokensLimit),
                (1 - bucket.requests) / Double(requestsLimit))
            return missing <= 0 ? nil : now + Int(missing * Double(minute)) + 1
        }
    }

    private func failure(_ kind: Failure.Kind, _ now: Int) -> Answer {
        // A refused connection is known at once, a failure in the time of a round trip, a silence never.
        switch kind {
        case .timeout: return Answer()
        case .connection:
            return Answer(endsAt: now + second / 1_000, failure: Failure(kind, message: "no connection"))
        default:
            return Answer(endsAt: now + second / 20, failure: Failure(kind, message: "the provider failed"))
        }
    }

    private mutating func refuse(until: Int, _ now: Int) -> Answer {
        refused += 1
        let seconds = (until - now + second - 1) / second
        return Answer(
            endsAt: now + second / 20,
            failure: Failure(
                .rateLimited, httpStatus: 429,
                retryAfter: behaviour.saysRetryAfter ? .seconds(seconds) : nil, message: "over the limit"))
    }

    /// Whether nothing but its limits can keep it from answering a request of any time between two.
    func isSure(toAnswer tokens: Int, completion: Int, from: Int, until: Int) -> Bool {
        guard behaviour.failureRate == 0, behaviour.hangRate == 0, behaviour.cutRate == 0,
            hasRoom(for: tokens, at: from)
        else { return false }
        let longest =
            (behaviour.firstToken.p99 + behaviour.perToken.p99 * Double(completion)) * slowness(from)
        return from + nanoseconds(longest) <= until
            && !outages.contains { $0.from <= until && from < $0.until }
    }

    /// Whether its own limits would let a request in.
    func hasRoom(for tokens: Int, at now: Int) -> Bool {
        if inFlight >= parallelLimit { return false }
        if (now - offset + minute) / minute != minuteNow { return tokens <= tokensLimit && requestsLimit > 0 }
        return requestsLetIn < requestsLimit && tokens <= tokensLimit - tokensByMinute[minuteNow]
    }

    private func slowness(_ now: Int) -> Double {
        if behaviour.slowStartFactor <= 1 { return 1 }
        var since = now
        for outage in outages where outage.until <= now { since = min(since, now - outage.until) }
        let share = Double(since) / (behaviour.slowStartSeconds * 1e9)
        return share >= 1 ? 1 : behaviour.slowStartFactor + (1 - behaviour.slowStartFactor) * share
    }

    // MARK: Minutes

    private var minuteEnd: Int { minuteNow * minute + offset }

    /// Minutes are numbered so that the one before the first offset is 0.
    private mutating func enterMinute(of now: Int) {
        let number = (now - offset + minute) / minute
        guard number != minuteNow else { return }
        minuteNow = number
        requestsLetIn = 0
        isOver = false
        while tokensByMinute.count <= number {
            tokensByMinute.append(0)
            requestsByMinute.append(0)
        }
    }

    private mutating func noteLimits(_ now: Int) {
        if isOver { return }
        if tokensByMinute[minuteNow] > configured.tokens || requestsByMinute[minuteNow] > configured.requests
        {
            isOver = true
            timeOverLimit += minuteEnd - now
        }
    }
}
