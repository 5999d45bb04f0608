// From the configuration of Redis to a client of it. Knows no key and no script.
import JunctionConfig
import JunctionOutbound

extension RedisOptions {
    init(_ redis: RedisConfiguration) {
        self.init(addresses: clientAddresses(redis.addresses))
        if let configured = redis.sentinels {
            let addresses = clientAddresses(configured.addresses)
            var sentinels = RedisSentinels(addresses: addresses, serviceName: configured.serviceName)
            sentinels.credentials.password = way(to: configured.password)
            self.sentinels = sentinels
        }
        credentials.username = redis.username
        credentials.password = way(to: redis.password)
        database = redis.database
        timeout = redis.timeout
        guard let configured = redis.tls else { return }
        var tls = RedisTLS()
        tls.verifiesCertificate = configured.verifiesCertificate
        tls.checksHostname = configured.checksHostname
        tls.caFile = configured.caFile
        tls.certificateFile = configured.certificateFile
        tls.keyFile = configured.keyFile
        self.tls = tls
    }
}

private func clientAddresses(_ configured: [RedisConfiguration.Address]) -> [RedisAddress] {
    configured.map { address in
        switch address {
        case .tcp(let host, let port): RedisAddress.tcp(host: host, port: port)
        case .unix(let path): RedisAddress.unix(path: path)
        }
    }
}

private func way(to secret: Secret?) -> (@Sendable () -> String)? {
    guard let secret else { return nil }
    return { secret.reveal() }
}
