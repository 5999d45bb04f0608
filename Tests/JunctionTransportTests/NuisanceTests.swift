// Frames that move nothing: which are counted, and when there are too many.
import Testing

@testable import JunctionTransport

@Suite struct NuisanceTests {
    private let second: Int64 = 1_000_000_000

    private func frame(_ type: UInt8, _ payload: [UInt8] = [], flags: UInt8 = 0) -> [UInt8] {
        Frame(type: type, flags: flags, stream: 0, payload: payload).bytes
    }

    @Test func soManyMayComeAtOnceAndSoManyMoreASecond() {
        var bucket = NuisanceBucket()
        var allowed = 0
        while !bucket.isTooMany(at: second) { allowed += 1 }
        #expect(allowed == NuisanceBucket.atOnce)
        allowed = 0
        while !bucket.isTooMany(at: 3 * second) { allowed += 1 }
        #expect(allowed == 2 * NuisanceBucket.aSecond - 1)
    }

    @Test func onlyWhatMovesNothingIsCounted() {
        let pair = MemoryPair(prepare: HTTP2SessionTests.echo)
        let call = pair.client.open()
        call.stream!.send("hello")
        call.stream!.endBody()
        pair.exchange()
        #expect(pair.server.timesBothered == 0)
        let ping = frame(6, [UInt8](repeating: 1, count: 8))
        // The first ping after an answer measures the line.
        pair.server.receive(ping)
        #expect(pair.server.timesBothered == 0)
        pair.server.receive(ping + ping)
        #expect(pair.server.timesBothered == 2)
        pair.server.receive(frame(4))
        #expect(pair.server.timesBothered == 3)
        // An acknowledgement is no request.
        pair.server.receive(frame(4, flags: 1))
        #expect(pair.server.timesBothered == 3)
    }
}
