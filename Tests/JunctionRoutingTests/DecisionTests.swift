// What a call that asks to be explained is told of each choice.
import Testing

@testable import JunctionRouting

private func route(
    _ router: Router, tokens: Int = 10, change: (inout CallTraits) -> Void = { _ in }
) -> Route {
    var traits = CallTraits(modelGroup: 0, estimatedTokens: tokens, isStreaming: true)
    traits.explains = true
    change(&traits)
    return Route(router: router, call: traits, now: .zero)
}

@Suite struct DecisionTests {
    @Test func nothingIsKeptUnasked() {
        var call = TestCall(router("a a"))
        _ = call.start()
        #expect(call.route.report.decisions.isEmpty)
    }

    @Test func eachChoiceNamesTheChosenAndWhatSpokeAgainstTheOthers() {
        let router = router("a a a b") {
            $0.fallbacks = ["a": ["b"]]
            $0.deployments[0].order = 2
            $0.deployments[1].order = 1
            $0.deployments[2].order = 1
            $0.deployments[2].tokensPerMinute = 5
        }
        var call = route(router)
        var random = RandomSource(seed: 1)
        #expect(call.start(now: .zero, random: &random).deployment == 1)
        #expect(call.failed(failure(.timeout), now: .zero, random: &random).deployment == 0)
        #expect(call.failed(failure(.timeout), now: .zero, random: &random).deployment == 3)
        let decisions = call.report.decisions
        #expect(decisions.map { $0.candidates.map(\.deployment) }.first == [0, 1, 2])
        let chosen = decisions.map { $0.candidates.first(where: \.isChosen)?.deployment }
        #expect(chosen.compactMap(\.self) == [1, 0, 3])
        #expect(
            decisions[0].candidates.map(\.obstacles) == [[.laterOrder], [], [.tokens(limit: 5, counted: 0)]])
        #expect(decisions[1].candidates[1].obstacles == [.tried])
        for decision in decisions {
            for candidate in decision.candidates { #expect(!decision.reason(for: candidate).isEmpty) }
        }
    }

    @Test func aSessionIsNamed() {
        var call = route(router("a a")) { $0.session = SessionKey(Array("s".utf8).span) }
        var random = RandomSource(seed: 1)
        _ = call.start(now: .zero, random: &random)
        let decision = call.report.decisions[0]
        let chosen = decision.candidates.first(where: \.isChosen)!
        #expect(decision.isBySession && decision.reason(for: chosen).contains("session"))
        #expect(decision.candidates.first { !$0.isChosen }?.obstacles == [.notFirst])
    }

    @Test func whereNothingIsChosenTheReasonsAreTold() {
        let router = router("a") { $0.deployments[0].maxParallelRequests = 1 }
        var busy = TestCall(router)
        _ = busy.start()
        var call = route(router)
        var random = RandomSource(seed: 1)
        #expect(call.start(now: .zero, random: &random).failure != nil)
        #expect(call.report.decisions[0].candidates.map(\.obstacles) == [[.parallelRequests(limit: 1)]])
    }

    @Test func whatASecondAttemptMissesIsNamed() {
        let router = router("a a") {
            $0.deployments[0].order = 1
            $0.deployments[1].maxParallelRequests = 1
            $0.hedging = Hedging(isEnabled: true, delay: .seconds(1))
        }
        var busy = TestCall(router, "d1")
        _ = busy.start()
        var call = route(router)
        var random = RandomSource(seed: 1)
        _ = call.start(now: .zero, random: &random)
        _ = call.hedgeTimerFired(attempt: 0, now: at(1), random: &random)
        #expect(
            call.report.decisions[1].candidates.map(\.obstacles) == [
                [.tried], [.halfUsed, .parallelRequests(limit: 1)],
            ])
    }

    @Test func whoCannotGoOnIsNamed() {
        let router = router("a a") { $0.rescuesStreams = true }
        var call = route(router)
        var random = RandomSource(seed: 1)
        let first = call.start(now: .zero, random: &random).deployment!
        call.committed(attempt: 0, now: .zero)
        _ = call.failed(failure(.streamCut), attempt: 0, canGoOn: true, now: .zero, random: &random)
        let other = call.report.decisions[1].candidates[1 - first]
        #expect(other.obstacles == [.doesNotContinue])
    }
}
