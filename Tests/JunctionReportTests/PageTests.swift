// Pages and plots: text is text, gaps are gaps, areas stand on each other.
import Testing

@testable import JunctionReport

struct PageTests {
    @Test func textIsNeverMarkup() {
        let bad = "<script>\"&'"
        let page = WebPage.html(
            title: bad,
            body: WebPage.facts([(bad, bad)]) + WebPage.table([bad], [[bad]], colours: [Colour.blue])
                + Plot(
                    title: bad, lines: [PlotLine(name: bad, colour: Colour.red, points: [(x: 0, y: 1)])],
                    marks: [(x: 0, label: bad)], xName: bad, label: { _ in bad }
                ).svg())
        #expect(!page.contains("<script") && page.contains("&lt;script&gt;&quot;&amp;"))
        #expect(!page.contains("http:") && !page.contains("https:"))
    }

    @Test func aLineHasGapsAndLonelyPoints() {
        let ys: [Double?] = [1, 2, nil, 3, nil, 4, 5]
        let points = ys.enumerated().map { (x: Double($0.offset), y: $0.element) }
        let svg = Plot(
            title: "t", lines: [PlotLine(name: "l", colour: Colour.blue, points: points)], marks: [],
            xName: "x", label: { "\($0)" }
        ).svg()
        #expect(svg.matches(of: #/<polyline /#).count == 2 && svg.matches(of: #/<circle /#).count == 1)
    }

    @Test func areasStandOnEachOther() {
        let areas = PlotArea.stacked([("a", "", [1, 2]), ("b", "", [10, 0]), ("c", "", [0, 5])])
        #expect(areas.map(\.low) == [[0, 0], [1, 2], [11, 2]])
        #expect(areas.map(\.high) == [[1, 2], [11, 2], [11, 7]])
        let plot = Plot(
            title: "t", areas: areas, edges: [0, 1, 2], marks: [], xName: "x", label: { "\($0)" })
        #expect(plot.svg().matches(of: #/<polygon /#).count == 3)
        #expect((plot.ticks().last ?? 0) >= 11)
    }

    @Test func anEmptyPlotIsWhole() {
        for isLogarithmic in [false, true] {
            let svg = Plot(
                title: "t", marks: [], xName: "x", isLogarithmic: isLogarithmic, label: { "\($0)" }
            ).svg()
            #expect(svg.hasSuffix("</svg>\n") && !svg.contains("nan") && !svg.contains("inf"))
        }
    }
}
