// `junction check`: reads a configuration, says what is wrong with it, shows what it leads to.
import ArgumentParser
import JunctionConfig
import JunctionService

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
    try usable { () throws(UnusableFile) in try JunctionService.readConfiguration(file, tell: printError) }
}

/// The text of a file; ends the process with code 1 when it has none.
func contents(of file: String, example: String) throws -> String {
    try usable { () throws(UnusableFile) in try JunctionService.contents(of: file, example: example) }
}

private func usable<Value>(_ read: () throws(UnusableFile) -> Value) throws -> Value {
    do { return try read() } catch {
        printError("\(error)\n")
        throw ExitCode(1)
    }
}
