// How requests share the connections to a host: how many there are, who waits, and what breaks under whom.
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct HTTP1PoolTests {
    let harness = Harness(connectionsMax: 2)
    let provider: Provider
    let endpoint: HTTPEndpoint

    init() {
        provider = Provider(loop: harness.loop)
        endpoint = HTTPEndpoint(provider.url)
    }

    @Test func noMoreConnectionsAreMadeThanAreAllowedAndNoCallIsLost() {
        let recorders = (0..<20).map { _ in Recorder() }
        for recorder in recorders { _ = harness.send(to: endpoint, recorder) }
        harness.when(recorders.allSatisfy { $0.end != nil })
        harness.run()
        #expect(recorders.allSatisfy { $0.end == .complete })
        #expect(provider.connections.count == 2)
        #expect(provider.requests.count == 20)
    }

    @Test func asManyConnectionsAreMadeAsThereAreCallsAtOnce() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        provider.onRequest = { _, _ in }
        let endpoint = HTTPEndpoint(provider.url)
        let recorders = (0..<300).map { _ in Recorder() }
        for recorder in recorders { _ = harness.send(to: endpoint, recorder) }
        harness.when(provider.requests.count == 300) {
            for connection in provider.connections { connection.answer("ok") }
        }
        harness.when(recorders.allSatisfy { $0.end == .complete })
        harness.run()
        #expect(provider.connections.count == 300)
    }

    @Test func oneThatWaitsCanBeCancelledAndIsNotSent() {
        provider.onRequest = { _, _ in }
        let recorders = (0..<5).map { _ in Recorder() }
        let transfers = recorders.enumerated().map { index, recorder in
            harness.send("\(index)", to: endpoint, recorder)
        }
        harness.when(self.provider.requests.count == 2) { [provider] in
            transfers[2].cancel()
            transfers[3].letGo()
            for connection in provider.connections { connection.answer("ok") }
            provider.onRequest = { connection, _ in connection.answer("ok") }
        }
        harness.when(recorders[4].end != nil && !self.harness.client.isBusy)
        harness.run()
        #expect(recorders.map(\.order) == ["shbe", "shbe", "", "", "shbe"])
        #expect(provider.requests.compactMap(\.last) == ["0", "1", "3", "4"])
    }

    @Test func manyThatWaitCanBeCancelled() {
        provider.onRequest = { _, _ in }
        let recorders = (0..<3000).map { _ in Recorder() }
        let transfers = recorders.map { harness.send(to: endpoint, $0) }
        harness.when(self.provider.requests.count == 2) { [provider] in
            for transfer in transfers.dropFirst(2).dropLast() { transfer.cancel() }
            for connection in provider.connections { connection.answer("ok") }
            provider.onRequest = { connection, _ in connection.answer("ok") }
        }
        harness.when(recorders[2999].end != nil && !self.harness.client.isBusy)
        harness.run()
        #expect(recorders.filter { $0.end != nil }.count == 3)
        #expect(provider.requests.count == 3)
    }

    @Test func allThatWaitFailWithAConnectionThatCannotBeMade() {
        let endpoint = HTTPEndpoint("http://127.0.0.1:\(freePort())/")
        let recorders = (0..<50).map { _ in Recorder() }
        for recorder in recorders { _ = harness.send(to: endpoint, recorder) }
        harness.when(recorders.allSatisfy { $0.end != nil })
        harness.run()
        #expect(recorders.allSatisfy { $0.failure == .connect && $0.ends == 1 })
    }

    @Test func aConnectionThatClosesLeavesItsPlaceToAnother() {
        provider.onRequest = { connection, _ in
            connection.answer("ok", headers: "Connection: close\r\n")
            connection.close()
        }
        let recorders = (0..<9).map { _ in Recorder() }
        for recorder in recorders { _ = harness.send(to: endpoint, recorder) }
        harness.when(recorders.allSatisfy { $0.end != nil })
        harness.run()
        #expect(recorders.allSatisfy { $0.end == .complete })
        #expect(provider.connections.count == 9)
    }

    @Test func anAnswerBeforeTheWholeRequestEndsTheConnection() {
        let body = String(repeating: "x", count: 32 << 20)
        let recorder = Recorder()
        let second = Recorder()
        harness.when(self.provider.connections.count == 1) { [provider] in
            provider.connections[0].answer("too large", status: "413 Content Too Large")
        }
        _ = harness.send(body, to: endpoint, recorder)
        harness.when(recorder.end != nil) { [self] in _ = harness.send(to: endpoint, second) }
        harness.when(second.end != nil)
        harness.run()
        #expect(recorder.status == 413)
        #expect(recorder.end == .complete)
        #expect(second.end == .complete)
        #expect(provider.connections.count == 2)
    }

    @Test func whatComesBehindAnAnswerEndsTheConnection() {
        provider.onRequest = { connection, _ in
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Not asked\r\n\r\n")
        }
        let (first, second) = (Recorder(), Recorder())
        _ = harness.send(to: endpoint, first)
        harness.when(first.end != nil) { [self] in _ = harness.send(to: endpoint, second) }
        harness.when(second.end != nil)
        harness.run()
        #expect([first, second].map(\.text) == ["ok", "ok"])
        #expect(provider.connections.count == 2)
    }

    @Test func aKeptConnectionThatBreaksAgainAndAgainIsAFailureInTheEnd() {
        provider.onRequest = { [unowned provider] connection, _ in
            if provider.requests.count <= 2 { connection.answer("ok") } else { connection.close() }
        }
        let first = [Recorder(), Recorder()]
        let last = Recorder()
        for recorder in first { _ = harness.send(to: endpoint, recorder) }
        harness.when(first.allSatisfy { $0.end != nil }) { [self] in _ = harness.send(to: endpoint, last) }
        harness.when(last.end != nil)
        harness.run()
        // Over both kept connections, then over a new one.
        #expect(last.failure == .reset(beforeResponse: true))
        #expect(provider.requests.count == 5)
    }
}
