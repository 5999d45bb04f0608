// The router as a process: what `junction serve` becomes once it has checked its options. A program of its
// own, since what else the command has (parser, load tool, simulator) would stay in memory while it serves.
import Glibc
import JunctionService
import JunctionTransport

var options: [String: String] = [:]
let words = Array(CommandLine.arguments.dropFirst())
for place in stride(from: 0, to: words.count - 1, by: 2) { options[words[place]] = words[place + 1] }
guard let file = options.removeValue(forKey: "--config"), words.count % 2 == 0,
    Set(options.keys).isSubset(of: ["--host", "--port", "--metrics-port", "--threads"])
else {
    try? writeStandardError(
        """
        usage: junctiond --config FILE [--host HOST] [--port PORT] [--metrics-port PORT] [--threads N]
        See: junction serve --help

        """
    )
    exit(64)
}

do {
    var configuration = try readConfiguration(file) { try? writeStandardError($0) }
    if let host = options["--host"] { configuration.server.host = host }
    if let port = options["--port"] { configuration.server.port = Int(port) ?? configuration.server.port }
    if let port = options["--metrics-port"] { configuration.server.metricsPort = Int(port) }
    if let threads = options["--threads"].flatMap({ Int($0) }) { configuration.server.threads = threads }
    let server = Server(configuration)
    let addresses = try server.start()
    let metrics = addresses.metrics.map { "metrics on \($0)\n" } ?? ""
    try writeStandardOutput("listening on \(addresses.calls)\n" + metrics)
    server.waitUntilStopped()
} catch {
    try? writeStandardError(error is UnusableFile ? "\(error)\n" : "junction: \(error)\n")
    exit(1)
}
