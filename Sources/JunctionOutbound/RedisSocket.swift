// A non-blocking socket to Redis, in clear or encrypted, as one thing that reads and writes. Knows no RESP.
import Glibc
import JunctionTransport

/// Made of a connected descriptor, which it closes at the end.
final class RedisSocket {
    enum Outcome {
        case moved(Int)
        /// Nothing can be done until the socket is ready; it is watched for what that takes.
        case mustWait
        case ended(String)
    }

    private let descriptor: Int32
    private let session: TLSSession?
    private var watch: DescriptorWatch?
    private var isEncrypting: Bool
    /// Whether a write had to wait, and none has got on since.
    private(set) var wantsToWrite = false

    /// - Parameter handler: called whenever reading, writing or `encrypt` may get on.
    init(
        descriptor: Int32, loop: EventLoop, tls: TLSContext?, host: String?, handler: @escaping () -> Void
    ) {
        self.descriptor = descriptor
        session = tls.map { TLSSession($0, descriptor: descriptor, host: host) }
        isEncrypting = session != nil
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        watch = loop.watch(descriptor, .read) { _ in handler() }
    }

    /// Goes on with the handshake of TLS; `.moved` when there is none, or it is done.
    func encrypt() -> Outcome {
        guard isEncrypting, let session else { return .moved(0) }
        let outcome = outcome(session.shakeHands())
        if case .moved = outcome {
            isEncrypting = false
            watch?.update(.read)
        }
        return outcome
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
        if let session { return outcome(session.read(into: buffer)) }
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return .moved(count) }
        if count == 0 { return .ended("Redis closed the connection") }
        return errno == EAGAIN || errno == EINTR ? .mustWait : .ended(systemMessage())
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        let outcome: Outcome
        if let session {
            outcome = self.outcome(session.write(bytes))
        } else {
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 {
                outcome = .moved(count)
            } else if errno == EAGAIN || errno == EINTR {
                outcome = .mustWait
                watch?.update([.read, .write])
            } else {
                outcome = .ended(systemMessage())
            }
        }
        if case .mustWait = outcome { wantsToWrite = true }
        return outcome
    }

    /// All that was to be written is.
    func endWriting() {
        guard wantsToWrite else { return }
        wantsToWrite = false
        watch?.update(.read)
    }

    /// What is not sent by now never is: a command that was given up is not performed when the network is
    /// back.
    func close() {
        guard let watch else { return }
        self.watch = nil
        watch.close()
        var drops = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &drops, socklen_t(MemoryLayout<linger>.size))
        Glibc.close(descriptor)
    }

    deinit { close() }

    private func outcome(_ step: TLSSession.Step) -> Outcome {
        switch step {
        case .done(let count): return .moved(count)
        case .wants(let interest):
            watch?.update(wantsToWrite ? [.read, .write, interest] : [.read, interest])
            return .mustWait
        case .closed: return .ended("Redis closed the connection")
        case .failed(let failure): return .ended(failure.message)
        }
    }

    private func systemMessage() -> String {
        let words = String(cString: strerror(errno))
        return "the connection to Redis broke: " + words.prefix(1).lowercased() + words.dropFirst()
    }
}
