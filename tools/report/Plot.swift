// Plots as SVG text: lines and areas over a linear or logarithmic axis. Knows nothing of what is plotted.
import Glibc

/// A line of a plot.
public struct PlotLine: Sendable {
    var name: String
    var colour: String
    var points: [(x: Double, y: Double?)]

    /// - Parameters:
    ///   - name: for the legend; empty: the line is not in it. The same for areas.
    ///   - points: in the units of the axes; the line has a gap where there is no y.
    public init(name: String, colour: String, points: [(x: Double, y: Double?)]) {
        self.name = name
        self.colour = colour
        self.points = points
    }
}

/// An area of a plot, between two values that hold from one x to the next.
public struct PlotArea: Sendable {
    var name: String
    var colour: String
    var low: [Double]
    var high: [Double]

    /// Areas on each other: the first on the axis.
    public static func stacked(_ layers: [(name: String, colour: String, values: [Double])]) -> [PlotArea] {
        var areas: [PlotArea] = []
        for layer in layers {
            let low = areas.last?.high ?? layer.values.map { _ in 0 }
            let high = zip(low, layer.values).map { $0 + $1 }
            areas.append(PlotArea(name: layer.name, colour: layer.colour, low: low, high: high))
        }
        return areas
    }
}

public struct Plot: Sendable {
    private var title: String
    private var lines: [PlotLine]
    private var areas: [PlotArea]
    /// Where the areas' values begin to hold, and where the last one ends.
    private var edges: [Double]
    private var marks: [(x: Double, label: String)]
    private var xName: String
    private var label: @Sendable (Double) -> String
    private var isLogarithmic: Bool

    /// - Parameters:
    ///   - marks: on the x axis: where, and what is written there.
    ///   - label: how a value on the y axis is written.
    ///   - edges: of the areas: one more than they have values.
    public init(
        title: String, lines: [PlotLine] = [], areas: [PlotArea] = [], edges: [Double] = [],
        marks: [(x: Double, label: String)], xName: String, isLogarithmic: Bool = false,
        label: @escaping @Sendable (Double) -> String
    ) {
        self.title = title
        self.lines = lines
        self.areas = areas
        self.edges = edges
        self.marks = marks
        self.xName = xName
        self.isLogarithmic = isLogarithmic
        self.label = label
    }

    private static let width = 760.0
    private static let height = 300.0
    private static let left = 76.0
    private static let right = 20.0
    private static let top = 56.0
    private static let bottom = 46.0

    /// The values at which the y axis has a line, from the lowest to the highest.
    func ticks() -> [Double] {
        let values = lines.flatMap { $0.points.compactMap(\.y) } + areas.flatMap(\.high)
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

    public func svg() -> String {
        let ticks = ticks()
        return """
            <svg viewBox="0 0 \(Int(Plot.width)) \(Int(Plot.height))" role="img" aria-label="\(escaped(title))">
            <text x="\(Int(Plot.left))" y="20" class="title">\(escaped(title))</text>

            """ + legend() + grid(ticks) + axis() + areas.map { area($0, ticks) }.joined()
                + lines.map { line($0, ticks) }.joined() + "</svg>\n"
    }

    // MARK: Parts

    private func legend() -> String {
        var svg = ""
        var x = Plot.left
        let all = areas.map { ($0.name, $0.colour) } + lines.map { ($0.name, $0.colour) }
        for (name, colour) in all where !name.isEmpty {
            svg += "<line x1=\"\(n(x))\" x2=\"\(n(x + 18))\" y1=\"38\" y2=\"38\" stroke=\"\(colour)\"/>"
            svg += "<text x=\"\(n(x + 24))\" y=\"42\">\(escaped(name))</text>\n"
            // Room for the name at some 6.6 units a letter.
            x += 34 + 6.6 * Double(name.count)
        }
        return svg
    }

    private func grid(_ ticks: [Double]) -> String {
        ticks.map { tick in
            let y = n(place(tick, ticks))
            let ends = "x1=\"\(n(Plot.left))\" x2=\"\(n(Plot.width - Plot.right))\" y1=\"\(y)\" y2=\"\(y)\""
            return "<line \(ends) class=\"grid\"/><text x=\"\(n(Plot.left - 8))\" y=\"\(y)\" dy=\"4\" "
                + "text-anchor=\"end\">\(escaped(label(tick)))</text>\n"
        }.joined()
    }

    private func axis() -> String {
        let base = Plot.height - Plot.bottom
        let marked = marks.map { mark in
            let x = n(across(mark.x))
            return "<line x1=\"\(x)\" x2=\"\(x)\" y1=\"\(n(base))\" y2=\"\(n(base + 4))\" class=\"grid\"/>"
                + "<text x=\"\(x)\" y=\"\(n(base + 18))\" text-anchor=\"middle\">\(escaped(mark.label))</text>\n"
        }
        let middle = n((Plot.left + Plot.width - Plot.right) / 2)
        return marked.joined() + "<text x=\"\(middle)\" y=\"\(n(Plot.height - 8))\" "
            + "text-anchor=\"middle\">\(escaped(xName))</text>\n"
    }

    private func area(_ area: PlotArea, _ ticks: [Double]) -> String {
        func edge(_ values: [Double]) -> [String] {
            values.enumerated().flatMap { index, value in
                let y = n(place(value, ticks))
                return ["\(n(across(edges[index]))),\(y)", "\(n(across(edges[index + 1]))),\(y)"]
            }
        }
        let points = (edge(area.high) + edge(area.low).reversed()).joined(separator: " ")
        return "<polygon points=\"\(points)\" fill=\"\(area.colour)\"/>\n"
    }

    private func line(_ line: PlotLine, _ ticks: [Double]) -> String {
        // A point by itself would be no line.
        line.points.split(whereSeparator: { $0.y == nil }).map { piece in
            let points = piece.map { (n(across($0.x)), n(place($0.y ?? 0, ticks))) }
            if points.count == 1 {
                return
                    "<circle cx=\"\(points[0].0)\" cy=\"\(points[0].1)\" r=\"3\" fill=\"\(line.colour)\"/>\n"
            }
            let text = points.map { "\($0.0),\($0.1)" }.joined(separator: " ")
            return "<polyline points=\"\(text)\" stroke=\"\(line.colour)\"/>\n"
        }.joined()
    }

    // MARK: Places

    private func across(_ x: Double) -> Double {
        let xs = lines.flatMap { $0.points.map(\.x) } + marks.map(\.x) + edges
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

    private func n(_ number: Double) -> String { fixed(number, 1) }
}
