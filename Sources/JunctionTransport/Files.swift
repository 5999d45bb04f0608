// What a program asks of the system beside its sockets: files and standard streams read and written whole,
// its environment, other programs. These calls block: none is for a loop.
@preconcurrency import Glibc

/// All bytes of a file, which may be a pipe.
public func readFile(_ path: String) throws(SystemError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError("read \(path)", code: errno) }
    defer { close(descriptor) }
    return try readAll(descriptor, path)
}

/// All that is left of standard input.
public func readStandardInput() throws(SystemError) -> [UInt8] { try readAll(STDIN_FILENO, "standard input") }

private func readAll(_ descriptor: Int32, _ name: String) throws(SystemError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &piece, piece.count)
        if count == 0 { return bytes }
        if count > 0 {
            bytes += piece.prefix(count)
        } else if errno != EINTR {
            throw SystemError("read \(name)", code: errno)
        }
    }
}

/// Writes a file, over what it was.
public func writeFile(_ bytes: [UInt8], to path: String) throws(SystemError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw SystemError("write \(path)", code: errno) }
    defer { close(descriptor) }
    try writeAll(bytes, descriptor, path)
}

public func writeStandardOutput(_ text: String) throws(SystemError) {
    try writeAll(Array(text.utf8), STDOUT_FILENO, "standard output")
}

public func writeStandardError(_ text: String) throws(SystemError) {
    try writeAll(Array(text.utf8), STDERR_FILENO, "standard error")
}

private func writeAll(_ bytes: [UInt8], _ descriptor: Int32, _ name: String) throws(SystemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count >= 0 {
            rest = rest.dropFirst(count)
        } else if errno != EINTR {
            throw SystemError("write \(name)", code: errno)
        }
    }
}

/// Whether standard error is a terminal, before somebody's eyes.
public func standardErrorIsTerminal() -> Bool { isatty(STDERR_FILENO) == 1 }

/// The variables of the environment.
public func environmentVariables() -> [String: String] {
    var variables: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
        let parts = String(cString: text).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
        entry += 1
    }
    return variables
}

/// Goes on as another program, one that stands beside this one's file.
///
/// - Returns: only when that failed, why.
public func become(_ name: String, _ arguments: [String]) -> SystemError {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    readlink("/proc/self/exe", &path, path.count - 1)
    let other = String(cString: dirname(&path)) + "/" + name
    let words = ([other] + arguments).map { strdup($0) }
    execv(other, words + [nil])
    return SystemError("start \(other)", code: errno)
}

/// A process that this one started, with nothing to read and nowhere to write.
public struct ChildProcess {
    private let id: pid_t

    /// Starts another process of this program.
    public init(ofThisProgramWith arguments: [String]) throws(SystemError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        let words = ([CommandLine.arguments[0]] + arguments).map { strdup($0) }
        defer { for word in words { free(word) } }
        var id: pid_t = 0
        let code = posix_spawn(&id, "/proc/self/exe", &actions, nil, words + [nil], environ)
        guard code == 0 else { throw SystemError("start another process", code: code) }
        self.id = id
    }

    /// Returns when the process has ended.
    public func wait() {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
    }
}
