// The messages of Tests/Support/Shelf/goldens.py as Swift values, and small words for tests.
import Shelf

@testable import JunctionProtobuf

enum Sample {
    static var lowest: ShelfV1.Scalars {
        .with {
            $0.aDouble = -1.5
            $0.aFloat = -0.25
            $0.anInt32 = .min
            $0.anInt64 = .min
            $0.aSint32 = .min
            $0.aSint64 = .min
            $0.anSfixed32 = .min
            $0.anSfixed64 = .min
            $0.aBool = true
            $0.aString = "Zürich 🚆"
            $0.someBytes = [0, 0xff, 0]
            $0.genre = .lost
            $0.last = .min
        }
    }

    static var highest: ShelfV1.Scalars {
        .with {
            $0.aDouble = 1e300
            $0.aFloat = .infinity
            $0.anInt32 = .max
            $0.anInt64 = .max
            $0.aUint32 = .max
            $0.aUint64 = .max
            $0.aSint32 = .max
            $0.aSint64 = .max
            $0.aFixed32 = .max
            $0.aFixed64 = .max
            $0.anSfixed32 = .max
            $0.anSfixed64 = .max
            $0.aBool = true
            $0.aString = "a"
            $0.someBytes = [0x80]
            $0.genre = .genre1990s
            $0.last = .max
        }
    }

    static var lists: ShelfV1.Lists {
        .with {
            $0.doubles = [0, -1.5]
            $0.floats = [0.5, 0]
            $0.int32s = [.min, 0, 1, .max]
            $0.int64s = [.min, 0, 1, .max]
            $0.uint32s = [0, 0, 1, .max]
            $0.uint64s = [0, 0, 1, .max]
            $0.sint32s = [.min, 0, 1, .max]
            $0.sint64s = [.min, 0, 1, .max]
            $0.fixed32s = [0, 0, 1, .max]
            $0.fixed64s = [0, 0, 1, .max]
            $0.sfixed32s = [.min, 0, 1, .max]
            $0.sfixed64s = [.min, 0, 1, .max]
            $0.bools = [true, false, true]
            $0.strings = ["", "é", "z"]
            $0.byteStrings = [[], [0]]
            $0.genres = [.lost, .unspecified, .stories]
            $0.books = [.init(), .with { $0.title = "b" }]
            $0.loose = [0, -1, 300]
        }
    }

    static var maps: ShelfV1.Maps {
        .with {
            $0.byName = ["k": "v"]
            $0.byNumber = [-1: .with { $0.title = "b" }]
            $0.byFlag = [true: .lost]
            $0.byId = [.max: [0]]
            $0.byOffset = [-2: 0.5]
            $0.readers = ["r": .with { $0.name = "n" }]
        }
    }

    static var book: ShelfV1.Book {
        .with {
            $0.title = "t"
            $0.type = .novel
            $0.edition = .with {
                $0.publisher = "p"
                $0.printings = [.with { $0.number = 2 }]
            }
            $0.theCover = .hard("")
            $0.pages = 0
            $0.subtitle = ""
            $0.genre = .unspecified
            $0.digest = []
            $0.isLent = false
            $0.reader = .init()
            $0.shelfMark = .mark("m")
            $0.binding = .with { $0.thread = "linen" }
            $0.plain = .with { $0.text = "p" }
        }
    }

    static var tree: ShelfV1.Tree {
        .with {
            $0.label = "root"
            $0.left = .with { $0.label = "l" }
            $0.branches = [.init(), .with { $0.label = "b" }]
            $0.named = ["n": .with { $0.label = "n" }]
            $0.graft = .through(.with { $0.tree = .with { $0.label = "t" } })
            $0.shadow = .init()
            $0.branch = .with { $0.tree = .init() }
        }
    }

    static var words: ShelfV1.Words {
        .with {
            $0.init_ = "w1"
            $0.self_ = "w2"
            $0.type = "w3"
            $0.protocol = "w4"
            $0.raw_ = "w5"
            $0.descriptor_ = "w6"
            $0.description = "w7"
            $0.hashValue_ = "w8"
            $0.hash_ = "w9"
            $0.encoded_ = "w10"
            $0.encodedSize_ = "w11"
            $0.encode_ = "w12"
            $0.view_ = "w13"
            $0.arena = "w14"
            $0.basis = "w15"
            $0.fullName_ = "w16"
            $0.in = ["w17"]
            $0.let = 18
            $0.var = .init()
            $0.func = [UInt8(ascii: "f")]
            $0.class = true
            $0.default = [.init()]
            $0.where = ["k": "where"]
            $0.switch = .as("w26")
            $0.nil = 0
            $0.int = 28
            $0.double = [29]
            $0.namespace = "w30"
            $0.value = "w31"
            $0.newValue = "w32"
            $0.entry = ["k": "entry"]
            $0.item = ["k": "item"]
            $0.count = ["w35"]
            $0.text = ["w36"]
            $0.setText = "w37"
            $0.messages = [.init()]
            $0.values = [39]
            $0.camelCase = "w40"
            $0.lowerCamel = "w41"
            $0.x = "w42"
            $0.x9Y = "w43"
            $0.super = "w44"
            $0.any = "w45"
            $0.async = "w46"
            $0.leftStorage = "w47"
            $0.encodedBytes = "w48"
            $0.underscored = "w49"
        }
    }

    static func cover(_ cover: ShelfV1.Book.OneOf_TheCover) -> ShelfV1.Book { .with { $0.theCover = cover } }
}

extension ProtobufMessage {
    /// An empty message, then what `fill` makes of it.
    static func with(_ fill: (inout Self) -> Void) -> Self {
        var message = Self()
        fill(&message)
        return message
    }
}

/// What hexadecimal text stands for; blanks are skipped.
func bytes(_ hexadecimal: String) -> [UInt8] {
    let digits = hexadecimal.compactMap(\.hexDigitValue)
    precondition(digits.count.isMultiple(of: 2))
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
