// Makes connections to hosts: names, addresses, TCP and TLS are libcurl's affair; what comes out carries
// bytes. Knows no HTTP.
import Glibc
import JunctionTransport

/// What carries a connection's bytes: a socket, or TLS over one.
enum HTTPLine {
    case socket(Int32)
    case secure(SecureLine)

    var descriptor: Int32 {
        switch self {
        case .socket(let descriptor): descriptor
        case .secure(let line): line.descriptor
        }
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> CurlConnection.Moved {
        switch self {
        case .socket(let descriptor):
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            return count == 0 ? .ended : HTTPLine.fault()
        case .secure(let line): return line.connection.receive(into: buffer)
        }
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> CurlConnection.Moved {
        switch self {
        case .socket(let descriptor):
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            return count >= 0 ? .bytes(count) : HTTPLine.fault()
        case .secure(let line): return line.connection.send(bytes)
        }
    }

    private static func fault() -> CurlConnection.Moved {
        if errno == EAGAIN || errno == EINTR { return .blocked }
        return .failed("the connection broke: \(String(cString: strerror(errno)))")
    }

    func close() {
        switch self {
        case .socket(let descriptor): _ = Glibc.close(descriptor)
        case .secure(let line): line.close()
        }
    }
}

/// A connection with TLS, which libcurl carries as long as it stands.
final class SecureLine {
    let connection: CurlConnection
    let descriptor: Int32
    private let group: ConnectionGroup

    fileprivate init(_ connection: CurlConnection, in group: ConnectionGroup) {
        self.connection = connection
        self.group = group
        descriptor = connection.descriptor
    }

    fileprivate func close() { group.forget(connection) }
}

/// Connections under one of libcurl's multi handles.
private final class ConnectionGroup {
    let driver: CurlDriver
    /// Those that are being made, and those that stand and that libcurl carries.
    private var connections: [ObjectIdentifier: CurlConnection] = [:]
    var count: Int { connections.count }

    init(driver: CurlDriver) {
        self.driver = driver
        driver.onDone = { handle, result in
            // Only connections are under this handle.
            let connection = unsafeDowncast(handle, to: CurlConnection.self)
            let told = connection.onDone
            connection.onDone = { _ in }
            told(result)
        }
    }

    deinit {
        for connection in connections.values { driver.remove(connection) }
    }

    func add(_ connection: CurlConnection) {
        connections[ObjectIdentifier(connection)] = connection
        driver.add(connection)
    }

    func forget(_ connection: CurlConnection) {
        driver.remove(connection)
        connections[ObjectIdentifier(connection)] = nil
    }

    /// Takes the socket of a connection away from libcurl, which forgets it.
    func release(_ connection: CurlConnection) -> Int32 {
        let descriptor = connection.descriptor
        driver.sockets.descriptorToKeep = descriptor
        forget(connection)
        driver.sockets.descriptorToKeep = -1
        return descriptor
    }
}

/// Makes the connections of one client. Confined to its loop.
final class HTTPConnector {
    /// libcurl looks a connection up among all of its multi handle each time it carries bytes of it: many in
    /// one would make each dear.
    private static let connectionsPerGroup = 32

    private let makeDriver: () -> CurlDriver
    private let share: CurlShare
    private var groups: [ConnectionGroup] = []

    init(share: CurlShare, makeDriver: @escaping () -> CurlDriver) {
        self.share = share
        self.makeDriver = makeDriver
    }

    /// Connects; `completion` runs later.
    func connect(
        to address: CurlAddress, options: HTTPOptions,
        completion: @escaping (Result<HTTPLine, HTTPFailure>) -> Void
    ) {
        let group = groupWithRoom()
        let connection = CurlConnection(
            address: address, options: options, sockets: group.driver.sockets, share: share)
        connection.onDone = { [unowned connection, unowned group] result in
            if case .failed(let failure) = HTTPEnd(result, responseBegan: false) {
                group.forget(connection)
                completion(.failure(failure))
            } else if connection.isSecure {
                completion(.success(.secure(SecureLine(connection, in: group))))
            } else {
                completion(.success(.socket(group.release(connection))))
            }
        }
        group.add(connection)
    }

    private func groupWithRoom() -> ConnectionGroup {
        if let last = groups.last, last.count < HTTPConnector.connectionsPerGroup { return last }
        if let index = groups.firstIndex(where: { $0.count < HTTPConnector.connectionsPerGroup }) {
            groups.swapAt(index, groups.count - 1)
            return groups[groups.count - 1]
        }
        let group = ConnectionGroup(driver: makeDriver())
        groups.append(group)
        return group
    }
}
