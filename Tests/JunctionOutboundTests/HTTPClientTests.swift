// What a handler is told of answers, good and bad, and which connections they come on.
import Glibc
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct HTTPClientTests {
    @Test func postsTheBodyWithTheEndpointsHeaders() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        let endpoint = HTTPEndpoint(provider.url, [("Authorization", "Bearer k"), ("X-Empty", "")])
        let recorder = Recorder()
        _ = harness.send("{\"a\":1}", to: endpoint, recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.end == .complete)
        #expect(recorder.text == "ok")
        let lines = provider.requests[0].split(separator: "\r\n")
        #expect(lines.first == "POST /v1/chat/completions HTTP/1.1")
        #expect(lines.last == "{\"a\":1}")
        #expect(lines.contains("Authorization: Bearer k"))
        #expect(lines.contains("X-Empty:"))
        #expect(lines.contains("Content-Type: application/json"))
        #expect(lines.contains("Accept-Encoding: identity"))
        #expect(lines.contains("Content-Length: 7"))
    }

    @Test func aLargeBodyGoesOutWithoutWaitingForA100() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        let endpoint = HTTPEndpoint(provider.url)
        let recorder = Recorder()
        let body = String(repeating: "0123456789abcdef", count: 200_000)
        _ = harness.send(body, to: endpoint, recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.end == .complete)
        #expect(provider.requests[0].hasSuffix("\r\n\r\n" + body))
        #expect(!provider.requests[0].prefix(1000).contains("Expect"))
    }

    @Test func tellsStatusHeadersBodyAndEndInOrderAndOnlyOfTheFinalAnswer() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        provider.onRequest = { connection, _ in
            connection.write("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 429 Slow down\r\n")
            connection.write("Retry-After:  7 \r\nEmpty:\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.write("3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: y\r\n\r\n")
        }
        let recorder = Recorder()
        _ = harness.send(to: HTTPEndpoint(provider.url), recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.status == 429)
        #expect(recorder.headers == ["Retry-After=7", "Empty=", "Transfer-Encoding=chunked"])
        #expect(recorder.text == "abcde")
        #expect(recorder.order == "shhhbe")
        #expect(recorder.end == .complete)
    }

    @Test func callsThatFollowEachOtherShareOneConnectionAndOneRegistration() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        // Connections belong to the client: an endpoint with another key uses them too.
        let endpoints = [
            HTTPEndpoint(provider.url), HTTPEndpoint(provider.url, [("Authorization", "Bearer 2")]),
        ]
        var completed = 0
        var transfers: [HTTPTransfer] = []
        func next(_ index: Int) {
            let recorder = Recorder()
            recorder.onEnd = { end in
                completed += end == .complete ? 1 : 0
                if index < 199 { next(index + 1) }
            }
            transfers.append(harness.send(to: endpoints[index % 2], recorder))
        }
        next(0)
        harness.when(completed == 200)
        var changes = 0
        harness.when(true) { changes = harness.client.changesCount }
        harness.run()
        #expect(provider.connections.count == 1)
        #expect(provider.requests.count == 200)
        #expect(changes == 0)
    }

    @Test func aKeptConnectionThatDiedIsReplacedWithoutAWord() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        provider.onRequest = { [unowned provider] connection, _ in
            // Alive when the second request is sent, dead before a byte of its answer.
            if provider.requests.count == 2 { connection.close() } else { connection.answer("ok") }
        }
        let endpoint = HTTPEndpoint(provider.url)
        let first = Recorder()
        let second = Recorder()
        _ = harness.send(to: endpoint, first)
        harness.when(first.end != nil) { _ = harness.send(to: endpoint, second) }
        harness.when(second.end != nil)
        harness.run()
        #expect(second.end == .complete)
        #expect(second.order == "shbe")
        #expect(provider.requests.count == 3)
        #expect(provider.connections.count == 2)
    }

    @Test func aHandlerMaySendFromInsideItsCallbacks() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        let endpoint = HTTPEndpoint(provider.url)
        let (first, inBody, inEnd) = (Recorder(), Recorder(), Recorder())
        first.onBody = { _ = harness.send(to: endpoint, inBody) }
        first.onEnd = { _ in _ = harness.send(to: endpoint, inEnd) }
        _ = harness.send(to: endpoint, first)
        harness.when(inBody.end != nil && inEnd.end != nil)
        harness.run()
        #expect([first, inBody, inEnd].map(\.order) == ["shbe", "shbe", "shbe"])
    }

    // MARK: Failures

    private func failure(_ behave: @escaping (ProviderConnection) -> Void) -> Recorder {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        provider.onRequest = { connection, _ in behave(connection) }
        return failure(of: HTTPEndpoint(provider.url), harness)
    }

    private func failure(of endpoint: HTTPEndpoint, _ harness: Harness = Harness()) -> Recorder {
        let recorder = Recorder()
        _ = harness.send(to: endpoint, recorder)
        harness.when(recorder.end != nil)
        harness.run()
        #expect(recorder.ends == 1)
        return recorder
    }

    @Test func aConnectionThatEndsBeforeAnyByteIsAResetBeforeTheResponse() {
        #expect(failure { $0.close() }.failure == .reset(beforeResponse: true))
        #expect(failure { $0.reset() }.failure == .reset(beforeResponse: true))
    }

    @Test func aBodyThatIsCutIsAResetAfterTheResponseBegan() {
        let head = "HTTP/1.1 200 OK\r\n"
        let cuts: [(ProviderConnection) -> Void] = [
            {
                $0.write(head + "Content-Length: 10\r\n\r\nabc")
                $0.close()
            },
            {
                $0.write(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
                $0.close()
            },
            {
                $0.write(head + "Transfer-Encoding: chunked\r\n\r\n9\r\nabc")
                $0.close()
            },
        ]
        for cut in cuts {
            let recorder = failure(cut)
            #expect(recorder.failure == .reset(beforeResponse: false))
            #expect(recorder.text == "abc")
        }
        let inHead = failure {
            $0.write(head + "Conte")
            $0.close()
        }
        #expect(inHead.failure == .reset(beforeResponse: false))
    }

    @Test func whatIsNotHTTPIsAProtocolFailure() {
        #expect(failure { $0.write("220 mail.example ESMTP\r\n") }.failure == .protocol)
    }

    @Test func aRefusedConnectionAndANameWithoutAddressAreTold() {
        let (descriptor, port) = listenOnFreePort(backlog: 1)
        close(descriptor)
        let refused = failure(
            of: HTTPEndpoint("http://127.0.0.1:\(port)/secret?key=hidden", [("X-Key", "hidden")]))
        #expect(refused.failure == .connect)
        #expect(!"\(refused.end!)".contains("hidden"))
        // A label of 64 letters: no resolver is asked.
        let label = String(repeating: "a", count: 64)
        #expect(failure(of: HTTPEndpoint("http://\(label).invalid/")).failure == .resolve)
    }

    @Test func aConnectionThatDoesNotComeAboutTimesOut() {
        // A listener whose queue is full drops what knocks.
        let (listener, port) = listenOnFreePort(backlog: 0)
        defer { close(listener) }
        var fillers: [Int32] = []
        defer { for filler in fillers { close(filler) } }
        for _ in 0..<4 {
            let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = connect(filler, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            fillers.append(filler)
        }
        let options = HTTPOptions(connectTimeout: .milliseconds(50))
        let recorder = failure(of: HTTPEndpoint("http://127.0.0.1:\(port)/", [], options))
        #expect(recorder.failure == .timeout)
    }

    @Test func aPortWithoutTLSIsATLSFailure() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        harness.when(provider.connections.count == 1) {
            provider.connections[0].write("HTTP/1.1 400 Bad\r\n\r\n")
        }
        #expect(failure(of: HTTPEndpoint("https://127.0.0.1:\(provider.port)/"), harness).failure == .tls)
    }

    @Test func anAnswerThatIsTooLargeIsRefused() {
        let harness = Harness()
        let provider = Provider(loop: harness.loop)
        provider.onRequest = { connection, _ in connection.answer(String(repeating: "x", count: 1001)) }
        let recorder = failure(of: HTTPEndpoint(provider.url, [], HTTPOptions(bodyBytesMax: 1000)), harness)
        #expect(recorder.failure == .tooLarge)
        #expect(recorder.bytes == 0)
    }

    // MARK: Endpoints

    @Test(arguments: [
        "http://user:hidden@127.0.0.1/", "http://hidden@127.0.0.1/", "https://127.0.0.1/#hidden",
        "ftp://127.0.0.1/hidden", "file:///hidden", "hidden", "/hidden", "", "http://",
        "http://127.0.0.1:hidden/",
        "http://127.0.0.1/hid\r\nden", "http://127.0.0.1/hid\0den", "http://127.0.0.1/hid den",
    ])
    func aURLThatMayNotBeUsedIsRefusedAndNotQuoted(url: String) {
        let failure = #expect(throws: HTTPFailure.self) { try HTTPEndpoint(url: url, headers: []) }
        #expect(failure?.kind == .invalidEndpoint)
        #expect(failure?.message.contains("hid") == false)
    }

    @Test(arguments: [
        ("Authorization", "Bearer hidden\r\nX: y"), ("Authorization", "hidden\n"),
        ("Authorization", "hidden\0"),
        ("", "hidden"), ("Bad name", "hidden"), ("Bad:", "hidden"),
    ])
    func aHeaderThatIsNotOneLineIsRefusedAndNotQuoted(name: String, value: String) {
        let failure = #expect(throws: HTTPFailure.self) {
            try HTTPEndpoint(url: "http://127.0.0.1/", headers: [(name, value)])
        }
        #expect(failure?.kind == .invalidEndpoint)
        #expect(failure?.message.contains("hidden") == false)
    }
}
