// `junction usage`: what all instances together have used of their limits, from the Redis that they share.
import ArgumentParser
import FoundationEssentials
import JunctionConfig
import JunctionReport
import JunctionService

struct Usage: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what all instances together have used of each limit, from Redis.",
        discussion: """
            Example:
              junction usage --config router_config.yaml
            Tokens and requests of the last 60 seconds, reserved ones and blocks taken ahead included;
            requests under way; cooldowns; and which instances share the limits.
            Exit code 1 when the configuration has an error or names no Redis, or Redis does not answer.
            """)

    @Option(name: .shortAndLong, help: "The configuration, a LiteLLM router_config.yaml.")
    var config: String

    @Flag(help: "Print it as JSON.")
    var json = false

    func validate() throws {
        if config.isEmpty { throw ValidationError("--config must not be empty.") }
    }

    func run() throws {
        let configuration = try readConfiguration(config)
        let groups: [GroupUsage]
        do {
            groups = try clusterUsage(of: configuration)
        } catch {
            printError("junction: \(error.message)\n")
            throw ExitCode(1)
        }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return try printNow(String(decoding: try encoder.encode(groups), as: UTF8.self) + "\n")
        }
        try printNow(groups.map(text).joined(separator: "\n"))
    }

    private func text(_ group: GroupUsage) -> String {
        var lines = ["\(group.modelGroup): shared by \(counted(group.instances.count, "instance"))"]
        for instance in group.instances {
            lines.append("  \(instance.name), heard \(instance.silentMilliseconds) ms ago")
        }
        var rows = [["deployment", "tokens", "requests", "parallel", "budget", "cooldown"]]
        for its in group.deployments {
            rows.append([
                its.id.isEmpty ? "(the whole group)" : its.id, share(its.tokens, its.tokensLimit),
                share(its.requests, its.requestsLimit),
                its.parallel.map { share($0, its.parallelLimit) } ?? "-", budget(its), cooldown(its),
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            lines.append("  " + cells.joined(separator: "  ").trimmingTrailingSpaces)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func share(_ used: Int, _ limit: Int?) -> String { limit.map { "\(used)/\($0)" } ?? "\(used)" }

    private func budget(_ its: GroupUsage.Deployment) -> String {
        guard let spent = its.dollarsSpent, let limit = its.dollarsLimit else { return "-" }
        return "$\(fixed(spent, 4))/$\(fixed(limit, 2))"
    }

    private func cooldown(_ its: GroupUsage.Deployment) -> String {
        guard let left = its.coolingMilliseconds, let cause = its.coolingCause else { return "-" }
        return "\(fixed(Double(left) / 1000, 1)) s (\(cause))"
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
