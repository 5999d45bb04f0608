// Each golden holds a request by name, what the provider is sent for it, what it answered, and what the
// caller gets. UPDATE=1 writes what the provider is sent and what the caller gets anew: read the difference
// before you keep it.
import Foundation
import JunctionMessages
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import Testing

private let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
    "Goldens")

struct GoldenTests {
    static let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.sorted() ?? []

    @Test(arguments: names)
    func isAsWritten(name: String) throws {
        var golden = try Golden(folder.appendingPathComponent(name))
        let request = try golden.writeRequest()
        let answer = golden.read([golden.body])
        if ProcessInfo.processInfo.environment["UPDATE"] == "1" {
            golden.theirRequest = request
            golden.ourAnswer = answer
            try golden.save()
        }
        #expect(request == golden.theirRequest)
        #expect(answer == golden.ourAnswer)
        #expect(try JSONSerialization.jsonObject(with: Data(request.utf8)) is [String: Any])
    }

    /// However the network cuts the answer, the caller gets the same.
    @Test(arguments: names)
    func isTheSameHoweverItIsCut(name: String) throws {
        let golden = try Golden(folder.appendingPathComponent(name))
        let body = golden.body
        let whole = golden.read([body])
        for place in 0...body.count {
            #expect(
                golden.read([Array(body[..<place]), Array(body[place...])]) == whole, "cut at byte \(place)")
        }
        #expect(golden.read(body.map { [$0] }) == whole, "byte by byte")
    }

    @Test(arguments: names, ["\r\n", "\r"])
    func isTheSameWithOtherLineEnds(name: String, lineEnd: String) throws {
        let golden = try Golden(folder.appendingPathComponent(name))
        guard golden.isStream, ["data", "event"].contains(where: { golden.body.starts(with: $0.utf8) }) else {
            return
        }
        let other = Array(String(decoding: golden.body, as: UTF8.self).replacing("\n", with: lineEnd).utf8)
        let whole = golden.read([golden.body])
        #expect(golden.read([other]) == whole)
        #expect(golden.read(other.map { [$0] }) == whole, "byte by byte")
    }

    @Test func eachNamesItsSource() throws {
        #expect(!GoldenTests.names.isEmpty)
        for name in GoldenTests.names {
            let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            #expect(text.contains("\n# Source: "), "\(name)")
        }
    }
}

/// A golden file: comments, `key: value` lines, then three parts that each follow a line of dashes and their
/// name.
private struct Golden {
    let file: URL
    let head: String
    let settings: [String: String]
    var theirRequest: String
    let theirAnswer: String
    var ourAnswer: String

    init(_ file: URL) throws {
        self.file = file
        let text = try String(contentsOf: file, encoding: .utf8)
        let parts = text.components(separatedBy: "\n---- ")
        head = parts[0]
        func part(_ name: String) -> String {
            parts.first { $0.hasPrefix(name + "\n") }.map { String($0.dropFirst(name.count + 1)) } ?? ""
        }
        theirRequest = part("their request")
        theirAnswer = part("their answer")
        ourAnswer = part("our answer")
        settings = Dictionary(
            uniqueKeysWithValues: head.split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
                let pair = $0.split(separator: ":", maxSplits: 1)
                return (String(pair[0]), pair[1].trimmingCharacters(in: .whitespaces))
            })
    }

    func save() throws {
        let text = [
            head, "their request\n\(theirRequest)", "their answer\n\(theirAnswer)",
            "our answer\n\(ourAnswer)",
        ].joined(separator: "\n---- ")
        try text.write(to: file, atomically: true, encoding: .utf8)
    }

    var isStream: Bool { settings["stream"] == "yes" }
    var body: [UInt8] {
        let text = theirAnswer[theirAnswer.range(of: "\n\n")!.upperBound...]
        return theirAnswer.contains("application/vnd.amazon.eventstream") ? frames(text) : Array(text.utf8)
    }

    private var deployment: (provider: ProviderSpec, model: String) {
        let (provider, model) = Registry.split(settings["deployment"]!)
        return (Registry.provider(named: provider)!, model)
    }

    func writeRequest() throws -> String {
        let arena = Arena()
        let writer = BodyWriter()
        let completion = try #require(requests[settings["request"]!])
        try writer.write(
            completion.view(in: arena), model: deployment.model, isStreaming: isStream,
            adapter: deployment.provider.adapter)
        return writer.text
    }

    func read(_ pieces: [[UInt8]]) -> String {
        let lines = theirAnswer[..<theirAnswer.range(of: "\n\n")!.lowerBound].split(separator: "\n")
        let fields = lines.dropFirst().map { line in
            let pair = line.split(separator: ":", maxSplits: 1)
            return (String(pair[0]), pair[1].trimmingCharacters(in: .whitespaces))
        }
        return JunctionProvidersTests.read(
            pieces, status: Int(lines[0])!, fields: fields, adapter: deployment.provider.adapter,
            isStreaming: isStream)
    }
}
