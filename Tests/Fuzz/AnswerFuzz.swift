// Feeds answers that libFuzzer makes up to the reader, whole and in pieces: it must neither crash nor say one
// thing of the whole and another of the pieces. Seeds in Corpus/answers are answers of the goldens and what was
// found beside them. `tools/fuzz` builds and runs it.
import Glibc
import JunctionMessages
import JunctionProtobuf
import JunctionProviders

@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutableRawPointer
) -> CInt {
    print("readers:", adapters.map(\.name).joined(separator: " "))
    return 0
}

/// The first byte says how the answer is read (its adapter: the high half; its status; whether it streams: the
/// lowest bit); the second, in what pieces, whether frames are mended, and whether it is read as embeddings. What
/// is Azure's is read as a token of Entra ID, too.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let mode = forced.map { bytes[0] & 0x0e | $0 } ?? bytes[0]
    let cut = bytes[1]
    // In memory of just that size, so that a look behind its end is seen.
    let body = UnsafeMutableRawBufferPointer.allocate(byteCount: count - 2, alignment: 1)
    defer { body.deallocate() }
    body.copyMemory(from: UnsafeRawBufferPointer(start: bytes + 2, count: count - 2))
    if cut & 0x80 != 0 { mend(body) }
    let embeddingCount = cut >= 0xc0 ? 2 : nil
    if adapter(mode) == .azure { _ = EntraToken(answer: Span(_unsafeBytes: UnsafeRawBufferPointer(body))) }
    let whole = read(UnsafeRawBufferPointer(body), pieceSize: body.count, mode, embeddingCount)
    let pieces = read(UnsafeRawBufferPointer(body), pieceSize: Int(cut % 16) + 1, mode, embeddingCount)
    if whole != pieces {
        isTelling = true
        print("of the whole:")
        _ = read(UnsafeRawBufferPointer(body), pieceSize: body.count, mode, embeddingCount)
        print("of its pieces:")
        _ = read(UnsafeRawBufferPointer(body), pieceSize: Int(cut % 16) + 1, mode, embeddingCount)
        fatalError("the reader says one thing of the whole and another of the pieces")
    }
    return 0
}

/// Gives Amazon's frames the checksums that they must have: chance would hardly find them.
private func mend(_ bytes: UnsafeMutableRawBufferPointer) {
    func put(_ value: UInt32, at place: Int) {
        bytes.storeBytes(of: value.bigEndian, toByteOffset: place, as: UInt32.self)
    }
    var place = 0
    while place + 16 <= bytes.count {
        let length = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
        let end = place + Int(length)
        put(checksum(bytes[place..<place + 8]), at: place + 8)
        guard end >= place + 16, end <= bytes.count else { return }
        put(checksum(bytes[place..<end - 4]), at: end - 4)
        place = end
    }
}

private func checksum(_ bytes: Slice<UnsafeMutableRawBufferPointer>) -> UInt32 {
    var remainder: UInt32 = 0xffff_ffff
    for byte in bytes {
        remainder ^= UInt32(byte)
        for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0xedb8_8320 : remainder >> 1 }
    }
    return ~remainder
}

nonisolated(unsafe) private let reader = AnswerReader()
nonisolated(unsafe) private let arena = Arena()
/// Whether events are printed; else only their hash is of interest.
nonisolated(unsafe) private var isTelling = false
nonisolated(unsafe) private var packed = UnsafeMutableRawBufferPointer.allocate(
    byteCount: 1 << 16, alignment: 16)
/// Adapter and streaming of every answer, where READER and STREAMED say so, whatever its first byte says.
private let forced: UInt8? = getenv("READER").map { name in
    let adapter = adapters.firstIndex { $0.name == String(cString: name) }!
    return UInt8(adapter << 4) | (getenv("STREAMED").map { UInt8(atoi($0)) } ?? 0)
}
private let statuses = [200, 200, 200, 200, 400, 401, 429, 500]
/// Each once, by the first provider that has it, in the order of the registry: sixteen can be told apart.
private let adapters = Registry.names.compactMap { Registry.provider(named: $0) }
    .reduce(into: [ProviderSpec]()) { adapters, provider in
        if !adapters.contains(where: { $0.adapter == provider.adapter }) { adapters.append(provider) }
    }
private func adapter(_ mode: UInt8) -> Adapter { adapters[Int(mode >> 4) % adapters.count].adapter }
/// Fields whose values the reader looks into; of each answer all have the same, the first line of the body.
private let fields: [StaticString] = [
    "x-amzn-errortype", "retry-after", "retry-after-ms", "date", "x-ratelimit-limit-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-limit-requests", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens",
    "x-ratelimit-remaining-requests", "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "x-ratelimit-reset",
    "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "ratelimitbysize-reset",
    "x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", "x-ratelimit-remaining-tokens-minute",
]

/// What the reader says of the body, as a hash.
private func read(
    _ body: UnsafeRawBufferPointer, pieceSize: Int, _ mode: UInt8, _ embeddingCount: Int?
) -> Int {
    reader.reset(
        adapter: adapter(mode), isStreaming: mode & 1 == 1, embeddingCount: embeddingCount)
    reader.begin(status: statuses[Int(mode >> 1) % statuses.count])
    let value = Span<UInt8>(
        _unsafeBytes: UnsafeRawBufferPointer(rebasing: body.prefix(40).prefix { $0 != 0x0a }))
    for name in fields {
        let name = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        reader.header(name: Span(_unsafeBytes: name), value: value)
    }
    _ = reader.rateLimits
    // Each piece ends where its memory does.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 1)
    defer { memory.deallocate() }
    var said = Hasher()
    var at = 0
    while at < body.count {
        let count = min(pieceSize, body.count - at)
        let piece = UnsafeMutableRawBufferPointer(rebasing: memory.suffix(count))
        piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: body[at..<at + count]))
        reader.append(Span(_unsafeBytes: UnsafeRawBufferPointer(piece)))
        take(into: &said)
        at += count
    }
    reader.end()
    take(into: &said)
    arena.reset()
    return said.finalize()
}

/// What the reader says, encoded, so that every byte of it is looked at.
private func take(into said: inout Hasher) {
    while true {
        let event = reader.next(in: arena)
        if isTelling { tell(event) }
        switch event {
        case .needsMore: return
        case .delta(let delta, let hasContent):
            said.combine(hasContent)
            add(delta, to: &said)
        case .complete(let response): add(response, to: &said)
        case .embeddings(let response): add(response, to: &said)
        case .usage(let usage):
            for count in [usage.prompt, usage.completion, usage.cached, usage.cacheWritten, usage.reasoning] {
                said.combine(count)
            }
            said.combine(usage.cost)
        case .finished: said.combine(2)
        case .failed(let failure):
            said.combine(failure.kind)
            said.combine(failure.httpStatus)
            said.combine(failure.message)
            said.combine(failure.retryAfter)
        }
    }
}

private func add(_ view: some MessageView, to said: inout Hasher) {
    let count = view.encodedSize
    if count > packed.count {
        packed.deallocate()
        packed = .allocate(byteCount: count * 2, alignment: 16)
    }
    view.encode(into: packed.baseAddress!)
    said.combine(bytes: UnsafeRawBufferPointer(rebasing: packed.prefix(count)))
}

private func tell(_ event: AnswerReader.Event) {
    switch event {
    case .needsMore: break
    case .delta(let delta, let hasContent): print("  delta", hasContent, delta.encoded())
    case .complete(let response): print("  complete", response.encoded())
    case .embeddings(let response): print("  embeddings", response.encoded())
    case .usage(let usage): print("  usage", usage)
    case .finished: print("  finished")
    case .failed(let failure): print("  failed", failure)
    }
}
