// Listening and connecting on real sockets: addresses, errors that name what is wrong, exhaustion.
import Glibc
import Testing

@testable import JunctionTransport

@Suite struct ListenerTests {
    @Test(arguments: ["127.0.0.1", "::1", "localhost", "::"]) func acceptsOnAnyKindOfHost(host: String) throws
    {
        let loop = EventLoop()
        var accepted: [Int32] = []
        let listener = try Listener(loop: loop, host: host, port: 0) { accepted.append($0) }
        #expect(listener.port > 0)
        var connected: [Result<Int32, SystemError>] = []
        let hosts = host == "::" ? ["127.0.0.1", "::1"] : [host]
        for host in hosts {
            Connector.connect(host: host, port: listener.port, loop: loop, timeout: .seconds(5)) {
                connected.append($0)
            }
        }
        loop.run { accepted.count == hosts.count && connected.count == hosts.count }
        for result in connected { close(try result.get()) }
        for descriptor in accepted {
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
            close(descriptor)
        }
        listener.close()
    }

    @Test func severalMayShareAPort() throws {
        let loop = EventLoop()
        let first = try Listener(loop: loop, host: "127.0.0.1", port: 0) { close($0) }
        let second = try Listener(loop: loop, host: "127.0.0.1", port: first.port) { close($0) }
        #expect(second.localAddress == first.localAddress)
    }

    @Test func aTakenPortIsNamed() throws {
        let loop = EventLoop()
        let first = try Listener(loop: loop, host: "127.0.0.1", port: 0, reusePort: false) { close($0) }
        let error = #expect(throws: SystemError.self) {
            try Listener(loop: loop, host: "127.0.0.1", port: first.port, reusePort: false) { close($0) }
        }
        #expect(error?.description == "cannot listen on 127.0.0.1:\(first.port): address already in use")
        #expect(error?.code == EADDRINUSE)
    }

    @Test(arguments: [("127.0.0.1", 70_000), ("256.1.1.1", 1), ("192.0.2.7", 0)])
    func aWrongAddressIsNamed(host: String, port: Int) {
        let error = #expect(throws: SystemError.self) {
            try Listener(loop: EventLoop(), host: host, port: port) { close($0) }
        }
        #expect(error?.description.hasPrefix("cannot listen on \(host):\(port): ") == true)
        #expect(error?.reason.isEmpty == false)
    }

    @Test func aRefusedConnectionIsNamed() throws {
        let loop = EventLoop()
        let listener = try Listener(loop: loop, host: "127.0.0.1", port: 0, reusePort: false) { close($0) }
        let port = listener.port
        listener.close()
        var outcome: Result<HTTP2Connection, SystemError>?
        HTTP2Connection.connect(host: "127.0.0.1", port: port, loop: loop) { outcome = $0 }
        loop.run { outcome != nil }
        guard case .failure(let error) = outcome else {
            Issue.record("nothing listens, and yet it connected")
            return
        }
        #expect(error.description == "cannot connect to 127.0.0.1:\(port): connection refused")
    }

    @Test func acceptingPausesWhileDescriptorsAreUsedUpAndThenGoesOn() throws {
        let loop = EventLoop()
        var accepted: [Int32] = []
        let listener = try Listener(loop: loop, host: "127.0.0.1", port: 0) { accepted.append($0) }
        defer { listener.close() }
        var failures = 2
        listener.systemAccept = { descriptor in
            failures -= 1
            guard failures < 0 else {
                errno = EMFILE
                return -1
            }
            return Glibc.accept(descriptor, nil, nil)
        }
        let peer = RawPeer(port: listener.port)
        loop.run { !accepted.isEmpty }
        #expect(failures == -1 || failures == -2)
        #expect(loop.turns < 20, "it must sleep between its tries")
        _ = withExtendedLifetime(peer) { close(accepted[0]) }
    }
}
