// What the operating system refused, for a person: the one place where an errno becomes words.
import Glibc

/// A system call or a name lookup that failed.
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was tried, such as `listen on 127.0.0.1:50051`.
    public let operation: String
    /// The errno, or 0 when it was not a system call that failed.
    public let code: Int32
    /// Why it failed, such as `address already in use`.
    public let reason: String

    init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
        let words = String(cString: strerror(code))
        reason = words.prefix(1).lowercased() + words.dropFirst()
    }

    init(_ operation: String, reason: String) {
        self.operation = operation
        code = 0
        self.reason = reason
    }

    public var description: String { "cannot \(operation): \(reason)" }
}
