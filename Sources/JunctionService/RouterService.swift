// The service of router.proto: refuses a request that is wrong, turns its routing into the core's terms, and
// starts a `Call`. Decides nothing about deployments.
import JunctionConfig
import JunctionMessages
import JunctionProtobuf
import JunctionProviders
import JunctionRPC
import JunctionRouting

/// `Complete`, `Stream` and `Embed` on one worker's loop.
final class RouterService: RouterServiceServer {
    private let worker: Worker

    init(worker: Worker) { self.worker = worker }

    func complete(_ request: JunctionV1.CompleteRequest.View, _ call: ServerCall<JunctionV1.CompleteResponse>)
    {
        start(.complete, request.routing, call.stream) { () throws(Status) in
            .completion(try validated(request.completion), isStreaming: false)
        }
    }

    func stream(_ request: JunctionV1.StreamRequest.View, _ call: ServerCall<JunctionV1.StreamResponse>) {
        start(.stream, request.routing, call.stream) { () throws(Status) in
            .completion(try validated(request.completion), isStreaming: true)
        }
    }

    func embed(_ request: JunctionV1.EmbedRequest.View, _ call: ServerCall<JunctionV1.EmbedResponse>) {
        start(.embed, request.routing, call.stream) { () throws(Status) in
            .embedding(try validated(request.embedding))
        }
    }

    private func start(
        _ method: Tally.Method, _ routing: JunctionV1.Routing.View?, _ rpc: ServerStream,
        validated question: () throws(Status) -> Question
    ) {
        do throws(Status) {
            let question = try question()
            try validate(routing, allowedBases: worker.server.allowedAPIBases)
            let model = String(question.model)
            guard let group = worker.router.modelGroup(named: model), isWhole(model) else {
                throw unknownModel(model, field: "\(question.field).model")
            }
            var traits = CallTraits(
                modelGroup: group, estimatedTokens: 0, isStreaming: question.isStreaming)
            traits.size = question.size
            traits.features = question.features
            traits.deadline = rpc.deadline.map(worker.instant) ?? worker.now + worker.server.defaultDeadline
            var overrides: [ProviderTarget] = []
            if let routing {
                traits.take(routing)
                for (index, fallback) in routing.fallbacks.enumerated() {
                    let field = "routing.fallbacks[\(index)]"
                    traits.fallbacks.append(try target(fallback, field, askedModel: model, &overrides))
                }
            }
            Call(
                worker: worker, rpc: rpc, question: question, traits: traits, overrides: overrides
            ).start()
        } catch {
            worker.tally.count(refused: method, code: error.code)
            rpc.finish(error)
        }
    }

    /// Whether a name that fits a model group with a star leaves a model's name in the star's place.
    private func isWhole(_ model: String) -> Bool {
        if model.contains("*") { return false }
        guard let text = worker.router.wildcardText(in: model) else { return true }
        return text.utf8.count <= 200 && !text.contains("..") && text.utf8.allSatisfy(isPartOfModelName)
    }

    private func isPartOfModelName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-_.:/@+".utf8.contains(byte)
        }
    }

    // MARK: Fallbacks of the request

    private func target(
        _ fallback: JunctionV1.Fallback.View, _ field: String, askedModel: String,
        _ overrides: inout [ProviderTarget]
    ) throws(Status) -> FallbackTarget {
        switch fallback.target {
        case .modelGroup(let name):
            let name = String(name)
            guard let group = worker.router.modelGroup(named: name) else {
                throw unknownModel(name, field: "\(field).model_group")
            }
            // The star stands for what was asked for, in fallbacks too.
            if worker.router.wildcardText(in: name) != nil {
                throw invalid(
                    "\(field).model_group", "is no model group's own name: name the one with the star")
            }
            return .modelGroup(group)
        case .override(let override):
            let model = override.model.isEmpty ? askedModel : String(override.model)
            let group = worker.router.modelGroup(named: model)
            let index = group.map { firstDeployment(named: model, in: $0) }
            let deployment = try overridden(override, of: index, model: model, "\(field).override")
            do throws(TargetError) {
                overrides.append(try ProviderTarget(deployment, server: worker.server))
            } catch { throw invalid("\(field).override", "cannot be called: \(error.reason)") }
            let asked = worker.router.modelGroup(named: askedModel)!
            return .override(
                index: overrides.count - 1, deployment: index, modelGroup: group ?? asked,
                usesCallersKey: !override.apiKey.isEmpty)
        case nil:
            throw invalid("\(field).target", "is not set: name a model group or override one")
        }
    }

    /// The deployment that a caller means by a name that may be its own, a model group's or an alias.
    private func firstDeployment(named name: String, in group: Int) -> Int {
        if let index = worker.deployments.firstIndex(where: { $0.id == name }) { return index }
        let group = worker.router.name(ofModelGroup: group)
        return worker.deployments.firstIndex { $0.modelGroup == group }!
    }

    /// The deployment that an override asks for. Where the base is the caller's, nothing but the provider's
    /// wire format and model is taken from the configuration: no key and no header.
    private func overridden(
        _ override: JunctionV1.DeploymentOverride.View, of index: Int?, model: String, _ field: String
    ) throws(Status) -> DeploymentConfiguration {
        var deployment: DeploymentConfiguration
        if let index {
            deployment = worker.deployments[index]
            deployment.fill(star: worker.router.wildcardText(in: model) ?? model)
        } else {
            if override.apiKey.isEmpty {
                throw invalid(
                    "\(field).api_key", "is empty, but '\(model)' is no model group with a key of its own")
            }
            let (prefix, name) = Registry.split(model)
            guard let provider = Registry.provider(named: prefix) else {
                throw invalid(
                    "\(field).model", "names neither a model group nor a provider that Junction knows")
            }
            deployment = DeploymentConfiguration(
                id: "override", modelGroup: model, provider: provider, model: name,
                apiBase: provider.defaultBase ?? "")
            deployment.prices = ModelFacts.of(model: name, provider: prefix)?.prices ?? TokenPrices()
        }
        deployment.id = "override:\(deployment.id)"
        if !override.apiKey.isEmpty {
            deployment.apiKey = Secret(String(override.apiKey))
            deployment.amazon = nil
            deployment.entra = nil
            deployment.organization = nil
            deployment.extraHeaders = []
        }
        if !override.apiVersion.isEmpty { deployment.apiVersion = String(override.apiVersion) }
        if !override.apiBase.isEmpty {
            deployment.apiBase = String(override.apiBase)
            if deployment.mock != nil {
                deployment.rules = ParameterRules(provider: deployment.provider, model: deployment.model)
            }
            deployment.mock = nil
        }
        if deployment.mock == nil && deployment.apiBase.isEmpty {
            throw invalid("\(field).api_base", "is empty, and the provider has no base of its own")
        }
        return deployment
    }

    private func unknownModel(_ name: String, field: String) -> Status {
        Status(
            .notFound,
            "\(field) '\(readable(name))' is no model group, alias or deployment of the configuration")
    }
}

extension CallTraits {
    /// Takes what a caller asks of the routing, but for its fallbacks.
    fileprivate mutating func take(_ routing: JunctionV1.Routing.View) {
        numRetries = routing.numRetries.map(Int.init)
        tags = routing.tags.map { String($0) }
        regions = routing.regions.map { String($0) }
        disableFallbacks = routing.disableFallbacks
        hedging = routing.hedging.map { asked in
            Hedging(isEnabled: asked.enabled, delay: asked.delayMs.map { .milliseconds($0) })
        }
        switch routing.streamRescue {
        case .continue: rescuesStream = true
        case .never: rescuesStream = false
        case .unspecified, .unrecognized: break
        }
        if !routing.sessionKey.isEmpty { session = SessionKey(routing.sessionKey.bytes) }
        priority = routing.priority.map(Int.init) ?? priority
        queueTimeout = routing.queueTimeoutMs.map { .milliseconds($0) }
        explains = routing.explain
    }
}

/// What a caller sent, short enough and clean enough to be quoted in an error.
private func readable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(64).map { $0.value < 0x20 ? "?" : $0 }))
}
