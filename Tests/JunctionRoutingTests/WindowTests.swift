// The two ways of counting a minute: what they admit, and when they have room again.
import Testing

@testable import JunctionRouting

private func sliding(_ groups: String, change: (inout RouterConfiguration) -> Void) -> Router {
    router(groups) {
        $0.rateLimitWindow = .sliding
        change(&$0)
    }
}

/// A call admitted at a moment.
private struct Admission {
    var at: Double
    var tokens: Int
}

@Suite struct WindowTests {
    @Test func aSecondLeavesAfterSixtyOthers() {
        let router = sliding("a") { $0.deployments[0].requestsPerMinute = 2 }
        router.use("a", tokens: 1, 0.9)
        router.use("a", tokens: 1, 30)
        var early = TestCall(router, now: 60.99)
        let failure = early.start(60.99).failure
        #expect(failure?.outcome == .limited)
        var call = TestCall(router, now: 61)
        #expect(call.start(61).deployment == 0)
        #expect(router.usage(now: at(61))[0].requests == 2)
        #expect(router.usage(now: at(91))[0].requests == 1)
        #expect(router.usage(now: at(122))[0].requests == 0)
    }

    @Test func theShortageSaysWhenEnoughHasLeft() {
        let router = sliding("a") { $0.deployments[0].tokensPerMinute = 100 }
        router.use("a", tokens: 40, 3)
        router.use("a", tokens: 60, 10.5)
        for (tokens, wait) in [(40, 44.0), (41, 51)] {
            var call = TestCall(router, tokens: tokens, now: 20)
            #expect(call.start(20).failure?.retryAfter == .seconds(wait))
        }
    }

    /// Whatever comes when: in no 60 seconds do more than the limits pass, and a call that the limits would
    /// admit at the end of each second of the minute before it is admitted.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func neverMoreThanTheLimitInAnySixtySeconds(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let router = sliding("a") {
            $0.deployments[0].tokensPerMinute = 1_000
            $0.deployments[0].requestsPerMinute = 30
        }
        var admitted: [Admission] = []
        var now = 0.0
        for _ in 0..<4_000 {
            now += random.fraction() * (random.below(50) == 0 ? 90 : 1)
            let tokens = 1 + random.below(80)
            var call = TestCall(router, tokens: tokens, now: now)
            let isAdmitted = call.start(now).deployment != nil
            if isAdmitted {
                admitted.append(Admission(at: now, tokens: tokens))
                call.finish(tokens: tokens, now)
            } else {
                let recent = admitted.suffix(31).filter { $0.at >= now.rounded(.down) - 60 }
                let isFull = recent.count >= 30 || recent.reduce(tokens) { $0 + $1.tokens } > 1_000
                #expect(isFull, "seed \(seed) at \(now)")
            }
        }
        for (index, last) in admitted.enumerated() {
            let window = admitted[max(0, index - 40)...index].filter { $0.at > last.at - 60 }
            #expect(window.count <= 30, "seed \(seed) at \(last.at)")
            #expect(window.reduce(0) { $0 + $1.tokens } <= 1_000, "seed \(seed) at \(last.at)")
        }
        #expect(admitted.count > 1_000)
    }

    /// The fixed minute lets twice the limit through in a second; the sliding one does not.
    @Test(arguments: [(RateLimitWindow.fixed, 20), (.sliding, 10)])
    func whatPassesAtTheBorderOfAMinute(window: RateLimitWindow, passes: Int) {
        let router = router("a") {
            $0.rateLimitWindow = window
            $0.deployments[0].requestsPerMinute = 10
        }
        var count = 0
        for call in 0..<40 where router.admits(at: 59.5 + Double(call) / 40) { count += 1 }
        #expect(count == passes)
    }

    /// At saturation no more than the granularity is lost: 60 of 61 seconds.
    @Test func saturationUsesTheLimit() {
        let router = sliding("a") { $0.deployments[0].requestsPerMinute = 60 }
        var count = 0
        for half in 0..<12_200 where router.admits(at: Double(half) / 2) { count += 1 }
        #expect(count == 6_000, "61 seconds for each 60")
    }

    /// A reservation is settled in the second it was made in; after that has left, only the excess counts.
    @Test(arguments: [(used: 40, during: 40, after: 0), (used: 130, during: 130, after: 30)])
    func settlingInASlidingWindow(used: Int, during: Int, after: Int) {
        let router = sliding("a") { _ in }
        var soon = TestCall(router, tokens: 100)
        _ = soon.start(5)
        #expect(router.usage(now: at(30))[0].tokensReserved == 100)
        soon.finish(tokens: used, 60)
        #expect(router.usage(now: at(60))[0].tokensUsed == during)
        #expect(router.usage(now: at(66))[0].tokensUsed == 0)
        var late = TestCall(router, tokens: 100, now: 100)
        _ = late.start(100)
        #expect(router.usage(now: at(161))[0].tokensReserved == 0)
        #expect(router.usage(now: at(161))[0].tokensOutstanding == 100)
        late.finish(tokens: used, 161)
        #expect(router.usage(now: at(161))[0].tokensUsed == after)
        #expect(router.usage(now: at(222))[0].tokensUsed == 0)
    }

    @Test func aLongSilenceForgetsAll() {
        let router = sliding("a a") { $0.deployments[0].requestsPerMinute = 1 }
        router.use("d0", tokens: 9, 1)
        router.use("d1", tokens: 9, 1)
        #expect(router.usage(now: at(10_000)).allSatisfy { $0.requests == 0 && $0.tokensUsed == 0 })
        #expect(router.usage(now: at(10_000)).map(\.tokensInTotal) == [9, 9])
    }

    @Test func theWindowNeverGoesBack() {
        let router = sliding("a") { $0.deployments[0].requestsPerMinute = 1 }
        router.use("a", tokens: 1, 60.001)
        var behind = TestCall(router)
        #expect(behind.start(59.999).failure?.outcome == .limited)
    }
}

extension Router {
    /// Whether a call of one token is admitted; it ends at once.
    fileprivate func admits(at now: Double) -> Bool {
        var call = TestCall(self, tokens: 1, now: now)
        guard call.start(now).deployment != nil else { return false }
        call.finish(tokens: 1, now)
        return true
    }
}
