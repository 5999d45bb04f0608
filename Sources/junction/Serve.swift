// `junction serve`: checks the options, then becomes the router.
import ArgumentParser
import JunctionTransport

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the router over gRPC (HTTP/2, cleartext with prior knowledge).",
        discussion: """
            Example:
              junction serve --config router_config.yaml --port 50051
            Prints `listening on HOST:PORT` to standard output once it accepts calls, and then, where there
            are metrics (at /metrics), `metrics on HOST:PORT`.
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

    @Option(help: "Port of metrics for Prometheus; 0 picks a free one (default: the configuration's).")
    var metricsPort: Int?

    @Option(help: "Event loops, one a thread (default: the configuration's, else one a core).")
    var threads: Int?

    func validate() throws {
        if config.isEmpty { throw ValidationError("--config must not be empty.") }
        if host?.isEmpty == true { throw ValidationError("--host must not be empty.") }
        if let port, !(0...65535).contains(port) {
            throw ValidationError("--port must be 0 to 65535, not \(port).")
        }
        if let metricsPort, !(0...65535).contains(metricsPort) {
            throw ValidationError("--metrics-port must be 0 to 65535, not \(metricsPort).")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be 1 to 1024, not \(threads).")
        }
    }

    func run() throws {
        var arguments = ["--config", config]
        if let host { arguments += ["--host", host] }
        if let port { arguments += ["--port", "\(port)"] }
        if let metricsPort { arguments += ["--metrics-port", "\(metricsPort)"] }
        if let threads { arguments += ["--threads", "\(threads)"] }
        let error = become("junctiond", arguments)
        printError("junction: \(error)\n")
        throw ExitCode(1)
    }
}
