// The configured Redis reaches the client whole.
import JunctionConfig
import JunctionOutbound
import Testing

@testable import JunctionService

@Suite struct SharedRedisTests {
    @Test func everySettingReachesTheClient() throws {
        let text = """
            model_list:
              - model_name: chat
                litellm_params: {model: openai/gpt-4o, api_key: x}
            router_settings:
              redis_sentinel_nodes: [["s", 1]]
              redis_service_name: mine
              redis_sentinel_password: first
              redis_username: me
              redis_password: second
              redis_db: 4
              redis_ssl: true
              redis_ssl_cert_reqs: none
              redis_ssl_check_hostname: false
              redis_ssl_ca_certs: ca
              redis_ssl_certfile: c
              redis_ssl_keyfile: k
            junction_settings: {shared_usage: {timeout: 0.25}}
            """
        let (configuration, diagnostics) = ConfigFile.read(text: text, file: "c", environment: [:])
        #expect(diagnostics == [])
        let options = RedisOptions(try #require(configuration?.sharedUsage).redis)
        #expect(options.addresses == [])
        #expect(options.sentinels?.addresses == [.tcp(host: "s", port: 1)])
        #expect(options.sentinels?.serviceName == "mine")
        #expect(options.sentinels?.credentials.password?() == "first")
        #expect(options.credentials.username == "me" && options.credentials.password?() == "second")
        #expect(options.database == 4 && options.timeout == .milliseconds(250))
        let tls = try #require(options.tls)
        #expect(!tls.verifiesCertificate && !tls.checksHostname)
        #expect(tls.caFile == "ca" && tls.certificateFile == "c" && tls.keyFile == "k")
    }
}
