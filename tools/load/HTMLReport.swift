// A report of a run as a web page: facts, plots, tables.
import Glibc
import JunctionReport

extension LoadReport {
    /// The page.
    public func html() -> String {
        let plots = [percentilePlot, latencyPlot, ratePlot, tokensPlot].compactMap { $0?.svg() }
        return WebPage.html(
            title: "junction load: \(address)",
            body: """
                <p>\(escaped(pacing)); \(short(seconds)) s after \(short(warmUpSeconds)) s of warm-up. \(shape)</p>
                \(attention)\(facts)
                \(plots.joined())
                <h2>Times</h2>
                \(timesHTML)
                <h2>How calls ended</h2>
                \(countsHTML("outcome", outcomes.sorted { $0.value > $1.value }.map { ($0.key, $0.value) }))
                \(examplesHTML)
                <h2>Which deployment answered</h2>
                \(countsHTML("deployment", deploymentShares))
                """)
    }

    private var shape: String {
        "Processes: \(processes ?? 1); threads of each: \(threads); connections: \(connections); seed: \(seed)."
    }

    private var attention: String {
        shortfall.map { "<p class=\"attention\">Attention: \(escaped($0)).</p>\n" } ?? ""
    }

    private var facts: String {
        var facts = [
            ("answered calls/s", short(callsPerSecond)), ("answered", grouped(succeeded)),
            ("failed", "\(grouped(failed)) (\(percent(errorShare)))"),
            ("p50", time(Double(latency.p50Us))), ("p99", time(Double(latency.p99Us))),
        ]
        if firstToken.count > 0 { facts.append(("first token p50", time(Double(firstToken.p50Us)))) }
        if completionTokens > 0 { facts.append(("tokens/s", short(tokensPerSecond))) }
        return WebPage.facts(facts.map { (name: $0.0, value: $0.1) })
    }

    private var timesHTML: String {
        let rows = measuredTimes.map { name, times in
            let values = [times.p50Us, times.p90Us, times.p95Us, times.p99Us, times.p999Us, times.maxUs]
            return [name] + values.map { time(Double($0)) } + [grouped(times.count)]
        }
        return WebPage.table(["", "p50", "p90", "p95", "p99", "p99.9", "max", "count"], rows)
    }

    private func countsHTML(_ what: String, _ counts: [(name: String, calls: Int)]) -> String {
        let sum = Double(max(1, counts.reduce(0) { $0 + $1.calls }))
        return WebPage.table(
            [what, "calls", "share"],
            counts.map { [$0.name, grouped($0.calls), percent(Double($0.calls) / sum)] })
    }

    private var examplesHTML: String {
        examples.sorted { $0.key < $1.key }.map {
            "<p>\(escaped($0.key)), for one: \(escaped($0.value))</p>\n"
        }
        .joined()
    }

    // MARK: Plots

    /// Time over percentile, the axis stretched towards 100 % as tails need it.
    private var percentilePlot: Plot? {
        let colours = [Colour.blue, Colour.gray, Colour.green, Colour.amber, Colour.red]
        let lines = zip(measuredTimes, colours).map { measured, colour in
            let points = measured.times.curve.map {
                (x: nines($0[0], measured.times.count), y: Optional($0[1]))
            }
            let name = measured.name.replacing("latency, ", with: "")
            return (farthest: points.last?.x ?? 0, line: PlotLine(name: name, colour: colour, points: points))
        }
        guard !lines.isEmpty else { return nil }
        let marks = [0.0, 50, 90, 99, 99.9, 99.99, 99.999].map {
            (x: nines($0, 1 << 30), label: percentileName($0) + " %")
        }
        let farthest = lines.map(\.farthest).max() ?? 1
        return Plot(
            title: "Time by percentile", lines: lines.map(\.line), marks: marks.filter { $0.x <= farthest },
            xName: "percentile", isLogarithmic: true, label: { time($0) })
    }

    private var latencyPlot: Plot? {
        overTime(
            "Latency over time", label: { time($0) }, isLogarithmic: true,
            [
                ("p50", Colour.blue, { Double($0.p50Us) }), ("p99", Colour.amber, { Double($0.p99Us) }),
                ("max", Colour.red, { Double($0.maxUs) }),
            ]
        ) { $0.succeeded > 0 }
    }

    private var ratePlot: Plot? {
        wholeSeconds.overTime(
            "Calls each second", label: { short($0) }, isLogarithmic: false,
            [
                ("started", Colour.gray, { Double($0.started) }),
                ("answered", Colour.blue, { Double($0.succeeded) }),
                ("failed", Colour.red, { Double($0.failed) }),
            ]
        ) { _ in true }
    }

    private var tokensPlot: Plot? {
        if completionTokens == 0 { return nil }
        return wholeSeconds.overTime(
            "Completion tokens each second", label: { short($0) }, isLogarithmic: false,
            [("tokens", Colour.green, { Double($0.tokens) })]
        ) { _ in true }
    }

    /// Without what came in the last part of a second, and after the end.
    private var wholeSeconds: LoadReport {
        var report = self
        if seconds >= 1 { report.timeline = Array(timeline.prefix(Int(seconds + 0.01))) }
        return report
    }

    private func overTime(
        _ title: String, label: @escaping @Sendable (Double) -> String, isLogarithmic: Bool,
        _ lines: [(name: String, colour: String, value: (Second) -> Double)], where isShown: (Second) -> Bool
    ) -> Plot? {
        let seconds = timeline.enumerated().filter { isShown($0.element) }
        guard !seconds.isEmpty else { return nil }
        let step = (timeline.count + 7) / 8
        let marks = stride(from: 0, to: timeline.count, by: step).map { (x: Double($0), label: "\($0)") }
        return Plot(
            title: title,
            lines: lines.map { line in
                PlotLine(
                    name: line.name, colour: line.colour,
                    points: seconds.map { (x: Double($0.offset), y: Optional(line.value($0.element))) })
            }, marks: marks, xName: "seconds", isLogarithmic: isLogarithmic, label: label)
    }
}

/// How many nines a percentile has: 90 is 1, 99 is 2; 100 is as far as `count` values reach.
private func nines(_ percentile: Double, _ count: Int) -> Double {
    -log10(max(1 - percentile / 100, 1 / Double(max(count, 2))))
}

/// A percentile with all its digits.
private func percentileName(_ percentile: Double) -> String {
    percentile == percentile.rounded() ? "\(Int(percentile))" : "\(percentile)"
}
