// libcurl's sockets on the event loop. A connection's socket stays registered from call to call, since each
// change costs a system call; whatever nobody reads is then disarmed, since a level-triggered loop would
// spin.
import Glibc
import JunctionTransport

/// Which sockets libcurl has and what it waits for. Confined to its loop.
final class HTTPSockets {
    private struct Socket {
        var watch: DescriptorWatch?
        /// What libcurl waits for; the watch may ask for reading beyond it.
        var wanted: Interest = []
    }

    private unowned let loop: EventLoop
    /// By descriptor.
    private var sockets: [Socket] = []
    /// Told when a socket is ready for what libcurl waits for.
    var onReady: (Int32, Interest) -> Void = { _, _ in }
    /// A socket that lives on when libcurl closes its connection; -1: none.
    var descriptorToKeep: Int32 = -1
    /// Changes asked of the loop so far, each a system call; for tests.
    private(set) var changesCount = 0

    init(loop: EventLoop) { self.loop = loop }

    /// libcurl waits for `wanted`, which is not empty.
    func want(_ wanted: Interest, of descriptor: Int32) {
        while sockets.count <= descriptor { sockets.append(Socket()) }
        sockets[Int(descriptor)].wanted = wanted
        guard let watch = sockets[Int(descriptor)].watch else { return watchAnew(descriptor) }
        // Reading stays as it was, or the next call would pay for it. A socket is always ready to write.
        change(watch, to: wanted.union(watch.interest.intersection(.read)))
    }

    /// libcurl waits for nothing. `isConnection`: the socket belongs to a connection that goes on, kept or
    /// paused; else libcurl may have closed it without a word (a try to connect, a resolver's pipe) or handed
    /// it over.
    func rest(_ descriptor: Int32, isConnection: Bool) {
        guard descriptor < sockets.count, let watch = sockets[Int(descriptor)].watch else { return }
        if !isConnection { return closed(descriptor) }
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
