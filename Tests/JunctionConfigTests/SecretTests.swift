// No key is ever shown: not by printing a secret, not by a diagnostic, not by the table.
import JunctionProviders
import JunctionYAML
import Testing

@testable import JunctionConfig

@Suite struct SecretTests {
    static let canary = "sk-canary-0123456789"

    @Test func aSecretPrintsAsStars() {
        let secret = Secret(Self.canary)
        var dumped = ""
        dump(secret, to: &dumped)
        var deployment = DeploymentConfiguration(
            id: "d", modelGroup: "g", provider: Registry.provider(named: "openai")!, model: "m", apiBase: "")
        deployment.apiKey = secret
        deployment.extraHeaders = [("x", secret)]
        var dumpedAll = ""
        dump(deployment, to: &dumpedAll)
        let printed = [
            "\(secret)", String(reflecting: secret), String(describing: secret), "\([secret])",
            "\(Optional(secret) as Any)",
            "\(Mirror(reflecting: secret).children.map { $0 })", dumped, "\(deployment)",
            String(reflecting: deployment), dumpedAll,
        ]
        for text in printed { #expect(!text.contains("canary"), "\(text)") }
        #expect("\(secret)" == "***")
        #expect(secret.reveal() == Self.canary)
    }

    /// The canary as the value of each key in turn, in the file and from the environment, alone and in a
    /// list. Names of models and model groups are no secrets: a message about them shows them.
    @Test(arguments: [
        "CANARY", "[CANARY]", "{a: CANARY}", "{CANARY2: {b: CANARY}}", "\"CANARY\\nx\"", "os.environ/SECRET",
    ])
    func noDiagnosticShowsAValue(_ form: String) {
        let value = form.replacing("CANARY2", with: "name").replacing("CANARY", with: Self.canary)
        for section in Section.allCases {
            for spec in Schema.keys(of: section) {
                switch spec.type {
                case .text where form.hasPrefix("os."), .groupList where form.hasPrefix("os."): break
                case .text, .groupList, .fallbackList: continue
                default: break
                }
                var reader = SectionReader(file: "f", environment: ["SECRET": Self.canary])
                let node = YAMLTree(parsing: "\(spec.name): \(value)").root!
                _ = reader.read(node, as: section, path: "")
                for diagnostic in reader.report.diagnostics {
                    #expect(!diagnostic.description.contains("canary"), "\(section).\(spec.name)")
                }
            }
        }
    }

    @Test func theTableShowsOnlyWhereKeysComeFrom() throws {
        let text = """
            environment_variables: {LOCAL: \(Self.canary)}
            model_list:
              - {model_name: a, litellm_params: {model: gpt-4o, api_key: \(Self.canary),
                extra_headers: {X: \(Self.canary)}}}
              - {model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/LOCAL}}
              - {model_name: a, litellm_params: {model: groq/x}}
              - {model_name: a, litellm_params: {model: vllm/x, api_base: "http://127.0.0.1:1"}}
            """
        let (made, diagnostics) = ConfigFile.read(
            text: text, file: "f", environment: ["GROQ_API_KEY": Self.canary])
        #expect(diagnostics == [])
        let table = try #require(made).deploymentTable()
        #expect(!table.contains("canary"))
        let rows = table.split(separator: "\n").dropFirst().prefix(4).map { $0.split(separator: " ") }
        #expect(rows.map { $0[5] } == ["set", "os.environ/LOCAL", "os.environ/GROQ_API_KEY", "none"])
        #expect(!"\(try #require(made))".contains("canary"))
    }

    @Test func anErrorInTheYAMLQuotesNothing() {
        for text in [
            "api_key: '\(Self.canary)", "api_key: \(Self.canary)\n\tx: \(Self.canary)", "a: [\(Self.canary)",
            "a: \(Self.canary): \(Self.canary)", "a: \"\(Self.canary)\\q\"", "a: *\(Self.canary)",
            "a: !\(Self.canary)! x",
            "a: \(Self.canary)\u{1}", "%\(Self.canary)\n---\na", "a: &\(Self.canary)\nb",
            "- \(Self.canary)\na: 1",
        ] {
            let (made, diagnostics) = ConfigFile.read(text: text, file: "f", environment: [:])
            #expect(made == nil)
            #expect(!diagnostics.isEmpty)
            for diagnostic in diagnostics {
                #expect(!diagnostic.description.contains("canary"), "\(diagnostic)")
            }
        }
    }
}
