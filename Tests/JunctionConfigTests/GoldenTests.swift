// Whole files: each file of Goldens/ holds a configuration, a line of dashes, and what must come of it: the
// diagnostics, then the table when a router would start. One fault a file, named for it. UPDATE=1 writes what
// comes now; read the difference before committing it.
import Foundation
import JunctionConfig
import Testing

@Suite struct GoldenTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Goldens")
    static let names = try! FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    static let divider = "\n" + String(repeating: "-", count: 40) + "\n"

    /// What the configurations may refer to. Every value is a secret that no output may hold.
    static let environment = [
        "OPENAI_API_KEY": "sk-canary-of-the-environment", "OTHER_KEY": "canary-other", "EMPTY": "",
        "BROKEN": "canary\nbroken", "NUMBER": "1000",
    ]

    @Test(arguments: names)
    func comesOutAsWritten(_ name: String) throws {
        let url = Self.folder.appending(path: name)
        let golden = try String(contentsOf: url, encoding: .utf8)
        let input = golden.components(separatedBy: Self.divider)[0]
        let output = Self.outcome(of: input)
        #expect(!output.contains("canary"), "a secret is shown")
        if ProcessInfo.processInfo.environment["UPDATE"] == "1" {
            try Data((input + Self.divider + output).utf8).write(to: url)
        }
        let written = try String(contentsOf: url, encoding: .utf8).components(separatedBy: Self.divider)
        #expect(written.count == 2, "one line of dashes divides a golden")
        #expect(written.last == output)
    }

    @Test func thereAreGoldens() { #expect(Self.names.count > 30) }

    private static func outcome(of text: String) -> String {
        let (configuration, diagnostics) = ConfigFile.read(
            text: text, file: "config.yaml", environment: environment)
        let faults = diagnostics.map { "\($0)\n" }.joined()
        guard let configuration else { return faults }
        return faults + (faults.isEmpty ? "" : "\n") + configuration.deploymentTable()
    }
}
