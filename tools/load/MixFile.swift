// Reads mixes and traces: which kinds of request there are, or what was asked when. The one file here that reads
// YAML.
import Foundation
internal import Yams

/// Reads a mix: YAML with a list of kinds, or JSON, or JSON lines.
///
/// - Parameters:
///   - base: what a kind that leaves something out has.
///   - environment: where `os.environ/NAME` is looked up.
public func readMix(
    _ text: String, file: String, base: RequestKind,
    environment: [String: String] = ProcessInfo.processInfo.environment
) throws(LoadError) -> [RequestKind] {
    var nodes: [Node] = []
    do {
        for document in text.isJSONLines ? text.split(separator: "\n").map(String.init) : [text] {
            guard let node = try Yams.compose(yaml: document) else { continue }
            let inner = node.mapping?["calls"] ?? node
            nodes += inner.sequence.map(Array.init) ?? [inner]
        }
    } catch { throw LoadError("\(file): this is neither YAML nor JSON lines") }
    var kinds: [RequestKind] = []
    for node in nodes {
        kinds.append(try KindReader(node, "\(file):\(node.mark?.line ?? 1)", environment).kind(base: base))
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
    environment: [String: String] = ProcessInfo.processInfo.environment
) throws(LoadError) -> [TracedCall] {
    var calls: [TracedCall] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        let line = line.trimmingCharacters(in: .whitespaces)
        if line.isEmpty || line.hasPrefix("#") || calls.isEmpty && line.hasPrefix("seconds") { continue }
        let place = "\(file):\(index + 1)"
        if line.hasPrefix("{") {
            guard let node = try? Yams.compose(yaml: line), let at = node.mapping?["at"]?.float, at.isFinite
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
        .map { $0.trimmingCharacters(in: .whitespaces) }
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
    private let node: Node
    private let place: String
    private let environment: [String: String]

    init(_ node: Node, _ place: String, _ environment: [String: String]) {
        self.node = node
        self.place = place
        self.environment = environment
    }

    func kind(base: RequestKind) throws(LoadError) -> RequestKind {
        guard let mapping = node.mapping else {
            throw LoadError("\(place): a kind of request has keys such as `model: gpt-4o`")
        }
        var kind = base
        for (key, value) in mapping { try read(key.string ?? "", value, into: &kind) }
        if kind.model.isEmpty { throw LoadError("\(place): model is missing") }
        return kind
    }

    private func read(_ name: String, _ value: Node, into kind: inout RequestKind) throws(LoadError) {
        switch name {
        case "at": break
        case "model":
            guard let model = value.string, !model.isEmpty else {
                throw wrong(name, "the name of a model group")
            }
            kind.model = model
        case "weight":
            guard let weight = value.float, weight > 0, weight.isFinite else {
                throw wrong(name, "more than 0")
            }
            kind.weight = weight
        case "stream":
            guard let streams = value.bool else { throw wrong(name, "true or false") }
            kind.streams = streams
        case "prompt": kind.prompt = value.string
        case "system": kind.system = value.string
        case "prompt_bytes":
            do throws(LoadError) { kind.promptBytes = try SizeDistribution(value.string ?? "") } catch {
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

    private func number(_ name: String, _ value: Node, _ range: ClosedRange<Int>) throws(LoadError) -> Int32 {
        guard let number = value.int, range.contains(number) else {
            throw wrong(name, "a whole number, \(range.lowerBound) to \(range.upperBound)")
        }
        return Int32(number)
    }

    private func texts(_ name: String, _ value: Node) throws(LoadError) -> [String] {
        let texts = value.sequence.map { $0.compactMap(\.string) } ?? value.string.map { [$0] } ?? []
        if texts.isEmpty || texts.contains("") { throw wrong(name, "a text, or a list of texts") }
        return texts
    }

    private func fallbacks(_ value: Node) throws(LoadError) -> [RequestKind.Fallback] {
        let wanted = "a list of model groups, or of {model, api_key, api_base, api_version}"
        guard let nodes = value.sequence, !nodes.isEmpty else { throw wrong("fallbacks", wanted) }
        var targets: [RequestKind.Fallback] = []
        for node in nodes {
            guard let mapping = node.mapping else {
                guard let name = node.string, !name.isEmpty else { throw wrong("fallbacks", wanted) }
                targets.append(.modelGroup(name))
                continue
            }
            var parts: [String: String] = [:]
            for (key, value) in mapping {
                let name = key.string ?? ""
                guard ["model", "api_key", "api_base", "api_version"].contains(name), let text = value.string
                else { throw wrong("fallbacks", wanted) }
                parts[name] = try resolved(text)
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
