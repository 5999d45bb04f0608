// Feeds answers that libFuzzer makes up to the reader, whole and in pieces: it must neither crash nor say one
// thing of the whole and another of the pieces. Seeds in Corpus/ are answers of the goldens.
//
//     swift build -c release --scratch-path .build/fuzz --sanitize address \
//         -Xswiftc -sanitize=fuzzer,address --target JunctionProviders
//     swiftc -O -parse-as-library -sanitize=fuzzer,address -module-name AnswerFuzz -lsimdjson -lprotobuf-c \
//         -lstdc++ -enable-experimental-feature Lifetimes -I .build/fuzz/release/Modules \
//         -Xcc -fmodule-map-file=Sources/CLibraries/System/module.modulemap \
//         -Xcc -fmodule-map-file=.build/fuzz/release/CJunctionMessages.build/module.modulemap \
//         -Xcc -fmodule-map-file=.build/fuzz/release/CJSON.build/module.modulemap \
//         -Xcc -ISources/CLibraries/Messages/include Tests/Fuzz/AnswerFuzz.swift \
//         $(find .build/fuzz/release/ -name '*.o' | grep -v Tests) -o .build/fuzz/answer-fuzz
//     .build/fuzz/answer-fuzz -max_total_time=300 .build/fuzz/corpus Tests/Fuzz/Corpus
import JunctionMessages
import JunctionProtobuf
import JunctionProviders

/// The first byte says how the answer is read; the second, in what pieces, whether frames are mended, and
/// whether it is read as embeddings.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    var bytes = Array(UnsafeBufferPointer(start: bytes, count: count))
    if bytes[1] & 0x80 != 0 { mend(&bytes, from: 2) }
    return bytes.withUnsafeBytes { check($0) }
}

private func check(_ bytes: UnsafeRawBufferPointer) -> CInt {
    let body = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(2))
    let mode = bytes[0]
    let embeddingCount = bytes[1] >= 0xc0 ? 2 : nil
    let whole = read(body, pieceSize: body.count, mode, embeddingCount)
    let pieces = read(body, pieceSize: Int(bytes[1] % 16) + 1, mode, embeddingCount)
    precondition(whole == pieces, "the reader says another thing of the pieces:\n\(whole)\n\(pieces)")
    return 0
}

/// Gives Amazon's frames the checksums that they must have: chance would hardly find them.
private func mend(_ bytes: inout [UInt8], from start: Int) {
    func bigEndian(at place: Int) -> Int { bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) } }
    func put(_ value: UInt32, at place: Int) {
        for index in 0..<4 { bytes[place + index] = UInt8(truncatingIfNeeded: value >> (24 - 8 * index)) }
    }
    var place = start
    while place + 16 <= bytes.count {
        let end = place + bigEndian(at: place)
        put(checksum(bytes[place..<place + 8]), at: place + 8)
        guard end >= place + 16, end <= bytes.count else { return }
        put(checksum(bytes[place..<end - 4]), at: end - 4)
        place = end
    }
}

private func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var remainder: UInt32 = 0xffff_ffff
    for byte in bytes {
        remainder ^= UInt32(byte)
        for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0xedb8_8320 : remainder >> 1 }
    }
    return ~remainder
}

nonisolated(unsafe) private let reader = AnswerReader()
nonisolated(unsafe) private let arena = Arena()
private let statuses = [200, 200, 200, 200, 400, 401, 429, 500]
/// Each once, in the order of the registry: sixteen can be told apart.
private let adapters = Registry.names.compactMap { Registry.provider(named: $0)?.adapter }
    .reduce(into: [Adapter]()) { adapters, adapter in
        if !adapters.contains(adapter) { adapters.append(adapter) }
    }

private func read(
    _ body: UnsafeRawBufferPointer, pieceSize: Int, _ mode: UInt8, _ embeddingCount: Int?
) -> [UInt8] {
    reader.reset(
        adapter: adapters[Int(mode >> 4) % adapters.count], isStreaming: mode & 1 == 1,
        embeddingCount: embeddingCount)
    reader.begin(status: statuses[Int(mode >> 1) % statuses.count])
    for field in ["retry-after", "x-amzn-errortype"] {
        reader.header(name: Array(field.utf8).span, value: [UInt8](body.prefix(40)).span)
    }
    var said: [UInt8] = []
    var at = 0
    while at < body.count {
        let piece = Array(body[at..<min(body.count, at + pieceSize)])
        reader.append(piece.span)
        take(&said)
        at += pieceSize
    }
    reader.end()
    take(&said)
    arena.reset()
    return said
}

/// What the reader says, encoded, so that every byte of it is looked at.
private func take(_ said: inout [UInt8]) {
    while true {
        switch reader.next(in: arena) {
        case .needsMore: return
        case .delta(let delta, let hasContent): said += [hasContent ? 1 : 0] + delta.encoded()
        case .complete(let response): said += response.encoded()
        case .embeddings(let response): said += response.encoded()
        case .usage(let usage): said += Array("\(usage)".utf8)
        case .finished: said.append(2)
        case .failed(let failure): said += Array("\(failure)".utf8)
        }
    }
}
