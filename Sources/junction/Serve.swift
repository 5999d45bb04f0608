// `junction serve`: runs the router until a signal ends it.
import ArgumentParser
import JunctionConfig
import JunctionService

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the router over gRPC (HTTP/2, cleartext with prior knowledge).",
        discussion: """
            Example:
              junction serve --config router_config.yaml --port 50051
            Prints `listening on HOST:PORT` to standard output once it accepts calls.
            SIGTERM or SIGINT: takes no new calls, lets those under way end, then exits with 0;
            a second signal ends it at once.
            Exit code 1 when the configuration has an error or the port cannot be had.
            """)

    @Option(name: .shortAndLong, help: "The configuration, a LiteLLM router_config.yaml.")
    var config: String

    @Option(help: "Address to listen on (default: the configuration's, else 127.0.0.1).")
    var host: String?

    @Option(help: "Port to listen on; 0 picks a free one (default: the configuration's, else 50051).")
    var port: Int?

    @Option(help: "Event loops, one a thread (default: the configuration's, else one a core).")
    var threads: Int?

    func validate() throws {
        if config.isEmpty { throw ValidationError("--config must not be empty.") }
        if host?.isEmpty == true { throw ValidationError("--host must not be empty.") }
        if let port, !(0...65535).contains(port) {
            throw ValidationError("--port must be 0 to 65535, not \(port).")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be 1 to 1024, not \(threads).")
        }
    }

    func run() throws {
        var configuration = try readConfiguration(config)
        if let host { configuration.server.host = host }
        if let port { configuration.server.port = port }
        if let threads { configuration.server.threads = threads }
        let server = Server(configuration)
        do {
            try printNow("listening on \(try server.start())\n")
        } catch {
            printError("junction: \(error)\n")
            throw ExitCode(1)
        }
        server.waitUntilStopped()
    }
}
