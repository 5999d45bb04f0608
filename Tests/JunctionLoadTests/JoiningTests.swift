// A run of several processes: how it is divided, what travels between them, how it adds up.
import Foundation
import Histogram
import JunctionRouting
import Testing

@testable import JunctionLoad

struct JoiningTests {
    /// Whatever the numbers, the parts are the whole, and no two differ by more than one.
    @Test(arguments: [(1, 1), (3, 1), (1, 4), (3, 5)])
    func partsAreTheWhole(processes: Int, threads: Int) {
        var plan = LoadPlan()
        (plan.processes, plan.threads) = (processes, threads)
        for count in [0, 1, 7, 64, 1001] {
            let parts = (0..<plan.parts).map { plan.share(of: count, $0) }
            #expect(parts.reduce(0, +) == count && (parts.max()! - parts.min()!) <= 1)
        }
    }

    @Test func aPlanTravels() throws {
        var plan = LoadPlan()
        var kind = RequestKind(model: "a \"b\"\n")
        kind.promptBytes = .lognormal(median: 300, sigma: 0.5)
        kind.fallbacks = [.modelGroup("c"), .override(model: "d", apiKey: "k", apiBase: "", apiVersion: "")]
        plan.kinds = [kind]
        plan.seed = .max
        for pacing: LoadPlan.Pacing in [
            .concurrency(9), .rate(.constant(5.5, seconds: 3), .poisson),
            .trace([TracedCall(at: 1), TracedCall(at: 2.25, kind: kind)]),
        ] {
            plan.pacing = pacing
            let word = try JSONEncoder().encode(LeaderWord.prepare(plan))
            #expect(!word.contains(UInt8(ascii: "\n")))
            guard case .prepare(let read) = try JSONDecoder().decode(LeaderWord.self, from: word) else {
                Issue.record("another word")
                continue
            }
            #expect(read == plan)
        }
    }

    /// Histograms of parts that travelled add up to the histogram of all calls, to the last count.
    @Test func percentilesAreThoseOfAllCalls() throws {
        var random = RandomSource(seed: 4)
        var whole = Measurements()
        var parts = [Measurements(), Measurements(), Measurements()]
        for index in 0..<5000 {
            let took = Int64(-Foundation.log(1 - random.fraction()) * 3e6)
            let outcome = index % 50 == 0 ? 14 : 0
            let start = Int64(index) * 1_000_000
            func record(_ measured: inout Measurements) {
                measured.record(
                    outcome: outcome, intended: start, sent: start + took / 4, ended: start + took, tokens: 2,
                    start: 0)
                measured.examples[14] = Array("why".utf8)
                measured.deployments["one", default: 0] += 1
            }
            record(&whole)
            record(&parts[index % 3])
        }
        var sum = Measurements()
        for part in parts {
            let word = try JSONEncoder().encode(MemberWord.done(part))
            guard case .done(let read) = try JSONDecoder().decode(MemberWord.self, from: word) else {
                Issue.record("another word")
                continue
            }
            sum.add(read)
        }
        #expect(
            sum.latency == whole.latency && sum.service == whole.service && sum.failures == whole.failures)
        #expect(sum.seconds.map(\.latency) == whole.seconds.map(\.latency))
        #expect(LoadReport(LoadPlan(), sum) == LoadReport(LoadPlan(), whole))
    }
}
