// How many tokens a call will use, guessed before it is sent, so that they can be reserved. The guess
// is replaced by the provider's own count when the answer comes.
import JunctionMessages
import JunctionProtobuf

/// Bytes of UTF-8 text a token stands for: about 4 in English with today's vocabularies. The guess errs
/// high for prose (fewer tokens than guessed are used) and low for text that is mostly not Latin.
private let bytesPerToken = 4
/// Tokens that a chat template adds around each message (OpenAI's cookbook counts 3, and 3 for the reply).
private let tokensPerMessage = 4
/// Tokens of an image at low detail; larger ones cost more (OpenAI's vision guide).
private let tokensPerImage = 85

/// The tokens that a completion is expected to use: its prompt by length, its answer by `max_tokens` where
/// the caller set one.
func estimatedTokens(_ completion: JunctionV1.Completion.View) -> Int {
    let prompt = estimatedPromptTokens(completion)
    guard let answer = completion.maxTokens else { return prompt }
    return prompt + Int(answer) * Int(max(1, completion.n ?? 1))
}

/// The tokens of the prompt alone.
func estimatedPromptTokens(_ completion: JunctionV1.Completion.View) -> Int {
    var bytes = 0
    var count = tokensPerMessage
    for message in completion.messages {
        count += tokensPerMessage
        bytes += message.content.count
        for part in message.parts {
            switch part.part {
            case .text(let text): bytes += text.count
            case .image: count += tokensPerImage
            case nil: break
            }
        }
        for call in message.toolCalls {
            bytes += call.function?.argumentsJson.count ?? 0
        }
    }
    for tool in completion.tools {
        guard let function = tool.function else { continue }
        bytes += function.name.count + function.description.count + function.parametersJson.count
    }
    return count + tokens(ofBytes: bytes)
}

/// The tokens of texts that shall become embeddings.
func estimatedPromptTokens(_ embedding: JunctionV1.Embedding.View) -> Int {
    embedding.inputs.reduce(0) { $0 + tokens(ofBytes: $1.count) }
}

/// The tokens that so many bytes of text stand for.
func tokens(ofBytes bytes: Int) -> Int { (bytes + bytesPerToken - 1) / bytesPerToken }
