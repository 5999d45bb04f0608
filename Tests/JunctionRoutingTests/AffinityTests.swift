// Calls of one session go to one deployment, as long as it is open and not far busier than the others.
import Testing

@testable import JunctionRouting

private func key(_ text: String) -> SessionKey { SessionKey(Array(text.utf8).span) }

extension Router {
    /// Where a call of the session goes; it is dropped at once.
    fileprivate func place(of session: String, now: Instant = .zero) -> String? {
        var traits = CallTraits(modelGroup: 0, estimatedTokens: 1, isStreaming: false)
        traits.session = key(session)
        var random = RandomSource(seed: 9)
        var route = Route(router: self, call: traits, now: now)
        return route.start(now: now, random: &random).deployment.map { configuration.deployments[$0].id }
    }
}

private let sessions = (0..<600).map { "session \($0)" }

@Suite struct AffinityTests {
    @Test func aSessionStaysWhereItIs() {
        let router = router("a a a a")
        for session in sessions.prefix(20) {
            let first = router.place(of: session)
            router.use(first!, tokens: 5_000)
            #expect(router.place(of: session) == first)
        }
    }

    @Test func sessionsAreSpread() {
        let router = router("a a a a")
        let counts = Dictionary(grouping: sessions) { router.place(of: $0)! }.mapValues(\.count)
        #expect(counts.count == 4 && counts.values.allSatisfy { (100...200).contains($0) }, "\(counts)")
    }

    @Test func oneThatComesMovesOnlyWhatItTakes() {
        let (four, five) = (router("a a a a"), router("a a a a a"))
        var moved = 0
        for session in sessions {
            let (before, after) = (four.place(of: session), five.place(of: session))
            if before != after {
                moved += 1
                #expect(after == "d4", "\(session) moved between old ones")
            }
        }
        #expect((80...160).contains(moved), "about a fifth: \(moved)")
    }

    @Test func oneThatIsClosedLosesItsSessionsAndGetsThemBack() {
        let router = router("a a a a")
        let session = "x"
        let first = router.place(of: session)!
        router.make(first, fail: .rateLimited, retryAfter: .seconds(5))
        #expect(router.place(of: session) != first)
        #expect(router.place(of: session, now: at(6)) == first)
    }

    @Test func aCallGoesElsewhereRatherThanToOneFarBusierThanTheOthers() {
        let router = router("a a a a")
        let traits = {
            var traits = CallTraits(modelGroup: 0, estimatedTokens: 1, isStreaming: false)
            traits.session = key("one for all")
            return traits
        }()
        var random = RandomSource(seed: 1)
        var deployments: [Int] = []
        func hold(_ count: Int) {
            if count == 0 {
                let inFlight = router.usage(now: .zero).map(\.inFlight)
                #expect(inFlight.reduce(0, +) == 40)
                // A quarter above the mean at the most, rounded up.
                #expect(inFlight.allSatisfy { $0 <= 13 }, "\(inFlight)")
                return
            }
            var route = Route(router: router, call: traits, now: .zero)
            deployments.append(route.start(now: .zero, random: &random).deployment!)
            hold(count - 1)
            _ = consume route
        }
        hold(40)
        #expect(deployments[0] == deployments[1], "the first two stay together")
    }

    @Test func aFailedCallGoesToTheSessionsNext() {
        let router = router("a a a")
        var traits = CallTraits(modelGroup: 0, estimatedTokens: 1, isStreaming: false)
        traits.session = key("s")
        var random = RandomSource(seed: 1)
        var seconds: Set<Int> = []
        for _ in 0..<3 {
            var route = Route(router: router, call: traits, now: .zero)
            let first = route.start(now: .zero, random: &random).deployment!
            let second = route.failed(failure(.badRequest), now: .zero, random: &random).deployment
            #expect(second == nil, "a wrong request is wrong everywhere")
            var other = Route(router: router, call: traits, now: .zero)
            #expect(other.start(now: .zero, random: &random).deployment == first)
            seconds.insert(other.failed(failure(.serverError), now: .zero, random: &random).deployment!)
        }
        #expect(seconds.count == 1)
    }

    @Test func tiersComeFirst() {
        let router = router("a a a a") { $0.deployments[2].order = 1 }
        #expect(Set(sessions.prefix(20).map { router.place(of: $0) }) == ["d2"])
    }
}
