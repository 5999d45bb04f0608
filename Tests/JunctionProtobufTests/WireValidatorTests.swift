// Bytes that are wrong in every way are refused with the reason, and nothing else happens.
import Shelf
import Testing

@testable import JunctionProtobuf

struct WireValidatorTests {
    private func error<Message: ProtobufMessage>(_ type: Message.Type, _ wire: [UInt8]) -> ProtobufError? {
        do {
            _ = try Message(decoding: wire)
            return nil
        } catch { return error }
    }

    /// A field that is itself a message, a string or bytes.
    private func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
        precondition(number < 16 && content.count < 128)
        return [number << 3 | 2, UInt8(content.count)] + content
    }

    @Test func refusesOrReadsEveryTruncation() {
        truncate(ShelfV1.Scalars.self, Golden.lowest)
        truncate(ShelfV1.Lists.self, Golden.lists)
        truncate(ShelfV1.Maps.self, Golden.maps)
        truncate(ShelfV1.Book.self, Golden.book)
        truncate(ShelfV1.Tree.self, Golden.tree)
        truncate(ShelfV1.Words.self, Golden.words)
    }

    /// A cut between two fields leaves a message, any other cut leaves none.
    private func truncate<Message: ProtobufMessage>(_ type: Message.Type, _ golden: [UInt8]) {
        let errors = golden.indices.map { error(type, Array(golden[..<$0])) }
        #expect(errors.allSatisfy { $0 == nil || $0 == .malformed }, "\(type)")
        let fields = errors.count { $0 == nil }
        #expect(fields > 1 && fields < golden.count / 2, "\(type)")
    }

    @Test(arguments: [
        "ff", "c0 80", "ed a0 80", "f5 80 80 80", "e2 82", "80", "61 62 63 64 65 66 67 68 69 c3", "c3 a9 ff",
        "61 62 63 64 65 66 67 c3", "f0 9f 9a",
    ])
    func refusesTextThatIsNotUTF8(_ text: String) {
        #expect(error(Lending.Reader.self, field(1, bytes(text))) == .invalidUTF8(field: "name"))
    }

    @Test(arguments: [
        "", "a", "1234567", "12345678", "123456789", "Zürich", "駅", "\u{7f}", "a🚆b🚆c🚆d", "\u{80}",
    ])
    func takesTextThatIsUTF8(_ text: String) throws {
        #expect(try Lending.Reader(decoding: field(1, Array(text.utf8))).name == text)
    }

    @Test(arguments: 0..<20)
    func findsANULAnywhere(_ place: Int) {
        var text = [UInt8](repeating: UInt8(ascii: "a"), count: 20)
        text[place] = 0
        #expect(error(Lending.Reader.self, field(1, text)) == .embeddedNUL(field: "name"))
        text += Array("é".utf8)
        #expect(error(Lending.Reader.self, field(1, text)) == .embeddedNUL(field: "name"))
    }

    @Test func namesTheFieldByItsPath() {
        let bad: [UInt8] = [0xff]
        let empty = field(3, [])
        #expect(
            error(ShelfV1.Tree.self, empty + empty + field(3, field(2, field(1, bad))))
                == .invalidUTF8(field: "branches[2].left.label"))
        #expect(
            error(ShelfV1.Tree.self, field(4, []) + empty + field(4, field(2, field(1, [0]))))
                == .embeddedNUL(field: "named[1].value.label"))
        #expect(error(ShelfV1.Maps.self, field(1, field(1, bad))) == .invalidUTF8(field: "by_name[0].key"))
        #expect(
            error(
                ShelfV1.Tree.self,
                bytes("08 01 0d 01020304 3a 00 09 0102030405060708") + field(5, field(1, bad)))
                == .invalidUTF8(field: "inner.label"))
        // strings = 14
        #expect(
            error(ShelfV1.Lists.self, bytes("72 01 61 18 05 72 01 ff")) == .invalidUTF8(field: "strings[1]"))
    }

    @Test func findsFieldsThatComeInAnyOrder() throws {
        let label: [UInt8] = field(1, Array("l".utf8))
        let tree = try ShelfV1.Tree(
            decoding: field(8, []) + label + field(3, []) + field(2, label) + field(3, label))
        #expect(tree.label == "l" && tree.left?.label == "l" && tree.branches.map(\.label) == ["", "l"])
        #expect(error(ShelfV1.Tree.self, field(8, []) + field(1, [0xff])) == .invalidUTF8(field: "label"))
    }

    @Test func leavesBytesAlone() throws {
        #expect(try ShelfV1.Book(decoding: field(5, [0, 0xff])).theCover == .soft([0, 0xff]))
    }

    @Test func stopsAt100Deep() throws {
        func nested(_ depth: Int) -> [UInt8] {
            (1..<depth).reduce([]) { inner, _ in [0x12] + varint(inner.count) + inner }
        }
        #expect(error(ShelfV1.Tree.self, nested(100)) == nil)
        #expect(error(ShelfV1.Tree.self, nested(101)) == .tooDeep)
        #expect(error(ShelfV1.Tree.self, nested(50_000)) == .tooDeep)
    }

    private func varint(_ number: Int) -> [UInt8] {
        number < 128 ? [UInt8(number)] : [UInt8(number & 127) | 128] + varint(number >> 7)
    }

    @Test(arguments: [
        ("a group's start", "0b 0c"), ("a group's end", "0c"), ("wire type 6", "0e 00"),
        ("wire type 7", "0f 00"),
        ("field 0", "02 00"), ("field 2^29", "8080808010 00"), ("an endless tag", "ffffffffffffffffffffff"),
        ("an endless varint", "18 ffffffffffffffffffff01"), ("a length beyond the end", "0a 02 61"),
        ("a length of 2^63", "0a 80808080808080808001"), ("a length of 2^64-1", "0a ffffffffffffffffff01 61"),
        ("a length of 2^31", "0a 8080808008 61"), ("half a fixed32", "0d 0102"),
        ("half a fixed64", "09 01020304"),
        ("no value", "0a"), ("a string as a varint", "08 01"),
        ("a message cut inside", "12 02 0a 05"),
    ])
    func refuses(_ what: String, _ wire: String) {
        #expect(error(ShelfV1.Tree.self, bytes(wire)) == .malformed, "\(what)")
    }

    @Test(arguments: ["1a 01 80", "0a 07 00000000000000", "6a 0b 8080808080808080808080", "42 ff"])
    func refusesPackedFieldsThatDoNotAddUp(_ wire: String) {
        #expect(error(ShelfV1.Lists.self, bytes(wire)) == .malformed)
    }

    @Test func saysWhatIsWrong() {
        #expect("\(ProtobufError.invalidUTF8(field: "a.b[1]"))" == "a.b[1] is not valid UTF-8")
        #expect("\(ProtobufError.embeddedNUL(field: "a"))".hasPrefix("a holds a NUL"))
    }
}
