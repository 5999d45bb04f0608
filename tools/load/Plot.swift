// Plots as SVG text: lines over a linear or logarithmic axis. Knows nothing of what is plotted.
import Foundation

/// A line of a plot.
struct PlotLine {
    var name: String
    var color: String
    /// Both coordinates in the units of the axes.
    var points: [(x: Double, y: Double)]
}

struct Plot {
    var title: String
    var lines: [PlotLine]
    /// Marks on the x axis: where, and what is written there.
    var marks: [(x: Double, label: String)]
    var xName: String
    /// How a value on the y axis is written.
    var label: (Double) -> String
    var isLogarithmic = false

    private static let width = 760.0
    private static let height = 300.0
    private static let left = 76.0
    private static let right = 20.0
    private static let top = 56.0
    private static let bottom = 46.0

    /// The values at which the y axis has a line, from the lowest to the highest.
    func ticks() -> [Double] {
        let values = lines.flatMap { $0.points.map(\.y) }
        let most = max(values.max() ?? 0, isLogarithmic ? 10 : 1e-9)
        if isLogarithmic {
            let least = max(1, values.filter { $0 > 0 }.min() ?? 1)
            let powers = Int(log10(least).rounded(.down))...Int(log10(most).rounded(.up))
            return powers.map { pow(10, Double($0)) }
        }
        let size = pow(10, log10(most / 4).rounded(.down))
        let step = [1.0, 2, 2.5, 5, 10].map { $0 * size }.first { $0 * 4 >= most } ?? most
        return (0...Int((most / step).rounded(.up))).map { Double($0) * step }
    }

    func svg() -> String {
        let ticks = ticks()
        var svg = """
            <svg viewBox="0 0 \(Int(Plot.width)) \(Int(Plot.height))" role="img" aria-label="\(escaped(title))">
            <text x="\(Int(Plot.left))" y="20" class="title">\(escaped(title))</text>

            """
        var x = Plot.left
        for line in lines {
            svg += "<line x1=\"\(n(x))\" x2=\"\(n(x + 18))\" y1=\"38\" y2=\"38\" "
            svg += "stroke=\"\(line.color)\"/>"
            svg += "<text x=\"\(n(x + 24))\" y=\"42\">\(escaped(line.name))</text>\n"
            // Room for the name at some 6.6 units a letter.
            x += 34 + 6.6 * Double(line.name.count)
        }
        for tick in ticks {
            let y = n(place(tick, ticks))
            svg +=
                "<line x1=\"\(n(Plot.left))\" x2=\"\(n(Plot.width - Plot.right))\" y1=\"\(y)\" y2=\"\(y)\" "
            svg += "class=\"grid\"/><text x=\"\(n(Plot.left - 8))\" y=\"\(y)\" dy=\"4\" text-anchor=\"end\">"
            svg += "\(escaped(label(tick)))</text>\n"
        }
        let base = Plot.height - Plot.bottom
        for mark in marks {
            svg += "<line x1=\"\(n(across(mark.x)))\" x2=\"\(n(across(mark.x)))\" y1=\"\(n(base))\" "
            svg +=
                "y2=\"\(n(base + 4))\" class=\"grid\"/><text x=\"\(n(across(mark.x)))\" y=\"\(n(base + 18))\" "
            svg += "text-anchor=\"middle\">\(escaped(mark.label))</text>\n"
        }
        svg += "<text x=\"\(n((Plot.left + Plot.width - Plot.right) / 2))\" y=\"\(n(Plot.height - 8))\" "
        svg += "text-anchor=\"middle\">\(escaped(xName))</text>\n"
        for line in lines {
            let points = line.points.map { "\(n(across($0.x))),\(n(place($0.y, ticks)))" }
            if points.count == 1 {
                let (x, y) = (n(across(line.points[0].x)), n(place(line.points[0].y, ticks)))
                svg += "<circle cx=\"\(x)\" cy=\"\(y)\" r=\"3\" fill=\"\(line.color)\"/>\n"
            } else {
                svg += "<polyline points=\"\(points.joined(separator: " "))\" stroke=\"\(line.color)\"/>\n"
            }
        }
        return svg + "</svg>\n"
    }

    private func across(_ x: Double) -> Double {
        let xs = lines.flatMap { $0.points.map(\.x) } + marks.map(\.x)
        let (least, most) = (xs.min() ?? 0, xs.max() ?? 1)
        let share = most > least ? (x - least) / (most - least) : 0.5
        return Plot.left + share * (Plot.width - Plot.left - Plot.right)
    }

    private func place(_ y: Double, _ ticks: [Double]) -> Double {
        func scaled(_ value: Double) -> Double { isLogarithmic ? log10(max(value, ticks[0])) : value }
        let (least, most) = (scaled(ticks[0]), scaled(ticks[ticks.count - 1]))
        let share = most > least ? (scaled(y) - least) / (most - least) : 0
        return Plot.height - Plot.bottom - share * (Plot.height - Plot.top - Plot.bottom)
    }

    private func n(_ number: Double) -> String { String(format: "%.1f", number) }
}

/// Text as HTML and SVG take it.
func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
        .replacing("\"", with: "&quot;")
}
