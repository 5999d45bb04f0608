// What a configuration file says about usage that instances share over Redis, as values. Opens nothing.

/// Usage is counted for all instances together.
public struct SharedUsageConfiguration: Sendable {
    /// How exact the limits are kept, and what that costs.
    public enum Mode: String, Sendable, CaseIterable {
        /// Each reservation asks Redis.
        case exact
        /// An instance takes a part of a limit ahead, and asks when that is used up.
        case leased
    }

    public var redis: RedisConfiguration
    public var mode = Mode.leased
    /// Whether calls fail while Redis is not there; else each instance goes on with its share of the limits.
    public var failClosed = false

    public init(redis: RedisConfiguration) { self.redis = redis }
}

/// Where Redis is and how it is spoken to.
public struct RedisConfiguration: Sendable {
    public enum Address: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// Sentinels that say where the server is.
    public struct Sentinels: Sendable {
        public var addresses: [Address]
        /// The sentinels' name for the master.
        public var serviceName: String
        public var password: Secret?
    }

    public struct TLS: Sendable, Equatable {
        public var verifiesCertificate = true
        public var checksHostname = true
        /// A file of certificates that are trusted; nil: the system's.
        public var caFile: String?
        /// Our own certificate and its key.
        public var certificateFile: String?
        public var keyFile: String?

        public init() {}
    }

    /// The server, or some nodes of a cluster; empty with `sentinels`.
    public var addresses: [Address]
    public var sentinels: Sentinels?
    public var username: String?
    public var password: Secret?
    public var database = 0
    public var tls: TLS?
    /// Begins every key.
    public var namespace = "junction"
    /// Most time that a call waits for Redis.
    public var timeout: Duration = .milliseconds(50)

    public init(addresses: [Address]) { self.addresses = addresses }
}
