// Reads mixes and traces: which kinds of request there are, or what was asked when. The one file here that reads
// YAML.
import JunctionTransport
import JunctionYAML

/// Reads a mix: YAML with a list of kinds, or JSON, or JSON lines.
///
/// - Parameters:
///   - base: what a kind that leaves something out has.
///   - environment: where `os.environ/NAME` is looked up.
public func readMix(
    _ text: String, file: String, base: RequestKind,
    environment: [String: String] = environmentVariables()
) throws(LoadError) -> [RequestKind] {
    var nodes: [YAMLNode] = []
    for document in text.isJSONLines ? text.split(separator: "\n").map(String.init) : [text] {
        let tree = YAMLTree(parsing: document)
        guard tree.faults.isEmpty else { throw LoadError("\(file): this is neither YAML nor JSON lines") }
        guard let node = tree.root else { continue }
        let inner = node["calls"] ?? node
        nodes += inner.sequence ?? [inner]
    }
    var kinds: [RequestKind] = []
    for node in nodes {
        kinds.append(try KindReader(node, "\(file):\(node.position.line)", environment).kind(base: base))
    }
    if kinds.isEmpty { throw LoadError("\(file): there is no kind of request in it") }
    return kinds
}

/// Reads a trace: a line a call, in any order. A line begins with the second at which the call started; it may go
/// on as a trace of `junction simulate` does, `seconds,model,prompt_tokens,completion_tokens[,stream]`; or it is a
/// JSON object with a number `at` and keys of a mix. Empty lines, lines begun with `#` and a first line of column
/// names are passed over.
///
/// - Parameter base: what a call has that its line leaves out.
public func readTrace(
    _ text: String, file: String, base: RequestKind,
    environment: [String: String] = environmentVariables()
) throws(LoadError) -> [TracedCall] {
    var calls: [TracedCall] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        let line = trimmed(line)
        if line.isEmpty || line.hasPrefix("#") || calls.isEmpty && line.hasPrefix("seconds") { continue }
        let place = "\(file):\(index + 1)"
        if line.hasPrefix("{") {
            guard let node = YAMLTree(parsing: line).root, let at = node["at"]?.number, at.isFinite
            else { throw LoadError("\(place): the call has no number `at`, the second at which it started") }
            let kind = try KindReader(node, place, environment).kind(base: base)
            calls.append(TracedCall(at: at, kind: kind == base ? nil : kind))
        } else {
            calls.append(try tracedCall(line, place, base))
        }
    }
    if calls.isEmpty { throw LoadError("\(file): there is no call in it") }
    return calls.sorted { $0.at < $1.at }
}

private func tracedCall(_ line: String, _ place: String, _ base: RequestKind) throws(LoadError) -> TracedCall
{
    let separators: (Character) -> Bool = { $0 == "," || $0 == " " || $0 == "\t" }
    guard let at = line.split(whereSeparator: separators).first.flatMap({ Double(String($0)) }), at.isFinite
    else {
        throw LoadError("\(place): the line does not begin with a number of seconds")
    }
    let cells = line.split(separator: ",", omittingEmptySubsequences: false)
        .map(trimmed)
    if cells.count == 1 { return TracedCall(at: at) }
    var kind = base
    guard !cells[1].isEmpty else { throw LoadError("\(place): the model is empty") }
    kind.model = cells[1]
    if cells.count > 2 {
        guard let tokens = Int(cells[2]), (0...10_000_000).contains(tokens) else {
            throw LoadError("\(place): prompt_tokens must be a whole number, not '\(cells[2])'")
        }
        kind.prompt = nil
        kind.promptBytes = .fixed(max(1, min(SizeDistribution.bytesMax, 4 * tokens)))
    }
    if cells.count > 3 {
        guard let tokens = Int32(cells[3]), tokens >= 0 else {
            throw LoadError("\(place): completion_tokens must be a whole number, not '\(cells[3])'")
        }
        kind.maxTokens = tokens > 0 ? tokens : nil
    }
    if cells.count > 4, !cells[4].isEmpty {
        guard let streams = ["true": true, "1": true, "false": false, "0": false][cells[4].lowercased()]
        else {
            throw LoadError("\(place): stream must be true or false, not '\(cells[4])'")
        }
        kind.streams = streams
    }
    return TracedCall(at: at, kind: kind)
}

/// Without blanks at its ends.
private func trimmed(_ text: Substring) -> String {
    let inner = text.drop(while: \.isWhitespace)
    return String(
        inner[..<(inner.lastIndex { !$0.isWhitespace }.map(inner.index(after:)) ?? inner.startIndex)])
}

extension YAMLNode {
    fileprivate var text: String? {
        guard case .scalar(let text, _) = content else { return nil }
        return text
    }
    fileprivate var number: Double? { text.flatMap(Double.init) }
    fileprivate var sequence: [YAMLNode]? {
        guard case .sequence(let nodes) = content else { return nil }
        return nodes
    }
    fileprivate var mapping: [Entry]? {
        guard case .mapping(let entries) = content else { return nil }
        return entries
    }
    fileprivate subscript(key: String) -> YAMLNode? { mapping?.first { $0.key == key }?.value }
}

extension String {
    /// More than one line, each a JSON object.
    fileprivate var isJSONLines: Bool {
        let lines = split(separator: "\n")
        return lines.allSatisfy { $0.hasPrefix("{") && $0.contains("}") }
    }
}

/// Reads one kind of request from its mapping.
private struct KindReader {
    private static let keys = [
        "model", "weight", "stream", "prompt", "prompt_bytes", "system", "max_tokens", "sessions", "tags",
        "regions", "priority", "num_retries", "fallbacks",
    ]
    private let node: YAMLNode
    private let place: String
    private let environment: [String: String]

    init(_ node: YAMLNode, _ place: String, _ environment: [String: String]) {
        self.node = node
        self.place = place
        self.environment = environment
    }

    func kind(base: RequestKind) throws(LoadError) -> RequestKind {
        guard let mapping = node.mapping else {
            throw LoadError("\(place): a kind of request has keys such as `model: gpt-4o`")
        }
        var kind = base
        for entry in mapping { try read(entry.key, entry.value, into: &kind) }
        if kind.model.isEmpty { throw LoadError("\(place): model is missing") }
        return kind
    }

    private func read(_ name: String, _ value: YAMLNode, into kind: inout RequestKind) throws(LoadError) {
        switch name {
        case "at": break
        case "model":
            guard let model = value.text, !model.isEmpty else {
                throw wrong(name, "the name of a model group")
            }
            kind.model = model
        case "weight":
            guard let weight = value.number, weight > 0, weight.isFinite else {
                throw wrong(name, "more than 0")
            }
            kind.weight = weight
        case "stream":
            guard let streams = ["true": true, "false": false][value.text?.lowercased() ?? ""] else {
                throw wrong(name, "true or false")
            }
            kind.streams = streams
        case "prompt": kind.prompt = value.text
        case "system": kind.system = value.text
        case "prompt_bytes":
            do throws(LoadError) { kind.promptBytes = try SizeDistribution(value.text ?? "") } catch {
                throw LoadError("\(place): prompt_bytes: \(error)")
            }
        case "max_tokens": kind.maxTokens = try number(name, value, 1...Int(Int32.max))
        case "sessions": kind.sessions = try Int(number(name, value, 1...10_000))
        case "tags": kind.tags = try texts(name, value)
        case "regions": kind.regions = try texts(name, value)
        case "priority": kind.priority = try number(name, value, 0...255)
        case "num_retries": kind.numRetries = try number(name, value, 0...100)
        case "fallbacks": kind.fallbacks = try fallbacks(value)
        default:
            throw LoadError(
                "\(place): there is no key '\(name)'; there are \(Self.keys.joined(separator: ", "))")
        }
    }

    private func wrong(_ name: String, _ wanted: String) -> LoadError {
        LoadError("\(place): \(name) must be \(wanted)")
    }

    private func number(_ name: String, _ value: YAMLNode, _ range: ClosedRange<Int>) throws(LoadError)
        -> Int32
    {
        guard let number = value.text.flatMap({ Int($0) }), range.contains(number) else {
            throw wrong(name, "a whole number, \(range.lowerBound) to \(range.upperBound)")
        }
        return Int32(number)
    }

    private func texts(_ name: String, _ value: YAMLNode) throws(LoadError) -> [String] {
        let texts = value.sequence.map { $0.compactMap(\.text) } ?? value.text.map { [$0] } ?? []
        if texts.isEmpty || texts.contains("") { throw wrong(name, "a text, or a list of texts") }
        return texts
    }

    private func fallbacks(_ value: YAMLNode) throws(LoadError) -> [RequestKind.Fallback] {
        let wanted = "a list of model groups, or of {model, api_key, api_base, api_version}"
        guard let nodes = value.sequence, !nodes.isEmpty else { throw wrong("fallbacks", wanted) }
        var targets: [RequestKind.Fallback] = []
        for node in nodes {
            guard let mapping = node.mapping else {
                guard let name = node.text, !name.isEmpty else { throw wrong("fallbacks", wanted) }
                targets.append(.modelGroup(name))
                continue
            }
            var parts: [String: String] = [:]
            for entry in mapping {
                guard ["model", "api_key", "api_base", "api_version"].contains(entry.key),
                    let text = entry.value.text
                else { throw wrong("fallbacks", wanted) }
                parts[entry.key] = try resolved(text)
            }
            targets.append(
                .override(
                    model: parts["model"] ?? "", apiKey: parts["api_key"] ?? "",
                    apiBase: parts["api_base"] ?? "", apiVersion: parts["api_version"] ?? ""))
        }
        return targets
    }

    /// `os.environ/NAME` as the environment has it: keys need not stand in files.
    private func resolved(_ text: String) throws(LoadError) -> String {
        guard text.hasPrefix("os.environ/") else { return text }
        let name = String(text.dropFirst("os.environ/".count))
        guard let value = environment[name], !value.isEmpty else {
            throw LoadError("\(place): the environment has no \(name)")
        }
        return value
    }
}
