// What the reader of HTTP/1.1 finds in answers, good and bad, however they are cut.
import Testing

@testable import JunctionOutbound

/// What a connection would tell of the bytes: status, fields and body, then how it ended.
private struct Told: Equatable, CustomStringConvertible {
    var text = ""
    var isKept = false
    var bytesLeft = 0
    var description: String { text + (isKept ? " kept" : "") + (bytesLeft > 0 ? " left \(bytesLeft)" : "") }
}

/// - Parameter pieceBytes: how many bytes come at a time.
private func read(_ bytes: [UInt8], pieceBytes: Int) -> Told {
    var reader = HTTP1Reader()
    var told = Told()
    var held: [UInt8] = []
    var start = 0
    var isInBody = false
    while start < bytes.count {
        let end = min(bytes.count, start + pieceBytes)
        held += bytes[start..<end]
        start = end
        var at = 0
        let ended: Bool = held.withUnsafeBytes { bytes in
            while true {
                let piece = reader.next(bytes, &at)
                if case .body(let range) = piece {
                    told.text += isInBody ? "" : "|"
                    // Byte by byte: a character may be cut.
                    told.text.unicodeScalars += bytes[range].map { Unicode.Scalar($0) }
                    isInBody = true
                    continue
                }
                switch piece {
                case .needsMore: return false
                case .status(let status): told.text += "\(status)"
                case .field(let name, let value):
                    let (name, value) = (bytes[name], bytes[value])
                    told.text += " \(String(decoding: name, as: UTF8.self))"
                    told.text += "=\(String(decoding: value, as: UTF8.self))"
                case .end:
                    told.text += "."
                    told.isKept = reader.isKept
                    return true
                case .malformed(let why):
                    told.text += " ! \(why)"
                    return true
                case .body: break
                }
            }
        }
        held.removeFirst(at)
        if ended {
            told.bytesLeft = held.count + bytes.count - start
            if told.text.contains("!") { told.bytesLeft = 0 }
            return told
        }
    }
    told.text += reader.mayEndByClosing ? "…" : "?"
    return told
}

@Suite struct HTTP1ReaderTests {
    private static let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    private static let fields = " Transfer-Encoding=chunked"

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 Content-Length=3|abc. kept"),
        ("HTTP/1.1 200\nContent-Length: 0\n\n", "200 Content-Length=0. kept"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "204. kept"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304 Content-Length=9. kept"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 \r\n\r\n",
            "204. kept"
        ),
        (
            "HTTP/1.1 200 OK\r\nX:  y z \t\r\nE:\r\n folded\r\nContent-Length: 0\r\n\r\n",
            "200 X=y z E= Content-Length=0. kept"
        ),
        (
            "HTTP/1.1 200 OK\r\nconnection: Foo, CLOSE\r\ncontent-length: 1\r\n\r\nx",
            "200 connection=Foo, CLOSE content-length=1|x."
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "200 Content-Length=1|x."),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
            "200 Connection=keep-alive Content-Length=1|x. kept"
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 408",
            "200 Content-Length=1 Content-Length=1|x. kept left 12"
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil it closes", "200|until it closes…"),
        (chunked + "3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\nTrailer: z\r\n\r\n", "200\(fields)|abcde. kept"),
        (chunked + "00A \r\n0123456789\r\n000\r\n\r\n", "200\(fields)|0123456789. kept"),
        (chunked + "3\r\nab", "200\(fields)|ab?"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "200 Content-Length=4 Transfer-Encoding=Chunked|x."
        ),
        ("HTTP/1.1 200 OK\r\nConte", "200?"),
        ("HTTP/1.", "?"),
    ])
    func whatAnswersSayWhereverTheyAreCut(answer: String, expected: String) {
        for pieceBytes in 1...answer.utf8.count {
            #expect(read(Array(answer.utf8), pieceBytes: pieceBytes).description == expected)
        }
    }

    @Test(arguments: [
        "220 mail.example ESMTP\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n", "HTTP/1.x 200 OK\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nName : x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunked + "x\r\n", chunked + "\r\n", chunked + " 1\r\n", chunked + "1x\r\n", chunked + "1\r\nab\r\n",
        chunked + "ffffffffffffffff\r\n", chunked + ";\r\n",
    ])
    func whatIsNoAnswerIsRefused(answer: String) {
        for pieceBytes in 1...answer.utf8.count {
            #expect(read(Array(answer.utf8), pieceBytes: pieceBytes).text.contains("!"), "\(pieceBytes)")
        }
    }

    @Test func headsAndLinesWithoutEndAreRefused() {
        let line = "HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 70_000)
        #expect(read(Array(line.utf8), pieceBytes: 4096).text == "200 ! a line is too long")
        let head = "HTTP/1.1 200 OK\r\n" + String(repeating: "X: 0123456789\r\n", count: 30_000)
        #expect(read(Array(head.utf8), pieceBytes: 4096).text.hasSuffix("! the head is too long"))
        let interim = String(repeating: "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", count: 30_000)
        #expect(read(Array(interim.utf8), pieceBytes: 4096).text.hasSuffix("! the head is too long"))
        let trailers =
            HTTP1ReaderTests.chunked + "0\r\n" + String(repeating: "X: 0123456789\r\n", count: 30_000)
        #expect(read(Array(trailers.utf8), pieceBytes: 4096).text.hasSuffix("! the head is too long"))
    }

    /// Answers with some bytes changed, taken out or doubled: the reader says the same of the whole and of
    /// the pieces, and stays within the bytes.
    @Test func damagedAnswersReadTheSameInPieces() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Damage(state: seed)
        let seeds = [
            HTTP1ReaderTests.chunked + "3\r\nabc\r\n10;q\r\n0123456789abcdef\r\n0\r\nT: z\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nabcdefghijkl",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno",
        ]
        for round in 0..<4_000 {
            var bytes = Array(seeds[round % seeds.count].utf8)
            for _ in 0...random.below(3) {
                let place = random.below(bytes.count)
                switch random.below(4) {
                case 0: bytes[place] = UInt8(random.below(256))
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(bytes[place], at: place)
                default: bytes[place] = [0x0a, 0x0d, 0x30, 0x3a, 0x20, 0x3b][random.below(6)]
                }
            }
            let whole = read(bytes, pieceBytes: bytes.count)
            for pieceBytes in [1, 2, 3, 7, 16] {
                let pieces = read(bytes, pieceBytes: pieceBytes)
                // A line that can no longer become a status line is refused before its end.
                let isSame = pieces == whole
                #expect(isSame, "seed \(seed), round \(round): \(whole) / \(pieces)")
                if !isSame { return }
            }
        }
    }
}

/// SplitMix64.
private struct Damage {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return Int((mixed ^ mixed >> 31) % UInt64(bound))
    }
}
