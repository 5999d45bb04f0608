// What is reserved is settled or given back, however a call ends.
import Testing

@testable import JunctionRouting

@Suite struct ReservationTests {
    @Test func aDroppedRouteGivesBackWhatItReserved() {
        let router = router("a")
        do {
            var call = TestCall(router, tokens: 100)
            #expect(call.start().deployment == 0)
            #expect(router.usage(now: at(0))[0].tokensOutstanding == 100)
        }
        let usage = router.usage(now: at(0))[0]
        #expect(usage.inFlight == 0)
        #expect(usage.tokensReserved == 0)
        #expect(usage.tokensOutstanding == 0)
        #expect(usage.requests == 1)
    }

    @Test(arguments: [
        (committed: false, used: nil as Int?, counted: 0), (false, 30, 30), (true, nil, 100), (true, 30, 30),
    ])
    func aCallerThatLeavesSettles(committed: Bool, used: Int?, counted: Int) {
        let router = router("a")
        var call = TestCall(router, tokens: 100, streaming: true)
        #expect(call.start().deployment == 0)
        if committed { call.route.committed(now: at(1)) }
        call.route.cancelled(usage: used.map { TokenUsage(prompt: $0, completion: 0) }, now: at(2))
        let usage = router.usage(now: at(2))[0]
        #expect(usage.tokensUsed == counted)
        #expect(usage.tokensOutstanding == 0)
        #expect(usage.inFlight == 0)
    }

    @Test func eventsAfterTheEndChangeNothing() {
        let router = router("a a")
        var call = TestCall(router)
        _ = call.start()
        call.finish(tokens: 70)
        #expect(call.fail(.serverError).isNone)
        #expect(call.wake(at(1)).isNone)
        call.finish(tokens: 70)
        call.route.cancelled(usage: nil, now: at(1))
        let usage = router.usage(now: at(1))
        #expect(usage.map(\.tokensUsed).reduce(0, +) == 70)
        #expect(usage.map(\.inFlight) == [0, 0])
        #expect(call.route.report.answered != nil)
    }
}
