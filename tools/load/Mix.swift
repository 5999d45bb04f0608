// What is asked: kinds of request with their weights, each encoded once; how they are drawn.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting

/// One kind of request.
public struct RequestKind: Sendable, Equatable, Codable {
    public var model: String
    /// Its share among all kinds, relative to their sum.
    public var weight = 1.0
    public var streams = false
    /// Length of the prompt in bytes of text, of which four make a token or so.
    public var promptBytes = SizeDistribution.fixed(400)
    /// The prompt itself; then `promptBytes` is not used.
    public var prompt: String?
    public var system: String?
    public var maxTokens: Int32?

    // What the router is told of the call; each as `Routing` of the protocol has it.
    /// Calls are spread over so many session keys; nil: they have none.
    public var sessions: Int?
    public var tags: [String] = []
    public var regions: [String] = []
    public var priority: Int32?
    public var numRetries: Int32?
    public var fallbacks: [Fallback] = []

    /// Where a call goes when its model group cannot answer.
    public enum Fallback: Sendable, Equatable, Codable {
        case modelGroup(String)
        case override(model: String, apiKey: String, apiBase: String, apiVersion: String)
    }

    public init(model: String) { self.model = model }
}

/// A request as it goes onto the wire: five bytes of gRPC framing and the message.
struct PreparedRequest: Sendable {
    let bytes: [UInt8]
    let streams: Bool
}

/// All requests that a run sends, and the chance of each.
struct PreparedMix: Sendable {
    /// Requests of one kind with a varying prompt differ in length; so many lengths are drawn.
    static let variants = 64
    private var requests: [[PreparedRequest]] = []
    /// The sum of weights up to each kind.
    private var bounds: [Double] = []

    init(_ kinds: [RequestKind], seed: UInt64) {
        var random = RandomSource(seed: seed)
        for kind in kinds {
            bounds.append((bounds.last ?? 0) + kind.weight)
            var variants = Self.variants
            if case .fixed = kind.promptBytes { variants = 1 }
            if kind.prompt != nil { variants = 1 }
            variants = max(variants, kind.sessions ?? 1)
            requests.append(
                (0..<variants).map { PreparedRequest(kind, session: $0 % (kind.sessions ?? 1), &random) })
        }
    }

    func pick(_ random: inout RandomSource) -> PreparedRequest {
        var kind = 0
        if bounds.count > 1 {
            let point = random.fraction() * bounds[bounds.count - 1]
            while kind < bounds.count - 1, bounds[kind] <= point { kind += 1 }
        }
        let variants = requests[kind]
        return variants.count == 1 ? variants[0] : variants[Int(random.fraction() * Double(variants.count))]
    }
}

extension PreparedRequest {
    /// - Parameter session: which of the kind's sessions it belongs to.
    init(_ kind: RequestKind, session: Int = 0, _ random: inout RandomSource) {
        var completion = JunctionV1.Completion()
        completion.model = kind.model
        if let system = kind.system { completion.messages.append(message(.system, system)) }
        completion.messages.append(message(.user, kind.prompt ?? prose(kind.promptBytes.bytes(&random))))
        completion.maxTokens = kind.maxTokens
        let body: [UInt8]
        if kind.streams {
            var request = JunctionV1.StreamRequest()
            request.completion = completion
            request.routing = routing(kind, session)
            body = request.encoded()
        } else {
            var request = JunctionV1.CompleteRequest()
            request.completion = completion
            request.routing = routing(kind, session)
            body = request.encoded()
        }
        let length = UInt32(body.count)
        let prefix = [0, length >> 24, length >> 16 & 255, length >> 8 & 255, length & 255].map { UInt8($0) }
        self.init(bytes: prefix + body, streams: kind.streams)
    }
}

/// What a kind tells the router; nil when it has nothing to tell.
private func routing(_ kind: RequestKind, _ session: Int) -> JunctionV1.Routing? {
    var routing = JunctionV1.Routing()
    if kind.sessions != nil { routing.sessionKey = "session-\(session)" }
    routing.tags = kind.tags
    routing.regions = kind.regions
    routing.priority = kind.priority
    routing.numRetries = kind.numRetries
    routing.fallbacks = kind.fallbacks.map { target in
        var fallback = JunctionV1.Fallback()
        switch target {
        case .modelGroup(let name): fallback.target = .modelGroup(name)
        case .override(let model, let apiKey, let apiBase, let apiVersion):
            var override = JunctionV1.DeploymentOverride()
            (override.model, override.apiKey) = (model, apiKey)
            (override.apiBase, override.apiVersion) = (apiBase, apiVersion)
            fallback.target = .override(override)
        }
        return fallback
    }
    return routing == JunctionV1.Routing() ? nil : routing
}

private func message(_ role: JunctionV1.Role, _ text: String) -> JunctionV1.Message {
    var message = JunctionV1.Message()
    message.role = role
    message.content = text
    return message
}

/// Text of `bytes` bytes that looks like words.
private func prose(_ bytes: Int) -> String {
    let words = "The shop opens at nine and closes at six; on Saturdays it closes at two. When would you go? "
    return String(String(repeating: words, count: bytes / words.utf8.count + 1).prefix(bytes))
}
