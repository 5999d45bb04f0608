// The one reader: a YAML mapping and its section of the schema in, typed values with their places out, and a
// diagnostic for all that does not fit. It knows types, not what a key means.

/// One value of the file after `os.environ/NAME` was replaced and the type was checked.
struct Entry {
    indirect enum Value {
        case text(String)
        /// `source` says where it came from and may be shown; the text may not.
        case secret(String, source: String)
        case integer(Int)
        case number(Double)
        case duration(Duration)
        case boolean(Bool)
        case texts([Located<String>])
        case textMap([(name: String, text: String)])
        case fallbacks([FallbackRule])
        case section(Values)
        case sections([Values])
        case sectionMap([(name: Located<String>, values: Values)])
        case json(String)
    }

    var value: Value
    var keyPosition: Position
    var position: Position
    var path: String
}

/// A value and where it stands, for diagnostics that are found after reading.
struct Located<Content> {
    var content: Content
    var position: Position
    var path: String
}

struct FallbackRule {
    var group: Located<String>
    var substitutes: [Located<String>]
}

/// The values of one section; a key that was absent, null or wrong is not there.
struct Values {
    var position: Position
    var path: String
    var entries: [String: Entry] = [:]

    subscript(_ key: String) -> Entry? { entries[key] }

    func text(_ key: String) -> String? {
        if case .text(let text)? = entries[key]?.value { text } else { nil }
    }
    func integer(_ key: String) -> Int? {
        if case .integer(let number)? = entries[key]?.value { number } else { nil }
    }
    func number(_ key: String) -> Double? {
        if case .number(let number)? = entries[key]?.value { number } else { nil }
    }
    func duration(_ key: String) -> Duration? {
        if case .duration(let duration)? = entries[key]?.value { duration } else { nil }
    }
    func boolean(_ key: String) -> Bool? {
        if case .boolean(let flag)? = entries[key]?.value { flag } else { nil }
    }
    func secret(_ key: String) -> (text: String, source: String)? {
        if case .secret(let text, let source)? = entries[key]?.value { (text, source) } else { nil }
    }
    func texts(_ key: String) -> [Located<String>]? {
        if case .texts(let texts)? = entries[key]?.value { texts } else { nil }
    }
    func textMap(_ key: String) -> [(name: String, text: String)]? {
        if case .textMap(let pairs)? = entries[key]?.value { pairs } else { nil }
    }
    func fallbacks(_ key: String) -> [FallbackRule]? {
        if case .fallbacks(let rules)? = entries[key]?.value { rules } else { nil }
    }
    func section(_ key: String) -> Values? {
        if case .section(let values)? = entries[key]?.value { values } else { nil }
    }
    func sections(_ key: String) -> [Values]? {
        if case .sections(let list)? = entries[key]?.value { list } else { nil }
    }
    func sectionMap(_ key: String) -> [(name: Located<String>, values: Values)]? {
        if case .sectionMap(let pairs)? = entries[key]?.value { pairs } else { nil }
    }
    func json(_ key: String) -> String? {
        if case .json(let text)? = entries[key]?.value { text } else { nil }
    }
}

struct SectionReader {
    let file: String
    var environment: [String: String]
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String, environment: [String: String]) {
        self.file = file
        self.environment = environment
    }

    mutating func error(_ position: Position, _ key: String, _ message: String) {
        report(.error, position, key, message)
    }

    mutating func warning(_ position: Position, _ key: String, _ message: String) {
        report(.warning, position, key, message)
    }

    private mutating func report(
        _ severity: Diagnostic.Severity, _ position: Position, _ key: String, _ message: String
    ) {
        let diagnostic = Diagnostic(
            severity: severity, file: file, line: position.line, column: position.column, key: key, message: message)
        // An aliased node is read once for each alias and would say the same again.
        if !diagnostics.contains(diagnostic) { diagnostics.append(diagnostic) }
    }

    // MARK: Sections

    mutating func read(_ node: YAMLNode, as section: Section, path: String) -> Values {
        var values = Values(position: node.position, path: path)
        guard case .mapping(let pairs) = node.content else {
            if !node.isNull { mismatch(node, path, "keys of \(section.rawValue), each with a value") }
            return values
        }
        for pair in pairs {
            let path = path.isEmpty ? pair.key : "\(path).\(pair.key)"
            guard let spec = Schema.spec(pair.key, in: section) else {
                warning(pair.keyPosition, path, unknown(pair.key, in: section))
                continue
            }
            if let note = spec.unused {
                let reason = note.isEmpty ? "" : " (\(note))"
                warning(
                    pair.keyPosition, path,
                    "LiteLLM knows this key but Junction does not use it: it has no effect\(reason).")
                continue
            }
            if pair.value.isNull { continue }
            guard let value = read(pair.value, as: spec.type, path: path) else { continue }
            values.entries[pair.key] = Entry(
                value: value, keyPosition: pair.keyPosition, position: pair.value.position, path: path)
        }
        return values
    }

    private func unknown(_ key: String, in section: Section) -> String {
        let known = Schema.keys(of: section)
        let nearest =
            nearestKey(to: key, among: known.filter { $0.unused == nil }.map(\.name))
            ?? nearestKey(to: key, among: known.map(\.name))
        if let nearest { return "This key is not known and has no effect. Did you mean \(nearest)?" }
        if let section = Schema.sections(using: key).first {
            return "This key is not known here and has no effect. It belongs under \(section.rawValue)."
        }
        return "This key is not known and has no effect. Remove it, or correct its name."
    }

    // MARK: Values

    private mutating func read(_ node: YAMLNode, as type: KeyType, path: String) -> Entry.Value? {
        switch type {
        case .text:
            guard let scalar = scalar(node, path, expecting: "a text") else { return nil }
            return .text(scalar.text)
        case .secret:
            guard let scalar = scalar(node, path, expecting: "a text, or os.environ/NAME") else { return nil }
            if scalar.text.isEmpty {
                let which = scalar.variable.map { "the environment variable \($0) is empty" } ?? "it is empty"
                error(node.position, path, "Expected a text, or os.environ/NAME, but \(which).")
                return nil
            }
            if scalar.text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
                error(
                    node.position, path,
                    "The value contains a line end or another control character. Remove it.")
                return nil
            }
            return .secret(scalar.text, source: scalar.variable.map { "os.environ/\($0)" } ?? "set")
        case .integer(let range):
            let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
            guard let scalar = scalar(node, path, expecting: expected) else { return nil }
            let digits = scalar.text.filter { $0 != "_" }
            // LiteLLM takes 1e5 and 1000.0 for whole numbers too.
            let number = Int(digits) ?? Double(digits).flatMap { Int(exactly: $0) }
            guard let number, range.contains(number) else { return wrong(node, path, expected) }
            return .integer(number)
        case .number(let range):
            let expected = "a number from \(short(range.lowerBound)) to \(short(range.upperBound))"
            guard let scalar = scalar(node, path, expecting: expected) else { return nil }
            guard let number = Double(scalar.text.filter { $0 != "_" }), range.contains(number) else {
                return wrong(node, path, expected)
            }
            return .number(number)
        case .seconds(let zero):
            let expected = "seconds, as in 30 or 0.5" + (zero ? "" : ", more than 0")
            guard let scalar = scalar(node, path, expecting: expected) else { return nil }
            guard let seconds = Double(scalar.text.filter { $0 != "_" }), seconds <= 1e9,
                seconds > 0 || (zero && seconds == 0)
            else { return wrong(node, path, expected) }
            return .duration(.milliseconds(Int64((seconds * 1000).rounded(.up))))
        case .boolean:
            guard let scalar = scalar(node, path, expecting: "true or false") else { return nil }
            switch scalar.text.lowercased() {
            case "true", "yes", "on": return .boolean(true)
            case "false", "no", "off": return .boolean(false)
            default: return wrong(node, path, "true or false")
            }
        case .choice(let names):
            let expected = "one of " + names.joined(separator: ", ")
            guard let scalar = scalar(node, path, expecting: expected) else { return nil }
            guard names.contains(scalar.text) else {
                let hint = nearestKey(to: scalar.text, among: names).map { "; did you mean \($0)?" } ?? ""
                return wrong(node, path, expected + hint)
            }
            return .text(scalar.text)
        case .textList:
            return textList(node, path, expecting: "a list of texts").map { .texts($0) }
        case .groupList:
            return textList(node, path, expecting: "a list of model groups").map { .texts($0) }
        case .fallbackList:
            return fallbackList(node, path)
        case .textMap(let secret):
            return textMap(node, path, secret: secret)
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
        case .sectionMap(let section):
            guard case .mapping(let pairs) = node.content else {
                return wrong(node, path, "a mapping from names to keys of \(section.rawValue)")
            }
            return .sectionMap(
                pairs.map { pair in
                    let path = "\(path).\(pair.key)"
                    return (
                        Located(content: pair.key, position: pair.keyPosition, path: path),
                        read(pair.value, as: section, path: path)
                    )
                })
        case .aliasMap:
            return aliasMap(node, path)
        case .object:
            guard case .mapping = node.content else { return wrong(node, path, "a mapping") }
            return json(node, path).map { .json($0) }
        case .any:
            return nil
        }
    }

    private mutating func textList(
        _ node: YAMLNode, _ path: String, expecting: String
    ) -> [Located<String>]? {
        if case .scalar = node.content {
            guard let scalar = scalar(node, path, expecting: expecting) else { return nil }
            return [Located(content: scalar.text, position: node.position, path: path)]
        }
        guard case .sequence(let nodes) = node.content else {
            return wrong(node, path, expecting)
        }
        var texts: [Located<String>] = []
        for (index, node) in nodes.enumerated() {
            let path = "\(path)[\(index)]"
            guard let scalar = scalar(node, path, expecting: "a text") else { continue }
            texts.append(Located(content: scalar.text, position: node.position, path: path))
        }
        return texts
    }

    private mutating func fallbackList(_ node: YAMLNode, _ path: String) -> Entry.Value? {
        let expected = "a list of mappings from a model group to a list of others, as in [{\"a\": [\"b\"]}]"
        guard case .sequence(let nodes) = node.content else { return wrong(node, path, expected) }
        var rules: [FallbackRule] = []
        for (index, node) in nodes.enumerated() {
            let path = "\(path)[\(index)]"
            guard case .mapping(let pairs) = node.content else {
                mismatch(node, path, "a mapping from a model group to a list of others, as in {\"a\": [\"b\"]}")
                continue
            }
            for pair in pairs {
                let path = "\(path).\(pair.key)"
                guard let texts = textList(pair.value, path, expecting: "a list of model groups") else { continue }
                rules.append(
                    FallbackRule(
                        group: Located(content: pair.key, position: pair.keyPosition, path: path),
                        substitutes: texts))
            }
        }
        return .fallbacks(rules)
    }

    private mutating func textMap(_ node: YAMLNode, _ path: String, secret: Bool) -> Entry.Value? {
        guard case .mapping(let pairs) = node.content else {
            return wrong(node, path, "a mapping from names to texts")
        }
        var texts: [(name: String, text: String)] = []
        for pair in pairs where !pair.value.isNull {
            let path = "\(path).\(pair.key)"
            guard let scalar = scalar(pair.value, path, expecting: "a text") else { continue }
            texts.append((pair.key, scalar.text))
        }
        return .textMap(texts)
    }

    /// `alias: group`, or `alias: {model: group, hidden: true}`.
    private mutating func aliasMap(_ node: YAMLNode, _ path: String) -> Entry.Value? {
        guard case .mapping(let pairs) = node.content else {
            return wrong(node, path, "a mapping from names to model groups")
        }
        var aliases: [(name: Located<String>, values: Values)] = []
        for pair in pairs {
            let path = "\(path).\(pair.key)"
            let name = Located(content: pair.key, position: pair.keyPosition, path: path)
            if case .mapping = pair.value.content {
                aliases.append((name, read(pair.value, as: .groupAlias, path: path)))
            } else if let scalar = scalar(pair.value, path, expecting: "a model group") {
                var values = Values(position: pair.value.position, path: path)
                values.entries["model"] = Entry(
                    value: .text(scalar.text), keyPosition: pair.keyPosition, position: pair.value.position, path: path)
                aliases.append((name, values))
            }
        }
        return .sectionMap(aliases)
    }

    /// The node as JSON text; plain scalars become null, booleans and numbers as YAML means them.
    private mutating func json(_ node: YAMLNode, _ path: String) -> String? {
        switch node.content {
        case .mapping(let pairs):
            var members: [String] = []
            for pair in pairs {
                guard let value = json(pair.value, "\(path).\(pair.key)") else { return nil }
                members.append(jsonString(pair.key) + ":" + value)
            }
            return "{" + members.joined(separator: ",") + "}"
        case .sequence(let nodes):
            var items: [String] = []
            for (index, node) in nodes.enumerated() {
                guard let value = json(node, "\(path)[\(index)]") else { return nil }
                items.append(value)
            }
            return "[" + items.joined(separator: ",") + "]"
        case .scalar(_, let plain):
            if node.isNull { return "null" }
            guard let scalar = scalar(node, path, expecting: "a value") else { return nil }
            if !plain || scalar.variable != nil { return jsonString(scalar.text) }
            switch scalar.text {
            case "true", "True", "TRUE": return "true"
            case "false", "False", "FALSE": return "false"
            default:
                if let number = Int(scalar.text) { return String(number) }
                if scalar.text.first.map({ $0.isNumber || "+-.".contains($0) }) ?? false,
                    let number = Double(scalar.text), number.isFinite
                {
                    return String(number)
                }
                return jsonString(scalar.text)
            }
        }
    }

    private func jsonString(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    // MARK: Scalars

    static let environmentPrefix = "os.environ/"

    /// The text of a scalar; `variable` is the environment variable it came from.
    private mutating func scalar(
        _ node: YAMLNode, _ path: String, expecting expected: String
    ) -> (text: String, variable: String?)? {
        guard case .scalar(let text, _) = node.content else { return wrong(node, path, expected) }
        guard text.hasPrefix(Self.environmentPrefix) else { return (text, nil) }
        let name = String(text.dropFirst(Self.environmentPrefix.count))
        if name.isEmpty {
            error(node.position, path, "Expected the name of an environment variable after os.environ/.")
            return nil
        }
        guard let value = environment[name] else {
            error(
                node.position, path,
                "The environment variable \(name) is not set. Set it before the start; expected \(expected).")
            return nil
        }
        return (value, name)
    }

    /// Reports a value that is not what was expected; never shows one that came from the environment, nor a
    /// long one, which may be a key put in the wrong line.
    private mutating func mismatch(_ node: YAMLNode, _ path: String, _ expected: String) {
        let found: String
        switch node.content {
        case .mapping: found = "a mapping"
        case .sequence: found = "a list"
        case .scalar where node.isNull: found = "nothing"
        case .scalar(let text, _):
            if text.hasPrefix(Self.environmentPrefix) {
                found = "the value of \(text)"
            } else if text.unicodeScalars.count <= 16, !text.contains("sk-") {
                found = "\"\(text)\""
            } else {
                found = "a text of \(text.count) characters"
            }
        }
        error(node.position, path, "Expected \(expected), but found \(found).")
    }

    private mutating func wrong<Result>(_ node: YAMLNode, _ path: String, _ expected: String) -> Result? {
        mismatch(node, path, expected)
        return nil
    }

    private func short(_ number: Double) -> String {
        Int(exactly: number).map { String($0) } ?? String(number)
    }
}
