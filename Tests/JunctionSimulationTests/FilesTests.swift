// Scenarios and traces: what they may say, and what a slip of the hand leads to.
import Foundation
import JunctionConfig
import JunctionRouting
import JunctionSimulation
import Testing

private let configuration = RouterConfiguration(deployments: [
    Deployment(id: "gpt-4o-main", modelGroup: "gpt-4o"), Deployment(id: "second", modelGroup: "gpt-4o"),
])

private func read(_ text: String) -> (Scenario?, [Diagnostic]) {
    ScenarioFile.read(text: text, file: "s.yaml", configuration: configuration)
}

struct ScenarioFileTests {
    /// The template shows every key, with the value that holds without it.
    @Test func theTemplateSaysWhatHolds() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = root.appending(path: "tools/simulate/scenario_template.yaml")
        let (scenario, faults) = read(try String(contentsOf: file, encoding: .utf8))
        #expect(faults == [])
        var caller = CallerBehaviour()
        (caller.model, caller.until) = ("gpt-4o", 600)
        #expect(scenario?.callers.first == caller)
        #expect(scenario?.provider == ProviderBehaviour())
        #expect(scenario?.providers["gpt-4o-main"]?.outages == [Outage(from: 120, until: 300)])
    }

    @Test func whatIsNotSaidIsAsInDefault() {
        let (scenario, faults) = read(
            """
            providers:
              second: {tpm: 100}
              default: {failure_rate: 0.5, first_token: 2}
            """)
        #expect(faults == [])
        #expect(scenario?.providers["second"]?.failureRate == 0.5)
        #expect(scenario?.providers["second"]?.firstToken == .constant(2))
        #expect(scenario?.providers["second"]?.tokensPerMinute == 100)
        #expect(scenario?.provider.tokensPerMinute == nil)
    }

    @Test(arguments: [
        ("caller: []", "1:1: error: caller: This key is not known. Did you mean callers?"),
        ("callers: 5", "1:10: error: callers: Expected a list"),
        ("callers:\n  - rate: fast", "2:11: error: callers[0].rate: Expected a number from"),
        ("callers:\n  - rate: -1", "callers[0].rate: Expected a number"),
        ("callers:\n  - model: gpt-4", "Did you mean gpt-4o?"),
        ("callers:\n  - {from: 9, until: 8}", "2:5: error: callers[0]: until must be after from."),
        ("callers:\n  - prompt_tokens: {median: 9, p99: 3}", "the p99 not below the median"),
        (
            "providers:\n  secnd: {}",
            "2:3: error: providers.secnd: This key is not known. Did you mean second?"
        ),
        ("providers:\n  second:\n    failure: odd", "3:14: error: providers.second.failure: Expected one of"),
        ("providers:\n  second:\n    cut_rate: 1.5", "a number from 0 to 1"),
        ("providers:\n  second:\n    outages:\n      - {from: 5}", "4:9: error: providers.second.outages[0]"),
        ("providers:\n\tsecond: {}", "2:1: error: A tab"),
        ("providers: {default: {tpm: 1, tpm: 2}}", "given twice"),
    ]) func aSlipIsNamed(text: String, says: String) {
        let (scenario, faults) = read(text)
        #expect(scenario == nil)
        let told = faults.map(\.description)
        #expect(told.contains { $0.hasPrefix("s.yaml:") && $0.contains(says) }, "\(told)")
    }

    @Test func allSlipsAreNamedAtOnce() {
        let (_, faults) = read("callers: [{rate: x, stream: 7}]\nproviders: {default: {rpm: y}}")
        #expect(faults.map(\.line) == [1, 1, 2])
    }

    @Test func anEmptyFileIsTheOrdinaryWorld() { #expect(read("# nothing\n").0 == Scenario()) }
}

struct TraceFileTests {
    @Test func callsAreReadInOrderOfTime() {
        let (calls, faults) = TraceFile.read(
            text:
                "seconds,model,prompt_tokens,completion_tokens,stream\r\n# a note\r\n2, m ,30,4,true\r\n\n1.5,n,1,2\n",
            file: "t.csv")
        #expect(faults == [])
        #expect(
            calls == [
                TracedCall(at: 1.5, model: "n", promptTokens: 1, completionTokens: 2, isStreaming: false),
                TracedCall(at: 2, model: "m", promptTokens: 30, completionTokens: 4, isStreaming: true),
            ])
    }

    @Test(arguments: [
        ("", "t.csv:1:1: error: There is no call in it."),
        ("1,m,2,3\n1,m,2", "t.csv:2:1: error: Expected seconds,model"),
        ("now,m,2,3", "t.csv:1:1: error: seconds: "), ("1,,2,3", "model: This is empty."),
        ("1,m,two,3", "prompt_tokens: "), ("1,m,2,-3", "completion_tokens: "), ("1,m,2,3,maybe", "stream: "),
    ]) func aWrongLineIsNamed(text: String, says: String) {
        let (calls, faults) = TraceFile.read(text: text, file: "t.csv")
        #expect(calls == nil && faults.count == 1)
        #expect(faults.first.map { $0.description.contains(says) } == true, "\(faults)")
    }
}
