// `junction simulate-instances`: many instances that share limits over a store, in virtual time.
import ArgumentParser
import JunctionConfig
import JunctionRouting
import JunctionSimulation

struct SimulateInstances: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate-instances",
        abstract: "Try how exactly many instances keep their shared limits, in virtual time.",
        discussion: """
            Examples:
              junction simulate-instances --config router_config.yaml --instances 8 --mode exact
              junction simulate-instances --config router_config.yaml --instances 1000 --load 1 --duration 60

            The router's own decisions, and the usage store that Redis is held to; calls come at random for so
            many times what the first model group's limits take. Tells the most that was admitted in any 60
            seconds, how much of each limit was used, and how often the store was asked.
            No Redis is used, no provider is called, and the same seed gives the same result.
            Exit code 2 when more than a limit was admitted.
            """)

    @Option(name: .shortAndLong, help: "The configuration, a LiteLLM router_config.yaml.")
    var config: String

    @Option(help: "How many instances share the limits.")
    var instances = 8

    @Option(help: "exact: each call asks the store. leased: blocks are taken ahead.")
    var mode = "leased"

    @Option(help: "Calls, as a multiple of what the limits take.")
    var load = 5.0

    @Option(help: "Seconds in which calls come.")
    var duration = 600.0

    @Option(help: "From an instance to the store and back, in milliseconds.")
    var roundTrip = 1.0

    @Option(help: "The store does not answer from and until this second: FROM-UNTIL; may be repeated.")
    var outage: [String] = []

    @Option(help: "The store loses all at this second; may be repeated.")
    var loss: [Double] = []

    @Option(help: "Where chance begins: the same seed gives the same result.")
    var seed: UInt64 = 1

    func validate() throws {
        if !(1...100_000).contains(instances) { throw ValidationError("--instances must be 1 to 100000.") }
        if mode != "exact", mode != "leased" { throw ValidationError("--mode is exact or leased.") }
        if !(0.001...1_000).contains(load) { throw ValidationError("--load must be 0.001 to 1000.") }
        if !(62...1e6).contains(duration) {
            throw ValidationError("--duration must be 62 to 1000000 seconds: the first minute tells little.")
        }
        if !(0...1_000).contains(roundTrip) { throw ValidationError("--round-trip must be 0 to 1000.") }
        if try outages().contains(where: { $0.lowerBound < 0 }) {
            throw ValidationError("--outage must not begin before the start.")
        }
    }

    private func outages() throws -> [ClosedRange<Double>] {
        try outage.map { text in
            let parts = text.split(separator: "-").compactMap { Double($0) }
            guard parts.count == 2, parts[0] <= parts[1] else {
                throw ValidationError("--outage must be FROM-UNTIL in seconds, not \(text).")
            }
            return parts[0]...parts[1]
        }
    }

    func run() throws {
        let configuration = try readConfiguration(config).router
        guard !configuration.deployments.isEmpty else { throw ExitCode(1) }
        var scenario = SharedScenario()
        scenario.instances = instances
        scenario.mode = mode == "exact" ? .exact : .leased
        scenario.load = load
        scenario.seconds = duration
        scenario.roundTrip = roundTrip / 1_000
        scenario.outages = try outages()
        scenario.losses = loss
        let result = SharedSimulation(configuration, scenario, seed: seed).run()
        try printNow(result.text())
        if result.isOverAnyLimit { throw ExitCode(2) }
    }
}
