// libcurl's sockets on the event loop. A connection's socket stays registered from call to call, since each
// change costs a system call; whatever nobody reads is then disarmed, since a level-triggered loop would spin.
import Glibc
import JunctionTransport

/// Which sockets libcurl has and what it waits for. Confined to its loop.
final class HTTPSockets {
    private struct Socket {
        var watch: DescriptorWatch?
        /// What libcurl waits for; the watch may ask for reading beyond it.
        var wanted: Interest = []
        var kind = Kind.other
        /// Whether a connection carries no transfer.
        var isIdle = false
    }

    /// What libcurl has a socket for. Of connections it says when they are closed; of others it does not.
    enum Kind { case other, http1, http2 }

    private let loop: EventLoop
    /// By descriptor.
    private var sockets: [Socket] = []
    /// Told when a socket is ready for what libcurl waits for.
    var onReady: (Int32, Interest) -> Void = { _, _ in }
    /// Changes asked of the loop so far, each a system call; for tests.
    private(set) var changesCount = 0

    init(loop: EventLoop) { self.loop = loop }

    func opened(_ descriptor: Int32, for kind: Kind) {
        makeRoom(descriptor)
        sockets[Int(descriptor)] = Socket(kind: kind)
    }

    func closed(_ descriptor: Int32) {
        guard descriptor < sockets.count else { return }
        sockets[Int(descriptor)].watch?.close()
        sockets[Int(descriptor)] = Socket()
    }

    /// libcurl waits for something else.
    ///
    /// - Parameter isIdle: whether it waits for nothing because no transfer uses the socket; else one is paused.
    func want(_ wanted: Interest, of descriptor: Int32, isIdle: Bool) {
        makeRoom(descriptor)
        sockets[Int(descriptor)].wanted = wanted
        sockets[Int(descriptor)].isIdle = isIdle
        guard let watch = sockets[Int(descriptor)].watch else {
            if wanted.isEmpty { return }
            changesCount += 1
            sockets[Int(descriptor)].watch = loop.watch(descriptor, wanted) { [unowned self] ready in
                self.became(ready, descriptor)
            }
            return
        }
        if wanted.isEmpty && sockets[Int(descriptor)].kind == .other {
            closed(descriptor)
        } else {
            // Reading stays as it was, or the next call would pay for it. A socket is always ready to write.
            change(watch, to: wanted.union(watch.interest.intersection(.read)))
        }
    }

    private func change(_ watch: DescriptorWatch, to interest: Interest) {
        if watch.interest == interest { return }
        changesCount += 1
        watch.update(interest)
    }

    private func became(_ ready: Interest, _ descriptor: Int32) {
        let socket = sockets[Int(descriptor)]
        // Nobody reads what came: the transfer is paused, or the provider closed an idle connection. What it says
        // on one, such as a 408, libcurl would take for the answer to the next request: that is ended here. An
        // idle connection of HTTP/2 may well be told something.
        if socket.isIdle && socket.kind == .http1 { shutdown(descriptor, Int32(SHUT_RDWR)) }
        if !ready.isSubset(of: socket.wanted), let watch = socket.watch { change(watch, to: socket.wanted) }
        let useful = ready.intersection(socket.wanted)
        if !useful.isEmpty { onReady(descriptor, useful) }
        // After an error the loop has stopped watching, but libcurl may not have noticed.
        let after = sockets[Int(descriptor)]
        if let watch = after.watch, !after.wanted.isSubset(of: watch.interest) {
            change(watch, to: after.wanted)
        }
    }

    private func makeRoom(_ descriptor: Int32) {
        while sockets.count <= descriptor { sockets.append(Socket()) }
    }
}
