// The repository as its own tests see it: files, their lines, and what is generated.
import Foundation

/// A file of the repository.
struct File: CustomStringConvertible, Sendable {
    /// From the root, such as `Sources/JunctionRPC/Status.swift`.
    let path: String
    let text: String
    let lines: [Substring]
    /// The lines of a Swift file without comments and texts in quotes.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        self.text = text
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        code = path.hasSuffix(".swift") ? File.code(lines) : []
    }

    var description: String { path }
    var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    /// The module that a file below Sources, or of a tool that is one, belongs to.
    var module: String? {
        let parts = path.split(separator: "/")
        if path.hasPrefix("tools/load/") { return "JunctionLoad" }
        if path.hasPrefix("tools/report/") { return "JunctionReport" }
        if path.hasPrefix("tools/simulate/") { return "JunctionSimulation" }
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    var isGenerated: Bool { Tree.generatedFolders.contains { path.hasPrefix($0) } }

    private static func code(_ lines: [Substring]) -> [String] {
        var isInText = false
        return lines.map { line in
            if line.contains("\"\"\"") {
                isInText.toggle()
                return ""
            }
            return isInText ? "" : code(line)
        }
    }

    private static func code(_ line: Substring) -> String {
        var code: [Character] = []
        var isInText = false
        var isEscaped = false
        for character in line {
            if isInText {
                isInText = isEscaped || character != "\""
                isEscaped = !isEscaped && character == "\\"
                if !isInText { code.append(character) }
                continue
            }
            if character == "/" && code.last == "/" {
                code.removeLast()
                break
            }
            isInText = character == "\""
            code.append(character)
        }
        return String(code)
    }
}

enum Tree {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Folders that tools/generate fills; nothing in them is written by hand.
    static let generatedFolders = [
        "Sources/CLibraries/Messages/", "Sources/JunctionMessages/", "Sources/JunctionClient/Generated/",
        "Sources/JunctionService/Generated/", "Tests/Support/Shelf/C/", "Tests/Support/Shelf/Messages/",
        "Tests/GeneratedStubsTests/Generated/",
    ]

    /// Every text file below Sources, Tests, tools and Protos.
    static let files: [File] = ["Protos", "Sources", "Tests", "tools"].flatMap(files(below:)).sorted {
        $0.path < $1.path
    }

    /// What is written by hand.
    static let handWritten = files.filter { !$0.isGenerated && !$0.path.contains("/Goldens") }

    static let swift = handWritten.filter { $0.path.hasSuffix(".swift") }

    static func file(_ path: String) -> File? {
        (try? String(contentsOf: root.appending(path: path), encoding: .utf8)).map {
            File(path: path, text: $0)
        }
    }

    static func text(_ path: String) -> String { file(path)?.text ?? "" }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path)
    }

    private static func files(below folder: String) -> [File] {
        let names = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
        return (names?.compactMap { $0 as? String } ?? []).compactMap { name in
            let parts = name.split(separator: "/")
            if parts.contains(where: { $0.hasPrefix(".") || $0 == "__pycache__" }) { return nil }
            return file(folder + "/" + name)
        }
    }
}

/// A place where a rule is broken, as editors jump to it; `index` counts lines from 0.
func place(_ file: File, _ index: Int, _ why: String) -> String { "\(file.path):\(index + 1): \(why)" }
