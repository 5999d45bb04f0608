// Who imports whom: Package.swift, ARCHITECTURE.md and the files agree. The compiler refuses an import that
// Package.swift does not declare; these tests refuse a Package.swift that ARCHITECTURE.md does not allow.
import Testing

struct ModuleTests {
    /// The modules in ARCHITECTURE.md's table, highest first.
    static let table: [String] = Tree.text("ARCHITECTURE.md").split(separator: "\n").compactMap {
        $0.firstMatch(of: #/^\| `(\w+)` \|/#).map { String($0.1) }
    }

    /// What each target in Package.swift depends on.
    static let dependencies: [String: [String]] = {
        let targets = Tree.text("Package.swift").split(separator: #/\.(?:systemLibrary|\w*[tT]arget)\(/#)
            .dropFirst()
        return Dictionary(
            uniqueKeysWithValues: targets.compactMap { target in
                guard let name = target.firstMatch(of: #/name: "(\w+)"/#) else { return nil }
                let list = target.firstMatch(of: #/dependencies: \[([^\]]*)\]/#)?.1 ?? ""
                return (String(name.1), list.matches(of: #/"(\w+)"/#).map { String($0.1) })
            })
    }()

    /// The modules of the command that are no part of a router, and so stand outside Sources.
    static let tools: Set = ["JunctionLoad", "JunctionReport", "JunctionSimulation"]

    /// The modules below Sources/CLibraries: what is not Swift.
    static let cModules: Set<String> = Set(
        Tree.text("Sources/CLibraries/System/module.modulemap").matches(of: #/module (\w+)/#).map {
            String($0.1)
        }
            + ["CLibraries", "CJSON", "CJunctionMessages"])

    /// Each C module has one file that speaks it, whose types the rest of its module uses. JunctionProtobuf
    /// is nothing but the wrapper of protobuf-c.
    static let wrappers: [String: Set<String>] = [
        "CUV": ["Sources/JunctionTransport/EventLoop.swift"],
        "CNghttp2": ["Sources/JunctionTransport/HTTP2Session.swift"],
        "CYAML": ["Sources/JunctionYAML/YAMLTree.swift"],
        "CCurl": ["Sources/JunctionOutbound/Curl.swift"],
        "CHiredis": ["Sources/JunctionOutbound/RedisReader.swift"],
        "COpenSSL": ["Sources/JunctionOutbound/AWSSigner.swift", "Sources/JunctionOutbound/TLS.swift"],
        "CJSON": [
            "Sources/JunctionProviders/JSONReader.swift", "Sources/JunctionProviders/JSONWriter.swift",
        ],
        "CProtobufC": [
            "Sources/JunctionProtobuf/Arena.swift", "Sources/JunctionProtobuf/FieldViews.swift",
            "Sources/JunctionProtobuf/Message.swift", "Sources/JunctionProtobuf/WireValidator.swift",
        ],
    ]

    /// The modules of the system that are allowed below Sources, and in which of ours.
    static let system: [String: Set<String>] = [
        "Synchronization": Set(table),
        "Glibc": [
            "JunctionTransport", "JunctionProtobuf", "JunctionOutbound", "JunctionRPC", "JunctionProviders",
            "JunctionLoad", "JunctionReport", "JunctionService", "JunctionSimulation", "junction",
            "junctiond",
        ],
        // Never in what serves, and never the whole of Foundation: it brings ICU.
        "FoundationEssentials": ["JunctionLoad", "junction"],
        "Dispatch": ["JunctionService", "junction"],
        "Histogram": ["JunctionLoad"],
        "ArgumentParser": ["junction"],
    ]

    private func imports(of file: File) -> [(index: Int, module: String)] {
        file.code.enumerated().compactMap { index, line in
            guard line.contains("import ") else { return nil }
            return line.firstMatch(of: #/^\s*(?:[@\w()]+ )*import (?:\w+ )?(\w+)/#)
                .map { (index, String($0.1)) }
        }
    }

    @Test func architectureNamesEveryModuleAndNoOther() {
        let ours = Self.dependencies.keys.filter {
            (Tree.exists("Sources/\($0)") || Self.tools.contains($0)) && !Self.cModules.contains($0)
        }
        #expect(Set(Self.table) == Set(ours).union(["CLibraries"]))
        #expect(Self.table.count == Set(Self.table).count)
    }

    @Test func everyFolderBelongsToATarget() {
        let sources = Set(Tree.files.compactMap(\.module)).subtracting(["CLibraries"])
        let tests = Set(
            Tree.swift.compactMap { $0.path.firstMatch(of: #/^Tests\/(\w+Tests)\//#).map { String($0.1) } })
        #expect(sources.union(tests).subtracting(Self.dependencies.keys) == [])
    }

    @Test func packageImportsOnlyFromLinesBelow() {
        for (upper, module) in Self.table.enumerated() {
            for dependency in Self.dependencies[module] ?? [] where !Self.cModules.contains(dependency) {
                let lower = Self.table.firstIndex(of: dependency) ?? -1
                #expect(lower > upper, "\(module) depends on \(dependency), which is not below it")
            }
        }
        #expect(Self.dependencies["JunctionRouting"] == [])
        #expect(
            Set(Self.dependencies["JunctionProviders"] ?? []).isDisjoint(with: [
                "JunctionTransport", "JunctionRPC",
            ]))
        #expect(Set(Self.dependencies["JunctionTransport"] ?? []).isSubset(of: Self.cModules))
        #expect(Set(Self.dependencies["JunctionProtobuf"] ?? []).isSubset(of: Self.cModules))
        #expect(Set(Self.dependencies["JunctionClient"] ?? []).isDisjoint(with: ["JunctionOutbound"]))
    }

    @Test func filesImportWhatTheirModuleMay() {
        var wrong: [String] = []
        for file in Tree.swift {
            guard let module = file.module else { continue }
            for (index, name) in imports(of: file) {
                let isAllowed =
                    if Self.cModules.contains(name) {
                        Self.wrappers[name]?.contains(file.path) == true
                    } else if let modules = Self.system[name] { modules.contains(module) } else {
                        Self.dependencies[module]?.contains(name) == true
                    }
                if !isAllowed { wrong.append(place(file, index, "\(module) must not import \(name) here")) }
            }
        }
        #expect(wrong == [])
    }

    @Test func eachCModuleHasItsWrapper() {
        let imported = Set(Tree.swift.filter { $0.module != nil }.flatMap(imports(of:)).map(\.module))
        #expect(imported.intersection(Self.cModules) == Set(Self.wrappers.keys))
    }

    @Test func onlyWrappersAreUnsafe() {
        let wrappers: Set = [
            "JunctionTransport", "JunctionProtobuf", "JunctionOutbound", "JunctionRPC", "JunctionProviders",
            "JunctionYAML",
        ]
        var wrong: [String] = []
        for file in Tree.swift where file.module.map({ !wrappers.contains($0) }) ?? false {
            for (index, line) in file.code.enumerated()
            where line.contains(
                #/\bUnsafe[A-Z]|\bUnmanaged\b|withUnsafe|\(unsafe\)|@unchecked|unsafeBitCast/#
                    .wordBoundaryKind(.simple))
            {
                wrong.append(place(file, index, "unsafe outside the wrappers"))
            }
        }
        #expect(wrong == [])
    }
}
