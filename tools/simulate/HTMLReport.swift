// A simulation's result as a web page: facts, a table, and plots over time.
import JunctionReport

extension SimulationResult {
    /// The page.
    public func html(title: String) -> String {
        WebPage.html(
            title: title,
            body: """
                \(facts)
                <h2>Deployments</h2>
                \(table)
                \(sharePlot.svg())
                \(latencyPlot.svg())
                \(failurePlot.svg())
                """)
    }

    private var facts: String {
        WebPage.facts([
            ("strategy", strategy), ("calls", "\(calls)"), ("served", percent(shareServed)),
            ("failed", "\(failed.values.reduce(0, +))"), ("left", "\(left)"), ("retries", "\(retries)"),
            ("cost", dollars(cost)), ("p50", time(p50)), ("p99", time(p99)),
            ("tokens over limit", "\(tokensOverLimit)"),
        ])
    }

    private var table: String {
        let heads = [
            "deployment", "group", "share", "served", "attempts", "retries", "failures", "429s", "cost",
            "p50", "p99", "tokens over", "time over",
        ]
        let rows = deployments.map { one in
            [
                one.id, one.modelGroup, percent(one.share), "\(one.answered)", "\(one.attempts)",
                "\(one.retries)", "\(one.failures)", "\(one.refused)", dollars(one.cost), time(one.p50),
                time(one.p99), "\(one.tokensOverLimit)", time(one.secondsOverLimit),
            ]
        }
        return WebPage.table(heads, rows, colours: deployments.indices.map(Colour.number))
    }

    // MARK: Plots

    private var spanLength: Double { spans.count > 1 ? spans[1].from - spans[0].from : max(seconds, 1) }
    private var end: Double { (spans.last?.from ?? 0) + spanLength }
    private var marks: [(x: Double, label: String)] {
        (0...4).map { step in
            let time = end * Double(step) / 4
            return (x: time, label: trimmed(time, 1))
        }
    }

    /// The deployments' colours are those of the table.
    private var sharePlot: Plot {
        stacked(
            "Calls answered each second, by deployment",
            deployments.indices.map { one in ("", Colour.number(one), spans.map { $0.answered[one] }) })
    }

    private var failurePlot: Plot {
        stacked(
            "Calls not answered each second",
            [
                ("every deployment at its limit", Colour.amber, spans.map(\.limited)),
                ("failed", Colour.red, spans.map(\.failed)),
            ])
    }

    private var latencyPlot: Plot {
        func line(_ name: String, _ colour: String, _ value: (Span) -> Double?) -> PlotLine {
            PlotLine(name: name, colour: colour, points: spans.map { (x: $0.from, y: value($0)) })
        }
        return Plot(
            title: "Time to the whole answer",
            lines: [line("p50", Colour.blue) { $0.p50 }, line("p99", Colour.red) { $0.p99 }],
            marks: marks, xName: "seconds", label: { time($0) })
    }

    /// Areas on each other, of counts made rates.
    private func stacked(_ title: String, _ layers: [(name: String, colour: String, counts: [Int])]) -> Plot {
        let rates = layers.map { layer in
            (name: layer.name, colour: layer.colour, values: layer.counts.map { Double($0) / spanLength })
        }
        return Plot(
            title: title, areas: PlotArea.stacked(rates), edges: spans.map(\.from) + [end], marks: marks,
            xName: "seconds", label: { trimmed($0, 6) })
    }
}
