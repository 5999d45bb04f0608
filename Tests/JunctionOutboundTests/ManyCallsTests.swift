// Many calls, one after another and at once, against the stand-in provider: none lost, and no more
// connections than calls under way. That no memory leaks is shown by the address sanitizer.
import Glibc
import Testing

@testable import JunctionOutbound

@Suite struct ManyCallsTests {
    private let body = #"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#

    @Test func manyCallsShareTheConnectionsOfThoseUnderWay() throws {
        let standIn = try StandIn()
        let harness = Harness()
        let endpoint = HTTPEndpoint(standIn.url)
        var (sent, completed, failed) = (0, 0, 0)
        func sendOne() {
            guard sent < 6000 else { return }
            sent += 1
            let recorder = Recorder()
            recorder.onEnd = { [unowned recorder] end in
                if end == .complete && recorder.status == 200 { completed += 1 } else { failed += 1 }
                sendOne()
            }
            _ = harness.send(body, to: endpoint, recorder)
        }
        for _ in 0..<32 { sendOne() }
        var connections = 0
        harness.when(completed + failed == 6000) { connections = harness.client.connectionsOpen }
        harness.run()
        #expect(completed == 6000)
        #expect(connections <= 32)
    }

    @Test func aThousandStreamsAtOnceAllEnd() throws {
        allowManyFiles()
        let standIn = try StandIn(["--chunks", "3", "--chunk-interval-ms", "20"])
        let harness = Harness()
        let endpoint = HTTPEndpoint(standIn.url)
        let stream = #"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#
        let recorders = (0..<1000).map { _ in Recorder() }
        for recorder in recorders { _ = harness.send(stream, to: endpoint, recorder) }
        harness.when(recorders.allSatisfy { $0.end != nil })
        harness.run()
        #expect(recorders.allSatisfy { $0.end == .complete && $0.text.hasSuffix("data: [DONE]\n\n") })
    }

    private func allowManyFiles() {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
