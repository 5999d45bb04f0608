// One request over HTTP/1.1: its bytes as they are sent, and where it waits or is carried. Knows no socket.
import JunctionTransport

/// A request that waits for a connection or has one.
final class HTTP1Transfer: HTTPTransfer {
    let pool: HTTP1Pool
    /// Head and body; given back when the answer has begun.
    @exclusivity(unchecked) private(set) var request: UnsafeMutableRawBufferPointer
    @exclusivity(unchecked) private(set) var requestBytes: Int
    @exclusivity(unchecked) var connection: HTTP1Connection?
    /// Kept connections that may break under it before it fails.
    @exclusivity(unchecked) var triesLeft = 3

    /// - Parameter lines: of the head, for this request alone.
    init(
        pool: HTTP1Pool, endpoint: HTTPEndpoint, lines: [String], body: Span<UInt8>, handler: any HTTPHandler
    ) {
        self.pool = pool
        let client = pool.client
        let head = endpoint.head
        let lineBytes = lines.reduce(0) { $0 + 2 + $1.utf8.count }
        let request = client.memory.take(
            head.count + RequestHead.lengthBytesMax + lineBytes + body.count)
        let headBytes = head.write(bodyBytes: body.count, lines: lines, to: request.baseAddress!)
        body.withUnsafeBytes { body in
            if let start = body.baseAddress {
                (request.baseAddress! + headBytes).copyMemory(from: start, byteCount: body.count)
            }
        }
        self.request = request
        requestBytes = headBytes + body.count
        super.init(client: client, endpoint: endpoint, handler: handler)
    }

    deinit { request.deallocate() }

    /// The request is not needed any more.
    func forgetRequest() {
        if requestBytes == 0 { return }
        requestBytes = 0
        client.memory.giveBack(request)
        request = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    override func wasCancelled() {
        if let connection {
            self.connection = nil
            connection.dropTransfer()
        } else {
            pool.withdraw(self)
        }
        forgetRequest()
        abandon()
    }

    override func wasResumed() { client.attend(self) }

    override func serve() {
        connection?.goOn()
        limitUnwanted()
    }

    /// The last that is heard of it.
    func end(_ end: HTTPEnd) {
        connection = nil
        forgetRequest()
        finish(end)
    }
}

/// The head of a request as far as it is the same for every one to an endpoint.
final class RequestHead {
    /// Digits of a length, and two ends of lines.
    static let lengthBytesMax = 20 + 4

    private let bytes: [UInt8]
    var count: Int { bytes.count }

    init(path: String, host: String, fields: [String]) {
        let lines = ["POST \(path) HTTP/1.1", "Host: \(host)"] + fields + ["Content-Length: "]
        bytes = Array(lines.joined(separator: "\r\n").utf8)
    }

    /// Writes the head of a request with a body of so many bytes and with further lines; returns how many
    /// bytes it has itself.
    func write(bodyBytes: Int, lines: [String], to destination: UnsafeMutableRawPointer) -> Int {
        bytes.withUnsafeBytes { destination.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        var digits = 1
        var rest = bodyBytes / 10
        while rest > 0 {
            digits += 1
            rest /= 10
        }
        rest = bodyBytes
        for place in stride(from: bytes.count + digits - 1, through: bytes.count, by: -1) {
            destination.storeBytes(
                of: UInt8(ascii: "0") + UInt8(rest % 10), toByteOffset: place, as: UInt8.self)
            rest /= 10
        }
        var end = bytes.count + digits
        for line in lines {
            destination.storeBytes(of: UInt16(0x0a0d).littleEndian, toByteOffset: end, as: UInt16.self)
            end += 2
            for byte in line.utf8 {
                destination.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
                end += 1
            }
        }
        destination.storeBytes(of: UInt32(0x0a0d_0a0d).littleEndian, toByteOffset: end, as: UInt32.self)
        return end + 4
    }
}

/// Memory for requests: pieces of one size are kept, larger ones are not.
struct RequestMemory: ~Copyable {
    private static let pieceBytes = 2 << 10
    private static let keptMax = 128
    private var kept: [UnsafeMutableRawBufferPointer] = []

    init() {}

    deinit { for piece in kept { piece.deallocate() } }

    /// At least `byteCount` bytes.
    mutating func take(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        if byteCount <= RequestMemory.pieceBytes, let piece = kept.popLast() { return piece }
        return .allocate(byteCount: max(byteCount, RequestMemory.pieceBytes), alignment: 16)
    }

    mutating func giveBack(_ piece: UnsafeMutableRawBufferPointer) {
        if piece.count == RequestMemory.pieceBytes, kept.count < RequestMemory.keptMax {
            kept.append(piece)
        } else {
            piece.deallocate()
        }
    }
}
