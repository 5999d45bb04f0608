// The one file that imports Yams: text in, a tree of nodes with their positions out. It knows no key of
// ours. Yams' own error texts quote the file, which holds secrets, so none of them is passed on.
internal import Yams

package struct YAMLNode {
    package struct Entry {
        package var key: String
        package var keyPosition: Position
        package var value: YAMLNode
    }

    package enum Content {
        /// `plain` is false for a quoted or block text, which is never null.
        case scalar(String, plain: Bool)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    package var content: Content
    package var position: Position

    package var isNull: Bool {
        guard case .scalar(let text, plain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }
}

/// A fault in the YAML itself, before any key has a meaning.
package struct YAMLFault {
    package var position: Position
    package var key: String
    package var message: String
}

package struct YAMLTree {
    /// Nil when the file is empty or could not be parsed.
    package var root: YAMLNode?
    package var faults: [YAMLFault] = []

    /// Aliases can make a small file unfold without end; a configuration this large is an accident.
    static let nodesMax = 200_000

    package init(parsing text: String) {
        // A "\r\n" is one Character in Swift; lines are easier to find without.
        var text = text.replacing("\r\n", with: "\n")
        // Yams stops at the first mapping with a key given twice. Each is reported and its second key put out
        // of the way, so that one run shows everything else too.
        for _ in 0..<100 {
            do {
                let parsed = try Yams.compose(yaml: text, .basic, .default, .utf8)
                var unfolding = Unfolding()
                root = try parsed.map { try unfolding.node($0) }
                faults += unfolding.faults
                return
            } catch YamlError.duplicatedKeysInMapping(let names, let context) {
                let name = names.first ?? ""
                let first = Position(line: context.mark.line, column: context.mark.column)
                guard let second = Self.setAside(name, after: first, in: &text) else {
                    faults.append(YAMLFault(position: first, key: name, message: "This key is given twice."))
                    return
                }
                let message = "This key is given twice; the first is on line \(first.line). Keep one."
                faults.append(YAMLFault(position: second, key: name, message: message))
            } catch {
                faults.append(Self.fault(of: error, in: text))
                return
            }
        }
    }

    /// The prefix of a key put out of the way; readers skip such keys.
    static let setAsidePrefix = "__given_twice_"

    /// Renames the second occurrence of `key` in the block mapping whose first one is at `first`.
    private static func setAside(_ key: String, after first: Position, in text: inout String) -> Position? {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let indent = first.column - 1
        guard first.line <= lines.count else { return nil }
        for index in first.line..<lines.count {
            let line = Array(lines[index].unicodeScalars)
            guard let start = line.firstIndex(where: { $0 != " " }), line[start] != "#" else { continue }
            if start < indent { return nil }
            if start > indent { continue }
            for form in [key, "\"\(key)\"", "'\(key)'"] {
                let written = Array(form.unicodeScalars)
                let rest = line.dropFirst(indent + written.count)
                guard line.dropFirst(indent).starts(with: written),
                    rest.first(where: { $0 != " " }) == ":"
                else { continue }
                var renamed = String(repeating: " ", count: indent) + "\(setAsidePrefix)\(index)"
                renamed.unicodeScalars.append(contentsOf: rest)
                lines[index] = renamed
                text = lines.joined(separator: "\n")
                return Position(line: index + 1, column: first.column)
            }
        }
        return nil
    }

    private static func fault(of error: any Error, in text: String) -> YAMLFault {
        func at(_ mark: Mark) -> Position { Position(line: mark.line, column: mark.column) }
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _),
            YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let place = context.map { " \($0.text) (line \($0.mark.line))" } ?? ""
            if let tab = indentingTab(in: text, near: mark.line) {
                return YAMLFault(
                    position: tab, key: "", message: "A tab indents this line. YAML takes only spaces there.")
            }
            return YAMLFault(
                position: at(mark), key: "", message: "This is not valid YAML:\(place) \(problem).")
        case YamlError.reader(let problem, let offset, _, _):
            let before = text.prefix(offset ?? 0)
            let line = before.count { $0 == "\n" || $0 == "\r\n" } + 1
            let column =
                (before.split(separator: "\n", omittingEmptySubsequences: false).last?.count ?? 0) + 1
            return YAMLFault(
                position: Position(line: line, column: column), key: "",
                message: "This cannot be read as YAML: \(problem).")
        case let fault as Unfolding.TooLarge:
            return YAMLFault(
                position: fault.position, key: "",
                message: "The file has more than \(nodesMax) values once its aliases are unfolded.")
        default:
            return YAMLFault(
                position: Position(line: 1, column: 1), key: "", message: "This is not valid YAML.")
        }
    }

    /// The place of a tab among the spaces before a line's text, on the line of a fault or just above.
    private static func indentingTab(in text: String, near line: Int) -> Position? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for number in [line, line - 1] where lines.indices.contains(number - 1) {
            let indent = lines[number - 1].prefix { $0 == " " || $0 == "\t" }
            guard let tab = indent.firstIndex(of: "\t") else { continue }
            return Position(line: number, column: indent.distance(from: indent.startIndex, to: tab) + 1)
        }
        return nil
    }

    private struct Unfolding {
        struct TooLarge: Error { var position: Position }

        var faults: [YAMLFault] = []
        private var nodes = 0

        mutating func node(_ node: Node) throws -> YAMLNode {
            let position =
                node.mark.map { Position(line: $0.line, column: $0.column) } ?? Position(line: 1, column: 1)
            nodes += 1
            if nodes > YAMLTree.nodesMax { throw TooLarge(position: position) }
            switch node {
            case .scalar(let scalar):
                let plain = scalar.style == .plain || scalar.style == .any
                return YAMLNode(content: .scalar(scalar.string, plain: plain), position: position)
            case .sequence(let sequence):
                return YAMLNode(
                    content: .sequence(try sequence.map { try self.node($0) }), position: position)
            case .mapping(let mapping):
                var own: [YAMLNode.Entry] = []
                var merged: [YAMLNode.Entry] = []
                for (key, value) in mapping {
                    let at = key.mark.map { Position(line: $0.line, column: $0.column) } ?? position
                    guard case .scalar(let name) = key else {
                        faults.append(
                            YAMLFault(position: at, key: "", message: "A key must be a plain text."))
                        continue
                    }
                    if name.string.hasPrefix(YAMLTree.setAsidePrefix) { continue }
                    let value = try self.node(value)
                    if name.string == "<<" {
                        merged += Self.mergeEntries(of: value)
                    } else {
                        own.append(YAMLNode.Entry(key: name.string, keyPosition: at, value: value))
                    }
                }
                for entry in merged where !own.contains(where: { $0.key == entry.key }) { own.append(entry) }
                return YAMLNode(content: .mapping(own), position: position)
            case .alias:
                return YAMLNode(content: .scalar("", plain: true), position: position)
            }
        }

        /// YAML 1.1 `<<`: a mapping or a list of mappings, the earlier of which wins.
        private static func mergeEntries(of node: YAMLNode) -> [YAMLNode.Entry] {
            switch node.content {
            case .mapping(let entries): entries
            case .sequence(let nodes): nodes.flatMap(mergeEntries)
            case .scalar: []
            }
        }
    }
}
