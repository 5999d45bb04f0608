// Server-sent events by the WHATWG's rules, against a reader of them that is slow and plain.
import Testing

@testable import JunctionProviders

struct EventStreamTests {
    @Test(arguments: [
        ("data: a\n\n", ["a"]),
        ("data:a\n\ndata:  b\n\n", ["a", " b"]),
        ("data: a\r\n\r\ndata: b\r\r", ["a", "b"]),
        ("data: a\ndata\ndata: c\n\n", ["a\n\nc"]),
        (": comment\n\n:\n\ndata: a\n\n", ["a"]),
        ("\u{feff}data: a\n\n", ["a"]),
        ("data: \u{feff}a\n\n", ["\u{feff}a"]),
        ("id: 1\nretry: 5\nevent: ping\ndata: a\nother: x\ndatax: y\n\n", ["a"]),
        ("event: error\ndata: a\n\ndata: b\n\n", ["!a", "b"]),
        ("event: errors\ndata: a\n\n", ["a"]),
        ("data\n\n", [""]),
        ("\n\n\ndata: a\n", []),
        ("data: ünï\u{1f600}\n\n", ["ünï\u{1f600}"]),
    ])
    func reads(text: String, events: [String]) {
        let bytes = Array(text.utf8)
        #expect(read([bytes]) == events)
        for place in 0...bytes.count {
            #expect(read([Array(bytes[..<place]), Array(bytes[place...])]) == events, "cut at byte \(place)")
        }
        #expect(read(bytes.map { [$0] }) == events)
    }

    @Test func agreesWithAPlainReader() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(state: seed)
        let words = [
            "data", "data:", "data: ", "event: error", ":", "x", "y y", "\n", "\n", "\n\n", "\r", "\r\n",
            "\u{feff}", "é",
        ]
        for _ in 0..<3000 {
            let text = (0..<Int.random(in: 0...24, using: &random)).map { _ in
                words.randomElement(using: &random)!
            }.joined()
            let bytes = Array(text.utf8)
            var pieces: [[UInt8]] = []
            var at = 0
            while at < bytes.count {
                let end = min(bytes.count, at + Int.random(in: 1...7, using: &random))
                pieces.append(Array(bytes[at..<end]))
                at = end
            }
            #expect(read(pieces) == plain(text), "seed \(seed), text \(text.debugDescription)")
        }
    }

    @Test func manyEventsAreNotTooLong() {
        var stream = EventStream(bytesMax: 100)
        var count = 0
        for _ in 0..<10_000 {
            append(Array("data: 0123456789\n\n: wait\n\n".utf8), to: &stream)
            while stream.next() != nil { count += 1 }
        }
        #expect(count == 10_000)
        let isTooLong = stream.isTooLong
        #expect(!isTooLong)
    }

    @Test func anEventThatDoesNotEndIsTooLong() {
        var stream = EventStream(bytesMax: 1000)
        let line = Array("data: \(String(repeating: "x", count: 100))\n".utf8)
        for _ in 0..<10 {
            append(line, to: &stream)
            let hasEvent = stream.next() != nil
            #expect(!hasEvent)
        }
        var isTooLong = stream.isTooLong
        #expect(isTooLong)
        stream.reset()
        isTooLong = stream.isTooLong
        #expect(!isTooLong)
    }

    private func read(_ pieces: [[UInt8]]) -> [String] {
        var stream = EventStream()
        var events: [String] = []
        for piece in pieces {
            append(piece, to: &stream)
            while let event = stream.next() {
                events.append((event.isError ? "!" : "") + String(decoding: event.data, as: UTF8.self))
            }
        }
        return events
    }

    private func append(_ bytes: [UInt8], to stream: inout EventStream) {
        bytes.withUnsafeBytes { stream.append($0) }
    }

    /// The standard's own words, one after the other.
    private func plain(_ text: String) -> [String] {
        var scalars = Array(text.unicodeScalars)
        if scalars.first == "\u{feff}" { scalars.removeFirst() }
        var lines: [String] = []
        var line = ""
        var at = 0
        while at < scalars.count {
            if scalars[at] == "\r" || scalars[at] == "\n" {
                if scalars[at] == "\r", at + 1 < scalars.count, scalars[at + 1] == "\n" { at += 1 }
                lines.append(line)
                line = ""
            } else {
                line.unicodeScalars.append(scalars[at])
            }
            at += 1
        }
        var events: [String] = []
        var data: [String] = []
        var type = ""
        for line in lines {
            if line.isEmpty {
                if !data.isEmpty {
                    events.append((type == "error" ? "!" : "") + data.joined(separator: "\n"))
                }
                data = []
                type = ""
                continue
            }
            let scalars = line.unicodeScalars
            let colon = scalars.firstIndex(of: ":")
            let name = String(scalars[..<(colon ?? scalars.endIndex)])
            var value = colon.map { String(scalars[scalars.index(after: $0)...]) } ?? ""
            if value.unicodeScalars.first == " " { value.unicodeScalars.removeFirst() }
            if name == "data" { data.append(value) } else if name == "event" { type = value }
        }
        return events
    }
}

struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
