// What a caller asks, and what an answer to it is: the two things in which the methods of the service differ.
import JunctionMessages
import JunctionProtobuf
import JunctionProviders
import JunctionRPC
import JunctionRouting

/// What a caller asks. Lives as long as its RPC's arena.
enum Question {
    case completion(JunctionV1.Completion.View, isStreaming: Bool)
    case embedding(JunctionV1.Embedding.View)

    /// The model group that it names.
    var model: Text {
        switch self {
        case .completion(let completion, _): completion.model
        case .embedding(let embedding): embedding.model
        }
    }

    /// The request's field that holds it.
    var field: StaticString {
        switch self {
        case .completion: "completion"
        case .embedding: "embedding"
        }
    }

    var isStreaming: Bool {
        if case .completion(_, true) = self { true } else { false }
    }

    var method: Tally.Method {
        switch self {
        case .completion(_, let isStreaming): isStreaming ? .stream : .complete
        case .embedding: .embed
        }
    }

    /// How many embeddings are asked for; nil: none, but a completion.
    var embeddingCount: Int? {
        if case .embedding(let embedding) = self { embedding.inputs.count } else { nil }
    }

    /// What it asks for that not every deployment takes.
    var features: Features {
        switch self {
        case .completion(let completion, _): Features(of: completion)
        case .embedding(let embedding): Features(of: embedding)
        }
    }

    /// How large it is, before it is sent.
    var size: CallSize {
        switch self {
        case .completion(let completion, _): JunctionService.size(of: completion)
        case .embedding(let embedding): JunctionService.size(of: embedding)
        }
    }

    /// The tokens of its prompt as a person would guess them, neither high nor low.
    var estimatedPromptTokens: Int {
        let size = size
        return size.tokens + tokens(ofBytes: size.asciiBytes + size.otherBytes)
    }
}

/// A whole answer. Lives as long as its RPC's arena.
enum Answer {
    case completion(JunctionV1.CompleteResponse.View)
    case embeddings(JunctionV1.EmbedResponse.View)

    /// Bytes of what the model said.
    var contentBytes: Int {
        switch self {
        case .completion(let response): response.choices.reduce(0) { $0 + ($1.message?.content.count ?? 0) }
        case .embeddings: 0
        }
    }

    /// Sends it with what it took.
    func send(to rpc: ServerStream, usage: JunctionV1.Usage.View, route: JunctionV1.Route.View) {
        switch self {
        case .completion(let response):
            response.usage = usage
            response.route = route
            rpc.send(response)
        case .embeddings(let response):
            response.usage = usage
            response.route = route
            rpc.send(response)
        }
    }
}
