// A stream that breaks off after its first content goes on elsewhere: when, where, and how often.
import Testing

@testable import JunctionRouting

/// A router whose deployments go on with a text, but for those in `unable`.
private func rescuing(
    _ groups: String, unable: Set<Int> = [], change: (inout RouterConfiguration) -> Void = { _ in }
) -> Router {
    router(groups) { configuration in
        configuration.rescuesStreams = true
        for index in configuration.deployments.indices {
            configuration.deployments[index].continuesText = !unable.contains(index)
        }
        change(&configuration)
    }
}

extension TestCall {
    /// The stream breaks off after its first content.
    mutating func cut(
        _ kind: Failure.Kind = .streamCut, written: Int = 20, canGoOn: Bool = true, _ now: Double = 1
    ) -> Action {
        let attempt = route.report.attempts.count - 1
        route.committed(attempt: attempt, now: at(now))
        return route.failed(
            failure(kind), attempt: attempt, usage: TokenUsage(prompt: 60, completion: written),
            canGoOn: canGoOn, now: at(now), random: &random)
    }
}

@Suite struct RescueTests {
    @Test(arguments: [Failure.Kind.streamCut, .timeout, .malformedResponse, .serverError, .overloaded])
    func itGoesOnAtAnotherDeployment(kind: Failure.Kind) {
        let router = rescuing("a a")
        var call = TestCall(router, tokens: 100, streaming: true)
        let first = call.start().deployment!
        let second = call.cut(kind).attempt!
        #expect(second.kind == .rescue && second.deployment == 1 - first && second.hedgeAfter == nil)
        let usage = router.usage(now: at(1))
        #expect(usage[first].tokensUsed == 80, "what the broken one wrote is paid for")
        #expect(usage[1 - first].tokensReserved == 120, "what was written is part of the prompt now")
        call.route.committed(attempt: 1, now: at(2))
        call.route.finished(attempt: 1, usage: TokenUsage(prompt: 80, completion: 5), now: at(3))
        #expect(call.route.report.answered?.deployment == 1 - first)
        #expect(router.usage(now: at(3)).allSatisfy { $0.inFlight == 0 && $0.tokensOutstanding == 0 })
    }

    @Test func itIsOffUnlessAskedFor() {
        var call = TestCall(rescuing("a a") { $0.rescuesStreams = false }, streaming: true)
        _ = call.start()
        #expect(call.cut().failure?.outcome == .streamInterrupted)
    }

    @Test func whatIsNoPlainTextEnds() {
        var call = TestCall(rescuing("a a"), streaming: true)
        _ = call.start()
        #expect(call.cut(canGoOn: false).failure?.outcome == .streamInterrupted)
    }

    @Test func aRefusalIsNotGoneOnWith() {
        for kind in [Failure.Kind.badRequest, .contentPolicy, .cancelled] {
            var call = TestCall(rescuing("a a"), streaming: true)
            _ = call.start()
            #expect(call.cut(kind).failure != nil, "\(kind)")
        }
    }

    @Test func theGroupComesBeforeItsFallbacks() {
        let router = rescuing("a a b") { $0.fallbacks = ["a": ["b"]] }
        var call = TestCall(router, streaming: true)
        #expect(call.start().deployment != 2)
        #expect(call.cut().deployment != 2)
        #expect(call.fail(.timeout, 2).deployment == 2)
    }

    @Test func onlyWhereATextIsGoneOnWith() {
        let router = rescuing("a a b", unable: [0, 1]) { $0.fallbacks = ["a": ["b"]] }
        var call = TestCall(router, streaming: true)
        _ = call.start()
        #expect(call.cut().deployment == 2)
        var alone = TestCall(rescuing("a a", unable: [0, 1]), streaming: true)
        _ = alone.start()
        #expect(alone.cut().failure?.outcome == .streamInterrupted)
    }

    @Test func tagsHoldForItToo() {
        let router = rescuing("a a") {
            $0.enableTagFiltering = true
            $0.deployments[0].tags = ["x"]
            $0.deployments[1].tags = ["y"]
        }
        var call = TestCall(router, streaming: true, tags: ["x"], deadline: 5)
        #expect(call.start().deployment == 0)
        var action = call.cut()
        while let until = action.waitsUntil { action = call.wake(until) }
        #expect(action.deployment ?? 0 == 0, "never at the other")
    }

    @Test func itIsDoneOnce() {
        var call = TestCall(rescuing("a a a"), streaming: true)
        _ = call.start()
        #expect(call.cut().attempt?.kind == .rescue)
        let end = call.cut().failure
        #expect(end?.outcome == .streamInterrupted && end?.retryAfter == nil)
    }

    /// Before its first content a rescue fails over as any attempt, also where the provider refuses the
    /// beginning of an answer; and when nothing is left the caller is told of the break.
    @Test func aRescueThatFailsIsTriedElsewhere() {
        var call = TestCall(rescuing("a a a"), streaming: true)
        _ = call.start()
        #expect(call.cut().attempt?.kind == .rescue)
        #expect(call.fail(.badRequest, 2).attempt?.kind == .rescue)
        var action = call.fail(.badRequest, 3)
        while let until = action.waitsUntil { action = call.wake(until) }
        while action.attempt != nil { action = call.fail(.badRequest, 4) }
        #expect(action.failure?.outcome == .streamInterrupted)
        #expect(action.failure?.message.contains("streamCut") == true)
    }

    @Test func retriesNeedNotBeAllowed() {
        var call = TestCall(rescuing("a a"), streaming: true, retries: 0)
        _ = call.start()
        #expect(call.cut().attempt?.kind == .rescue)
    }

    @Test func afterTheDeadlineNothingIsRescued() {
        var call = TestCall(rescuing("a a"), streaming: true, deadline: 5)
        _ = call.start()
        #expect(call.cut(5).failure?.outcome == .deadlineExceeded)
    }
}

extension TestCall {
    fileprivate mutating func cut(_ now: Double) -> Action { cut(.streamCut, now) }
}
