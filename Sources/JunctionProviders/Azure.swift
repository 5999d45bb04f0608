// Azure OpenAI: OpenAI's chat completions under the address of a resource, the key in a field of its own.
// Source: learn.microsoft.com/azure/ai-services/openai/reference, …/openai/api-version-lifecycle.

extension OpenAIQuirks {
    /// Takes `system` at every API version, `developer` only at some.
    static let azure: OpenAIQuirks = [.newMaxTokens, .refusals]
}

/// Asked of a base without `/v1` where the configuration names none: the last one that is not a preview.
private let versionDefault = "2024-10-21"

/// The deployment stands in the path, but for the bases of the versionless API (`…/openai/v1`), where it is
/// the body's `model`.
///
/// - Parameter endpoint: `chat/completions` or `embeddings`.
func azureURL(base: String, deployment: String, apiVersion: String?, endpoint: String) -> String {
    var (path, isEndpoint) = takeApart(base: base)
    var version = apiVersion
    if !path.hasSuffix(isEndpoint ? "/v1" : "/openai/v1") {
        if !isEndpoint, !path.contains("/openai/deployments/") {
            path += path.hasSuffix("/openai") ? "/deployments/" : "/openai/deployments/"
            path += percentEncoded(deployment)
        }
        version = version ?? versionDefault
    }
    return "\(path)/\(endpoint)" + (version.map { "?api-version=" + percentEncoded($0) } ?? "")
}

/// A token of Entra ID goes in a field `authorization` that the configuration adds.
func azureHeaders(key: String?) -> [(name: String, value: String)] {
    var headers = [(name: "content-type", value: "application/json")]
    if let key { headers.append((name: "api-key", value: key)) }
    return headers
}

/// The text as one segment of a path, or as a query's value (RFC 3986 section 2.1).
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".unicodeScalars)
    var encoded = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            encoded.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            encoded += "%"
            encoded.unicodeScalars.append(digits[Int(byte >> 4)])
            encoded.unicodeScalars.append(digits[Int(byte & 15)])
        }
    }
    return encoded
}
