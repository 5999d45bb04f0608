// What came of a run, as values that can be written to a file, read again and compared.
import FoundationEssentials
import Histogram
import JunctionRPC

/// The result of one run. As JSON its keys are these names.
public struct LoadReport: Codable, Sendable, Equatable {
    /// Percentiles of times in microseconds; all 0 when there were none.
    public struct Times: Codable, Sendable, Equatable {
        public var count = 0
        public var meanUs = 0.0
        public var p50Us = 0
        public var p90Us = 0
        public var p95Us = 0
        public var p99Us = 0
        public var p999Us = 0
        public var maxUs = 0
        /// Points of the whole distribution: percentile and microseconds.
        public var curve: [[Double]] = []
    }

    /// One second of the counted part; calls by the second in which they ended.
    public struct Second: Codable, Sendable, Equatable {
        public var started = 0
        public var succeeded = 0
        public var failed = 0
        public var tokens = 0
        public var p50Us = 0
        public var p99Us = 0
        public var maxUs = 0
    }

    public var version = 1
    public var address = ""
    public var pacing = ""
    public var isOpenLoop = false
    public var seed: UInt64 = 0
    public var threads = 0
    /// Processes that made the run together, each with these threads; nil: one.
    public var processes: Int?
    public var connections = 0
    public var warmUpSeconds = 0.0
    /// Length of the counted part.
    public var seconds = 0.0
    public var started = 0
    public var succeeded = 0
    public var failed = 0
    /// Calls by how they ended: gRPC's names, and CONNECTION_LOST, MALFORMED_ANSWER, UNANSWERED.
    public var outcomes: [String: Int] = [:]
    /// Of each failure, what one call was told.
    public var examples: [String: String] = [:]
    /// Calls answered and completion tokens received each second, while calls were started.
    public var callsPerSecond = 0.0
    public var tokensPerSecond = 0.0
    /// Answered calls from the intended start; from the sending; and failed calls from the intended start.
    public var latency = Times()
    public var service = Times()
    public var failures = Times()
    /// Of streams: to the first message, and between messages.
    public var firstToken = Times()
    public var gaps = Times()
    /// How late calls were sent: the tool's own fault, unless it waited for a lost connection.
    public var lateness = Times()
    public var streamMessages = 0
    public var bytesSent = 0
    public var bytesReceived = 0
    public var promptTokens = 0
    public var completionTokens = 0
    public var attempts = 0
    public var fallbacks = 0
    /// Answered calls by the deployment that the route names.
    public var deployments: [String: Int] = [:]
    public var timeline: [Second] = []

    public init() {}

    public var offeredPerSecond: Double { seconds > 0 ? Double(started) / seconds : 0 }
    /// The share of failed calls among those that ended, 0 to 1.
    public var errorShare: Double {
        succeeded + failed > 0 ? Double(failed) / Double(succeeded + failed) : 0
    }

    public func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }

    public init(json: [UInt8]) throws {
        self = try JSONDecoder().decode(LoadReport.self, from: Data(json))
    }
}

extension LoadReport {
    init(_ plan: LoadPlan, _ measured: Measurements) {
        address = "\(plan.host):\(plan.port)"
        pacing = plan.pacingText
        if case .concurrency = plan.pacing { isOpenLoop = false } else { isOpenLoop = true }
        seed = plan.seed
        threads = plan.threads
        if plan.processes > 1 { processes = plan.processes }
        connections = plan.connections
        warmUpSeconds = plan.warmUpSeconds
        seconds = measured.sendingSeconds
        started = measured.started
        succeeded = measured.outcomes[0]
        failed = measured.outcomes.dropFirst().reduce(0, +)
        for (index, count) in measured.outcomes.enumerated() where count > 0 {
            outcomes[outcomeName(index)] = count
        }
        for (index, message) in measured.examples {
            examples[outcomeName(index)] = percentDecoded(message)
        }
        if seconds > 0 {
            callsPerSecond = Double(measured.answeredWhileSending) / seconds
            tokensPerSecond = Double(measured.tokensWhileSending) / seconds
        }
        latency = Times(measured.latency)
        service = Times(measured.service)
        failures = Times(measured.failures)
        firstToken = Times(measured.firstToken)
        gaps = Times(measured.gaps)
        lateness = Times(measured.lateness)
        streamMessages = measured.streamMessages
        bytesSent = measured.bytesSent
        bytesReceived = measured.bytesReceived
        promptTokens = measured.promptTokens
        completionTokens = measured.completionTokens
        attempts = measured.attempts
        fallbacks = measured.fallbacks
        deployments = measured.deployments
        timeline = measured.seconds.map(Second.init)
    }
}

private func outcomeName(_ index: Int) -> String {
    switch index {
    case CallOutcome.connectionLost: "CONNECTION_LOST"
    case CallOutcome.malformed: "MALFORMED_ANSWER"
    case CallOutcome.unanswered: "UNANSWERED"
    default: Status.Code(rawValue: index).map { "\($0)" } ?? "UNKNOWN"
    }
}

extension LoadReport.Times {
    /// The percentiles that a curve is drawn through.
    static let percentiles =
        [0.0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999, 100]

    init(_ times: Histogram<UInt64>) {
        guard times.totalCount > 0 else { return }
        count = Int(times.totalCount)
        meanUs = times.mean
        p50Us = Int(times.valueAtPercentile(50))
        p90Us = Int(times.valueAtPercentile(90))
        p95Us = Int(times.valueAtPercentile(95))
        p99Us = Int(times.valueAtPercentile(99))
        p999Us = Int(times.valueAtPercentile(99.9))
        maxUs = Int(times.max)
        // Beyond what so many calls can show, a percentile is the greatest one.
        let shown = Self.percentiles.filter { $0 == 100 || (100 - $0) / 100 * Double(count) >= 1 }
        curve = shown.map { [$0, Double(times.valueAtPercentile($0))] }
    }

    /// Microseconds at a percentile; the greatest, where there were too few calls to tell.
    func at(_ percentile: Double) -> Double? { curve.first { $0[0] >= percentile - 1e-9 }?[1] }
}

extension LoadReport.Second {
    init(_ second: Second) {
        started = second.started
        succeeded = second.succeeded
        failed = second.failed
        tokens = second.tokens
        guard second.succeeded > 0 else { return }
        p50Us = Int(second.latency.valueAtPercentile(50))
        p99Us = Int(second.latency.valueAtPercentile(99))
        maxUs = Int(second.latency.max)
    }
}
