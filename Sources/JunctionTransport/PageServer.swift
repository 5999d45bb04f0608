// Serves one page over HTTP/1.1 to whoever may reach its port, such as a scraper of metrics: one request a
// connection, bounded in bytes, in time and in number. Knows nothing of what the page says.
import Glibc

/// A page at one path. Confined to its loop.
public final class PageServer {
    /// Connections at a time; one more ends the oldest, so that slow ones keep nobody out.
    static let connectionsMax = 16
    /// From a connection's first moment to its last.
    static let lifetime = Duration.seconds(10)
    private let path: String
    private let contentType: String
    private let write: (_ request: Int) -> Void
    private var listener: Listener?
    /// By number; the lowest is the oldest.
    private var connections: [Int: PageConnection] = [:]
    private var lastNumber = 0
    /// nil: it is closed.
    public var localAddress: SocketAddress? { listener?.localAddress }

    /// Listens at once, alone on its port.
    ///
    /// - Parameter write: asks for the page, to be handed to `answer` with the request's number.
    public init(
        loop: EventLoop, host: String, port: Int, path: String, contentType: String,
        write: @escaping (_ request: Int) -> Void
    ) throws(SystemError) {
        self.path = path
        self.contentType = contentType
        self.write = write
        listener = try Listener(loop: loop, host: host, port: port, reusePort: false) { [unowned self] in
            accept($0, loop)
        }
    }

    deinit { close() }

    /// Ends all connections, too.
    public func close() {
        listener?.close()
        listener = nil
        for connection in connections.values { connection.close() }
    }

    /// The page, for a request whose caller may have gone.
    public func answer(_ request: Int, with body: [UInt8]) {
        connections[request]?.answer(200, body, contentType)
    }

    private func accept(_ descriptor: Int32, _ loop: EventLoop) {
        if connections.count >= Self.connectionsMax { connections[connections.keys.min()!]?.close() }
        lastNumber += 1
        let number = lastNumber
        connections[number] = PageConnection(
            descriptor, loop, path: path, write: { [unowned self] in write(number) },
            closed: { [weak self] in self?.connections[number] = nil })
    }
}

private final class PageConnection {
    private static let headBytesMax = 8 << 10
    /// What is read and forgotten after the answer: for unread bytes the system would take it back.
    private static let restBytesMax = 64 << 10
    private enum Phase { case reads, waits, writes, forgets }

    private let descriptor: Int32
    private let path: String
    private let write: () -> Void
    private let closed: () -> Void
    private var watch: DescriptorWatch?
    private var timer: Timer?
    private var phase = Phase.reads
    private var head: [UInt8] = []
    private var isHeadOnly = false
    private var output: [UInt8] = []
    private var written = 0
    private var forgotten = 0

    init(
        _ descriptor: Int32, _ loop: EventLoop, path: String, write: @escaping () -> Void,
        closed: @escaping () -> Void
    ) {
        self.descriptor = descriptor
        self.path = path
        self.write = write
        self.closed = closed
        watch = loop.watch(descriptor, .read) { [unowned self] _ in becameReady() }
        timer = loop.schedule(after: PageServer.lifetime) { [unowned self] in close() }
    }

    func close() {
        guard let watch else { return }
        watch.close()
        self.watch = nil
        timer?.invalidate()
        timer = nil
        Glibc.close(descriptor)
        closed()
    }

    private func becameReady() {
        switch phase {
        case .reads: read()
        case .waits: close()
        case .writes: flush()
        case .forgets: forget()
        }
    }

    private func read() {
        guard let piece = receive() else { return }
        head += piece
        switch PageRequest.reading(head) {
        case .incomplete where head.count >= Self.headBytesMax: answer(431)
        case .incomplete: break
        case .wrong: answer(400)
        case .whole(_, let target) where target != path: answer(404)
        case .whole("GET", _): ask()
        case .whole("HEAD", _):
            isHeadOnly = true
            ask()
        case .whole: answer(405)
        }
    }

    /// Nothing is read until the page is there.
    private func ask() {
        phase = .waits
        watch?.update([])
        write()
    }

    /// What has come; nil: nothing, or the connection is over.
    private func receive() -> ArraySlice<UInt8>? {
        var piece = [UInt8](repeating: 0, count: Self.headBytesMax)
        let count = Glibc.read(descriptor, &piece, piece.count)
        if count > 0 { return piece[..<count] }
        if count == 0 || (errno != EAGAIN && errno != EINTR) { close() }
        return nil
    }

    func answer(_ status: Int, _ body: [UInt8] = [], _ contentType: String = "text/plain") {
        guard phase == .reads || phase == .waits else { return }
        let body = status == 200 ? body : Array("\(Self.reasons[status]!)\n".utf8)
        var head = "HTTP/1.1 \(status) \(Self.reasons[status]!)\r\nContent-Type: \(contentType)\r\n"
        if status == 405 { head += "Allow: GET, HEAD\r\n" }
        head += "Content-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        output = Array(head.utf8) + (isHeadOnly ? [] : body)
        phase = .writes
        flush()
    }

    private static let reasons = [
        200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
        431: "Request Header Fields Too Large",
    ]

    private func flush() {
        while written < output.count {
            let count = output[written...].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, 0)
            }
            if count >= 0 {
                written += count
            } else if errno == EAGAIN {
                watch?.update(.write)
                return
            } else if errno != EINTR {
                return close()
            }
        }
        output = []
        phase = .forgets
        shutdown(descriptor, Int32(SHUT_WR))
        watch?.update(.read)
    }

    private func forget() {
        guard let piece = receive() else { return }
        forgotten += piece.count
        if forgotten > Self.restBytesMax { close() }
    }
}

/// The head of a request as far as it has come (RFC 9112).
enum PageRequest: Equatable {
    case incomplete
    case wrong
    /// The target is without its query.
    case whole(method: String, target: String)

    static func reading(_ bytes: [UInt8]) -> PageRequest {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // What follows the last line feed is no line yet.
        let rest = lines.removeLast()
        var isWhole = false
        var hasHost = false
        var start: (method: String, target: String, version: String)?
        for line in lines {
            guard line.last == UInt8(ascii: "\r"), Self.isText(line.dropLast()) else { return .wrong }
            let line = line.dropLast()
            if start == nil {
                start = Self.start(line)
                if start == nil { return .wrong }
            } else if line.isEmpty {
                isWhole = true
                break
            } else {
                guard let name = Self.fieldName(line) else { return .wrong }
                if name == "host" { hasHost = true }
            }
        }
        guard isWhole, let start else {
            let isText = Self.isText(rest.last == UInt8(ascii: "\r") ? rest.dropLast() : rest)
            return isText ? .incomplete : .wrong
        }
        // Since HTTP/1.1 a request without a host is wrong.
        return hasHost || start.version == "HTTP/1.0"
            ? .whole(method: start.method, target: start.target) : .wrong
    }

    private static func start(_ line: ArraySlice<UInt8>) -> (method: String, target: String, version: String)?
    {
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard words.count == 3, words[0].allSatisfy({ (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }),
            !words[0].isEmpty, words[1].first == UInt8(ascii: "/")
        else { return nil }
        let version = String(decoding: words[2], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else { return nil }
        let target = words[1].prefix { $0 != UInt8(ascii: "?") }
        return (String(decoding: words[0], as: UTF8.self), String(decoding: target, as: UTF8.self), version)
    }

    /// In lower case; nil: it is no field.
    private static func fieldName(_ line: ArraySlice<UInt8>) -> String? {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let name = line[..<colon]
        let isToken = name.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
        }
        return isToken && !name.isEmpty ? String(decoding: name, as: UTF8.self).lowercased() : nil
    }

    /// Whether a line, or its beginning, has nothing in it that no line has.
    private static func isText(_ line: ArraySlice<UInt8>) -> Bool {
        line.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == UInt8(ascii: "\t") }
    }
}
