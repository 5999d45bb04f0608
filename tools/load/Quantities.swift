// Amounts as people write them: `50ms`, `0.1%`, `uniform:100-500`, `100:10s,200:10s`. Text in, values out.
import Glibc
import JunctionRouting

/// Text that is not what it should be, for a person.
public struct LoadError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// The seconds in `50ms`, `1.5s`, `200us`, `2m`; a bare number counts seconds.
public func seconds(_ text: some StringProtocol) -> Double? {
    let units: [(String, Double)] = [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("", 1)]
    for (unit, size) in units where text.hasSuffix(unit) {
        if let number = Double(String(text.dropLast(unit.count))), number.isFinite, number >= 0 {
            return number * size
        }
    }
    return nil
}

extension RateProfile {
    /// Reads `RATE:SECONDS,RATE:SECONDS,…`, as `100:10s,200:10s`.
    public init(steps text: String) throws(LoadError) {
        var pieces: [Piece] = []
        for step in text.split(separator: ",") {
            let parts = step.split(separator: ":")
            guard parts.count == 2, let rate = Double(String(parts[0])), rate > 0, rate.isFinite,
                let length = JunctionLoad.seconds(parts[1]), length > 0
            else { throw LoadError("a step is RATE:SECONDS, as 100:10s, not '\(step)'") }
            pieces.append(Piece(seconds: length, from: rate, to: rate))
        }
        if pieces.isEmpty { throw LoadError("there is no step in '\(text)'") }
        self.init(pieces)
    }
}

/// How a size varies from call to call. All in bytes.
public enum SizeDistribution: Sendable, Equatable, Codable {
    case fixed(Int)
    case uniform(Int, Int)
    case exponential(mean: Double)
    case lognormal(median: Double, sigma: Double)

    /// Sizes beyond this are cut to it: gRPC's usual limit of a message is 4 MiB.
    static let bytesMax = 3 << 20

    /// Reads `400`, `uniform:100-500`, `exponential:400` or `lognormal:400:0.8`.
    public init(_ text: String) throws(LoadError) {
        let parts = text.split(separator: ":").map(String.init)
        let bounds = parts.count == 2 ? parts[1].split(separator: "-").compactMap { Int($0) } : []
        if parts.count == 1, let bytes = Int(text), bytes > 0 {
            self = .fixed(bytes)
        } else if parts.first == "uniform", bounds.count == 2, 0 < bounds[0], bounds[0] <= bounds[1] {
            self = .uniform(bounds[0], bounds[1])
        } else if parts.first == "exponential", parts.count == 2, let mean = Double(parts[1]), mean > 0 {
            self = .exponential(mean: mean)
        } else if parts.first == "lognormal", parts.count == 3, let median = Double(parts[1]),
            let sigma = Double(parts[2]), median > 0, sigma >= 0
        {
            self = .lognormal(median: median, sigma: sigma)
        } else {
            throw LoadError(
                "a size is N, uniform:LEAST-MOST, exponential:MEAN or lognormal:MEDIAN:SIGMA, not '\(text)'")
        }
    }

    func bytes(_ random: inout RandomSource) -> Int {
        let size =
            switch self {
            case .fixed(let bytes): Double(bytes)
            case .uniform(let least, let most): Double(least) + random.fraction() * Double(most - least + 1)
            case .exponential(let mean): -log(1 - random.fraction()) * mean
            case .lognormal(let median, let sigma): median * exp(sigma * Self.normal(&random))
            }
        return max(1, min(Self.bytesMax, Int(min(size, 1e9))))
    }

    /// A normal variate of mean 0 and deviation 1 (Box and Muller).
    private static func normal(_ random: inout RandomSource) -> Double {
        (-2 * log(1 - random.fraction())).squareRoot() * cos(2 * .pi * random.fraction())
    }
}
