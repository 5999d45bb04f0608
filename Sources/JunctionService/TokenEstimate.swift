// How large a call is: what the routing core makes of it is how many tokens to reserve, which the provider's
// own count replaces when the answer comes.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting

/// Bytes of UTF-8 text that a token of an answer stands for, where the provider does not count.
private let bytesPerToken = 4
/// Tokens that a chat template adds around each message (OpenAI's cookbook counts 3, and 3 for the reply).
private let tokensPerMessage = 4
/// Tokens of an image at low detail; larger ones cost more (OpenAI's vision guide).
private let tokensPerImage = 85

/// The size of a completion: its prompt by kind and length of text, its answer by `max_tokens` where the
/// caller set one.
func size(of completion: JunctionV1.Completion.View) -> CallSize {
    var size = CallSize(
        tokens: tokensPerMessage, maxAnswerTokens: completion.maxTokens.map { Int($0) },
        answers: Int(max(1, completion.n ?? 1)))
    for message in completion.messages {
        size.tokens += tokensPerMessage
        size.add(message.content)
        for part in message.parts {
            switch part.part {
            case .text(let text): size.add(text)
            case .image: size.tokens += tokensPerImage
            case nil: break
            }
        }
        for call in message.toolCalls {
            if let function = call.function { size.add(function.argumentsJson) }
        }
    }
    for tool in completion.tools {
        guard let function = tool.function else { continue }
        size.add(function.name)
        size.add(function.description)
        size.add(function.parametersJson)
    }
    return size
}

/// The size of texts that shall become embeddings: nothing is answered to them.
func size(of embedding: JunctionV1.Embedding.View) -> CallSize {
    var size = CallSize(tokens: 0)
    for input in embedding.inputs { size.add(input) }
    return size
}

/// The tokens that so many bytes of text stand for.
func tokens(ofBytes bytes: Int) -> Int { (bytes + bytesPerToken - 1) / bytesPerToken }

extension CallSize {
    fileprivate mutating func add(_ text: Text) {
        let others = text.countOfNonASCII
        asciiBytes += text.count - others
        otherBytes += others
    }
}
