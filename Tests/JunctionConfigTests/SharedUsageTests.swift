// What a file says about Redis comes out as one value, whichever of LiteLLM's ways it is said in.
import JunctionConfig
import Testing

@Suite struct SharedUsageTests {
    private func read(
        _ router: String, junction: String = "{}", environment: [String: String] = [:]
    ) throws -> SharedUsageConfiguration? {
        let text = """
            model_list:
              - model_name: chat
                litellm_params: {model: openai/gpt-4o, api_key: x}
            router_settings: {\(router)}
            junction_settings: \(junction)
            """
        let (configuration, diagnostics) = ConfigFile.read(
            text: text, file: "config.yaml", environment: environment)
        #expect(diagnostics == [])
        return try #require(configuration).sharedUsage
    }

    @Test func nothingIsSharedUnlessRedisIsNamed() throws {
        #expect(try read("num_retries: 1") == nil)
    }

    @Test func aHostIsEnough() throws {
        let shared = try #require(try read("redis_host: localhost"))
        #expect(shared.redis.addresses == [.tcp(host: "localhost", port: 6379)])
        #expect(shared.redis.password == nil && shared.redis.tls == nil && shared.redis.database == 0)
        #expect(shared.redis.namespace == "junction")
        #expect(shared.redis.timeout == .milliseconds(50))
        #expect(shared.mode == .leased && !shared.failClosed)
    }

    @Test func everyKeyIsTaken() throws {
        let router = """
            redis_host: os.environ/HOST, redis_port: os.environ/PORT, redis_password: os.environ/PASSWORD,
              redis_username: me, redis_db: 3, redis_ssl: true, redis_ssl_ca_certs: ca, redis_namespace: mine,
              redis_ssl_cert_reqs: none, redis_ssl_check_hostname: false, redis_ssl_certfile: c,
              redis_ssl_keyfile: k
            """
        let shared = try #require(
            try read(
                router, junction: "{shared_usage: {mode: exact, fail_closed: true, timeout: 0.2}}",
                environment: ["HOST": "redis.example", "PORT": "6380", "PASSWORD": "s3cret"]))
        #expect(shared.redis.addresses == [.tcp(host: "redis.example", port: 6380)])
        #expect(shared.redis.password?.reveal() == "s3cret")
        #expect(shared.redis.username == "me" && shared.redis.database == 3)
        #expect(shared.redis.namespace == "mine" && shared.redis.timeout == .milliseconds(200))
        let tls = try #require(shared.redis.tls)
        #expect(!tls.verifiesCertificate && !tls.checksHostname)
        #expect(tls.caFile == "ca" && tls.certificateFile == "c" && tls.keyFile == "k")
        #expect(shared.mode == .exact && shared.failClosed)
        #expect(!"\(shared)".contains("s3cret"))
    }

    @Test func theSameKeysAreTakenFromCacheKwargs() throws {
        let shared = try #require(
            try read("redis_host: a, redis_port: 1, cache_kwargs: {host: b, ssl: true, password: p, db: 2}"))
        #expect(shared.redis.addresses == [.tcp(host: "a", port: 1)])
        #expect(shared.redis.password?.reveal() == "p" && shared.redis.database == 2)
        #expect(shared.redis.tls == RedisConfiguration.TLS())
    }

    @Test(
        arguments: [
            ("redis://h", "h", 6379, nil, nil, 0), ("redis://h:1/2", "h", 1, nil, nil, 2),
            ("rediss://:p%40ss@[::1]:7", "::1", 7, nil, "p@ss", 0),
            ("REDISS://u%3a:p:q@h/?db=4", "h", 6379, "u:", "p:q", 4),
        ] as [(String, String, Int, String?, String?, Int)])
    func aURLIsTakenApart(
        _ url: String, _ host: String, _ port: Int, _ user: String?, _ password: String?, _ database: Int
    ) throws {
        let redis = try #require(try read("redis_url: \"\(url)\"")).redis
        #expect(redis.addresses == [.tcp(host: host, port: port)])
        #expect(redis.username == user && redis.password?.reveal() == password)
        #expect(redis.database == database)
        #expect((redis.tls != nil) == url.lowercased().hasPrefix("rediss"))
    }

    @Test func aURLMaySayHowItIsEncrypted() throws {
        let url = "rediss://h?ssl_cert_reqs=none&ssl_check_hostname=False&ssl_ca_certs=%2Fca"
        let tls = try #require(try read("redis_url: \"\(url)\"")?.redis.tls)
        #expect(!tls.verifiesCertificate && !tls.checksHostname && tls.caFile == "/ca")
    }

    @Test func aURLMayNameASocket() throws {
        let redis = try #require(try read("redis_url: \"unix://:p@/run/redis.sock?db=1\"")).redis
        #expect(redis.addresses == [.unix(path: "/run/redis.sock")])
        #expect(redis.database == 1 && redis.password?.reveal() == "p")
    }

    @Test func nodesAreTakenInEachForm() throws {
        let nodes = "[{host: a, port: 1}, [b, 2], \"c:3\", \"[::1]:4\", d]"
        let cluster = try #require(try read("redis_startup_nodes: \(nodes)")).redis
        func addresses(_ last: Int) -> [RedisConfiguration.Address] {
            [("a", 1), ("b", 2), ("c", 3), ("::1", 4), ("d", last)].map { .tcp(host: $0.0, port: $0.1) }
        }
        #expect(cluster.addresses == addresses(6379))
        let router = """
            cache_kwargs: {sentinel_nodes: \(nodes), service_name: mine, sentinel_password: p, password: q}
            """
        let redis = try #require(try read(router)).redis
        #expect(redis.sentinels?.addresses == addresses(26379))
        #expect(redis.sentinels?.serviceName == "mine" && redis.sentinels?.password?.reveal() == "p")
        #expect(redis.addresses == [] && redis.password?.reveal() == "q")
    }
}
