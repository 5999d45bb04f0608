// What is asked: kinds of request with their weights, read from a file or made from options, each encoded
// once. The one file here that reads YAML.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
internal import Yams

/// One kind of request.
public struct RequestKind: Sendable, Equatable {
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

    public init(model: String) { self.model = model }
}

/// Reads a mix: YAML with a list of kinds, or JSON, or JSON lines.
///
/// - Parameter base: what a kind that leaves something out has.
public func readMix(_ text: String, file: String, base: RequestKind) throws(LoadError) -> [RequestKind] {
    var nodes: [Node] = []
    do {
        for document in text.isJSONLines ? text.split(separator: "\n").map(String.init) : [text] {
            guard let node = try Yams.compose(yaml: document) else { continue }
            let inner = node.mapping?["calls"] ?? node
            nodes += inner.sequence.map(Array.init) ?? [inner]
        }
    } catch { throw LoadError("\(file): this is neither YAML nor JSON lines") }
    var kinds: [RequestKind] = []
    for node in nodes { kinds.append(try kind(node, file: file, base: base)) }
    if kinds.isEmpty { throw LoadError("\(file): there is no kind of request in it") }
    return kinds
}

extension String {
    /// More than one line, each a JSON object.
    fileprivate var isJSONLines: Bool {
        let lines = split(separator: "\n")
        return lines.allSatisfy { $0.hasPrefix("{") && $0.contains("}") }
    }
}

private func kind(_ node: Node, file: String, base: RequestKind) throws(LoadError) -> RequestKind {
    let place = "\(file):\(node.mark?.line ?? 1)"
    guard let mapping = node.mapping else {
        throw LoadError("\(place): a kind of request has keys such as `model: gpt-4o`")
    }
    var kind = base
    for (key, value) in mapping {
        let name = key.string ?? ""
        func wrong(_ wanted: String) -> LoadError { LoadError("\(place): \(name) must be \(wanted)") }
        switch name {
        case "model":
            guard let model = value.string, !model.isEmpty else { throw wrong("the name of a model group") }
            kind.model = model
        case "weight":
            guard let weight = value.float, weight > 0, weight.isFinite else { throw wrong("more than 0") }
            kind.weight = weight
        case "stream":
            guard let streams = value.bool else { throw wrong("true or false") }
            kind.streams = streams
        case "prompt": kind.prompt = value.string
        case "system": kind.system = value.string
        case "prompt_bytes":
            do throws(LoadError) { kind.promptBytes = try SizeDistribution(value.string ?? "") } catch {
                throw LoadError("\(place): prompt_bytes: \(error)")
            }
        case "max_tokens":
            guard let tokens = value.int, tokens > 0, let tokens = Int32(exactly: tokens) else {
                throw wrong("a number of tokens")
            }
            kind.maxTokens = tokens
        default:
            throw LoadError(
                "\(place): there is no key '\(name)'; there are model, weight, stream, prompt, prompt_bytes, "
                    + "system, max_tokens")
        }
    }
    if kind.model.isEmpty { throw LoadError("\(place): model is missing") }
    return kind
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
            var isFixed = kind.prompt != nil
            if case .fixed = kind.promptBytes { isFixed = true }
            requests.append(
                (0..<(isFixed ? 1 : Self.variants)).map { _ in
                    PreparedRequest(bytes: encode(kind, &random), streams: kind.streams)
                })
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

private func encode(_ kind: RequestKind, _ random: inout RandomSource) -> [UInt8] {
    var completion = JunctionV1.Completion()
    completion.model = kind.model
    if let system = kind.system { completion.messages.append(message(.system, system)) }
    completion.messages.append(message(.user, kind.prompt ?? prose(kind.promptBytes.bytes(&random))))
    completion.maxTokens = kind.maxTokens
    let body: [UInt8]
    if kind.streams {
        var request = JunctionV1.StreamRequest()
        request.completion = completion
        body = request.encoded()
    } else {
        var request = JunctionV1.CompleteRequest()
        request.completion = completion
        body = request.encoded()
    }
    let length = UInt32(body.count)
    return [0, UInt8(length >> 24), UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255)]
        + body
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
