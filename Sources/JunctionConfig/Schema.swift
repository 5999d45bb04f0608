// Every key of a configuration file as data: its section, its type, and whether Junction uses it.
// It reads nothing. The keys and their meaning are LiteLLM's (docs.litellm.ai, proxy/config_settings and
// routing); Junction's own keys are in `junction_settings` and the `mock_*` keys of a deployment.
import JunctionRouting

/// A mapping with a fixed set of keys.
enum Section: String, CaseIterable {
    case root = "the top of the file"
    case modelEntry = "model_list[]"
    case deployment = "litellm_params"
    case modelInfo = "model_info"
    case router = "router_settings"
    case litellm = "litellm_settings"
    case general = "general_settings"
    case junction = "junction_settings"
    case strategyArguments = "routing_strategy_args"
    case groupAlias = "model_group_alias"
    case retryPolicy = "retry_policy"
    case allowedFailsPolicy = "allowed_fails_policy"
    case providerBudget = "provider_budget_config"
    case groupLimits = "model_group_limits"
    case cacheArguments = "cache_kwargs"
    case sharedUsage = "shared_usage"

    /// Whether people keep notes of their own in it, so that an unknown key is no fault unless it is nearly a
    /// known one.
    var isOpen: Bool { self == .modelInfo || self == .general }
}

enum KeyType {
    case text
    /// A text that may not be shown to anyone.
    case secret
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// Seconds, whole or with a fraction; a zero is refused unless `zero` is true.
    case seconds(zero: Bool)
    /// A number and a unit, as in 30s, 12h, 1d.
    case timeSpan
    case boolean
    case choice([String])
    case textList
    /// A list of model groups; a single name may stand without brackets.
    case groupList
    /// A list of mappings from a model group to the groups that stand in for it.
    case fallbackList
    /// A mapping with free keys and texts that may not be shown.
    case secretMap
    case section(Section)
    case sectionList(Section)
    /// A mapping with free keys and a section under each; a plain text there stands for a section with only
    /// that text under `shorthand`.
    case sectionMap(Section, shorthand: String? = nil)
    /// Servers, each a host with or without a port: `HOST:PORT`, `[HOST, PORT]` or `{host: …, port: …}`.
    case nodeList
    /// A mapping passed on as JSON.
    case object
    /// LiteLLM's, without effect here: a warning that says so, and why.
    case unused(String)
    /// LiteLLM's, a description that nothing depends on: no diagnostic.
    case ignored
}

struct KeySpec {
    var name: String
    var type: KeyType

    init(_ name: String, _ type: KeyType) {
        self.name = name
        self.type = type
    }

    /// Whether Junction acts on the key.
    var isUsed: Bool {
        switch type {
        case .unused, .ignored: false
        default: true
        }
    }
}

enum Schema {
    static func keys(of section: Section) -> [KeySpec] { table[section] ?? [] }

    static func spec(_ name: String, in section: Section) -> KeySpec? { index[section]?[name] }

    /// The sections in which `name` is a key Junction uses, for a hint about a misplaced key.
    static func sections(using name: String) -> [Section] {
        Section.allCases.filter { index[$0]?[name]?.isUsed ?? false }
    }

    /// LiteLLM's names; Junction makes no difference between the two that are based on usage.
    private static let strategies = Strategy.allCases.map(\.rawValue) + ["usage-based-routing-v2"]

    private static let limit = 1...1_000_000_000_000
    private static let few = 0...1000
    private static let price = 0.0...1_000_000.0

    private static let index: [Section: [String: KeySpec]] = table.mapValues { keys in
        Dictionary(uniqueKeysWithValues: keys.map { ($0.name, $0) })
    }

    private static func unused(_ names: String..., note: String = "") -> [KeySpec] {
        names.map { KeySpec($0, .unused(note)) }
    }

    private static func ignored(_ names: String...) -> [KeySpec] {
        names.map { KeySpec($0, .ignored) }
    }

    private static let table: [Section: [KeySpec]] = [
        .root: root, .modelEntry: modelEntry, .deployment: deployment, .modelInfo: modelInfo, .router: router,
        .litellm: litellm, .general: general, .junction: junction, .strategyArguments: strategyArguments,
        .groupAlias: groupAlias, .retryPolicy: retryPolicy, .allowedFailsPolicy: allowedFailsPolicy,
        .providerBudget: providerBudget, .groupLimits: groupLimits, .cacheArguments: cacheArguments,
        .sharedUsage: sharedUsage,
    ]

    private static let root: [KeySpec] =
        [
            KeySpec("model_list", .sectionList(.modelEntry)),
            KeySpec("router_settings", .section(.router)),
            KeySpec("litellm_settings", .section(.litellm)),
            KeySpec("general_settings", .section(.general)),
            KeySpec("environment_variables", .secretMap),
            KeySpec("junction_settings", .section(.junction)),
        ]
        + unused(
            "include", "credential_list", "guardrails", "mcp_servers", "mcp_tools", "mcp_aliases",
            "search_tools", "vector_store_registry", "prompts", "callback_settings", "files_settings",
            "finetune_settings", "assistant_settings", "default_vertex_config", "model_group_settings",
            "agent_list", "policies")

    private static let modelEntry: [KeySpec] = [
        KeySpec("model_name", .text),
        KeySpec("litellm_params", .section(.deployment)),
        KeySpec("model_info", .section(.modelInfo)),
        KeySpec("tpm", .integer(limit)),
        KeySpec("rpm", .integer(limit)),
    ]

    private static let deployment: [KeySpec] =
        [
            // Who is asked, and with whose key.
            KeySpec("model", .text),
            KeySpec("custom_llm_provider", .text),
            KeySpec("api_key", .secret),
            KeySpec("api_base", .text),
            KeySpec("base_url", .text),
            KeySpec("api_version", .text),
            KeySpec("organization", .text),
            KeySpec("extra_headers", .secretMap),
            KeySpec("headers", .secretMap),
            // How Amazon and Microsoft are signed in to.
            KeySpec("aws_access_key_id", .secret),
            KeySpec("aws_secret_access_key", .secret),
            KeySpec("aws_session_token", .secret),
            KeySpec("aws_region_name", .text),
            KeySpec("aws_bedrock_runtime_endpoint", .text),
            KeySpec("azure_ad_token", .secret),
            KeySpec("tenant_id", .text),
            KeySpec("client_id", .text),
            KeySpec("client_secret", .secret),
            KeySpec("azure_scope", .text),
            // How much, how long, how often.
            KeySpec("tpm", .integer(limit)),
            KeySpec("rpm", .integer(limit)),
            KeySpec("max_parallel_requests", .integer(1...1_000_000)),
            KeySpec("max_budget", .number(price)),
            KeySpec("budget_duration", .timeSpan),
            KeySpec("timeout", .seconds(zero: false)),
            KeySpec("stream_timeout", .seconds(zero: false)),
            KeySpec("max_retries", .integer(few)),
            KeySpec("num_retries", .integer(few)),
            KeySpec("cooldown_time", .seconds(zero: true)),
            // What the choice depends on.
            KeySpec("weight", .number(0...1_000_000)),
            KeySpec("order", .integer(-1_000_000...1_000_000)),
            KeySpec("tags", .textList),
            KeySpec("region_name", .text),
            KeySpec("input_cost_per_token", .number(price)),
            KeySpec("output_cost_per_token", .number(price)),
            KeySpec("cache_read_input_token_cost", .number(price)),
            KeySpec("cache_creation_input_token_cost", .number(price)),
            KeySpec("base_model", .text),
            // What is done to the request.
            KeySpec("extra_body", .object),
            KeySpec("drop_params", .boolean),
            KeySpec("additional_drop_params", .textList),
            KeySpec("allowed_openai_params", .textList),
            // What calls are asked with that do not say it themselves.
            KeySpec("temperature", .number(0...2)),
            KeySpec("top_p", .number(0...1)),
            KeySpec("max_tokens", .integer(1...2_147_483_647)),
            KeySpec("max_completion_tokens", .integer(1...2_147_483_647)),
            KeySpec("stop", .textList),
            KeySpec("n", .integer(1...128)),
            KeySpec("seed", .integer(Int.min...Int.max)),
            KeySpec("presence_penalty", .number(-2...2)),
            KeySpec("frequency_penalty", .number(-2...2)),
            KeySpec("logit_bias", .object),
            KeySpec("logprobs", .boolean),
            KeySpec("top_logprobs", .integer(0...20)),
            KeySpec("response_format", .object),
            KeySpec("parallel_tool_calls", .boolean),
            KeySpec("reasoning_effort", .text),
            KeySpec("user", .text),
            KeySpec("ssl_verify", .boolean),
            // Answers without a provider; the last three are Junction's own.
            KeySpec("mock_response", .text),
            KeySpec("mock_latency_ms", .integer(0...86_400_000)),
            KeySpec("mock_tokens_per_second", .number(0.001...1_000_000_000)),
            KeySpec("mock_failure_rate", .number(0...1)),
        ]
        + unused(
            "tools", "tool_choice", "stream", "stream_options",
            note: "a call says so itself"
        )
        + unused(
            "thinking", "modalities", "top_k", "repetition_penalty", note: "put it under extra_body"
        )
        + unused(
            "aws_session_name", "aws_profile_name", "aws_role_name", "aws_web_identity_token",
            "aws_sts_endpoint", "aws_external_id",
            note: "Junction borrows no role of Amazon's; give aws_access_key_id and aws_secret_access_key"
        )
        + unused(
            "vertex_project", "vertex_location", "vertex_credentials", "azure_username", "azure_password",
            "watsonx_region_name", "s3_bucket_name", "litellm_credential_name",
            note: "this way to sign in to a provider is not supported; use api_key"
        )
        + unused(
            "input_cost_per_second", "output_cost_per_second", "input_cost_per_character",
            "output_cost_per_character", "input_cost_per_pixel", "output_cost_per_pixel",
            "default_api_key_tpm_limit", "default_api_key_rpm_limit", "max_file_size_mb",
            "use_in_pass_through", "use_litellm_proxy", "merge_reasoning_content_in_choices", "model_info",
            "mock_timeout", "mock_tool_calls", "mock_delay", "hf_model_name",
            "supports_system_message", "configurable_clientside_auth_params",
            "auto_router_config_path", "auto_router_config",
            "auto_router_default_model", "auto_router_embedding_model", "litellm_trace_id", "cache",
            "caching", "dimensions", "encoding_format", "input_type", "use_chat_completions_api",
            "ssl_certificate", "vertex_ai_location", "complexity_router_config", "silent_model", "tag_regex",
            "deployment_id")

    private static let modelInfo: [KeySpec] =
        [
            KeySpec("id", .text),
            KeySpec("max_input_tokens", .integer(1...1_000_000_000)),
            KeySpec("max_tokens", .integer(1...1_000_000_000)),
            KeySpec("input_cost_per_token", .number(price)),
            KeySpec("output_cost_per_token", .number(price)),
            KeySpec("cache_read_input_token_cost", .number(price)),
            KeySpec("cache_creation_input_token_cost", .number(price)),
            KeySpec("base_model", .text),
            KeySpec("mode", .text),
        ] + ignored("tier", "max_output_tokens")

    private static let router: [KeySpec] =
        [
            KeySpec("routing_strategy", .choice(strategies)),
            KeySpec("routing_strategy_args", .section(.strategyArguments)),
            KeySpec("num_retries", .integer(few)),
            KeySpec("retry_policy", .section(.retryPolicy)),
            KeySpec("model_group_retry_policy", .sectionMap(.retryPolicy)),
            KeySpec("timeout", .seconds(zero: false)),
            KeySpec("stream_timeout", .seconds(zero: false)),
            KeySpec("fallbacks", .fallbackList),
            KeySpec("default_fallbacks", .groupList),
            KeySpec("context_window_fallbacks", .fallbackList),
            KeySpec("content_policy_fallbacks", .fallbackList),
            KeySpec("max_fallbacks", .integer(few)),
            KeySpec("allowed_fails", .integer(0...1_000_000)),
            KeySpec("allowed_fails_policy", .section(.allowedFailsPolicy)),
            KeySpec("model_group_allowed_fails_policy", .sectionMap(.allowedFailsPolicy)),
            KeySpec("provider_budget_config", .sectionMap(.providerBudget)),
            KeySpec("cooldown_time", .seconds(zero: true)),
            KeySpec("disable_cooldowns", .boolean),
            KeySpec("model_group_alias", .sectionMap(.groupAlias, shorthand: "model")),
            KeySpec("enable_tag_filtering", .boolean),
            KeySpec("tag_filtering_match_any", .boolean),
            KeySpec("default_max_parallel_requests", .integer(1...1_000_000)),
            KeySpec("cache_kwargs", .section(.cacheArguments)),
        ]
        + redisKeys.map { KeySpec("redis_" + $0.name, $0.type) }
        + unused("redis_socket_timeout", note: waitsElsewhere)
        + unused(
            "retry_after",
            note: "when to retry follows from the failure and from the provider's own retry-after"
        )
        + unused(
            "cache_responses", "caching_groups", "client_ttl",
            note: "Junction keeps no answers"
        )
        + unused(
            "default_litellm_params", "default_priority", "polling_interval",
            "optional_pre_call_checks", "alerting_config", "assistants_config",
            "search_tools", "router_general_settings", "ignore_invalid_deployments", "set_verbose",
            "debug_level", "enable_health_check_routing", "health_check_staleness_threshold",
            "health_check_ignore_transient_errors", "deployment_affinity_ttl_seconds", "guardrail_list",
            "model_list", "model_group_affinity_config", "enable_weighted_failover",
            "enable_pre_call_checks")

    private static let litellm: [KeySpec] =
        [
            KeySpec("num_retries", .integer(few)),
            KeySpec("request_timeout", .seconds(zero: false)),
            KeySpec("fallbacks", .fallbackList),
            KeySpec("default_fallbacks", .groupList),
            KeySpec("context_window_fallbacks", .fallbackList),
            KeySpec("content_policy_fallbacks", .fallbackList),
            KeySpec("allowed_fails", .integer(0...1_000_000)),
            KeySpec("ssl_verify", .boolean),
            KeySpec("drop_params", .boolean),
        ]
        + unused(
            "cache", "cache_params", "enable_caching_on_provider_specific_optional_params",
            note: "Junction keeps no answers; usage is shared over router_settings' redis_host"
        )
        + unused(
            "set_verbose", "modify_params", "callbacks", "success_callback", "failure_callback",
            "service_callback", "audit_log_callbacks", "post_call_rules", "input_callback",
            "turn_off_message_logging", "redact_user_api_key_info", "redact_messages_in_exceptions",
            "json_logs", "telemetry", "force_ipv4", "ssl_certificate", "ssl_security_level", "max_budget",
            "budget_duration", "default_internal_user_params", "default_team_params", "default_team_settings",
            "default_user_params", "upperbound_key_generate_params", "default_key_generate_params",
            "max_internal_user_budget", "internal_user_budget_duration", "max_end_user_budget",
            "langfuse_default_tags", "tag_budget_config", "context_window_fallback_dict", "model_alias_map",
            "custom_provider_map", "disable_end_user_cost_tracking",
            "disable_end_user_cost_tracking_prometheus_only", "disable_add_transform_inline_image_block",
            "disable_hf_tokenizer_download", "disable_stop_sequence_limit",
            "disable_copilot_system_to_assistant", "disable_default_user_agent",
            "enable_json_schema_validation", "enable_preview_features",
            "enable_loadbalancing_on_batch_endpoints", "extra_spend_tag_headers",
            "forward_traceparent_to_llm_provider", "guardrails", "key_generation_settings", "mcp_aliases",
            "prometheus_metrics_config", "prometheus_initialize_budget_metrics", "public_model_groups",
            "public_model_groups_links", "priority_reservation", "priority_reservation_settings",
            "require_auth_for_metrics_endpoint", "return_response_headers", "s3_callback_params",
            "store_audit_logs", "user_header_name", "cost_discount_config", "cost_margin_config",
            "add_function_to_prompt", "drop_unknown_params", "use_client", "api_key", "api_base", "headers",
            "datadog_params", "default_redis_batch_cache_expiry", "aiohttp_trust_env",
            "token_rate_limit_type", "include_cost_in_streaming_usage", "ui_theme_config",
            "request_correlation_id", "default_max_internal_user_budget", "default_redis_ttl",
            "default_in_memory_ttl", "vector_store_registry", "network_mock", "num_retries_per_request",
            "max_user_budget", "max_ui_session_budget", "email", "image_generation_model",
            "user_url_validation")

    /// Only the keys whose absence a person must know of: they guard or limit something.
    private static let general: [KeySpec] =
        unused(
            "master_key", "custom_auth", "enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth",
            "allowed_ips", "allowed_routes", "admin_only_routes", "enforce_user_param", "enforced_params",
            note: "callers are not asked for a key, so let only them reach the port"
        )
        + unused(
            "max_parallel_requests", "global_max_parallel_requests", "max_request_size_mb",
            "max_response_size_mb",
            note: "limits are those of a deployment, and junction_settings"
        )
        + unused(
            "key_management_system", "use_azure_key_vault", "use_google_kms",
            note: "keys come from the file or the environment"
        )
        + unused(
            "pass_through_endpoints", "background_health_checks", "completion_model", "infer_model_from_keys",
            "forward_client_headers_to_llm_api")

    private static let junction: [KeySpec] = [
        KeySpec("host", .text),
        KeySpec("port", .integer(0...65535)),
        KeySpec("metrics_port", .integer(0...65535)),
        KeySpec("threads", .integer(1...1024)),
        KeySpec("message_bytes_max", .integer(1024...2_147_483_647)),
        KeySpec("default_deadline", .seconds(zero: false)),
        KeySpec("retry_budget", .number(0...1000)),
        KeySpec("rate_limit_window", .choice(RateLimitWindow.allCases.map(\.rawValue))),
        KeySpec("model_group_limits", .sectionMap(.groupLimits)),
        KeySpec("hedging", .boolean),
        KeySpec("hedge_delay", .seconds(zero: false)),
        KeySpec("hedge_budget", .number(0...1)),
        KeySpec("stream_rescue", .choice(["never", "continue"])),
        KeySpec("queue_timeout", .seconds(zero: true)),
        KeySpec("queue_size", .integer(1...1_000_000)),
        KeySpec("stream_idle_timeout", .seconds(zero: false)),
        KeySpec("connect_timeout", .seconds(zero: false)),
        KeySpec("max_connections_per_host", .integer(1...1_000_000)),
        KeySpec("drain_grace", .seconds(zero: true)),
        KeySpec("http2_to_providers", .boolean),
        KeySpec("allowed_api_bases", .textList),
        KeySpec("shared_usage", .section(.sharedUsage)),
    ]

    private static let sharedUsage: [KeySpec] = [
        KeySpec("mode", .choice(SharedUsageConfiguration.Mode.allCases.map(\.rawValue))),
        KeySpec("fail_closed", .boolean),
        KeySpec("timeout", .seconds(zero: false)),
    ]

    private static let waitsElsewhere =
        "how long a call waits for Redis is junction_settings' shared_usage.timeout"

    private static let cacheArguments: [KeySpec] =
        redisKeys
        + unused("socket_timeout", "socket_connect_timeout", note: waitsElsewhere)
        + unused(
            "ttl", "default_in_memory_ttl", "default_in_redis_ttl", "redis_flush_size", "max_connections",
            "health_check_interval", "socket_keepalive", "decode_responses", "similarity_threshold", "type")

    private static let strategyArguments: [KeySpec] =
        [
            KeySpec("lowest_latency_buffer", .number(0...1000))
        ] + unused("ttl", "max_latency_list_size", "rpm_threshold", "tpm_threshold")

    private static let retryPolicy = RetryClass.allCases.map { KeySpec($0.key, .integer(few)) }

    private static let allowedFailsPolicy = RetryClass.allCases.map {
        KeySpec($0.allowedFailsKey, .integer(0...1_000_000))
    }

    /// The first two are LiteLLM's older names of the others.
    private static let providerBudget: [KeySpec] = [
        KeySpec("budget_limit", .number(price)),
        KeySpec("time_period", .timeSpan),
        KeySpec("max_budget", .number(price)),
        KeySpec("budget_duration", .timeSpan),
    ]

    private static let groupLimits: [KeySpec] = [
        KeySpec("tpm", .integer(limit)),
        KeySpec("rpm", .integer(limit)),
        KeySpec("max_parallel_requests", .integer(1...1_000_000)),
        KeySpec("max_budget", .number(price)),
        KeySpec("budget_duration", .timeSpan),
    ]

    private static let groupAlias: [KeySpec] =
        [
            KeySpec("model", .text)
        ] + ignored("hidden")
}

extension RetryClass {
    /// Its key in a retry policy.
    var key: String { rawValue + "Retries" }
    /// Its key in a policy of allowed failures.
    var allowedFailsKey: String { rawValue + "AllowedFails" }
}
