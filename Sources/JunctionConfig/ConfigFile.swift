// The door of the module: the text of a configuration file and an environment in, a configuration and what is
// wrong with the file out. Opens no file and reads no environment of its own.
import JunctionRouting
import JunctionYAML

/// Reads a LiteLLM `router_config.yaml`.
public enum ConfigFile {
    /// The configuration that a file makes, nil when it has an error, and all that is wrong with the file in
    /// the order of its lines.
    ///
    /// - Parameters:
    ///   - file: what diagnostics call the file.
    ///   - environment: what `os.environ/NAME` refers to; the file's own `environment_variables` rank above
    ///     it.
    public static func read(
        text: String, file: String, environment: [String: String]
    ) -> (ServerConfiguration?, [Diagnostic]) {
        var reader = SectionReader(file: file, environment: environment)
        let tree = YAMLTree(parsing: text)
        for fault in tree.faults {
            reader.report.error(Place(position: fault.position, path: fault.key), fault.message)
        }
        guard let root = tree.root else {
            if tree.faults.isEmpty {
                reader.report.error(
                    Place(position: Position(line: 1, column: 1), path: ""),
                    "The file is empty. It needs a model_list with at least one deployment.")
            }
            return (nil, reader.report.diagnostics)
        }
        reader.export(environmentVariablesOf: root)
        let values = reader.read(root, as: .root, path: "")
        let configuration = configuration(of: values, environment: reader.environment, report: &reader.report)
        return (reader.report.hasErrors ? nil : configuration, reader.report.diagnostics)
    }

    private static func configuration(
        of root: Values, environment: [String: String], report: inout Report
    ) -> ServerConfiguration {
        let litellm = root.section("litellm_settings")
        let router = root.section("router_settings")
        var deployments = DeploymentReader(
            environment: environment,
            verifyTLS: litellm?.boolean("ssl_verify") ?? true,
            maxParallelRequests: router?.integer("default_max_parallel_requests"),
            dropsParameters: litellm?.boolean("drop_params") ?? false)
        deployments.read(root, report: &report)
        let groups = ModelGroups(deployments: deployments.routed)
        let junction = root.section("junction_settings")
        let server = server(junction, report: &report)
        var routing = routerConfiguration(
            deployments: deployments.routed, router: router, litellm: litellm, junction: junction,
            groups: groups, places: deployments.places, report: &report)
        routing.defaultDeadline = server.defaultDeadline
        if let junction { readCalls(junction, into: &routing) }
        var configuration = ServerConfiguration(
            server: server, deployments: deployments.called, router: routing)
        configuration.sharedUsage = sharedUsage(router: router, junction: junction, report: &report)
        return configuration
    }

    /// What becomes of single calls.
    private static func readCalls(_ values: Values, into routing: inout RouterConfiguration) {
        routing.retryBudget = values.number("retry_budget") ?? routing.retryBudget
        routing.hedging = Hedging(
            isEnabled: values.boolean("hedging") ?? false, delay: values.duration("hedge_delay"))
        routing.hedgeBudget = values.number("hedge_budget") ?? routing.hedgeBudget
        routing.rescuesStreams = values.text("stream_rescue") == "continue"
        routing.queueTimeout = values.duration("queue_timeout") ?? routing.queueTimeout
        routing.queueSize = values.integer("queue_size") ?? routing.queueSize
    }

    private static func server(_ values: Values?, report: inout Report) -> ServerConfiguration.Server {
        var server = ServerConfiguration.Server()
        guard let values else { return server }
        server.host = values.text("host") ?? server.host
        server.port = values.integer("port") ?? server.port
        server.metricsPort = values.integer("metrics_port")
        server.threads = values.integer("threads")
        server.messageBytesMax = values.integer("message_bytes_max") ?? server.messageBytesMax
        server.defaultDeadline = values.duration("default_deadline") ?? server.defaultDeadline
        server.streamIdleTimeout = values.duration("stream_idle_timeout") ?? server.streamIdleTimeout
        server.connectTimeout = values.duration("connect_timeout") ?? server.connectTimeout
        server.connectionsPerHostMax =
            values.integer("max_connections_per_host") ?? server.connectionsPerHostMax
        server.drainGrace = values.duration("drain_grace") ?? server.drainGrace
        server.offersHTTP2 = values.boolean("http2_to_providers") ?? server.offersHTTP2
        let colons = server.host.count { $0 == ":" }
        if server.host.isEmpty || colons == 1
            || server.host.contains(where: { $0.isWhitespace || "/[]".contains($0) })
        {
            report.error(
                values.place(of: "host"),
                "Expected an address or a host name, as in 127.0.0.1 or ::1, without a port.")
        }
        for base in values.texts("allowed_api_bases") ?? [] {
            switch baseURL(base.text) {
            case .success(let url): server.allowedAPIBases.append(url)
            case .failure(let fault): report.error(base.place, "This base URL \(fault).")
            }
        }
        return server
    }
}

extension SectionReader {
    /// Makes the file's `environment_variables` known, before anything else is read: LiteLLM exports them.
    /// Whatever is wrong with them is reported when the whole file is read.
    fileprivate mutating func export(environmentVariablesOf root: YAMLNode) {
        guard case .mapping(let pairs) = root.content,
            let block = pairs.first(where: { $0.key == "environment_variables" })?.value
        else { return }
        var quiet = SectionReader(file: report.file, environment: environment)
        let only = YAMLNode.Entry(key: "environment_variables", keyPosition: block.position, value: block)
        let values = quiet.read(
            YAMLNode(content: .mapping([only]), position: block.position), as: .root, path: "")
        for (name, value) in values.secretMap("environment_variables") ?? [] {
            environment[name.text] = value.reveal()
        }
    }
}
