// `junction simulate`: tries a configuration on simulated providers, in virtual time.
import ArgumentParser
import FoundationEssentials
import JunctionConfig
import JunctionRouting
import JunctionSimulation
import JunctionTransport

struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Try a configuration on simulated providers before shipping it, in virtual time.",
        discussion: """
            Examples:
              junction simulate --config router_config.yaml --rate 50 --duration 600
              junction simulate --config router_config.yaml --scenario outage.yaml --html report.html
              junction simulate --config router_config.yaml --trace calls.csv --strategy least-busy
              junction simulate --table > strategies.md
              junction simulate --promises 1000000

            The router's own decisions, with its limits, retries, cooldowns and fallbacks; the providers are
            made up. No provider is called and no key is needed by it. The same seed gives the same result.

            A scenario says who calls and how the providers behave: latencies, their own limits, outages,
            failures. tools/simulate/scenario_template.yaml has every key with its meaning. Without one,
            calls come at random at --rate, and providers answer in 0.4 s and 12 ms a token (medians).

            A trace has a line for each call: seconds,model,prompt_tokens,completion_tokens[,stream]

            Exit code 1 when a file has an error; its line and key are named.
            """)

    @Option(name: .shortAndLong, help: "The configuration, a LiteLLM router_config.yaml.")
    var config: String?

    @Option(help: "Calls as they were recorded, in the place of made-up ones.")
    var trace: String?

    @Option(help: "Calls a second, to the first model group (default: 10).")
    var rate: Double?

    @Option(help: "Seconds in which calls come (default: 600).")
    var duration: Double?

    @Option(help: "Who calls, and how the providers behave: a YAML file.")
    var scenario: String?

    @Option(help: "Where chance begins: the same seed gives the same result.")
    var seed: UInt64 = 1

    @Option(help: "Choose by this strategy in every model group, whatever the configuration says.")
    var strategy: String?

    @Option(help: "Write everything that was measured to this file.")
    var json: String?

    @Option(help: "Write a page with plots over time to this file; - is standard output.")
    var html: String?

    @Flag(help: "Print every strategy in five built-in worlds as a Markdown table; needs no configuration.")
    var table = false

    @Option(help: "How much of the calls and limits of --table's worlds there is: 0.1 is a tenth.")
    var scale = 1.0

    @Option(
        help: """
            Make so many calls in made-up worlds of outages, 429s and callers that leave, over --seeds; look \
            into every failure, and end with code 1 if one could have been avoided.
            """)
    var promises: Int?

    @Option(help: "How many worlds --promises makes up.")
    var seeds: UInt64 = 20

    func validate() throws {
        if table || promises != nil {
            let others: [Any?] = [config, trace, rate, duration, scenario, strategy, json, html]
            if others.contains(where: { $0 != nil }) {
                throw ValidationError(
                    "--table goes with --seed and --scale only, and --promises with --seeds.")
            }
            if !(0.001...100).contains(scale) { throw ValidationError("--scale must be from 0.001 to 100.") }
            return
        }
        if config?.isEmpty ?? true { throw ValidationError("Name a configuration: --config FILE.") }
        if trace != nil, rate != nil || duration != nil {
            throw ValidationError("A trace has its own calls: leave out --rate and --duration.")
        }
        if let rate, !(1e-6...1e6).contains(rate) {
            throw ValidationError("--rate must be more than 0 and at most 1000000 calls a second.")
        }
        if let duration, !(1e-3...1e8).contains(duration) {
            throw ValidationError("--duration must be more than 0 and at most 100000000 seconds.")
        }
        if let strategy, Strategy(named: strategy) == nil {
            let names = Strategy.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("There is no strategy \"\(strategy)\". There are: \(names).")
        }
    }

    func run() throws {
        if table { return try printNow(try comparisonTable(seed: seed, scale: scale)) }
        if let promises {
            let areKept = try promiseTable(calls: promises, seeds: max(1, seeds)) { try? printNow($0 + "\n") }
            throw ExitCode(areKept ? 0 : 1)
        }
        var configuration = try readConfiguration(config!).router
        if let chosen = strategy.flatMap(Strategy.init(named:)) {
            configuration.strategy = chosen
            configuration.modelGroupStrategies = [:]
        }
        let world = try readScenario(configuration)
        let calls = try calls(of: world)
        let result: SimulationResult
        do {
            result = try Simulation(configuration, scenario: world, calls: calls, seed: seed).run()
        } catch let unknown as Simulation.UnknownModel {
            printError("\(trace!): error: \(config!) has no model group \"\(unknown.name)\".\n")
            throw ExitCode(1)
        }
        if html != "-" { try printNow(result.text()) }
        if let html { try write(Array(result.html(title: "Simulation of \(config!)").utf8), to: html) }
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try write(Array(try encoder.encode(result)) + Array("\n".utf8), to: json)
        }
    }

    private func readScenario(_ configuration: RouterConfiguration) throws -> Scenario {
        guard let scenario else { return Scenario() }
        let text = try contents(of: scenario, example: "scenario.yaml")
        return try value(ScenarioFile.read(text: text, file: scenario, configuration: configuration))
    }

    private func calls(of world: Scenario) throws -> Calls {
        if let trace {
            let text = try contents(of: trace, example: "trace.csv")
            return .trace(try value(TraceFile.read(text: text, file: trace)))
        }
        if !world.callers.isEmpty {
            if rate != nil {
                printError("\(scenario!): error: it says who calls, and how often: leave out --rate.\n")
                throw ExitCode(1)
            }
            return .callers(world.callers, seconds: duration ?? 600)
        }
        var caller = CallerBehaviour()
        caller.rate = rate ?? caller.rate
        return .callers([caller], seconds: duration ?? 600)
    }

    /// What was read; ends the process with code 1 when it has an error.
    private func value<Value>(_ read: (Value?, [Diagnostic])) throws -> Value {
        for diagnostic in read.1 { printError("\(diagnostic)\n") }
        guard let value = read.0 else { throw ExitCode(1) }
        return value
    }

    private func write(_ bytes: [UInt8], to file: String) throws {
        if file == "-" { return try printNow(String(decoding: bytes, as: UTF8.self)) }
        do {
            try writeFile(bytes, to: file)
        } catch {
            printError("\(file): error: This file cannot be written.\n")
            throw ExitCode(1)
        }
    }
}
