// Where Redis is and how it is spoken to, as values. Reads no configuration and opens nothing.

/// Where a server listens.
public enum RedisAddress: Sendable, Hashable, CustomStringConvertible {
    case tcp(host: String, port: Int)
    case unix(path: String)

    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }
}

/// All that a client needs to know.
public struct RedisOptions: Sendable {
    /// The server, or nodes of a cluster, of which the first that answers is used. Empty with `sentinels`.
    public var addresses: [RedisAddress]
    /// Not nil: sentinels say where the server is.
    public var sentinels: RedisSentinels?
    public var credentials = RedisCredentials()
    public var database = 0
    /// Nil: in clear. Holds for sentinels too.
    public var tls: RedisTLS?
    /// Most time that a reply may take.
    public var timeout: Duration = .milliseconds(50)
    /// Most time until a connection is made, encrypted and signed in.
    public var connectTimeout: Duration = .seconds(1)
    /// What `CLIENT LIST` calls us.
    public var clientName = "junction"

    public init(addresses: [RedisAddress] = [], sentinels: RedisSentinels? = nil) {
        self.addresses = addresses
        self.sentinels = sentinels
    }

    public init(host: String, port: Int = 6379) {
        self.init(addresses: [.tcp(host: host, port: port)])
    }
}

/// Who we are to Redis. The password is behind a closure, so that printing shows none.
public struct RedisCredentials: Sendable {
    /// Nil: the default user.
    public var username: String?
    /// Nil: no sign-in.
    public var password: (@Sendable () -> String)?

    public init(username: String? = nil, password: (@Sendable () -> String)? = nil) {
        self.username = username
        self.password = password
    }
}

/// Redis Sentinel (redis.io, "High availability with Redis Sentinel"): servers that know which one is master.
public struct RedisSentinels: Sendable {
    public var addresses: [RedisAddress]
    /// The name that the sentinels have for the master and its replicas.
    public var serviceName: String
    public var credentials = RedisCredentials()

    public init(addresses: [RedisAddress], serviceName: String) {
        self.addresses = addresses
        self.serviceName = serviceName
    }
}

/// How a connection is encrypted.
public struct RedisTLS: Sendable {
    /// Whether the server's certificate is checked at all.
    public var verifiesCertificate = true
    /// Whether the certificate must name the host.
    public var checksHostname = true
    /// A file of certificates that are trusted, PEM; nil: those of the system.
    public var caFile: String?
    /// A folder of certificates that are trusted, by their hash.
    public var caFolder: String?
    /// Our own certificate and its key, PEM; nil: none is shown.
    public var certificateFile: String?
    public var keyFile: String?

    public init() {}
}
