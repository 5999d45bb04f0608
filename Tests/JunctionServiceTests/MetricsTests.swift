// What calls are counted as, and how the page of metrics says it.
import JunctionConfig
import JunctionRouting
import JunctionTransport
import Testing

@testable import JunctionService

@Suite struct MetricsTests {
    private static let yaml = """
        model_list:
          - model_name: 'a "b"'
            litellm_params: {model: openai/x, mock_response: hi}
            model_info: {id: "one\\\\n"}
          - {model_name: c, litellm_params: {model: openai/x, mock_response: hi}, model_info: {id: two}}
        """
    private let configuration: ServerConfiguration
    private let router: Router

    init() throws {
        let (configuration, diagnostics) = ConfigFile.read(text: Self.yaml, file: "c", environment: [:])
        #expect(diagnostics == [])
        self.configuration = try #require(configuration)
        router = Router(self.configuration.router)
    }

    private var tally: Tally { Tally(modelGroups: 2, deployments: 2) }

    private func lines(of tally: Tally) -> Set<Substring> {
        let text = metricsText(
            tally, router: router, configuration: configuration, isConnected: false, now: .zero,
            process: ProcessUsage())
        #expect(text.hasSuffix("\n"))
        return Set(text.split(separator: "\n"))
    }

    /// Two calls, one of which failed first and went on elsewhere.
    private var busy: Tally {
        var tally = tally
        for usedFallback in [false, true] {
            tally.count(
                .stream, modelGroup: 0, code: .ok, nanoseconds: 4_000_000_000, usedFallback: usedFallback)
            tally.count(firstContentAfter: 3_000_000_000, modelGroup: 0)
        }
        tally.count(.retry, modelGroup: 0)
        tally.count(.failed(.rateLimited), deployment: 0, nil)
        tally.count(.answered, deployment: 0, TokenUsage(prompt: 1, completion: 2))
        tally.count(.answered, deployment: 1, TokenUsage(prompt: 7, completion: 5))
        return tally
    }

    @Test func whatIsCountedIsTold() {
        let lines = lines(of: busy)
        for line in [
            #"junction_requests_total{model_group="a \"b\"",method="Stream",status="OK"} 2"#,
            #"junction_attempts_total{deployment="one\\n",outcome="rate_limited"} 1"#,
            #"junction_attempts_total{deployment="one\\n",outcome="ok"} 1"#,
            #"junction_attempts_total{deployment="two",outcome="ok"} 1"#,
            #"junction_tokens_total{deployment="two",kind="prompt"} 7"#,
            #"junction_tokens_total{deployment="two",kind="completion"} 5"#,
            #"junction_retries_total{model_group="a \"b\""} 1"#,
            #"junction_fallbacks_total{model_group="a \"b\""} 1"#,
            #"junction_hedges_total{model_group="c"} 0"#,
            #"junction_request_duration_seconds_bucket{model_group="a \"b\"",le="2.5"} 0"#,
            #"junction_request_duration_seconds_bucket{model_group="a \"b\"",le="5.0"} 2"#,
            #"junction_request_duration_seconds_bucket{model_group="a \"b\"",le="+Inf"} 2"#,
            #"junction_request_duration_seconds_sum{model_group="a \"b\""} 8.0"#,
            #"junction_request_duration_seconds_count{model_group="a \"b\""} 2"#,
            #"junction_time_to_first_token_seconds_sum{model_group="a \"b\""} 6.0"#,
        ] { #expect(lines.contains(Substring(line)), "\(line)") }
    }

    @Test func whatWasRefusedAsItCameHasNoModelGroup() {
        var tally = tally
        tally.count(refused: .embed, code: .notFound)
        let line = #"junction_requests_total{model_group="",method="Embed",status="NOT_FOUND"} 1"#
        #expect(lines(of: tally).contains(Substring(line)))
    }

    @Test func talliesOfLoopsAddUp() {
        var sum = busy
        sum += busy
        sum.count(refused: .complete, code: .invalidArgument)
        #expect(sum.requests(modelGroup: 0, .stream, .ok) == 4)
        #expect(sum.requests(modelGroup: sum.noGroup, .complete, .invalidArgument) == 1)
        #expect(sum.tokens(deployment: 1) == (14, 10))
        #expect(sum.attempts(deployment: 0, .failed(.rateLimited)) == 2)
        #expect(sum.turned(.fallback, modelGroup: 0) == 2)
        #expect(sum.durations.atMost(modelGroup: 0).last == 4)
        #expect(sum.firstContents.seconds(modelGroup: 0) == 12)
    }

    @Test func aTimeOfJustABoundIsWithinIt() {
        var timings = Timings(modelGroups: 1)
        timings.add(5_000_000, modelGroup: 0)
        timings.add(301_000_000_000, modelGroup: 0)
        let atMost = timings.atMost(modelGroup: 0)
        #expect(atMost.first == 1 && atMost[Timings.bounds.count - 1] == 1 && atMost.last == 2)
        #expect(timings.seconds(modelGroup: 0) == 301.005)
    }

    @Test func everyLabelValueStaysOneValue() {
        var text = MetricsText()
        text.sample("x", [("a", "q\"b\\c\nd")], value: 1)
        #expect(text.text == #"x{a="q\"b\\c\nd"} 1"# + "\n")
    }
}
