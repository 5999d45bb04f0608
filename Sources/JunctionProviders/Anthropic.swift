// Anthropic's Messages API. Source: docs.anthropic.com/en/api/messages. Bodies in AnthropicRequest.swift and
// AnthropicAnswer.swift.

func anthropicURL(base: String) -> String {
    var base = base[...]
    while base.last == "/" { base.removeLast() }
    if base.hasSuffix("/v1/messages") { return String(base) }
    return base + (base.hasSuffix("/v1") ? "/messages" : "/v1/messages")
}

func anthropicHeaders(key: String?) -> [(name: String, value: String)] {
    var headers = [
        (name: "content-type", value: "application/json"), (name: "anthropic-version", value: "2023-06-01"),
    ]
    if let key { headers.append((name: "x-api-key", value: key)) }
    return headers
}
