// What is wrong in a configuration file, and where. Diagnostics are collected, so that one run shows them
// all. Of YAML it knows positions. No text of a diagnostic is ever made from a secret or the environment.
import JunctionYAML

/// One fault of a configuration file. An `error` means that there is no configuration to start with; a
/// `warning` means that something in the file has no effect.
public struct Diagnostic: Sendable, Hashable, CustomStringConvertible {
    public enum Severity: String, Sendable {
        case error, warning
    }

    public var severity: Severity
    /// The file's name as the caller gave it to ``ConfigFile/read(text:file:environment:)``.
    public var file: String
    /// Line and column start at 1; a column counts Unicode scalars.
    public var line: Int
    public var column: Int
    /// The way to the key, as in `model_list[0].litellm_params.tpm`; empty when the fault is in the YAML.
    public var key: String
    /// What is wrong and what to write instead.
    public var message: String

    public init(
        severity: Severity, file: String, line: Int, column: Int, key: String, message: String
    ) {
        self.severity = severity
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.message = message
    }

    /// `file:line:column: error: key: message`, the form editors and CI systems make links of.
    public var description: String {
        let place = "\(file):\(line):\(column): \(severity.rawValue): "
        return place + (key.isEmpty ? message : "\(key): \(message)")
    }
}

/// `1 error`, `2 errors`.
package func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
}

/// Where something stands: its position, and the way to it through the keys.
struct Place: Hashable {
    var position: Position
    var path: String
}

/// A text and where it stands, for faults that are found after reading.
struct LocatedText {
    var text: String
    var place: Place
    /// Whether it came from the environment, so that no message may show it.
    var isHidden = false
}

/// The diagnostics of one file as they are found.
struct Report {
    let file: String
    private var found: [Diagnostic] = []
    private var known: Set<Diagnostic> = []

    init(file: String) { self.file = file }

    var hasErrors: Bool { found.contains { $0.severity == .error } }

    /// All that was found, in the order of the file.
    var diagnostics: [Diagnostic] {
        found.enumerated().sorted {
            ($0.element.line, $0.element.column, $0.offset) < ($1.element.line, $1.element.column, $1.offset)
        }.map(\.element)
    }

    /// Whether an error about that key was found already, so that its absence need not be reported too.
    func speaks(of path: String) -> Bool { found.contains { $0.severity == .error && $0.key == path } }

    /// Whether an error about that section, or about a key in it, was found already.
    func hasErrors(below place: Place) -> Bool {
        found.contains { $0.severity == .error && "\($0.key).".hasPrefix("\(place.path).") }
    }

    mutating func error(_ place: Place, _ message: String) { add(.error, place, message) }

    mutating func warning(_ place: Place, _ message: String) { add(.warning, place, message) }

    private mutating func add(_ severity: Diagnostic.Severity, _ place: Place, _ message: String) {
        let diagnostic = Diagnostic(
            severity: severity, file: file, line: place.position.line, column: place.position.column,
            key: place.path, message: message)
        // An aliased node is read once for each alias and would say the same again.
        if known.insert(diagnostic).inserted { found.append(diagnostic) }
    }
}
