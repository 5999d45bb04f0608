// What a simulated world is like, as values: who calls, and how the providers behave. Knows no file.
import Glibc
import JunctionRouting

/// A random quantity that is never negative.
public enum Quantity: Sendable, Equatable {
    case constant(Double)
    /// Log-normal, by its median and 99th percentile: what latencies and lengths of texts look like.
    case logNormal(median: Double, p99: Double)

    /// The time to the next of events that come at random, one a unit of time on average.
    static func exponential(_ random: inout RandomSource) -> Double { -log(1 - random.fraction()) }

    /// What it stays below 99 times of 100.
    var p99: Double {
        switch self {
        case .constant(let value): value
        case .logNormal(_, let p99): p99
        }
    }

    func sample(_ random: inout RandomSource) -> Double {
        switch self {
        case .constant(let value): return value
        case .logNormal(let median, let p99):
            // Box-Muller; 2.3263 standard deviations lie below the 99th percentile.
            let radius = (-2 * log(1 - random.fraction())).squareRoot()
            let normal = radius * cos(2 * .pi * random.fraction())
            return median * exp(normal * log(p99 / median) / 2.326_347_9)
        }
    }
}

/// A source of calls. A burst is a second one with a short time.
public struct CallerBehaviour: Sendable, Equatable {
    /// The model group; nil: the first of the configuration.
    public var model: String?
    /// Calls a second.
    public var rate = 10.0
    /// Whether calls come at random (Poisson) or at even distances.
    public var isPoisson = true
    /// Seconds from the start; `until` nil: to the end.
    public var from = 0.0
    public var until: Double?
    public var promptTokens = Quantity.logNormal(median: 400, p99: 3_000)
    public var completionTokens = Quantity.logNormal(median: 150, p99: 800)
    /// The bound that calls set on their answers; nil: none, so that only the prompt is reserved.
    public var maxTokens: Int? = 1_000
    /// Share of the calls that stream.
    public var streaming = 0.5
    /// Seconds; nil: none.
    public var deadline: Double? = 60
    /// Share of the callers that give up, after these seconds.
    public var givesUp = 0.0
    public var givesUpAfter = Quantity.constant(5)
    public var tags: [String] = []

    public init() {}
}

/// A time in which a provider fails.
public struct Outage: Sendable, Equatable {
    /// Seconds from the start.
    public var from: Double
    public var until: Double
    public var failure: Failure.Kind = .serverError
    /// Share of the requests that fail.
    public var share = 1.0

    public init(from: Double, until: Double, failure: Failure.Kind = .serverError, share: Double = 1) {
        self.from = from
        self.until = until
        self.failure = failure
        self.share = share
    }
}

/// How a provider counts the minute of its limits.
public enum ProviderWindow: String, Sendable, CaseIterable {
    /// Minutes that begin at the same time for all.
    case fixed
    /// The last 60 seconds.
    case sliding
    /// A bucket that holds a minute's worth and is filled again bit by bit.
    case bucket
}

/// How the provider behind one deployment behaves.
public struct ProviderBehaviour: Sendable, Equatable {
    /// Seconds to the first token.
    public var firstToken = Quantity.logNormal(median: 0.4, p99: 2)
    /// Seconds for each further token.
    public var perToken = Quantity.logNormal(median: 0.012, p99: 0.03)
    /// The provider's own limits; nil: those that the configuration has for the deployment.
    public var tokensPerMinute: Int?
    public var requestsPerMinute: Int?
    public var maxParallelRequests: Int?
    /// Whether a 429 says when to come back.
    public var saysRetryAfter = true
    /// How the provider counts its own minute.
    public var window = ProviderWindow.fixed
    /// Seconds by which the provider's minutes start after the router's.
    public var minuteOffset = 0.0
    /// Shares of the requests that fail, are never answered, or break off.
    public var failureRate = 0.0
    public var failure = Failure.Kind.serverError
    public var hangRate = 0.0
    public var cutRate = 0.0
    /// At the start and after each outage it is slower by this factor, which falls to 1 in these seconds.
    public var slowStartFactor = 1.0
    public var slowStartSeconds = 30.0
    public var outages: [Outage] = []

    public init() {}
}

/// A world.
public struct Scenario: Sendable, Equatable {
    /// Empty: the caller of the simulation says who calls.
    public var callers: [CallerBehaviour] = []
    /// What holds for deployments that are not in `providers`.
    public var provider = ProviderBehaviour()
    /// By the deployments' ids.
    public var providers: [String: ProviderBehaviour] = [:]

    public init() {}
}

/// One call of a trace.
public struct TracedCall: Sendable, Equatable {
    /// Seconds from the start.
    public var at: Double
    public var model: String
    public var promptTokens: Int
    public var completionTokens: Int
    public var isStreaming: Bool

    public init(at: Double, model: String, promptTokens: Int, completionTokens: Int, isStreaming: Bool) {
        self.at = at
        self.model = model
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.isStreaming = isStreaming
    }
}
