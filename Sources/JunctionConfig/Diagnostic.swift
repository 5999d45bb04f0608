// What is wrong in a configuration file, and where. Diagnostics are collected, so that one run shows them
// all. Knows no YAML. No text of a diagnostic is ever made from a secret or from the environment.

/// One fault of a configuration file. An `error` means that there is no configuration to start with; a
/// `warning` means that something in the file has no effect.
public struct Diagnostic: Sendable, Equatable, CustomStringConvertible {
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
