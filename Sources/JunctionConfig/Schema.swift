// Every key of a configuration file as data: its section, its type, and whether Junction uses it.
// It reads nothing. The keys and their meaning are LiteLLM's (docs.litellm.ai, proxy/config_settings and
// routing); Junction's own keys are in `junction_settings` and the `mock_*` keys of a deployment.

/// A mapping with a fixed set of keys.
enum Section: String, CaseIterable {
    case root = "the file"
    case modelEntry = "model_list[]"
    case deployment = "litellm_params"
    case modelInfo = "model_info"
    case router = "router_settings"
    case litellm = "litellm_settings"
    case general = "general_settings"
    case junction = "junction_settings"
    case retryPolicy = "retry_policy"
    case allowedFailsPolicy = "allowed_fails_policy"
    case groupAlias = "model_group_alias"
}

enum KeyType {
    case text
    /// A text that may not be shown to anyone.
    case secret
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// Seconds, whole or broken; a zero is refused unless `zero` is true.
    case seconds(zero: Bool)
    case boolean
    case choice([String])
    case textList
    /// A list of model groups; a single name may stand without brackets.
    case groupList
    /// A list of mappings from a model group to the groups that stand in for it.
    case fallbackList
    /// A mapping with free keys and texts; `secret` when the texts may not be shown.
    case textMap(secret: Bool)
    case section(Section)
    case sectionList(Section)
    /// A mapping with free keys and one section under each.
    case sectionMap(Section)
    /// A mapping from a name to a model group or to a section.
    case aliasMap
    /// A mapping passed on as JSON.
    case object
    /// Nothing of ours reads it, so nothing is checked.
    case any
}

struct KeySpec {
    var name: String
    var type: KeyType
    /// Nil when Junction uses the key; else what a person should know about it.
    var unused: String?

    init(_ name: String, _ type: KeyType) {
        self.name = name
        self.type = type
    }

    init(unused name: String, _ note: String = "") {
        self.name = name
        self.type = .any
        self.unused = note
    }
}

enum Schema {
    static func keys(of section: Section) -> [KeySpec] { table[section] ?? [] }

    static func spec(_ name: String, in section: Section) -> KeySpec? { index[section]?[name] }

    /// The sections in which `name` is a key Junction uses, for a hint about a misplaced key.
    static func sections(using name: String) -> [Section] {
        Section.allCases.filter { index[$0]?[name].map { $0.unused == nil } ?? false }
    }

    static let strategies = [
        "simple-shuffle", "least-busy", "usage-based-routing", "usage-based-routing-v2",
        "latency-based-routing", "cost-based-routing",
    ]

    private static let count = 0...1_000_000_000_000
    private static let few = 0...1000
    private static let price = 0.0...1_000_000.0

    private static let index: [Section: [String: KeySpec]] = table.mapValues { keys in
        Dictionary(uniqueKeysWithValues: keys.map { ($0.name, $0) })
    }

    private static func unused(_ names: String..., note: String = "") -> [KeySpec] {
        names.map { KeySpec(unused: $0, note) }
    }

    private static let table: [Section: [KeySpec]] = [
        .root: root, .modelEntry: modelEntry, .deployment: deployment, .modelInfo: modelInfo, .router: router,
        .litellm: litellm, .general: general, .junction: junction, .retryPolicy: retryPolicy,
        .allowedFailsPolicy: allowedFailsPolicy, .groupAlias: groupAlias,
    ]

    private static let root: [KeySpec] = [
        KeySpec("model_list", .sectionList(.modelEntry)),
        KeySpec("router_settings", .section(.router)),
        KeySpec("litellm_settings", .section(.litellm)),
        KeySpec("general_settings", .section(.general)),
        KeySpec("environment_variables", .textMap(secret: true)),
        KeySpec("junction_settings", .section(.junction)),
    ] + unused(
        "include", "credential_list", "guardrails", "mcp_servers", "mcp_tools", "mcp_aliases", "search_tools",
        "vector_store_registry", "prompts", "callback_settings", "files_settings", "finetune_settings",
        "assistant_settings", "default_vertex_config", "model_group_settings", "agent_list", "policies")

    private static let modelEntry: [KeySpec] = [
        KeySpec("model_name", .text),
        KeySpec("litellm_params", .section(.deployment)),
        KeySpec("model_info", .section(.modelInfo)),
        KeySpec("tpm", .integer(count)),
        KeySpec("rpm", .integer(count)),
    ]

    private static let deployment: [KeySpec] = [
        // Who is asked, and with whose key.
        KeySpec("model", .text),
        KeySpec("custom_llm_provider", .text),
        KeySpec("api_key", .secret),
        KeySpec("api_base", .text),
        KeySpec("base_url", .text),
        KeySpec("api_version", .text),
        KeySpec("organization", .text),
        KeySpec("region_name", .text),
        KeySpec("extra_headers", .textMap(secret: true)),
        KeySpec("headers", .textMap(secret: true)),
        // How much, how long, how often.
        KeySpec("tpm", .integer(count)),
        KeySpec("rpm", .integer(count)),
        KeySpec("max_parallel_requests", .integer(1...1_000_000)),
        KeySpec("timeout", .seconds(zero: false)),
        KeySpec("stream_timeout", .seconds(zero: false)),
        KeySpec("max_retries", .integer(few)),
        KeySpec("num_retries", .integer(few)),
        KeySpec("cooldown_time", .seconds(zero: true)),
        // What the choice depends on.
        KeySpec("weight", .number(0...1_000_000)),
        KeySpec("order", .integer(-1_000_000...1_000_000)),
        KeySpec("tags", .textList),
        KeySpec("input_cost_per_token", .number(price)),
        KeySpec("output_cost_per_token", .number(price)),
        // What is done to the request.
        KeySpec("drop_params", .boolean),
        KeySpec("allowed_openai_params", .textList),
        KeySpec("additional_drop_params", .textList),
        KeySpec("extra_body", .object),
        KeySpec("ssl_verify", .boolean),
        // Answers without a provider; the last three are Junction's own.
        KeySpec("mock_response", .text),
        KeySpec("mock_latency_ms", .integer(0...86_400_000)),
        KeySpec("mock_tokens_per_second", .number(0...1_000_000_000)),
        KeySpec("mock_failure_rate", .number(0...1)),
    ] + unused(
        "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "presence_penalty",
        "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "tools",
        "tool_choice", "parallel_tool_calls", "user", "stream", "stream_options", "reasoning_effort", "thinking",
        "modalities", "top_k", "repetition_penalty",
        note: "a call sets its own sampling parameters"
    ) + unused(
        "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region_name", "aws_session_name",
        "aws_profile_name", "aws_role_name", "aws_web_identity_token", "aws_sts_endpoint",
        "aws_bedrock_runtime_endpoint", "vertex_project", "vertex_location", "vertex_credentials", "azure_ad_token",
        "azure_username", "azure_password", "azure_scope", "tenant_id", "client_id", "client_secret",
        "watsonx_region_name", "s3_bucket_name", "litellm_credential_name",
        note: "this way to sign in to a provider is not supported; use api_key"
    ) + unused(
        "input_cost_per_second", "output_cost_per_second", "input_cost_per_character",
        "output_cost_per_character", "input_cost_per_pixel", "output_cost_per_pixel",
        "cache_read_input_token_cost", "cache_creation_input_token_cost", "max_budget", "budget_duration",
        "default_api_key_tpm_limit", "default_api_key_rpm_limit", "max_file_size_mb",
        "use_in_pass_through", "use_litellm_proxy", "merge_reasoning_content_in_choices", "model_info",
        "base_model", "mock_timeout", "mock_tool_calls", "mock_delay", "hf_model_name", "supports_system_message",
        "configurable_clientside_auth_params", "auto_router_config_path", "auto_router_config",
        "auto_router_default_model", "auto_router_embedding_model", "litellm_trace_id", "cache", "caching",
        "dimensions", "encoding_format", "input_type", "use_chat_completions_api", "ssl_certificate",
        "vertex_ai_location", "complexity_router_config", "silent_model", "tag_regex", "deployment_id")

    private static let modelInfo: [KeySpec] = [
        KeySpec("id", .text),
        KeySpec("max_input_tokens", .integer(1...1_000_000_000)),
        KeySpec("max_tokens", .integer(1...1_000_000_000)),
        KeySpec("input_cost_per_token", .number(price)),
        KeySpec("output_cost_per_token", .number(price)),
    ] + unused(
        "base_model", "mode", "max_output_tokens", "description", "metadata", "db_model", "created_by", "updated_by",
        "tier", "team_id", "access_groups", "supports_vision", "supports_function_calling",
        "supports_parallel_function_calling", "supports_response_schema", "supports_system_messages",
        "supports_tool_choice", "supports_prompt_caching", "supports_reasoning", "supports_audio_input",
        "supports_audio_output", "supports_pdf_input", "supports_assistant_prefill", "litellm_provider",
        "cache_read_input_token_cost", "cache_creation_input_token_cost", "health_check_model",
        "health_check_timeout", "health_check_voice", "disable_background_health_check", "version", "custom_tokenizer",
        "output_vector_size", "supported_environments")

    private static let router: [KeySpec] = [
        KeySpec("routing_strategy", .choice(strategies)),
        KeySpec("num_retries", .integer(few)),
        KeySpec("retry_after", .seconds(zero: true)),
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
        KeySpec("cooldown_time", .seconds(zero: true)),
        KeySpec("disable_cooldowns", .boolean),
        KeySpec("model_group_alias", .aliasMap),
        KeySpec("enable_tag_filtering", .boolean),
        KeySpec("tag_filtering_match_any", .boolean),
        KeySpec("enable_pre_call_checks", .boolean),
        KeySpec("default_max_parallel_requests", .integer(1...1_000_000)),
        KeySpec("redis_url", .secret),
        KeySpec("redis_host", .text),
        KeySpec("redis_port", .integer(1...65535)),
        KeySpec("redis_password", .secret),
    ] + unused(
        "cache_responses", "cache_kwargs", "caching_groups", "client_ttl",
        note: "Junction keeps no answers"
    ) + unused(
        "routing_strategy_args", "default_litellm_params", "default_priority", "polling_interval",
        "optional_pre_call_checks", "provider_budget_config", "alerting_config", "assistants_config", "search_tools",
        "router_general_settings", "ignore_invalid_deployments", "set_verbose", "debug_level", "redis_db",
        "redis_ssl", "redis_username", "enable_health_check_routing", "health_check_staleness_threshold",
        "health_check_ignore_transient_errors", "deployment_affinity_ttl_seconds", "guardrail_list", "model_list",
        "model_group_affinity_config", "enable_weighted_failover", "model_group_allowed_fails_policy")

    private static let litellm: [KeySpec] = [
        KeySpec("drop_params", .boolean),
        KeySpec("num_retries", .integer(few)),
        KeySpec("request_timeout", .seconds(zero: false)),
        KeySpec("fallbacks", .fallbackList),
        KeySpec("default_fallbacks", .groupList),
        KeySpec("context_window_fallbacks", .fallbackList),
        KeySpec("content_policy_fallbacks", .fallbackList),
        KeySpec("allowed_fails", .integer(0...1_000_000)),
        KeySpec("ssl_verify", .boolean),
    ] + unused(
        "cache", "cache_params", "enable_caching_on_provider_specific_optional_params",
        note: "Junction keeps no answers"
    ) + unused(
        "set_verbose", "modify_params", "callbacks", "success_callback", "failure_callback", "service_callback",
        "audit_log_callbacks", "post_call_rules", "input_callback", "turn_off_message_logging",
        "redact_user_api_key_info", "redact_messages_in_exceptions", "json_logs", "telemetry", "force_ipv4",
        "ssl_certificate", "ssl_security_level", "max_budget", "budget_duration", "default_internal_user_params",
        "default_team_params", "default_team_settings", "default_user_params", "upperbound_key_generate_params",
        "default_key_generate_params", "max_internal_user_budget", "internal_user_budget_duration",
        "max_end_user_budget", "langfuse_default_tags", "tag_budget_config", "context_window_fallback_dict",
        "model_alias_map", "custom_provider_map", "disable_end_user_cost_tracking",
        "disable_end_user_cost_tracking_prometheus_only", "disable_add_transform_inline_image_block",
        "disable_hf_tokenizer_download", "disable_stop_sequence_limit", "disable_copilot_system_to_assistant",
        "disable_default_user_agent", "enable_json_schema_validation", "enable_preview_features",
        "enable_loadbalancing_on_batch_endpoints", "extra_spend_tag_headers", "forward_traceparent_to_llm_provider",
        "guardrails", "key_generation_settings", "mcp_aliases", "prometheus_metrics_config",
        "prometheus_initialize_budget_metrics", "public_model_groups", "public_model_groups_links", "priority_reservation",
        "priority_reservation_settings", "require_auth_for_metrics_endpoint", "return_response_headers",
        "s3_callback_params", "store_audit_logs", "user_header_name", "cost_discount_config", "cost_margin_config",
        "add_function_to_prompt", "drop_unknown_params", "use_client", "api_key", "api_base", "headers",
        "datadog_params", "default_redis_batch_cache_expiry", "aiohttp_trust_env", "token_rate_limit_type",
        "include_cost_in_streaming_usage", "ui_theme_config", "request_correlation_id", "default_max_internal_user_budget",
        "default_redis_ttl", "default_in_memory_ttl", "vector_store_registry", "network_mock", "num_retries_per_request",
        "max_user_budget", "max_ui_session_budget", "email", "image_generation_model", "user_url_validation")

    private static let general: [KeySpec] = unused(
        "master_key", "database_url", "database_connection_pool_limit", "database_connection_timeout",
        "database_type", "database_args", "allow_requests_on_db_unavailable", "allow_user_auth", "allowed_ips",
        "allowed_routes", "admin_only_routes", "public_routes", "alerting", "alerting_threshold", "alerting_args",
        "alert_types", "alert_to_webhook_url", "always_include_stream_usage", "auto_redirect_ui_login_to_sso",
        "background_health_checks", "health_check_interval", "health_check_details", "health_check_concurrency",
        "completion_model", "control_plane_url", "custom_auth", "custom_sso", "custom_key_generate", "custom_ui_sso_sign_in_handler",
        "default_team_disabled", "disable_adding_master_key_hash_to_db", "disable_admin_ui",
        "disable_budget_reservation", "disable_error_logs", "disable_prisma_schema_update", "disable_reset_budget",
        "disable_responses_id_security", "disable_retry_on_max_parallel_request_limit_error", "disable_spend_logs",
        "disable_spend_updates", "embedding_model", "enable_health_check_routing", "enable_jwt_auth",
        "enable_oauth2_auth", "enable_oauth2_proxy_auth", "enforce_user_param", "enforced_params",
        "forward_client_headers_to_llm_api", "forward_llm_provider_auth_headers", "forward_openai_org_id",
        "global_max_parallel_requests", "google_kms", "key_management_settings", "key_management_system",
        "infer_model_from_keys", "litellm_jwtauth", "litellm_key_header_name", "load_from_azure_key_vault",
        "max_parallel_requests", "max_request_size_mb", "max_response_size_mb", "maximum_spend_logs_retention_interval",
        "maximum_spend_logs_retention_period", "maximum_spend_logs_cleanup_cron", "mcp_client_side_auth_header_name",
        "mcp_internal_ip_ranges", "mcp_trusted_proxy_ranges", "model_cost_map_url", "mode", "moderation_model",
        "oauth2_config_mappings", "otel", "pass_through_endpoints", "pass_through_request_timeout", "plugin_routes",
        "proxy_batch_polling_interval", "proxy_batch_write_at", "proxy_budget_rescheduler_max_time",
        "proxy_budget_rescheduler_min_time", "require_end_user_mcp_access_defined", "role_permissions",
        "search_tools", "service_account_settings", "spend_report_frequency", "store_model_in_db",
        "store_prompts_in_spend_logs", "supported_db_objects", "token_rate_limit_type", "trusted_proxy_ranges", "ui_access_mode",
        "ui_username", "ui_password", "url_validation", "use_azure_key_vault", "use_google_kms", "use_redis_transaction_buffer",
        "use_shared_health_check", "use_x_forwarded_for", "user_api_key_cache_ttl", "user_header_mappings",
        "user_header_name", "user_mcp_management_mode", "coordination_redis", "environment_variables", "port", "host",
        note: "Junction has no proxy accounts, database or UI; its own settings are in junction_settings")

    private static let junction: [KeySpec] = [
        KeySpec("host", .text),
        KeySpec("port", .integer(0...65535)),
        KeySpec("threads", .integer(1...1024)),
        KeySpec("message_bytes_max", .integer(1024...2_147_483_647)),
        KeySpec("drain_grace", .seconds(zero: true)),
        KeySpec("connect_timeout", .seconds(zero: false)),
        KeySpec("first_byte_timeout", .seconds(zero: false)),
        KeySpec("http_version", .choice(["1.1", "2"])),
        KeySpec("ssl_verify", .boolean),
        KeySpec("ca_file", .text),
        KeySpec("allowed_api_bases", .textList),
    ]

    private static let retryPolicy: [KeySpec] = [
        KeySpec("BadRequestErrorRetries", .integer(few)),
        KeySpec("AuthenticationErrorRetries", .integer(few)),
        KeySpec("TimeoutErrorRetries", .integer(few)),
        KeySpec("RateLimitErrorRetries", .integer(few)),
        KeySpec("ContentPolicyViolationErrorRetries", .integer(few)),
        KeySpec("InternalServerErrorRetries", .integer(few)),
    ]

    private static let allowedFailsPolicy: [KeySpec] = [
        KeySpec("BadRequestErrorAllowedFails", .integer(0...1_000_000)),
        KeySpec("AuthenticationErrorAllowedFails", .integer(0...1_000_000)),
        KeySpec("TimeoutErrorAllowedFails", .integer(0...1_000_000)),
        KeySpec("RateLimitErrorAllowedFails", .integer(0...1_000_000)),
        KeySpec("ContentPolicyViolationErrorAllowedFails", .integer(0...1_000_000)),
        KeySpec("InternalServerErrorAllowedFails", .integer(0...1_000_000)),
    ]

    private static let groupAlias: [KeySpec] = [
        KeySpec("model", .text),
        KeySpec("hidden", .boolean),
    ]
}
