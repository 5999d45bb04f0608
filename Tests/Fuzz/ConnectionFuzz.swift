// Feeds what libFuzzer makes up to the readers of connections, HTTP/1.1's and Redis', whole and in pieces: they
// must neither crash nor say one thing of the whole and another of the pieces. `tools/fuzz` builds it with those
// readers, which their module keeps to itself, and runs it.
import Glibc

private let readers = ["http": readHTTP, "redis": readRedis]
private let forced = getenv("READER").map { readers[String(cString: $0)]! }

@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutableRawPointer
) -> CInt {
    print("readers:", readers.keys.sorted().joined(separator: " "))
    return 0
}

/// The first byte chooses the reader where the environment does not; the second, in what pieces it reads.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    // In memory of just that size, so that a look behind its end is seen.
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: count - 2, alignment: 1)
    defer { input.deallocate() }
    input.copyMemory(from: UnsafeRawBufferPointer(start: bytes + 2, count: count - 2))
    let said = forced ?? (bytes[0] & 1 == 0 ? readHTTP : readRedis)
    let whole = said(UnsafeRawBufferPointer(input), input.count)
    let pieces = said(UnsafeRawBufferPointer(input), Int(bytes[1] % 16) + 1)
    guard whole == pieces else {
        fatalError("the reader says one thing of the whole and another of the pieces")
    }
    return 0
}

/// Answers of a connection, as `HTTP1Connection` reads them: what was not used is given again with more behind.
private func readHTTP(_ input: UnsafeRawBufferPointer, _ pieceSize: Int) -> Int {
    var reader = HTTP1Reader()
    var said = Hasher()
    var start = 0
    var end = 0
    while true {
        // Ends where its memory does.
        let seen = UnsafeMutableRawBufferPointer.allocate(byteCount: end - start, alignment: 1)
        defer { seen.deallocate() }
        seen.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[start..<end]))
        var at = 0
        reading: while true {
            let piece = reader.next(UnsafeRawBufferPointer(seen), &at)
            precondition(at <= seen.count)
            switch piece {
            case .needsMore: break reading
            case .status(let status): said.combine(status)
            case .field(let name, let value):
                for range in [name, value] {
                    said.combine(bytes: UnsafeRawBufferPointer(rebasing: seen[range]))
                }
            case .body(let range):
                // A body comes in other pieces when its bytes do.
                for byte in seen[range] { said.combine(byte) }
            case .end:
                said.combine(reader.isKept)
                reader.reset()
            case .malformed:
                said.combine(1)
                return said.finalize()
            }
        }
        start += at
        if end == input.count {
            said.combine(reader.mayEndByClosing)
            said.combine(reader.hasBegun)
            return said.finalize()
        }
        end = min(input.count, end + pieceSize)
    }
}

private func readRedis(_ input: UnsafeRawBufferPointer, _ pieceSize: Int) -> Int {
    let reader = RedisReader()
    var said = Hasher()
    var at = 0
    do {
        while at < input.count {
            let piece = input[at..<min(input.count, at + pieceSize)]
            try reader.feed(UnsafeRawBufferPointer(rebasing: piece))
            while let value = try reader.next() { add(value, to: &said) }
            at += pieceSize
        }
    } catch {
        said.combine(1)
    }
    return said.finalize()
}

private func add(_ value: RedisValue, to said: inout Hasher) {
    switch value {
    case .null: said.combine(0)
    case .integer(let number): said.combine(number)
    case .status(let text), .error(let text): said.combine(text)
    case .bytes(let bytes): said.combine(bytes)
    case .array(let values):
        said.combine(values.count)
        for value in values { add(value, to: &said) }
    }
}
