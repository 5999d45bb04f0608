// A simulation's result as a person reads it in a terminal.
import JunctionReport

extension SimulationResult {
    /// A table of the deployments, then the totals. Ends with a line end.
    public func text() -> String {
        var rows = [
            [
                "DEPLOYMENT", "SHARE", "SERVED", "ATTEMPTS", "RETRIES", "FAILURES", "429S", "COST", "P50",
                "P99", "TOKENS OVER", "REQUESTS OVER", "TIME OVER",
            ]
        ]
        for one in deployments {
            rows.append([
                one.id, percent(one.share), "\(one.answered)", "\(one.attempts)", "\(one.retries)",
                "\(one.failures)", "\(one.refused)", dollars(one.cost), time(one.p50), time(one.p99),
                "\(one.tokensOverLimit)", "\(one.requestsOverLimit)", time(one.secondsOverLimit),
            ])
        }
        var text = aligned(rows) + "\n"
        text += "strategy        \(strategy)\n"
        text += "calls           \(calls) in \(time(seconds))\n"
        text += "served          \(answered) (\(percent(shareServed)) of those that stayed)\n"
        if byFallback > 0 { text += "by a fallback   \(byFallback)\n" }
        let outcomes = failed.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        if !outcomes.isEmpty {
            text += "failed          "
            text += outcomes.map { "\($0.value) \(words($0.key))" }.joined(separator: ", ") + "\n"
        }
        if left > 0 { text += "left            \(left)\n" }
        let hedged = hedges == 0 ? "" : ", \(hedges) hedges"
        text += "attempts        \(attempts), \(retries) of them retries\(hedged)\n"
        if cost != nil { text += "cost            \(dollars(cost))\n" }
        text += "latency         p50 \(time(p50)), p99 \(time(p99))\n"
        text += "over the limit  \(tokensOverLimit) tokens, \(requestsOverLimit) requests\n"
        return text
    }
}

func percent(_ share: Double) -> String { fixed(share * 100, 1) + " %" }

func time(_ seconds: Double?) -> String {
    guard let seconds else { return "-" }
    return seconds > 0 && seconds < 1
        ? fixed(seconds * 1000, 0) + " ms" : fixed(seconds, 2) + " s"
}

func dollars(_ cost: Double?) -> String { cost.map { "$" + fixed($0, 2) } ?? "-" }

/// `deadlineExceeded` as words.
func words(_ name: String) -> String {
    name.reduce(into: "") { $0 += $1.isUppercase ? " " + $1.lowercased() : String($1) }
}

/// Rows as lines: the first column to the left, numbers to the right.
private func aligned(_ rows: [[String]]) -> String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        zip(row, widths).enumerated().map { column, cell in
            let blanks = String(repeating: " ", count: cell.1 - cell.0.count)
            return column == 0 ? cell.0 + blanks : blanks + cell.0
        }.joined(separator: "  ") + "\n"
    }.joined()
}
