// Memory for one call: taken piece by piece, given back all at once. protobuf-c allocates from it, so that a
// decoded message costs no malloc. The views of a message are valid until its arena is reset.
internal import CProtobufC
import Glibc

/// A bump allocator. It holds no memory before its first use, then a small page, then bigger ones; the first
/// two stay with it across `reset`. Confined to one thread, and never changed while it is being changed: its
/// state needs no check of that at run time.
public final class Arena {
    /// Thousands of calls wait at a time, each with a page: it holds a small request.
    private static let firstPageBytes = 2 * 1024
    private static let pageBytes = 16 * 1024
    private static let pagesKept = 3
    @exclusivity(unchecked) private var pages: [UnsafeMutableRawPointer] = []
    @exclusivity(unchecked) private var pagesUsed = 0
    @exclusivity(unchecked) private var large: [UnsafeMutableRawPointer] = []
    @exclusivity(unchecked) private var cursor = Arena.nowhere
    @exclusivity(unchecked) private var end = Arena.nowhere
    private let allocator: UnsafeMutablePointer<ProtobufCAllocator>
    /// What a message that is being decoded may take; whether it asked for more.
    @exclusivity(unchecked) private var bytesLeft = Int.max
    @exclusivity(unchecked) private(set) var wasExhausted = false

    public init() {
        allocator = .allocate(capacity: 1)
        allocator.initialize(
            to: ProtobufCAllocator(
                alloc: { arena, count in
                    Unmanaged<Arena>.fromOpaque(arena!)._withUnsafeGuaranteedRef {
                        $0.allocateWithinBounds(count)
                    }
                }, free: { _, _ in }, allocator_data: nil))
        allocator.pointee.allocator_data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit {
        for page in pages + large { free(page) }
        allocator.deallocate()
    }

    /// Where an arena without a page would go on: no byte is left there.
    private static var nowhere: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: 16)! }

    /// Gives everything back: views into the arena are invalid from here on.
    public func reset() {
        if !large.isEmpty {
            for block in large { free(block) }
            large.removeAll(keepingCapacity: true)
        }
        while pages.count > Arena.pagesKept { free(pages.removeLast()) }
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
        if rounded > min(Arena.pageBytes / 4, Arena.firstPageBytes << min(pagesUsed, 8)) {
            let block = Arena.memory(rounded)
            large.append(block)
            return block
        }
        let bytes = min(Arena.pageBytes, Arena.firstPageBytes << min(pagesUsed, 8))
        if pagesUsed == pages.count { pages.append(Arena.memory(bytes)) }
        let page = pages[pagesUsed]
        pagesUsed += 1
        cursor = page + rounded
        end = page + bytes
        return page
    }

    /// malloc's blocks are aligned to 16 bytes, as they must be here; asking for that is dearer.
    private static func memory(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let memory = malloc(byteCount) else { fatalError("out of memory") }
        return memory
    }

    private func allocateWithinBounds(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        bytesLeft -= (byteCount + 15) & ~15
        if bytesLeft < 0 {
            wasExhausted = true
            return nil
        }
        return allocate(byteCount)
    }

    /// Has protobuf-c decode a message that may take so many bytes here.
    func decode(
        atMost bytesMax: Int, _ body: (UnsafeMutablePointer<ProtobufCAllocator>) -> UnsafeMutableRawPointer?
    ) -> UnsafeMutableRawPointer? {
        bytesLeft = bytesMax
        wasExhausted = false
        return body(allocator)
    }
}
