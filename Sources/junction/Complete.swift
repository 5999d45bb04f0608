// `junction complete`: asks a running router once and prints the answer.
import ArgumentParser
import JunctionMessages

struct Complete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a running router and print the whole answer.",
        discussion: """
            Example:
              junction complete --model gpt-4o --fallback claude "What is the capital of France?"
            The answer goes to standard output; the route (--route) and errors to standard error.
            Exit code 0, or 64 + the gRPC status code.
            """)

    @OptionGroup var asking: Asking

    func run() async throws {
        try await asking.ask { client, options in
            var request = JunctionV1.CompleteRequest()
            request.completion = asking.completion()
            request.routing = asking.routing()
            let response = try await client.router.complete(request, options: options)
            for choice in response.choices {
                if let content = choice.message?.content, !content.isEmpty { print(content) }
                for call in choice.message?.toolCalls ?? [] {
                    print("\(call.function?.name ?? "")(\(call.function?.argumentsJson ?? ""))")
                }
            }
            if asking.route {
                if let usage = response.usage { printError(describe(usage)) }
                if let route = response.route { printError(describe(route)) }
            }
        }
    }
}
