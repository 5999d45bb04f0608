// HTTP/1.1 over TLS: nghttpx ends the TLS before a provider of the test's own.
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct SecureTests {
    private let folder: TemporaryFolder
    private let proxy: ChildProgram
    private let harness = Harness()
    private let provider: Provider
    private let endpoint: HTTPEndpoint

    init() throws {
        folder = try TemporaryFolder()
        let (key, certificate) = try folder.makeCertificate()
        provider = Provider(loop: harness.loop)
        let port = freePort()
        proxy = try ChildProgram(
            "/usr/sbin/nghttpx",
            [
                "--conf=/dev/null", "--frontend=127.0.0.1,\(port)", "--backend=127.0.0.1,\(provider.port)",
                "--npn-list=http/1.1", "--workers=1", key, certificate,
            ])
        proxy.waitUntilListening(on: port)
        endpoint = HTTPEndpoint(
            "https://127.0.0.1:\(port)/v1/chat/completions", [], HTTPOptions(verifyTLS: false))
    }

    @Test func manyCallsShareConnections() {
        var (sent, completed) = (0, 0)
        func sendOne() {
            guard sent < 400 else { return }
            sent += 1
            let recorder = Recorder()
            let body = String(repeating: "\(sent % 10)", count: sent * 100)
            recorder.onEnd = { [unowned recorder] end in
                if end == .complete && recorder.text == body { completed += 1 }
                sendOne()
            }
            _ = harness.send(body, to: endpoint, recorder)
        }
        provider.onRequest = { connection, request in
            connection.answer(String(request[request.firstRange(of: "\r\n\r\n")!.upperBound...]))
        }
        for _ in 0..<40 { sendOne() }
        var connections = 0
        harness.when(sent == 400 && !self.harness.client.isBusy) { [harness] in
            connections = harness.client.connectionsOpen
        }
        harness.run()
        #expect(completed == 400)
        #expect((33...40).contains(connections), "\(connections): more than one group, no more than calls")
    }

    @Test func aPausedTransferLosesNothing() {
        let body = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 256) }
        provider.onRequest = { connection, _ in
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
            connection.write(body)
        }
        let recorder = Recorder()
        var transfer: HTTPTransfer!
        var pauses = 0
        recorder.onBody = { [harness] in
            pauses += 1
            transfer.pause()
            _ = harness.loop.schedule(after: .milliseconds(1)) { transfer.resume() }
        }
        transfer = harness.send(to: endpoint, recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.end == .complete)
        #expect(recorder.body == body)
        #expect(pauses > 10)
    }

    @Test func anIdleConnectionThatEndsIsReplaced() {
        let (first, second) = (Recorder(), Recorder())
        provider.onRequest = { connection, _ in connection.answer("ok", headers: "Connection: close\r\n") }
        _ = harness.send(to: endpoint, first)
        harness.when(first.end != nil) { [self] in _ = harness.send(to: endpoint, second) }
        harness.when(second.end != nil)
        harness.run()
        #expect([first, second].map(\.text) == ["ok", "ok"])
    }

    @Test func aConnectionThatIsCutIsNoEndOfAnAnswer() {
        provider.onRequest = { connection, _ in
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            connection.close()
        }
        let recorder = Recorder()
        _ = harness.send(to: endpoint, recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.end != .complete)
    }
}
