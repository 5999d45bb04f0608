// Tokens of Microsoft's Entra ID for a program of one's own: what is asked and what is answered. Source:
// learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.

/// A token, and how long it is good for.
public struct EntraToken: Sendable {
    public let text: String
    public let lifetime: Duration

    /// - Parameter json: the answer's body; nil when it holds no token that could be sent.
    public init?(answer json: Span<UInt8>) {
        let writer = JSONWriter()
        let reader = JSONReader()
        json.withUnsafeBytes { writer.raw($0) }
        let value = reader.read(writer.bytes)
        guard let value, let token = value["access_token"]?.text else { return nil }
        text = String(token)
        // Some answers have the number as a text.
        let seconds = value["expires_in"]
        lifetime = .seconds(
            min(max(0, seconds?.integer ?? seconds?.text.flatMap { Int64(String($0)) } ?? 0), 1 << 31))
        let isField = !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        withExtendedLifetime((reader, writer)) {}
        if !isField { return nil }
    }

    /// The form that asks for a token.
    public static func request(clientID: String, clientSecret: String, scope: String) -> String {
        "grant_type=client_credentials&client_id=\(percentEncoded(clientID))"
            + "&client_secret=\(percentEncoded(clientSecret))&scope=\(percentEncoded(scope))"
    }
}
