// After a cooldown one call finds out whether a deployment answers again, and what follows from that.
import Testing

@testable import JunctionRouting

/// Two deployments, of which d0 is preferred and cools down until second 5.
private func cooledDown() -> Router {
    let router = router("a a") { $0.deployments[0].order = 1 }
    router.make("d0", fail: .serverError, times: 5)
    return router
}

extension Router {
    /// Which deployment a call is sent to that is dropped at once.
    fileprivate func next(_ now: Double) -> Int? {
        var call = TestCall(self, now: now)
        return call.start(now).deployment
    }
}

@Suite struct ProbeTests {
    @Test func oneCallProbesUntilItAnswers() {
        let router = cooledDown()
        var probe = TestCall(router, now: 5)
        #expect(probe.start(5).deployment == 0)
        #expect(router.next(5) == 1)
        #expect(router.next(9.9) == 1)
        probe.finish(9.9)
        var next = TestCall(router, now: 9.9)
        #expect(next.start(9.9).deployment == 0)
        #expect(router.next(9.9) == 0, "no more probing")
    }

    @Test func aStreamsFirstContentIsAnAnswer() {
        let router = cooledDown()
        var probe = TestCall(router, streaming: true, now: 5)
        #expect(probe.start(5).deployment == 0)
        probe.route.committed(now: at(6))
        var other = TestCall(router, now: 6)
        #expect(other.start(6).deployment == 0)
        #expect(router.next(6) == 0)
    }

    @Test func aProbeThatNobodyWaitedForLetsTheNextProbe() {
        let router = cooledDown()
        #expect(router.next(5) == 0)
        var probe = TestCall(router, now: 5)
        #expect(probe.start(5).deployment == 0)
        #expect(router.next(5) == 1)
    }

    @Test func aProbeThatHangsGivesWayAfterTheLengthOfTheCooldown() {
        let router = cooledDown()
        var hanging = TestCall(router, now: 5)
        #expect(hanging.start(5).deployment == 0)
        #expect(router.next(10) == 0)
    }

    @Test func aFailedProbeDoublesTheCooldownUpToTheCap() {
        let router = cooledDown()
        var now = 5.0
        for length in [10.0, 20, 40, 80, 120, 120] {
            router.make("d0", fail: .serverError, now)
            #expect(router.usage(now: at(now))[0].coolingUntil == at(now + length))
            now += length
        }
        router.use("d0", tokens: 1, now)
        router.make("d0", fail: .serverError, times: 5, now)
        #expect(router.usage(now: at(now))[0].coolingUntil == at(now + 5), "an answer ends it")
    }

    @Test func aRequestThatIsWrongIsAnAnswerToo() {
        let router = cooledDown()
        router.make("d0", fail: .badRequest, 5)
        router.make("d0", fail: .serverError, 5)
        #expect(router.next(5) == 0)
    }

    @Test func aProbeIsToldToWaitAsAnyCall() {
        let router = cooledDown()
        router.make("d0", fail: .rateLimited, retryAfter: .seconds(1), 5)
        #expect(router.usage(now: at(5))[0].coolingUntil == at(6))
    }

    /// d1 fails too while d0 is being probed: the call goes to d0 rather than fail.
    @Test func aCallWithoutAnotherWayDoesNotFailForTheSakeOfAProbe() {
        let router = cooledDown()
        var probe = TestCall(router, now: 5)
        #expect(probe.start(5).deployment == 0)
        var call = TestCall(router, deadline: 7, now: 5)
        #expect(call.start(5).deployment == 1)
        #expect(call.fail(.timeout, 6).deployment == 0)
    }
}
