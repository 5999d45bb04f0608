// Many threads on one router: what each reserves is checked and taken in one step. Meant for Thread
// Sanitizer too: ROUTING_CALLS=1000000 swift test --sanitize=thread --filter ThreadTests
import Foundation
import Synchronization
import Testing

@testable import JunctionRouting

@Suite struct ThreadTests {
    private static let threads = 8
    private static let callsEach = 2_000

    /// Runs the same work on eight threads and returns when all are done.
    private func onThreads(_ work: @escaping @Sendable (Int) -> Void) {
        let done = DispatchGroup()
        for number in 0..<Self.threads {
            done.enter()
            Thread {
                work(number)
                done.leave()
            }.start()
        }
        done.wait()
    }

    /// More calls than fit into the minute: exactly as many as fit are admitted.
    @Test func limitsAreExactUnderEightThreads() {
        let router = router("a a a") {
            $0.deployments[0].requestsPerMinute = 1_000
            $0.deployments[1].tokensPerMinute = 25_000
            $0.deployments[2].requestsPerMinute = 500
            $0.deployments[2].tokensPerMinute = 1_000_000
        }
        let admitted = Atomic(0)
        onThreads { number in
            var random = RandomSource(seed: UInt64(number))
            for index in 0..<Self.callsEach {
                let traits = CallTraits(modelGroup: 0, estimatedTokens: 10, isStreaming: false)
                var route = Route(router: router, call: traits, now: .zero)
                guard route.start(now: .zero, random: &random).deployment != nil else { continue }
                admitted.add(1, ordering: .relaxed)
                // Every end a call can have; none gives room back here, but for the tokens not used.
                switch index % 3 {
                case 0, 1: route.finished(usage: TokenUsage(prompt: 10, completion: 0), now: .zero)
                default: route.cancelled(usage: TokenUsage(prompt: 10, completion: 0), now: .zero)
                }
            }
        }
        #expect(admitted.load(ordering: .relaxed) == 1_000 + 2_500 + 500)
        let usage = router.usage(now: .zero)
        #expect(usage.map(\.requests) == [1_000, 2_500, 500])
        #expect(usage.map(\.tokensUsed) == [10_000, 25_000, 5_000])
        #expect(usage.allSatisfy { $0.inFlight == 0 && $0.tokensReserved == 0 && $0.tokensOutstanding == 0 })
    }

    /// Failures, cooldowns, fallbacks and minutes that roll over, all at once: nothing is lost.
    @Test func nothingLeaksUnderEightThreads() {
        let router = router("a a a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.deployments[0].maxParallelRequests = 2
        }
        let attempts = Atomic(0)
        onThreads { number in
            var random = RandomSource(seed: UInt64(number + 100))
            for index in 0..<Self.callsEach {
                let now = at(Double(index) * 0.1)
                let traits = CallTraits(
                    modelGroup: 0, estimatedTokens: 10, isStreaming: false, deadline: now + .seconds(5))
                var route = Route(router: router, call: traits, now: now)
                var action = route.start(now: now, random: &random)
                while case .attempt = action {
                    attempts.add(1, ordering: .relaxed)
                    let kinds: [Failure.Kind] = [.serverError, .rateLimited, .timeout, .connection]
                    switch random.below(8) {
                    case let kind where kind < 4:
                        action = route.failed(failure(kinds[kind]), now: now, random: &random)
                    case 4:
                        route.cancelled(usage: nil, now: now)
                        action = .none
                    default:
                        route.finished(usage: TokenUsage(prompt: 7, completion: 0), now: now)
                        action = .none
                    }
                }
            }
        }
        let usage = router.usage(now: at(1_000))
        #expect(usage.map(\.requestsInTotal).reduce(0, +) == attempts.load(ordering: .relaxed))
        #expect(usage.allSatisfy { $0.inFlight == 0 && $0.tokensReserved == 0 && $0.tokensOutstanding == 0 })
    }

    /// Calls of which some use more than was reserved for them, from clocks that are not quite together:
    /// no limit is ever passed by more than that, whichever window counts it, and nothing is left in the end.
    @Test(arguments: RateLimitWindow.allCases)
    func limitsArePassedByNoMoreThanWhatWasUsedBeyondTheEstimate(window: RateLimitWindow) {
        let calls = ProcessInfo.processInfo.environment["ROUTING_CALLS"].flatMap(Int.init) ?? 16_000
        let router = router("a a a") {
            $0.rateLimitWindow = window
            $0.deployments[0].limits = Limits(tokensPerMinute: 60_000, requestsPerMinute: 400)
            $0.deployments[1].limits = Limits(tokensPerMinute: 90_000, maxParallelRequests: 3)
            $0.deployments[2].prices = TokenPrices(input: 0.001, output: 0.001)
            $0.deployments[2].limits.budget = BudgetLimit(dollars: 50, duration: .seconds(60))
            $0.modelGroupLimits["a"] = Limits(tokensPerMinute: 180_000, requestsPerMinute: 1_500)
        }
        // Each call comes 10 ms after the one before: 60 minutes or so, for a million.
        let clock = Atomic(0)
        let beyond = (0...calls / 6_000 + 2).map { _ in Count() }
        let (used, admitted, refused) = (Count(), Count(), Count())
        @Sendable func look(_ now: Instant, _ minute: Int) {
            let usage = router.usage(now: now)
            // A sliding window reaches into the minute before; a clock may be a little ahead or behind.
            let recent = (max(0, minute - 1)...minute + 1).reduce(0) { $0 + beyond[$1].value }
            let counted = usage.map { $0.tokensUsed + $0.tokensReserved }
            #expect(counted[0] <= 60_000 + recent && counted[1] <= 90_000 + recent)
            #expect(counted.reduce(0, +) <= 180_000 + recent)
            #expect(usage[0].requests <= 400 && usage.reduce(0) { $0 + $1.requests } <= 1_500)
            #expect(usage[1].inFlight <= 3)
            #expect(usage.allSatisfy { $0.tokensReserved >= 0 && $0.tokensUsed >= 0 && $0.inFlight >= 0 })
            #expect(router.groups[0].terms[2].purses.spent(now: now) <= 50 + 0.001 * Double(recent) + 1e-6)
        }
        onThreads { number in
            var random = RandomSource(seed: UInt64(number))
            while true {
                let tick = clock.add(1, ordering: .relaxed).newValue
                if tick > calls { return }
                let now = at(Double(tick) * 0.01)
                let traits = CallTraits(
                    modelGroup: 0, estimatedTokens: 50 + random.below(100), isStreaming: false)
                var route = Route(router: router, call: traits, now: now)
                guard case .attempt(let attempt) = route.start(now: now, random: &random) else {
                    refused.add(1)
                    continue
                }
                admitted.add(1)
                let surplus = random.below(10) == 0 ? random.below(50) : -random.below(50)
                let tokens = traits.size.tokens + surplus
                if surplus > 0 { beyond[tick / 6_000].add(surplus) }
                if tick % 50 == 0 { look(now, tick / 6_000) }
                let usage = TokenUsage(prompt: tokens, completion: 0)
                switch random.below(8) {
                case 0:
                    _ = route.failed(
                        failure(.badRequest), attempt: attempt.number, usage: usage, now: now,
                        random: &random)
                case 1: route.cancelled(now: now) { _ in usage }
                default: route.finished(attempt: attempt.number, usage: usage, now: now)
                }
                used.add(tokens)
            }
        }
        let usage = router.usage(now: at(Double(calls) * 0.01))
        #expect(usage.map(\.requestsInTotal).reduce(0, +) == admitted.value)
        #expect(usage.map(\.tokensInTotal).reduce(0, +) == used.value)
        #expect(usage.allSatisfy { $0.inFlight == 0 && $0.tokensReserved == 0 && $0.tokensOutstanding == 0 })
        #expect(admitted.value > calls / 8 && refused.value > calls / 8, "limits were met, and used")
    }
}

/// A number that many threads change.
final class Count: Sendable {
    private let number = Atomic(0)

    func add(_ change: Int) { number.add(change, ordering: .sequentiallyConsistent) }
    var value: Int { number.load(ordering: .sequentiallyConsistent) }
}
