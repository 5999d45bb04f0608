// `junction embed`: asks a running router for embeddings and prints them, or their shape.
import ArgumentParser
import JunctionMessages
import JunctionReport

struct Embed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a running router to turn texts into vectors.",
        discussion: """
            Example:
              junction embed --model text-embedding-3-small "The quick brown fox" "Lorem ipsum"
              junction embed --model text-embedding-3-small --json - < lines.txt
            Prints a line for each text: how many numbers its vector has, its length, the first numbers;
            with --json the whole vector as a JSON array. All else goes to standard error.
            Exit code 0, or 64 + the gRPC status code.
            """)

    @OptionGroup var router: RouterOptions

    @Option(help: "How many numbers each vector has, for models that can shorten theirs.")
    var dimensions: Int32?

    @Option(help: "What the vectors are for, such as search_document or search_query.")
    var inputType = ""

    @Flag(help: "Print each vector whole, as a JSON array on a line of its own.")
    var json = false

    @Argument(help: "The texts. `-` alone reads them from standard input, one a line.")
    var texts: [String]

    func validate() throws {
        if texts.contains("") { throw ValidationError("A text must not be empty.") }
        if let dimensions, dimensions < 1 {
            throw ValidationError("--dimensions must be 1 or more, not \(dimensions).")
        }
    }

    func run() async throws {
        var request = JunctionV1.EmbedRequest()
        var embedding = JunctionV1.Embedding()
        embedding.model = router.model
        embedding.inputs = texts == ["-"] ? try lines() : texts
        embedding.dimensions = dimensions
        embedding.inputType = inputType
        request.embedding = embedding
        request.routing = router.routing()
        try await router.ask { client, options in
            let response = try await client.router.embed(request, options: options)
            for vector in response.vectors { try printNow((json ? array(vector) : shape(vector)) + "\n") }
            router.tell(usage: response.usage, route: response.route)
        }
    }

    private func lines() throws -> [String] {
        try standardInput().split(whereSeparator: \.isNewline).map(String.init)
    }

    private func array(_ vector: JunctionV1.EmbeddingVector) -> String {
        "[" + vector.values.map { "\($0)" }.joined(separator: ",") + "]"
    }

    private func shape(_ vector: JunctionV1.EmbeddingVector) -> String {
        let length = vector.values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        let first = vector.values.prefix(4).map { fixed(Double($0), 4) }.joined(separator: ", ")
        let more = vector.values.count > 4 ? ", …" : ""
        return "\(vector.values.count) numbers, length \(fixed(length, 4)): \(first)\(more)"
    }
}
