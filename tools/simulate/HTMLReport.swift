// A simulation's result as one HTML page that needs no network: a table, and plots over time as SVG.
import Foundation

extension SimulationResult {
    /// The page.
    public func html(title: String) -> String {
        let heads = [
            "deployment", "group", "share", "served", "attempts", "retries", "failures", "429s", "cost",
            "p50", "p99", "tokens over", "time over",
        ]
        let rows = deployments.enumerated().map { index, one in
            let cells = [
                one.modelGroup, percent(one.share), "\(one.answered)", "\(one.attempts)", "\(one.retries)",
                "\(one.failures)", "\(one.refused)", dollars(one.cost), time(one.p50), time(one.p99),
                "\(one.tokensOverLimit)", time(one.secondsOverLimit),
            ].map { "<td>\(escaped($0))</td>" }.joined()
            let swatch = "<i style=\"background:\(colour(index))\"></i>"
            return "<tr><td>\(swatch)\(escaped(one.id))</td>\(cells)</tr>"
        }
        let facts = [
            ("strategy", strategy), ("calls", "\(calls)"), ("served", percent(shareServed)),
            ("failed", "\(failed.values.reduce(0, +))"), ("left", "\(left)"), ("retries", "\(retries)"),
            ("cost", dollars(cost)), ("p50", time(p50)), ("p99", time(p99)),
            ("tokens over limit", "\(tokensOverLimit)"),
        ].map { "<div><b>\(escaped($0.1))</b>\($0.0)</div>" }.joined()
        return """
            <!doctype html>
            <html lang="en"><meta charset="utf-8"><title>\(escaped(title))</title>
            <style>
            body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; \
            color: #1c2733; background: #fff }
            h2 { font-size: 1.05em; margin: 2em 0 .4em }
            .facts { display: flex; flex-wrap: wrap; gap: 1.6em } .facts b { display: block; font-size: 1.4em }
            .facts div { color: #5b6b7a } .facts b { color: #1c2733 }
            .wide { overflow-x: auto } table { border-collapse: collapse; white-space: nowrap }
            td, th { padding: .25em .8em; text-align: right; border-bottom: 1px solid #e3e8ed }
            td:first-child, th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left }
            i { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border-radius: 2px }
            svg { width: 100%; height: auto } text { font-size: 11px; fill: #5b6b7a }
            </style>
            <h1>\(escaped(title))</h1>
            <div class="facts">\(facts)</div>
            <h2>Deployments</h2>
            <div class="wide"><table><tr>\(heads.map { "<th>\($0)</th>" }.joined())</tr>
            \(rows.joined(separator: "\n"))</table></div>
            <h2>Calls answered, by deployment (a second)</h2>
            \(sharePlot())
            <h2>Time to the whole answer: \(key(0, "p50")) \(key(3, "p99")) (seconds)</h2>
            \(latencyPlot())
            <h2>Calls not answered: \(key(1, "at every limit")) \(key(3, "failed")) (a second)</h2>
            \(failurePlot())
            </html>

            """
    }

    private var spanLength: Double { spans.count > 1 ? spans[1].from - spans[0].from : max(seconds, 1) }

    private func sharePlot() -> String {
        stacked(deployments.indices.map { one in (colour(one), spans.map { Double($0.answered[one]) }) })
    }

    private func failurePlot() -> String {
        stacked([(colour(1), spans.map { Double($0.limited) }), (colour(3), spans.map { Double($0.failed) })])
    }

    private func latencyPlot() -> String {
        let plot = Plot(most: spans.compactMap(\.p99).max() ?? 0, times: spans.map(\.from), end: end)
        return plot.svg(
            plot.line(spans.map(\.p99), colour: colour(3)) + plot.line(spans.map(\.p50), colour: colour(0)))
    }

    private var end: Double { (spans.last?.from ?? 0) + spanLength }

    /// Areas on each other, of counts made rates.
    private func stacked(_ layers: [(colour: String, counts: [Double])]) -> String {
        var floor = spans.map { _ in 0.0 }
        var areas: [(colour: String, low: [Double], high: [Double])] = []
        for layer in layers {
            let top = zip(floor, layer.counts).map { $0 + $1 / spanLength }
            areas.append((layer.colour, floor, top))
            floor = top
        }
        let plot = Plot(most: floor.max() ?? 0, times: spans.map(\.from), end: end)
        return plot.svg(areas.map { plot.area(low: $0.low, high: $0.high, colour: $0.colour) }.joined())
    }

    private func key(_ index: Int, _ name: String) -> String {
        "<i style=\"background:\(colour(index))\"></i>\(name)"
    }
}

/// Values over time in a frame with a scale.
private struct Plot {
    private static let (left, right, top, height, width) = (56.0, 990.0, 8.0, 200.0, 1000.0)
    private let most: Double
    private let times: [Double]
    private let end: Double

    init(most: Double, times: [Double], end: Double) {
        // The next round number.
        let power = pow(10, floor(log10(max(most, 1e-9))))
        self.most =
            most <= 0 ? 1 : [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].map { $0 * power }.first { $0 >= most }!
        self.times = times
        self.end = end
    }

    private func x(_ time: Double) -> String {
        String(format: "%.1f", Self.left + (Self.right - Self.left) * time / end)
    }
    private func y(_ value: Double) -> String {
        String(format: "%.1f", Self.top + Self.height * (1 - value / most))
    }

    /// Each value holds to the next: the spans are counts, not samples.
    func area(low: [Double], high: [Double], colour: String) -> String {
        let ends = times.dropFirst() + [end]
        let upper = zip(zip(times, ends), high).flatMap { ["\(x($0.0)),\(y($1))", "\(x($0.1)),\(y($1))"] }
        let lower = zip(zip(times, ends), low).flatMap { ["\(x($0.0)),\(y($1))", "\(x($0.1)),\(y($1))"] }
        let points = (upper + lower.reversed()).joined(separator: " ")
        return "<polygon fill=\"\(colour)\" points=\"\(points)\"/>"
    }

    /// A line with gaps where nothing was answered.
    func line(_ values: [Double?], colour: String) -> String {
        var path = ""
        var isDown = false
        for (time, value) in zip(times, values) {
            if let value { path += "\(isDown ? "L" : "M")\(x(time)) \(y(value))" }
            isDown = value != nil
        }
        return "<path fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\" d=\"\(path)\"/>"
    }

    func svg(_ content: String) -> String {
        var scale = ""
        for step in 0...4 {
            let value = most * Double(step) / 4
            scale += "<line x1=\"\(Self.left)\" x2=\"\(Self.right)\" y1=\"\(y(value))\" y2=\"\(y(value))\""
            scale += " stroke=\"#e3e8ed\"/><text x=\"50\" y=\"\(y(value))\" text-anchor=\"end\" dy=\"4\">"
            scale += String(format: "%g", value) + "</text>"
            let time = end * Double(step) / 4
            let anchor = step == 0 ? "start" : step == 4 ? "end" : "middle"
            scale += "<text x=\"\(x(time))\" y=\"224\" text-anchor=\"\(anchor)\">"
            scale += String(format: "%g s", (time * 10).rounded() / 10) + "</text>"
        }
        return "<svg viewBox=\"0 0 \(Int(Self.width)) 232\" role=\"img\">\(scale)\(content)</svg>"
    }
}

private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
}

/// Okabe and Ito's colours, which most people can tell apart.
private func colour(_ index: Int) -> String {
    let colours = [
        "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#7f7f7f",
    ]
    return colours[index % colours.count]
}
