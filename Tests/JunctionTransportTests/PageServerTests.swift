// A page over HTTP/1.1: what is a request, what is not, and that nobody slow or huge is in the way of others.
import Glibc
import Testing

@testable import JunctionTransport

@Suite struct PageServerTests {
    private func reading(_ text: String) -> PageRequest { .reading(Array(text.utf8)) }

    @Test(arguments: [
        ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/metrics"),
        ("GET /metrics HTTP/1.0\r\n\r\n", "GET", "/metrics"),
        ("HEAD /metrics?a=b HTTP/1.1\r\nhost:a\r\nAccept: */*\r\n\r\n", "HEAD", "/metrics"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "POST", "/"),
    ])
    func aWholeRequestIsUnderstoodAndEachBeginningOfItIsNone(text: String, method: String, target: String) {
        #expect(reading(text) == .whole(method: method, target: target))
        let bytes = Array(text.utf8)
        let head = text.utf8.count - (text.hasSuffix("abc") ? 3 : 0)
        for count in 0..<head { #expect(PageRequest.reading(Array(bytes[..<count])) == .incomplete) }
    }

    @Test(arguments: [
        "\u{16}\u{3}\u{1}", "GET  /metrics HTTP/1.1\r\n", "GET /metrics HTTP/2.0\r\n", "get / HTTP/1.1\r\n",
        "GET metrics HTTP/1.1\r\n", "GET /metrics\r\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r\n", "GET / HTTP/1.1\r\nHost : a\r\n", "GET / HTTP/1.1\r\n Host: a\r\n",
        "GET / HTTP/1.1\r\nHost: \u{0}\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n",
    ])
    func whatIsNoRequestIsKnownAtOnce(text: String) { #expect(reading(text) == .wrong) }

    /// What a client gets that sends `text` and reads to the end.
    private func answer(to text: String, page: [UInt8] = Array("the page".utf8)) throws -> String {
        let loop = EventLoop()
        var server: PageServer?
        server = try PageServer(
            loop: loop, host: "127.0.0.1", port: 0, path: "/metrics", contentType: "text/x"
        ) { server!.answer($0, with: page) }
        let client = try Client(port: server!.localAddress!.port, loop: loop)
        client.send(text)
        loop.run { client.hasEnded }
        server!.close()
        return client.text
    }

    @Test func thePageIsAtItsPathAlone() throws {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 8\r\nConnection: close\r\n\r\n"
        #expect(try answer(to: "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") == head + "the page")
        #expect(try answer(to: "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n") == head)
        #expect(try answer(to: "GET /else HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("HTTP/1.1 404 "))
        let refused = try answer(to: "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        #expect(refused.hasPrefix("HTTP/1.1 405 ") && refused.contains("\r\nAllow: GET, HEAD\r\n"))
        #expect(try answer(to: "hello\r\n").hasPrefix("HTTP/1.1 400 "))
        let huge = "GET /metrics HTTP/1.1\r\nA: " + String(repeating: "a", count: 9_000)
        #expect(try answer(to: huge).hasPrefix("HTTP/1.1 431 "))
    }

    @Test func aPageThatIsLargerThanTheSocketsBuffersArrivesWhole() throws {
        let page = [UInt8](repeating: UInt8(ascii: "p"), count: 20 << 20)
        let answer = try answer(to: "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", page: page)
        #expect(answer.utf8.count > page.count && answer.hasSuffix("ppp"))
    }

    @Test func thoseWhoSayNothingKeepNobodyOut() throws {
        let loop = EventLoop()
        var server: PageServer?
        server = try PageServer(
            loop: loop, host: "127.0.0.1", port: 0, path: "/metrics", contentType: "text/x"
        ) { server!.answer($0, with: Array("here".utf8)) }
        let port = server!.localAddress!.port
        let silent = try (0..<2 * PageServer.connectionsMax).map { _ in try Client(port: port, loop: loop) }
        let client = try Client(port: port, loop: loop)
        client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        loop.run { client.hasEnded }
        #expect(client.text.hasSuffix("here"))
        // The oldest were ended for the others.
        loop.run { silent[0].hasEnded }
        server!.close()
    }
}

/// A connection that reads whatever comes.
private final class Client {
    private let descriptor: Int32
    private var watch: DescriptorWatch?
    private(set) var hasEnded = false
    private var bytes: [UInt8] = []
    var text: String { String(decoding: bytes, as: UTF8.self) }

    init(port: Int, loop: EventLoop) throws {
        var connected: Result<Int32, SystemError>?
        Connector.connect(host: "127.0.0.1", port: port, loop: loop, timeout: .seconds(5)) { connected = $0 }
        loop.run { connected != nil }
        descriptor = try connected!.get()
        watch = loop.watch(descriptor, .read) { [unowned self] _ in read() }
    }

    deinit {
        watch?.close()
        close(descriptor)
    }

    func send(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    private func read() {
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        let count = Glibc.read(descriptor, &piece, piece.count)
        if count > 0 {
            bytes += piece[..<count]
            return
        }
        if count == 0 || errno != EAGAIN {
            hasEnded = true
            watch?.close()
            watch = nil
        }
    }
}
