// Routers that share their limits over a store: when a call asks, what goes back, and what holds without it.
import JunctionRouting
import Testing

@Suite struct SharingTests {
    @Test func exactCallsAskEachTime() {
        let cluster = Cluster(.exact)
        for _ in 0..<3 { #expect(cluster.call(0).asked) }
        #expect(cluster.used.requests == 3)
    }

    @Test func leasedCallsAskUntilABlockIsThere() {
        let cluster = Cluster(.leased)
        for _ in 0..<8 { #expect(cluster.call(0).asked) }
        cluster.pass(.milliseconds(250))
        #expect(!cluster.call(0).asked)
    }

    @Test(arguments: [SharingMode.exact, .leased]) func allTogetherGetWhatTheLimitAllows(mode: SharingMode) {
        let cluster = Cluster(mode, limit: 100)
        var admitted = 0
        for round in 0..<40 {
            for index in 0..<10 { admitted += cluster.call((round + index) % 2).attempt == nil ? 0 : 1 }
            cluster.pass(.milliseconds(100))
        }
        #expect(admitted == 100)
    }

    @Test func whatWasNotUsedGoesBack() {
        let cluster = Cluster(.exact, tokens: 1_000)
        let call = cluster.call(0, tokens: 900)
        #expect(cluster.call(1, tokens: 200).failure?.outcome == .limited)
        call.finish(tokens: 100, cluster.now)
        cluster.pass(.milliseconds(300))
        #expect(cluster.call(1, tokens: 900).attempt != nil)
    }

    @Test func aGrantForACallerWhoLeftGoesBack() {
        let cluster = Cluster(.exact)
        var route = cluster.route(0)
        guard case .reserve(let ask) = route.start(now: cluster.now, random: &cluster.random) else {
            Issue.record("it asks")
            return
        }
        route.cancelled(now: cluster.now) { _ in nil }
        let answer = cluster.answer(ask)
        guard case .none = route.reserved(ask, answer, now: cluster.now, random: &cluster.random) else {
            Issue.record("the call is over")
            return
        }
        cluster.pass(.milliseconds(300))
        #expect(cluster.used == SharedAmount())
    }

    @Test func withoutTheStoreAnInstanceKeepsToItsPart() {
        let cluster = Cluster(.leased, limit: 100)
        cluster.pass(.seconds(4))
        cluster.isGone = true
        cluster.pass(.seconds(4))
        let admitted = (0..<100).count { _ in cluster.call(0).attempt != nil }
        #expect(admitted == 45, "nine tenths of half of the limit")
        cluster.isGone = false
        cluster.pass(.seconds(3))
        #expect(cluster.used.requests == 45)
    }

    @Test func aStoreThatHasLostAllIsToldTheLastMinuteAgain() {
        let cluster = Cluster(.exact)
        for index in 0..<10 { cluster.call(index % 2).finish(tokens: 7, cluster.now) }
        cluster.pass(.milliseconds(300))
        cluster.store.clear()
        cluster.pass(.seconds(5))
        #expect(cluster.used == SharedAmount(tokens: 70, requests: 10))
    }

    @Test(arguments: [SharingMode.exact, .leased])
    func whoFindsAStoreThatHasLostAllWaitsForTheOthers(mode: SharingMode) {
        let cluster = Cluster(mode, limit: 100)
        cluster.pass(.seconds(4))
        for index in 0..<60 { cluster.call(index % 2).finish(tokens: 1, cluster.now) }
        cluster.pass(.milliseconds(2_500))
        cluster.store.clear()
        cluster.silent = [0]
        cluster.pass(.seconds(2))
        #expect((0..<100).count { _ in cluster.call(1).attempt != nil } <= 20, "nine tenths of half of the rest")
        cluster.silent = []
        cluster.pass(.seconds(1))
        #expect(cluster.used.requests <= 100)
        cluster.store.clear()
        cluster.silent = [0]
        cluster.pass(.seconds(7))
        #expect((0..<100).count { _ in cluster.call(1).attempt != nil } > 20, "they may be gone")
    }

    /// A stopped process: the others go on, and take it for dead.
    @Test(arguments: [SharingMode.exact, .leased]) func whoWasSilentForLongCountsOnce(mode: SharingMode) {
        let cluster = Cluster(mode, tokens: 100_000)
        for _ in 0..<8 {
            for index in 0..<10 { cluster.call(index % 2, tokens: 9).finish(tokens: 7, cluster.now) }
            cluster.pass(.milliseconds(250))
        }
        cluster.silent = [0]
        cluster.pass(.seconds(15))
        cluster.silent = []
        cluster.pass(.seconds(4))
        #expect(cluster.used == SharedAmount(tokens: 560, requests: 80))
    }

    @Test(arguments: [SharingMode.exact, .leased]) func onlyTheLastMinuteIsToldAgain(mode: SharingMode) {
        let cluster = Cluster(mode)
        cluster.call(0).finish(tokens: 7, cluster.now)
        cluster.pass(.seconds(70))
        cluster.store.clear()
        cluster.pass(.seconds(5))
        #expect(cluster.used == SharedAmount())
    }

    @Test func onlyTheLastMinuteOfALongTimeAloneIsTold() {
        let cluster = Cluster(.exact, isGone: true)
        for _ in 0..<3 {
            cluster.call(0).finish(tokens: 7, cluster.now)
            cluster.pass(.seconds(40))
        }
        cluster.isGone = false
        cluster.pass(.seconds(5))
        #expect(cluster.used == SharedAmount(tokens: 7, requests: 1))
    }

    /// It has yet to hear what time it is for the store.
    @Test func whatWasUsedBeforeTheStoreWasThereIsTold() {
        let cluster = Cluster(.exact, isGone: true)
        cluster.pass(.seconds(10))
        cluster.call(0).finish(tokens: 7, cluster.now)
        cluster.pass(.seconds(20))
        cluster.isGone = false
        cluster.pass(.seconds(5))
        #expect(cluster.used == SharedAmount(tokens: 7, requests: 1))
        cluster.pass(.seconds(30))
        #expect(cluster.used == SharedAmount(tokens: 7, requests: 1))
        cluster.pass(.seconds(7))
        #expect(cluster.used == SharedAmount(), "it leaves a minute after it was used")
    }

    @Test func whereThatIsAskedNothingIsOpenWithoutTheStore() {
        let cluster = Cluster(.leased, failsClosed: true)
        cluster.isGone = true
        cluster.pass(.seconds(4))
        let failure = cluster.call(0).failure
        #expect(failure?.outcome == .unavailable)
        #expect(failure?.retryAfter == .seconds(1))
    }

    @Test func whatAProviderAskedForHoldsForAll() {
        let cluster = Cluster(.exact, limit: 1_000)
        cluster.call(0).fail(
            Failure(.rateLimited, retryAfter: .seconds(20), message: "slow down"), cluster.now,
            &cluster.random)
        cluster.pass(.milliseconds(300))
        cluster.pass(.seconds(4))
        #expect(cluster.routers[1].usage(now: cluster.now)[0].coolingCause == .rateLimited)
        #expect(cluster.call(1).attempt == nil)
    }

    /// Who has found out that a deployment answers again does not let its own older word close it.
    @Test func whatAnswersAgainStaysOpen() {
        let cluster = Cluster(.exact, limit: 1_000)
        cluster.call(0).fail(Failure(.notFound, message: "no such model"), cluster.now, &cluster.random)
        cluster.pass(.milliseconds(300))
        let probe = cluster.call(0)
        #expect(probe.attempt != nil, "\(probe.last)")
        probe.finish(tokens: 1, cluster.now)
        for _ in 0..<3 {
            #expect(cluster.routers[0].usage(now: cluster.now)[0].coolingUntil == nil)
            cluster.pass(.milliseconds(300))
        }
    }

    @Test func placesInFlightAreSharedToo() {
        let cluster = Cluster(.exact, parallel: 2)
        let calls = [cluster.call(0), cluster.call(1)]
        #expect(calls.allSatisfy { $0.attempt != nil })
        #expect(cluster.call(0).attempt == nil)
        calls[1].finish(tokens: 1, cluster.now)
        cluster.pass(.milliseconds(300))
        #expect(cluster.call(0).attempt != nil)
    }
}

/// Two routers with one deployment, and their store.
private final class Cluster {
    let store: InProcessUsageStore
    let routers: [Router]
    var random = RandomSource(seed: 1)
    var isGone: Bool
    /// Routers that say nothing.
    var silent: Set<Int> = []
    private let time = Time()
    private let row: SharedRow

    final class Time { var now = Duration.seconds(5) }

    var now: Instant { Instant(time.now) }

    init(
        _ mode: SharingMode, limit: Int? = 1_000, tokens: Int? = nil, parallel: Int? = nil,
        failsClosed: Bool = false, isGone: Bool = false
    ) {
        self.isGone = isGone
        store = InProcessUsageStore { [time] in .seconds(1_000) + time.now }
        let deployment = Deployment(
            id: "d", modelGroup: "g", tokensPerMinute: tokens, requestsPerMinute: limit,
            maxParallelRequests: parallel, numRetries: 0)
        row = SharedRow(name: "d", deployment.limits)
        routers = ["anna", "bert"].map { name in
            var configuration = RouterConfiguration(deployments: [deployment])
            configuration.sharing = Sharing(mode: mode, name: name, failsClosed: failsClosed)
            return Router(configuration)
        }
        pass(.seconds(1))
    }

    /// Lets time pass; reports go when they are due.
    func pass(_ duration: Duration) {
        let end = time.now + duration
        while time.now < end {
            time.now += .milliseconds(50)
            for (index, router) in routers.enumerated() where !silent.contains(index) {
                guard let (report, member) = router.report(ofModelGroup: 0, now: now) else { continue }
                if isGone {
                    _ = router.part(fromStoreOfModelGroup: 0, now: now)
                    continue
                }
                store.exchange(report, of: member) { [now] answer in
                    if let news = answer.content {
                        _ = router.learn(news, to: report, ofModelGroup: 0, sentAt: now, now: now)
                    } else {
                        _ = router.part(fromStoreOfModelGroup: 0, now: now)
                    }
                }
            }
        }
    }

    func answer(_ ask: SharedAsk) -> StoreAnswer<SharedReply> {
        if isGone { return .unavailable("gone") }
        var heard: StoreAnswer<SharedReply>!
        store.reserve(ask.request, of: ask.member) { heard = $0 }
        return heard
    }

    /// What the store has counted of the deployment.
    var used: SharedAmount {
        let member = StoreMember(name: "looker", epoch: 1)
        var amount = SharedAmount()
        for purpose in [SharedReport.Purpose.joins, .leaves] {
            let report = SharedReport(
                modelGroup: "g", purpose: purpose, number: 0, entries: [.init(row: row)])
            store.exchange(report, of: member) { amount = $0.content!.entries[0].used }
        }
        return amount
    }

    func route(_ router: Int, tokens: Int = 1) -> Route {
        let traits = CallTraits(modelGroup: 0, estimatedTokens: tokens, isStreaming: false)
        return Route(router: routers[router], call: traits, now: now)
    }

    @discardableResult func call(_ router: Int, tokens: Int = 1) -> SharedCall {
        let call = SharedCall(route(router, tokens: tokens))
        var action = call.route.start(now: now, random: &random)
        while case .reserve(let ask) = action {
            call.asked = true
            action = call.route.reserved(ask, answer(ask), now: now, random: &random)
        }
        call.last = action
        switch action {
        case .attempt(let attempt): call.attempt = attempt
        case .reply(let failure): call.failure = failure
        default: break
        }
        return call
    }
}

private final class SharedCall {
    var route: Route
    var asked = false
    var last = Action.none
    var attempt: Attempt?
    var failure: RouteFailure?

    init(_ route: consuming Route) { self.route = route }

    func finish(tokens: Int, _ now: Instant) {
        route.finished(attempt: attempt!.number, usage: TokenUsage(prompt: tokens), now: now)
    }

    func fail(_ failure: Failure, _ now: Instant, _ random: inout RandomSource) {
        _ = route.failed(failure, attempt: attempt!.number, now: now, random: &random)
    }
}
