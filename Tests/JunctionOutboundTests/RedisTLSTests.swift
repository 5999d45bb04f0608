// Encrypted Redis: a real redis-server with a certificate made for the test, and what is not accepted.
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct RedisTLSTests {
    private let harness = Harness()
    private let replies = Replies()

    /// A certificate for `name`, which is its own authority, and a server that shows it.
    private final class Certified {
        let folder: TemporaryFolder
        let server: RedisServer
        let port = freePort()
        var certificate: String { folder.path + "/certificate" }
        var key: String { folder.path + "/key" }

        init(name: String, clients: String = "no") throws {
            folder = try TemporaryFolder()
            let made = folder.path
            try ChildProgram.run(
                "/usr/bin/openssl",
                ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
                    + ["-subj", "/CN=redis", "-addext", "subjectAltName=\(name)", "-days", "2"]
                    + ["-keyout", made + "/key", "-out", made + "/certificate"])
            server = try RedisServer(
                ["--tls-port", "\(port)", "--tls-cert-file", made + "/certificate"]
                    + ["--tls-key-file", made + "/key", "--tls-ca-cert-file", made + "/certificate"]
                    + ["--tls-auth-clients", clients])
        }
    }

    private func client(
        _ certified: Certified, host: String = "127.0.0.1", _ change: (inout RedisTLS) -> Void = { _ in }
    ) -> RedisClient {
        RedisClient(harness.loop, .tcp(host: host, port: certified.port)) {
            var tls = RedisTLS()
            tls.caFile = certified.certificate
            change(&tls)
            $0.tls = tls
        }
    }

    @Test(arguments: [("IP:127.0.0.1", "127.0.0.1"), ("DNS:localhost", "localhost")])
    func speaksEncrypted(_ name: String, _ host: String) throws {
        let certified = try Certified(name: name)
        let client = client(certified, host: host)
        let content = [UInt8](repeating: 9, count: 3_000_000)
        client.send(["SET", .key("k"), .bytes(content)], completion: replies.completion)
        client.send(["GET", .key("k")], completion: replies.completion)
        harness.when(replies.count == 2) {
            for number in 0..<300 { client.send(["ECHO", .integer(number)], completion: replies.completion) }
        }
        harness.when(replies.count == 302)
        harness.run()
        #expect(Array(replies.values[..<2]) == [.status("OK"), .bytes(content)])
        #expect(Array(replies.values[2...]) == (0..<300).map { .bytes(Array("\($0)".utf8)) })
    }

    @Test(arguments: [("DNS:redis.test", "127.0.0.1"), ("IP:127.0.0.1", "localhost")])
    func aWrongNameIsRefusedUnlessNamesAreNotChecked(_ name: String, _ host: String) throws {
        let certified = try Certified(name: name)
        let strict = client(certified, host: host)
        let lax = client(certified, host: host) { $0.checksHostname = false }
        harness.when(strict.isUnavailable && lax.state == .ready)
        harness.run()
        #expect(strict.reason?.message.contains("certificate is not accepted") == true)
        #expect(strict.reason?.message.contains("mismatch") == true)
    }

    @Test func anUnknownAuthorityIsRefusedUnlessNothingIsChecked() throws {
        let certified = try Certified(name: "IP:127.0.0.1")
        let strict = client(certified) { $0.caFile = nil }
        let lax = client(certified) {
            $0.caFile = nil
            $0.verifiesCertificate = false
        }
        harness.when(strict.isUnavailable && lax.state == .ready)
        harness.run()
        #expect(strict.reason?.message.contains("certificate is not accepted") == true)
    }

    @Test func ourCertificateIsShown() throws {
        let certified = try Certified(name: "IP:127.0.0.1", clients: "yes")
        let named = client(certified) {
            $0.certificateFile = certified.certificate
            $0.keyFile = certified.key
        }
        let nameless = client(certified)
        harness.when(named.state == .ready && nameless.isUnavailable)
        harness.run()
    }

    @Test func aServerThatDoesNotEncryptIsSaid() throws {
        let server = try RedisServer()
        // Redis waits for the end of the line that it takes a greeting in TLS for.
        let client = RedisClient(harness.loop, server.address) {
            $0.tls = RedisTLS()
            $0.connectTimeout = .milliseconds(200)
        }
        harness.when(client.isUnavailable)
        harness.run()
        #expect(client.reason?.message.contains("did not agree on TLS") == true)
    }

    @Test func filesThatCannotBeReadAreSaid() {
        let client = RedisClient(harness.loop, .tcp(host: "127.0.0.1", port: 1)) {
            var tls = RedisTLS()
            tls.caFile = "/nonexistent"
            $0.tls = tls
        }
        client.send(["PING"], completion: replies.completion)
        #expect(client.reason?.message.contains("cannot read the trusted certificates") == true)
        #expect(replies.count == 0)
        harness.when(replies.failures.map(\.kind) == [.refused])
        harness.run()
    }
}
