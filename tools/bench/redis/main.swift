// What a script call through the Redis client costs: CPU time of this thread and wall time, for so many calls
// a turn of the loop. Starts a redis-server of its own on a Unix socket in the temporary folder, or asks the
// one named. Run in release: swift run -c release redis-bench [HOST:PORT]
import Foundation
import Glibc
import JunctionOutbound
import JunctionTransport

/// User and system time of the calling thread, in microseconds.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

/// As a reservation asks: one key, a few numbers, a few numbers back.
let script = RedisScript("return {tonumber(ARGV[1]), tonumber(ARGV[2]), 3}")

/// Sends `depth` calls in a turn, and the next ones when all are answered.
final class Rounds {
    let loop: EventLoop
    let client: RedisClient
    let depth: Int
    var rest: Int
    var pending = 0
    var failures = 0

    init(loop: EventLoop, client: RedisClient, depth: Int, calls: Int) {
        self.loop = loop
        self.client = client
        self.depth = depth
        rest = calls
    }

    func begin() {
        guard rest > 0 else { return loop.stop() }
        rest -= depth
        pending = depth
        for _ in 0..<depth {
            client.evaluate(script, keyCount: 1, completion: answered) { command in
                command.append(key: "junction:{gpt-4o}:use")
                command.append(1234)
                command.append(7)
                command.append(60)
                command.append("gpt-4o-openai")
            }
        }
    }

    func answered(_ result: Result<RedisValue, RedisFailure>) {
        if case .success(.array(let values)) = result, values.count == 3 {} else { failures += 1 }
        pending -= 1
        if pending == 0 { begin() }
    }
}

/// Microseconds of CPU and of wall time a call, the best of five rounds: what other processes take is not ours.
func measure(_ address: RedisAddress, depth: Int) -> (processor: Double, wall: Double) {
    let calls = max(20_000, depth * 200)
    var best = (processor: Double.infinity, wall: Double.infinity)
    for _ in 0..<5 {
        let loop = EventLoop()
        var options = RedisOptions(addresses: [address])
        options.timeout = .seconds(5)
        let client = RedisClient(loop: loop, options: options, jitter: { 0.5 })
        let rounds = Rounds(loop: loop, client: client, depth: depth, calls: calls)
        var start = (processor: 0.0, wall: ContinuousClock.now)
        client.onStateChange = { state in
            // A server that has just started may not listen yet.
            guard state == .ready else { return }
            // The script is loaded before the clock starts.
            client.evaluate(script, keys: ["k"], arguments: [1, 2]) { _ in
                start = (processorTime(), ContinuousClock.now)
                rounds.begin()
            }
        }
        loop.run()
        let wall = (ContinuousClock.now - start.wall) / .microseconds(1)
        best.processor = min(best.processor, (processorTime() - start.processor) / Double(calls))
        best.wall = min(best.wall, wall / Double(calls))
        if rounds.failures > 0 { fatalError("\(rounds.failures) calls failed") }
        client.onStateChange = nil
        client.close()
    }
    return best
}

let address: RedisAddress
var server: Process?
let socket = NSTemporaryDirectory() + "junction-redis-bench-\(getpid())"
if let named = CommandLine.arguments.dropFirst().first {
    let parts = named.split(separator: ":")
    guard parts.count == 2, let port = Int(parts[1]) else { fatalError("usage: redis-bench [HOST:PORT]") }
    address = .tcp(host: String(parts[0]), port: port)
} else {
    let started = Process()
    started.executableURL = URL(filePath: "/usr/bin/redis-server")
    started.arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
    started.standardOutput = FileHandle.nullDevice
    try started.run()
    while !FileManager.default.fileExists(atPath: socket) { usleep(1_000) }
    server = started
    address = .unix(path: socket)
}

func column(_ text: String) -> String { String(repeating: " ", count: max(0, 14 - text.count)) + text }
func hundredths(_ number: Double) -> String { "\((number * 100).rounded() / 100)" }

print("calls a turn" + column("CPU µs a call") + column("wall µs a call"))
for depth in [1, 8, 64, 512] {
    let (processor, wall) = measure(address, depth: depth)
    print(
        "\(depth)".padding(toLength: 12, withPad: " ", startingAt: 0) + column(hundredths(processor))
            + column(hundredths(wall)))
}
server?.terminate()
try? FileManager.default.removeItem(atPath: socket)
