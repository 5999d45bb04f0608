// What can go wrong between sending a request and the end of its answer. Knows no status code: an answer with
// any status is an answer.

/// Why a request got no whole answer.
public struct HTTPFailure: Error, Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// The endpoint cannot be used as it was written; nothing was sent.
        case invalidEndpoint
        /// The host's name has no address.
        case resolve
        /// No connection: refused, unreachable.
        case connect
        /// The TLS handshake failed, or the certificate was not accepted.
        case tls
        /// No connection within the connect time-out.
        case timeout
        /// The connection, or the stream on it, ended early. `beforeResponse`: no byte of an answer had come,
        /// on a connection that was new or after libcurl's own second try on a new one.
        case reset(beforeResponse: Bool)
        /// What came is not HTTP as it must be.
        case `protocol`
        /// The body has more bytes than the endpoint allows.
        case tooLarge
    }

    public var kind: Kind
    /// For a person. Holds no header, no body and no URL; at most the host's name or address and the port.
    public var message: String

    public init(_ kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }
}

/// How a transfer ended.
public enum HTTPEnd: Sendable, Equatable {
    case complete
    case failed(HTTPFailure)
}

/// What a transfer tells, on its loop's thread. Never from inside `send`, `cancel`, `pause`, `resume` or
/// `letGo`; all of these may be called from inside these methods, for this transfer and for others.
public protocol HTTPHandler: AnyObject {
    /// The status of the final answer; those of interim answers (1xx) are not told.
    func received(status: Int)
    /// One header of the final answer, the name spelled as the provider spells it; no trailers.
    func received(headerName: Span<UInt8>, value: Span<UInt8>)
    /// The next bytes of the body; they are gone after the return.
    func received(body: Span<UInt8>)
    /// Once, the last call; also while paused, if the whole body was told before.
    func ended(_ end: HTTPEnd)
}
