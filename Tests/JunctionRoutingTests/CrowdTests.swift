// All that a call can ask for and all that can become of it, on eight threads at once: nothing is lost.
// Meant for Thread Sanitizer too: ROUTING_CALLS=1000000 swift test --sanitize=thread --filter CrowdTests
import Foundation
import Synchronization
import Testing

@testable import JunctionRouting

@Suite struct CrowdTests {
    /// Sessions, queues, hedges, late attempts, streams that break off and are gone on with, fallbacks, callers
    /// that leave; alone, and with limits shared over a store.
    @Test(arguments: [false, true]) func nothingIsLost(sharesLimits: Bool) {
        let calls = ProcessInfo.processInfo.environment["ROUTING_CALLS"].flatMap(Int.init) ?? 4_000
        let router = router("a a a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.deployments[0].requestsPerMinute = 2_000
            $0.deployments[1].tokensPerMinute = 90_000
            $0.deployments[2].maxParallelRequests = 3
            for index in 0..<4 { $0.deployments[index].continuesText = true }
            $0.hedging = Hedging(isEnabled: true)
            $0.hedgeBudget = 0.5
            $0.rescuesStreams = true
            $0.queueTimeout = .seconds(2)
            $0.queueSize = 20
            $0.sharing = sharesLimits ? Sharing(mode: .leased, name: "one") : nil
        }
        let crowd = Crowd(router, calls: calls)
        let done = DispatchGroup()
        for number in 0..<8 {
            done.enter()
            Thread {
                let thread = CrowdThread(crowd, seed: UInt64(number))
                thread.run()
                done.leave()
            }.start()
        }
        done.wait()
        let usage = router.usage(now: crowd.now)
        #expect(usage.allSatisfy { $0.inFlight == 0 && $0.tokensReserved == 0 && $0.tokensOutstanding == 0 })
        #expect(usage.reduce(0) { $0 + $1.requestsInTotal } == crowd.attempts.value)
        #expect(crowd.answers.value > calls / 8)
        let others = [crowd.lapses, crowd.rescues, crowd.waits, crowd.wakes, crowd.losers].map(\.value)
        #expect(others.allSatisfy { $0 > 0 } && (crowd.hedges.value > 0 || sharesLimits), "\(others)")
    }
}

/// What all threads see.
private final class Crowd: Sendable {
    let router: Router
    let calls: Int
    let begun = Atomic(0)
    let attempts = Count()
    /// Events so far: each takes 5 ms.
    private let ticks = Atomic(0)
    private let store: Mutex<InProcessUsageStore>
    let (answers, lapses, hedges, rescues) = (Count(), Count(), Count(), Count())
    let (waits, wakes, losers) = (Count(), Count(), Count())

    init(_ router: Router, calls: Int) {
        (self.router, self.calls) = (router, calls)
        let start = ContinuousClock.now
        store = Mutex(InProcessUsageStore { .seconds(1_000) + (ContinuousClock.now - start) })
    }

    var now: Instant { at(Double(ticks.load(ordering: .relaxed)) * 0.005) }

    func tick() -> Int { ticks.add(1, ordering: .relaxed).newValue }

    func answer(to ask: SharedAsk) -> StoreAnswer<SharedReply> {
        store.withLock { store in
            var answer: StoreAnswer<SharedReply>?
            store.reserve(ask.request, of: ask.member) { answer = $0 }
            return answer!
        }
    }

    func exchange() {
        for group in 0..<router.modelGroupCount {
            let sentAt = now
            guard let (report, member) = router.report(ofModelGroup: group, now: sentAt) else { continue }
            let answer = store.withLock { store in
                var answer: StoreAnswer<SharedNews>?
                store.exchange(report, of: member) { answer = $0 }
                return answer!
            }
            if let news = answer.content {
                _ = router.learn(news, to: report, ofModelGroup: group, sentAt: sentAt, now: now)
            } else {
                _ = router.part(fromStoreOfModelGroup: group, now: now)
            }
        }
    }
}

/// Sixteen calls at a time, driven by chance.
private final class CrowdThread {
    private final class Running {
        var route: Route
        let isStreaming: Bool
        var attempts: [Int] = []
        /// Not yet answered by the store.
        var asks: [SharedAsk] = []
        var begun: Int?
        var waitsUntil: Instant?
        var isOver = false

        init(_ route: consuming Route, isStreaming: Bool) {
            self.route = route
            self.isStreaming = isStreaming
        }
    }

    private let crowd: Crowd
    private var random: RandomSource
    private let woken = WokenCalls()
    private var running: [Running?] = Array(repeating: nil, count: 16)

    init(_ crowd: Crowd, seed: UInt64) {
        self.crowd = crowd
        random = RandomSource(seed: seed)
    }

    func run() {
        while true {
            if crowd.tick() % 100 == 0 { crowd.exchange() }
            let index = random.below(running.count)
            if running[index].map({ $0.isOver && $0.asks.isEmpty }) ?? true {
                guard crowd.begun.add(1, ordering: .relaxed).newValue <= crowd.calls else { break }
                begin(index)
            } else {
                step(running[index]!)
            }
            for index in woken.takeAll() where running[index]?.isOver == false {
                crowd.wakes.add(1)
                perform(running[index]!.route.woken(now: crowd.now, random: &random), running[index]!)
            }
        }
        for one in running {
            guard let one else { continue }
            leave(one)
            while let ask = one.asks.popLast() { answer(ask, one) }
        }
    }

    private func answer(_ ask: SharedAsk, _ one: Running) {
        let answer = crowd.answer(to: ask)
        perform(one.route.reserved(ask, answer, now: crowd.now, random: &random), one)
    }

    private func begin(_ index: Int) {
        let now = crowd.now
        var traits = CallTraits(
            modelGroup: 0, estimatedTokens: 10 + random.below(100), isStreaming: random.below(2) == 0,
            deadline: now + .seconds(20))
        traits.priority = random.below(256)
        if random.below(2) == 0 {
            traits.session = SessionKey([UInt8(random.below(5))].span)
        }
        let one = Running(
            Route(router: crowd.router, call: traits, now: now), isStreaming: traits.isStreaming)
        one.route.wake = { [woken] in woken.add(index) }
        running[index] = one
        perform(one.route.start(now: now, random: &random), one)
        if let first = one.attempts.first, random.below(4) == 0 {
            perform(one.route.hedgeTimerFired(attempt: first, now: crowd.now, random: &random), one)
        }
    }

    private func step(_ one: Running) {
        let now = crowd.now
        if !one.asks.isEmpty, random.below(2) == 0 { return answer(one.asks.removeFirst(), one) }
        if one.isOver { return }
        if let until = one.waitsUntil, until <= now {
            one.waitsUntil = nil
            return perform(one.route.timerFired(now: now, random: &random), one)
        }
        guard let attempt = one.attempts.isEmpty ? nil : one.attempts[random.below(one.attempts.count)] else {
            if random.below(50) == 0 { leave(one) }
            return
        }
        switch random.below(12) {
        case 0...3:
            if one.isStreaming, one.begun == nil { return commit(attempt, one) }
            one.attempts.removeAll { $0 == attempt }
            one.isOver = true
            crowd.answers.add(1)
            perform(one.route.finished(attempt: attempt, usage: used, now: now), one)
        case 4 where one.isStreaming && one.begun == nil: commit(attempt, one)
        case 5, 6:
            if one.begun == nil { crowd.lapses.add(1) }
            perform(one.route.lapsed(attempt: attempt, now: now, random: &random), one)
        case 7: perform(one.route.hedgeTimerFired(attempt: attempt, now: now, random: &random), one)
        case 8, 9:
            let kinds: [Failure.Kind] = [
                .serverError, .rateLimited, .timeout, .connection, .authentication,
            ]
            one.attempts.removeAll { $0 == attempt }
            let isCut = one.begun == attempt
            let action = one.route.failed(
                failure(isCut ? .streamCut : kinds[random.below(kinds.count)]), attempt: attempt,
                usage: isCut ? used : nil, canGoOn: true, now: now, random: &random)
            if isCut { one.begun = nil }
            perform(action, one)
        case 10 where random.below(5) == 0: leave(one)
        default: break
        }
    }

    private var used: TokenUsage { TokenUsage(prompt: 7, completion: 3) }

    private func commit(_ attempt: Int, _ one: Running) {
        one.begun = attempt
        perform(one.route.committed(attempt: attempt, now: crowd.now), one)
    }

    private func leave(_ one: Running) {
        if one.isOver { return }
        one.isOver = true
        one.route.cancelled(now: crowd.now) { _ in nil }
    }

    private func perform(_ action: Action, _ one: Running) {
        switch action {
        case .attempt(let attempt):
            crowd.attempts.add(1)
            if attempt.kind == .hedge { crowd.hedges.add(1) }
            if attempt.kind == .rescue { crowd.rescues.add(1) }
            one.attempts.append(attempt.number)
        case .abandon(let attempt):
            crowd.losers.add(1)
            one.attempts.removeAll { $0 == attempt }
            perform(one.route.outrun(attempt: attempt, usage: used, now: crowd.now), one)
        case .wait(let until):
            crowd.waits.add(1)
            one.waitsUntil = until
        case .reserve(let ask): one.asks.append(ask)
        case .reply: one.isOver = true
        case .none: break
        }
    }
}
