// Redis for tests: real servers as child programs, and one inside the test whose every byte the test decides.
import Glibc
import JunctionTransport
import Testing

@testable import JunctionOutbound

/// A redis-server of Debian on a free port of 127.0.0.1; it keeps nothing on disk.
final class RedisServer {
    let port: Int
    private let folder: TemporaryFolder
    private let arguments: [String]
    private var program: ChildProgram

    init(port: Int = freePort(), _ extra: [String] = []) throws {
        self.port = port
        folder = try TemporaryFolder()
        arguments =
            ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            + ["--dir", folder.path] + extra
        program = try ChildProgram("/usr/bin/redis-server", arguments)
        program.waitUntilListening(on: port)
    }

    func signal(_ number: Int32) { program.signal(number) }

    func end() { program.end() }

    /// Comes up empty, on the same port.
    func restart() throws {
        program.end()
        program = try ChildProgram("/usr/bin/redis-server", arguments)
        program.waitUntilListening(on: port)
    }

    var address: RedisAddress { .tcp(host: "127.0.0.1", port: port) }
}

/// Speaks as the test says. Confined to the loop.
final class FakeRedis {
    let port: Int
    /// What came on each connection, in order of their coming.
    private(set) var received: [String] = []
    /// What to do with what came just now.
    var onBytes: (FakeRedis, Int, String) -> Void
    private(set) var openCount = 0
    private let listener: Int32
    private var descriptors: [Int32] = []
    private var watches: [DescriptorWatch] = []
    private let loop: EventLoop

    init(loop: EventLoop, onBytes: @escaping (FakeRedis, Int, String) -> Void) {
        self.loop = loop
        self.onBytes = onBytes
        (listener, port) = listenOnFreePort(backlog: 16)
        watches = [loop.watch(listener, .read) { [unowned self] _ in acceptOne() }]
    }

    private func acceptOne() {
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else { return }
        let index = descriptors.count
        descriptors.append(descriptor)
        received.append("")
        openCount += 1
        watches.append(loop.watch(descriptor, .read) { [unowned self] _ in read(index) })
    }

    private func read(_ index: Int) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptors[index], &buffer, buffer.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { return close(index) }
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        received[index] += text
        onBytes(self, index, text)
    }

    func write(_ text: String, to index: Int) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(descriptors[index], bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    func close(_ index: Int) {
        guard descriptors[index] >= 0 else { return }
        watches[index + 1].close()
        Glibc.close(descriptors[index])
        descriptors[index] = -1
        openCount -= 1
    }

    deinit {
        watches[0].close()
        Glibc.close(listener)
        for index in descriptors.indices { close(index) }
    }

    var address: RedisAddress { .tcp(host: "127.0.0.1", port: port) }
}

/// Collects what comes back.
final class Replies {
    private(set) var values: [RedisValue] = []
    private(set) var failures: [RedisFailure] = []
    var count: Int { values.count + failures.count }

    var completion: RedisClient.Completion {
        { result in
            switch result {
            case .success(let value): self.values.append(value)
            case .failure(let failure): self.failures.append(failure)
            }
        }
    }

    func clear() {
        values = []
        failures = []
    }
}

extension RedisClient {
    /// Pauses between attempts take half of their longest time. Time-outs are longer than they are in use,
    /// since tests run on machines that do much else.
    convenience init(
        _ loop: EventLoop, _ address: RedisAddress, timeout: Duration = .seconds(20),
        _ change: (inout RedisOptions) -> Void = { _ in }
    ) {
        var options = RedisOptions(addresses: [address])
        options.timeout = timeout
        options.connectTimeout = .seconds(20)
        change(&options)
        self.init(loop: loop, options: options, jitter: { 0.5 })
    }

    var isUnavailable: Bool { if case .unavailable = state { true } else { false } }
    var reason: RedisFailure? { if case .unavailable(let failure) = state { failure } else { nil } }
}
