// The byte queue, against an array that does the same.
import Testing

@testable import JunctionTransport

@Suite struct OutputBufferTests {
    @Test func behavesLikeAQueue() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SplitMix(state: seed)
        var queue = OutputBuffer()
        var model: [UInt8] = []
        var next: UInt8 = 0
        for _ in 0..<20_000 {
            if Bool.random(using: &random) {
                let added = (0..<Int.random(in: 0...700, using: &random)).map { _ in
                    next &+= 1
                    return next
                }
                added.withUnsafeBytes { queue.append($0) }
                model += added
            } else {
                var taken = [UInt8](repeating: 0, count: Int.random(in: 1...800, using: &random))
                let count = taken.withUnsafeMutableBytes { queue.move(to: $0.baseAddress!, atMost: $0.count) }
                #expect(Array(taken.prefix(count)) == Array(model.prefix(taken.count)), "seed \(seed)")
                model.removeFirst(count)
            }
            guard queue.count == model.count else {
                Issue.record("\(queue.count) bytes instead of \(model.count), seed \(seed)")
                return
            }
        }
        #expect(Array(queue.bytes) == model, "seed \(seed)")
    }

    @Test func givesLargeMemoryBackWhenEmpty() {
        var queue = OutputBuffer()
        pattern(500).withUnsafeBytes { queue.append($0) }
        queue.drop(500)
        #expect(queue.bytes.baseAddress != nil, "little is kept for the next piece")
        pattern(100_000).withUnsafeBytes { queue.append($0) }
        queue.drop(99_999)
        #expect(queue.count == 1)
        queue.drop(1)
        #expect(queue.bytes.baseAddress == nil)
    }
}
