// Two reports side by side: what changed, and by how much.

public struct Comparison: Sendable {
    public struct Row: Sendable, Equatable {
        public var name: String
        public var a: String
        public var b: String
        /// The change from A to B as a share of A; nil when A is 0.
        public var change: Double?
        /// Whether more is worse.
        public var isCost: Bool
    }

    public var rows: [Row] = []

    public init(_ a: LoadReport, _ b: LoadReport) {
        add("answered calls/s", a.callsPerSecond, b.callsPerSecond, isCost: false, short)
        add("errors", a.errorShare, b.errorShare, isCost: true, percent)
        addTimes("latency", a.latency, b.latency)
        addTimes("sent to answer", a.service, b.service)
        addTimes("first token", a.firstToken, b.firstToken)
        addTimes("between messages", a.gaps, b.gaps)
        add("tokens/s", a.tokensPerSecond, b.tokensPerSecond, isCost: false, short)
    }

    private mutating func addTimes(_ name: String, _ a: LoadReport.Times, _ b: LoadReport.Times) {
        guard a.count > 0, b.count > 0 else { return }
        for (percentile, a, b) in [
            ("p50", a.p50Us, b.p50Us), ("p90", a.p90Us, b.p90Us), ("p99", a.p99Us, b.p99Us),
            ("p99.9", a.p999Us, b.p999Us), ("max", a.maxUs, b.maxUs),
        ] {
            add("\(name) \(percentile)", Double(a), Double(b), isCost: true, time)
        }
    }

    private mutating func add(
        _ name: String, _ a: Double, _ b: Double, isCost: Bool, _ shown: (Double) -> String
    ) {
        if a == 0, b == 0 { return }
        rows.append(
            Row(name: name, a: shown(a), b: shown(b), change: a == 0 ? nil : b / a - 1, isCost: isCost))
    }

    /// A table for a person.
    public func text(a: String, b: String) -> String {
        var table = TextTable(["", a, b, "change"])
        for row in rows {
            let change = row.change.map { ($0 < 0 ? "" : "+") + percent($0) } ?? "new"
            let isWorse = row.change.map { row.isCost ? $0 > 0.05 : $0 < -0.05 } ?? row.isCost
            table.add([row.name, row.a, row.b, change + (isWorse ? "  worse" : "")])
        }
        return table.text
    }
}
