// libcurl's sockets on the event loop. A connection's socket stays registered from call to call, since each
// change costs a system call; whatever nobody reads is then disarmed, since a level-triggered loop would spin.
import JunctionTransport

/// Which sockets libcurl has and what it waits for. Confined to its loop.
final class HTTPSockets {
    private struct Socket {
        var watch: DescriptorWatch?
        /// What libcurl waits for; the watch may ask for reading beyond it.
        var wanted: Interest = []
        /// Opened for a connection, so that `closed` will be told; libcurl closes others without a word.
        var isConnection = false
    }

    private let loop: EventLoop
    /// By descriptor.
    private var sockets: [Socket] = []
    /// Told when a socket is ready for what libcurl waits for.
    var onReady: (Int32, Interest) -> Void = { _, _ in }

    init(loop: EventLoop) { self.loop = loop }

    func opened(_ descriptor: Int32) {
        makeRoom(descriptor)
        sockets[Int(descriptor)] = Socket(isConnection: true)
    }

    func closed(_ descriptor: Int32) {
        guard descriptor < sockets.count else { return }
        sockets[Int(descriptor)].watch?.close()
        sockets[Int(descriptor)] = Socket()
    }

    /// libcurl waits for something else.
    func want(_ wanted: Interest, of descriptor: Int32) {
        makeRoom(descriptor)
        sockets[Int(descriptor)].wanted = wanted
        guard let watch = sockets[Int(descriptor)].watch else {
            if wanted.isEmpty { return }
            sockets[Int(descriptor)].watch = loop.watch(descriptor, wanted) { [unowned self] ready in
                self.became(ready, descriptor)
            }
            return
        }
        if wanted.isEmpty && !sockets[Int(descriptor)].isConnection {
            closed(descriptor)
        } else {
            // Reading stays as it was, or the next call would pay for it. A socket is always ready to write.
            watch.update(wanted.union(watch.interest.intersection(.read)))
        }
    }

    private func became(_ ready: Interest, _ descriptor: Int32) {
        let socket = sockets[Int(descriptor)]
        // Nobody reads what came: the provider closed an idle connection, or the transfer is paused.
        if !ready.isSubset(of: socket.wanted) { socket.watch?.update(socket.wanted) }
        let useful = ready.intersection(socket.wanted)
        if !useful.isEmpty { onReady(descriptor, useful) }
        // After an error the loop has stopped watching, but libcurl may not have noticed.
        let after = sockets[Int(descriptor)]
        if let watch = after.watch, !after.wanted.isSubset(of: watch.interest) { watch.update(after.wanted) }
    }

    private func makeRoom(_ descriptor: Int32) {
        while sockets.count <= descriptor { sockets.append(Socket()) }
    }
}
