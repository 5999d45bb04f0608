// The configuration as a person reads it after `junction check`. Shows where a key comes from, never a key.
import JunctionRouting

extension ServerConfiguration {
    /// The deployments as aligned columns, then what becomes of a call that they cannot answer. Ends with a
    /// line end.
    ///
    /// `KEY` is `set` (in the file), `os.environ/NAME` or `none`; `-` stands for no limit or no base.
    public func deploymentTable() -> String {
        var rows = [["DEPLOYMENT", "GROUP", "PROVIDER", "MODEL", "BASE", "KEY", "TPM", "RPM"]]
        for (called, routed) in zip(deployments, router.deployments) {
            rows.append([
                called.id, called.modelGroup, called.providerName, called.model,
                called.apiBase.isEmpty ? "-" : called.apiBase, called.keySource,
                routed.tokensPerMinute.map { "\($0)" } ?? "-",
                routed.requestsPerMinute.map { "\($0)" } ?? "-",
            ])
        }
        var text = aligned(rows) + "\nstrategy: \(router.strategy.rawValue)\n"
        text += list("fallbacks", router.fallbacks)
        text += list("context window fallbacks", router.contextWindowFallbacks)
        text += list("content policy fallbacks", router.contentPolicyFallbacks)
        if !router.defaultFallbacks.isEmpty {
            text += "\ndefault fallbacks: \(router.defaultFallbacks.joined(separator: ", "))\n"
        }
        text += list("aliases", router.aliases.mapValues { [$0] })
        return text
    }

    private func list(_ title: String, _ targets: [String: [String]]) -> String {
        if targets.isEmpty { return "" }
        let lines = targets.sorted { $0.key < $1.key }.map {
            "  \($0.key) → \($0.value.joined(separator: ", "))\n"
        }
        return "\n\(title):\n" + lines.joined()
    }
}

/// Rows as lines, each column as wide as its widest cell.
private func aligned(_ rows: [[String]]) -> String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        let cells = zip(row, widths).map { cell, width in
            cell + String(repeating: " ", count: width - cell.count)
        }
        let line = cells.joined(separator: "  ")
        return line[...(line.lastIndex { $0 != " " } ?? line.startIndex)] + "\n"
    }.joined()
}
