// What an owner may ask of a transfer under way, from outside and from inside its callbacks, and that the
// loop sleeps while there is nothing to do.
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct HTTPTransferTests {
    let harness = Harness()
    let provider: Provider
    let endpoint: HTTPEndpoint
    let recorder = Recorder()
    /// An answer that has begun and does not end.
    let beginning = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"

    init() {
        provider = Provider(loop: harness.loop)
        endpoint = HTTPEndpoint(provider.url)
    }

    // MARK: Cancel

    @Test func aCancelledTransferTellsNothingMoreAndClosesItsConnection() {
        provider.onRequest = { [beginning] connection, _ in connection.write(beginning) }
        let transfer = harness.send(to: endpoint, recorder)
        harness.when(recorder.bytes == 3) { [provider] in
            transfer.cancel()
            provider.connections[0].write("3\r\ndef\r\n")
        }
        harness.when(self.provider.connections[0].isClosedByPeer && !self.harness.client.isBusy)
        harness.run()
        #expect(recorder.order == "shb")
        #expect(recorder.text == "abc")
    }

    @Test func cancelIsLegalInsideEveryCallback() {
        provider.onRequest = { [beginning] connection, _ in connection.write(beginning + "0\r\n\r\n") }
        let (first, second) = (Recorder(), Recorder())
        var transfers: [HTTPTransfer] = []
        // The first to speak silences itself and the other; each is silenced in its own callback or before.
        first.onBody = { for transfer in transfers { transfer.cancel() } }
        second.onBody = first.onBody
        transfers = [harness.send(to: endpoint, first), harness.send(to: endpoint, second)]
        harness.when(
            self.provider.requests.count == 2 && self.provider.connections.allSatisfy(\.isClosedByPeer)
                && !self.harness.client.isBusy)
        harness.run()
        #expect(first.ends + second.ends == 0)
        #expect(first.bytes + second.bytes == 3)
    }

    @Test func aTransferCancelledBeforeItBeganSendsNothing() {
        let transfer = harness.send(to: endpoint, recorder)
        transfer.cancel()
        transfer.cancel()
        let other = Recorder()
        _ = harness.send("other", to: endpoint, other)
        harness.when(other.end != nil)
        harness.run()
        #expect(recorder.order == "")
        #expect(provider.requests.count == 1)
        transfer.cancel()
        transfer.resume()
        transfer.letGo()
    }

    // MARK: Pause

    @Test func aPausedTransferHoldsTheProviderBackWhileTheLoopSleeps() {
        let size = 16 << 20
        let body = (0..<256).flatMap { [UInt8](repeating: UInt8($0), count: size / 256) }
        provider.onRequest = { connection, _ in
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            connection.write(body)
        }
        var transfer: HTTPTransfer!
        recorder.onBody = { [recorder] in if recorder.bytes < 1000_000 { transfer.pause() } }
        transfer = harness.send(to: endpoint, recorder)
        harness.when(self.recorder.bytes > 0)
        var (bytesPaused, turns, changes) = (0, [Int](), 0)
        harness.countTurns { _ in }  // what was on its way comes to rest
        for _ in 0..<3 {
            harness.when(true) { [self] in bytesPaused = recorder.bytes }
            harness.countTurns { turns.append($0) }
            harness.when(true) { [self] in
                #expect(recorder.bytes == bytesPaused)
                transfer.resume()
            }
            harness.when(self.recorder.bytes > bytesPaused)
            harness.countTurns { _ in }
        }
        harness.when(true) { [self] in
            #expect(recorder.bytes < 100_000)
            #expect(provider.connections[0].bytesWritten < size)
            changes = harness.client.changesCount
            recorder.onBody = {}
            transfer.resume()
        }
        harness.when(self.recorder.end != nil)
        harness.run()
        #expect(turns.allSatisfy { $0 <= 3 }, "\(turns)")
        #expect(changes < 20)
        #expect(recorder.end == .complete)
        #expect(recorder.body == body)
    }

    @Test func pauseAndResumeBeforeMoreComesLosesNothing() {
        provider.onRequest = { [beginning] connection, _ in connection.write(beginning) }
        let transfer = harness.send(to: endpoint, recorder)
        harness.when(recorder.bytes == 3) { [provider] in
            transfer.pause()
            transfer.resume()
            transfer.pause()
            provider.connections[0].write("3\r\ndef\r\n")
        }
        harness.countTurns { _ in }
        harness.when(true) { [self] in
            #expect(recorder.text == "abc")
            transfer.resume()
            // The piece comes at the end of the turn, not from inside `resume`.
            #expect(recorder.text == "abc")
        }
        harness.when(self.recorder.bytes == 6) { [provider] in provider.connections[0].write("0\r\n\r\n") }
        harness.when(self.recorder.end != nil)
        harness.run()
        #expect(recorder.text == "abcdef")
        #expect(recorder.end == .complete)
    }

    @Test func aPausedTransferCanBeCancelledAndLetGo() {
        provider.onRequest = { [beginning] connection, _ in connection.write(beginning) }
        let second = Recorder()
        let transfers = [harness.send(to: endpoint, recorder), harness.send(to: endpoint, second)]
        harness.when(self.recorder.bytes == 3 && second.bytes == 3) { [provider] in
            for transfer in transfers { transfer.pause() }
            for connection in provider.connections { connection.write("3\r\ndef\r\n0\r\n\r\n") }
        }
        harness.countTurns { _ in }
        harness.when(true) {
            transfers[0].cancel()
            transfers[1].letGo()
        }
        harness.when(!self.harness.client.isBusy)
        harness.when(self.provider.connections.filter(\.isClosedByPeer).count == 1)
        harness.run()
        #expect(recorder.order == "shb")
        #expect(second.order == "shb")
    }

    // MARK: Idle connections

    @Test func anIdleConnectionThatTheProviderClosesDoesNotWakeTheLoopAgain() {
        idle { $0.close() }
    }

    @Test func anIdleConnectionThatTheProviderResetsDoesNotWakeTheLoopAgain() {
        idle { $0.reset() }
    }

    @Test func anIdleConnectionOnWhichTheProviderTalksDoesNotWakeTheLoopAgain() {
        idle { $0.write("HTTP/1.1 408 Request Timeout\r\n\r\n") }
    }

    private func idle(_ misbehave: @escaping (ProviderConnection) -> Void) {
        let second = Recorder()
        var turns = 0
        _ = harness.send(to: endpoint, recorder)
        harness.when(self.recorder.end != nil) { [provider] in misbehave(provider.connections[0]) }
        harness.countTurns { turns = $0 }
        harness.when(true) { [self] in _ = harness.send(to: endpoint, second) }
        harness.when(second.end != nil)
        harness.run()
        #expect(turns <= 4)
        #expect(second.end == .complete)
        #expect(second.status == 200)
        #expect(provider.connections.count == 2)
    }

    // MARK: Let go

    @Test func aTransferLetGoKeepsItsConnection() {
        provider.onRequest = { [beginning] connection, _ in connection.write(beginning) }
        let transfer = harness.send(to: endpoint, recorder)
        recorder.onBody = { transfer.letGo() }
        let second = Recorder()
        harness.when(self.recorder.bytes == 3) { [provider] in
            provider.onRequest = { connection, _ in connection.answer("ok") }
            provider.connections[0].write("3\r\ndef\r\n0\r\n\r\n")
        }
        harness.when(!self.harness.client.isBusy) { [self] in _ = harness.send(to: endpoint, second) }
        harness.when(second.end != nil)
        harness.run()
        #expect(recorder.order == "shb")
        #expect(second.end == .complete)
        #expect(provider.connections.count == 1)
    }

    @Test func aTransferLetGoWithALongRestClosesItsConnection() {
        let rest = String(repeating: "x", count: 200_000)
        provider.onRequest = { [beginning] connection, _ in
            connection.write(beginning + "30d40\r\n" + rest + "\r\n0\r\n\r\n")
        }
        let transfer = harness.send(to: endpoint, recorder)
        recorder.onBody = { transfer.letGo() }
        harness.when(
            self.provider.connections.first?.isClosedByPeer == true && !self.harness.client.isBusy)
        harness.run()
        #expect(recorder.order == "shb")
    }

    @Test func aTransferLetGoWithoutAnEndClosesItsConnectionInTime() {
        var options = HTTPOptions()
        options.unwantedTimeout = .milliseconds(30)
        let endpoint = HTTPEndpoint(provider.url, [], options)
        provider.onRequest = { [beginning] connection, _ in connection.write(beginning) }
        let transfer = harness.send(to: endpoint, recorder)
        recorder.onBody = { transfer.letGo() }
        harness.when(self.provider.connections.first?.isClosedByPeer == true)
        harness.run()
        #expect(recorder.order == "shb")
    }

    // MARK: The client's end

    @Test func aClientThatGoesAwayEndsItsTransfersWithoutAWord() {
        provider.onRequest = { [beginning] connection, _ in connection.write(beginning) }
        let transfer = harness.send(to: endpoint, recorder)
        harness.when(recorder.bytes == 3)
        harness.run()
        transfer.resume()
        transfer.cancel()
        #expect(recorder.order == "shb")
    }
}
