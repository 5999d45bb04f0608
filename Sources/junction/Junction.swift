// The command `junction`: one file a subcommand. Parses arguments, prints for people, sets exit codes.
import ArgumentParser
import Dispatch
import JunctionService

@main
enum Main {
    /// Runs what needs no task on the main thread alone: a server has no use for the threads that an
    /// asynchronous `main` starts, and a profiler none for a main thread that has ended.
    static func main() {
        do {
            var command = try Junction.parseAsRoot()
            if !(command is any AsyncParsableCommand) { return try command.run() }
            Task { await runAsynchronously() }
            dispatchMain()
        } catch { Junction.exit(withError: error) }
    }

    /// Reads the arguments again: a command that was read elsewhere cannot be carried into a task.
    private static func runAsynchronously() async {
        do {
            guard var command = try Junction.parseAsRoot() as? any AsyncParsableCommand else { return }
            try await command.run()
            Junction.exit()
        } catch { Junction.exit(withError: error) }
    }
}

struct Junction: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "junction",
        abstract: "Routes LLM calls to the best deployment, over gRPC.",
        discussion: """
            Start a router and ask it something:
              junction check router_config.yaml
              junction serve --config router_config.yaml
              junction complete --model gpt-4o "What is the capital of France?"
              junction stream --model gpt-4o "Tell me a story."
              junction embed --model text-embedding-3-small "The quick brown fox"

            Load it and see how it does:
              junction load --model gpt-4o --rate 100 --html report.html

            Exit codes: 0 done; 1 a configuration or start-up error; 64 wrong arguments;
            65 to 80 from complete, stream and embed: 64 + the gRPC status code (68: deadline exceeded,
            69: not found, 72: resource exhausted, 78: unavailable).
            """,
        version: junctionVersion,
        subcommands: [
            Serve.self, Complete.self, Stream.self, Embed.self, Check.self, Explain.self, Simulate.self,
            SimulateInstances.self, Load.self, Usage.self,
        ])
}
