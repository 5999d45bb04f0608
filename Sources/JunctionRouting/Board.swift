// What the choice reads of each deployment of a model group, sixteen in a step: how many tokens it has room
// for, and the strategy's score. It knows neither clock nor limits: whoever changes a slot writes it here.

/// Sixteen deployments. Comparisons are made of differences and their signs, since those are one instruction
/// each; so values are never below -1, and `Int32.max` stands for none.
typealias Lanes = SIMD16<Int32>

struct Board {
    /// Tokens that may be reserved; -1: closed.
    private var rooms: [Lanes]
    /// The same for one request that may not use every deployment that is open.
    private var gate: [Lanes]
    private var usesGate = false
    /// The lower, the better. Those of streams are apart, since latencies are.
    private var scores: [Lanes]
    private var scoresOfStreams: [Lanes]

    init(count: Int) {
        let blocks = (count + 15) / 16
        rooms = Array(repeating: Lanes(repeating: -1), count: blocks)
        gate = rooms
        scores = Array(repeating: Lanes(repeating: 0), count: blocks)
        scoresOfStreams = scores
    }

    /// The room and the scores of one deployment.
    @inline(__always)
    mutating func set(_ place: Int, room: Int, score: Int32, scoreOfStreams: Int32? = nil) {
        rooms[place >> 4][place & 15] = Int32(clamping: max(-1, room))
        scores[place >> 4][place & 15] = score
        if let scoreOfStreams { scoresOfStreams[place >> 4][place & 15] = scoreOfStreams }
    }

    /// For the next choice all places are open that have room.
    mutating func openAll() { usesGate = false }

    /// For the next choice only those places are open that are opened one by one.
    mutating func openOneByOne(_ place: Int, isOpen: Bool) {
        usesGate = true
        gate[place >> 4][place & 15] = isOpen ? .max : -1
    }

    /// Whether a place has room, whatever the present choice may use.
    @inline(__always)
    func hasRoom(_ place: Int, for tokens: Int) -> Bool { Int(rooms[place >> 4][place & 15]) >= tokens }

    @inline(__always)
    func isOpen(_ place: Int, for tokens: Int32) -> Bool {
        (usesGate ? gate : rooms)[place >> 4][place & 15] >= tokens
    }

    /// One at random of the open places of `range` that have the lowest score, or one at most `buffer` (a
    /// share of it) higher, where scores are those of `score(_:)`. nil: none is open.
    func lowest(
        in range: Range<Int>, for tokens: Int32, isStreaming: Bool, buffer: Double = 0,
        _ random: inout RandomSource
    ) -> Int? {
        let scores = isStreaming ? scoresOfStreams : scores
        return one(in: range, for: tokens, buffer: buffer, &random) { scores[$0] }
    }

    /// One at random of the open places of `range`, `last` only where it is the only one; nil: none is open.
    func any(
        in range: Range<Int>, but last: Int = -1, for tokens: Int32, _ random: inout RandomSource
    ) -> Int? {
        one(in: range, for: tokens, buffer: 0, &random) { block in
            var score = Lanes(repeating: 0)
            if block == last >> 4 { score[last & 15] = 1 }
            return score
        }
    }

    @inline(__always)
    private func one(
        in range: Range<Int>, for tokens: Int32, buffer: Double, _ random: inout RandomSource,
        score: (Int) -> Lanes
    ) -> Int? {
        let rooms = usesGate ? gate : rooms
        let blocks = range.lowerBound >> 4..<(range.upperBound + 15) >> 4
        /// The scores of a block; `Int32.max` where it is closed or out of range.
        @inline(__always) func key(_ block: Int) -> Lanes {
            var closed = (rooms[block] &- tokens) &>> 31
            if block << 4 < range.lowerBound || block << 4 + 16 > range.upperBound {
                let places = Self.places &+ Int32(block << 4)
                closed |= (places &- Int32(range.lowerBound)) &>> 31
                closed |= (Int32(range.upperBound - 1) &- places) &>> 31
            }
            return score(block) | closed & Int32.max
        }
        var lowest = Lanes(repeating: .max)
        for block in blocks {
            let above = key(block) &- lowest
            lowest = lowest &+ above & above &>> 31
        }
        var best = lowest.min()
        if best == .max { return nil }
        if buffer > 0 { best = Self.score(Self.value(best) * (1 + buffer)) }
        var found = Lanes(repeating: 0)
        for block in blocks { found = found &- (key(block) &- (best &+ 1)) &>> 31 }
        var rest = Int32(truncatingIfNeeded: random.below(Int(found.wrappedSum())))
        var lane = 0
        while rest >= found[lane] {
            rest -= found[lane]
            lane += 1
        }
        for block in blocks where key(block)[lane] <= best {
            if rest == 0 { return block << 4 + lane }
            rest -= 1
        }
        preconditionFailure("what was counted is there")
    }

    private static let places = Lanes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

    // MARK: Scores

    /// A count as a score.
    static func score(_ count: Int) -> Int32 { Int32(clamping: min(max(0, count), Int(Int32.max) - 1)) }

    /// A number that is not negative as a score: the bits of a `Float` are in the order of its values.
    static func score(_ value: Double) -> Int32 {
        Int32(bitPattern: min(Float(max(0, value)), .greatestFiniteMagnitude).bitPattern)
    }

    private static func value(_ score: Int32) -> Double {
        Double(Float(bitPattern: UInt32(bitPattern: score)))
    }
}
