// When a deployment is cooled down, for how long, and when not.
import Testing

@testable import JunctionRouting

extension Router {
    /// The deployments that are cooling down, and until when.
    fileprivate func cooling(_ now: Double = 0) -> [Int: Instant] {
        usage(now: at(now)).reduce(into: [:]) { $0[$1.deployment] = $1.coolingUntil }
    }
}

@Suite struct HealthTests {
    @Test(arguments: [
        (Failure.Kind.connection, true), (.timeout, true), (.overloaded, true), (.serverError, true),
        (.malformedResponse, true), (.streamCut, true), (.badRequest, false), (.contextWindowExceeded, false),
        (.contentPolicy, false), (.cancelled, false),
    ])
    func fiveFailuresInARowCoolDown(kind: Failure.Kind, counts: Bool) {
        let router = router("a a")
        router.make("d0", fail: kind, times: 4)
        #expect(router.cooling().isEmpty)
        router.make("d0", fail: kind)
        #expect(router.cooling() == (counts ? [0: at(5)] : [:]))
    }

    @Test func moreThanHalfOfFiveCoolsDown() {
        let router = router("a a")
        router.make("d0", fail: .serverError, times: 2)
        router.use("d0", tokens: 1)
        router.use("d0", tokens: 1)
        #expect(router.cooling().isEmpty)
        router.make("d0", fail: .serverError)
        #expect(router.cooling() == [0: at(5)])
    }

    /// An outage must not have to outweigh the good part of its minute first.
    @Test func fiveInARowCoolDownAfterManyAnswers() {
        let router = router("a a")
        for _ in 0..<50 { router.use("d0", tokens: 1) }
        router.make("d0", fail: .serverError, times: 4)
        router.use("d0", tokens: 1)
        router.make("d0", fail: .serverError, times: 4)
        #expect(router.cooling().isEmpty)
        router.make("d0", fail: .serverError)
        #expect(router.cooling() == [0: at(5)])
    }

    @Test func halfDoesNotCoolDown() {
        let router = router("a a")
        for _ in 0..<10 {
            router.use("d0", tokens: 1)
            router.make("d0", fail: .serverError)
        }
        #expect(router.cooling().isEmpty)
    }

    @Test func aNewMinuteStartsTheShareAfresh() {
        let router = router("a a")
        router.make("d0", fail: .serverError, times: 3, 59)
        router.use("d0", tokens: 1, 59)
        router.make("d0", fail: .serverError, 61)
        #expect(router.cooling(61).isEmpty)
    }

    @Test func allowedFailsAreBorne() {
        let router = router("a a") { $0.allowedFails = 7 }
        router.make("d0", fail: .serverError, times: 7)
        #expect(router.cooling().isEmpty)
        router.make("d0", fail: .serverError)
        #expect(router.cooling() == [0: at(5)])
    }

    @Test func theDeploymentsOwnCooldownTimeComesFirst() {
        let router = router("a a a") {
            $0.cooldownTime = .seconds(9)
            $0.deployments[1].cooldownTime = .seconds(2)
        }
        router.make("d0", fail: .serverError, times: 5)
        router.make("d1", fail: .serverError, times: 5)
        #expect(router.cooling() == [0: at(9), 1: at(2)])
    }

    @Test func cooldownTimeZeroMeansNever() {
        let router = router("a a") { $0.cooldownTime = .zero }
        router.make("d0", fail: .serverError, times: 50)
        router.make("d0", fail: .authentication)
        router.make("d0", fail: .rateLimited)
        #expect(router.cooling().isEmpty)
        router.make("d0", fail: .rateLimited, retryAfter: .seconds(3))
        #expect(router.cooling() == [0: at(3)], "the provider's word")
    }

    @Test func theLastUsableDeploymentIsNotCooledDownForFailures() {
        let router = router("a a")
        router.make("d0", fail: .serverError, times: 5)
        router.make("d1", fail: .serverError, times: 50)
        #expect(router.cooling() == [0: at(5)])
        router.make("d1", fail: .serverError, 6)
        #expect(router.cooling(6) == [1: at(11)], "d0 is back")
    }

    @Test func aDeploymentThatIsAloneIsLeftAloneOnlyWhenItSaysSo() {
        let router = router("a")
        router.make("a", fail: .serverError, times: 50)
        router.make("a", fail: .rateLimited)
        #expect(router.cooling().isEmpty)
        router.make("a", fail: .rateLimited, retryAfter: .seconds(7))
        #expect(router.cooling() == [0: at(7)])
    }

    @Test(
        arguments: [
            (Failure.Kind.rateLimited, nil, 5.0), (.rateLimited, 0, 5), (.rateLimited, 0.2, 0.2),
            (.rateLimited, 30, 30),
            (.rateLimited, 900, 120), (.overloaded, 4, 4), (.authentication, nil, 5), (.notFound, nil, 5),
            (.quotaExhausted, nil, 600),
        ] as [(Failure.Kind, Double?, Double)])
    func oneFailureCoolsDown(kind: Failure.Kind, retryAfter: Double?, seconds: Double) {
        let router = router("a a")
        router.make("d0", fail: kind, retryAfter: retryAfter.map { .seconds($0) })
        #expect(router.cooling() == [0: at(seconds)])
        #expect(router.usage(now: at(0))[0].coolingCause == kind)
        #expect(router.cooling(seconds).isEmpty)
    }

    /// The second failure comes from a call that was under way when the first was told to wait.
    @Test(arguments: [(first: 1.0, second: 60.0, until: 60.0), (60, 1, 60)])
    func aLaterWaitLengthensACooldownAndNeverShortensIt(first: Double, second: Double, until: Double) {
        let router = router("a a")
        var one = TestCall(router, "d0", retries: 0)
        var two = TestCall(router, "d0", retries: 0)
        _ = one.start()
        _ = two.start()
        _ = one.fail(.rateLimited, retryAfter: .seconds(first))
        _ = two.fail(.rateLimited, retryAfter: .seconds(second))
        #expect(router.cooling() == [0: at(until)])
    }

    @Test func aCoolingDeploymentIsPassedOver() {
        let router = router("a a")
        router.make("d0", fail: .rateLimited, retryAfter: .seconds(10))
        router.use("d1", tokens: 1_000)
        var during = TestCall(router)
        #expect(during.start(9.9).deployment == 1)
        var after = TestCall(router)
        #expect(after.start(10).deployment == 0)
    }

    /// A class with a number of its own is counted for itself, and cools down with one failure more.
    @Test(arguments: [
        (Failure.Kind.timeout, RetryClass.timeout), (.rateLimited, .rateLimit),
        (.authentication, .authentication), (.badRequest, .badRequest), (.contentPolicy, .contentPolicy),
        (.serverError, .internalServer), (.connection, .internalServer),
    ])
    func aClassMayHaveItsOwnNumberOfAllowedFailures(kind: Failure.Kind, retryClass: RetryClass) {
        let router = router("a a a") { $0.allowedFailsPolicy = [retryClass: 8] }
        router.make("d0", fail: kind, times: 8)
        #expect(router.cooling().isEmpty)
        router.make("d0", fail: kind)
        #expect(router.cooling() == [0: at(5)])
        // Others are judged as ever.
        let other = kind == .timeout ? Failure.Kind.serverError : .timeout
        router.make("d1", fail: other, times: 5)
        #expect(router.cooling() == [0: at(5), 1: at(5)])
    }

    @Test func aGroupsPolicyStandsInThePlaceOfTheRouters() {
        let router = router("a a b b") {
            $0.allowedFailsPolicy = [.timeout: 100]
            $0.modelGroupAllowedFailsPolicies = ["b": [.timeout: 1]]
        }
        router.make("d0", fail: .timeout, times: 20)
        router.make("d2", fail: .timeout, times: 2)
        #expect(router.cooling() == [2: at(5)])
    }

    @Test func aPolicyCountsByTheMinuteAndSparesTheLastUsable() {
        let router = router("a a") { $0.allowedFailsPolicy = [.internalServer: 2] }
        router.make("d0", fail: .serverError, times: 2, 59)
        router.make("d0", fail: .serverError, times: 2, 61)
        #expect(router.cooling(61).isEmpty)
        router.make("d0", fail: .serverError, 61)
        router.make("d1", fail: .serverError, times: 9, 61)
        #expect(router.cooling(61) == [0: at(66)])
    }

    @Test func aPolicyDoesNotOutrankTheProvidersWord() {
        let router = router("a a") { $0.allowedFailsPolicy = [.rateLimit: 100] }
        router.make("d0", fail: .rateLimited, retryAfter: .seconds(9))
        #expect(router.cooling() == [0: at(9)])
    }
}
