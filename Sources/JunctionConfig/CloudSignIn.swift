// How Amazon and Microsoft are signed in to where there is no plain key: from LiteLLM's keys, else from the
// variables that these two name themselves. Opens no connection.
import JunctionProviders

/// What a deployment of Bedrock says about its region and its signature.
struct AmazonReader {
    /// With the base of its region.
    let provider: ProviderSpec
    /// The model's id, without what stands before it.
    let model: String
    private let params: Values
    private let environment: [String: String]
    private let region: String

    /// The region that LiteLLM takes where nothing names one.
    private static let regionDefault = "us-west-2"

    /// Nil when the provider is not Bedrock.
    init?(
        _ params: Values, provider: ProviderSpec, model: String, environment: [String: String],
        report: inout Report
    ) {
        guard provider.adapter == .bedrock else { return nil }
        let named = BedrockModel(model)
        let variable = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"].compactMap { environment[$0] }
            .first { !$0.isEmpty }
        let region = params.text("aws_region_name") ?? named.region ?? variable ?? AmazonReader.regionDefault
        let isName = region.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-")
        }
        if region.isEmpty || !isName {
            report.error(params.place(of: "aws_region_name"), "Expected a region, such as us-east-1.")
        }
        self.params = params
        self.environment = environment
        self.region = region
        self.model = named.id
        let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        let endpoint = environment["AWS_BEDROCK_RUNTIME_ENDPOINT"].flatMap { try? baseURL($0).get() }
        self.provider = provider.reached(at: endpoint ?? "https://bedrock-runtime.\(region).\(domain)")
    }

    /// Takes the configured pair of keys, else the environment's; neither where there is Bedrock's API key.
    ///
    /// - Returns: whether that settles it; else an API key is looked for, as of any provider.
    func signIn(_ deployment: inout DeploymentConfiguration, base: String?, report: inout Report) -> Bool {
        if params["api_key"] != nil || deployment.hasAuthorization { return false }
        let id = params.secret("aws_access_key_id")
        let secret = params.secret("aws_secret_access_key")
        if let id, let secret {
            deployment.amazon = AmazonSettings(
                accessKeyID: id, secretAccessKey: secret, sessionToken: params.secret("aws_session_token"),
                region: region)
            return true
        }
        for key in ["aws_access_key_id", "aws_secret_access_key"]
        where (id ?? secret) != nil && params[key] == nil
            && !report.speaks(of: "\(params.place.path).\(key)")
        {
            report.error(params.place, "The key \(key) is missing: the two go together.")
            return true
        }
        let isOwnBase = base == provider.defaultBase
        if variable("AWS_BEARER_TOKEN_BEDROCK") != nil || !isOwnBase { return false }
        if let id = variable("AWS_ACCESS_KEY_ID"), let secret = variable("AWS_SECRET_ACCESS_KEY") {
            deployment.amazon = AmazonSettings(
                accessKeyID: id, secretAccessKey: secret, sessionToken: variable("AWS_SESSION_TOKEN"),
                region: region)
        } else if !report.hasErrors(below: params.place) {
            report.error(
                params.place,
                "There are neither aws_access_key_id and aws_secret_access_key nor api_key, nor the"
                    + " environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
                    + " AWS_BEARER_TOKEN_BEDROCK.")
        }
        return true
    }

    private func variable(_ name: String) -> Secret? { secret(name, in: environment) }
}

/// What a deployment of Azure says about tokens of Entra ID.
struct AzureReader {
    private let params: Values
    private let environment: [String: String]

    private static let authorityDefault = "https://login.microsoftonline.com"
    private static let scopeDefault = "https://cognitiveservices.azure.com/.default"

    init(_ params: Values, environment: [String: String]) {
        self.params = params
        self.environment = environment
    }

    /// Takes a token, or what tokens are fetched with; neither where there is a key.
    ///
    /// - Returns: whether that settles it.
    func signIn(_ deployment: inout DeploymentConfiguration, report: inout Report) -> Bool {
        if params["api_key"] != nil || deployment.hasAuthorization { return false }
        if let token = params.secret("azure_ad_token") {
            if token.reveal().hasPrefix("oidc/") {
                report.error(
                    params.place(of: "azure_ad_token"),
                    "Tokens by OIDC are not supported. Give a token, or tenant_id, client_id and client_secret."
                )
            }
            bear(token, &deployment)
            return true
        }
        let keys = ["tenant_id", "client_id", "client_secret"]
        let isAsked = keys.contains { params[$0] != nil }
        if !isAsked {
            if secret("AZURE_API_KEY", in: environment) != nil { return false }
            if let token = secret("AZURE_AD_TOKEN", in: environment) {
                bear(token, &deployment)
                return true
            }
        }
        let tenant = params.text("tenant_id") ?? variable("AZURE_TENANT_ID")
        let client = params.text("client_id") ?? variable("AZURE_CLIENT_ID")
        let clientSecret = params.secret("client_secret") ?? secret("AZURE_CLIENT_SECRET", in: environment)
        guard let tenant, let client, let clientSecret else {
            if !isAsked { return false }
            for (key, isThere) in zip(keys, [tenant != nil, client != nil, clientSecret != nil])
            where !isThere && !report.speaks(of: "\(params.place.path).\(key)") {
                report.error(
                    params.place, "The key \(key) is missing, and AZURE_\(key.uppercased()) is not set.")
            }
            return true
        }
        deployment.entra = EntraSettings(
            tokenURL: "\(authority(&report))/\(checked(tenant, &report))/oauth2/v2.0/token", clientID: client,
            clientSecret: clientSecret,
            scope: params.text("azure_scope") ?? variable("AZURE_SCOPE") ?? AzureReader.scopeDefault)
        return true
    }

    private func bear(_ token: Secret, _ deployment: inout DeploymentConfiguration) {
        deployment.extraHeaders.append(
            ("authorization", Secret("Bearer \(token.reveal())", source: token.source)))
    }

    /// Where tokens are fetched, in Microsoft's clouds or in a private one.
    private func authority(_ report: inout Report) -> String {
        guard let text = variable("AZURE_AUTHORITY_HOST") else { return AzureReader.authorityDefault }
        switch baseURL(text.contains("://") ? text : "https://\(text)") {
        case .success(let url): return url
        case .failure(let fault):
            report.error(params.place, "The environment variable AZURE_AUTHORITY_HOST \(fault).")
            return AzureReader.authorityDefault
        }
    }

    /// A tenant is an id or a domain.
    private func checked(_ tenant: String, _ report: inout Report) -> String {
        let isName =
            !tenant.isEmpty
            && tenant.unicodeScalars.allSatisfy {
                $0.isASCII && ($0.properties.isAlphabetic || "0123456789-._".unicodeScalars.contains($0))
            } && !tenant.hasPrefix(".")
        if !isName { report.error(params.place(of: "tenant_id"), "Expected a tenant's id or its domain.") }
        return tenant
    }

    private func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
}

/// What the environment has under that name, if it can be sent.
private func secret(_ name: String, in environment: [String: String]) -> Secret? {
    guard let text = environment[name], !text.isEmpty, !hasControlCharacter(text) else { return nil }
    return Secret(text, source: SectionReader.environmentPrefix + name)
}

extension DeploymentConfiguration {
    /// Whether a header field signs in already.
    var hasAuthorization: Bool { extraHeaders.contains { $0.name.lowercased() == "authorization" } }
}

extension DeploymentReader {
    /// Warns of ways to sign in that the provider does not have.
    func checkSignIn(_ params: Values, provider: ProviderSpec, report: inout Report) {
        let ways: [(Adapter, String, [String])] = [
            (
                .bedrock, "bedrock",
                [
                    "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region_name",
                    "aws_bedrock_runtime_endpoint",
                ]
            ),
            (.azure, "azure", ["azure_ad_token", "tenant_id", "client_id", "client_secret", "azure_scope"]),
        ]
        for (adapter, name, keys) in ways where provider.adapter != adapter {
            for key in keys {
                guard let entry = params[key] else { continue }
                report.warning(entry.place, "This has no effect: it is for the provider \(name).")
            }
        }
        if provider.adapter != .azure, let entry = params["api_version"] {
            report.warning(entry.place, "This has no effect: \(provider.name) has no API versions.")
        }
    }
}
