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
    /// What its tokens cost.
    let prices: TokenPrices
    private let names: Arena
    private let model: String
    /// Whether it cannot be asked itself, since its model's name is not whole.
    let isTemplate: Bool
    private let options: BodyOptions
    private let door: Door
    /// Nil: the provider is signed in to without tokens that must be fetched.
    private let entra: EntraSettings?

    /// How the target is reached.
    private enum Door {
        /// Some providers have an endpoint of its own for streams.
        case http(whole: HTTPEndpoint, streams: HTTPEndpoint, embeddings: HTTPEndpoint?)
        case mock(MockSettings)
    }

    /// - Parameter template: has the same names, and keeps them when this one is gone.
    init(
        _ deployment: DeploymentConfiguration, server: ServerConfiguration.Server,
        template: ProviderTarget? = nil
    ) throws(TargetError) {
        names = template?.names ?? Arena()
        id = template?.id ?? names.text(deployment.id)
        provider = template?.provider ?? names.text(deployment.providerName)
        modelGroup = template?.modelGroup ?? names.text(deployment.modelGroup)
        // A mock speaks OpenAI's wire format whatever it stands in for.
        adapter = deployment.mock == nil ? deployment.provider.adapter : .openAI([])
        prices = deployment.prices
        model = deployment.model
        isTemplate = model.contains("*")
        options = try BodyOptions(deployment)
        entra = deployment.mock == nil ? deployment.entra : nil
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
            let embeddingURL = adapter.embeddingURL(
                base: deployment.apiBase, model: model, apiVersion: deployment.apiVersion)
            var embeddings: HTTPEndpoint?
            if let embeddingURL {
                embeddings = try HTTPEndpoint(deployment, url: embeddingURL, server: server)
            }
            door = .http(
                whole: whole,
                streams: isShared ? whole : try HTTPEndpoint(deployment, url: url(true), server: server),
                embeddings: embeddings)
        }
    }

    /// Sends what the caller asks; the handler is told what the provider answers.
    ///
    /// - Parameter continuation: the beginning of the answer, where the provider is to go on with one.
    /// - Throws: when the question cannot be written for this provider.
    func send(
        _ question: Question, continuation: Continuation?, by worker: Worker, handler: any HTTPHandler
    ) throws(Failure) -> Transfer {
        switch door {
        case .http(let whole, let streams, let embeddings):
            let writer = worker.writer
            let endpoint: HTTPEndpoint
            switch question {
            case .completion(let completion, let isStreaming):
                try writer.write(
                    completion, model: model, isStreaming: isStreaming, adapter: adapter, options: options,
                    continuation: continuation)
                endpoint = isStreaming ? streams : whole
            case .embedding(let embedding):
                try writer.write(embedding, model: model, adapter: adapter, options: options)
                guard let embeddings else { preconditionFailure("a format without embeddings wrote one") }
                endpoint = embeddings
            }
            if let entra { return try send(writer, to: endpoint, with: entra, by: worker, handler: handler) }
            return .http(worker.client.send(to: endpoint, body: writer.bytes, handler: handler))
        case .mock(let settings):
            return .mock(
                MockTransfer(
                    settings, model: model, question: question,
                    fails: settings.failureRate > worker.random.fraction(), loop: worker.loop,
                    handler: handler))
        }
    }
}

extension ProviderTarget {
    /// With the token that is there, or as soon as it is.
    private func send(
        _ writer: BodyWriter, to endpoint: HTTPEndpoint, with entra: EntraSettings, by worker: Worker,
        handler: any HTTPHandler
    ) throws(Failure) -> Transfer {
        let source: TokenSource
        do throws(HTTPFailure) {
            source = try worker.tokens(of: entra)
        } catch { throw Failure(.connection, message: "tokens cannot be fetched: \(error.message)") }
        if let token = source.current {
            return .http(
                worker.client.send(
                    to: endpoint, body: writer.bytes, authorization: "Bearer \(token)", handler: handler))
        }
        let body = copied(writer.bytes)
        return .waiting(
            TokenTransfer(source, handler: handler) { [client = worker.client] token, handler in
                client.send(
                    to: endpoint, body: body.span, authorization: "Bearer \(token)", handler: handler)
            })
    }
}

private func copied(_ bytes: Span<UInt8>) -> [UInt8] {
    var copy: [UInt8] = []
    copy.reserveCapacity(bytes.count)
    for place in bytes.indices { copy.append(bytes[place]) }
    return copy
}

/// An answer under way, from a provider or from a mock.
enum Transfer {
    case http(HTTPTransfer)
    /// One that waits for a token.
    case waiting(TokenTransfer)
    case mock(MockTransfer)

    /// Ends it; its handler is told nothing more.
    func cancel() {
        switch self {
        case .http(let transfer): transfer.cancel()
        case .waiting(let transfer): transfer.cancel()
        case .mock(let transfer): transfer.cancel()
        }
    }

    /// Its handler is told nothing more, and the connection is kept if little is left to read.
    func letGo() {
        switch self {
        case .http(let transfer): transfer.letGo()
        case .waiting(let transfer): transfer.letGo()
        case .mock(let transfer): transfer.cancel()
        }
    }

    func pause() {
        switch self {
        case .http(let transfer): transfer.pause()
        case .waiting(let transfer): transfer.pause()
        case .mock(let transfer): transfer.pause()
        }
    }

    func resume() {
        switch self {
        case .http(let transfer): transfer.resume()
        case .waiting(let transfer): transfer.resume()
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
        (untaken, dropped, passed) = (
            deployment.rules.untaken, deployment.rules.dropped, deployment.rules.passed
        )
        defaults = deployment.rules.defaults
        baseModel = deployment.baseModel
        guard let json = deployment.extraBodyJSON else { return }
        do {
            extraBody = try ExtraBody(json: json)
        } catch {
            throw TargetError(deployment: deployment.id, reason: "extra_body: \(error)")
        }
    }
}

extension AWSCredentials {
    fileprivate init(_ settings: AmazonSettings) {
        self.init(
            accessKeyID: settings.accessKeyID.reveal(), secretAccessKey: settings.secretAccessKey.reveal(),
            sessionToken: settings.sessionToken?.reveal(), region: settings.region, service: "bedrock")
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
            try self.init(
                url: url, headers: headers.map { ($0.name, $0.value) }, options: options,
                signing: deployment.amazon.map(AWSCredentials.init))
        } catch {
            throw TargetError(deployment: deployment.id, reason: error.message)
        }
    }
}
