// Amazon Bedrock's Converse API, and its InvokeModel for embeddings. Sources:
// docs.aws.amazon.com/bedrock/latest/APIReference, botocore's bedrock-runtime model. Bodies in
// BedrockRequest.swift and BedrockAnswer.swift. Requests without a key are signed by whoever sends them.
import Glibc

/// - Parameter model: a model's id, an inference profile's, or the ARN of either: one segment of the path.
func bedrockURL(base: String, model: String, operation: String) -> String {
    var base = base[...]
    while base.last == "/" { base.removeLast() }
    return "\(base)/model/\(percentEncoded(model))/\(operation)"
}

/// - Parameter key: a Bedrock API key; nil where the request is signed instead.
func bedrockHeaders(key: String?) -> [(name: String, value: String)] {
    var headers = [(name: "content-type", value: "application/json")]
    if let key { headers.append((name: "authorization", value: "Bearer \(key)")) }
    return headers
}

/// A model as LiteLLM's users name it: behind `bedrock/` there may stand the API that shall be asked, and the
/// region.
public struct BedrockModel: Sendable, Equatable {
    /// The model's id, or an ARN.
    public let id: String
    /// The region that the name says; nil: none.
    public let region: String?

    public init(_ name: String) {
        var rest = name[...]
        // Junction asks every model by Converse.
        for api in ["converse/", "invoke/"] where rest.hasPrefix(api) { rest = rest.dropFirst(api.count) }
        var region: String?
        if let slash = rest.firstIndex(of: "/"), isRegion(rest[..<slash]) {
            region = String(rest[..<slash])
            rest = rest[rest.index(after: slash)...]
        }
        // arn:aws:bedrock:REGION:ACCOUNT:inference-profile/…
        let parts = rest.split(separator: ":", maxSplits: 4, omittingEmptySubsequences: false)
        if parts.count > 3, parts[0] == "arn", isRegion(parts[3]) { region = region ?? String(parts[3]) }
        self.id = String(rest)
        self.region = region
    }
}

/// Such as `us-east-1` or `us-gov-west-1`.
private func isRegion(_ text: Substring) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    return parts.count >= 3 && parts[0].count == 2 && parts.last?.count == 1
        && parts.last?.first?.isNumber ?? false
        && parts.dropLast().allSatisfy { part in !part.isEmpty && part.allSatisfy { $0.isLowercase } }
}

extension String {
    /// Whether the part is in it, byte by byte: `contains` takes microseconds, and bodies are written in two.
    func has(_ part: StaticString) -> Bool {
        var text = self
        return text.withUTF8 { bytes in
            let count = part.utf8CodeUnitCount
            return bytes.count >= count
                && (0...bytes.count - count).contains {
                    memcmp(bytes.baseAddress! + $0, part.utf8Start, count) == 0
                }
        }
    }
}
