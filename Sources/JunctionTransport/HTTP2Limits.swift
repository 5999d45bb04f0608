// What one HTTP/2 connection may cost: the numbers of RFC 9113 that a side may choose, and the time-outs.

/// Bounds of a connection. The same type serves both roles.
public struct HTTP2Limits: Sendable {
    /// Streams that the peer may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS); more are refused.
    public var concurrentStreams = 10_000
    /// Bytes of one header block, each field counted as name + value + 32 (SETTINGS_MAX_HEADER_LIST_SIZE).
    public var headerListBytes = 16 * 1024
    /// Fields of one header block.
    public var headerFields = 100
    /// Body bytes that the peer may send on a stream before they are consumed. Large enough for a request of
    /// several MiB to arrive in few round trips.
    public var streamWindowBytes = 256 * 1024
    /// The same for all streams of a connection together, consumed or not.
    public var connectionWindowBytes = 4 * 1024 * 1024
    /// How long a new connection may take to send its preface and settings.
    public var handshakeTimeout = Duration.seconds(10)
    /// How long a draining peer has to answer the ping between the two GOAWAYs.
    public var drainPingTimeout = Duration.seconds(1)
    /// How long a connection that is over waits for the peer to read the last bytes and close.
    public var lingerTimeout = Duration.seconds(1)

    public init() {}
}

/// Error codes of RST_STREAM and GOAWAY (RFC 9113 §7).
public enum HTTP2ErrorCode {
    public static let noError: UInt32 = 0x0
    public static let protocolError: UInt32 = 0x1
    public static let internalError: UInt32 = 0x2
    public static let flowControlError: UInt32 = 0x3
    public static let streamClosed: UInt32 = 0x5
    /// The peer promises that it did nothing for this stream: it may be tried again.
    public static let refusedStream: UInt32 = 0x7
    public static let cancel: UInt32 = 0x8
    public static let enhanceYourCalm: UInt32 = 0xb
    /// Never on the wire: the connection ended under the stream.
    public static let connectionLost: UInt32 = .max
}
