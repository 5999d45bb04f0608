// Opens a connection without blocking its loop: finds the addresses of a host and tries them in order, or
// takes the path of a Unix socket.
import Glibc

/// One attempt to connect. Its timer and its watch keep it alive until it ends.
public final class Connector {
    private let loop: EventLoop
    private let operation: String
    private var addresses: ArraySlice<SocketAddress> = []
    private var descriptor: Int32 = -1
    private var watch: DescriptorWatch?
    private var timer: Timer?
    private var start: Timer?
    private var completion: ((Result<Int32, SystemError>) -> Void)?

    /// `completion` runs later, on the loop, with a non-blocking socket or with why the last address failed.
    public static func connect(
        host: String, port: Int, loop: EventLoop, timeout: Duration,
        completion: @escaping (Result<Int32, SystemError>) -> Void
    ) {
        let connector = Connector("\(host):\(port)", loop: loop, timeout: timeout, completion: completion)
        loop.resolve(host: host, port: port) { addresses, reason in
            connector.addresses = addresses[...]
            connector.tryNext(SystemError(connector.operation, reason: reason ?? "the name has no address"))
        }
    }

    /// The same for a Unix socket.
    public static func connect(
        path: String, loop: EventLoop, timeout: Duration,
        completion: @escaping (Result<Int32, SystemError>) -> Void
    ) {
        let connector = Connector(path, loop: loop, timeout: timeout, completion: completion)
        connector.start = loop.schedule(after: .zero) {
            connector.start = nil
            connector.addresses = SocketAddress(path: path).map { [$0] } ?? []
            connector.tryNext(SystemError(connector.operation, reason: "the path is too long"))
        }
    }

    private init(
        _ name: String, loop: EventLoop, timeout: Duration,
        completion: @escaping (Result<Int32, SystemError>) -> Void
    ) {
        self.loop = loop
        self.completion = completion
        operation = "connect to \(name)"
        timer = loop.schedule(after: timeout) { self.finish(.failure(self.error(ETIMEDOUT))) }
    }

    private func error(_ code: Int32) -> SystemError { SystemError(operation, code: code) }

    private func tryNext(_ previous: SystemError) {
        guard completion != nil else { return }
        guard let address = addresses.popFirst() else { return finish(.failure(previous)) }
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { return tryNext(error(errno)) }
        let result = address.withSystemAddress { Glibc.connect(descriptor, $0, $1) }
        guard result == 0 || errno == EINPROGRESS else {
            let failure = error(errno)
            closeSocket()
            return tryNext(failure)
        }
        watch = loop.watch(descriptor, .write) { _ in self.becameWritable() }
    }

    private func becameWritable() {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        watch?.close()
        watch = nil
        if code == 0 {
            let connected = descriptor
            descriptor = -1
            finish(.success(connected))
        } else {
            closeSocket()
            tryNext(error(code))
        }
    }

    private func finish(_ result: Result<Int32, SystemError>) {
        guard let completion else { return }
        self.completion = nil
        timer?.invalidate()
        timer = nil
        closeSocket()
        completion(result)
    }

    private func closeSocket() {
        watch?.close()
        watch = nil
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }
}
