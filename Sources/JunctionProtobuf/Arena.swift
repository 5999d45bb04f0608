// Memory for one call: taken piece by piece, given back all at once. protobuf-c allocates from it, so that a
// decoded message costs no malloc. The views of a message are valid until its arena is reset.
internal import CProtobufC

/// A bump allocator. It holds no memory before its first use, then a small page, then bigger ones; the first
/// two stay with it across `reset`. Confined to one thread, and never changed while it is being changed: its
/// state needs no check of that at run time.
public final class Arena {
    private static let firstPageBytes = 4 * 1024
    private static let pageBytes = 16 * 1024
    private static let pagesKept = 2
    @exclusivity(unchecked) private var pages: [UnsafeMutableRawPointer] = []
    @exclusivity(unchecked) private var pagesUsed = 0
    @exclusivity(unchecked) private var large: [UnsafeMutableRawPointer] = []
    @exclusivity(unchecked) private var cursor = Arena.nowhere
    @exclusivity(unchecked) private var end = Arena.nowhere
    private let allocator: UnsafeMutablePointer<ProtobufCAllocator>

    public init() {
        allocator = .allocate(capacity: 1)
        allocator.initialize(
            to: ProtobufCAllocator(
                alloc: { arena, count in
                    Unmanaged<Arena>.fromOpaque(arena!)._withUnsafeGuaranteedRef { $0.allocate(count) }
                }, free: { _, _ in }, allocator_data: nil))
        allocator.pointee.allocator_data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit {
        for page in pages + large { page.deallocate() }
        allocator.deallocate()
    }

    /// Where an arena without a page would go on: no byte is left there.
    private static var nowhere: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: 16)! }

    /// Gives everything back: views into the arena are invalid from here on.
    public func reset() {
        if !large.isEmpty {
            for block in large { block.deallocate() }
            large.removeAll(keepingCapacity: true)
        }
        while pages.count > Arena.pagesKept { pages.removeLast().deallocate() }
        pagesUsed = 0
        cursor = Arena.nowhere
        end = cursor
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
        let bytes = pagesUsed == 0 ? Arena.firstPageBytes : Arena.pageBytes
        if pagesUsed == pages.count { pages.append(.allocate(byteCount: bytes, alignment: 16)) }
        let page = pages[pagesUsed]
        pagesUsed += 1
        cursor = page + rounded
        end = page + bytes
        return page
    }

    var protobufAllocator: UnsafeMutablePointer<ProtobufCAllocator> { allocator }
}
