// HTTP/2 over TLS against nghttpd, which speaks nothing else: many calls at once, pause, certificates.
import Testing

@testable import JunctionOutbound

@Suite struct HTTP2Tests {
    private let folder: TemporaryFolder
    private let server: ChildProgram
    private let url: String

    /// Starts a server that sends back what it is sent, with a certificate that nobody vouches for.
    init() throws {
        folder = try TemporaryFolder()
        let (key, certificate) = try folder.makeCertificate()
        let port = freePort()
        server = try ChildProgram(
            "/usr/sbin/nghttpd",
            ["--echo-upload", "-a", "127.0.0.1", "-d", folder.path, "\(port)", key, certificate])
        server.waitUntilListening(on: port)
        url = "https://127.0.0.1:\(port)/echo"
    }

    @Test func manyCallsShareConnections() {
        let harness = Harness()
        let endpoint = HTTPEndpoint(url, [], HTTPOptions(verifyTLS: false, http2: true))
        let recorders = (0..<60).map { _ in Recorder() }
        let more = (0..<60).map { _ in Recorder() }
        func sendAll(_ recorders: [Recorder]) {
            for (index, recorder) in recorders.enumerated() {
                _ = harness.send("body \(index)", to: endpoint, recorder)
            }
        }
        sendAll(recorders)
        harness.when(recorders.allSatisfy { $0.end != nil }) { sendAll(more) }
        harness.when(more.allSatisfy { $0.end != nil })
        harness.run()
        for (index, recorder) in recorders.enumerated() {
            #expect(recorder.end == .complete)
            #expect(recorder.status == 200)
            #expect(recorder.text == "body \(index)")
        }
        #expect(more.allSatisfy { $0.end == .complete })
    }

    @Test func aPausedStreamLosesNothing() {
        let harness = Harness()
        let endpoint = HTTPEndpoint(url, [], HTTPOptions(verifyTLS: false, http2: true))
        let recorder = Recorder()
        let body = String(repeating: "0123456789abcdef", count: 60_000)
        var transfer: HTTPTransfer!
        var pauses = 0
        recorder.onBody = {
            pauses += 1
            transfer.pause()
            _ = harness.loop.schedule(after: .milliseconds(1)) { transfer.resume() }
        }
        transfer = harness.send(body, to: endpoint, recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.end == .complete)
        #expect(recorder.text == body)
        #expect(pauses > 10)
    }

    @Test func aCertificateThatNobodyVouchesForIsRefusedByDefault() {
        let harness = Harness()
        let recorder = Recorder()
        _ = harness.send(to: HTTPEndpoint(url), recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.failure == .tls)
    }
}
