// Accepts TCP connections on one address for one loop. Knows nothing of what is spoken on them.
import Glibc

/// A listening socket. Several may share a port (SO_REUSEPORT), one a loop; the system spreads connections.
public final class Listener {
    private static let pauseWhenExhausted = Duration.milliseconds(100)
    private static let connectionsATurn = 64
    private let descriptor: Int32
    private let onAccept: (Int32) -> Void
    private var watch: DescriptorWatch?
    private var resumption: Timer?
    /// Tests put a failing one in its place.
    var systemAccept: (Int32) -> Int32 = { Glibc.accept($0, nil, nil) }
    /// The address it listens on, with the port that the system chose if 0 was asked for.
    public let localAddress: SocketAddress

    public var port: Int { localAddress.port }

    /// Listens at once.
    ///
    /// - Parameters:
    ///   - host: an address or a name, such as `127.0.0.1`, `localhost` or `::` (all of IPv6 and IPv4).
    ///   - port: 0 for any free one.
    ///   - claimsPort: whether a port on which somebody listens is an error even if he would share it.
    ///   - onAccept: gets each accepted socket, non-blocking, to own.
    /// - Throws: what is wrong with the address, naming it.
    public init(
        loop: EventLoop, host: String, port: Int, reusePort: Bool = true, claimsPort: Bool = false,
        onAccept: @escaping (Int32) -> Void
    ) throws(SystemError) {
        let operation = "listen on \(host.contains(":") ? "[\(host)]" : host):\(port)"
        self.onAccept = onAccept
        let address = try Listener.address(host, port, operation)
        if claimsPort { Glibc.close(try Listener.listen(address, false, operation)) }
        descriptor = try Listener.listen(address, reusePort, operation)
        localAddress = SocketAddress(ofSocket: descriptor)
        watch = loop.watch(descriptor, .read) { [unowned self] _ in accept() }
        resumption = loop.schedule(after: .zero) { [unowned self] in watch?.update(.read) }
        resumption?.cancel()
    }

    deinit { close() }

    /// Accepts no more; connections that wait unaccepted are reset.
    public func close() {
        guard let watch else { return }
        watch.close()
        self.watch = nil
        resumption?.invalidate()
        Glibc.close(descriptor)
    }

    private func accept() {
        for _ in 0..<Listener.connectionsATurn {
            guard watch != nil else { return }
            let accepted = systemAccept(descriptor)
            if accepted >= 0 {
                _ = fcntl(accepted, F_SETFL, O_NONBLOCK)
                _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
                onAccept(accepted)
                continue
            }
            switch errno {
            case EAGAIN: return
            // The connection is gone before it was accepted; the next one may be fine (accept(2)).
            case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, ENONET, EPERM:
                continue
            default: return pause()
            }
        }
    }

    /// Descriptors or memory are used up: the connection stays ready, so watching on would only spin.
    private func pause() {
        watch?.update([])
        resumption?.reschedule(after: Listener.pauseWhenExhausted)
    }

    private static func address(
        _ host: String, _ port: Int, _ operation: String
    ) throws(SystemError) -> SocketAddress {
        guard (0...65535).contains(port) else {
            throw SystemError(operation, reason: "a port is a number from 0 to 65535")
        }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &found)
        guard result == 0, let found else {
            throw SystemError(operation, reason: String(cString: gai_strerror(result)))
        }
        defer { freeaddrinfo(found) }
        return SocketAddress(found.pointee.ai_addr, found.pointee.ai_addrlen)
    }

    private static func listen(
        _ address: SocketAddress, _ reusePort: Bool, _ operation: String
    ) throws(SystemError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { throw SystemError(operation, code: errno) }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if reusePort { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, size) }
        let isBound = address.withSystemAddress { bind(descriptor, $0, $1) } == 0
        guard isBound, Glibc.listen(descriptor, SOMAXCONN) == 0 else {
            let error = SystemError(operation, code: errno)
            Glibc.close(descriptor)
            throw error
        }
        return descriptor
    }
}

extension SocketAddress {
    /// The local address of a bound socket.
    init(ofSocket descriptor: Int32) {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        self = withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getsockname(descriptor, address, &size)
                return SocketAddress(address, size)
            }
        }
    }
}
