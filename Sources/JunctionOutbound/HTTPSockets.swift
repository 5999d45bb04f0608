// libcurl's sockets on the event loop. A connection's socket stays registered from call to call, since each
// change costs a system call; whatever nobody reads is then disarmed, since a level-triggered loop would
// spin.
import Glibc
import JunctionTransport

/// Which sockets libcurl has and what it waits for. Confined to its loop.
final class HTTPSockets {
    /// Why libcurl waits for nothing on a socket.
    enum Rest {
        /// It may close it without a word, if it has not done so: a try to connect, a resolver's pipe.
        case unused
        /// The transfer is paused.
        case paused
        /// The connection is kept for another call. `isShared`: many calls at once may use it (HTTP/2).
        case kept(isShared: Bool)
    }

    private struct Socket {
        var watch: DescriptorWatch?
        /// What libcurl waits for; the watch may ask for reading beyond it.
        var wanted: Interest = []
        var isIdle = false
    }

    private unowned let loop: EventLoop
    /// By descriptor.
    private var sockets: [Socket] = []
    /// Told when a socket is ready for what libcurl waits for.
    var onReady: (Int32, Interest) -> Void = { _, _ in }
    /// Whether a paused transfer may be on a socket that counts as idle, since libcurl never waited for it.
    var isAnyTransferUnplaced: () -> Bool = { false }
    /// Changes asked of the loop so far, each a system call; for tests.
    private(set) var changesCount = 0

    init(loop: EventLoop) { self.loop = loop }

    /// libcurl waits for `wanted`, which is not empty.
    func want(_ wanted: Interest, of descriptor: Int32) {
        while sockets.count <= descriptor { sockets.append(Socket()) }
        sockets[Int(descriptor)].wanted = wanted
        sockets[Int(descriptor)].isIdle = false
        guard let watch = sockets[Int(descriptor)].watch else { return watchAnew(descriptor) }
        // Reading stays as it was, or the next call would pay for it. A socket is always ready to write.
        change(watch, to: wanted.union(watch.interest.intersection(.read)))
    }

    /// libcurl waits for nothing.
    func rest(_ descriptor: Int32, _ rest: Rest) {
        guard descriptor < sockets.count, let watch = sockets[Int(descriptor)].watch else { return }
        if case .unused = rest { return closed(descriptor) }
        if case .kept(isShared: false) = rest { sockets[Int(descriptor)].isIdle = true }
        sockets[Int(descriptor)].wanted = []
        change(watch, to: watch.interest.intersection(.read))
    }

    /// A new socket. libcurl closes sockets that never became connections without a word; if this one has the
    /// number of such a one, what libcurl waits for stays, but the loop must learn of the new socket.
    func opened(_ descriptor: Int32) {
        guard descriptor < sockets.count, let watch = sockets[Int(descriptor)].watch else { return }
        watch.close()
        watchAnew(descriptor)
    }

    /// About to be closed.
    func closed(_ descriptor: Int32) {
        guard descriptor < sockets.count else { return }
        sockets[Int(descriptor)].watch?.close()
        sockets[Int(descriptor)] = Socket()
    }

    private func watchAnew(_ descriptor: Int32) {
        changesCount += 1
        let watch = loop.watch(descriptor, sockets[Int(descriptor)].wanted) { [unowned self] ready in
            self.became(ready, descriptor)
        }
        sockets[Int(descriptor)].watch = watch
    }

    private func change(_ watch: DescriptorWatch, to interest: Interest) {
        if watch.interest == interest { return }
        changesCount += 1
        watch.update(interest)
    }

    private func became(_ ready: Interest, _ descriptor: Int32) {
        let socket = sockets[Int(descriptor)]
        // On an idle connection the provider said something, most often that it closes it. What it says, such
        // as a 408, libcurl would take for the answer to the next request; so this connection gets none.
        if socket.isIdle && !isAnyTransferUnplaced() { shutdown(descriptor, Int32(SHUT_RDWR)) }
        // Nobody reads what came, or the transfer is paused.
        if !ready.isSubset(of: socket.wanted), let watch = socket.watch { change(watch, to: socket.wanted) }
        let useful = ready.intersection(socket.wanted)
        if !useful.isEmpty { onReady(descriptor, useful) }
        // After an error the loop has stopped watching, but libcurl may not have noticed it.
        let after = sockets[Int(descriptor)]
        if let watch = after.watch, !after.wanted.isSubset(of: watch.interest) {
            change(watch, to: after.wanted)
        }
    }
}
