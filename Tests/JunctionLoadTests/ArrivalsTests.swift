// When calls start: even and random arrivals, rates that change, traces.
import Testing

@testable import JunctionLoad

struct ArrivalsTests {
    @Test func evenArrivalsKeepTheirDistance() {
        let instants = Array(Arrivals(.constant(100, seconds: 2), .constant, seed: 1))
        #expect(instants.count == 200)
        #expect(abs(instants[0] - 0.005) < 1e-9)
        for (a, b) in zip(instants, instants.dropFirst()) { #expect(abs(b - a - 0.01) < 1e-9) }
    }

    /// The gaps of a Poisson process have the mean 1/rate and a deviation equal to their mean.
    @Test func randomArrivalsHaveMeanAndDeviation() {
        let rate = 250.0
        let instants = Array(Arrivals(.constant(rate, seconds: 200), .poisson, seed: 7))
        let gaps = zip(instants.dropFirst(), instants).map { $0 - $1 }
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(mean * rate - 1) < 0.02)
        #expect(abs(variance.squareRoot() * rate - 1) < 0.03)
        #expect(instants == instants.sorted() && (instants.last ?? 0) < 200)
    }

    @Test func theSameSeedGivesTheSameInstants() {
        let a = Array(Arrivals(.constant(50, seconds: 5), .poisson, seed: 3))
        #expect(a == Array(Arrivals(.constant(50, seconds: 5), .poisson, seed: 3)))
        #expect(a != Array(Arrivals(.constant(50, seconds: 5), .poisson, seed: 4)))
    }

    /// Up to each time there are as many calls as the integral of the rate.
    @Test(arguments: [(10.0, 100.0), (100.0, 0.0), (0.0, 80.0)])
    func aRampStartsTheIntegralOfItsRate(from: Double, to: Double) {
        let profile = RateProfile([.init(seconds: 10, from: from, to: to)])
        let instants = Array(Arrivals(profile, .constant, seed: 1))
        #expect(abs(Double(instants.count) - profile.calls) <= 1)
        for time in [1.0, 2.5, 5, 9] {
            let expected = from * time + (to - from) / 10 * time * time / 2
            #expect(abs(Double(instants.count { $0 <= time }) - expected) <= 1)
        }
    }

    @Test func stepsFollowEachOther() throws {
        let profile = try RateProfile(steps: "10:2s,30:1s")
        let instants = Array(Arrivals(profile, .constant, seed: 1))
        #expect(instants.count { $0 <= 2 } == 20)
        #expect(instants.count { $0 > 2 } == 30)
        #expect(profile.seconds == 3 && profile.calls == 50)
        #expect(throws: LoadError.self) { try RateProfile(steps: "10") }
        #expect(throws: LoadError.self) { try RateProfile(steps: "10:0s") }
        #expect(throws: LoadError.self) { try RateProfile(steps: "") }
    }

    @Test func warmUpGoesBeforeAtTheFirstRate() {
        let profile = RateProfile([.init(seconds: 4, from: 20, to: 40)]).warmedUp(seconds: 2)
        #expect(profile.pieces.first == .init(seconds: 2, from: 20, to: 20))
        #expect(profile.seconds == 6)
    }

    @Test func aTraceBeginsWithItsFirstCall() throws {
        let base = RequestKind(model: "m")
        let trace = try readTrace("# when\n12.5\n12.0, gpt-4o\n\n{\"at\": 14}\n", file: "t", base: base)
        var arrivals = Arrivals(trace: trace)
        var kinds: [String?] = []
        var instants: [Double] = []
        while let instant = arrivals.next() {
            instants.append(instant)
            kinds.append(arrivals.kind?.model)
        }
        #expect(instants == [0, 0.5, 2] && kinds == ["gpt-4o", nil, nil])
    }
}
