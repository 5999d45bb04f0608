// What the header fields of a request say about the call, and whether it can be begun.
// Sources: grpc/doc/PROTOCOL-HTTP2.md, "Requests"; grpc/doc/statuscodes.md.
import JunctionTransport

/// The header fields of a request as far as gRPC needs them. No `String` is made of one that is as it should
/// be.
struct RequestHead {
    private var isPOST = false
    private var isGRPC = false
    private var method: Method?
    private var unknownPath: String?
    private var hasMalformedTimeout = false
    private(set) var timeout: Duration?
    /// Whether messages may come compressed in a way that we do not know.
    private(set) var hasUnknownEncoding = false

    enum Verdict {
        case accepted(Method)
        case refused(Status)
        /// No gRPC call: answered with these fields alone, without a gRPC status.
        case notGRPC([HeaderField])
    }

    /// Takes a field; false when it is none of gRPC's or HTTP/2's own.
    mutating func take(_ name: Span<UInt8>, _ value: Span<UInt8>, registry: ServiceRegistry) -> Bool {
        if name.starts(with: ":") {
            if name.equals(":method") { isPOST = value.equals("POST") }
            if name.equals(":path") {
                method = registry.method(at: value)
                if method == nil { unknownPath = String(value) }
            }
            return true
        }
        if name.starts(with: "grpc-") {
            if name.equals("grpc-timeout") {
                timeout = Duration(grpcTimeout: value)
                hasMalformedTimeout = timeout == nil
            } else if name.equals("grpc-encoding") {
                hasUnknownEncoding = !value.equals("identity")
            }
            return true
        }
        if name.equals("content-type") {
            isGRPC = RequestHead.isGRPC(contentType: value)
            return true
        }
        return name.equals("te")
    }

    /// `application/grpc`, alone or followed by `+` and a message format or by `;` and parameters.
    static func isGRPC(contentType value: Span<UInt8>) -> Bool {
        let plain: StaticString = "application/grpc"
        guard value.starts(with: plain) else { return false }
        if value.count == plain.utf8CodeUnitCount { return true }
        let next = value[plain.utf8CodeUnitCount]
        return next == UInt8(ascii: "+") || next == UInt8(ascii: ";")
    }

    var verdict: Verdict {
        if !isGRPC { return .notGRPC([HeaderField(":status", "415")]) }
        if !isPOST {
            return .notGRPC([HeaderField(":status", "405"), HeaderField("allow", "POST")])
        }
        guard let method else {
            return .refused(Status(.unimplemented, "there is no method \(unknownPath?.prefix(200) ?? "")"))
        }
        if hasMalformedTimeout {
            return .refused(
                Status(.internal, "grpc-timeout is not 1 to 8 digits and one of H, M, S, m, u, n"))
        }
        return .accepted(method)
    }
}
