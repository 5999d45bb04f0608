// What a run must meet, as `p99<50ms,errors<0.1%`: read, measured, judged.

/// One bound, such as `p99<50ms`.
public struct Objective: Sendable, Equatable, CustomStringConvertible {
    /// What is bounded.
    public enum Measure: Sendable, Equatable {
        /// Microseconds at a percentile: of answered calls, of first tokens, of gaps between messages.
        case latency(Double)
        case firstToken(Double)
        case gap(Double)
        case mean, max
        /// The share of failed calls, 0 to 1.
        case errors
        /// Answered calls a second, tokens a second.
        case rate, tokens
    }

    public var measure: Measure
    public var isUpperBound: Bool
    public var includesBound: Bool
    /// In the measure's unit: microseconds, a share, or a number a second.
    public var bound: Double
    /// As it was written.
    public let description: String

    /// Reads a list of bounds, which commas divide.
    public static func list(_ text: String) throws(LoadError) -> [Objective] {
        var objectives: [Objective] = []
        for part in text.split(separator: ",") {
            objectives.append(try Objective(String(part.filter { $0 != " " })))
        }
        if objectives.isEmpty { throw LoadError("there is no objective in '\(text)'") }
        return objectives
    }

    public init(_ text: String) throws(LoadError) {
        guard let sign = text.firstIndex(where: { $0 == "<" || $0 == ">" }) else {
            throw LoadError("an objective has < or >, as p99<50ms; '\(text)' has not")
        }
        description = text
        isUpperBound = text[sign] == "<"
        var value = text[text.index(after: sign)...]
        includesBound = value.hasPrefix("=")
        if includesBound { value = value.dropFirst() }
        measure = try Self.measure(String(text[..<sign]))
        guard let bound = Self.bound(value, of: measure) else {
            throw LoadError("'\(value)' in '\(text)' is not \(Self.wanted(measure))")
        }
        self.bound = bound
    }

    private static func measure(_ name: String) throws(LoadError) -> Measure {
        switch name {
        case "mean": return .mean
        case "max": return .max
        case "errors": return .errors
        case "rate": return .rate
        case "tokens": return .tokens
        default: break
        }
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        if let percentile = percentile(name) { return .latency(percentile) }
        if parts.count == 2, let percentile = percentile(parts[1]) {
            if parts[0] == "ttft" { return .firstToken(percentile) }
            if parts[0] == "gap" { return .gap(percentile) }
        }
        throw LoadError(
            "there is no measure '\(name)'; there are pNN as p99 or p99.9, mean, max, ttft.pNN, gap.pNN, "
                + "errors, rate, tokens")
    }

    private static func percentile(_ name: String) -> Double? {
        guard name.hasPrefix("p"), let percentile = Double(String(name.dropFirst())),
            LoadReport.Times.percentiles.contains(percentile)
        else { return nil }
        return percentile
    }

    private static func bound(_ text: Substring, of measure: Measure) -> Double? {
        switch measure {
        case .errors:
            let isPercent = text.hasSuffix("%")
            let number = Double(String(isPercent ? text.dropLast() : text))
            return number.flatMap { $0 >= 0 && $0.isFinite ? $0 / (isPercent ? 100 : 1) : nil }
        case .rate, .tokens: return Double(String(text)).flatMap { $0 >= 0 && $0.isFinite ? $0 : nil }
        default:
            // A bare number would be taken for seconds by some and for milliseconds by others.
            return text.last?.isNumber == false ? seconds(text).map { $0 * 1e6 } : nil
        }
    }

    private static func wanted(_ measure: Measure) -> String {
        switch measure {
        case .errors: "a share, as 0.1%"
        case .rate, .tokens: "a number a second"
        default: "a time with its unit, as 50ms"
        }
    }

    /// The measured value, in the unit of the bound; nil when nothing was measured.
    public func value(in report: LoadReport) -> Double? {
        switch measure {
        case .latency(let percentile): report.latency.at(percentile)
        case .firstToken(let percentile): report.firstToken.at(percentile)
        case .gap(let percentile): report.gaps.at(percentile)
        case .mean: report.latency.count > 0 ? report.latency.meanUs : nil
        case .max: report.latency.count > 0 ? Double(report.latency.maxUs) : nil
        case .errors: report.succeeded + report.failed > 0 ? report.errorShare : nil
        case .rate: report.callsPerSecond
        case .tokens: report.tokensPerSecond
        }
    }

    /// Whether it holds. Where nothing was measured it does not.
    public func isMet(by report: LoadReport) -> Bool {
        guard let value = value(in: report) else { return false }
        if includesBound, value == bound { return true }
        return isUpperBound ? value < bound : value > bound
    }

    /// The measured value for a person.
    public func shown(in report: LoadReport) -> String {
        guard let value = value(in: report) else { return "nothing measured" }
        switch measure {
        case .errors: return percent(value)
        case .rate, .tokens: return "\(short(value))/s"
        default: return time(value)
        }
    }
}
