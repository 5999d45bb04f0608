// A report as one web page that needs nothing but itself: no network, no script. Knows nothing of what is
// reported.

public enum WebPage {
    /// The page.
    ///
    /// - Parameters:
    ///   - title: for the window and as the heading; text.
    ///   - body: what follows the heading; HTML.
    public static func html(title: String, body: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>\(escaped(title))</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <style>\(style)</style></head><body>
        <h1>\(escaped(title))</h1>
        \(body)
        </body></html>

        """
    }

    /// Numbers worth a glance, each with its name under it; texts.
    public static func facts(_ facts: [(name: String, value: String)]) -> String {
        let boxes = facts.map { "<div><b>\(escaped($0.value))</b>\(escaped($0.name))</div>" }
        return "<div class=\"facts\">\(boxes.joined())</div>"
    }

    /// A table, of texts; the first column to the left, the others to the right.
    ///
    /// - Parameter colours: of the swatches before the first cells, if any.
    public static func table(_ heads: [String], _ rows: [[String]], colours: [String] = []) -> String {
        var html = "<div class=\"wide\"><table><tr>\(heads.map { "<th>\(escaped($0))</th>" }.joined())</tr>\n"
        for (index, row) in rows.enumerated() {
            let swatch =
                colours.isEmpty ? "" : "<i style=\"background:\(colours[index % colours.count])\"></i>"
            let cells = row.enumerated().map {
                "<td>\($0.offset == 0 ? swatch : "")\(escaped($0.element))</td>"
            }
            html += "<tr>\(cells.joined())</tr>\n"
        }
        return html + "</table></div>"
    }

    private static let style = """
        body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#111;
        background:#fff}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
        .wide{overflow-x:auto}table{border-collapse:collapse;width:100%;white-space:nowrap}
        td,th{padding:.25rem .5rem;text-align:right;border-bottom:1px solid #e5e7eb}
        td:first-child,th:first-child{text-align:left}
        i{display:inline-block;width:.8em;height:.8em;margin-right:.5em;border-radius:2px}
        .facts{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}.facts div{border:1px solid #e5e7eb;
        border-radius:6px;padding:.4rem .8rem}.facts b{display:block;font-size:1.25rem}
        .attention{background:#fef3c7;padding:.5rem .8rem;border-radius:6px}
        svg{width:100%;height:auto;margin-top:1.5rem;font:12px system-ui,sans-serif}svg line{stroke-width:2}
        svg .grid{stroke:#e5e7eb;stroke-width:1}svg .title{font-size:14px;font-weight:600}
        svg polyline{fill:none;stroke-width:2}
        """
}

/// Okabe and Ito's colours, which most people can tell apart.
public enum Colour {
    public static let blue = "#0072b2"
    public static let amber = "#e69f00"
    public static let green = "#009e73"
    public static let red = "#d55e00"
    public static let gray = "#7f7f7f"
    private static let all = [blue, amber, green, red, "#56b4e9", "#cc79a7", "#f0e442", gray]

    /// The colour of number `index` among many.
    public static func number(_ index: Int) -> String { all[index % all.count] }
}

/// Text as HTML and SVG take it.
public func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
        .replacing("\"", with: "&quot;")
}
