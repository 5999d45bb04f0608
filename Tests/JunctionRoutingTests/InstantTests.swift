// Arithmetic of the core's time.
import Testing

@testable import JunctionRouting

@Suite struct InstantTests {
    @Test func differencesAreExactToTheNanosecond() {
        let start = Instant(.seconds(5))
        #expect(start + .nanoseconds(1) > start)
        #expect((start + .milliseconds(1_500)) - start == .milliseconds(1_500))
        #expect(start.sinceStart == .seconds(5))
    }

    /// The longest deadline that gRPC can write is 99,999,999 hours.
    @Test func theFarFutureDoesNotOverflow() {
        let far = Instant(.seconds(99_999_999 * 3_600)) + .seconds(99_999_999 * 3_600)
        #expect(far > at(1e9))
        #expect(far - at(0) > .seconds(1_000_000_000))
        let router = router("a a")
        var call = TestCall(router, deadline: 3.6e11)
        #expect(call.start().attempt?.timeout == .seconds(600))
    }
}

@Suite struct RandomSourceTests {
    @Test func theSameSeedGivesTheSameNumbers() {
        var (one, two, other) = (RandomSource(seed: 1), RandomSource(seed: 1), RandomSource(seed: 2))
        let numbers = (0..<10).map { _ in one.next() }
        #expect(numbers == (0..<10).map { _ in two.next() })
        #expect(numbers != (0..<10).map { _ in other.next() })
    }

    @Test func numbersAreSpreadEvenly() {
        var random = RandomSource(seed: 3)
        var counts = Array(repeating: 0, count: 10)
        for _ in 0..<100_000 { counts[random.below(10)] += 1 }
        #expect(counts.allSatisfy { (9_500...10_500).contains($0) }, "\(counts)")
        var sum = 0.0
        for _ in 0..<100_000 {
            let fraction = random.fraction()
            #expect(fraction >= 0 && fraction < 1)
            sum += fraction
        }
        #expect(abs(sum / 100_000 - 0.5) < 0.01)
    }
}
