// A report as one web page that needs nothing but itself: tables, and plots in SVG.
import Foundation

private let blue = "#2563eb"
private let green = "#15803d"
private let red = "#dc2626"
private let amber = "#d97706"
private let gray = "#6b7280"

extension LoadReport {
    /// The page.
    public func html() -> String {
        let plots = [percentilePlot, latencyPlot, ratePlot, tokensPlot].compactMap { $0?.svg() }
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>junction load: \(escaped(address))</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <style>\(Self.style)</style></head><body>
            <h1>junction load</h1>
            <p>\(escaped(address)): \(escaped(pacing)); \(short(seconds)) s after \(short(warmUpSeconds)) s of
            warm-up. Threads: \(threads); connections: \(connections); seed: \(seed).</p>
            \(attention)<div class="facts">\(facts)</div>
            \(plots.joined())
            <h2>Times</h2>
            \(timesHTML)
            <h2>How calls ended</h2>
            \(countsHTML(("outcome", outcomes.sorted { $0.value > $1.value }.map { ($0.key, $0.value) })))
            \(examplesHTML)
            <h2>Which deployment answered</h2>
            \(countsHTML(("deployment", deploymentShares)))
            </body></html>

            """
    }

    private static let style = """
        body{font:15px/1.5 system-ui,sans-serif;max-width:800px;margin:2rem auto;padding:0 1rem;color:#111;
        background:#fff}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
        table{border-collapse:collapse;width:100%}td,th{padding:.25rem .5rem;text-align:right;
        border-bottom:1px solid #e5e7eb}td:first-child,th:first-child{text-align:left}
        .facts{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}.facts div{border:1px solid #e5e7eb;
        border-radius:6px;padding:.4rem .8rem}.facts b{display:block;font-size:1.25rem}
        .attention{background:#fef3c7;padding:.5rem .8rem;border-radius:6px}
        svg{width:100%;height:auto;margin-top:1.5rem;font:12px system-ui,sans-serif}svg line{stroke-width:2}
        svg .grid{stroke:#e5e7eb;stroke-width:1}svg .title{font-size:14px;font-weight:600}
        svg polyline{fill:none;stroke-width:2}
        """

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
        return facts.map { "<div><b>\(escaped($0.1))</b>\(escaped($0.0))</div>" }.joined()
    }

    private var timesHTML: String {
        var html = "<table><tr><th></th><th>p50</th><th>p90</th><th>p95</th><th>p99</th><th>p99.9</th>"
        html += "<th>max</th><th>count</th></tr>\n"
        for (name, times) in measuredTimes {
            let values = [times.p50Us, times.p90Us, times.p95Us, times.p99Us, times.p999Us, times.maxUs]
            let cells = values.map { "<td>\(time(Double($0)))</td>" }.joined()
            html += "<tr><td>\(escaped(name))</td>\(cells)<td>\(grouped(times.count))</td></tr>\n"
        }
        return html + "</table>"
    }

    private func countsHTML(_ counts: (what: String, rows: [(name: String, calls: Int)])) -> String {
        let sum = Double(max(1, counts.rows.reduce(0) { $0 + $1.calls }))
        let rows = counts.rows.map { row in
            "<tr><td>\(escaped(row.name))</td><td>\(grouped(row.calls))</td>"
                + "<td>\(percent(Double(row.calls) / sum))</td></tr>\n"
        }
        let head = "<tr><th>\(counts.what)</th><th>calls</th><th>share</th></tr>\n"
        return "<table>\(head)\(rows.joined())</table>"
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
        let colors = [blue, gray, green, amber, red]
        let lines = zip(measuredTimes, colors).map { measured, color in
            let points = measured.times.curve.map {
                (x: nines($0[0], measured.times.count), y: $0[1])
            }
            let name = measured.name.replacing("latency, ", with: "")
            return PlotLine(name: name, color: color, points: points)
        }
        guard !lines.isEmpty else { return nil }
        let marks = [0.0, 50, 90, 99, 99.9, 99.99, 99.999].map {
            (x: nines($0, 1 << 30), label: percentileName($0) + " %")
        }
        let farthest = lines.flatMap { $0.points.map(\.x) }.max() ?? 1
        return Plot(
            title: "Time by percentile", lines: lines, marks: marks.filter { $0.x <= farthest },
            xName: "percentile",
            label: time, isLogarithmic: true)
    }

    private var latencyPlot: Plot? {
        overTime(
            "Latency over time", label: time, isLogarithmic: true,
            [
                ("p50", blue, { Double($0.p50Us) }), ("p99", amber, { Double($0.p99Us) }),
                ("max", red, { Double($0.maxUs) }),
            ]
        ) { $0.succeeded > 0 }
    }

    private var ratePlot: Plot? {
        wholeSeconds.overTime(
            "Calls each second", label: short, isLogarithmic: false,
            [
                ("started", gray, { Double($0.started) }), ("answered", blue, { Double($0.succeeded) }),
                ("failed", red, { Double($0.failed) }),
            ]
        ) { _ in true }
    }

    private var tokensPlot: Plot? {
        if completionTokens == 0 { return nil }
        return wholeSeconds.overTime(
            "Completion tokens each second", label: short, isLogarithmic: false,
            [("tokens", green, { Double($0.tokens) })]
        ) { _ in true }
    }

    /// Without what came in the last part of a second, and after the end.
    private var wholeSeconds: LoadReport {
        var report = self
        if seconds >= 1 { report.timeline = Array(timeline.prefix(Int(seconds + 0.01))) }
        return report
    }

    private func overTime(
        _ title: String, label: @escaping (Double) -> String, isLogarithmic: Bool,
        _ lines: [(name: String, color: String, value: (Second) -> Double)], where isShown: (Second) -> Bool
    ) -> Plot? {
        let seconds = timeline.enumerated().filter { isShown($0.element) }
        guard !seconds.isEmpty else { return nil }
        let step = (timeline.count + 7) / 8
        let marks = stride(from: 0, to: timeline.count, by: step).map { (x: Double($0), label: "\($0)") }
        return Plot(
            title: title,
            lines: lines.map { line in
                PlotLine(
                    name: line.name, color: line.color,
                    points: seconds.map { (x: Double($0.offset), y: line.value($0.element)) })
            }, marks: marks, xName: "seconds", label: label, isLogarithmic: isLogarithmic)
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
