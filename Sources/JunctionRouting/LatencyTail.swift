// How long the slow answers of a model group take: what a hedge waits for. Knows no deployment.

/// Counts times by their length, finely enough for a percentile that is true to an eighth. What came long
/// ago weighs less and less.
struct LatencyTail {
    /// The share of the attempts that take no longer than `slow`.
    private static let share = 0.95
    /// Below this many, times say nothing of the slowest twentieth.
    private static let fewest = 40
    /// At this many, all counts are halved.
    private static let most = 2_000
    /// Eight buckets an octave from a millisecond to a quarter of an hour: the leading bits of a `Double`.
    private static let bits: UInt64 = 49
    private static let first = (0.001).bitPattern >> bits

    private var counts = InlineArray<160, UInt16>(repeating: 0)
    private var total = 0

    mutating func add(_ seconds: Double) {
        counts[Self.bucket(seconds)] += 1
        total += 1
        if total == Self.most { halve() }
    }

    /// An attempt was given up after so long. When that was beyond `slow`, it would have been however long it
    /// had taken; else it says nothing.
    mutating func add(atLeast seconds: Double) {
        if let slow, seconds >= slow { add(seconds) }
    }

    /// Seconds that all but one in twenty took at most; nil: not known yet.
    var slow: Double? {
        guard total >= Self.fewest else { return nil }
        var slower = Int(Double(total) * (1 - Self.share))
        for index in counts.indices.reversed() {
            slower -= Int(counts[index])
            if slower < 0 { return Double(bitPattern: (Self.first + UInt64(index) + 1) << Self.bits) }
        }
        return nil
    }

    private static func bucket(_ seconds: Double) -> Int {
        let bits = max(0.001, min(seconds, 1_000)).bitPattern >> bits
        return Int(bits - first)
    }

    private mutating func halve() {
        total = 0
        for index in counts.indices {
            counts[index] /= 2
            total += Int(counts[index])
        }
    }
}
