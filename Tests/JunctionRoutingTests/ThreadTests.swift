// Many threads on one router: what each reserves is checked and taken in one step. Meant for Thread
// Sanitizer too.
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
}
