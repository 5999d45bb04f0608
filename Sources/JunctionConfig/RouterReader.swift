// Makes the routing core's configuration of `router_settings` and of what `litellm_settings` says about
// routing, and checks every name of a model group in it.
import JunctionRouting

/// The names that a caller or a fallback can ask for.
struct ModelGroups {
    /// The groups in the order of the file.
    private let names: [String]
    private let groupsAndIDs: Set<String>

    init(deployments: [Deployment]) {
        var seen: Set<String> = []
        names = deployments.map(\.modelGroup).filter { seen.insert($0).inserted }
        groupsAndIDs = seen.union(deployments.map(\.id))
    }

    func has(_ name: String) -> Bool { groupsAndIDs.contains(name) }

    /// What to say about a name that no group has.
    func unknown(_ name: LocatedText) -> String {
        if name.isHidden {
            return "There is no model group of the name that this environment variable holds."
        }
        let nearest = nearestName(to: name.text, among: names)
        let hint =
            nearest.map { "Did you mean \($0)?" }
            ?? "It must be a model_name of model_list" + (names.isEmpty ? "." : ", as \(names[0]).")
        return "There is no model group \"\(name.text)\". \(hint)"
    }
}

func routerConfiguration(
    deployments: [Deployment], router: Values?, litellm: Values?, junction: Values?, groups: ModelGroups,
    places: [Place], report: inout Report
) -> RouterConfiguration {
    var configuration = RouterConfiguration(deployments: deployments)
    configuration.numRetries =
        router?.integer("num_retries") ?? litellm?.integer("num_retries") ?? configuration.numRetries
    configuration.timeout =
        router?.duration("timeout") ?? litellm?.duration("request_timeout") ?? configuration.timeout
    configuration.streamTimeout = router?.duration("stream_timeout") ?? configuration.streamTimeout
    configuration.allowedFails =
        router?.integer("allowed_fails") ?? litellm?.integer("allowed_fails") ?? configuration.allowedFails
    configuration.cooldownTime = router?.duration("cooldown_time") ?? configuration.cooldownTime
    if router?.boolean("disable_cooldowns") == true {
        configuration.cooldownTime = .zero
        for index in deployments.indices { configuration.deployments[index].cooldownTime = .zero }
    }
    configuration.maxFallbacks = router?.integer("max_fallbacks") ?? configuration.maxFallbacks
    configuration.enableTagFiltering =
        router?.boolean("enable_tag_filtering") ?? configuration.enableTagFiltering
    configuration.strategy =
        router?.text("routing_strategy").flatMap(Strategy.init(named:)) ?? configuration.strategy
    configuration.lowestLatencyBuffer =
        router?.section("routing_strategy_args")?.number("lowest_latency_buffer")
        ?? configuration.lowestLatencyBuffer
    configuration.aliases = aliases(router, groups: groups, report: &report)
    configuration.retryPolicy = router?.section("retry_policy").map(retryPolicy) ?? [:]
    configuration.allowedFailsPolicy = router?.section("allowed_fails_policy").map(allowedFailsPolicy) ?? [:]
    configuration.tagFilteringMatchAny =
        router?.boolean("tag_filtering_match_any") ?? configuration.tagFilteringMatchAny
    let aliases = configuration.aliases
    func byGroup<Value>(
        _ key: String, of section: Values?, _ make: (Values, inout Report) -> Value
    ) -> [String: Value] {
        var table: [String: Value] = [:]
        for (group, values) in section?.sectionMap(key) ?? [] {
            let name = aliases[group.text] ?? group.text
            if !deployments.contains(where: { $0.modelGroup == name }) {
                report.error(group.place, groups.unknown(group))
            }
            table[name] = make(values, &report)
        }
        return table
    }
    configuration.modelGroupRetryPolicies = byGroup("model_group_retry_policy", of: router) { values, _ in
        retryPolicy(values)
    }
    configuration.modelGroupAllowedFailsPolicies = byGroup(
        "model_group_allowed_fails_policy", of: router
    ) { values, _ in allowedFailsPolicy(values) }
    configuration.modelGroupLimits = byGroup("model_group_limits", of: junction) { values, report in
        Limits(
            tokensPerMinute: values.integer("tpm"), requestsPerMinute: values.integer("rpm"),
            maxParallelRequests: values.integer("max_parallel_requests"),
            budget: budget("max_budget", "budget_duration", of: values, report: &report))
    }
    // In simulation the better one: tools/simulate/strategies.md, rate_limit_window.
    configuration.rateLimitWindow =
        junction?.text("rate_limit_window").flatMap(RateLimitWindow.init) ?? .sliding
    configuration.providerBudgets = providerBudgets(router, deployments: deployments, report: &report)
    for (index, deployment) in deployments.enumerated() {
        guard
            configuration.modelGroupLimits[deployment.modelGroup]?.budget != nil
                || configuration.providerBudgets[deployment.provider] != nil
                || deployment.limits.budget != nil,
            deployment.prices.input == nil || deployment.prices.output == nil
        else { continue }
        report.warning(
            places[index],
            "What a token costs here is not known, so its calls take nothing from a budget. "
                + "Give input_cost_per_token and output_cost_per_token.")
    }

    let fallbacks = FallbackReader(groups: groups, aliases: configuration.aliases)
    configuration.fallbacks = fallbacks.read("fallbacks", router: router, litellm: litellm, report: &report)
    configuration.contextWindowFallbacks = fallbacks.read(
        "context_window_fallbacks", router: router, litellm: litellm, report: &report)
    configuration.contentPolicyFallbacks = fallbacks.read(
        "content_policy_fallbacks", router: router, litellm: litellm, report: &report)
    configuration.defaultFallbacks = fallbacks.readDefaults(router: router, litellm: litellm, report: &report)
    return configuration
}

private func allowedFailsPolicy(_ values: Values) -> [RetryClass: Int] {
    RetryClass.allCases.reduce(into: [:]) { $0[$1] = values.integer($1.allowedFailsKey) }
}

/// A budget of dollars in a time; nil: there is none, or half of it is missing.
func budget(
    _ dollars: String, _ duration: String, of values: Values, report: inout Report
) -> BudgetLimit? {
    switch (values.number(dollars), values.duration(duration)) {
    case (let limit?, let time?): return BudgetLimit(dollars: limit, duration: time)
    case (.some, nil):
        // A value that is there but wrong was reported when it was read.
        if !report.speaks(of: "\(values.place.path).\(duration)") {
            report.error(
                values.place(of: dollars),
                "Say in what time, as in \(duration): 1d. It begins anew after that.")
        }
    case (nil, .some):
        if !report.speaks(of: "\(values.place.path).\(dollars)") {
            report.warning(values.place(of: duration), "This has no effect without \(dollars).")
        }
    case (nil, nil): break
    }
    return nil
}

private func providerBudgets(
    _ router: Values?, deployments: [Deployment], report: inout Report
) -> [String: BudgetLimit] {
    var budgets: [String: BudgetLimit] = [:]
    let names = Set(deployments.map(\.provider))
    for (provider, values) in router?.sectionMap("provider_budget_config") ?? [] {
        if !names.contains(provider.text) {
            let nearest = nearestName(to: provider.text, among: names.sorted())
            report.warning(
                provider.place,
                "No deployment has this provider."
                    + (nearest.map { " Did you mean \($0)?" } ?? ""))
        }
        budgets[provider.text] =
            budget("budget_limit", "time_period", of: values, report: &report)
            ?? budget("max_budget", "budget_duration", of: values, report: &report)
    }
    return budgets
}

private func retryPolicy(_ values: Values) -> [RetryClass: Int] {
    RetryClass.allCases.reduce(into: [:]) { $0[$1] = values.integer($1.key) }
}

private func aliases(_ router: Values?, groups: ModelGroups, report: inout Report) -> [String: String] {
    var aliases: [String: String] = [:]
    for (alias, values) in router?.sectionMap("model_group_alias") ?? [] {
        guard let group = values.located("model") else {
            report.error(values.place, "Name the model group that this is an alias of.")
            continue
        }
        if groups.has(alias.text) {
            report.warning(
                alias.place, "A model group or deployment has this name already: the alias has no effect.")
        } else if groups.has(group.text) {
            aliases[alias.text] = group.text
        } else {
            report.error(group.place, groups.unknown(group))
        }
    }
    return aliases
}

/// Reads the lists of fallbacks and refuses names of no group, and groups that fall back to themselves.
private struct FallbackReader {
    let groups: ModelGroups
    let aliases: [String: String]

    func read(
        _ key: String, router: Values?, litellm: Values?, report: inout Report
    ) -> [String: [String]] {
        var graph: [String: [String]] = [:]
        var places: [String: Place] = [:]
        for rule in router?.fallbacks(key) ?? litellm?.fallbacks(key) ?? [] {
            let substitutes = names(rule.substitutes, report: &report)
            // "*" stands for every group without a rule of its own.
            guard let group = rule.group.text == "*" ? "*" : name(rule.group, report: &report) else {
                continue
            }
            if graph[group] != nil {
                report.error(
                    rule.group.place, "\(group) has fallbacks in this list already. Put them in one item.")
                continue
            }
            graph[group] = substitutes
            places[group] = rule.group.place
        }
        for loop in loops(in: graph) {
            let way = loop.joined(separator: " → ")
            report.error(
                places[loop[0]]!, "These fallbacks go round in a circle: \(way). Take one of them out.")
        }
        return graph
    }

    func readDefaults(router: Values?, litellm: Values?, report: inout Report) -> [String] {
        let listed = router?.texts("default_fallbacks") ?? litellm?.texts("default_fallbacks") ?? []
        return names(listed, report: &report)
    }

    private func names(_ texts: [LocatedText], report: inout Report) -> [String] {
        texts.compactMap { name($0, report: &report) }
    }

    /// The group's own name when the text is an alias of it.
    private func name(_ text: LocatedText, report: inout Report) -> String? {
        if groups.has(text.text) { return text.text }
        if let group = aliases[text.text] { return group }
        report.error(text.place, groups.unknown(text))
        return nil
    }
}

/// The loops of a graph, each once, as the way round from its first name back to it.
private func loops(in graph: [String: [String]]) -> [[String]] {
    var found: [[String]] = []
    var finished: Set<String> = []
    func visit(_ name: String, way: [String]) {
        if let start = way.firstIndex(of: name) {
            found.append(way[start...] + [name])
            return
        }
        if finished.contains(name) { return }
        for next in graph[name] ?? [] { visit(next, way: way + [name]) }
        finished.insert(name)
    }
    for name in graph.keys.sorted() { visit(name, way: []) }
    return found
}
