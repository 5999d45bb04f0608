// Where an attempt goes: a deployment of the configuration, or one made for a single call by an override.
// Holds what does not change between calls: address, headers with the key, how bodies are written and read.
import JunctionConfig
import JunctionMessages
import JunctionOutbound
import JunctionProtobuf
import JunctionProviders
import JunctionRouting
import JunctionTransport

/// A provider that can be asked. Confined to its worker's loop.
final class ProviderTarget {
    /// What the route in an answer calls it; never freed before the target.
    let id: Text
    let provider: Text
    let modelGroup: Text
    let adapter: Adapter
    private let names = Arena()
    private let model: String
    private let options: BodyOptions
    private let door: Door

    /// How the target is reached.
    private enum Door {
        /// Some providers have an endpoint of its own for streams.
        case http(whole: HTTPEndpoint, streams: HTTPEndpoint)
        case mock(MockSettings)
    }

    init(_ deployment: DeploymentConfiguration, server: ServerConfiguration.Server) throws(TargetError) {
        id = names.text(deployment.id)
        provider = names.text(deployment.providerName)
        modelGroup = names.text(deployment.modelGroup)
        // A mock speaks OpenAI's wire format whatever it stands in for.
        adapter = deployment.mock == nil ? deployment.provider.adapter : .openAI([])
        model = deployment.model
        options = try BodyOptions(deployment)
        if let mock = deployment.mock {
            door = .mock(mock)
        } else {
            let url = { [adapter, model] isStreaming in
                adapter.url(
                    base: deployment.apiBase, model: model, apiVersion: deployment.apiVersion,
                    isStreaming: isStreaming)
            }
            let whole = try HTTPEndpoint(deployment, url: url(false), server: server)
            let isShared = url(true) == url(false)
            door = .http(
                whole: whole,
                streams: isShared ? whole : try HTTPEndpoint(deployment, url: url(true), server: server))
        }
    }

    /// Sends what the caller asks; the handler is told what the provider answers.
    ///
    /// - Parameter continuation: the beginning of the answer, where the provider is to go on with one.
    /// - Throws: when the completion cannot be written for this provider.
    func send(
        _ completion: JunctionV1.Completion.View, isStreaming: Bool, continuation: Continuation?,
        by worker: Worker, handler: any HTTPHandler
    ) throws(Failure) -> Transfer {
        switch door {
        case .http(let whole, let streams):
            let endpoint = isStreaming ? streams : whole
            let writer = worker.writer
            try writer.write(
                completion, model: model, isStreaming: isStreaming, adapter: adapter, options: options,
                continuation: continuation)
            let transfer = worker.client.send(to: endpoint, body: writer.bytes, handler: handler)
            return .http(transfer)
        case .mock(let settings):
            return .mock(
                MockTransfer(
                    settings, model: model, promptTokens: estimatedPromptTokens(completion),
                    isStreaming: isStreaming, fails: settings.failureRate > worker.random.fraction(),
                    loop: worker.loop, handler: handler))
        }
    }
}

/// An answer under way, from a provider or from a mock.
enum Transfer {
    case http(HTTPTransfer)
    case mock(MockTransfer)

    /// Ends it; its handler is told nothing more.
    func cancel() {
        switch self {
        case .http(let transfer): transfer.cancel()
        case .mock(let transfer): transfer.cancel()
        }
    }

    /// Its handler is told nothing more, and the connection is kept if little is left to read.
    func letGo() {
        switch self {
        case .http(let transfer): transfer.letGo()
        case .mock(let transfer): transfer.cancel()
        }
    }

    func pause() {
        switch self {
        case .http(let transfer): transfer.pause()
        case .mock(let transfer): transfer.pause()
        }
    }

    func resume() {
        switch self {
        case .http(let transfer): transfer.resume()
        case .mock(let transfer): transfer.resume()
        }
    }
}

/// Why a deployment cannot be called as it is configured. Holds no secret.
struct TargetError: Error, CustomStringConvertible {
    let deployment: String
    let reason: String
    var description: String { "deployment \(deployment): \(reason)" }
}

extension BodyOptions {
    fileprivate init(_ deployment: DeploymentConfiguration) throws(TargetError) {
        self.init()
        guard let json = deployment.extraBodyJSON else { return }
        do {
            extraBody = try ExtraBody(json: json)
        } catch {
            throw TargetError(deployment: deployment.id, reason: "extra_body: \(error)")
        }
    }
}

extension HTTPEndpoint {
    fileprivate convenience init(
        _ deployment: DeploymentConfiguration, url: String, server: ServerConfiguration.Server
    ) throws(TargetError) {
        var headers = deployment.provider.adapter.headers(
            key: deployment.apiKey?.reveal(), organization: deployment.organization)
        for extra in deployment.extraHeaders {
            headers.removeAll { $0.name.lowercased() == extra.name.lowercased() }
            headers.append((extra.name, extra.value.reveal()))
        }
        let options = HTTPOptions(
            connectTimeout: server.connectTimeout, verifyTLS: deployment.verifyTLS, http2: server.offersHTTP2)
        do {
            try self.init(url: url, headers: headers.map { ($0.name, $0.value) }, options: options)
        } catch {
            throw TargetError(deployment: deployment.id, reason: error.message)
        }
    }
}
