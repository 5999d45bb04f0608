// A redis-server of the test's own, and a usage store that either is in it or in memory, both asked in turn
// and at a time that the test sets.
import Foundation
import JunctionOutbound
import JunctionRouting
import JunctionTransport
import Synchronization

@testable import JunctionService

/// A redis-server on a socket in a folder of its own; ends with the process of the tests, however that ends.
final class RedisServer: Sendable {
    let socket: String
    /// The server's shell reads from it, and ends the server when there is no other end any more.
    private let lifeline = Pipe()

    /// One that tests share, each with a namespace of its own.
    static let shared = RedisServer()

    init() {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "junction-redis-\(UUID().uuidString)")
        try! FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        socket = folder.appending(path: "redis.sock").path
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = [
            "-c",
            """
            redis-server --port 0 --unixsocket '\(socket)' --save '' --appendonly no --dir '\(folder.path)' &
            cat; kill -9 $!; wait; rm -rf '\(folder.path)'
            """,
        ]
        process.standardInput = lifeline
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try! process.run()
    }
}

enum StoreKind: CaseIterable, Sendable { case inProcess, redis }

/// A store with a clock that stands until it is set.
final class StoreUnderTest: @unchecked Sendable {
    private let thread: LoopThread
    private let kind: StoreKind
    private let namespace = "test-\(UUID().uuidString)"
    private var client: RedisClient?
    private var store: (any UsageStore)!
    private let clock = Mutex(Duration.zero)

    init(_ kind: StoreKind) {
        self.kind = kind
        thread = LoopThread(name: "store") { _ in }
        onLoop { [self] done in
            switch kind {
            case .inProcess:
                store = InProcessUsageStore { [unowned self] in clock.withLock { $0 } }
                done(())
            case .redis:
                var options = RedisOptions(addresses: [.unix(path: RedisServer.shared.socket)])
                options.timeout = .seconds(10)
                options.connectTimeout = .seconds(10)
                let client = RedisClient(loop: thread.loop, options: options) { 0 }
                client.onStateChange = { if $0 == .ready { done(()) } }
                self.client = client
                store = RedisUsageStore(
                    client: client, namespace: namespace,
                    scripts: RedisScripts(time: "redis.call('LRANGE', '\(namespace):clock', 0, 1)"))
            }
        }
        now = .seconds(1_000_000)
    }

    deinit {
        let thread = thread
        onLoop { [self] done in
            client?.close()
            client = nil
            store = nil
            done(())
        }
        thread.loop.stop()
        thread.join()
    }

    var now: Duration {
        get { clock.withLock { $0 } }
        set {
            clock.withLock { $0 = newValue }
            guard kind == .redis else { return }
            let (seconds, attoseconds) = newValue.components
            let key = "\(namespace):clock"
            onLoop { [self] done in
                client!.send([.text("DEL"), .key(key)])
                client!.send([
                    .text("RPUSH"), .key(key), .integer(Int(seconds)),
                    .integer(Int(attoseconds / 1_000_000_000_000)),
                ]) { _ in done(()) }
            }
        }
    }

    func reserve(_ request: SharedRequest, of member: StoreMember) -> StoreAnswer<SharedReply> {
        onLoop { [self] done in store.reserve(request, of: member, then: done) }
    }

    func exchange(_ report: SharedReport, of member: StoreMember) -> StoreAnswer<SharedNews> {
        onLoop { [self] done in store.exchange(report, of: member, then: done) }
    }

    /// Forgets what was counted, as a server that restarts empty.
    func clear() {
        switch kind {
        case .inProcess: onLoop { [self] done in done((store as! InProcessUsageStore).clear()) }
        case .redis: _ = ofEachKey("DEL")
        }
    }

    /// Seconds until each key of the group `g` expires.
    func timesToLive() -> [Int] { ofEachKey("TTL") }

    /// What is counted in Redis of the group `g`, by field.
    func fieldsOfUse() -> [String] {
        onLoop { [self] done in
            client!.send([.text("HKEYS"), .key("\(namespace):{g}:use")]) { result in
                guard case .success(.array(let values)) = result else { return done([]) }
                done(values.compactMap(\.text))
            }
        }
    }

    /// What Redis answers to a command about each key of the group `g`, whatever its name.
    private func ofEachKey(_ command: String) -> [Int] {
        let script = """
            local answers = {}
            for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
                answers[#answers + 1] = redis.call(ARGV[2], key)
            end
            return answers
            """
        return onLoop { [self] done in
            client!.send([
                .text("EVAL"), .text(script), .integer(0), .text("\(namespace):{g}:*"), .text(command),
            ]) { result in
                guard case .success(.array(let values)) = result else { return done([]) }
                done(values.map { $0.integer ?? -2 })
            }
        }
    }

    private func onLoop<Result: Sendable>(_ job: @escaping @Sendable (@escaping (Result) -> Void) -> Void)
        -> Result
    {
        let answer = Mutex<Result?>(nil)
        let done = DispatchSemaphore(value: 0)
        thread.loop.submit {
            job { result in
                answer.withLock { $0 = result }
                done.signal()
            }
        }
        done.wait()
        return answer.withLock { $0! }
    }
}
