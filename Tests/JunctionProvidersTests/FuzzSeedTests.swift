// The seeds of the fuzz target, and what it found, read whole and in pieces without it: tools/fuzz makes up more.
import Foundation
import JunctionProviders
import Testing

struct FuzzSeedTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../Fuzz/Corpus/answers")
    static let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.sorted() ?? []
    /// Each adapter once, in the order of the registry, as the fuzz target numbers them.
    private static let adapters = Registry.names.compactMap { Registry.provider(named: $0)?.adapter }
        .reduce(into: [Adapter]()) { if !$0.contains($1) { $0.append($1) } }

    @Test(arguments: names)
    func saysTheSameOfTheWholeAndOfPieces(name: String) throws {
        let bytes = [UInt8](try Data(contentsOf: FuzzSeedTests.folder.appendingPathComponent(name)))
        try #require((3...4096).contains(bytes.count), "seeds are small")
        let body = Array(bytes.dropFirst(2))
        let size = Int(bytes[1] % 16) + 1
        let pieces = stride(from: 0, to: body.count, by: size).map {
            Array(body[$0..<min(body.count, $0 + size)])
        }
        func said(_ pieces: [[UInt8]]) -> String {
            read(
                pieces, status: [200, 200, 200, 200, 400, 401, 429, 500][Int(bytes[0] >> 1) % 8],
                adapter: FuzzSeedTests.adapters[Int(bytes[0] >> 4) % FuzzSeedTests.adapters.count],
                isStreaming: bytes[0] & 1 == 1, embeddingCount: bytes[1] >= 0xc0 ? 2 : nil)
        }
        #expect(said([body]) == said(pieces))
    }

    @Test func thereAreSeedsForEachAdapter() throws {
        let seen = try FuzzSeedTests.names.map {
            Int(try Data(contentsOf: FuzzSeedTests.folder.appendingPathComponent($0))[0] >> 4)
        }
        #expect(Set(seen).isSuperset(of: FuzzSeedTests.adapters.indices))
    }
}
