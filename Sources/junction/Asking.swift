// What `complete`, `stream` and `embed` have in common: their options, the request made of them, how a route
// and an error are told to a person.
import ArgumentParser
import JunctionClient
import JunctionMessages
import JunctionRPC
import JunctionReport
import JunctionTransport

/// Options of the commands that ask a running router, whatever they ask.
struct RouterOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The model group to ask (`model_name` in the configuration).")
    var model: String

    @Option(help: "Address of the router.")
    var address = "127.0.0.1:50051"

    @Option(
        name: .customLong("fallback"), help: "Model group to try when the asked one fails; may be repeated.")
    var fallbacks: [String] = []

    @Option(help: "Most retries within one model group.")
    var numRetries: Int32?

    @Option(help: "Seconds to wait for the answer at most.")
    var timeout: Double = 60

    @Flag(help: "Print the route taken: every attempt with its outcome and duration.")
    var route = false

    func validate() throws {
        if model.isEmpty || fallbacks.contains("") {
            throw ValidationError("A model group's name must not be empty.")
        }
        if let numRetries, !(0...100).contains(numRetries) {
            throw ValidationError("--num-retries must be 0 to 100, not \(numRetries).")
        }
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds, not \(timeout).")
        }
        _ = try destination(of: address)
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
        let (host, port) = try destination(of: address)
        let client = JunctionClient(host: host, port: port)
        defer { client.shutdown() }
        do {
            try await body(client, CallOptions(timeout: .seconds(timeout)))
        } catch let status as Status {
            tell(status)
            throw ExitCode(64 + Int32(status.code.rawValue))
        }
    }

    /// Prints usage and route where `--route` asks for them.
    func tell(usage: JunctionV1.Usage?, route taken: JunctionV1.Route?) {
        guard route else { return }
        if let usage { printError(describe(usage)) }
        if let taken { printError(describe(taken)) }
    }

    private func tell(_ status: Status) {
        var text = "junction: \(status.code): \(status.message)\n"
        switch status.code {
        case .unavailable where status.message.hasPrefix("cannot connect"):
            text +=
                "Is the router running at \(address)? Start it with: junction serve --config router_config.yaml\n"
        case .notFound:
            text +=
                "Model groups are the `model_name`s of the router's configuration: junction check FILE lists them.\n"
        case .deadlineExceeded:
            text += "Give the call more time with --timeout SECONDS.\n"
        default: break
        }
        printError(text)
    }
}

/// Options of the commands that ask for a completion.
struct Asking: ParsableArguments {
    @OptionGroup var router: RouterOptions

    @Option(help: "Instructions to the model that come before the prompt.")
    var system: String?

    @Option(help: "Most tokens to generate.")
    var maxTokens: Int32?

    @Option(help: "Sampling temperature, 0 to 2.")
    var temperature: Double?

    @Argument(help: "The prompt. `-` reads it from standard input.")
    var prompt: String

    func validate() throws {
        if prompt.isEmpty { throw ValidationError("The prompt must not be empty.") }
        if let maxTokens, maxTokens < 1 {
            throw ValidationError("--max-tokens must be 1 or more, not \(maxTokens).")
        }
        if let temperature, !(0...2).contains(temperature) {
            throw ValidationError("--temperature must be 0 to 2, not \(temperature).")
        }
    }

    func completion() throws -> JunctionV1.Completion {
        var completion = JunctionV1.Completion()
        completion.model = router.model
        if let system { completion.messages.append(message(.system, system)) }
        completion.messages.append(message(.user, prompt == "-" ? try standardInput() : prompt))
        completion.maxTokens = maxTokens
        completion.temperature = temperature
        return completion
    }

    private func message(_ role: JunctionV1.Role, _ text: String) -> JunctionV1.Message {
        var message = JunctionV1.Message()
        message.role = role
        message.content = text
        return message
    }
}

/// All of standard input.
func standardInput() throws -> String {
    let bytes = try readStandardInput()
    guard let text = String(validating: bytes, as: UTF8.self), !text.isEmpty else {
        throw ValidationError("The text on standard input is \(bytes.isEmpty ? "empty" : "not UTF-8").")
    }
    return text
}

/// An address in its two parts; an IPv6 host stands in brackets.
func destination(of address: String, option: String = "--address") throws -> (host: String, port: Int) {
    let colon = address.lastIndex(of: ":") ?? address.startIndex
    var host = address[..<colon]
    let port = Int(address[colon...].dropFirst()) ?? 0
    if host.hasPrefix("["), host.hasSuffix("]") {
        host = host.dropFirst().dropLast()
    } else if host.contains(":") {
        host = ""
    }
    guard !host.isEmpty, (1...65535).contains(port) else {
        throw ValidationError(
            "\(option) must be HOST:PORT, as 127.0.0.1:50051 or [::1]:50051, not '\(address)'.")
    }
    return (String(host), port)
}

/// The route as lines for a person.
private func describe(_ route: JunctionV1.Route) -> String {
    var text = "route: \(route.deploymentId) (\(route.provider), group \(route.modelGroup))"
    text += route.fallbackUsed ? ", by fallback\n" : "\n"
    for (index, attempt) in route.attempts.enumerated() {
        text +=
            "  \(index + 1). \(attempt.deploymentId): \(words(attempt.outcome)), \(milliseconds(attempt.durationUs))"
        if attempt.httpStatus != 0 { text += ", HTTP \(attempt.httpStatus)" }
        if !attempt.error.isEmpty { text += ", \(attempt.error)" }
        text += "\n"
    }
    return text
}

/// The usage as a line for a person.
private func describe(_ usage: JunctionV1.Usage) -> String {
    "tokens: \(usage.promptTokens) prompt + \(usage.completionTokens) completion"
        + (usage.estimated ? " (estimated)" : "")
        + (usage.costUsd.map { ", cost: $\(dollars($0))" } ?? "") + "\n"
}

/// To a millionth of a dollar.
private func dollars(_ amount: Double) -> String { fixed(amount, 6) }

private func milliseconds(_ microseconds: Int64) -> String {
    "\(microseconds / 1000).\(microseconds % 1000 / 100) ms"
}

/// The name of an enum's case in words: `deadlineExceeded` as "deadline exceeded".
private func words(_ name: some Any) -> String {
    "\(name)".reduce(into: "") { words, letter in
        words += letter.isUppercase ? " \(letter.lowercased())" : String(letter)
    }
}
