// The command `junction`: one file a subcommand. Parses arguments, prints for people, sets exit codes.
import ArgumentParser

@main
struct Junction: AsyncParsableCommand {
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
        version: "0.1.0",
        subcommands: [
            Serve.self, Complete.self, Stream.self, Embed.self, Check.self, Explain.self, Simulate.self,
            SimulateInstances.self, Load.self, Usage.self,
        ])
}
