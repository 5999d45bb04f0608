// What came of a run: how calls are counted, judged, compared and shown.
import Foundation
import Testing

@testable import JunctionLoad

/// What a run of `calls` calls at 100 a second counts, the first `failures` of which failed.
private func measured(calls: Int = 1000, sentLateMs: Int64 = 0, failures: Int = 0) -> Measurements {
    var measured = Measurements()
    let ms: Int64 = 1_000_000
    for index in 0..<calls {
        let intended = Int64(index) * 10 * ms
        let sent = intended + sentLateMs * ms
        measured.started += 1
        measured.record(
            outcome: index < failures ? 14 : 0, intended: intended, sent: sent, ended: sent + 2 * ms,
            tokens: 3, start: 0)
        measured.completionTokens += 3
    }
    measured.answeredWhileSending = calls - failures
    measured.tokensWhileSending = 3 * (calls - failures)
    measured.examples = failures > 0 ? [14: Array("all of %22chat%22 failed".utf8)] : [:]
    measured.deployments = ["one <b>": calls - failures]
    measured.sendingSeconds = Double(calls) / 100
    return measured
}

private func report(_ measured: Measurements, rate: Double = 100) -> LoadReport {
    var plan = LoadPlan()
    plan.pacing = .rate(.constant(rate, seconds: measured.sendingSeconds), .constant)
    return LoadReport(plan, measured)
}

struct ReportTests {
    /// A call that is sent 100 ms after it should have been has waited 100 ms, however fast its answer.
    @Test func latencyCountsFromTheIntendedStart() {
        let late = report(measured(sentLateMs: 100))
        #expect((101_900...102_200).contains(late.latency.p50Us))
        #expect((1990...2010).contains(late.service.p50Us))
    }

    @Test func failuresHaveTheirOwnTimes() {
        let report = report(measured(calls: 1000, failures: 100))
        #expect(report.latency.count == 900 && report.failures.count == 100)
        #expect(report.succeeded == 900 && report.failed == 100 && report.errorShare == 0.1)
        #expect(report.outcomes == ["OK": 900, "UNAVAILABLE": 100])
    }

    @Test func threadsAddUp() {
        var sum = measured(calls: 300)
        sum.add(measured(calls: 200, failures: 50))
        let report = report(sum)
        #expect(report.succeeded == 450 && report.failed == 50 && report.latency.count == 450)
        #expect(report.timeline.map { $0.succeeded + $0.failed } == [200, 200, 100])
        #expect(report.deployments == ["one <b>": 450])
    }

    @Test func itReadsBack() throws {
        let report = report(measured(failures: 7))
        #expect(try LoadReport(json: report.json()) == report)
    }

    @Test func theTextTellsWhatMatters() {
        let text = report(measured(failures: 100)).text()
        for part in ["900 answered", "100 failed (10 %)", "all of \"chat\" failed", "one <b>", "2 ms"] {
            #expect(text.contains(part), "\(part) is not in\n\(text)")
        }
    }

    @Test func numbersReadWell() {
        #expect([0, 0.5, 9.876, 45.67, 1234.5].map(short) == ["0", "0.5", "9.88", "45.7", "1,235"])
        #expect([7, 1500, 2_345_000].map { time($0) } == ["7 µs", "1.5 ms", "2.35 s"])
        #expect([0, 0.0005, 0.1].map(percent) == ["0 %", "0.05 %", "10 %"])
    }

    /// The page is whole, shows every plot, names no other place, and is well-formed where SVG begins.
    @Test func thePageStandsAlone() throws {
        let page = report(measured(failures: 100)).html()
        #expect(page.hasPrefix("<!DOCTYPE html>") && page.hasSuffix("</html>\n"))
        #expect(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"))
        for part in ["Time by percentile", "Latency over time", "Calls each second", "one &lt;b&gt;"] {
            #expect(page.contains(part), "\(part)")
        }
        #expect(!page.contains("one <b>") && !page.contains("nan") && !page.contains("inf"))
        let plots = page.matches(of: #/(?s)<svg.*?<\/svg>/#)
        #expect(plots.count == 4)
        for plot in plots {
            let tags = plot.0.matches(of: #/<(\/?)(\w+)[^>]*?(\/?)>/#)
            #expect(tags.reduce(0) { $0 + ($1.3 == "/" ? 0 : $1.1 == "/" ? -1 : 1) } == 0)
        }
    }

    @Test func anEmptyRunHasAPageToo() {
        let page = report(Measurements()).html()
        #expect(page.contains("</html>") && !page.contains("nan"))
        #expect(report(Measurements()).text().contains("0 started"))
    }
}

struct ObjectiveTests {
    @Test(arguments: [
        ("p99<50ms", true), ("p99<1ms", false), ("p99.9<=1s", true), ("mean<3ms", true), ("max<2500us", true),
        ("errors<0.1%", false), ("errors<11%", true), ("errors<0.11", true), ("errors<=10%", true),
        ("errors<10%", false), ("rate>50", true), ("rate>1000", false), ("tokens>200", true),
    ])
    func isJudged(_ text: String, isMet: Bool) throws {
        let report = report(measured(failures: 100))
        #expect(try Objective(text).isMet(by: report) == isMet, "\(report.latency)")
    }

    @Test func whatWasNotMeasuredIsNotMet() throws {
        let report = report(measured())
        #expect(try !Objective("ttft.p50<10s").isMet(by: report))
        #expect(try !Objective("gap.p99<10s").isMet(by: report))
        #expect(try !Objective("errors<1%").isMet(by: JunctionLoadTests.report(Measurements())))
    }

    @Test func aListHasCommas() throws {
        let list = try Objective.list("p99 < 50ms, errors<0.1%")
        #expect(list.map(\.measure) == [.latency(99), .errors])
        #expect(list.map(\.bound) == [50_000, 0.001])
    }

    @Test(arguments: [
        "", "p99", "p99<", "p99<50", "p98<50ms", "speed>3", "errors<many", "x.p99<1s", "p99=4ms",
    ])
    func otherTextsAreRefused(_ text: String) {
        #expect(throws: LoadError.self) { try Objective.list(text) }
    }
}

struct SearchTests {
    @Test(arguments: [3.0, 40, 137, 990, 12_345])
    func itFindsTheHighestRate(limit: Double) throws {
        var search = MaximumSearch(from: 100)
        var tries = 0
        while let rate = search.next {
            search.tried(rate <= limit)
            tries += 1
        }
        let met = try #require(search.met)
        #expect(met <= limit && met * 1.051 >= limit && tries < 20)
    }

    @Test func itGivesUpWhereNothingIsMet() {
        var search = MaximumSearch(from: 100)
        while search.next != nil { search.tried(false) }
        #expect(search.met == nil)
    }
}

struct ComparisonTests {
    @Test func changesAreSharesOfTheFirst() {
        let a = report(measured())
        let b = report(measured(sentLateMs: 2, failures: 100))
        let rows = Comparison(a, b).rows
        let p99 = rows.first { $0.name == "latency p99" }
        #expect(p99.map { abs(($0.change ?? 0) - 1) < 0.01 } == true)
        #expect(rows.first { $0.name == "errors" }?.change == nil)
        let text = Comparison(a, b).text(a: "a.json", b: "b.json")
        #expect(text.contains("a.json") && text.contains("+100 %  worse"))
        #expect(!Comparison(a, a).text(a: "a", b: "a").contains("worse"))
    }
}
