// Messages damaged at random: whatever decodes must encode and decode to the same again. Run it under
// `swift test --sanitize address` to see every byte read and written out of place.
import Shelf
import Testing

@testable import JunctionProtobuf

struct MutationTests {
    private static let rounds = 60_000

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func decodesOrRefusesDamagedMessages(seed: UInt64) throws {
        var random = Lottery(seed: seed)
        let arena = Arena()
        var decoded = 0
        for round in 0..<MutationTests.rounds {
            let survives =
                switch round % 4 {
                case 0: check(ShelfV1.Lists.self, damaged(Golden.lists, &random), arena)
                case 1: check(ShelfV1.Tree.self, damaged(Golden.tree, &random), arena)
                case 2: check(ShelfV1.Maps.self, damaged(Golden.maps, &random), arena)
                default: check(ShelfV1.Book.self, damaged(Golden.book, &random), arena)
                }
            switch survives {
            case true?: decoded += 1
            case false?:
                Issue.record("seed \(seed), round \(round): does not read what it wrote")
                return
            case nil: break
            }
        }
        // Neither everything nor nothing: the damage is worth testing.
        #expect(
            decoded > MutationTests.rounds / 20 && decoded < MutationTests.rounds * 19 / 20, "seed \(seed)")
    }

    /// Whether the message writes what it reads; nil: it is refused.
    private func check<Message: ProtobufMessage>(_ type: Message.Type, _ wire: [UInt8], _ arena: Arena)
        -> Bool?
    {
        arena.reset()
        guard let view = try? decode(Message.View.self, wire.span, in: arena) else { return nil }
        let once = view.encoded()
        guard let again = try? decode(Message.View.self, once.span, in: arena), again.encoded() == once else {
            return false
        }
        let value = Message(view)
        guard let copy = try? Message(decoding: value.encoded()) else { return false }
        // NaN is not equal to itself.
        return copy == value || "\(value)".contains("nan") && copy.encoded().count == value.encoded().count
    }

    private func damaged(_ golden: [UInt8], _ random: inout Lottery) -> [UInt8] {
        var wire = golden
        for _ in 0...random.next(below: 3) where !wire.isEmpty {
            let place = random.next(below: wire.count)
            switch random.next(below: 6) {
            case 0: wire[place] = UInt8(truncatingIfNeeded: random.next())
            case 1: wire[place] ^= 1 << random.next(below: 8)
            case 2: wire.remove(at: place)
            case 3: wire.insert([0, 0x80, 0xff, 0x7f, 1][random.next(below: 5)], at: place)
            case 4: wire.removeSubrange(place...)
            default:
                let end = min(wire.count, place + random.next(below: 40))
                wire.insert(contentsOf: wire[place..<end], at: place)
            }
        }
        return wire
    }
}
