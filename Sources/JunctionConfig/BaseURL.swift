// What a provider's base URL must be, so that a key sent there goes where the file says and nowhere else.
// Resolves no name and opens no connection.

/// The base without slashes at its end, or what is wrong with it, to be read after "This base URL".
func baseURL(_ text: String) -> Result<String, BaseURLFault> {
    func fault(_ what: String) -> Result<String, BaseURLFault> { .failure(BaseURLFault(description: what)) }

    if text.isEmpty { return fault("is empty") }
    if hasControlCharacter(text) || text.contains(where: { $0.isWhitespace }) {
        return fault("holds a space or a control character")
    }
    if !text.utf8.allSatisfy({ $0 < 0x80 }) { return fault("is not ASCII; write the host in its xn-- form") }
    guard let separator = text.firstRange(of: "://"),
        ["http", "https"].contains(text[..<separator.lowerBound].lowercased())
    else { return fault("does not begin with https:// or http://") }
    if text.contains("@") { return fault("holds a user or a password; put the key under api_key") }
    if text.contains("?") || text.contains("#") { return fault("holds a query or a fragment; leave it out") }
    if text.contains("\\") { return fault("holds a backslash") }
    let rest = text[separator.upperBound...]
    let authority = rest.prefix { $0 != "/" }
    if let what = authorityFault(authority) { return fault(what) }
    let segments = rest.dropFirst(authority.count).split(separator: "/")
    if segments.contains(where: {
        [".", ".."].contains($0.replacing("%2e", with: ".").replacing("%2E", with: "."))
    }) {
        return fault("holds a . or .. in its path")
    }
    let end = text.lastIndex { $0 != "/" }
    return .success(end.map { String(text[...$0]) } ?? text)
}

struct BaseURLFault: Error, CustomStringConvertible {
    var description: String
}

/// What is wrong with `host`, `host:port` or `[address]:port`.
private func authorityFault(_ authority: Substring) -> String? {
    var host = authority
    var port: Substring?
    if authority.hasPrefix("[") {
        guard let close = authority.firstIndex(of: "]") else { return "has a [ without a ]" }
        host = authority[...close]
        let after = authority[authority.index(after: close)...]
        if !after.isEmpty {
            guard after.hasPrefix(":") else { return "has something between ] and its path" }
            port = after.dropFirst()
        }
    } else if let colon = authority.firstIndex(of: ":") {
        host = authority[..<colon]
        port = authority[authority.index(after: colon)...]
    }
    if host.isEmpty || host == "[]" { return "names no host" }
    if let port, !(1...65535).contains(Int(port) ?? 0) { return "has a port that is not 1 to 65535" }
    return nil
}
