// The files of tools/ that people start from: the template shows every key, and both are free of faults.
import Foundation
import JunctionYAML
import Testing

@testable import JunctionConfig

@Suite struct TemplateTests {
    private func text(_ name: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../tools")
        return try String(contentsOf: root.appending(path: name), encoding: .utf8)
    }

    @Test(arguments: ["router_config_template.yaml", "demo.yaml"])
    func startsAsItIs(_ name: String) throws {
        let (made, diagnostics) = ConfigFile.read(text: try text(name), file: name, environment: [:])
        #expect(diagnostics == [])
        #expect(made != nil)
    }

    @Test func theTemplateHasEveryKey() throws {
        let template = try text("router_config_template.yaml")
        var reader = SectionReader(file: "template", environment: ["EXAMPLE_KEY": "x"])
        let shown = keys(of: reader.read(try #require(YAMLTree(parsing: template).root), as: .root, path: ""))
        // cache_kwargs has the keys of Redis once more.
        for section in Section.allCases where section != .cacheArguments {
            for spec in Schema.keys(of: section) where spec.isUsed {
                // A key that another excludes stands in a comment.
                #expect(
                    shown.contains("\(section.rawValue): \(spec.name)")
                        || template.contains("\n  # \(spec.name): "))
            }
        }
    }

    @Test func theDemoFailsAsItSays() throws {
        let (made, _) = ConfigFile.read(text: try text("demo.yaml"), file: "demo.yaml", environment: [:])
        let deployments = try #require(made).deployments
        #expect(deployments.allSatisfy { $0.mock != nil }, "the demo needs no account")
        let rates = Dictionary(uniqueKeysWithValues: deployments.map { ($0.id, $0.mock?.failureRate) })
        #expect(rates["chat-shaky"] == 0.75)
        #expect(rates["broken-always"] == 1)
    }

    private func keys(of values: Values) -> Set<String> {
        var found: Set<String> = []
        for (key, entry) in values.entries {
            found.insert("\(values.section.rawValue): \(key)")
            switch entry.content {
            case .section(let inner): found.formUnion(keys(of: inner))
            case .sections(let list): for inner in list { found.formUnion(keys(of: inner)) }
            case .sectionMap(let map): for (_, inner) in map { found.formUnion(keys(of: inner)) }
            default: break
            }
        }
        return found
    }
}
