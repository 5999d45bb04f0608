// Bytes that wait to be sent: a queue in one piece of memory, which it takes when the first byte comes and
// gives back when it has grown and the last one leaves, so that an idle stream costs little.
import Glibc

/// A first-in, first-out byte queue. Confined to one thread.
struct OutputBuffer: ~Copyable {
    /// Small enough to come from the allocator's quickest store, which ends at 1032.
    private static let keptBytes = 1000
    private var memory: UnsafeMutableRawPointer?
    private var capacity = 0
    private var head = 0
    private var tail = 0

    /// Bytes that wait.
    var count: Int { tail - head }
    var isEmpty: Bool { tail == head }

    /// The bytes that wait, from the oldest on; valid until the next change.
    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: memory.map { $0 + head }, count: count)
    }

    /// Room for `count` bytes behind the last one; they belong to the queue after `commit`.
    mutating func reserve(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if capacity - tail < count { makeRoom(for: count) }
        return UnsafeMutableRawBufferPointer(start: memory.map { $0 + tail }, count: count)
    }

    mutating func commit(_ count: Int) { tail += count }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count).copyMemory(from: bytes)
        commit(bytes.count)
    }

    /// Moves up to `limit` of the oldest bytes to `destination`; returns how many.
    mutating func move(to destination: UnsafeMutableRawPointer, atMost limit: Int) -> Int {
        let moved = min(limit, count)
        if moved > 0 {
            destination.copyMemory(from: memory! + head, byteCount: moved)
            drop(moved)
        }
        return moved
    }

    /// Forgets the oldest `count` bytes.
    mutating func drop(_ count: Int) {
        head += count
        guard head == tail else { return }
        if capacity > OutputBuffer.keptBytes {
            discard()
        } else {
            head = 0
            tail = 0
        }
    }

    /// Forgets everything and gives the memory back.
    mutating func discard() {
        free(memory)
        memory = nil
        capacity = 0
        head = 0
        tail = 0
    }

    private mutating func makeRoom(for added: Int) {
        let count = self.count
        if let memory, capacity - count >= added, head >= count {
            memory.copyMemory(from: memory + head, byteCount: count)
        } else {
            let grown = max(count + added, 2 * capacity, OutputBuffer.keptBytes)
            guard let larger = malloc(grown) else { fatalError("out of memory") }
            if let memory {
                larger.copyMemory(from: memory + head, byteCount: count)
                free(memory)
            }
            memory = larger
            capacity = grown
        }
        head = 0
        tail = count
    }

    deinit { free(memory) }
}

/// Where a loop's connections read into and gather what they send: one for all, since each uses it only
/// within one call.
final class TransferBuffer {
    /// What one read or one write moves at most, give or take a frame.
    static let byteCount = 64 * 1024
    let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: byteCount + HTTP2Session.largestPiece, alignment: 64)

    deinit { bytes.deallocate() }
}
