// Programs that tests start beside themselves: redis-server, nghttpd, the stand-in provider. Ends each by its
// id.
import Foundation
import Glibc

final class ChildProgram {
    private var id = pid_t()
    private var isRunning = true
    private var output: Int32 = -1

    init(_ path: String, _ arguments: [String]) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw ChildFailure(program: path) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        output = ends[0]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        let words = ([path] + arguments).map { strdup($0) } + [nil]
        let result = posix_spawn(&id, path, &actions, nil, words, environ)
        for word in words { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        close(ends[1])
        guard result == 0 else {
            isRunning = false
            throw ChildFailure(program: path)
        }
    }

    deinit {
        end()
        close(output)
    }

    /// Kills it, and waits until it is gone.
    func end() {
        if isRunning { kill(id, SIGKILL) }
        _ = wait()
    }

    /// Sends it a signal, such as SIGSTOP.
    func signal(_ number: Int32) { if isRunning { kill(id, number) } }

    /// Runs a program to its end.
    static func run(_ path: String, _ arguments: [String]) throws {
        guard try ChildProgram(path, arguments).wait() == 0 else { throw ChildFailure(program: path) }
    }

    /// Waits for its end; the status as `waitpid` gives it.
    private func wait() -> Int32 {
        guard isRunning else { return 0 }
        isRunning = false
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        return status
    }

    /// The first line that it prints.
    func firstLine() -> String {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(output, &byte, 1) == 1, byte != 10 { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    /// Waits until something listens on a port of 127.0.0.1; for at most ten seconds or so.
    func waitUntilListening(on port: Int) {
        for _ in 0..<5000 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result == 0 { return }
            usleep(1_000)
        }
    }
}

struct ChildFailure: Error { let program: String }

/// A folder that goes away with the object.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "junction-outbound-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A key and a certificate for it that nobody vouches for, as files.
    func makeCertificate() throws -> (key: String, certificate: String) {
        let (key, certificate) = (path + "/key.pem", path + "/certificate.pem")
        try ChildProgram.run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", key,
                "-out", certificate,
            ])
        return (key, certificate)
    }
}

/// A port that nothing listens on.
func freePort() -> Int {
    let (descriptor, port) = listenOnFreePort(backlog: 1)
    close(descriptor)
    return port
}

/// The stand-in provider of `tools/upstream`, compiled for the test.
final class StandIn {
    let port: Int
    private let program: ChildProgram
    private let folder: TemporaryFolder

    init(_ arguments: [String] = [], source: String = #filePath) throws {
        folder = try TemporaryFolder()
        let tools = URL(fileURLWithPath: source).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("tools/upstream")
        let files = try FileManager.default.contentsOfDirectory(atPath: tools.path).filter {
            $0.hasSuffix(".c")
        }
        let binary = folder.path + "/upstream"
        try ChildProgram.run(
            "/usr/bin/cc",
            ["-O2", "-D_GNU_SOURCE", "-o", binary] + files.map { tools.path + "/" + $0 } + ["-lnghttp2"])
        program = try ChildProgram(binary, ["--port", "0"] + arguments)
        guard let port = Int(program.firstLine().split(separator: " ").last ?? "") else {
            throw ChildFailure(program: "upstream")
        }
        self.port = port
    }

    var url: String { "http://127.0.0.1:\(port)/v1/chat/completions" }
}
