// An address of a socket, IPv4, IPv6 or a path, as the system has it.
import Glibc

/// An address that a socket can be bound or connected to.
public struct SocketAddress: Sendable, Equatable, CustomStringConvertible {
    private let bytes: [UInt8]

    init(_ address: UnsafeMutablePointer<sockaddr>, _ length: socklen_t) {
        bytes = Array(UnsafeRawBufferPointer(start: address, count: Int(length)))
    }

    /// The address of a Unix socket; nil: its path is too long for one.
    init?(path: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let utf8 = Array(path.utf8)
        guard utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: utf8) }
        bytes = withUnsafeBytes(of: &address) { Array($0) }
    }

    /// AF_INET, AF_INET6 or AF_UNIX.
    var family: Int32 {
        bytes.withUnsafeBytes { Int32($0.loadUnaligned(fromByteOffset: 0, as: sa_family_t.self)) }
    }

    /// Hands the address to a system call.
    func withSystemAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        bytes.withUnsafeBytes {
            body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
    }

    /// `HOST:PORT`; an IPv6 host stands in brackets.
    public var description: String {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var service = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let result = withSystemAddress {
            getnameinfo(
                $0, $1, &host, socklen_t(host.count), &service, socklen_t(service.count),
                NI_NUMERICHOST | NI_NUMERICSERV)
        }
        guard result == 0 else { return "an unknown address" }
        func text(_ characters: [CChar]) -> String {
            String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        return family == AF_INET6 ? "[\(text(host))]:\(text(service))" : "\(text(host)):\(text(service))"
    }

    /// The port.
    public var port: Int {
        Int(description.split(separator: ":").last ?? "") ?? 0
    }
}
