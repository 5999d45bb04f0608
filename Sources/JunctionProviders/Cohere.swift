// Cohere's chat API, version 2. Source: docs.cohere.com/reference/chat. Bodies in CohereRequest.swift and
// CohereAnswer.swift.

/// - Parameter endpoint: `chat` or `embed`.
func cohereURL(base: String, endpoint: String) -> String {
    var base = base[...]
    while base.last == "/" { base.removeLast() }
    var isWhole = false
    for other in ["/chat", "/embed"] where base.hasSuffix(other) {
        base.removeLast(other.count)
        isWhole = true
    }
    return base + (isWhole || base.hasSuffix("/v2") ? "/" : "/v2/") + endpoint
}

func cohereHeaders(key: String?) -> [(name: String, value: String)] {
    var headers = [(name: "content-type", value: "application/json")]
    if let key { headers.append((name: "authorization", value: "Bearer \(key)")) }
    return headers
}
