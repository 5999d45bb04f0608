// `junction complete`: asks a running router once and prints the answer.
import ArgumentParser
import JunctionMessages

struct Complete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a running router and print the whole answer.",
        discussion: """
            Example:
              junction complete --model gpt-4o --fallback claude "What is the capital of France?"
            The answer goes to standard output, all else to standard error.
            Exit code 0, or 64 + the gRPC status code.
            """)

    @OptionGroup var asking: Asking

    func run() async throws {
        var request = JunctionV1.CompleteRequest()
        request.completion = try asking.completion()
        request.routing = asking.router.routing()
        try await asking.router.ask { client, options in
            let response = try await client.router.complete(request, options: options)
            for choice in response.choices {
                guard let message = choice.message else { continue }
                try printNow((message.content.isEmpty ? message.refusal : message.content) + "\n")
            }
            asking.router.tell(usage: response.usage, route: response.route)
        }
    }
}
