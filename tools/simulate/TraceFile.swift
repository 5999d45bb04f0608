// Reads a trace: a line a call, `seconds,model,prompt_tokens,completion_tokens[,stream]`.
import JunctionConfig

public enum TraceFile {
    /// The calls of a trace in order of time, nil when a line is wrong, and what is wrong. Empty lines, lines
    /// begun with `#` and a first line of column names are passed over.
    public static func read(text: String, file: String) -> ([TracedCall]?, [Diagnostic]) {
        var calls: [TracedCall] = []
        var faults: [Diagnostic] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(trimmed)
            if cells[0].isEmpty && cells.count == 1 || cells[0].hasPrefix("#") { continue }
            if calls.isEmpty, faults.isEmpty, cells[0] == "seconds" { continue }
            switch call(cells) {
            case .success(let call): calls.append(call)
            case .failure(let wrong) where faults.count < 20:
                faults.append(
                    Diagnostic(
                        severity: .error, file: file, line: index + 1, column: 1, key: wrong.column,
                        message: wrong.message))
            case .failure: break
            }
        }
        if calls.isEmpty, faults.isEmpty {
            faults.append(
                Diagnostic(
                    severity: .error, file: file, line: 1, column: 1, key: "",
                    message: "There is no call in it. A call is a line: \(columns)."))
        }
        return (faults.isEmpty ? calls.sorted { $0.at < $1.at } : nil, faults)
    }

    private static let columns = "seconds,model,prompt_tokens,completion_tokens[,stream]"

    private struct Wrong: Error {
        var column: String
        var message: String
    }

    private static func call(_ cells: [String]) -> Result<TracedCall, Wrong> {
        guard cells.count == 4 || cells.count == 5 else {
            return .failure(
                Wrong(column: "", message: "Expected \(columns), not \(cells.count) values."))
        }
        guard let at = Double(cells[0]), (0...1e8).contains(at) else {
            return .failure(Wrong(column: "seconds", message: "Expected seconds from the start, as in 1.5."))
        }
        if cells[1].isEmpty { return .failure(Wrong(column: "model", message: "This is empty.")) }
        guard let prompt = Int(cells[2]), (0...10_000_000).contains(prompt) else {
            return .failure(Wrong(column: "prompt_tokens", message: "Expected a whole number."))
        }
        guard let completion = Int(cells[3]), (0...10_000_000).contains(completion) else {
            return .failure(Wrong(column: "completion_tokens", message: "Expected a whole number."))
        }
        let stream = cells.count == 5 ? cells[4].lowercased() : "false"
        guard let isStreaming = ["true": true, "1": true, "false": false, "0": false, "": false][stream]
        else { return .failure(Wrong(column: "stream", message: "Expected true or false.")) }
        return .success(
            TracedCall(
                at: at, model: cells[1], promptTokens: prompt, completionTokens: completion,
                isStreaming: isStreaming))
    }

    private static func trimmed(_ cell: Substring) -> String {
        var cell = cell
        while cell.first?.isWhitespace == true { cell.removeFirst() }
        while cell.last?.isWhitespace == true { cell.removeLast() }
        return String(cell)
    }
}
