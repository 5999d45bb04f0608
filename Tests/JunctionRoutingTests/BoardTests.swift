// The board chooses sixteen at a time what a plain loop would choose one by one.
import Testing

@testable import JunctionRouting

@Suite struct BoardTests {
    /// Random boards: the choice is one that a loop over all would allow, and each of those comes up.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func choicesAreThoseOfAPlainLoop(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<60 {
            let count = 1 + random.below(50)
            var board = Board(count: count)
            var rooms: [Int] = []
            var scores: [Int32] = []
            for place in 0..<count {
                rooms.append(random.below(5) - 1)
                scores.append(Int32(random.below(3)))
                board.set(place, room: rooms[place], score: scores[place])
            }
            let usesGate = random.below(2) == 0
            if usesGate {
                for place in 0..<count {
                    rooms[place] = random.below(2) == 0 ? -1 : .max
                    board.openOneByOne(place, isOpen: rooms[place] > 0)
                }
            }
            let low = random.below(count)
            let range = low..<low + 1 + random.below(count - low)
            let tokens = random.below(4)
            let open = range.filter { rooms[$0] >= tokens }
            let best = open.map { scores[$0] }.min()
            let allowed = Set(open.filter { scores[$0] == best })
            var chosen: Set<Int> = []
            for _ in 0..<400 {
                let choice = board.lowest(in: range, for: Int32(tokens), isStreaming: false, &random)
                if let choice { chosen.insert(choice) }
            }
            #expect(chosen == allowed, "seed \(seed)")
            var any: Set<Int> = []
            for _ in 0..<400 {
                if let choice = board.any(in: range, but: low, for: Int32(tokens), &random) {
                    any.insert(choice)
                }
            }
            #expect(any == Set(open.count > 1 ? open.filter { $0 != low } : open), "seed \(seed)")
        }
    }

    @Test func scoresKeepTheOrderOfTheirValues() {
        let values = [0, 1e-12, 0.1, 0.5, 1, 3, 1e9, .greatestFiniteMagnitude, .infinity]
        let scores = values.map { Board.score($0) }
        #expect(scores == scores.sorted() && scores.allSatisfy { $0 >= 0 && $0 < .max })
        #expect(Set(scores.dropLast()).count == values.count - 1)
        #expect(Board.score(-1) == 0)
        #expect(Board.score(Int.max) == Int32.max - 1)
        #expect(Board.score(7) < Board.score(8))
    }

    @Test func theBufferIsAShareOfTheBest() {
        var random = RandomSource(seed: 1)
        var board = Board(count: 20)
        for place in 0..<20 { board.set(place, room: 9, score: Board.score(1 + Double(place) / 10)) }
        var chosen: Set<Int> = []
        for _ in 0..<1_000 {
            chosen.insert(board.lowest(in: 0..<20, for: 1, isStreaming: false, buffer: 0.25, &random)!)
        }
        #expect(chosen == [0, 1, 2])
    }
}
