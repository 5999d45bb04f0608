// From the configuration of Redis to a client of it, and what is said when it goes and comes back. Knows no
// key and no script.
import JunctionConfig
import JunctionOutbound
import Synchronization

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

/// Says once for all loops that Redis is gone, and once that it is back.
final class RedisNews: Sendable {
    private let say: @Sendable (String) -> Void
    /// The loops that have no connection, by their number.
    private let cutOff = Mutex<Set<Int>>([])

    init(say: @escaping @Sendable (String) -> Void) { self.say = say }

    func changed(_ state: RedisClient.State, onLoop loop: Int) {
        let news: String? = cutOff.withLock { cutOff in
            switch state {
            case .unavailable(let failure):
                let isFirst = cutOff.isEmpty
                cutOff.insert(loop)
                return isFirst ? "Redis is not there, serving goes on without it: \(failure)" : nil
            case .ready:
                return cutOff.remove(loop) != nil && cutOff.isEmpty ? "Redis is back" : nil
            case .connecting, .closed: return nil
            }
        }
        if let news { say(news) }
    }
}
