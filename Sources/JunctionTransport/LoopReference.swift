// A way from any thread to an object that is confined to a loop. Knows nothing of the object.

/// Names an object that is confined to a loop, without keeping it alive.
public final class LoopReference<Object: AnyObject>: @unchecked Sendable {
    /// Looked at on the loop only.
    private weak var object: Object?
    private let loop: EventLoop

    public init(_ object: Object, on loop: EventLoop) {
        self.object = object
        self.loop = loop
    }

    /// Does something with the object, on its loop, if it is still there then. From any thread.
    public func perform(_ action: @escaping @Sendable (Object) -> Void) {
        loop.submit { if let object = self.object { action(object) } }
    }
}
