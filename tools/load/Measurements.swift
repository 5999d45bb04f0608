// What one thread of a run saw: counts, and histograms of times in microseconds. Merged exactly when the run is
// over, those of other processes, too.
import Histogram

/// How a call ended, as far as it is counted: gRPC's codes, and what has none.
enum CallOutcome {
    /// The connection was lost, or refused the stream.
    static let connectionLost = 17
    /// A status of 0 and yet no whole answer: bytes are missing, or are no message, or there is no route.
    static let malformed = 18
    /// Not over when the run's time and the call's were.
    static let unanswered = 19
    static let count = 20
}

typealias Times = Histogram<UInt64>

/// Three digits: percentiles are right to 0.1 %. Up to an hour.
func makeTimes() -> Times {
    Times(highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .three)
}

/// One second of a run.
struct Second: Sendable, Codable {
    var started = 0
    var succeeded = 0
    var failed = 0
    var tokens = 0
    /// Two digits, since there may be thousands of these.
    var latency = Histogram<UInt32>(
        highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .two)

    mutating func add(_ other: Second) {
        started += other.started
        succeeded += other.succeeded
        failed += other.failed
        tokens += other.tokens
        latency.add(other.latency)
    }
}

struct Measurements: Sendable, Codable {
    var started = 0
    var outcomes = [Int](repeating: 0, count: CallOutcome.count)
    /// Calls that succeeded, from the intended start to the status; the same from the time they were sent.
    var latency = makeTimes()
    var service = makeTimes()
    /// Calls that failed: failing fast is not being fast.
    var failures = makeTimes()
    /// Of streams: from the intended start to the first message; between one message and the next.
    var firstToken = makeTimes()
    var gaps = makeTimes()
    /// How much later than intended calls were sent.
    var lateness = makeTimes()
    var streamMessages = 0
    var bytesSent = 0
    var bytesReceived = 0
    var promptTokens = 0
    var completionTokens = 0
    var fallbacks = 0
    var attempts = 0
    var deployments: [String: Int] = [:]
    /// Of each outcome but success, the message of one call, percent-encoded.
    var examples: [Int: [UInt8]] = [:]
    /// What came in the time in which calls were started: what comes later says nothing of the rate.
    var answeredWhileSending = 0
    var tokensWhileSending = 0
    var seconds: [Second] = []
    /// How long counted calls were started.
    var sendingSeconds = 0.0

    mutating func add(_ other: Measurements) {
        started += other.started
        for index in outcomes.indices { outcomes[index] += other.outcomes[index] }
        latency.add(other.latency)
        service.add(other.service)
        failures.add(other.failures)
        firstToken.add(other.firstToken)
        gaps.add(other.gaps)
        lateness.add(other.lateness)
        streamMessages += other.streamMessages
        bytesSent += other.bytesSent
        bytesReceived += other.bytesReceived
        promptTokens += other.promptTokens
        completionTokens += other.completionTokens
        fallbacks += other.fallbacks
        attempts += other.attempts
        examples.merge(other.examples) { first, _ in first }
        answeredWhileSending += other.answeredWhileSending
        tokensWhileSending += other.tokensWhileSending
        sendingSeconds = max(sendingSeconds, other.sendingSeconds)
        deployments.merge(other.deployments, uniquingKeysWith: +)
        for (index, second) in other.seconds.enumerated() {
            withSecond(index) { $0.add(second) }
        }
    }

    mutating func withSecond(_ index: Int, _ change: (inout Second) -> Void) {
        while seconds.count <= index { seconds.append(Second()) }
        change(&seconds[index])
    }

    /// Counts a call that is over. All times in nanoseconds of one clock.
    ///
    /// - Parameters:
    ///   - intended: when it should have started; the same as `sent` in a closed loop.
    ///   - start: the start of the counted part of the run.
    mutating func record(outcome: Int, intended: Int64, sent: Int64, ended: Int64, tokens: Int, start: Int64)
    {
        outcomes[outcome] += 1
        let latencyUs = microseconds(ended - intended)
        if outcome == 0 {
            latency.record(latencyUs)
            service.record(microseconds(ended - sent))
        } else {
            failures.record(latencyUs)
        }
        withSecond(Int(max(0, ended - start) / 1_000_000_000)) { second in
            if outcome == 0 {
                second.succeeded += 1
                second.tokens += tokens
                second.latency.record(latencyUs)
            } else {
                second.failed += 1
            }
        }
    }
}

/// Nanoseconds as a histogram's unit, within its range.
func microseconds(_ nanoseconds: Int64) -> UInt64 {
    UInt64(min(max(0, nanoseconds) / 1000, 3_599_000_000))
}
