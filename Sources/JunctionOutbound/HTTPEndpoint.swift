// Where requests go, with everything about them that does not change from call to call made once: the checked
// URL, the header list, libcurl handles with their options set. Knows no body and no answer.

/// How to reach an endpoint.
public struct HTTPOptions: Sendable {
    /// From the start of a transfer until its connection stands; in whole milliseconds.
    public var connectTimeout: Duration
    /// Whether the provider's certificate must be valid for its host.
    public var verifyTLS: Bool
    /// Asks for HTTP/2 when the connection is TLS; otherwise HTTP/1.1.
    public var http2: Bool
    /// A longer body ends the transfer.
    public var bodyBytesMax: Int
    /// How long the rest of a body may take to come after `letGo`.
    var unwantedTimeout = Duration.seconds(2)

    public init(
        connectTimeout: Duration = .seconds(5), verifyTLS: Bool = true, http2: Bool = false,
        bodyBytesMax: Int = 64 << 20
    ) {
        self.connectTimeout = connectTimeout
        self.verifyTLS = verifyTLS
        self.http2 = http2
        self.bodyBytesMax = bodyBytesMax
    }
}

/// One URL with one set of headers, to which bodies are POSTed. Confined to one loop, as the client is; may
/// be made anew for one call (a caller's own key): connections belong to the client, not to the endpoint.
public final class HTTPEndpoint {
    /// Idle handles kept; more are needed only while more calls are under way.
    private static let idleHandlesMax = 1024

    let options: HTTPOptions
    let address: CurlAddress
    private let headers: CurlHeaders
    /// The same headers as HTTP/1.1 has them.
    let head: RequestHead
    /// Endpoints of the same origin may share connections.
    let origin: String
    /// Whether libcurl may find that the provider speaks HTTP/2.
    let mayMultiplex: Bool
    var pool: HTTP1Pool?
    private let signer: AWSSigner?
    private(set) var idle: [CurlHandle] = []

    /// - Parameters:
    ///   - headers: sent as they are, beside `Content-Type: application/json` unless they have their own.
    ///   - signing: who signs each request; nil: nobody.
    /// - Throws: `.invalidEndpoint` when the URL is not an absolute http or https one, or has user
    ///   information or a fragment, or when a header could not be sent as one line. The message quotes no
    ///   value.
    public init(
        url: String, headers: [(String, String)], options: HTTPOptions = HTTPOptions(),
        signing: AWSCredentials? = nil
    ) throws(HTTPFailure) {
        self.options = options
        address = try CurlAddress(url)
        mayMultiplex = options.http2 && address.isSecure
        origin = "\(address.isSecure) \(options.verifyTLS) \(address.authority)"
        var lines: [String] = []
        var fields: [String] = []
        for (name, value) in headers + HTTPEndpoint.ownHeaders(beside: headers) {
            let line = try HTTPEndpoint.line(name: name, value: value)
            lines.append(line)
            // The length is the body's own.
            if name.lowercased() == "content-length" || name.lowercased() == "host" { continue }
            // libcurl's way to write a header without value.
            fields.append(line.hasSuffix(";") && !line.contains(":") ? line.dropLast() + ":" : line)
        }
        // libcurl would wait for a 100 before it sends a large body.
        lines.append("Expect:")
        self.headers = CurlHeaders(lines)
        let host = headers.first { $0.0.lowercased() == "host" }?.1
        head = RequestHead(path: address.pathAndQuery, host: host ?? address.host, fields: fields)
        let contentType = headers.first { $0.0.lowercased() == "content-type" }?.1
        signer = signing.map { [address] in
            AWSSigner(
                $0, host: address.host, path: address.path, contentType: contentType ?? "application/json")
        }
    }

    /// What every request says unless the endpoint's own headers do.
    private static func ownHeaders(beside headers: [(String, String)]) -> [(String, String)] {
        let own = [
            ("Content-Type", "application/json"), ("Accept-Encoding", "identity"), ("Accept", "*/*"),
        ]
        return own.filter { name, _ in !headers.contains { $0.0.lowercased() == name.lowercased() } }
    }

    /// The header lines that a request with that body has alone.
    func signature(of body: Span<UInt8>, at time: Int64) -> [String] {
        signer?.lines(body: body, at: time) ?? []
    }
    var isSigned: Bool { signer != nil }

    static func line(name: String, value: String) throws(HTTPFailure) -> String {
        let isName = !name.isEmpty && name.utf8.allSatisfy { isTokenByte($0) }
        guard isName else { throw HTTPFailure(.invalidEndpoint, message: "a header's name is not one") }
        guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
            throw HTTPFailure(
                .invalidEndpoint, message: "the value of header \(name) has a control character")
        }
        // libcurl's way to write a header without value; to it `Name:` would take the header away.
        return value.utf8.allSatisfy { $0 == 0x20 || $0 == 0x09 } ? "\(name);" : "\(name): \(value)"
    }

    /// RFC 9110 §5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    func takeHandle(sockets: HTTPSockets, share: CurlShare) -> CurlHandle {
        idle.popLast()
            ?? CurlHandle(
                address: address, headers: headers, options: options, sockets: sockets, share: share)
    }

    func giveBack(_ handle: CurlHandle) {
        handle.shrink()
        if idle.count < HTTPEndpoint.idleHandlesMax { idle.append(handle) }
    }
}
