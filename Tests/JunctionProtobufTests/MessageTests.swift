// Values and views against bytes that another implementation made, and against each other.
import JunctionMessages
import Shelf
import Testing

@testable import JunctionProtobuf

struct MessageTests {
    /// Reads what Python wrote, writes the same bytes.
    private func agrees<Message: ProtobufMessage>(_ message: Message, _ golden: [UInt8]) throws {
        #expect(try Message(decoding: golden) == message)
        #expect(message.encoded() == golden)
    }

    @Test func readsAndWritesWhatPythonDoes() throws {
        try agrees(Sample.lowest, Golden.lowest)
        try agrees(Sample.highest, Golden.highest)
        try agrees(Sample.lists, Golden.lists)
        try agrees(Sample.maps, Golden.maps)
        try agrees(Sample.tree, Golden.tree)
        try agrees(Sample.words, Golden.words)
    }

    @Test func tellsAbsentFromZero() throws {
        try agrees(Sample.book, Golden.book)
        #expect(try ShelfV1.Book(decoding: []) == ShelfV1.Book())
        #expect(ShelfV1.Book().pages == nil && Sample.book.pages == 0)
        #expect(ShelfV1.Book().encoded().isEmpty)
    }

    @Test func readsEachCaseOfAOneof() throws {
        try agrees(Sample.cover(.soft([UInt8(ascii: "s")])), Golden.soft)
        try agrees(Sample.cover(.asEdition(.init())), Golden.asEdition)
        try agrees(Sample.cover(.asGenre(.unspecified)), Golden.asGenre)
        try agrees(Sample.cover(.none_(false)), Golden.noCover)
        #expect(try ShelfV1.Book(decoding: Golden.soft + Golden.noCover) == Sample.cover(.none_(false)))
    }

    @Test func readsPackedAndUnpackedAlike() throws {
        #expect(try ShelfV1.Lists(decoding: Golden.unsaid).unsaid == [1, 300])
        #expect(try ShelfV1.Lists(decoding: bytes("9801 01 9801 ac02")).unsaid == [1, 300])
        #expect(try ShelfV1.Lists(decoding: bytes("18 01 1a 02 02 03 18 04")).int32s == [1, 2, 3, 4])
    }

    @Test func takesTheLastOfWhatStandsTwice() throws {
        #expect(try Proto.Plain(decoding: bytes("0a 01 61 0a 01 62")).text == "b")
        let maps = try ShelfV1.Maps(decoding: bytes("0a 06 0a016b 120161") + bytes("0a 06 0a016b 120162"))
        #expect(maps.byName == ["k": "b"])
    }

    @Test func mergesAMessageThatComesInParts() throws {
        let publisher = ShelfV1.Book.with { $0.edition = .with { $0.publisher = "p" } }
        let printings = ShelfV1.Book.with { $0.edition = .with { $0.printings = [.with { $0.number = 2 }] } }
        let whole = try ShelfV1.Book(decoding: publisher.encoded() + printings.encoded()).edition
        #expect(whole?.publisher == "p" && whole?.printings.map(\.number) == [2])
    }

    /// protobuf-c cannot merge two parts where a oneof is not set. It says so and loses nothing silently.
    @Test func refusesPartsOfAMessageWithAOneof() {
        let part = ShelfV1.Tree.with { $0.left = .with { $0.label = "l" } }.encoded()
        #expect(throws: ProtobufError.malformed) { try ShelfV1.Tree(decoding: part + part) }
    }

    @Test func takesAnAbsentKeyOrValueOfAMapForTheDefault() throws {
        #expect(try ShelfV1.Maps(decoding: bytes("0a 00")).byName == ["": ""])
        #expect(try ShelfV1.Maps(decoding: bytes("12 02 08 05")).byNumber == [5: .init()])
        #expect(try ShelfV1.Maps(decoding: bytes("1a 02 08 00")).byFlag == [false: .unspecified])
    }

    @Test func keepsNumbersOfAnEnumThatItDoesNotKnow() throws {
        for number: Int32 in [12, 1000, .max, .min, -2] {
            let message = ShelfV1.Scalars.with { $0.genre = .init(rawValue: number) }
            #expect(message.genre == .unrecognized(number))
            #expect(try ShelfV1.Scalars(decoding: message.encoded()) == message)
        }
    }

    @Test func givesAliasesOneValue() {
        #expect(ShelfV1.Genre.stories == .fiction && ShelfV1.Genre.fiction.rawValue == 1)
        #expect(ShelfV1.Genre(rawValue: -1) == .lost && ShelfV1.Genre.rawValue_.rawValue == 8)
    }

    @Test func takesEveryNonzeroVarintForTrue() throws {
        for wire in ["68 01", "68 02", "68 8001", "68 ffffffffffffffffff01"] {
            #expect(try ShelfV1.Scalars(decoding: bytes(wire)).aBool, "\(wire)")
        }
        #expect(try !ShelfV1.Scalars(decoding: bytes("68 00")).aBool)
        #expect(try !ShelfV1.Scalars(decoding: bytes("68 8000")).aBool)
    }

    @Test func passesOnFieldsThatItDoesNotKnow() throws {
        let arena = Arena()
        let wire = bytes("0a 01 61 d2 0f 03 787978 d8 0f 05 dd 0f 01020304 d9 0f 0102030405060708")
        let view = try decode(ShelfV1.Nothing.View.self, wire.span, in: arena)
        #expect(view.encoded() == wire)
        #expect(ShelfV1.Nothing(view) == ShelfV1.Nothing())
        withExtendedLifetime(arena) {}
    }

    @Test func holdsMessagesNamedLikeTypesOfSwift() throws {
        let message = ShelfV1.Type_.with {
            $0.view_ = .with { $0.string = "s" }
            $0.protocol = .init()
            $0.selves = [.with { $0.number = 1 }]
            $0.text = .with { $0.text = "t" }
            $0.string = .with { $0.string = "u" }
            $0.optional = [3: .init()]
            $0.array = [.with { $0.items = [1, 2] }]
            $0.number = .with { $0.number = -1 }
        }
        #expect(try ShelfV1.Type_(decoding: message.encoded()) == message)
        #expect(try ShelfV1.Arena_(decoding: bytes("0a 02 0a 00")).arenas.first?.arenas == [.init()])
        #expect(ShelfV1.Type_.fullName == "shelf.v1.Type" && Proto.Plain.fullName == "Plain")
    }

    @Test func leavesOutNULWhenAValueIsWritten() throws {
        let message = ShelfV1.Scalars.with { $0.aString = "a\0b\0" }
        #expect(try ShelfV1.Scalars(decoding: message.encoded()).aString == "ab")
    }
}

struct ViewTests {
    private let arena = Arena()

    @Test func isAReference() {
        let view = ShelfV1.Book.View(in: arena)
        let same = view
        same.title = arena.text("t")
        #expect(String(view.title) == "t" && view.title == "t" && !(view.title == "tt"))
    }

    @Test func startsEmpty() {
        let view = ShelfV1.Lists.View(in: arena)
        #expect(view.strings.isEmpty && view.books.isEmpty && view.encodedSize == 0)
        let book = ShelfV1.Book.View(in: arena)
        #expect(book.title.isEmpty && book.title.bytes.isEmpty && book.edition == nil && book.pages == nil)
        if book.theCover != nil { Issue.record("a new book has a cover") }
    }

    @Test func putsMessagesInPlace() {
        let view = ShelfV1.Lists.View(in: arena)
        for (index, book) in view.setBooks(count: 3, in: arena).enumerated() {
            book.title = arena.text("book \(index)")
            book.genre = .fiction
        }
        #expect(view.books.map { String($0.title) } == ["book 0", "book 1", "book 2"])
        view.setBooks([view.books[2]], in: arena)
        #expect(
            ShelfV1.Lists(view).books == [
                .with {
                    $0.title = "book 2"
                    $0.genre = .fiction
                }
            ])
        view.setBooks([], in: arena)
        #expect(view.encodedSize == 0)
    }

    @Test func clearsWhatIsSetToNil() {
        let view = Sample.book.view(in: arena)
        view.edition = nil
        view.pages = nil
        view.theCover = nil
        view.reader = nil
        #expect(view.edition == nil && view.pages == nil && view.reader == nil)
        let book = ShelfV1.Book(view)
        #expect(book.theCover == nil && book.title == "t")
    }

    @Test func showsBooleansAndEnumsAsSuch() {
        let view = Sample.lists.view(in: arena)
        #expect(Array(view.bools) == [true, false, true] && view.genres.last == .stories)
        #expect(view.byteStrings.map(\.count) == [0, 1] && view.strings[1] == "é")
    }

    @Test func survivesItsSource() throws {
        var wire = Golden.book
        let view = try decode(ShelfV1.Book.View.self, wire.span, in: arena)
        for index in wire.indices { wire[index] = 0xee }
        #expect(ShelfV1.Book(view) == Sample.book)
    }
}
