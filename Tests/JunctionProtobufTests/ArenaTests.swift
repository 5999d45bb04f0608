// The arena gives aligned memory that no one else has, and takes it back.
import Testing

@testable import JunctionProtobuf

struct ArenaTests {
    @Test func alignsTo16Bytes() {
        let arena = Arena()
        for byteCount in [0, 1, 15, 16, 17, 4095, 4096, 4097, 16_384, 100_000] {
            #expect(Int(bitPattern: arena.allocate(byteCount)).isMultiple(of: 16), "\(byteCount) bytes")
        }
    }

    @Test func givesEachBlockItsOwnBytes() {
        let arena = Arena()
        for round in 0..<3 {
            var random = Lottery(seed: 1)
            var blocks: [UnsafeMutableRawBufferPointer] = []
            for index in 0..<2000 {
                let byteCount = random.next(below: 100) == 0 ? 20_000 : random.next(below: 600)
                let block = UnsafeMutableRawBufferPointer(start: arena.allocate(byteCount), count: byteCount)
                block.initializeMemory(as: UInt8.self, repeating: UInt8(index & 0xff))
                blocks.append(block)
            }
            let damaged = blocks.indices.filter { index in
                !blocks[index].allSatisfy { $0 == UInt8(index & 0xff) }
            }
            #expect(damaged.isEmpty, "round \(round)")
            arena.reset()
        }
    }

    @Test func usesItsMemoryAgainAfterReset() {
        let arena = Arena()
        let first = arena.allocate(64)
        _ = arena.allocate(64)
        arena.reset()
        #expect(arena.allocate(64) == first)
    }

    @Test func copiesTextAndBytes() {
        let arena = Arena()
        #expect(String(arena.text("Zürich")) == "Zürich" && arena.text("").isEmpty)
        #expect(arena.text("a\0b").count == 2)
        #expect([UInt8](arena.bytes([0, 1, 255].span)) == [0, 1, 255])
        #expect(arena.bytes([UInt8]().span).isEmpty)
    }
}

/// Small, seeded random numbers (SplitMix64).
struct Lottery: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func next(below limit: Int) -> Int { Int(next() % UInt64(limit)) }
}
