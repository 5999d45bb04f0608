// Counts durations so that percentiles can be read off, to 3 %, whatever their number.

struct Histogram: Sendable, Equatable {
    /// Five bits below the leading one: 32 steps an octave.
    private static let steps = 32
    private var counts: [UInt32] = []
    private(set) var count = 0

    mutating func add(nanoseconds: Int) {
        // Microseconds are as fine as anybody looks.
        let value = UInt64(max(nanoseconds / 1_000, 1)) << 5
        let octave = 63 - value.leadingZeroBitCount - 5
        let index = octave * Self.steps + Int(value >> UInt64(octave)) - Self.steps
        while counts.count <= index { counts.append(0) }
        counts[index] += 1
        count += 1
    }

    mutating func add(_ other: Histogram) {
        while counts.count < other.counts.count { counts.append(0) }
        for index in other.counts.indices { counts[index] += other.counts[index] }
        count += other.count
    }

    /// Seconds below which this share of the durations lies; nil: there are none.
    func seconds(below share: Double) -> Double? {
        var rest = Int((Double(count) * share).rounded(.up))
        for (index, count) in counts.enumerated() where count > 0 {
            rest -= Int(count)
            if rest > 0 { continue }
            let (octave, step) = index.quotientAndRemainder(dividingBy: Self.steps)
            return (Double(step) + 32.5) * Double(1 << octave) / 32 * 1e-6
        }
        return nil
    }
}
