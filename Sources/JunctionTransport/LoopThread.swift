// A thread that runs one event loop.
import Glibc

/// A thread with an event loop of its own.
public final class LoopThread: Sendable {
    public let loop: EventLoop
    private let thread: pthread_t

    /// Starts a thread that runs `setUp` on it and then the loop until `loop.stop()`.
    ///
    /// - Parameter name: at most 15 bytes, as `top -H` shows it.
    public init(name: String, setUp: @escaping @Sendable (EventLoop) -> Void) {
        let loop = EventLoop()
        let start = Start(name: name, loop: loop, setUp: setUp)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { raw in
                let start = Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue()
                EventLoop.nameThread(start.name)
                start.setUp(start.loop)
                start.loop.run()
                return nil
            }, Unmanaged.passRetained(start).toOpaque())
        precondition(result == 0, "the system gives no more threads")
        self.loop = loop
        self.thread = thread
    }

    /// Waits until the loop has stopped and the thread has ended. Once.
    public func join() { pthread_join(thread, nil) }

    private final class Start: Sendable {
        let name: String
        let loop: EventLoop
        let setUp: @Sendable (EventLoop) -> Void
        init(name: String, loop: EventLoop, setUp: @escaping @Sendable (EventLoop) -> Void) {
            self.name = name
            self.loop = loop
            self.setUp = setUp
        }
    }
}
