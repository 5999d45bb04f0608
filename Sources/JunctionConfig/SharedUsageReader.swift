// Makes `SharedUsageConfiguration` of what `router_settings` says about Redis and `junction_settings` about
// sharing. LiteLLM's Router takes Redis' address and password by keys that begin with `redis_`, and all else
// that its client knows (redis-py, "Redis" and "from_url") under `cache_kwargs`: here both take both.

extension Schema {
    /// What is known of Redis: under `router_settings` after `redis_`, under `cache_kwargs` as it is.
    static let redisKeys: [KeySpec] = [
        KeySpec("url", .secret),
        KeySpec("host", .text),
        KeySpec("port", .integer(1...65535)),
        KeySpec("username", .text),
        KeySpec("password", .secret),
        KeySpec("db", .integer(0...1_000_000)),
        KeySpec("namespace", .text),
        KeySpec("ssl", .boolean),
        KeySpec("ssl_ca_certs", .text),
        KeySpec("ssl_cert_reqs", .choice(["required", "optional", "none"])),
        KeySpec("ssl_check_hostname", .boolean),
        KeySpec("ssl_certfile", .text),
        KeySpec("ssl_keyfile", .text),
        KeySpec("startup_nodes", .nodeList),
        KeySpec("sentinel_nodes", .nodeList),
        KeySpec("sentinel_password", .secret),
        KeySpec("service_name", .text),
    ]
}

func sharedUsage(router: Values?, junction: Values?, report: inout Report) -> SharedUsageConfiguration? {
    let settings = junction?.section("shared_usage")
    let redis = RedisReader(router: router, arguments: router?.section("cache_kwargs")).read(report: &report)
    guard var redis else {
        if let settings, !isAnyFaulty(report) {
            report.error(
                settings.place,
                "Usage is shared over Redis: give redis_host or redis_url under router_settings, too.")
        }
        return nil
    }
    redis.timeout = settings?.duration("timeout") ?? redis.timeout
    var shared = SharedUsageConfiguration(redis: redis)
    shared.mode =
        settings?.text("mode").flatMap(SharedUsageConfiguration.Mode.init(rawValue:)) ?? shared.mode
    shared.failClosed = settings?.boolean("fail_closed") ?? shared.failClosed
    return shared
}

/// Whether a key of Redis was found wrong, so that what follows from it need not be told, too.
private func isAnyFaulty(_ report: Report) -> Bool {
    Schema.redisKeys.contains {
        report.speaks(of: "router_settings.redis_\($0.name)")
            || report.speaks(of: "router_settings.cache_kwargs.\($0.name)")
    }
}

/// Reads the keys of Redis, wherever they stand, and finds the ones that contradict each other.
private struct RedisReader {
    let router: Values?
    let arguments: Values?

    /// The key in the one place where it stands; `router_settings` comes first.
    private func entry(_ key: String) -> Entry? { router?["redis_" + key] ?? arguments?[key] }

    /// The section that has the key, and the key's name there.
    private func home(_ key: String) -> (values: Values, key: String)? {
        if let router, router["redis_" + key] != nil { return (router, "redis_" + key) }
        if let arguments, arguments[key] != nil { return (arguments, key) }
        return nil
    }

    private func text(_ key: String) -> String? { home(key).flatMap { $0.values.text($0.key) } }
    private func secret(_ key: String) -> Secret? { home(key).flatMap { $0.values.secret($0.key) } }
    private func boolean(_ key: String) -> Bool? { home(key).flatMap { $0.values.boolean($0.key) } }
    private func nodes(_ key: String) -> [HostAndPort]? { home(key).flatMap { $0.values.nodes($0.key) } }

    /// The file's name of a key, for a message.
    private func name(_ key: String) -> String { home(key)?.key ?? "redis_" + key }

    func read(report: inout Report) -> RedisConfiguration? {
        guard var redis = server(report: &report) else { return nil }
        if let namespace = entry("namespace"), let text = text("namespace") {
            if text.isEmpty || text.contains(where: { $0.isWhitespace || "{}".contains($0) }) {
                report.error(namespace.place, "Expected a text without spaces and braces, as in junction.")
            }
            redis.namespace = text
        }
        if redis.password == nil, redis.username != nil, let place = entry("username")?.place {
            report.error(place, "A user name needs a password: give \(name("password")), too.")
        }
        readTLS(into: &redis, report: &report)
        return redis
    }

    /// Where Redis is; nil: nowhere, as far as the file says.
    private func server(report: inout Report) -> RedisConfiguration? {
        var redis: RedisConfiguration
        var unused: [String]
        let how: String
        if let nodes = nodes("startup_nodes") {
            how = "startup_nodes"
            redis = RedisConfiguration(addresses: addresses(nodes, port: 6379))
            unused = ["url", "host", "port", "sentinel_nodes", "service_name", "sentinel_password"]
            if let database = integer("db"), database != 0 {
                report.error(entry("db")!.place, "A cluster has only database 0. Remove this key.")
            }
        } else if let url = secret("url") {
            how = "url"
            guard let made = configuration(of: url, report: &report) else { return nil }
            redis = made
            unused = [
                "host", "port", "db", "username", "password", "sentinel_nodes", "service_name",
                "sentinel_password",
            ]
        } else if let nodes = nodes("sentinel_nodes") {
            how = "sentinel_nodes"
            redis = RedisConfiguration(addresses: [])
            guard let service = text("service_name"), !service.isEmpty else {
                report.error(
                    entry("sentinel_nodes")!.place,
                    "Sentinels are asked for a master by its name: give \(name("service_name")), too.")
                return nil
            }
            redis.sentinels = RedisConfiguration.Sentinels(
                addresses: addresses(nodes, port: 26379), serviceName: service,
                password: secret("sentinel_password"))
            unused = ["host", "port"]
        } else if let host = text("host") {
            how = "host"
            if let fault = hostFault(host) { report.error(entry("host")!.place, fault) }
            redis = RedisConfiguration(addresses: [.tcp(host: host, port: integer("port") ?? 6379)])
            unused = ["sentinel_password", "service_name"]
        } else {
            complainOfKeysWithoutServer(report: &report)
            return nil
        }
        if how != "url" {
            redis.username = text("username")
            redis.password = secret("password")
            redis.database = integer("db") ?? 0
        }
        for key in unused {
            guard let place = entry(key)?.place else { continue }
            report.warning(place, "This key has no effect beside \(name(how)).")
        }
        return redis
    }

    private func integer(_ key: String) -> Int? { home(key).flatMap { $0.values.integer($0.key) } }

    private func addresses(_ nodes: [HostAndPort], port: Int) -> [RedisConfiguration.Address] {
        nodes.map { .tcp(host: $0.host, port: $0.port ?? port) }
    }

    /// Whoever gives a password believes that Redis is used.
    private func complainOfKeysWithoutServer(report: inout Report) {
        if isAnyFaulty(report) { return }
        for spec in Schema.redisKeys {
            guard let place = entry(spec.name)?.place else { continue }
            return report.error(
                place, "This says nothing about where Redis is: give redis_host or redis_url, too.")
        }
    }

    private func readTLS(into redis: inout RedisConfiguration, report: inout Report) {
        let isUnix = redis.addresses.contains { if case .unix = $0 { true } else { false } }
        if boolean("ssl") == true, redis.tls == nil {
            if secret("url") != nil, nodes("startup_nodes") == nil {
                report.error(
                    entry("ssl")!.place,
                    isUnix
                        ? "A socket of this machine is not encrypted. Remove this key."
                        : "\(name("url")) begins with redis://, which is in clear. Write rediss://."
                )
                return
            }
            redis.tls = RedisConfiguration.TLS()
        }
        let keys = ["ssl_ca_certs", "ssl_cert_reqs", "ssl_check_hostname", "ssl_certfile", "ssl_keyfile"]
        guard var tls = redis.tls else {
            for key in keys {
                guard let place = entry(key)?.place else { continue }
                report.warning(place, "This key has no effect without \(name("ssl")): true.")
            }
            return
        }
        if boolean("ssl") == false {
            report.error(entry("ssl")!.place, "\(name("url")) begins with rediss://, which is encrypted.")
        }
        if text("ssl_cert_reqs") == "none" { tls.verifiesCertificate = false }
        tls.checksHostname = boolean("ssl_check_hostname") ?? tls.checksHostname
        tls.caFile = text("ssl_ca_certs") ?? tls.caFile
        tls.certificateFile = text("ssl_certfile") ?? tls.certificateFile
        tls.keyFile = text("ssl_keyfile") ?? tls.keyFile
        if tls.keyFile != nil, tls.certificateFile == nil, let place = entry("ssl_keyfile")?.place {
            report.error(place, "A key needs its certificate: give \(name("ssl_certfile")), too.")
        }
        redis.tls = tls
    }

    // MARK: URLs

    /// `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://…` or `unix://[…@]/PATH`; a query may
    /// hold `db` and the keys of TLS. No message shows any of it.
    private func configuration(of url: Secret, report: inout Report) -> RedisConfiguration? {
        let place = entry("url")!.place
        func fail(_ message: String) -> RedisConfiguration? {
            report.error(place, message)
            return nil
        }
        let text = url.reveal()
        guard let separator = text.firstRange(of: "://"),
            let scheme = ["redis", "rediss", "unix"].first(where: {
                $0 == text[..<separator.lowerBound].lowercased()
            })
        else { return fail("A URL of Redis begins with redis://, rediss:// or unix://.") }
        var rest = text[separator.upperBound...]
        let query = rest.firstIndex(of: "?").map { rest[rest.index(after: $0)...] } ?? ""
        rest = rest.prefix { $0 != "?" }
        var redis = RedisConfiguration(addresses: [])
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            rest = rest[rest.index(after: at)...]
            guard parts.count == 2 else {
                return fail("What stands before @ is USER:PASSWORD, or :PASSWORD for the default user.")
            }
            guard let user = decoded(parts[0]), let password = decoded(parts[1]), !password.isEmpty else {
                return fail("Its user or password is not what percent-encoding makes, or is empty.")
            }
            redis.username = user.isEmpty ? nil : user
            redis.password = Secret(password, source: url.source)
        }
        if scheme == "unix" {
            guard rest.hasPrefix("/"), let path = decoded(rest) else {
                return fail("A URL of a socket holds its whole path, as in unix:///run/redis/redis.sock.")
            }
            redis.addresses = [.unix(path: path)]
        } else {
            let authority = rest.prefix { $0 != "/" }
            guard let address = address(authority) else {
                return fail("It names no host, or a port that is not 1 to 65535.")
            }
            redis.addresses = [address]
            if scheme == "rediss" { redis.tls = RedisConfiguration.TLS() }
            let database = rest.dropFirst(authority.count + 1)
            if !database.isEmpty {
                guard let number = Int(database), number >= 0 else {
                    return fail("What follows the host is the number of a database, as in /0.")
                }
                redis.database = number
            }
        }
        if let fault = read(query, into: &redis) { report.warning(place, fault) }
        return redis
    }

    private func address(_ authority: Substring) -> RedisConfiguration.Address? {
        var host = authority
        var port: Substring?
        if authority.hasPrefix("["), let close = authority.firstIndex(of: "]") {
            host = authority[authority.index(after: authority.startIndex)..<close]
            let after = authority[authority.index(after: close)...]
            if !after.isEmpty { port = after.dropFirst() }
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        let number = port.map { Int($0) ?? 0 } ?? 6379
        guard !host.isEmpty, !host.contains(where: \.isWhitespace), (1...65535).contains(number) else {
            return nil
        }
        return .tcp(host: String(host), port: number)
    }

    private func read(_ query: Substring, into redis: inout RedisConfiguration) -> String? {
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            let value = parts.count == 2 ? decoded(parts[1]) ?? "" : ""
            switch parts.first {
            case "db" where Int(value).map { $0 >= 0 } ?? false: redis.database = Int(value)!
            case "ssl_cert_reqs" where ["required", "optional"].contains(value): break
            case "ssl_cert_reqs" where value == "none": redis.tls?.verifiesCertificate = false
            case "ssl_check_hostname": redis.tls?.checksHostname = value.lowercased() != "false"
            case "ssl_ca_certs": redis.tls?.caFile = value
            case "ssl_certfile": redis.tls?.certificateFile = value
            case "ssl_keyfile": redis.tls?.keyFile = value
            default: return "Of its query, only db and keys that begin with ssl_ have an effect."
            }
        }
        return nil
    }
}

/// What is wrong with the name of a host, for a person.
func hostFault(_ host: String) -> String? {
    if host.contains("://") { return "Expected a host name or an address. A URL belongs under redis_url." }
    let isWrong =
        host.isEmpty || host.count { $0 == ":" } == 1
        || host.contains { $0.isWhitespace || "/[]@".contains($0) }
    return isWrong ? "Expected a host name or an address, as in localhost or ::1, without a port." : nil
}

/// Without percent-encoding (RFC 3986, 2.1); nil: what it makes is no UTF-8, or it is none.
private func decoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
        else { return nil }
        bytes.append(value)
        rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
}
