// Reads a scenario: YAML in, a world and what is wrong with the file out. Its keys stand in
// scenario_template.yaml, with their meaning.
import JunctionConfig
import JunctionRouting
import JunctionYAML

public enum ScenarioFile {
    /// The world that a file describes, nil when it has an error, and every fault in the order of its lines.
    ///
    /// - Parameters:
    ///   - file: what diagnostics call the file.
    ///   - configuration: whose deployments and model groups the file names.
    public static func read(
        text: String, file: String, configuration: RouterConfiguration
    ) -> (Scenario?, [Diagnostic]) {
        let tree = YAMLTree(parsing: text)
        var reader = ScenarioReader(file: file, configuration: configuration)
        for fault in tree.faults { reader.fault(fault.position, fault.key, fault.message) }
        if let root = tree.root, !root.isNull { reader.read(root) }
        let faults = reader.faults.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
        return (faults.isEmpty ? reader.scenario : nil, faults)
    }
}

private struct ScenarioReader {
    let file: String
    let configuration: RouterConfiguration
    var scenario = Scenario()
    var faults: [Diagnostic] = []

    init(file: String, configuration: RouterConfiguration) {
        self.file = file
        self.configuration = configuration
    }

    mutating func fault(_ position: Position, _ key: String, _ message: String) {
        faults.append(
            Diagnostic(
                severity: .error, file: file, line: position.line, column: position.column, key: key,
                message: message))
    }

    // MARK: Sections

    mutating func read(_ root: YAMLNode) {
        each(root, "", ["callers", "providers"]) { reader, key, node, path in
            if key == "callers" {
                reader.list(node, path) { reader, node, path in
                    reader.scenario.callers.append(reader.caller(node, path))
                }
            } else {
                reader.providers(node, path)
            }
        }
    }

    private mutating func caller(_ node: YAMLNode, _ path: String) -> CallerBehaviour {
        var caller = CallerBehaviour()
        let keys = [
            "model", "rate", "arrivals", "from", "until", "prompt_tokens", "completion_tokens", "max_tokens",
            "stream", "deadline", "gives_up", "gives_up_after", "tags",
        ]
        each(node, path, keys) { reader, key, node, path in
            switch key {
            case "model": caller.model = reader.model(node, path)
            case "rate": caller.rate = reader.number(node, path, 1e-6...1e6) ?? 1
            case "arrivals":
                caller.isPoisson = reader.choice(node, path, ["poisson": true, "constant": false]) ?? true
            case "from": caller.from = reader.number(node, path, 0...1e8) ?? 0
            case "until": caller.until = reader.number(node, path, 0...1e8)
            case "prompt_tokens": caller.promptTokens = reader.quantity(node, path) ?? .constant(1)
            case "completion_tokens": caller.completionTokens = reader.quantity(node, path) ?? .constant(1)
            case "max_tokens":
                caller.maxTokens = node.isNull ? nil : reader.number(node, path, 1...1e7).map { Int($0) }
            case "stream": caller.streaming = reader.number(node, path, 0...1) ?? 0
            case "deadline": caller.deadline = node.isNull ? nil : reader.number(node, path, 1e-3...1e6)
            case "gives_up": caller.givesUp = reader.number(node, path, 0...1) ?? 0
            case "gives_up_after": caller.givesUpAfter = reader.quantity(node, path) ?? .constant(1)
            default:
                reader.list(node, path) { reader, node, path in
                    if let tag = reader.text(node, path) { caller.tags.append(tag) }
                }
            }
        }
        if let until = caller.until, until <= caller.from {
            fault(node.position, path, "until must be after from.")
        }
        return caller
    }

    private mutating func providers(_ node: YAMLNode, _ path: String) {
        let ids = configuration.deployments.map(\.id)
        each(node, path, ["default"] + ids) { reader, key, node, path in
            if key == "default" {
                reader.scenario.provider = reader.provider(node, path, ProviderBehaviour())
            }
        }
        // Those that are named go by the default for whatever they do not say, wherever it stands.
        guard case .mapping(let entries) = node.content else { return }
        for entry in entries where ids.contains(entry.key) && !entry.value.isNull {
            let path = "\(path).\(entry.key)"
            scenario.providers[entry.key] = provider(entry.value, path, scenario.provider)
        }
    }

    private mutating func provider(
        _ node: YAMLNode, _ path: String, _ otherwise: ProviderBehaviour
    ) -> ProviderBehaviour {
        var provider = otherwise
        let keys = [
            "first_token", "per_token", "tpm", "rpm", "max_parallel_requests", "retry_after",
            "window", "minute_offset", "failure_rate", "failure", "hang_rate", "cut_rate", "slow_start",
            "outages",
        ]
        each(node, path, keys) { reader, key, node, path in
            switch key {
            case "first_token": provider.firstToken = reader.quantity(node, path) ?? .constant(0)
            case "per_token": provider.perToken = reader.quantity(node, path) ?? .constant(0)
            case "tpm": provider.tokensPerMinute = reader.number(node, path, 0...1e15).map { Int($0) }
            case "rpm": provider.requestsPerMinute = reader.number(node, path, 0...1e15).map { Int($0) }
            case "max_parallel_requests":
                provider.maxParallelRequests = reader.number(node, path, 0...1e9).map { Int($0) }
            case "retry_after":
                provider.saysRetryAfter = reader.choice(node, path, ["true": true, "false": false]) ?? true
            case "window":
                let windows = Dictionary(
                    uniqueKeysWithValues: ProviderWindow.allCases.map { ($0.rawValue, $0) })
                provider.window = reader.choice(node, path, windows) ?? .fixed
            case "minute_offset": provider.minuteOffset = reader.number(node, path, 0...60) ?? 0
            case "failure_rate": provider.failureRate = reader.number(node, path, 0...1) ?? 0
            case "failure": provider.failure = reader.choice(node, path, failures) ?? .serverError
            case "hang_rate": provider.hangRate = reader.number(node, path, 0...1) ?? 0
            case "cut_rate": provider.cutRate = reader.number(node, path, 0...1) ?? 0
            case "slow_start":
                reader.each(node, path, ["factor", "seconds"]) { reader, key, node, path in
                    if key == "factor" {
                        provider.slowStartFactor = reader.number(node, path, 1...1e4) ?? 1
                    } else {
                        provider.slowStartSeconds = reader.number(node, path, 1e-3...1e6) ?? 1
                    }
                }
            default:
                provider.outages = []
                reader.list(node, path) { reader, node, path in
                    if let outage = reader.outage(node, path) { provider.outages.append(outage) }
                }
            }
        }
        return provider
    }

    private mutating func outage(_ node: YAMLNode, _ path: String) -> Outage? {
        var outage = Outage(from: -1, until: -1)
        each(node, path, ["from", "until", "failure", "share"]) { reader, key, node, path in
            switch key {
            case "from": outage.from = reader.number(node, path, 0...1e8) ?? 0
            case "until": outage.until = reader.number(node, path, 0...1e8) ?? 1e8
            case "failure": outage.failure = reader.choice(node, path, failures) ?? .serverError
            default: outage.share = reader.number(node, path, 0...1) ?? 1
            }
        }
        guard outage.from >= 0, outage.until > outage.from else {
            fault(node.position, path, "An outage needs from and until, in seconds, until after from.")
            return nil
        }
        return outage
    }

    // MARK: Values

    private mutating func each(
        _ node: YAMLNode, _ path: String, _ known: [String],
        _ body: (inout ScenarioReader, _ key: String, YAMLNode, _ path: String) -> Void
    ) {
        if node.isNull { return }
        guard case .mapping(let entries) = node.content else {
            return fault(
                node.position, path, "Expected keys, each with a value: \(known.joined(separator: ", ")).")
        }
        for entry in entries {
            let path = path.isEmpty ? entry.key : "\(path).\(entry.key)"
            guard known.contains(entry.key) else {
                let nearest = nearestName(to: entry.key, among: known)
                let hint =
                    nearest.map { "Did you mean \($0)?" } ?? "Known are: \(known.joined(separator: ", "))."
                fault(entry.keyPosition, path, "This key is not known. \(hint)")
                continue
            }
            body(&self, entry.key, entry.value, path)
        }
    }

    private mutating func list(
        _ node: YAMLNode, _ path: String, _ body: (inout ScenarioReader, YAMLNode, _ path: String) -> Void
    ) {
        guard case .sequence(let nodes) = node.content else {
            return fault(node.position, path, "Expected a list, each item begun with \"- \".")
        }
        for (index, node) in nodes.enumerated() { body(&self, node, "\(path)[\(index)]") }
    }

    private mutating func text(_ node: YAMLNode, _ path: String) -> String? {
        if case .scalar(let text, _) = node.content, !text.isEmpty { return text }
        fault(node.position, path, "Expected a text.")
        return nil
    }

    private mutating func model(_ node: YAMLNode, _ path: String) -> String? {
        guard let name = text(node, path) else { return nil }
        let names =
            configuration.deployments.flatMap { [$0.modelGroup, $0.id] } + configuration.aliases.keys.sorted()
        if names.contains(name) { return name }
        let hint = nearestName(to: name, among: names).map { " Did you mean \($0)?" } ?? ""
        fault(node.position, path, "The configuration has no model group \"\(name)\".\(hint)")
        return nil
    }

    private mutating func number(
        _ node: YAMLNode, _ path: String, _ range: ClosedRange<Double>
    ) -> Double? {
        if case .scalar(let text, plain: true) = node.content, let number = Double(text),
            range.contains(number)
        {
            return number
        }
        fault(
            node.position, path,
            "Expected a number from \(short(range.lowerBound)) to \(short(range.upperBound)).")
        return nil
    }

    private func short(_ number: Double) -> String {
        number < 1e9 && number == number.rounded() ? "\(Int(number))" : "\(number)"
    }

    private mutating func choice<Value>(
        _ node: YAMLNode, _ path: String, _ values: [String: Value]
    ) -> Value? {
        if case .scalar(let text, _) = node.content, let value = values[text] { return value }
        fault(node.position, path, "Expected one of: \(values.keys.sorted().joined(separator: ", ")).")
        return nil
    }

    /// A number, or a median with a 99th percentile.
    private mutating func quantity(_ node: YAMLNode, _ path: String) -> Quantity? {
        guard case .mapping = node.content else { return number(node, path, 0...1e7).map { .constant($0) } }
        var (median, p99) = (0.0, 0.0)
        each(node, path, ["median", "p99"]) { reader, key, node, path in
            let value = reader.number(node, path, 1e-9...1e7) ?? 1
            if key == "median" { median = value } else { p99 = value }
        }
        guard median > 0, p99 >= median else {
            fault(node.position, path, "Expected a number, or median and p99, the p99 not below the median.")
            return nil
        }
        return .logNormal(median: median, p99: p99)
    }
}

/// How a provider may fail, as a scenario names it.
private let failures: [String: Failure.Kind] = [
    "connection": .connection, "timeout": .timeout, "rate_limited": .rateLimited,
    "quota_exhausted": .quotaExhausted, "overloaded": .overloaded, "server_error": .serverError,
    "authentication": .authentication, "not_found": .notFound, "bad_request": .badRequest,
    "context_window_exceeded": .contextWindowExceeded, "content_policy": .contentPolicy,
    "malformed_response": .malformedResponse,
]
