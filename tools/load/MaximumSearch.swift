// The highest rate that meets the objectives: doubled until one is missed, then halved in between. Knows not
// how a rate is tried.

public struct MaximumSearch: Sendable {
    /// The highest rate that met the objectives so far, and the lowest that did not.
    public private(set) var met: Double?
    public private(set) var missed: Double?
    /// How close to each other they must be, as a share.
    public var precision = 0.05
    private var rate: Double
    private let least: Double

    /// - Parameters:
    ///   - rate: the first rate to try.
    ///   - least: the search ends when not even this rate meets the objectives.
    public init(from rate: Double, least: Double = 1) {
        self.rate = rate
        self.least = least
    }

    /// The rate to try next; nil when the highest one is found, or none is.
    public var next: Double? {
        guard let missed else { return rate }
        guard let met else { return rate >= least ? rate : nil }
        return missed / met <= 1 + precision ? nil : rate
    }

    /// Tells how `next` did.
    public mutating func tried(_ isMet: Bool) {
        if isMet { met = max(met ?? 0, rate) } else { missed = min(missed ?? .infinity, rate) }
        switch (met, missed) {
        case (let met?, let missed?): rate = (met * missed).squareRoot()
        case (_?, nil): rate *= 2
        default: rate /= 2
        }
    }
}

extension LoadReport {
    /// Why the rate that was offered was not served, whatever the objectives say; nil when it was.
    public var shortfall: String? {
        if lateness.p99Us > 20_000 {
            return "calls were sent \(time(Double(lateness.p99Us))) late (p99): tool or machine are too slow"
        }
        if Double(succeeded + failed) < 0.98 * Double(started) { return "not all calls ended" }
        return nil
    }
}
