// What every file has and none has: a purpose, a width, something in it.
import Foundation
import Testing

struct FileTests {
    @Test func everyFileOpensWithItsPurpose() {
        let silent = Tree.handWritten.filter { file in
            // The module map says what these are for.
            if file.path.hasPrefix("Sources/CLibraries/System/"), file.path.hasSuffix(".h") { return false }
            guard let first = file.lines.first else { return true }
            if first.hasPrefix("#!") { return file.lines.count < 2 || !file.lines[1].hasPrefix("# ") }
            let opening: [String] =
                switch file.name.split(separator: ".").last {
                case "swift", "c", "cc", "h", "proto": ["// ", "/* "]
                case "modulemap": ["// "]
                case "py": ["\"\"\"", "# "]
                case "yaml" where file.path.hasPrefix("tools/"): ["# "]
                default: [""]
                }
            // Package.swift must open with the version of the tools.
            if first.hasPrefix("// swift-tools-version") { return !file.lines[1].hasPrefix("// ") }
            return !opening.contains(where: first.hasPrefix)
        }
        #expect(silent.map(\.path) == [])
    }

    @Test func nobodyPutsUpABanner() {
        let banners = Tree.swift.filter { file in
            file.lines.prefix(3).contains { $0.contains(#/Created by|Copyright|^\/\/ *[=\-*]{4,}/#) }
        }
        #expect(banners.map(\.path) == [])
    }

    /// 110 columns in the sources, as `.swift-format` has it, 120 elsewhere. A text in quotes is not broken.
    @Test func linesAreNotTooWide() {
        let kinds = [".swift", ".c", ".h", ".cc", ".py", ".proto"]
        var wide: [String] = []
        for file in Tree.handWritten + [Tree.file("Package.swift")!]
        where kinds.contains(where: file.path.hasSuffix) {
            let most = file.path.hasPrefix("Sources/") && file.path.hasSuffix(".swift") ? 110 : 120
            for (index, line) in file.lines.enumerated() where line.count > most {
                if line.trimmingPrefix(while: { $0 == " " }).first != "\"" {
                    wide.append(place(file, index, "\(line.count) columns"))
                }
            }
        }
        #expect(wide == [])
    }

    @Test func linesEndCleanly() {
        var wrong: [String] = []
        for file in Tree.handWritten where file.path.hasSuffix(".swift") {
            for (index, line) in file.lines.enumerated() where line.last == " " || line.contains("\t") {
                wrong.append(place(file, index, "a blank at the end, or a tab"))
            }
            if !file.text.hasSuffix("\n") || file.text.hasSuffix("\n\n") {
                wrong.append("\(file): end of file")
            }
        }
        #expect(wrong == [])
    }

    @Test func noFileIsEmpty() {
        let empty = Tree.swift.filter { file in file.code.allSatisfy { $0.allSatisfy(\.isWhitespace) } }
        #expect(empty.map(\.path) == [])
    }

    @Test func generatedFoldersHoldGeneratedFilesOnly() {
        let byHand = Tree.files.filter { $0.isGenerated && !$0.lines[0].contains(#/[Gg]enerated/#) }
        #expect(byHand.map(\.path) == [])
        #expect(Tree.generatedFolders.filter { !Tree.exists($0) } == [])
        let folders = Tree.text("tools/generate")
        #expect(
            folders.contains("Sources/JunctionMessages") && folders.contains("Sources/CLibraries/Messages"))
    }

    @Test func scriptsCanBeRun() {
        let scripts = Tree.files.filter { $0.text.hasPrefix("#!") }
        let locked = scripts.filter {
            !FileManager.default.isExecutableFile(atPath: Tree.root.appending(path: $0.path).path)
        }
        #expect(scripts.count > 3 && locked.map(\.path) == [])
    }
}

struct DocumentTests {
    private static let documents = ["README.md", "ARCHITECTURE.md", ".ci/run"]

    @Test(arguments: documents)
    func scriptsNamedInDocumentsExist(_ document: String) {
        let text = Tree.text(document)
        let named = Set(text.matches(of: #/(?:^|[\s`\/])(tools\/[\w\/.\-]+\w)/#).map { String($0.1) })
        #expect(!named.isEmpty)
        #expect(named.filter { !Tree.exists($0) } == [])
    }

    @Test func subcommandsNamedInTheReadmeExist() {
        let named = Set(
            Tree.text("README.md").matches(of: #/(?:release\/|`)junction ([a-z]+)/#).map { String($0.1) })
        #expect(named.isSuperset(of: ["check", "complete", "serve", "stream"]))
        let missing = named.filter { !Tree.exists("Sources/junction/\($0.capitalized).swift") }
        #expect(missing == [])
    }

    @Test func filesAndTypesNamedInArchitectureExist() {
        let text = Tree.text("ARCHITECTURE.md")
        let files = text.matches(of: #/`(Junction\w+\/\w+\.swift)`/#).map { "Sources/" + $0.1 }
        #expect(files.filter { !Tree.exists($0) } == [])
        let types = Set(text.matches(of: #/`([A-Z][a-z]\w+)`/#).map { String($0.1) })
        let declared = Set(
            Tree.files.filter { $0.path.hasPrefix("Sources/") }.flatMap { file in
                file.text.matches(of: #/(?:class|struct|enum|protocol|case) (\w+)/#).map { String($0.1) }
            })
        let modules = ModuleTests.dependencies.keys
        let known = declared.union(modules).union(["Sendable"])
        #expect(types.filter { !known.contains($0) && !Tree.exists($0) } == [])
    }

    /// The code of the README in other languages speaks of things that are there.
    @Test func theReadmesPythonMatchesTheProto() {
        let proto = Tree.text("Protos/junction/v1/router.proto")
        let named = Tree.text("README.md").matches(of: #/\bpb\.(\w+)/#).map { String($0.1) }
        #expect(!named.isEmpty && named.filter { !proto.contains($0) } == [])
    }
}
