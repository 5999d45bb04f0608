// `junction check`: reads a configuration, says what is wrong with it, shows what it leads to.
import ArgumentParser
import Foundation
import JunctionConfig

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a configuration and print the deployments it makes, without starting.",
        discussion: """
            Warnings and errors name file, line and key. Keys are never printed.
            Exit code 0 when a router would start with it, 1 when not.
            """)

    @Argument(help: "The configuration file, such as router_config.yaml.")
    var file: String

    func run() throws {
        let configuration = try readConfiguration(file)
        print(configuration.deploymentTable())
    }
}

/// Reads a configuration; prints its warnings, or its errors and ends the process with code 1.
func readConfiguration(_ file: String) throws -> ServerConfiguration {
    let text: String
    do {
        text = try String(contentsOfFile: file, encoding: .utf8)
    } catch {
        let there = FileManager.default.fileExists(atPath: file)
        printError(
            there
                ? "\(file): error: this file cannot be read as UTF-8 text\n"
                : "\(file): error: there is no such file\nName the configuration with --config FILE (serve) or check FILE.\n")
        throw ExitCode(1)
    }
    let (configuration, diagnostics) = ConfigFile.read(
        text: text, file: file, environment: ProcessInfo.processInfo.environment)
    for diagnostic in diagnostics { printError("\(diagnostic)\n") }
    guard let configuration else { throw ExitCode(1) }
    return configuration
}
