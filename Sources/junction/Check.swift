// `junction check`: reads a configuration, says what is wrong with it, shows what it leads to.
import ArgumentParser
import Foundation
import JunctionConfig

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a configuration and print the deployments it makes, without starting.",
        discussion: """
            Example:
              junction check router_config.yaml
            Warnings and errors go to standard error, each with file, line and key;
            the deployments go to standard output. Keys are never printed.
            Exit code 0 when a router would start with it, 1 when not.
            """)

    @Argument(help: "The configuration file, such as router_config.yaml.")
    var file: String

    func validate() throws {
        if file.isEmpty { throw ValidationError("The configuration file's name must not be empty.") }
    }

    func run() throws {
        let configuration = try readConfiguration(file)
        try printNow(configuration.deploymentTable())
        let groups = Set(configuration.deployments.map(\.modelGroup)).count
        printError(
            "\(file): \(counted(configuration.deployments.count, "deployment")) in \(counted(groups, "model group")); "
                + "a router would start with it\n")
    }
}

/// Reads a configuration and prints what is wrong with it; ends the process with code 1 when there is an
/// error.
func readConfiguration(_ file: String) throws -> ServerConfiguration {
    let (configuration, diagnostics) = ConfigFile.read(
        text: try contents(of: file), file: file, environment: ProcessInfo.processInfo.environment)
    for diagnostic in diagnostics { printError("\(diagnostic)\n") }
    if let configuration { return configuration }
    let errors = diagnostics.count { $0.severity == .error }
    printError("\(file): \(counted(errors, "error")); a router would not start with it\n")
    throw ExitCode(1)
}

/// The text of a file; ends the process with code 1 when it has none.
func contents(of file: String, example: String = "router_config.yaml") throws -> String {
    let bytes: Data
    do {
        // Unlike Data(contentsOf:) this reads pipes too, as in check <(envsubst < template).
        bytes = try FileHandle(forReadingFrom: URL(filePath: file)).readToEnd() ?? Data()
    } catch {
        printError("\(file): error: \(reason(for: error, file: file, example))\n")
        throw ExitCode(1)
    }
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let line = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
    printError("\(file):\(line + 1): error: This line is not UTF-8 text. Save the file as UTF-8.\n")
    throw ExitCode(1)
}

private func reason(for error: any Error, file: String, _ example: String) -> String {
    let attributes = try? FileManager.default.attributesOfItem(
        atPath: URL(filePath: file).resolvingSymlinksInPath().path)
    if attributes?[.type] as? FileAttributeType == .typeDirectory {
        return
            "This is a directory. Name the file in it, such as \(file.hasSuffix("/") ? file : file + "/")\(example)."
    }
    switch (error as? CocoaError)?.code {
    case .fileReadNoSuchFile?: return "There is no such file."
    case .fileReadNoPermission?: return "You may not read this file."
    default: return "This file cannot be read."
    }
}
