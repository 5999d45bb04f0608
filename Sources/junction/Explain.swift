// `junction explain`: where a call would go, and why, without a router running.
import ArgumentParser
import JunctionConfig
import JunctionRouting

struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain which deployments a call could go to, and why not to the others.",
        discussion: """
            Example:
              junction explain --config router_config.yaml --model gpt-4o --tokens 5000
            Reads the configuration only: the router is taken as just started, so that nothing is counted
            and nothing cools down yet. Shows each model group in the order in which it would be tried.
            Exit code 1 when the configuration has an error or no such model.
            """)

    @Option(name: .shortAndLong, help: "The configuration, a LiteLLM router_config.yaml.")
    var config: String

    @Option(help: "The model group, alias or deployment id that the call asks for.")
    var model: String

    @Option(help: "Tokens that the call reserves: its prompt's and its max_tokens.")
    var tokens = 1000

    @Option(parsing: .upToNextOption, help: "The call's tags.")
    var tags: [String] = []

    @Flag(help: "The call asks for a stream.")
    var stream = false

    func validate() throws {
        if config.isEmpty { throw ValidationError("--config must not be empty.") }
        if tokens < 0 { throw ValidationError("--tokens must be 0 or more, not \(tokens).") }
    }

    func run() throws {
        let configuration = try readConfiguration(config).router
        let router = Router(configuration)
        guard let group = router.modelGroup(named: model) else {
            let names = Set(configuration.deployments.map(\.modelGroup)).union(configuration.aliases.keys)
            printError(
                "\(config): error: there is no model \"\(model)\" in it. It has: "
                    + "\(names.sorted().joined(separator: ", ")).\n")
            throw ExitCode(1)
        }
        let call = CallTraits(
            modelGroup: group, estimatedTokens: tokens, isStreaming: stream,
            tags: tags.flatMap { $0.split(separator: ",").map(String.init) })
        let explanations = router.explain(call, now: .zero)
        var text = ""
        for (index, explanation) in explanations.enumerated() {
            if index > 0 { text += "\nwhen that fails: fallback \(index), " }
            if index == 0, model != explanation.modelGroup { text += "\(model) means " }
            text += describe(explanation, configuration)
        }
        if explanations.count == 1 { text += "\nthere is no fallback\n" }
        if !tags.isEmpty, !configuration.enableTagFiltering {
            text += "\nthe tags have no effect: router_settings.enable_tag_filtering is not on\n"
        }
        try printNow(text)
    }

    private func describe(_ group: GroupExplanation, _ configuration: RouterConfiguration) -> String {
        var text = "\(group.modelGroup): \(group.strategy.rawValue) chooses \(group.strategy.rule)\n"
        let width = group.candidates.map { configuration.deployments[$0.deployment].id.count }.max() ?? 0
        for candidate in group.candidates {
            let id = configuration.deployments[candidate.deployment].id
            text += "  \(id)\(String(repeating: " ", count: width - id.count))  "
            if let order = candidate.order { text += "order \(order)  " }
            if candidate.obstacles.isEmpty {
                text += "may be chosen: \(Int((candidate.chance * 100).rounded())) % of such calls"
            } else {
                text += "passed over: " + candidate.obstacles.map(describe).joined(separator: "; ")
            }
            if let window = candidate.smallWindow {
                text += " (its window of \(window) tokens may be too small)"
            }
            text += "\n"
        }
        if !group.candidates.contains(where: \.obstacles.isEmpty) { text += "  no deployment is open\n" }
        text += list("when the prompt is too long", group.contextWindowFallbacks)
        text += list("when a content policy refuses", group.contentPolicyFallbacks)
        return text
    }

    private func list(_ when: String, _ groups: [String]) -> String {
        groups.isEmpty ? "" : "  \(when): \(groups.joined(separator: ", "))\n"
    }

    private func describe(_ obstacle: Obstacle) -> String {
        switch obstacle {
        case .tags where tags.isEmpty: "it is not tagged \"default\""
        case .tags: "it has no tag of \(tags.joined(separator: ", "))"
        default: obstacle.description(tokens: tokens)
        }
    }
}
