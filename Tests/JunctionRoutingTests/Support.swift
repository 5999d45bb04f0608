// Words for tests of the core: short ways to say instants, failures and what an action is.
@testable import JunctionRouting

func at(_ seconds: Double) -> Instant { Instant(.seconds(seconds)) }

func failure(_ kind: Failure.Kind, retryAfter: Duration? = nil) -> Failure {
    Failure(kind, retryAfter: retryAfter, message: "\(kind)")
}

extension Action {
    var attempt: Attempt? { if case .attempt(let attempt) = self { attempt } else { nil } }
    var deployment: Int? { attempt?.deployment }
    var waitsUntil: Instant? { if case .wait(let until) = self { until } else { nil } }
    var failure: RouteFailure? { if case .reply(let failure) = self { failure } else { nil } }
    var isNone: Bool { if case .none = self { true } else { false } }
}

/// The events of a call that has one attempt under way: the last.
extension Route {
    private var last: Int { report.attempts.count - 1 }

    mutating func failed(
        _ failure: Failure, usage: TokenUsage? = nil, now: Instant, random: inout RandomSource
    ) -> Action {
        failed(failure, attempt: last, usage: usage, now: now, random: &random)
    }
    mutating func committed(now: Instant) { committed(attempt: last, now: now) }
    mutating func finished(usage: TokenUsage, now: Instant) {
        finished(attempt: last, usage: usage, now: now)
    }
    mutating func cancelled(usage: TokenUsage?, now: Instant) { cancelled(now: now) { _ in usage } }
}

/// A router with one deployment for each of `groups`' names: "a a b" makes two in "a" and one in "b".
func router(_ groups: String, change: (inout RouterConfiguration) -> Void = { _ in }) -> Router {
    let deployments = groups.split(separator: " ").enumerated().map { index, group in
        Deployment(id: "d\(index)", modelGroup: String(group))
    }
    var configuration = RouterConfiguration(deployments: deployments)
    change(&configuration)
    return Router(configuration)
}

/// One call of a router, with a random source of its own.
struct TestCall: ~Copyable {
    var route: Route
    var random: RandomSource

    init(
        _ router: Router, _ model: String = "a", tokens: Int = 100, streaming: Bool = false,
        retries: Int? = nil,
        tags: [String] = [], deadline: Double? = nil, fallbacks: [FallbackTarget] = [],
        disableFallbacks: Bool = false, now: Double = 0, seed: UInt64 = 1
    ) {
        let traits = CallTraits(
            modelGroup: router.modelGroup(named: model)!, estimatedTokens: tokens, isStreaming: streaming,
            numRetries: retries, tags: tags, deadline: deadline.map(at), fallbacks: fallbacks,
            disableFallbacks: disableFallbacks)
        route = Route(router: router, call: traits, now: at(now))
        random = RandomSource(seed: seed)
    }

    mutating func start(_ now: Double = 0) -> Action { route.start(now: at(now), random: &random) }
    mutating func fail(_ kind: Failure.Kind, retryAfter: Duration? = nil, _ now: Double = 0) -> Action {
        route.failed(failure(kind, retryAfter: retryAfter), now: at(now), random: &random)
    }
    mutating func wake(_ now: Instant) -> Action { route.timerFired(now: now, random: &random) }
    mutating func finish(tokens: Int = 100, _ now: Double = 0) {
        route.finished(usage: TokenUsage(prompt: tokens, completion: 0), now: at(now))
    }
}

/// Makes one attempt at each deployment named, in a call of its own that is failed or answered.
extension Router {
    /// A call to exactly this deployment that fails so, `count` times.
    func make(
        _ deployment: String, fail kind: Failure.Kind, times count: Int = 1, retryAfter: Duration? = nil,
        _ now: Double = 0
    ) {
        for _ in 0..<count {
            var call = TestCall(self, deployment, retries: 0, now: now)
            _ = call.start(now)
            _ = call.fail(kind, retryAfter: retryAfter, now)
        }
    }

    func use(_ deployment: String, tokens: Int, _ now: Double = 0) {
        var call = TestCall(self, deployment, tokens: tokens, now: now)
        _ = call.start(now)
        call.finish(tokens: tokens, now)
    }
}
