// The page of metrics: asks every loop for its tally, adds what the routing core and the system know, and
// writes all in the text format of Prometheus (prometheus.io/docs/instrumenting/exposition_formats). Counts
// nothing itself.
import JunctionConfig
import JunctionRPC
import JunctionRouting
import JunctionTransport
import Synchronization

/// Confined to its loop.
final class MetricsPage {
    private let page: PageServer
    let address: SocketAddress

    init(
        loop: EventLoop, host: String, port: Int, router: Router, configuration: ServerConfiguration,
        origin: ContinuousClock.Instant, workers: [LoopReference<Worker>]
    ) throws(SystemError) {
        let home = Box<LoopReference<PageServer>>()
        page = try PageServer(
            loop: loop, host: host, port: port, path: "/metrics",
            contentType: "text/plain; version=0.0.4; charset=utf-8"
        ) { request in
            guard let home = home.content else { return }
            let gathering = Gathering(workers.count)
            for worker in workers {
                worker.perform { worker in
                    let isConnected = worker.store?.isConnected ?? false
                    guard let sum = gathering.add(worker.tally, isConnected: isConnected) else { return }
                    // The last loop writes it: any may.
                    let text = metricsText(
                        sum.tally, router: router, configuration: configuration,
                        isConnected: sum.isConnected, now: Instant(worker.loop.now - origin),
                        process: ProcessUsage())
                    home.perform { $0.answer(request, with: Array(text.utf8)) }
                }
            }
        }
        home.content = LoopReference(page, on: loop)
        address = page.localAddress!
    }

    private final class Box<Content> { var content: Content? }
}

/// What the loops have told so far.
private final class Gathering: Sendable {
    private let state: Mutex<(tally: Tally?, isConnected: Bool, missing: Int)>

    init(_ loops: Int) { state = Mutex((nil, true, loops)) }

    /// The sum, once it is whole.
    func add(_ tally: Tally, isConnected: Bool) -> (tally: Tally, isConnected: Bool)? {
        state.withLock { state in
            if state.tally == nil { state.tally = tally } else { state.tally! += tally }
            state.isConnected = state.isConnected && isConnected
            state.missing -= 1
            return state.missing == 0 ? (state.tally!, state.isConnected) : nil
        }
    }
}

/// - Parameter isConnected: whether every loop has a connection to Redis.
func metricsText(
    _ tally: Tally, router: Router, configuration: ServerConfiguration, isConnected: Bool, now: Instant,
    process: ProcessUsage
) -> String {
    var text = MetricsText()
    let groups = (0..<router.modelGroupCount).map { router.name(ofModelGroup: $0) }
    text.write(calls: tally, groups)
    text.write(attempts: tally, configuration.deployments.map(\.id) + ["override"])
    text.write(
        router.usage(now: now), configuration.deployments.map(\.id),
        isShared: configuration.sharedUsage != nil)
    if configuration.sharedUsage != nil {
        text.family("junction_redis_connected", .gauge, "Whether every loop has a connection to Redis.")
        text.sample("junction_redis_connected", value: isConnected ? 1 : 0)
        text.family(
            "junction_sharing_apart", .gauge,
            "Whether the instance keeps to its part of the limits, since Redis is gone or slow.")
        for (number, group) in groups.enumerated() {
            text.sample(
                "junction_sharing_apart", [("model_group", group)],
                value: router.isTogether(modelGroup: number) ? 0 : 1)
        }
    }
    text.write(process)
    return text.text
}

/// Writes families of samples.
struct MetricsText {
    enum Kind: String { case counter, gauge, histogram }

    private(set) var text = ""

    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    mutating func sample(_ name: String, _ labels: [(name: String, value: String)] = [], value: Int) {
        sample(name, labels, written: "\(value)")
    }

    mutating func sample(_ name: String, _ labels: [(name: String, value: String)] = [], value: Double) {
        sample(name, labels, written: "\(value)")
    }

    private mutating func sample(
        _ name: String, _ labels: [(name: String, value: String)], written value: String
    ) {
        text += name
        for (index, label) in labels.enumerated() {
            text += index == 0 ? "{" : ","
            text += "\(label.name)=\"\(Self.escaped(label.value))\""
        }
        text += labels.isEmpty ? " \(value)\n" : "} \(value)\n"
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension MetricsText {
    fileprivate mutating func write(calls tally: Tally, _ groups: [String]) {
        family("junction_requests_total", .counter, "Calls that ended, by their gRPC status.")
        for (number, group) in (groups + [""]).enumerated() {
            for method in Tally.Method.allCases {
                for code in Status.Code.allCases {
                    let count = tally.requests(modelGroup: number, method, code)
                    let labels = [("model_group", group), ("method", method.label), ("status", "\(code)")]
                    if count > 0 { sample("junction_requests_total", labels, value: count) }
                }
            }
        }
        for turn in Tally.Turn.allCases {
            family(turn.name, .counter, turn.help)
            for (number, group) in groups.enumerated() {
                sample(turn.name, [("model_group", group)], value: tally.turned(turn, modelGroup: number))
            }
        }
        write(
            tally.durations, "junction_request_duration_seconds", "From a call's start to its end.", groups)
        write(
            tally.firstContents, "junction_time_to_first_token_seconds",
            "From a stream's start to its first content.", groups)
    }

    private mutating func write(_ timings: Timings, _ name: String, _ help: String, _ groups: [String]) {
        family(name, .histogram, help)
        for (number, group) in groups.enumerated() {
            let counts = timings.atMost(modelGroup: number)
            let count = counts[counts.count - 1]
            if count == 0 { continue }
            for (bound, count) in zip(Timings.bounds.map { "\($0)" } + ["+Inf"], counts) {
                sample(name + "_bucket", [("model_group", group), ("le", bound)], value: count)
            }
            sample(name + "_sum", [("model_group", group)], value: timings.seconds(modelGroup: number))
            sample(name + "_count", [("model_group", group)], value: count)
        }
    }

    /// - Parameter deployments: their ids, and last what stands for overrides.
    fileprivate mutating func write(attempts tally: Tally, _ deployments: [String]) {
        family("junction_attempts_total", .counter, "Requests to providers that ended.")
        for (number, deployment) in deployments.enumerated() {
            for outcome in Tally.Outcome.all {
                let count = tally.attempts(deployment: number, outcome)
                let labels = [("deployment", deployment), ("outcome", outcome.label)]
                if count > 0 { sample("junction_attempts_total", labels, value: count) }
            }
        }
        family("junction_tokens_total", .counter, "Tokens that these used, as far as is known.")
        for (number, deployment) in deployments.enumerated() {
            let tokens = tally.tokens(deployment: number)
            for (kind, count) in [("prompt", tokens.prompt), ("completion", tokens.completion)] {
                sample("junction_tokens_total", [("deployment", deployment), ("kind", kind)], value: count)
            }
        }
    }

    fileprivate mutating func write(_ usage: [DeploymentUsage], _ deployments: [String], isShared: Bool) {
        func gauge(_ name: String, _ help: String, _ value: (DeploymentUsage) -> Int) {
            family(name, .gauge, help)
            for its in usage {
                sample(name, [("deployment", deployments[its.deployment])], value: value(its))
            }
        }
        gauge("junction_in_flight", "Requests to providers under way.") { $0.inFlight }
        gauge("junction_deployment_cooling", "Whether a deployment is left alone after failures.") {
            $0.coolingUntil == nil ? 0 : 1
        }
        guard isShared else { return }
        gauge("junction_lease_tokens_withheld", "Tokens granted ahead that nobody uses yet.") {
            $0.withheld.tokens
        }
        gauge("junction_lease_requests_withheld", "Requests granted ahead that nobody uses yet.") {
            $0.withheld.requests
        }
    }

    fileprivate mutating func write(_ process: ProcessUsage) {
        family("junction_build_info", .gauge, "The version that runs.")
        sample("junction_build_info", [("version", junctionVersion)], value: 1)
        family("process_cpu_seconds_total", .counter, "Time of the processor, user and system.")
        sample("process_cpu_seconds_total", value: process.cpuSeconds)
        family("process_resident_memory_bytes", .gauge, "Memory in use.")
        sample("process_resident_memory_bytes", value: process.residentBytes)
        family("process_open_fds", .gauge, "Files and sockets that are open.")
        sample("process_open_fds", value: process.openFiles)
    }
}

extension Tally.Method {
    fileprivate var label: String {
        switch self {
        case .complete: "Complete"
        case .stream: "Stream"
        case .embed: "Embed"
        }
    }
}

extension Tally.Turn {
    fileprivate var name: String {
        switch self {
        case .retry: "junction_retries_total"
        case .fallback: "junction_fallbacks_total"
        case .hedge: "junction_hedges_total"
        case .rescue: "junction_stream_rescues_total"
        }
    }

    fileprivate var help: String {
        switch self {
        case .retry: "Attempts in the place of one that failed, by the model group that was asked for."
        case .fallback: "Calls that ended at a fallback, by the model group that was asked for."
        case .hedge: "Attempts beside one that was slow."
        case .rescue: "Attempts to go on with a stream that broke off."
        }
    }
}

extension Tally.Outcome {
    fileprivate var label: String {
        switch self {
        case .answered: "ok"
        case .outrun: "outrun"
        case .failed(let kind):
            "\(kind)".reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
        }
    }
}
