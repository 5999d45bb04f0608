// Cohere's chat API, version 2. Source: docs.cohere.com/reference/chat. Bodies in CohereRequest.swift and
// CohereAnswer.swift.

func cohereURL(base: String) -> String {
    var base = base[...]
    while base.last == "/" { base.removeLast() }
    if base.hasSuffix("/chat") { return String(base) }
    return base + (base.hasSuffix("/v2") ? "/chat" : "/v2/chat")
}

func cohereHeaders(key: String?) -> [(name: String, value: String)] {
    var headers = [(name: "content-type", value: "application/json")]
    if let key { headers.append((name: "authorization", value: "Bearer \(key)")) }
    return headers
}
