// The door for callers: Junction's services over one channel.
import JunctionRPC

/// A client of one Junction router. Connects with its first call. From any thread.
///
///     let client = JunctionClient(host: "127.0.0.1", port: 50051)
///     let response = try await client.router.complete(request)
///     client.shutdown()
public final class JunctionClient: Sendable {
    /// The calls that the router answers.
    public let router: RouterServiceClient
    private let channel: Channel

    public init(host: String = "127.0.0.1", port: Int = 50051) {
        channel = Channel(host: host, port: port)
        router = RouterServiceClient(channel: channel)
    }

    /// Ends the calls that are under way and closes the connection. Later calls fail with UNAVAILABLE.
    public func shutdown() { channel.shutdown() }
}
