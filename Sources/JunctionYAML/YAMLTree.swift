// The one file that speaks to libyaml: text in, a tree of nodes with their positions out. It knows no key of
// ours. What it says of a fault never quotes the file, which may hold secrets.
internal import CYAML

/// A place in a text; both count from 1.
package struct Position: Hashable, Comparable, Sendable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    fileprivate init(_ mark: yaml_mark_t) { self.init(line: mark.line + 1, column: mark.column + 1) }

    package static func < (a: Position, b: Position) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

package struct YAMLNode {
    package struct Entry {
        package var key: String
        package var keyPosition: Position
        package var value: YAMLNode

        package init(key: String, keyPosition: Position, value: YAMLNode) {
            self.key = key
            self.keyPosition = keyPosition
            self.value = value
        }
    }

    package enum Content {
        /// `plain` is false for a quoted or block text, which is never null.
        case scalar(String, plain: Bool)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    package var content: Content
    package var position: Position

    package init(content: Content, position: Position) {
        self.content = content
        self.position = position
    }

    package var isNull: Bool {
        guard case .scalar(let text, plain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }
}

/// A fault in the YAML itself, before any key has a meaning.
package struct YAMLFault: Error {
    package var position: Position
    package var key = ""
    package var message: String
}

package struct YAMLTree {
    /// Nil when the file is empty or could not be parsed.
    package private(set) var root: YAMLNode?
    package private(set) var faults: [YAMLFault] = []

    /// Aliases can make a small file unfold without end; a configuration this large is an accident.
    static let nodesMax = 200_000
    /// Each level is a call on the stack.
    static let depthMax = 500

    package init(parsing text: String) {
        var text = text
        text.withUTF8 { bytes in
            var composer = Composer(bytes)
            defer { composer.end() }
            do throws(YAMLFault) { root = try composer.document() } catch { faults.append(error) }
            faults += composer.faults
        }
    }
}

/// Makes a tree of libyaml's events.
private struct Composer {
    private let text: UnsafeBufferPointer<UInt8>
    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    /// Nodes with a name, and how many nodes each is.
    private var anchors: [String: (node: YAMLNode, count: Int)] = [:]
    private var nodes = 0
    private var depth = 0
    private(set) var faults: [YAMLFault] = []

    init(_ text: UnsafeBufferPointer<UInt8>) {
        self.text = text
        yaml_parser_initialize(parser)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    func end() {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// The root of the one document; nil when there is none.
    mutating func document() throws(YAMLFault) -> YAMLNode? {
        _ = try next()  // The stream's start.
        let start = try next()
        guard start.type == YAML_DOCUMENT_START_EVENT else { return nil }
        let root = try node(try next())
        _ = try next()  // The document's end.
        let further = try next()
        if further.type == YAML_DOCUMENT_START_EVENT {
            throw YAMLFault(
                position: further.position,
                message: "This is not valid YAML: expected a single document in the stream "
                    + "(line \(start.position.line)) but found another document.")
        }
        return root
    }

    private mutating func node(_ event: Event) throws(YAMLFault) -> YAMLNode {
        nodes += 1
        depth += 1
        defer { depth -= 1 }
        let before = nodes
        try checkSize(at: event.position)
        let node: YAMLNode
        switch event.type {
        case YAML_ALIAS_EVENT:
            guard let (node, count) = anchors[event.anchor ?? ""] else {
                throw YAMLFault(
                    position: event.position, message: "This is not valid YAML: found undefined alias.")
            }
            nodes += count
            try checkSize(at: event.position)
            return node
        case YAML_SEQUENCE_START_EVENT:
            node = YAMLNode(content: .sequence(try sequence()), position: event.position)
        case YAML_MAPPING_START_EVENT:
            node = YAMLNode(content: .mapping(try mapping()), position: event.position)
        default:
            node = YAMLNode(content: .scalar(event.text, plain: event.isPlain), position: event.position)
        }
        if let anchor = event.anchor { anchors[anchor] = (node, nodes - before) }
        return node
    }

    private func checkSize(at position: Position) throws(YAMLFault) {
        if nodes > YAMLTree.nodesMax {
            throw YAMLFault(
                position: position,
                message: "The file has more than \(YAMLTree.nodesMax) values once its aliases are unfolded.")
        }
        if depth > YAMLTree.depthMax {
            throw YAMLFault(
                position: position, message: "Values are nested more than \(YAMLTree.depthMax) deep.")
        }
    }

    private mutating func sequence() throws(YAMLFault) -> [YAMLNode] {
        var items: [YAMLNode] = []
        while true {
            let event = try next()
            if event.type == YAML_SEQUENCE_END_EVENT { return items }
            items.append(try node(event))
        }
    }

    private mutating func mapping() throws(YAMLFault) -> [YAMLNode.Entry] {
        var own: [YAMLNode.Entry] = []
        var lines: [String: Int] = [:]
        var merged: [YAMLNode.Entry] = []
        while true {
            let event = try next()
            if event.type == YAML_MAPPING_END_EVENT { break }
            let key = try node(event)
            let value = try node(try next())
            guard case .scalar(let name, _) = key.content else {
                faults.append(YAMLFault(position: event.position, message: "A key must be a plain text."))
                continue
            }
            if let line = lines[name] {
                let message = "This key is given twice; the first is on line \(line). Keep one."
                faults.append(YAMLFault(position: event.position, key: name, message: message))
                continue
            }
            lines[name] = event.position.line
            if name == "<<" {
                merged = Self.mergeEntries(of: value)
            } else {
                own.append(YAMLNode.Entry(key: name, keyPosition: event.position, value: value))
            }
        }
        for entry in merged where lines.updateValue(0, forKey: entry.key) == nil { own.append(entry) }
        return own
    }

    /// YAML 1.1 `<<`: a mapping or a list of mappings, the earlier of which wins.
    private static func mergeEntries(of node: YAMLNode) -> [YAMLNode.Entry] {
        switch node.content {
        case .mapping(let entries): entries
        case .sequence(let nodes): nodes.flatMap(mergeEntries)
        case .scalar: []
        }
    }

    // MARK: libyaml

    /// What is needed of an event of libyaml's.
    private struct Event {
        var type: yaml_event_type_t
        var position: Position
        var anchor: String?
        var text = ""
        var isPlain = false

        init(_ event: yaml_event_t) {
            type = event.type
            position = Position(event.start_mark)
            switch event.type {
            case YAML_ALIAS_EVENT: anchor = Self.name(event.data.alias.anchor)
            case YAML_SEQUENCE_START_EVENT: anchor = Self.name(event.data.sequence_start.anchor)
            case YAML_MAPPING_START_EVENT: anchor = Self.name(event.data.mapping_start.anchor)
            case YAML_SCALAR_EVENT:
                let scalar = event.data.scalar
                anchor = Self.name(scalar.anchor)
                text = String(
                    decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
                isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
            default: break
            }
        }

        private static func name(_ anchor: UnsafeMutablePointer<yaml_char_t>?) -> String? {
            anchor.map { String(cString: $0) }
        }
    }

    private func next() throws(YAMLFault) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw fault() }
        defer { yaml_event_delete(&event) }
        return Event(event)
    }

    /// Why the parser stopped.
    private func fault() -> YAMLFault {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "memory ran out"
        if parser.pointee.error == YAML_READER_ERROR {
            let before = text.prefix(parser.pointee.problem_offset)
            let lines = before.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            let column = String(decoding: lines.last ?? before, as: UTF8.self).count + 1
            return YAMLFault(
                position: Position(line: max(1, lines.count), column: column),
                message: "This cannot be read as YAML: \(problem).")
        }
        let position = Position(parser.pointee.problem_mark)
        if let tab = indentingTab(near: position.line) {
            return YAMLFault(
                position: tab, message: "A tab indents this line. YAML takes only spaces there.")
        }
        let line = Position(parser.pointee.context_mark).line
        let context = parser.pointee.context.map { " \(String(cString: $0)) (line \(line))" } ?? ""
        return YAMLFault(position: position, message: "This is not valid YAML:\(context) \(problem).")
    }

    /// The place of a tab among the spaces before a line's text, on the line of a fault or just above.
    private func indentingTab(near line: Int) -> Position? {
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for number in [line, line - 1] where lines.indices.contains(number - 1) {
            let indent = lines[number - 1].prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard let tab = indent.firstIndex(of: UInt8(ascii: "\t")) else { continue }
            return Position(line: number, column: tab - indent.startIndex + 1)
        }
        return nil
    }
}
