// `junction stream`: asks a running router and prints the tokens as they come.
import ArgumentParser
import JunctionMessages

struct Stream: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a running router and print the answer as it comes.",
        discussion: """
            Example:
              junction stream --model gpt-4o "Tell me a story."
            The answer goes to standard output, all else to standard error.
            Exit code 0, or 64 + the gRPC status code.
            """)

    @OptionGroup var asking: Asking

    func run() async throws {
        var request = JunctionV1.StreamRequest()
        request.completion = try asking.completion()
        request.routing = asking.router.routing()
        try await asking.router.ask { client, options in
            var isLineOpen = false
            // An error, too, begins on a line of its own.
            defer { if isLineOpen { try? printNow("\n") } }
            for try await response in client.router.stream(request, options: options) {
                for choice in response.choices {
                    let text = choice.content + choice.refusal
                    if text.isEmpty { continue }
                    try printNow(text)
                    isLineOpen = true
                }
                if response.route == nil { continue }
                if isLineOpen { try printNow("\n") }
                isLineOpen = false
                asking.router.tell(usage: response.usage, route: response.route)
            }
        }
    }
}
