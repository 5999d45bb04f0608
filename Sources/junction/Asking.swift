// What `complete` and `stream` have in common: their options, the request made of them, how an error
// is told to a person.
import ArgumentParser
import Foundation
import JunctionClient
import JunctionMessages
import JunctionRPC

/// Options of the commands that ask a running router.
struct Asking: ParsableArguments {
    @Option(name: .shortAndLong, help: "The model group to ask (`model_name` in the configuration).")
    var model: String

    @Option(help: "Address of the router.")
    var address = "127.0.0.1:50051"

    @Option(help: "Instructions to the model that come before the prompt.")
    var system: String?

    @Option(help: "Most tokens to generate.")
    var maxTokens: Int32?

    @Option(help: "Sampling temperature, 0 to 2.")
    var temperature: Double?

    @Option(name: .customLong("fallback"), help: "Model group to try when the asked one fails; may be repeated.")
    var fallbacks: [String] = []

    @Option(help: "Most retries within one model group.")
    var numRetries: Int32?

    @Option(help: "Seconds to wait for the answer at most.")
    var timeout: Double = 60

    @Flag(help: "Print the route taken: every attempt with its outcome and duration.")
    var route = false

    @Argument(help: "The prompt. `-` reads it from standard input.")
    var prompt: String

    func validate() throws {
        guard timeout > 0 else { throw ValidationError("--timeout must be more than 0 seconds, not \(timeout).") }
        _ = try host()
    }

    /// The address in its two parts; an IPv6 host stands in brackets.
    func host() throws -> (host: String, port: Int) {
        guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]),
            (1...65535).contains(port), colon != address.startIndex
        else { throw ValidationError("--address must be HOST:PORT such as 127.0.0.1:50051, not '\(address)'.") }
        let host = address[..<colon]
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? host.dropFirst().dropLast() : host
        return (String(bare), port)
    }

    func completion() -> JunctionV1.Completion {
        var completion = JunctionV1.Completion()
        completion.model = model
        if let system { completion.messages.append(message(.system, system)) }
        completion.messages.append(message(.user, prompt == "-" ? standardInput() : prompt))
        completion.maxTokens = maxTokens
        completion.temperature = temperature
        return completion
    }

    func routing() -> JunctionV1.Routing {
        var routing = JunctionV1.Routing()
        routing.numRetries = numRetries
        routing.fallbacks = fallbacks.map { name in
            var fallback = JunctionV1.Fallback()
            fallback.target = .modelGroup(name)
            return fallback
        }
        return routing
    }

    /// Runs `body` with a client that is shut down afterwards; tells an error and ends the process with
    /// 64 + its gRPC code.
    func ask(_ body: (JunctionClient, CallOptions) async throws -> Void) async throws {
        let (host, port) = try host()
        let client = JunctionClient(host: host, port: port)
        defer { client.shutdown() }
        do {
            try await body(client, CallOptions(timeout: .seconds(timeout)))
        } catch let status as Status {
            tell(status)
            throw ExitCode(64 + Int32(status.code.rawValue))
        }
    }

    private func message(_ role: JunctionV1.Role, _ text: String) -> JunctionV1.Message {
        var message = JunctionV1.Message()
        message.role = role
        message.content = text
        return message
    }

    private func standardInput() -> String {
        var text = ""
        while let line = readLine(strippingNewline: false) { text += line }
        return text
    }

    private func tell(_ status: Status) {
        var text = "junction: \(status.code): \(status.message)\n"
        switch status.code {
        case .unavailable where status.message.contains("connect"):
            text += "Is the router running? Start it with: junction serve --config router_config.yaml\n"
        case .notFound:
            text += "Model groups are the `model_name`s of the router's configuration: junction check FILE lists them.\n"
        case .deadlineExceeded:
            text += "Give the call more time with --timeout SECONDS.\n"
        default: break
        }
        printError(text)
    }
}

/// Writes to standard error.
func printError(_ text: String) {
    FileHandle.standardError.write(Data(text.utf8))
}

/// The route as lines for a person.
func describe(_ route: JunctionV1.Route) -> String {
    var lines = ["route: \(route.deploymentId) (\(route.provider), group \(route.modelGroup))"
        + (route.fallbackUsed ? ", by fallback" : "")]
    for (index, attempt) in route.attempts.enumerated() {
        var line = "  \(index + 1). \(attempt.deploymentId): \(attempt.outcome), "
        line += "\((Double(attempt.durationUs) / 1000).formatted(.number.precision(.fractionLength(1)))) ms"
        if attempt.httpStatus != 0 { line += ", HTTP \(attempt.httpStatus)" }
        if !attempt.error.isEmpty { line += ", \(attempt.error)" }
        lines.append(line)
    }
    return lines.joined(separator: "\n") + "\n"
}

/// The usage as a line for a person.
func describe(_ usage: JunctionV1.Usage) -> String {
    "tokens: \(usage.promptTokens) prompt + \(usage.completionTokens) completion"
        + (usage.estimated ? " (estimated)" : "") + "\n"
}
