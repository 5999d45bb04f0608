// What a configuration becomes, value by value; what a file can do to the reader.
import JunctionConfig
import JunctionProviders
import JunctionRouting
import Testing

@Suite struct ConfigFileTests {
    private func read(_ text: String, _ environment: [String: String] = [:]) -> (
        ServerConfiguration?, [Diagnostic]
    ) {
        ConfigFile.read(text: text, file: "f.yaml", environment: environment)
    }

    private func configuration(_ text: String, _ environment: [String: String] = [:]) throws
        -> ServerConfiguration
    {
        let (configuration, diagnostics) = read(text, environment)
        #expect(diagnostics == [])
        return try #require(configuration)
    }

    @Test func aDeploymentHasAllThatItsEntrySays() throws {
        let made = try configuration(
            """
            model_list:
              - model_name: large
                tpm: 5
                litellm_params:
                  model: azure/meta/llama
                  api_key: os.environ/KEY
                  api_base: https://gateway.example/v1/
                  api_version: v2
                  organization: org
                  headers: {X-A: one}
                  extra_headers: {X-B: os.environ/HEADER}
                  extra_body: {a: [1, 2.5, true, null, "1", text, {b: "é\\n\\""}]}
                  ssl_verify: false
                  rpm: 6
                  max_parallel_requests: 7
                  weight: 0.5
                  order: 2
                  tags: [x, y]
                  timeout: 1.5
                  stream_timeout: 0.0001
                  num_retries: 3
                  max_retries: 4
                  cooldown_time: 0
                  input_cost_per_token: 1e-6
                model_info: {id: the-id, max_input_tokens: 8, output_cost_per_token: 2e-6}
            """, ["KEY": "secret", "HEADER": "two"])
        let called = made.deployments[0]
        #expect(called.id == "the-id")
        #expect(called.modelGroup == "large")
        #expect(called.provider.name == "azure")
        #expect(called.providerName == "azure")
        #expect(called.model == "meta/llama")
        #expect(called.apiBase == "https://gateway.example/v1")
        #expect(called.apiKey?.reveal() == "secret")
        #expect(called.apiKey?.source == "os.environ/KEY")
        #expect(called.apiVersion == "v2")
        #expect(called.organization == "org")
        #expect(called.extraHeaders.map(\.name) == ["X-A", "X-B"])
        #expect(called.extraHeaders.map { $0.value.reveal() } == ["one", "two"])
        #expect(called.extraBodyJSON == #"{"a":[1,2.5,true,null,"1","text",{"b":"é\n\""}]}"#)
        #expect(!called.verifyTLS)
        #expect(called.mock == nil)
        let routed = made.router.deployments[0]
        #expect(routed.id == "the-id")
        #expect(routed.modelGroup == "large")
        #expect(routed.tokensPerMinute == 5)
        #expect(routed.requestsPerMinute == 6)
        #expect(routed.maxParallelRequests == 7)
        #expect(routed.weight == 0.5)
        #expect(routed.order == 2)
        #expect(routed.tags == ["x", "y"])
        #expect(routed.timeout == .milliseconds(1500))
        #expect(routed.streamTimeout == .milliseconds(1), "a time is never rounded to none")
        #expect(routed.numRetries == 3)
        #expect(routed.cooldownTime == .zero)
        #expect(routed.prices.input == 1e-6)
        #expect(routed.prices.output == 2e-6)
        #expect(routed.maxInputTokens == 8)
    }

    @Test(
        arguments: [
            ("model: gpt-4o", "", TokenPrices(input: 2.5e-6, output: 1e-5, cachedInput: 1.25e-6), 128_000),
            (
                "model: gpt-4o, input_cost_per_token: 1e-6, cache_creation_input_token_cost: 2e-6", "",
                TokenPrices(input: 1e-6, output: 1e-5, cacheWrite: 2e-6), 128_000
            ),
            (
                "model: gpt-4o, cache_read_input_token_cost: 0",
                "max_input_tokens: 5, output_cost_per_token: 0",
                TokenPrices(input: 2.5e-6, output: 0, cachedInput: 0), 5
            ),
            (
                "model: azure/mine, api_base: https://r.example", "base_model: azure/gpt-4o",
                TokenPrices(input: 2.5e-6, output: 1e-5, cachedInput: 1.25e-6), 128_000
            ),
            (
                "model: openai/mine, base_model: anthropic/claude-haiku-4-5", "",
                TokenPrices(input: 1e-6, output: 5e-6, cachedInput: 1e-7, cacheWrite: 1.25e-6), 200_000
            ),
            (
                "model: groq/openai/gpt-oss-20b", "",
                TokenPrices(input: 7.5e-8, output: 3e-7, cachedInput: 3.75e-8), 131_072
            ),
            ("model: groq/nobody-knows", "", TokenPrices(), nil),
            ("model: gpt-4o, mock_response: Hi", "", TokenPrices(), nil),
            ("model: gpt-4o, mock_response: Hi", "input_cost_per_token: 1", TokenPrices(input: 1), nil),
        ] as [(String, String, TokenPrices, Int?)])
    func pricesAreTheConfiguredOnesThenTheTables(
        params: String, info: String, prices: TokenPrices, window: Int?
    ) throws {
        let made = try configuration(
            "model_list: [{model_name: a, litellm_params: {\(params), api_key: k}, model_info: {\(info)}}]")
        #expect(made.router.deployments[0].prices == prices)
        #expect(made.deployments[0].prices == prices)
        #expect(made.router.deployments[0].maxInputTokens == window)
    }

    @Test(
        arguments: [
            ("model: o3", "", [.temperature, .stop, .embeddings], [], []),
            ("model: o3, drop_params: true", "", .embeddings, [.temperature, .stop], []),
            ("model: o3, allowed_openai_params: [stop]", "", .temperature, [], .stop),
            (
                "model: o3, drop_params: true, allowed_openai_params: [stop]", "", .embeddings, .temperature,
                .stop
            ),
            ("model: gpt-4o, additional_drop_params: [seed]", "", [], .seed, []),
            (
                "model: azure/mine, api_base: https://r.example", "base_model: azure/o3",
                [.temperature, .stop], [], []
            ),
            (
                "model: bedrock/mine, aws_region_name: eu-west-1, base_model: anthropic.claude-opus-5", "",
                [.temperature, .forcedCallWhileThinking], [], []
            ),
            ("model: mistral/x", "", .logprobs, .user, []),
            ("model: anthropic/x", "", [.embeddings, .seed], [], []),
            ("model: text-embedding-3-small", "", .completions, [], []),
            ("model: nobody-knows", "mode: embedding", .completions, [], []),
            ("model: text-embedding-3-small", "mode: chat", .embeddings, [], []),
            ("model: anthropic/x, mock_response: Hi", "", [], [], []),
        ] as [(String, String, Features, Features, Features)])
    func parametersAreRefusedDroppedOrPassedOn(
        params: String, info: String, untaken: Features, dropped: Features, passed: Features
    ) throws {
        let made = try configuration(
            "model_list: [{model_name: a, litellm_params: {\(params), api_key: k}, model_info: {\(info)}}]")
        let rules = made.deployments[0].rules
        #expect(rules.untaken.isSuperset(of: untaken), "\(rules.untaken.fields)")
        #expect(rules.dropped.isSuperset(of: dropped), "\(rules.dropped.fields)")
        #expect(rules.passed == passed, "\(rules.passed.fields)")
        #expect(rules.untaken.isDisjoint(with: rules.dropped.union(passed)))
        #expect(rules.dropped.isDisjoint(with: passed.union(.kinds)))
        #expect(made.router.deployments[0].lacks == rules.untaken)
    }

    @Test(
        arguments: [
            ("gpt-4o", "temperature", [.temperature, .highTemperature]), ("gpt-4o", "top_p", .topP),
            ("gpt-6-sol", "temperature", [.temperature, .highTemperature, .samplingWhileReasoning]),
            ("anthropic/claude-sonnet-4-5", "top_p", [.topP, .samplingWhileThinking]),
        ] as [(String, String, Features)])
    func aParameterThatIsDroppedTakesNoneWithIt(model: String, parameter: String, dropped: Features) throws {
        let made = try configuration(
            """
            model_list:
              - {model_name: a, litellm_params: {model: \(model), api_key: k, additional_drop_params: [\(parameter)]}}
            """)
        #expect(made.deployments[0].rules.dropped.subtracting(.hints) == dropped)
    }

    @Test func dropParamsHoldsForAllThatDoNotSayOtherwise() throws {
        let made = try configuration(
            """
            model_list:
              - {model_name: a, litellm_params: {model: o3, api_key: k}}
              - {model_name: a, litellm_params: {model: o3, api_key: k, drop_params: false}}
            litellm_settings: {drop_params: true}
            """)
        #expect(made.deployments.map { $0.rules.dropped.contains(.temperature) } == [true, false])
    }

    @Test func aDeploymentMaySetParameters() throws {
        let made = try configuration(
            """
            model_list:
              - model_name: a
                litellm_params:
                  model: groq/llama
                  api_key: k
                  temperature: 0.5
                  top_p: 0.25
                  max_tokens: 10
                  max_completion_tokens: 20
                  stop: END
                  n: 1
                  seed: -7
                  presence_penalty: -1
                  frequency_penalty: 2
                  response_format: {type: json_schema, json_schema: {name: x, strict: true, schema: {type: object}}}
                  parallel_tool_calls: false
                  reasoning_effort: low
                  user: me
            """)
        var defaults = ParameterDefaults()
        defaults.temperature = 0.5
        defaults.topP = 0.25
        defaults.maxTokens = 20
        defaults.stop = ["END"]
        defaults.n = 1
        defaults.seed = -7
        defaults.presencePenalty = -1
        defaults.frequencyPenalty = 2
        defaults.responseFormat = .jsonSchema(name: "x", schema: #"{"type":"object"}"#, strict: true)
        defaults.parallelToolCalls = false
        defaults.reasoningEffort = "low"
        defaults.user = "me"
        #expect(made.deployments[0].rules.defaults == defaults)
        let plain = try configuration("model_list: [{model_name: a, litellm_params: {model: x, api_key: k}}]")
        #expect(plain.deployments[0].rules.defaults == nil)
    }

    @Test func routerSettingsRankAboveLitellmSettings() throws {
        let list = "model_list: [{model_name: a, litellm_params: {model: gpt-4o, mock_response: Hi}}]\n"
        let litellm =
            "litellm_settings: {num_retries: 7, request_timeout: 8, allowed_fails: 9, default_fallbacks: [a]}\n"
        let below = try configuration(list + litellm).router
        #expect(below.numRetries == 7)
        #expect(below.timeout == .seconds(8))
        #expect(below.allowedFails == 9)
        #expect(below.defaultFallbacks == ["a"])
        let router =
            "router_settings: {num_retries: 1, timeout: 2, allowed_fails: 3, default_fallbacks: []}\n"
        let above = try configuration(list + litellm + router).router
        #expect(above.numRetries == 1)
        #expect(above.timeout == .seconds(2))
        #expect(above.allowedFails == 3)
        #expect(above.defaultFallbacks == [])
    }

    @Test func theStrategyIsTheOneNamed() throws {
        func router(_ settings: String) throws -> RouterConfiguration {
            try configuration(
                """
                model_list: [{model_name: a, litellm_params: {model: gpt-4o, mock_response: Hi, cooldown_time: 3}}]
                router_settings: {\(settings)}
                """
            ).router
        }
        #expect(try router("num_retries: 1").strategy == .usageBased)
        #expect(try router("routing_strategy: usage-based-routing-v2").strategy == .usageBased)
        for strategy in Strategy.allCases {
            #expect(try router("routing_strategy: \(strategy.rawValue)").strategy == strategy)
        }
        #expect(
            try router("routing_strategy_args: {lowest_latency_buffer: 0.25}").lowestLatencyBuffer == 0.25)
        #expect(try router("cooldown_time: 9").cooldownTime == .seconds(9))
        #expect(try router("cooldown_time: 9").deployments[0].cooldownTime == .seconds(3))
        #expect(try router("cooldown_time: 9, disable_cooldowns: true").cooldownTime == .zero)
        #expect(try router("disable_cooldowns: true").deployments[0].cooldownTime == .zero)
        #expect(try router("enable_tag_filtering: yes, max_fallbacks: 2").enableTagFiltering)
        #expect(try router("max_fallbacks: 2").maxFallbacks == 2)
        #expect(try router("stream_timeout: 2").streamTimeout == .seconds(2))
        #expect(try router("default_max_parallel_requests: 7").deployments[0].maxParallelRequests == 7)
        #expect(try router("fallbacks: []").numRetries == nil, "what nobody set is the core's to choose")
    }

    @Test func retryPoliciesAreThoseOfTheirClassesAndGroups() throws {
        let router = try configuration(
            """
            model_list:
              - {model_name: chat, litellm_params: {model: openai/gpt-4o, mock_response: a}}
            router_settings:
              model_group_alias: {talk: chat}
              retry_policy:
                BadRequestErrorRetries: 1
                AuthenticationErrorRetries: 2
                TimeoutErrorRetries: 3
                RateLimitErrorRetries: 4
                ContentPolicyViolationErrorRetries: 5
                InternalServerErrorRetries: 6
              model_group_retry_policy: {talk: {TimeoutErrorRetries: 0}}
            """
        ).router
        #expect(
            router.retryPolicy == [
                .badRequest: 1, .authentication: 2, .timeout: 3, .rateLimit: 4, .contentPolicy: 5,
                .internalServer: 6,
            ])
        #expect(router.modelGroupRetryPolicies == ["chat": [.timeout: 0]])
    }

    @Test func limitsBudgetsAndPoliciesAreTaken() throws {
        let router = try configuration(
            """
            model_list:
              - model_name: chat
                litellm_params:
                  model: openai/gpt-4o
                  api_key: k
                  max_budget: 1.5
                  budget_duration: 12h
                  region_name: eu
              - model_name: any/*
                litellm_params: &priced
                  {model: openai/*, api_key: k, input_cost_per_token: 1, output_cost_per_token: 1}
              - model_name: rehearsed
                litellm_params: {<<: *priced, model: openai/gpt-4o, mock_response: Hi}
            router_settings:
              model_group_alias: {talk: chat}
              tag_filtering_match_any: false
              allowed_fails_policy: {RateLimitErrorAllowedFails: 9}
              model_group_allowed_fails_policy: {talk: {TimeoutErrorAllowedFails: 0}}
              provider_budget_config:
                openai: {budget_limit: 3, time_period: 1d}
                mock: {max_budget: 4, budget_duration: 1mo}
            junction_settings:
              rate_limit_window: sliding
              model_group_limits:
                talk: {tpm: 5, rpm: 6, max_parallel_requests: 7, max_budget: 8, budget_duration: 30s}
            """
        ).router
        #expect(
            router.deployments[0].limits.budget == BudgetLimit(dollars: 1.5, duration: .seconds(43_200)))
        #expect(router.deployments[0].region == "eu")
        #expect(router.deployments[0].provider == "openai")
        #expect(router.deployments[1].modelGroup == "any/*")
        #expect(!router.tagFilteringMatchAny)
        #expect(router.allowedFailsPolicy == [.rateLimit: 9])
        #expect(router.modelGroupAllowedFailsPolicies == ["chat": [.timeout: 0]])
        #expect(
            router.providerBudgets == [
                "openai": BudgetLimit(dollars: 3, duration: .seconds(86_400)),
                "mock": BudgetLimit(dollars: 4, duration: .seconds(30 * 86_400)),
            ])
        #expect(router.rateLimitWindow == .sliding)
        #expect(
            router.modelGroupLimits == [
                "chat": Limits(
                    tokensPerMinute: 5, requestsPerMinute: 6, maxParallelRequests: 7,
                    budget: BudgetLimit(dollars: 8, duration: .seconds(30)))
            ])
    }

    @Test func everyKeyOfTheServerIsTaken() throws {
        let made = try configuration(
            """
            model_list: [{model_name: a, litellm_params: {model: gpt-4o, mock_response: Hi}}]
            junction_settings:
              host: "::1"
              port: 0
              metrics_port: 9464
              threads: 3
              message_bytes_max: 5000
              default_deadline: 1
              retry_budget: 0.5
              hedging: true
              hedge_delay: 0.25
              hedge_budget: 0.1
              stream_rescue: continue
              queue_timeout: 4
              queue_size: 7
              stream_idle_timeout: 2
              connect_timeout: 3
              max_connections_per_host: 7
              drain_grace: 0
              http2_to_providers: true
              allowed_api_bases: https://a.example/
            """)
        let server = made.server
        #expect(server.host == "::1")
        #expect(server.port == 0)
        #expect(server.metricsPort == 9464)
        #expect(server.threads == 3)
        #expect(server.messageBytesMax == 5000)
        #expect(server.defaultDeadline == .seconds(1))
        #expect(made.router.defaultDeadline == .seconds(1))
        #expect(made.router.retryBudget == 0.5)
        #expect(made.router.hedging == Hedging(isEnabled: true, delay: .milliseconds(250)))
        #expect(made.router.hedgeBudget == 0.1)
        #expect(made.router.rescuesStreams)
        #expect(made.router.queueTimeout == .seconds(4))
        #expect(made.router.queueSize == 7)
        #expect(server.streamIdleTimeout == .seconds(2))
        #expect(server.connectTimeout == .seconds(3))
        #expect(server.connectionsPerHostMax == 7)
        #expect(server.drainGrace == .zero)
        #expect(server.offersHTTP2)
        #expect(server.allowedAPIBases == ["https://a.example"])
    }

    @Test func aMockNeedsNoKeyAndNoKnownWireFormat() throws {
        let made = try configuration(
            """
            model_list:
              - model_name: a
                litellm_params:
                  {model: bedrock/x, mock_response: Hi, mock_latency_ms: 5, mock_tokens_per_second: 2,
                    mock_failure_rate: 0.5}
            """)
        let mock = try #require(made.deployments[0].mock)
        #expect(mock.response == "Hi")
        #expect(mock.latency == .milliseconds(5))
        #expect(mock.tokensPerSecond == 2)
        #expect(mock.failureRate == 0.5)
        #expect(made.deployments[0].providerName == "mock")
        #expect(made.deployments[0].apiKey == nil)
    }

    @Test(arguments: [
        (["FIREWORKS_AI_API_KEY": "a", "FIREWORKS_API_KEY": "b"], "a"), (["FIREWORKS_API_KEY": "b"], "b"),
        (["FIREWORKS_AI_API_KEY": "", "FIREWORKS_API_KEY": "b"], "b"),
    ])
    func theFirstVariableThatIsSetHoldsTheKey(environment: [String: String], key: String) throws {
        let (made, diagnostics) = read(
            "model_list: [{model_name: a, litellm_params: {model: fireworks_ai/x}}]", environment)
        #expect(diagnostics == [])
        #expect(try #require(made).deployments[0].apiKey?.reveal() == key)
    }

    /// A key that nobody wrote beside a base must not be sent there.
    @Test func aProvidersOwnVariableGoesOnlyToItsOwnBase() throws {
        func key(_ params: String) throws -> String? {
            let (made, _) = read(
                "model_list: [{model_name: a, litellm_params: {\(params)}}]", ["OPENAI_API_KEY": "sk-own"])
            return try #require(made).deployments[0].apiKey?.reveal()
        }
        #expect(try key("model: gpt-4o") == "sk-own")
        #expect(try key("model: gpt-4o, api_base: 'https://api.openai.com/v1/'") == "sk-own")
        #expect(try key("model: gpt-4o, api_base: 'https://elsewhere.example'") == nil)
        #expect(try key("model: gpt-4o, base_url: 'https://elsewhere.example'") == nil)
        #expect(try key("model: gpt-4o, mock_response: Hi") == nil)
    }

    @Test func theFilesEnvironmentRanksAboveTheProcess() throws {
        let made = try configuration(
            """
            environment_variables: {A: from-the-file, B: os.environ/C, EMPTY: "", LINES: "1\\n2"}
            model_list:
              - {model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/A}}
              - {model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/B}}
            """, ["A": "from-the-process", "C": "through"])
        #expect(made.deployments.map { $0.apiKey?.reveal() } == ["from-the-file", "through"])
    }

    @Test func anIdStaysWhateverElseIsListed() throws {
        let one = "{model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/A}}"
        let two = "{model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/B}}"
        let environment = ["A": "first", "B": "second"]
        func ids(_ entries: String, _ environment: [String: String]) throws -> [String] {
            try configuration("model_list: [\(entries)]", environment).deployments.map(\.id)
        }
        let ids12 = try ids("\(one), \(two)", environment)
        #expect(Set(ids12).count == 2)
        #expect(try ids("\(two), \(one)", environment) == ids12.reversed())
        #expect(
            try ids("\(one), \(two)", ["A": "rotated", "B": "too"]) == ids12, "an id tells nothing of a key")
    }

    @Test func deploymentsHaveTheSameIndexOnBothSides() throws {
        let entries = (0..<40).map {
            "{model_name: g\($0 % 3), litellm_params: {model: m\($0), mock_response: Hi}}"
        }
        let made = try configuration("model_list: [\(entries.joined(separator: ", "))]")
        #expect(made.deployments.map(\.id) == made.router.deployments.map(\.id))
        #expect(made.deployments.map(\.model) == (0..<40).map { "m\($0)" })
        #expect(Set(made.deployments.map(\.id)).count == 40)
    }

    // MARK: What a file can do to the reader

    @Test(arguments: [
        String(repeating: "[", count: 100_000), "a: " + String(repeating: "{b: ", count: 50_000),
        String(repeating: "- ", count: 50_000), "a: &a [*a]", "&a : *a", "? [a]\n: b", "!!binary x: y",
        "%YAML 3.0\n---\na",
        "<<: [1, {a: b}]", "a: \u{0}", "'", "|", "\u{FEFF}", "a: !!str", "*",
    ])
    func aStrangeFileIsRefusedWithAPlace(_ text: String) {
        let (made, diagnostics) = read(text)
        #expect(made == nil)
        #expect(diagnostics.contains { $0.severity == .error && $0.line >= 1 && $0.column >= 1 })
    }

    @Test func aliasesThatUnfoldWithoutEndAreRefused() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for i in 1..<12 {
            text +=
                "a\(i): &a\(i) [" + Array(repeating: "*a\(i - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        let (made, diagnostics) = read(text)
        #expect(made == nil)
        #expect(
            diagnostics.map(\.message) == [
                "The file has more than 200000 values once its aliases are unfolded."
            ])
    }

    @Test func aFaultInAnAliasedPartIsToldOnce() {
        let (_, diagnostics) = read(
            """
            model_list:
              - {model_name: a, litellm_params: &p {model: gpt-4o, mock_response: Hi, tmeout: 1}}
              - {model_name: b, litellm_params: {<<: *p}}
            """)
        #expect(diagnostics.map(\.line) == [2, 2])
        #expect(
            diagnostics.map(\.key) == [
                "model_list[0].litellm_params.tmeout", "model_list[1].litellm_params.tmeout",
            ])
    }
}
