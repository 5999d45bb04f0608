// `junction stream`: asks a running router and prints the tokens as they come.
import ArgumentParser
import Foundation
import JunctionMessages

struct Stream: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a running router and print the answer as it comes.",
        discussion: """
            Example:
              junction stream --model gpt-4o "Tell me a story."
            The answer goes to standard output; the route (--route) and errors to standard error.
            Exit code 0, or 64 + the gRPC status code.
            """)

    @OptionGroup var asking: Asking

    func run() async throws {
        try await asking.ask { client, options in
            var request = JunctionV1.StreamRequest()
            request.completion = asking.completion()
            request.routing = asking.routing()
            for try await response in client.router.stream(request, options: options) {
                for choice in response.choices where !choice.content.isEmpty {
                    FileHandle.standardOutput.write(Data(choice.content.utf8))
                }
                if let usage = response.usage {
                    print("")
                    if asking.route { printError(describe(usage)) }
                }
                if asking.route, let route = response.route { printError(describe(route)) }
            }
        }
    }
}
