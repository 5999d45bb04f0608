// What a client may say about one call.

/// Options of one call.
public struct CallOptions: Sendable {
    /// How long to wait for the whole call, connecting included; nil waits for ever. The server is told, too.
    public var timeout: Duration?
    /// Header fields to send, names in lower case; the value under a name that ends with `-bin` is base64.
    public var metadata: [(name: String, value: String)]

    public init(timeout: Duration? = nil, metadata: [(name: String, value: String)] = []) {
        self.timeout = timeout
        self.metadata = metadata
    }
}
