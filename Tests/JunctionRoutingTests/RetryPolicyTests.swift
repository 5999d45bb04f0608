// The table of failures, row by row: same deployment, other deployments, fallback, what the caller hears.
import Testing

@testable import JunctionRouting

/// What one kind of failure leads to, as a caller of `Route` sees it. One row of the failure table.
struct FailureCase: Sendable {
    var kind: Failure.Kind
    /// Alone in its group, without fallbacks: the same deployment is asked again.
    var same: SameDeployment
    var other: Bool
    var fallback: FallbackKind?
    var outcome: RouteFailure.Outcome

    init(
        _ kind: Failure.Kind, same: SameDeployment, other: Bool, fallback: FallbackKind?,
        _ outcome: RouteFailure.Outcome
    ) {
        (self.kind, self.same, self.other, self.fallback, self.outcome) = (
            kind, same, other, fallback, outcome
        )
    }
}

private let table = [
    FailureCase(.connection, same: .onceAtOnce, other: true, fallback: .general, .unavailable),
    FailureCase(.serverError, same: .afterBackOff, other: true, fallback: .general, .unavailable),
    FailureCase(.overloaded, same: .afterBackOff, other: true, fallback: .general, .unavailable),
    FailureCase(.rateLimited, same: .afterBackOff, other: true, fallback: .general, .limited),
    FailureCase(.quotaExhausted, same: .never, other: true, fallback: .general, .limited),
    FailureCase(.authentication, same: .never, other: true, fallback: .general, .providerAuthentication),
    FailureCase(.notFound, same: .never, other: true, fallback: .general, .unavailable),
    FailureCase(.badRequest, same: .never, other: false, fallback: nil, .badRequest),
    FailureCase(
        .contextWindowExceeded, same: .never, other: false, fallback: .contextWindow, .contextWindowExceeded),
    FailureCase(.contentPolicy, same: .never, other: false, fallback: .contentPolicy, .contentPolicy),
    FailureCase(.malformedResponse, same: .afterBackOff, other: true, fallback: .general, .unavailable),
    FailureCase(.streamCut, same: .afterBackOff, other: true, fallback: .general, .unavailable),
    FailureCase(.timeout, same: .never, other: true, fallback: .general, .unavailable),
    FailureCase(.cancelled, same: .never, other: false, fallback: nil, .cancelled),
]

@Suite struct RetryPolicyTests {
    @Test func theTableIsComplete() {
        #expect(table.map(\.kind).count == Failure.Kind.allCases.count)
        #expect(Set(table.map(\.kind)) == Set(Failure.Kind.allCases))
    }

    @Test(arguments: table) func theSameDeployment(row: FailureCase) {
        var call = TestCall(router("a"))
        #expect(call.start().deployment == 0)
        let action = call.fail(row.kind)
        switch row.same {
        case .never, .whenNothingElse: #expect(action.failure?.outcome == row.outcome)
        case .onceAtOnce:
            #expect(action.deployment == 0)
            #expect(call.fail(row.kind).failure?.outcome == row.outcome, "once")
        case .afterBackOff:
            guard let until = action.waitsUntil else { return #expect(Bool(false), "no wait: \(action)") }
            #expect(until <= Instant(BackOff.base))
            #expect(call.wake(until).deployment == 0)
        }
    }

    /// A provider that gave up (408, 504) left time to ask it again; an attempt whose time is over did not.
    @Test func aTimeoutOfTheProvidersOwnIsBackedOffFrom() {
        var call = TestCall(router("a"))
        _ = call.start()
        let failure = Failure(.timeout, httpStatus: 504, message: "the provider answered 504")
        let action = call.route.failed(failure, now: at(1), random: &call.random)
        #expect(action.waitsUntil.map { call.wake($0).deployment } == 0)
    }

    @Test(arguments: table) func anotherDeployment(row: FailureCase) {
        var call = TestCall(router("a a"))
        let first = call.start().deployment!
        let action = call.fail(row.kind)
        if row.other {
            #expect(action.deployment == 1 - first, "at once, and elsewhere")
        } else {
            #expect(action.failure?.outcome == row.outcome)
        }
    }

    @Test(arguments: table) func fallbacks(row: FailureCase) {
        let kinds: [(FallbackKind, Int)] = [(.general, 1), (.contextWindow, 2), (.contentPolicy, 3)]
        let router = router("a b c d") {
            $0.fallbacks = ["a": ["b"]]
            $0.contextWindowFallbacks = ["a": ["c"]]
            $0.contentPolicyFallbacks = ["a": ["d"]]
        }
        var call = TestCall(router, retries: 0)
        #expect(call.start().deployment == 0)
        let action = call.fail(row.kind)
        if let fallback = row.fallback {
            #expect(action.deployment == kinds.first { $0.0 == fallback }!.1)
            #expect(call.route.report.fallbackUsed)
        } else {
            #expect(action.failure?.outcome == row.outcome)
        }
    }

    @Test(arguments: table) func withoutRetriesOrFallbacksTheOutcomeIsTheTables(row: FailureCase) {
        var call = TestCall(router("a"), retries: 0)
        _ = call.start()
        let failure = call.fail(row.kind).failure
        #expect(failure?.outcome == row.outcome)
        #expect(failure?.attempts.map(\.outcome?.kind) == [row.kind])
        #expect(failure?.message.isEmpty == false)
    }

    /// How many of five deployments are asked by a call that each fails so.
    private func attempts(_ kind: Failure.Kind, _ change: (inout RouterConfiguration) -> Void) -> Int {
        var call = TestCall(router("a a a a a", change: change))
        var action = call.start()
        while action.attempt != nil { action = call.fail(kind) }
        return call.route.report.attempts.count
    }

    @Test(arguments: [
        (Failure.Kind.badRequest, RetryClass.badRequest), (.authentication, .authentication),
        (.timeout, .timeout), (.rateLimited, .rateLimit), (.quotaExhausted, .rateLimit),
        (.contentPolicy, .contentPolicy), (.serverError, .internalServer), (.connection, .internalServer),
        (.overloaded, .internalServer), (.malformedResponse, .internalServer), (.streamCut, .internalServer),
    ])
    func aPolicySetsTheRetriesOfItsClassAndOfNoOther(kind: Failure.Kind, retryClass: RetryClass) {
        for retries in 0...3 {
            let set = attempts(kind) {
                $0.numRetries = 1
                $0.retryPolicy = [retryClass: retries]
            }
            #expect(set == retries + 1)
        }
        let plain = attempts(kind) { $0.numRetries = 1 }
        let ofOthers = attempts(kind) {
            $0.numRetries = 1
            $0.retryPolicy = RetryClass.allCases.filter { $0 != retryClass }.reduce(into: [:]) { $0[$1] = 3 }
        }
        #expect(ofOthers == plain)
    }

    @Test func aGroupsPolicyStandsInThePlaceOfTheRouters() {
        let count = attempts(.timeout) {
            $0.numRetries = 0
            $0.retryPolicy = [.timeout: 3, .rateLimit: 3]
            $0.modelGroupRetryPolicies = ["a": [.rateLimit: 2]]
        }
        #expect(count == 1, "as a whole: num_retries holds for what it leaves out")
        #expect(attempts(.timeout) { $0.modelGroupRetryPolicies = ["a": [.timeout: 2]] } == 3)
        #expect(attempts(.timeout) { $0.modelGroupRetryPolicies = ["b": [.timeout: 2]] } == 5)
    }

    @Test func theCallersWordComesBeforeAPolicyAndAPolicyBeforeTheDeployments() {
        func configured(_ configuration: inout RouterConfiguration) {
            configuration.retryPolicy = [.timeout: 1]
            for index in 0..<5 { configuration.deployments[index].numRetries = 4 }
        }
        #expect(attempts(.timeout, configured) == 2)
        var call = TestCall(router("a a a a a", change: configured), retries: 0)
        _ = call.start()
        #expect(call.fail(.timeout).failure != nil)
    }

    /// A request that others find wrong too goes no further than its own model group.
    @Test func aRetriedBadRequestHasNoFallback() {
        let router = router("a a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.retryPolicy = [.badRequest: 2]
        }
        var call = TestCall(router)
        _ = call.start()
        #expect(call.fail(.badRequest).attempt != nil)
        #expect(call.fail(.badRequest).failure?.outcome == .badRequest)
    }

    @Test func backOffIsFullJitterThatDoublesUpToTheCap() {
        var random = RandomSource(seed: 1)
        for (round, bound) in [(0, 50), (1, 100), (2, 200), (5, 1_600), (6, 2_000), (60, 2_000)] {
            let delays = (0..<500).map { _ in BackOff.delay(round: round, random: &random) }
            #expect(delays.allSatisfy { $0 >= .zero && $0 <= .milliseconds(bound) })
            #expect(delays.max()! > .milliseconds(bound) * 9 / 10)
            #expect(delays.min()! < .milliseconds(bound) / 10)
        }
    }
}
