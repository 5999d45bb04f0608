// The one reader: a YAML mapping and its section of the schema in, typed values with their places out, and a
// diagnostic for all that does not fit. It knows types, not what a key means.
import JunctionYAML

struct SectionReader {
    var report: Report
    var environment: [String: String]

    init(file: String, environment: [String: String]) {
        report = Report(file: file)
        self.environment = environment
    }

    // MARK: Sections

    mutating func read(_ node: YAMLNode, as section: Section, path: String) -> Values {
        let place = Place(position: node.position, path: path)
        var values = Values(section: section, place: place)
        guard case .mapping(let pairs) = node.content else {
            if !node.isNull { mismatch(node, path, "keys of \(section.rawValue), each with a value") }
            return values
        }
        for pair in pairs {
            let path = path.isEmpty ? pair.key : "\(path).\(pair.key)"
            let keyPlace = Place(position: pair.keyPosition, path: path)
            guard let spec = Schema.spec(pair.key, in: section) else {
                if let message = unknown(pair.key, in: section) { report.warning(keyPlace, message) }
                continue
            }
            if case .unused(let note) = spec.type {
                report.warning(
                    keyPlace,
                    "This LiteLLM key has no effect in Junction" + (note.isEmpty ? "." : ": \(note)."))
                continue
            }
            if pair.value.isNull { continue }
            guard let content = read(pair.value, as: spec.type, path: path) else { continue }
            values.entries[pair.key] = Entry(
                content: content, place: Place(position: pair.value.position, path: path))
        }
        return values
    }

    private func unknown(_ key: String, in section: Section) -> String? {
        let keys = Schema.keys(of: section)
        let nearest =
            nearestName(to: key, among: keys.filter(\.isUsed).map(\.name))
            ?? nearestName(to: key, among: keys.map(\.name))
        if let nearest { return "This key is not known and has no effect. Did you mean \(nearest)?" }
        if section.isOpen { return nil }
        if let home = Schema.sections(using: key).first {
            return "This key is not known here and has no effect. It belongs under \(home.rawValue)."
        }
        return "This key is not known and has no effect. Remove it, or correct its name."
    }

    // MARK: Values

    private mutating func read(_ node: YAMLNode, as type: KeyType, path: String) -> Entry.Content? {
        switch type {
        case .text:
            return text(node, path, expecting: "a text").map { .text($0) }
        case .secret:
            return secret(node, path).map { .secret($0) }
        case .integer(let range):
            return scalar(
                node, path, expecting: "a whole number from \(range.lowerBound) to \(range.upperBound)"
            ) {
                // LiteLLM takes 1e5 and 1000.0 for whole numbers too.
                (Int($0) ?? Double($0).flatMap { Int(exactly: $0) }).flatMap {
                    range.contains($0) ? .integer($0) : nil
                }
            }
        case .number(let range):
            return scalar(
                node, path,
                expecting: "a number from \(short(range.lowerBound)) to \(short(range.upperBound))"
            ) {
                Double($0).flatMap { range.contains($0) ? .number($0) : nil }
            }
        case .seconds(let zero):
            return scalar(node, path, expecting: "seconds, as in 30 or 0.5" + (zero ? "" : ", more than 0")) {
                guard let seconds = Double($0), seconds <= 1e9, seconds > 0 || (zero && seconds == 0) else {
                    return nil
                }
                return .duration(.milliseconds(Int64((seconds * 1000).rounded(.up))))
            }
        case .timeSpan:
            return scalar(node, path, expecting: "a time with its unit, as in 30s, 15m, 12h, 1d or 1mo") {
                timeSpan($0).map { .duration($0) }
            }
        case .boolean:
            return scalar(node, path, expecting: "true or false") {
                switch $0.lowercased() {
                case "true", "yes", "on": .boolean(true)
                case "false", "no", "off": .boolean(false)
                default: nil
                }
            }
        case .choice(let names):
            return choice(node, path, of: names)
        case .textList:
            return textList(node, path, expecting: "a list of texts").map { .texts($0) }
        case .groupList:
            return textList(node, path, expecting: "a list of model groups").map { .texts($0) }
        case .fallbackList:
            return fallbackList(node, path)
        case .secretMap:
            return secretMap(node, path)
        case .section(let section):
            guard case .mapping = node.content else {
                return wrong(node, path, "keys of \(section.rawValue), each with a value")
            }
            return .section(read(node, as: section, path: path))
        case .sectionList(let section):
            guard case .sequence(let nodes) = node.content else {
                return wrong(node, path, "a list, each item begun with \"- \"")
            }
            return .sections(
                nodes.enumerated().map { index, node in read(node, as: section, path: "\(path)[\(index)]") })
        case .sectionMap(let section, let shorthand):
            return sectionMap(node, path, section, shorthand: shorthand)
        case .nodeList:
            return nodeList(node, path)
        case .object:
            guard case .mapping = node.content else { return wrong(node, path, "a mapping") }
            return json(node, path).map { .json($0) }
        case .unused, .ignored:
            return nil
        }
    }

    private mutating func secret(_ node: YAMLNode, _ path: String) -> Secret? {
        guard let (text, variable) = resolved(node, path, expecting: "a text") else { return nil }
        let place = Place(position: node.position, path: path)
        if text.isEmpty {
            let what = variable.map { "The environment variable \($0) is empty." } ?? "This is empty."
            report.error(place, "\(what) Give a text, or os.environ/NAME.")
            return nil
        }
        if hasControlCharacter(text) {
            report.error(place, "The value holds a line end or another control character. Remove it.")
            return nil
        }
        return Secret(text, source: variable.map { Self.environmentPrefix + $0 } ?? "set")
    }

    private mutating func choice(_ node: YAMLNode, _ path: String, of names: [String]) -> Entry.Content? {
        let expected = "one of " + names.joined(separator: ", ")
        guard let (text, variable) = resolved(node, path, expecting: expected) else { return nil }
        if names.contains(text) {
            return .text(LocatedText(text: text, place: Place(position: node.position, path: path)))
        }
        let nearest = variable == nil ? nearestName(to: text, among: names) : nil
        return wrong(node, path, expected, hint: nearest.map { "Did you mean \($0)?" })
    }

    private mutating func textList(_ node: YAMLNode, _ path: String, expecting: String) -> [LocatedText]? {
        switch node.content {
        case .scalar: text(node, path, expecting: expecting).map { [$0] }
        case .mapping: wrong(node, path, expecting)
        case .sequence(let nodes):
            nodes.enumerated().compactMap { index, node in
                text(node, "\(path)[\(index)]", expecting: "a text")
            }
        }
    }

    private mutating func fallbackList(_ node: YAMLNode, _ path: String) -> Entry.Content? {
        let item = "a mapping from a model group to a list of others, as in {\"a\": [\"b\"]}"
        guard case .sequence(let nodes) = node.content else {
            return wrong(node, path, "a list with items each \(item)")
        }
        var rules: [FallbackRule] = []
        for (index, node) in nodes.enumerated() {
            let path = "\(path)[\(index)]"
            guard case .mapping(let pairs) = node.content else {
                mismatch(node, path, item)
                continue
            }
            for pair in pairs {
                let path = "\(path).\(pair.key)"
                guard let texts = textList(pair.value, path, expecting: "a list of model groups") else {
                    continue
                }
                let group = LocatedText(text: pair.key, place: Place(position: pair.keyPosition, path: path))
                rules.append(FallbackRule(group: group, substitutes: texts))
            }
        }
        return .fallbacks(rules)
    }

    private mutating func nodeList(_ node: YAMLNode, _ path: String) -> Entry.Content? {
        guard case .sequence(let items) = node.content, !items.isEmpty else {
            return wrong(node, path, "a list of servers, each HOST:PORT")
        }
        var nodes: [HostAndPort] = []
        for (index, item) in items.enumerated() {
            let path = "\(path)[\(index)]"
            guard let parts = nodeParts(item, path) else { continue }
            let port = parts.port.map { Int($0) ?? 0 }
            if hostFault(parts.host) != nil || port.map({ !(1...65535).contains($0) }) ?? false {
                report.error(
                    Place(position: item.position, path: path),
                    "Expected a host and a port from 1 to 65535, as in localhost:6379.")
            }
            nodes.append(HostAndPort(host: parts.host, port: port))
        }
        return .nodes(nodes)
    }

    /// Host and port of one server, in whichever form they stand.
    private mutating func nodeParts(_ node: YAMLNode, _ path: String) -> (host: String, port: String?)? {
        switch node.content {
        case .scalar:
            guard let text = text(node, path, expecting: "HOST:PORT")?.text else { return nil }
            guard let colon = text.lastIndex(of: ":") else { return (text, nil) }
            let host = text[..<colon].trimmingPrefix("[")
            return (
                String(host.hasSuffix("]") ? host.dropLast() : host),
                String(text[text.index(after: colon)...])
            )
        case .sequence(let items):
            let texts = items.compactMap { text($0, path, expecting: "a host or a port")?.text }
            guard texts.count == items.count, (1...2).contains(texts.count) else {
                return wrong(node, path, "[HOST, PORT]")
            }
            return (texts[0], texts.dropFirst().first)
        case .mapping(let pairs):
            var parts: [String: String] = [:]
            for pair in pairs {
                guard ["host", "port"].contains(pair.key),
                    let text = text(pair.value, "\(path).\(pair.key)", expecting: "a text")?.text
                else { return wrong(node, path, "the keys host and port") }
                parts[pair.key] = text
            }
            guard let host = parts["host"] else { return wrong(node, path, "the keys host and port") }
            return (host, parts["port"])
        }
    }

    private mutating func secretMap(_ node: YAMLNode, _ path: String) -> Entry.Content? {
        guard case .mapping(let pairs) = node.content else {
            return wrong(node, path, "a mapping from names to texts")
        }
        var secrets: [(name: LocatedText, value: Secret)] = []
        for pair in pairs where !pair.value.isNull {
            let path = "\(path).\(pair.key)"
            guard let (text, variable) = resolved(pair.value, path, expecting: "a text") else { continue }
            let name = LocatedText(text: pair.key, place: Place(position: pair.keyPosition, path: path))
            secrets.append(
                (name, Secret(text, source: variable.map { Self.environmentPrefix + $0 } ?? "set")))
        }
        return .secretMap(secrets)
    }

    /// A section under each name. A plain text stands for a section with only that text under `shorthand`.
    private mutating func sectionMap(
        _ node: YAMLNode, _ path: String, _ section: Section, shorthand: String?
    ) -> Entry.Content? {
        guard case .mapping(let pairs) = node.content else {
            return wrong(node, path, "a mapping from names to \(section.rawValue)")
        }
        var sections: [(name: LocatedText, values: Values)] = []
        for pair in pairs {
            let path = "\(path).\(pair.key)"
            var values: Values
            if case .scalar = pair.value.content, let shorthand {
                guard let text = text(pair.value, path, expecting: "a text") else { continue }
                values = Values(section: section, place: text.place)
                values.entries[shorthand] = Entry(content: .text(text), place: text.place)
            } else {
                values = read(pair.value, as: section, path: path)
            }
            sections.append(
                (LocatedText(text: pair.key, place: Place(position: pair.keyPosition, path: path)), values))
        }
        return .sectionMap(sections)
    }

    /// The node as JSON; plain scalars become null, booleans and numbers as YAML means them.
    private mutating func json(_ node: YAMLNode, _ path: String) -> String? {
        switch node.content {
        case .mapping(let pairs):
            let members = pairs.compactMap { pair in
                json(pair.value, "\(path).\(pair.key)").map { jsonText(pair.key) + ":" + $0 }
            }
            return "{" + members.joined(separator: ",") + "}"
        case .sequence(let nodes):
            let items = nodes.enumerated().compactMap { index, node in json(node, "\(path)[\(index)]") }
            return "[" + items.joined(separator: ",") + "]"
        case .scalar(_, let isPlain):
            if node.isNull { return "null" }
            guard let (text, variable) = resolved(node, path, expecting: "a value") else { return nil }
            return isPlain && variable == nil ? jsonScalar(text) : jsonText(text)
        }
    }

    // MARK: Scalars

    static let environmentPrefix = "os.environ/"

    private mutating func text(_ node: YAMLNode, _ path: String, expecting expected: String) -> LocatedText? {
        guard let (text, variable) = resolved(node, path, expecting: expected) else { return nil }
        let place = Place(position: node.position, path: path)
        if hasControlCharacter(text, allowingLines: true) {
            report.error(place, "The value holds a control character. Remove it.")
            return nil
        }
        return LocatedText(text: text, place: place, isHidden: variable != nil)
    }

    /// What `parse` makes of a scalar; a diagnostic when that is nothing.
    private mutating func scalar(
        _ node: YAMLNode, _ path: String, expecting expected: String, parse: (String) -> Entry.Content?
    ) -> Entry.Content? {
        guard let (text, _) = resolved(node, path, expecting: expected) else { return nil }
        return parse(text.filter { $0 != "_" }) ?? wrong(node, path, expected)
    }

    /// The text of a scalar, and the environment variable that it came from.
    private mutating func resolved(
        _ node: YAMLNode, _ path: String, expecting expected: String
    ) -> (text: String, variable: String?)? {
        guard case .scalar(let text, _) = node.content, !node.isNull else {
            return wrong(node, path, expected)
        }
        guard text.hasPrefix(Self.environmentPrefix) else { return (text, nil) }
        let place = Place(position: node.position, path: path)
        let name = String(text.dropFirst(Self.environmentPrefix.count))
        guard isVariableName(name) else {
            report.error(place, "What follows os.environ/ is not the name of an environment variable.")
            return nil
        }
        guard let value = environment[name] else {
            report.error(place, "The environment variable \(name) is not set. It must hold \(expected).")
            return nil
        }
        return (value, name)
    }

    /// Reports a value that is not what was expected. Shows it only when it is too short for a key that was
    /// put in the wrong line, and never when it came from the environment.
    private mutating func mismatch(_ node: YAMLNode, _ path: String, _ expected: String, hint: String? = nil)
    {
        let found: String
        switch node.content {
        case .mapping: found = "a mapping"
        case .sequence: found = "a list"
        case .scalar where node.isNull: found = "nothing"
        case .scalar(let text, _) where text.hasPrefix(Self.environmentPrefix): found = "the value of \(text)"
        case .scalar(let text, _) where text.unicodeScalars.count <= 12: found = "\"\(text)\""
        case .scalar(let text, _): found = "a text of \(text.count) characters"
        }
        report.error(
            Place(position: node.position, path: path),
            "Expected \(expected), but found \(found)." + (hint.map { " " + $0 } ?? ""))
    }

    private mutating func wrong<Result>(
        _ node: YAMLNode, _ path: String, _ expected: String, hint: String? = nil
    ) -> Result? {
        mismatch(node, path, expected, hint: hint)
        return nil
    }
}

/// Whether a name is one that a shell can set (POSIX.1-2017, 8.1).
private func isVariableName(_ name: String) -> Bool {
    guard let first = name.utf8.first, first < 0x30 || first > 0x39 else { return false }
    return name.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// Whether a text holds a control character of ASCII or of Latin-1 (as U+0085).
func hasControlCharacter(_ text: String, allowingLines: Bool = false) -> Bool {
    text.unicodeScalars.contains {
        $0.properties.generalCategory == .control && !(allowingLines && ($0 == "\n" || $0 == "\t"))
    }
}

private func short(_ number: Double) -> String {
    Int(exactly: number).map { String($0) } ?? String(number)
}

/// LiteLLM's form of a time: a whole number and `s`, `m`, `h`, `d`, `w` or `mo`, which is 30 days here.
private func timeSpan(_ text: String) -> Duration? {
    let digits = text.prefix { ("0"..."9").contains($0) }
    guard let count = Int(digits), (1...1_000_000).contains(count) else { return nil }
    let seconds: Int? =
        switch text.dropFirst(digits.count) {
        case "s": 1
        case "m": 60
        case "h": 3_600
        case "d": 86_400
        case "w": 7 * 86_400
        case "mo": 30 * 86_400
        default: nil
        }
    return seconds.flatMap { $0 * count <= 1_000_000_000 ? .seconds($0 * count) : nil }
}
