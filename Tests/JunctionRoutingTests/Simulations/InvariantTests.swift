// Promises that hold in every course of events, tried over seeds. A failing seed is printed with the test's
// arguments and gives the same course again.
import Testing

@testable import JunctionRouting

private let seeds: [UInt64] = [1, 2, 3, 4]

@Suite struct InvariantTests {
    /// One deployment of the group is healthy; the others fail in every way there is, but for 20 s in 80.
    @Test(arguments: seeds) func noCallFailsWhileADeploymentIsHealthy(seed: UInt64) {
        let router = router("a a a a") { $0.fallbacks = [:] }
        let providers = (0..<4).map { index in
            Provider(behaviour: { now, world in
                if index == 2 || Int(now.sinceStart.components.seconds / 20) % 4 == index { return .answers }
                switch world.below(8) {
                case 0: return .fails(.connection)
                case 1: return .fails(.serverError)
                case 2: return .fails(.overloaded)
                case 3: return .fails(.malformedResponse)
                case 4: return .hangs
                default: return .answers
                }
            })
        }
        let simulation = Simulation(router, providers: providers, seed: seed)
        populate(simulation, count: 4_000, every: 0.02, deadline: 30, streaming: false)
        simulation.run()
        #expect(simulation.failures == 0, "seed \(seed): \(simulation.firstFailure)")
        #expect(simulation.answered == 4_000)
        expectAtRest(simulation, seed)
    }

    /// A hard outage of all but one deployment, in each way, from the first call on.
    @Test(arguments: [
        Failure.Kind.connection, .serverError, .authentication, .notFound, .timeout, .rateLimited,
        .quotaExhausted, .malformedResponse,
    ])
    func noCallFailsInAnOutageOfAllButOne(kind: Failure.Kind) {
        let router = router("a a a a a")
        let providers = (0..<5).map { index in
            Provider(behaviour: { _, _ in index == 3 ? .answers : kind == .timeout ? .hangs : .fails(kind) })
        }
        let simulation = Simulation(router, providers: providers, seed: 7)
        populate(simulation, count: 2_000, every: 0.05, deadline: 60, streaming: false)
        simulation.run()
        #expect(simulation.failures == 0, "\(kind): \(simulation.firstFailure)")
        expectAtRest(simulation, 7)
    }

    /// A failure that is the request's own goes to the fallbacks for its kind and nowhere else, and counts
    /// against nobody; without such fallbacks it ends its call at once.
    @Test(arguments: [Failure.Kind.contentPolicy, .contextWindowExceeded, .badRequest], [false, true])
    func aRequestsOwnFailureTakesOneWay(kind: Failure.Kind, hasFallbacks: Bool) {
        let router = router("a a b") {
            if hasFallbacks {
                $0.contentPolicyFallbacks = ["a": ["b"]]
                $0.contextWindowFallbacks = ["a": ["b"]]
            }
        }
        let providers = (0..<3).map { index in
            Provider(behaviour: { _, world in index < 2 && world.below(3) == 0 ? .fails(kind) : .answers })
        }
        let simulation = Simulation(router, providers: providers, seed: 5)
        populate(simulation, count: 2_000, every: 0.05, deadline: 60, streaming: nil)
        simulation.run()
        let goesOn = hasFallbacks && kind != .badRequest
        var refused = 0
        for call in simulation.calls {
            let report = call.route.report
            let failures = report.attempts.filter { $0.outcome != nil }
            #expect(failures.allSatisfy { $0.outcome?.kind == kind } && failures.count <= 1)
            refused += failures.count
            let isAnswered = failures.isEmpty || goesOn
            #expect(report.attempts.count == failures.count + (isAnswered ? 1 : 0))
            #expect((report.answered != nil) == isAnswered)
            #expect((report.answered?.deployment == 2) == (goesOn && !failures.isEmpty))
        }
        #expect(refused > 500 && simulation.failures == (goesOn ? 0 : refused))
        #expect(router.usage(now: simulation.now).allSatisfy { $0.coolingUntil == nil })
        expectAtRest(simulation, 5)
    }

    /// With half of the deployments down for good, retries stay in proportion and every call is answered.
    @Test(arguments: [Failure.Kind.connection, .serverError, .overloaded, .timeout, .rateLimited])
    func anOutageOfHalfIsNotMultiplied(kind: Failure.Kind) {
        let router = router("a a a a")
        let providers = (0..<4).map { index in
            Provider(behaviour: { _, _ in index % 2 == 0 ? .answers : kind == .timeout ? .hangs : .fails(kind)
            })
        }
        let simulation = Simulation(router, providers: providers, seed: 3)
        populate(simulation, count: 6_000, every: 0.005, deadline: 30, streaming: nil)
        simulation.run()
        #expect(simulation.failures == 0, "\(kind): \(simulation.firstFailure)")
        #expect(simulation.retries * 5 <= simulation.calls.count * 6, "\(simulation.retries)")
        expectAtRest(simulation, 3)
    }

    /// With everything down, calls ask again within the budget: a fifth of the calls, ten a second, and the
    /// hundred of the first ten seconds.
    @Test(arguments: seeds) func anOutageOfAllIsNotMultiplied(seed: UInt64) {
        let router = router("a") { $0.numRetries = 5 }
        let simulation = Simulation(
            router, providers: [Provider(behaviour: { _, _ in .fails(.serverError) })], seed: seed)
        populate(simulation, count: 6_000, every: 0.005, deadline: 30, streaming: false)
        simulation.run()
        #expect(simulation.retries > 1_000)
        let seconds = Int(simulation.now.sinceStart.components.seconds) + 1
        #expect(simulation.retries <= 6_000 / 5 + 10 * seconds + 100, "\(simulation.retries)")
    }

    /// Limits are exact whatever happens, and what was counted is what the providers counted.
    @Test(arguments: seeds) func limitsAreExactAndNothingLeaks(seed: UInt64) {
        let router = router("a a a b") {
            $0.deployments[0].requestsPerMinute = 60
            $0.deployments[1].tokensPerMinute = 20_000
            $0.deployments[2].maxParallelRequests = 3
            $0.deployments[3].requestsPerMinute = 100
            $0.deployments[3].tokensPerMinute = 30_000
            $0.fallbacks = ["a": ["b"]]
        }
        let chaos = Provider(behaviour: { _, world in
            switch world.below(20) {
            case 0, 1: .fails(.serverError)
            case 2: .fails(.rateLimited, retryAfter: .seconds(2))
            case 3: .hangs
            case 4, 5: .cuts
            case 6: .fails(.badRequest)
            default: .answers
            }
        })
        let simulation = Simulation(router, providers: Array(repeating: chaos, count: 4), seed: seed)
        simulation.watch = { now in
            let usage = router.usage(now: now)
            for (index, deployment) in router.configuration.deployments.enumerated() {
                #expect(usage[index].requests <= deployment.requestsPerMinute ?? .max)
                #expect(usage[index].inFlight <= deployment.maxParallelRequests ?? .max)
                // Providers use at most what was reserved here, so that the sum is bounded too.
                #expect(
                    usage[index].tokensUsed + usage[index].tokensReserved <= deployment.tokensPerMinute
                        ?? .max)
            }
        }
        simulation.judge = { call, failure, now in Self.expectJust(failure, call, router, now) }
        populate(simulation, count: 3_000, every: 0.05, deadline: 20, streaming: nil, leaving: true)
        simulation.run()
        #expect(simulation.answered > 500)
        for (index, deployment) in router.configuration.deployments.enumerated() {
            guard let limit = deployment.requestsPerMinute else { continue }
            #expect(simulation.providers[index].requestsInMinute.values.allSatisfy { $0 <= limit })
        }
        expectAtRest(simulation, seed)
    }

    /// One deployment is slow now and then: hedges answer in its place, within their budget, and each of the
    /// two attempts is settled.
    @Test(arguments: seeds) func hedgesKeepTheirBudgetAndTwoAtMostAreUnderWay(seed: UInt64) {
        func run(hedging: Bool) -> Simulation {
            let router = router("a a a") { $0.hedging = Hedging(isEnabled: hedging) }
            var providers = (0..<3).map { _ in
                Provider(behaviour: { _, world in world.below(50) == 0 ? .hangs : .answers })
            }
            providers[1].latency = 0.3...8
            let simulation = Simulation(router, providers: providers, seed: seed)
            populate(simulation, count: 4_000, every: 0.02, deadline: 30, streaming: nil, leaving: true)
            simulation.run()
            expectAtRest(simulation, seed)
            return simulation
        }
        let simulation = run(hedging: true)
        let hedges = simulation.calls.reduce(0) { $0 + $1.route.report.attempts.count { $0.kind == .hedge } }
        #expect(hedges > 50, "seed \(seed)")
        #expect(hedges <= 4_000 / 20 + 9, "seed \(seed): \(hedges)")
        #expect(simulation.calls.allSatisfy { $0.mostUnderWay <= 2 && $0.underWay.isEmpty })
        for call in simulation.calls {
            let report = call.route.report
            let answers = report.attempts.count { $0.outcome == nil }
            guard case .answered = call.end else { continue }
            #expect(answers == 1 && report.answered != nil, "seed \(seed): exactly one answer")
        }
        #expect(simulation.failures == 0, "seed \(seed): \(simulation.firstFailure)")
        #expect(simulation.secondsInAll < run(hedging: false).secondsInAll, "it is of use")
    }

    /// Streams break off everywhere: each is gone on with once, and what the broken ones used is counted.
    @Test(arguments: seeds) func aBrokenStreamGoesOnOnce(seed: UInt64) {
        let router = router("a a a b") {
            $0.rescuesStreams = true
            $0.fallbacks = ["a": ["b"]]
            for index in $0.deployments.indices { $0.deployments[index].continuesText = index != 1 }
        }
        let provider = Provider(behaviour: { _, world in world.below(10) == 0 ? .cuts : .answers })
        let simulation = Simulation(router, providers: Array(repeating: provider, count: 4), seed: seed)
        simulation.started = { _, attempt in
            #expect(attempt.kind != .rescue || attempt.deployment != 1, "d1 takes no beginning")
        }
        populate(simulation, count: 3_000, every: 0.02, deadline: 30, streaming: true, leaving: true)
        simulation.run()
        let rescued = simulation.calls.filter { $0.route.report.attempts.contains { $0.kind == .rescue } }
        #expect(rescued.count > 200, "seed \(seed)")
        #expect(rescued.allSatisfy { $0.route.report.attempts.count { $0.kind == .rescue } <= 3 })
        // One in ten breaks, and of those one in ten again.
        #expect(simulation.failures * 50 < 3_000, "seed \(seed): \(simulation.failures)")
        expectAtRest(simulation, seed)
    }

    /// Far more calls than there is room for at a time: they wait in the order of their rank, the limit is
    /// kept, and none is forgotten.
    @Test(arguments: seeds) func theQueueIsJust(seed: UInt64) {
        let router = router("a a") {
            $0.deployments[0].maxParallelRequests = 3
            $0.deployments[1].maxParallelRequests = 2
            $0.queueTimeout = .seconds(20)
            $0.queueSize = 60
        }
        let simulation = Simulation(
            router, providers: Array(repeating: Provider(), count: 2), seed: seed)
        simulation.watch = { now in
            let usage = router.usage(now: now)
            #expect(usage[0].inFlight <= 3 && usage[1].inFlight <= 2)
        }
        var queued = 0
        simulation.started = { [unowned simulation] call, _ in
            if call.route.report.queued > .zero { queued += 1 }
            let better = simulation.calls.first {
                $0.isWaiting
                    && ($0.traits.priority, $0.traits.deadline!)
                        < (call.traits.priority, call.traits.deadline!)
            }
            #expect(better == nil, "seed \(seed): \(call.traits) went before \(better!.traits)")
        }
        populate(simulation, count: 2_000, every: 0.16, deadline: 30, streaming: false, leaving: true) {
            $1.priority = [10, 128, 128, 200][$0 % 4]
            $1.deadline = $1.deadline! + .seconds(Double($0 % 7))
        }
        simulation.run()
        #expect(queued > 1_000 && simulation.calls.allSatisfy { !$0.isWaiting && $0.end != nil })
        // The load is just above what fits: the urgent are all served, and of the others most.
        let urgent = simulation.calls.enumerated().filter { $0.offset % 4 == 0 }.map(\.element)
        let unserved = urgent.count { if case .failed = $0.end { true } else { false } }
        #expect(unserved == 0, "seed \(seed)")
        #expect(simulation.answered > 1_500, "seed \(seed): \(simulation.answered)")
        #expect(router.groups[0].queueLength() == 0)
        expectAtRest(simulation, seed)
    }

    /// With room for all after a burst, every call that waits is served: nobody starves.
    @Test(arguments: seeds) func nobodyStarvesInTheQueue(seed: UInt64) {
        let router = router("a a a") {
            for index in 0..<3 { $0.deployments[index].maxParallelRequests = 1 }
            $0.deployments[2].requestsPerMinute = 30
            $0.queueTimeout = .seconds(600)
        }
        let simulation = Simulation(
            router, providers: Array(repeating: Provider(), count: 3), seed: seed)
        populate(simulation, count: 300, every: 0.01, deadline: 600, streaming: nil) {
            $1.priority = $0 % 3
        }
        simulation.run()
        #expect(simulation.answered == 300, "seed \(seed): \(simulation.firstFailure)")
        expectAtRest(simulation, seed)
    }

    /// The same seed gives the same course, to the last token.
    @Test func theSameSeedGivesTheSameCourse() {
        func course() -> [DeploymentUsage] {
            let router = router("a a a b") { $0.fallbacks = ["a": ["b"]] }
            let provider = Provider(behaviour: { _, world in
                world.below(3) == 0 ? .fails(.serverError) : .answers
            })
            let simulation = Simulation(router, providers: Array(repeating: provider, count: 4), seed: 11)
            populate(simulation, count: 500, every: 0.05, deadline: 20, streaming: nil, leaving: true)
            simulation.run()
            return router.usage(now: simulation.now)
        }
        #expect(course() == course())
    }

    /// A failed reply is just when each deployment of the call's targets was tried in this call, or has no
    /// room, or cools down since its provider said so.
    private static func expectJust(
        _ failure: RouteFailure, _ call: SimulatedCall, _ router: Router, _ now: Instant
    ) {
        switch failure.outcome {
        case .unavailable, .limited, .providerAuthentication: break
        default: return
        }
        for (index, usage) in router.usage(now: now).enumerated() {
            let deployment = router.configuration.deployments[index]
            let tokens = usage.tokensUsed + usage.tokensReserved + call.traits.size.tokens
            let isFull =
                tokens > deployment.tokensPerMinute ?? .max
                || usage.requests >= deployment.requestsPerMinute ?? .max
                || usage.inFlight >= deployment.maxParallelRequests ?? .max
            let wasTried = failure.attempts.contains { $0.deployment == index }
            let isLeftAlone = usage.coolingCause == .rateLimited
            #expect(
                isFull || wasTried || isLeftAlone, "\(deployment.id) could have served: \(describe(failure))")
        }
    }
}

/// Adds calls at a steady rate. `streaming`: nil for every second one.
private func populate(
    _ simulation: Simulation, count: Int, every seconds: Double, deadline: Double, streaming: Bool?,
    leaving: Bool = false, change: (Int, inout CallTraits) -> Void = { _, _ in }
) {
    var random = RandomSource(seed: 99)
    for index in 0..<count {
        let arrival = Double(index) * seconds
        let tokens = 50 + random.below(400)
        var traits = CallTraits(
            modelGroup: 0, estimatedTokens: tokens, isStreaming: streaming ?? (index % 2 == 0),
            deadline: at(arrival + deadline))
        change(index, &traits)
        let leaves = leaving && random.below(10) == 0 ? random.fraction() * 2 : nil
        simulation.add(traits, at: at(arrival), actualTokens: 1 + random.below(tokens), leavesAfter: leaves)
    }
}

extension Simulation {
    private var failed: [RouteFailure] {
        calls.compactMap { if case .failed(let failure) = $0.end { failure } else { nil } }
    }
    var failures: Int { failed.count }
    var retries: Int { providers.reduce(0) { $0 + $1.requests } - calls.count }
    var firstFailure: String { failed.first.map(describe) ?? "" }
    /// Of all calls that were answered, the sum of their times.
    var secondsInAll: Double {
        calls.reduce(0) { sum, call in
            guard let answered = call.route.report.answered, case .answered = call.end else { return sum }
            return sum + (answered.startedAt + answered.duration - call.arrivesAt) / .seconds(1)
        }
    }
    var answered: Int {
        calls.count { if case .answered = $0.end { true } else { false } }
    }
}

/// No reservation is left, and the router counted what the providers counted.
private func expectAtRest(_ simulation: Simulation, _ seed: UInt64) {
    for (index, usage) in simulation.router.usage(now: simulation.now).enumerated() {
        #expect(usage.inFlight == 0, "seed \(seed)")
        #expect(usage.tokensReserved == 0, "seed \(seed)")
        #expect(usage.tokensOutstanding == 0, "seed \(seed)")
        #expect(usage.requestsInTotal == simulation.providers[index].requests, "seed \(seed)")
        #expect(usage.tokensInTotal == simulation.providers[index].tokens, "seed \(seed)")
    }
}

private func describe(_ failure: RouteFailure) -> String {
    let attempts = failure.attempts.map {
        "d\($0.deployment ?? -1) \($0.failureDescription) at \($0.startedAt.sinceStart)"
    }
    return "\(failure.outcome) after \(attempts.joined(separator: ", "))"
}
