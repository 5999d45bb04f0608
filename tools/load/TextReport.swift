// A report as text for a terminal, and how numbers are told to a person.
import JunctionReport

/// A number with as many digits as matter: `0.52`, `12.3`, `1,204`.
func short(_ number: Double) -> String {
    if number.magnitude < 10 { return trimmed(number, 2) }
    if number.magnitude < 100 { return trimmed(number, 1) }
    return grouped(Int(number.rounded()))
}

/// `1,204,377`
func grouped(_ number: Int) -> String {
    var digits = String(number.magnitude)
    var groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
}

/// A share of 1 in percent.
func percent(_ share: Double) -> String {
    let number = share * 100
    return trimmed(number, number != 0 && number.magnitude < 0.1 ? 3 : 1) + " %"
}

/// A time in microseconds, in the unit that suits it.
func time(_ microseconds: Double) -> String {
    if microseconds < 1000 { return "\(Int(microseconds.rounded())) µs" }
    if microseconds < 1_000_000 { return short(microseconds / 1000) + " ms" }
    return short(microseconds / 1_000_000) + " s"
}

/// Columns of text: the first to the left, the others to the right.
struct TextTable {
    private var rows: [[String]]
    init(_ head: [String]) { rows = [head] }

    mutating func add(_ row: [String]) { rows.append(row) }

    var text: String {
        let columns = rows[0].count
        let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                let gap = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + gap : gap + cell
            }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}

extension LoadReport {
    /// The times that were measured, each with what it is.
    var measuredTimes: [(name: String, times: Times)] {
        [
            (isOpenLoop ? "latency, from the intended start" : "latency", latency),
            ("latency, from the sending", isOpenLoop ? service : Times()),
            ("first token", firstToken), ("between messages", gaps), ("failed calls", failures),
        ].filter { $0.times.count > 0 }
    }

    /// Where the answers came from, the most used deployment first.
    var deploymentShares: [(name: String, calls: Int)] {
        deployments.map { ($0.key, $0.value) }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
    }

    /// The report for a terminal.
    public func text() -> String {
        var text = "\(address): \(pacing); \(short(seconds)) s after \(short(warmUpSeconds)) s of warm-up\n\n"
        text +=
            "calls      \(grouped(started)) started, \(grouped(succeeded)) answered, \(grouped(failed)) failed "
        text += "(\(percent(errorShare)))\n"
        text += "rate       \(short(callsPerSecond)) answered/s of \(short(offeredPerSecond)) started/s\n"
        if completionTokens > 0 {
            text += "tokens     \(short(tokensPerSecond)) completion/s; \(grouped(promptTokens)) prompt and "
            text += "\(grouped(completionTokens)) completion in all\n"
        }
        text += "bytes      \(grouped(bytesSent)) sent, \(grouped(bytesReceived)) received\n"
        if attempts > 0 {
            text += "attempts   \(short(Double(attempts) / Double(max(1, succeeded)))) a call, "
            text += "\(grouped(fallbacks)) answered by a fallback\n"
        }
        text += "\n" + timesTable + outcomesTable + deploymentsTable
        if let shortfall { text += "\nAttention: \(shortfall).\n" }
        return text
    }

    private var timesTable: String {
        var table = TextTable(["", "p50", "p90", "p95", "p99", "p99.9", "max", "count"])
        for (name, times) in measuredTimes {
            let values = [times.p50Us, times.p90Us, times.p95Us, times.p99Us, times.p999Us, times.maxUs]
            table.add([name] + values.map { time(Double($0)) } + [grouped(times.count)])
        }
        return table.text
    }

    private var outcomesTable: String {
        if failed == 0 { return "" }
        var table = TextTable(["outcome", "calls"])
        for (name, calls) in outcomes.sorted(by: { $0.value > $1.value }) {
            table.add([name, grouped(calls)])
        }
        let said = examples.sorted { $0.key < $1.key }.map { "\($0.key), for one: \($0.value)\n" }
        return "\n" + table.text + said.joined()
    }

    private var deploymentsTable: String {
        if deployments.isEmpty { return "" }
        var table = TextTable(["deployment", "calls", "share"])
        let sum = Double(deployments.values.reduce(0, +))
        for (name, calls) in deploymentShares.prefix(20) {
            table.add([name, grouped(calls), percent(Double(calls) / sum)])
        }
        if deployments.count > 20 { table.add(["and \(deployments.count - 20) more", "", ""]) }
        return "\n" + table.text
    }
}
