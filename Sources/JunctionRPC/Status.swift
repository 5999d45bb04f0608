// How a call ended, as gRPC says it, and how that is written in trailers.
// Sources: grpc/doc/statuscodes.md, grpc/doc/PROTOCOL-HTTP2.md, gRPC proposal A6 (retry push-back),
// google/rpc/status.proto.
import JunctionTransport

/// How a call ended. Anything but `ok` is an error.
public struct Status: Error, Sendable, Equatable {
    /// The codes of gRPC. Their numbers are on the wire.
    public enum Code: Int, Sendable, CaseIterable {
        case ok, cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists
        case permissionDenied, resourceExhausted, failedPrecondition, aborted, outOfRange, unimplemented
        case `internal`, unavailable, dataLoss, unauthenticated
    }

    public var code: Code
    /// What happened, for a person.
    public var message: String
    /// How long to wait before the call is tried again; nil when nothing is known of that. A negative one
    /// asks not to try again.
    public var retryPushback: Duration?
    /// What a program may want to know, beside how long to wait.
    public var details: [Detail] = []

    /// A message in the details of a status (`google.rpc.Status.details`).
    public struct Detail: Sendable, Equatable {
        /// Its full name, such as `google.rpc.ErrorInfo`.
        public var type: String
        public var value: [UInt8]

        public init(type: String, value: [UInt8]) {
            self.type = type
            self.value = value
        }
    }

    public init(_ code: Code, _ message: String = "", retryPushback: Duration? = nil) {
        self.code = code
        self.message = message
        self.retryPushback = retryPushback
    }

    public static let ok = Status(.ok)
}

extension Status: CustomStringConvertible {
    public var description: String { message.isEmpty ? "\(code)" : "\(code): \(message)" }
}

extension Status.Code: CustomStringConvertible {
    /// The name that gRPC's documents use, such as `DEADLINE_EXCEEDED`.
    public var description: String {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }
}

// MARK: In trailers

extension Status {
    /// Bytes of a message that trailers carry at most: clients bound trailers, 8 KiB is usual.
    private static let messageBytesMax = 2048

    /// The fields that carry the status in trailers.
    var fields: [HeaderField] {
        var fields = [HeaderField("grpc-status", String(code.rawValue))]
        let message = message.cut(to: Status.messageBytesMax)
        if !message.isEmpty { fields.append(HeaderField("grpc-message", percentEncoded(message))) }
        if let retryPushback {
            fields.append(HeaderField("grpc-retry-pushback-ms", String(retryPushback.inMilliseconds)))
        }
        var details = details
        if let retryPushback, retryPushback >= .zero { details.append(.retryInfo(after: retryPushback)) }
        if !details.isEmpty {
            fields.append(HeaderField("grpc-status-details-bin", base64(packed(message, details))))
        }
        return fields
    }

    /// A `google.rpc.Status`.
    private func packed(_ message: String, _ details: [Detail]) -> [UInt8] {
        var status = WireWriter()
        status.varint(1, UInt64(code.rawValue))
        status.bytes(2, Array(message.utf8))
        for detail in details {
            var any = WireWriter()
            any.bytes(1, Array("type.googleapis.com/\(detail.type)".utf8))
            any.bytes(2, detail.value)
            status.bytes(3, any.written)
        }
        return status.written
    }
}

extension Status.Detail {
    /// A `google.rpc.ErrorInfo`: a reason that programs may rely on, in the terms of a domain.
    public static func errorInfo(reason: String, domain: String) -> Status.Detail {
        var info = WireWriter()
        info.bytes(1, Array(reason.utf8))
        info.bytes(2, Array(domain.utf8))
        return Status.Detail(type: "google.rpc.ErrorInfo", value: info.written)
    }

    /// A `google.rpc.RetryInfo`.
    fileprivate static func retryInfo(after delay: Duration) -> Status.Detail {
        let (seconds, attoseconds) = delay.components
        var duration = WireWriter()
        duration.varint(1, UInt64(seconds))
        duration.varint(2, UInt64(attoseconds / 1_000_000_000))
        var info = WireWriter()
        info.bytes(1, duration.written)
        return Status.Detail(type: "google.rpc.RetryInfo", value: info.written)
    }
}

/// Writes the two wire types that the details of a status need.
private struct WireWriter {
    var written: [UInt8] = []

    mutating func varint(_ field: UInt64, _ value: UInt64) {
        if value == 0 { return }
        raw(field << 3)
        raw(value)
    }

    mutating func bytes(_ field: UInt64, _ value: [UInt8]) {
        raw(field << 3 | 2)
        raw(UInt64(value.count))
        written += value
    }

    private mutating func raw(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            written.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        written.append(UInt8(rest))
    }
}

extension String {
    /// The text, or as much of its beginning as fits into so many bytes.
    fileprivate func cut(to bytes: Int) -> String {
        if utf8.count <= bytes { return self }
        var end = utf8.index(startIndex, offsetBy: bytes - 3)
        while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end]) + "…"
    }
}

/// `text` as `grpc-message` carries it: a byte outside 0x20 to 0x7E, or a `%`, as `%XX`.
func percentEncoded(_ text: String) -> String {
    let plain = { (byte: UInt8) in (0x20...0x7e).contains(byte) && byte != UInt8(ascii: "%") }
    if text.utf8.allSatisfy(plain) { return text }
    let digits = Array("0123456789ABCDEF".utf8)
    var encoded: [UInt8] = []
    for byte in text.utf8 {
        if plain(byte) {
            encoded.append(byte)
        } else {
            encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: encoded, as: UTF8.self)
}

/// The text that `grpc-message` carries. A `%` without two digits behind it stays as it is.
package func percentDecoded(_ encoded: [UInt8]) -> String {
    func digit(_ index: Int) -> UInt8? {
        guard index < encoded.count else { return nil }
        switch encoded[index] {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return encoded[index] - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return encoded[index] - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return encoded[index] - UInt8(ascii: "a") + 10
        default: return nil
        }
    }
    var decoded: [UInt8] = []
    var at = 0
    while at < encoded.count {
        if encoded[at] == UInt8(ascii: "%"), let high = digit(at + 1), let low = digit(at + 2) {
            decoded.append(high << 4 | low)
            at += 3
        } else {
            decoded.append(encoded[at])
            at += 1
        }
    }
    return String(decoding: decoded, as: UTF8.self)
}

// MARK: Where there is no grpc-status

extension Status {
    /// What an answer without `grpc-status` means to a client (grpc/doc/http-grpc-status-mapping.md).
    init(httpStatus: Int) {
        let code: Code =
            switch httpStatus {
            case 400: .internal
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unimplemented
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
        self.init(code, "the server answered with HTTP status \(httpStatus) and without a gRPC status")
    }

    /// What the end of a stream without a status means to a client (PROTOCOL-HTTP2.md, "Errors").
    init(http2Error: UInt32) {
        switch http2Error {
        case HTTP2ErrorCode.connectionLost: self.init(.unavailable, "the connection to the server was lost")
        case HTTP2ErrorCode.refusedStream:
            self.init(.unavailable, "the server refused the call before it began")
        case HTTP2ErrorCode.cancel: self.init(.cancelled, "the server cancelled the call")
        case HTTP2ErrorCode.enhanceYourCalm: self.init(.resourceExhausted, "the server asks for fewer calls")
        case HTTP2ErrorCode.noError: self.init(.internal, "the server ended the call without a status")
        default: self.init(.internal, "the server reset the call (HTTP/2 error \(http2Error))")
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up, so that nobody comes back too early.
    var inMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        if seconds > Int64.max / 1000 - 1 { return .max }
        if seconds < 0 { return -1 }
        return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
