// Memory for one call: taken piece by piece, given back all at once. protobuf-c allocates from it, so that a
// decoded message costs no malloc. The views of a message are valid until its arena is reset.
internal import CProtobufC

/// A bump allocator whose pages stay with it across `reset`. Confined to one thread.
public final class Arena {
    private static let pageBytes = 16 * 1024
    private var pages: [UnsafeMutableRawPointer] = []
    private var large: [UnsafeMutableRawPointer] = []
    private var page = 0
    private var cursor: UnsafeMutableRawPointer
    private var end: UnsafeMutableRawPointer
    private let allocator: UnsafeMutablePointer<ProtobufCAllocator>

    public init() {
        let first = UnsafeMutableRawPointer.allocate(byteCount: Arena.pageBytes, alignment: 16)
        pages = [first]
        cursor = first
        end = first + Arena.pageBytes
        allocator = .allocate(capacity: 1)
        allocator.initialize(
            to: ProtobufCAllocator(
                alloc: { arena, count in
                    Unmanaged<Arena>.fromOpaque(arena!).takeUnretainedValue().allocate(count)
                }, free: { _, _ in }, allocator_data: nil))
        allocator.pointee.allocator_data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit {
        for page in pages + large { page.deallocate() }
        allocator.deallocate()
    }

    /// Gives everything back: views into the arena are invalid from here on.
    public func reset() {
        if !large.isEmpty {
            for block in large { block.deallocate() }
            large.removeAll(keepingCapacity: true)
        }
        while pages.count > 4 { pages.removeLast().deallocate() }
        page = 0
        cursor = pages[0]
        end = cursor + Arena.pageBytes
    }

    /// Uninitialised memory, aligned to 16 bytes.
    public func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let rounded = (max(byteCount, 1) + 15) & ~15
        if rounded <= end - cursor {
            defer { cursor += rounded }
            return cursor
        }
        if rounded > Arena.pageBytes / 4 {
            let block = UnsafeMutableRawPointer.allocate(byteCount: rounded, alignment: 16)
            large.append(block)
            return block
        }
        page += 1
        if page == pages.count {
            pages.append(.allocate(byteCount: Arena.pageBytes, alignment: 16))
        }
        cursor = pages[page] + rounded
        end = pages[page] + Arena.pageBytes
        return pages[page]
    }

    var protobufAllocator: UnsafeMutablePointer<ProtobufCAllocator> { allocator }
}
