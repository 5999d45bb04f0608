// Signed reasoning, which Anthropic's models want back unchanged before the results of the tools that they
// called: what Anthropic's API and Bedrock's have in common. Which efforts a model takes is here too. Source:
// docs.anthropic.com/en/docs/build-with-claude/extended-thinking, …/adaptive-thinking, …/effort.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

/// A block of reasoning whose pieces come one by one.
struct ReasoningBlock {
    var text: [UInt8] = []
    var signature: [UInt8] = []
    var redacted: [UInt8] = []

    /// Whether the caller can hand it back.
    var isSigned: Bool { !signature.isEmpty || !redacted.isEmpty }

    func write(to part: JunctionV1.ReasoningPart.View, in arena: Arena) {
        part.text = arena.text(text.span)
        part.signature = arena.text(signature.span)
        part.redacted = arena.text(redacted.span)
    }
}

extension JunctionV1.ReasoningPart.View {
    /// Whether a provider takes it back.
    var isSigned: Bool { !signature.isEmpty || !redacted.isEmpty }
}

/// How a Claude model is asked to think.
enum ClaudeThinking {
    case off
    /// For that many tokens.
    case budget(Int)
    /// As the model sees fit, with that effort.
    case adaptive(effort: StaticString, roughTokens: Int)

    /// Room for it beside the answer.
    var tokens: Int {
        switch self {
        case .off: 0
        case .budget(let tokens), .adaptive(_, let tokens): tokens
        }
    }
}

extension BodyWriter {
    /// What the caller's effort comes to for that model. A budget is worth what LiteLLM has; 1024 is the least
    /// that the API takes.
    ///
    /// A model with a budget is asked without thinking where the turn goes on from tool results and the signed
    /// reasoning before the calls is missing: the API would refuse it.
    func claudeThinking(
        _ completion: JunctionV1.Completion.View, model: String
    ) throws(Failure) -> ClaudeThinking {
        let effort = completion.reasoningEffort
        if effort.isEmpty || effort == "none" { return .off }
        let isAdaptive = thinksAdaptively(model)
        let thinking: (effort: StaticString, tokens: Int)
        if effort == "minimal" || effort == "low" {
            thinking = ("low", 1024)
        } else if effort == "medium" {
            thinking = ("medium", 2048)
        } else if effort == "high" {
            thinking = ("high", 4096)
        } else if isAdaptive, effort == "xhigh" || effort == "max" {
            thinking = (effort == "max" ? "max" : "xhigh", 16384)
        } else {
            throw wrong(
                "completion.reasoning_effort",
                "is none of `none`, `minimal`, `low`, `medium` and `high`"
                    + (isAdaptive ? ", nor `xhigh` or `max`" : ""))
        }
        if isAdaptive { return .adaptive(effort: thinking.effort, roughTokens: thinking.tokens) }
        if lacksReasoning(completion.messages) { return .off }
        if let most = completion.maxTokens, most <= thinking.tokens {
            throw wrong(
                "completion.max_tokens",
                "is not above \(thinking.tokens), which the reasoning effort alone may use")
        }
        return .budget(thinking.tokens)
    }

    /// Whether the turn under way has called tools, and none of its messages has its signed reasoning.
    private func lacksReasoning(_ messages: Repeated<JunctionV1.Message.View>) -> Bool {
        if messages.last?.role != .tool { return false }
        for index in (0..<messages.count).reversed() {
            let message = messages[index]
            if message.role == .user { break }
            if message.role == .assistant, message.reasoningParts.contains(where: \.isSigned) { return false }
        }
        return true
    }
}

/// Whether the model decides itself how long it thinks: those from 4.6 on, and the families that came with
/// them. Newer ones refuse a budget. The name may be Anthropic's or Bedrock's.
func thinksAdaptively(_ model: String) -> Bool {
    guard let start = model.firstRange(of: "claude-")?.upperBound else { return false }
    let parts = model[start...].split(whereSeparator: { "-.@:[".contains($0) })
    // Before 4, the version came first: `claude-3-7-sonnet`, `claude-instant-1`.
    guard let family = parts.first, family.allSatisfy(\.isLetter), family != "instant" else { return false }
    guard ["opus", "sonnet", "haiku"].contains(family) else { return true }
    guard parts.count > 1, let major = Int(parts[1]), major < 100 else { return false }
    // A date in the place of the minor version means none.
    let minor = parts.count > 2 ? Int(parts[2]).flatMap { $0 < 100 ? $0 : nil } ?? 0 : 0
    return major > 4 || major == 4 && minor >= 6
}
