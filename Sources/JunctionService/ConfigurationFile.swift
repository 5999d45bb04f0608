// A configuration as a file of this machine: read whole, and what is wrong with it told to a person.
import Glibc
import JunctionConfig
import JunctionTransport

/// A file that nothing can be done with, and why.
public struct UnusableFile: Error, CustomStringConvertible {
    public let description: String
}

/// Reads a configuration, its references to the environment resolved.
///
/// - Parameter tell: is given each line about what is wrong with it, with its line end.
public func readConfiguration(
    _ file: String, tell: (String) -> Void
) throws(UnusableFile) -> ServerConfiguration {
    let (configuration, diagnostics) = ConfigFile.read(
        text: try contents(of: file), file: file, environment: environmentVariables())
    for diagnostic in diagnostics { tell("\(diagnostic)\n") }
    if let configuration { return configuration }
    let errors = diagnostics.count { $0.severity == .error }
    throw UnusableFile(
        description: "\(file): \(counted(errors, "error")); a router would not start with it")
}

/// The text of a file.
///
/// - Parameter example: what a file of its kind is called, for who names a directory.
public func contents(
    of file: String, example: String = "router_config.yaml"
) throws(UnusableFile) -> String {
    let bytes: [UInt8]
    do {
        bytes = try readFile(file)
    } catch {
        throw UnusableFile(description: "\(file): error: \(reason(for: error, file: file, example))")
    }
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let line = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
    throw UnusableFile(
        description: "\(file):\(line + 1): error: This line is not UTF-8 text. Save the file as UTF-8.")
}

private func reason(for error: SystemError, file: String, _ example: String) -> String {
    switch error.code {
    case EISDIR:
        "This is a directory. Name the file in it, such as \(file.hasSuffix("/") ? file : file + "/")\(example)."
    case ENOENT: "There is no such file."
    case EACCES: "You may not read this file."
    default: "This file cannot be read."
    }
}
