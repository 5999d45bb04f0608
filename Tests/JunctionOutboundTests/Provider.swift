// A provider inside the test: an HTTP/1.1 server on the test's own loop whose every byte the test decides,
// and the harness that runs a loop until what the test waits for has happened.
import Glibc
import JunctionTransport
import Testing

@testable import JunctionOutbound

/// Listens on a free port of 127.0.0.1. Confined to the loop.
final class Provider {
    let port: Int
    private(set) var connections: [ProviderConnection] = []
    private(set) var requests: [String] = []
    /// What to do with each whole request.
    var onRequest: (ProviderConnection, String) -> Void = { connection, _ in connection.answer("ok") }
    fileprivate let loop: EventLoop
    private let descriptor: Int32
    private var watch: DescriptorWatch?

    init(loop: EventLoop) {
        self.loop = loop
        (descriptor, port) = listenOnFreePort(backlog: 1024)
        watch = loop.watch(descriptor, .read) { [unowned self] _ in
            while case let accepted = accept(descriptor, nil, nil), accepted >= 0 {
                _ = fcntl(accepted, F_SETFL, O_NONBLOCK)
                connections.append(ProviderConnection(descriptor: accepted, provider: self))
            }
        }
    }

    deinit {
        for connection in connections { connection.close() }
        watch?.close()
        close(descriptor)
    }

    fileprivate func received(_ request: String, on connection: ProviderConnection) {
        requests.append(request)
        onRequest(connection, request)
    }

    var url: String { "http://127.0.0.1:\(port)/v1/chat/completions" }
}

/// One accepted connection.
final class ProviderConnection {
    private unowned let provider: Provider
    private let descriptor: Int32
    private var watch: DescriptorWatch?
    private var input: [UInt8] = []
    /// Length of the request whose head has come.
    private var bytesNeeded: Int?
    private var output: [UInt8] = []
    private var outputStart = 0
    private(set) var isOpen = true
    /// Whether the other side has closed it.
    private(set) var isClosedByPeer = false
    private(set) var bytesWritten = 0

    fileprivate init(descriptor: Int32, provider: Provider) {
        self.provider = provider
        self.descriptor = descriptor
        watch = provider.loop.watch(descriptor, .read) { [unowned self] ready in
            if ready.contains(.write) { flush() }
            if ready.contains(.read) { read() }
        }
    }

    private func read() {
        guard isOpen else { return }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        if count <= 0 {
            if count < 0 && errno == EAGAIN { return }
            isClosedByPeer = true
            return close()
        }
        input += buffer[..<count]
        while let request = takeRequest() { provider.received(request, on: self) }
    }

    private func takeRequest() -> String? {
        if bytesNeeded == nil, let end = input.firstRange(of: Array("\r\n\r\n".utf8)) {
            let head = String(decoding: input[..<end.upperBound], as: UTF8.self)
            let length = head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }
            bytesNeeded = end.upperBound + (length.flatMap { Int($0.dropFirst(16)) } ?? 0)
        }
        guard let needed = bytesNeeded, input.count >= needed else { return nil }
        bytesNeeded = nil
        defer { input.removeFirst(needed) }
        return String(decoding: input[..<needed], as: UTF8.self)
    }

    func write(_ text: String) { write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) {
        output += bytes
        flush()
    }

    /// A whole answer.
    func answer(_ body: String, status: String = "200 OK", headers: String = "") {
        write("HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
    }

    private func flush() {
        guard isOpen else { return }
        while outputStart < output.count {
            let count = output.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + outputStart, $0.count - outputStart, Int32(MSG_NOSIGNAL))
            }
            if count < 0 { break }
            bytesWritten += count
            outputStart += count
        }
        watch?.update(outputStart == output.count ? .read : [.read, .write])
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        watch?.close()
        watch = nil
        Glibc.close(descriptor)
    }

    /// Closes with a reset.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        close()
    }
}

func listenOnFreePort(backlog: Int32) -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            precondition(bind(descriptor, $0, length) == 0 && listen(descriptor, backlog) == 0)
            getsockname(descriptor, $0, &length)
        }
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
}

/// Writes down what a transfer tells.
final class Recorder: HTTPHandler {
    private(set) var status = 0
    private(set) var headers: [String] = []
    private(set) var body: [UInt8] = []
    private(set) var bytes = 0
    private(set) var end: HTTPEnd?
    private(set) var ends = 0
    /// What is told, in order: s(tatus), h(eader), b(ody), e(nd).
    private(set) var order = ""
    var onBody: () -> Void = {}
    var onEnd: (HTTPEnd) -> Void = { _ in }

    func received(status: Int) {
        self.status = status
        order += "s"
    }

    func received(headerName: Span<UInt8>, value: Span<UInt8>) {
        headers.append("\(text(headerName))=\(text(value))")
        order += "h"
    }

    func received(body: Span<UInt8>) {
        bytes += body.count
        body.withUnsafeBufferPointer { self.body.append(contentsOf: $0) }
        if order.last != "b" { order += "b" }
        onBody()
    }

    func ended(_ end: HTTPEnd) {
        self.end = end
        ends += 1
        order += "e"
        onEnd(end)
    }

    private func text(_ span: Span<UInt8>) -> String {
        span.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    var failure: HTTPFailure.Kind? {
        if case .failed(let failure) = end { failure.kind } else { nil }
    }
}

/// A loop with a client, and steps that are taken one after another as their conditions come true.
final class Harness {
    let loop = EventLoop()
    private(set) var client: HTTPClient!
    private var steps: [(condition: () -> Bool, action: () -> Void)] = []
    private var isPast = true

    init(connectionsMax: Int = 32_768) {
        client = HTTPClient(loop: loop, connectionsMax: connectionsMax)
    }

    func send(_ body: String = "{}", to endpoint: HTTPEndpoint, _ handler: Recorder) -> HTTPTransfer {
        client.send(to: endpoint, body: body.utf8.span, handler: handler)
    }

    /// Waits for `condition` after the steps before, then does `action`.
    func when(_ condition: @autoclosure @escaping () -> Bool, _ action: @escaping () -> Void = {}) {
        steps.append((condition, action))
    }

    /// Lets the loop run alone for a while, and counts the turns it takes.
    func countTurns(_ told: @escaping (Int) -> Void) {
        let action = { [unowned self] in
            isPast = false
            let before = loop.turns
            _ = loop.schedule(after: .milliseconds(40)) { [unowned self] in
                isPast = true
                told(loop.turns - before)
            }
        }
        steps.append(({ true }, action))
    }

    /// Runs the loop until every step is done.
    func run(_ location: SourceLocation = #_sourceLocation) {
        var next = 0
        loop.beforeSleep { [unowned self] in
            while isPast, next < steps.count, steps[next].condition() {
                next += 1
                steps[next - 1].action()
                loop.runAgain()
            }
            if next == steps.count && isPast { loop.stop() }
        }
        let watchdog = loop.schedule(after: .seconds(60)) { [unowned self] in
            Issue.record("still waiting for step \(next + 1)", sourceLocation: location)
            loop.stop()
        }
        // What was sent before the first turn begins at its end.
        loop.runAgain()
        loop.run()
        watchdog.invalidate()
        steps.removeAll()
        client = nil
    }
}

extension HTTPEndpoint {
    convenience init(
        _ url: String, _ headers: [(String, String)] = [], _ options: HTTPOptions = HTTPOptions()
    ) {
        do { try self.init(url: url, headers: headers, options: options) } catch { fatalError(error.message) }
    }
}
