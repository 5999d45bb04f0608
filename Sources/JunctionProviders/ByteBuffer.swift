// Bytes that grow at their end; the memory is kept from use to use, up to a limit. And how eight are looked
// at at once.
import Glibc

/// It takes no memory before the first byte: thousands of streams wait at a time, each with several.
struct ByteBuffer: ~Copyable {
    private(set) var start = ByteBuffer.nowhere
    private(set) var count = 0
    private var capacity = 0
    private static let capacityFirst = 512
    /// A buffer that grew beyond this is made small again when it is emptied.
    private let capacityKept: Int
    /// Bytes behind the last one that may be read: simdjson does.
    private static let padding = JSONReader.padding

    init(keeping capacityKept: Int) {
        self.capacityKept = capacityKept
    }

    deinit { if capacity > 0 { free(start) } }

    /// Where an empty buffer starts; nothing is read there, and nothing written.
    private static var nowhere: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: 16)! }

    /// Valid until the buffer changes.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    mutating func removeAll() {
        count = 0
        guard capacity > capacityKept else { return }
        free(start)
        capacity = 0
        start = ByteBuffer.nowhere
    }

    mutating func removeAll(from place: Int) { count = place }

    mutating func removeFirst(_ byteCount: Int) {
        if byteCount == count { return removeAll() }
        count -= byteCount
        memmove(start, start + byteCount, count)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        memcpy(reserve(bytes.count), source, bytes.count)
        count += bytes.count
    }

    /// Room for that many bytes more, behind those that are there; `fill` counts those that were used.
    @inline(__always)
    mutating func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer {
        if capacity - count < byteCount + ByteBuffer.padding { grow(byteCount) }
        return start + count
    }

    @inline(__always)
    mutating func fill(_ byteCount: Int) { count += byteCount }

    @inline(never)
    private mutating func grow(_ byteCount: Int) {
        let grown = max(capacity * 2, count + byteCount + ByteBuffer.padding, ByteBuffer.capacityFirst)
        guard let larger = malloc(grown) else { fatalError("out of memory") }
        if capacity > 0 {
            memcpy(larger, start, count)
            free(start)
        }
        start = larger
        capacity = grown
    }
}

/// Eight bytes as they lie in memory. What is found is the high bit of each byte; above the first one found
/// there may be false ones, since borrows run upwards: only the first counts, and whether there is any.
extension UInt64 {
    @inline(__always)
    func bytes(equalTo byte: UInt8) -> UInt64 {
        (self ^ UInt64(byte) &* 0x0101_0101_0101_0101).bytes(below: 1)
    }

    /// `byte` is at most 128.
    @inline(__always)
    func bytes(below byte: UInt8) -> UInt64 {
        (self &- UInt64(byte) &* 0x0101_0101_0101_0101) & ~self & 0x8080_8080_8080_8080
    }
}
