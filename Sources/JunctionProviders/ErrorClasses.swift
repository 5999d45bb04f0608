// What a provider's error means, the same for all wire formats: its status, its codes and, where providers
// have no code, words of its message. Codes and texts from the providers' error pages.
import JunctionRouting

/// What a provider says about an error.
struct ProviderError: Error {
    var message = ""
    var type = ""
    var code = ""
    var parameter = ""
    /// The HTTP status that the error itself names; for errors that came under the status 200.
    var status: Int?
    /// How long to stay away, where the error itself says so.
    var retryAfter: Duration?
}

extension ProviderError {
    /// The attempt's failure.
    ///
    /// - Parameters:
    ///   - status: the answer's HTTP status; 200 for an error within an answer.
    ///   - retryAfter: how long to stay away, where the answer's head says so.
    func failure(status httpStatus: Int, retryAfter: Duration?) -> Failure {
        let status = httpStatus < 400 ? self.status ?? httpStatus : httpStatus
        let kind = kind(status)
        return Failure(
            kind, httpStatus: status, retryAfter: retryAfter ?? self.retryAfter,
            message: explanation(kind, status))
    }

    private func kind(_ status: Int) -> Failure.Kind {
        for word in [code, type] {
            if let kind = codes[word] { return kind }
        }
        if status == 200 || status == 400 || status == 403 || status == 413 || status == 422 {
            let message = message.lowercased()
            if keyTexts.contains(where: message.contains) { return .authentication }
            if quotaTexts.contains(where: message.contains) { return .quotaExhausted }
            if contextWindowTexts.contains(where: message.contains) { return .contextWindowExceeded }
            if contentPolicyTexts.contains(where: message.contains) { return .contentPolicy }
        }
        return switch status {
        case 401, 403: .authentication
        case 402: .quotaExhausted
        case 404, 405, 410: .notFound
        case 408, 504: .timeout
        case 409, 425, 499: .serverError
        case 413: .contextWindowExceeded
        case 429: .rateLimited
        case 498, 503, 529: .overloaded
        case 400..<500: .badRequest
        case 500...: .serverError
        default: typeless
        }
    }

    /// For an error without a status.
    private var typeless: Failure.Kind {
        type == "invalid_request_error" || type == "BadRequestError" ? .badRequest : .serverError
    }

    /// A refused key is never quoted, nor what stands around it.
    private func explanation(_ kind: Failure.Kind, _ status: Int) -> String {
        let opening = status < 400 ? "the provider answered with an error" : "the provider answered \(status)"
        if kind == .authentication || status == 401 || status == 403 {
            return "\(opening): access was refused"
        }
        let words = message.isEmpty ? [type, code].filter { !$0.isEmpty }.joined(separator: ", ") : message
        if words.isEmpty { return opening }
        let place = parameter.isEmpty || words.contains(parameter) ? "" : " (\(readable(parameter)))"
        return "\(opening): \(readable(words))\(place)"
    }
}

/// Codes and types that say more than the status.
private let codes: [String: Failure.Kind] = [
    "context_length_exceeded": .contextWindowExceeded,
    "context_window_exceeded": .contextWindowExceeded,
    "request_too_large": .contextWindowExceeded,
    "content_filter": .contentPolicy,
    "content_policy_violation": .contentPolicy,
    "ResponsibleAIPolicyViolation": .contentPolicy,
    "invalid_prompt": .contentPolicy,
    "insufficient_quota": .quotaExhausted,
    // Gemini: the key's country or plan.
    "FAILED_PRECONDITION": .quotaExhausted,
    "API_KEY_INVALID": .authentication,
    "billing_hard_limit_reached": .quotaExhausted,
    "billing_not_active": .quotaExhausted,
    "exceeded_current_quota_error": .quotaExhausted,
    "rate_limit_exceeded": .rateLimited,
    "rate_limit_error": .rateLimited,
    "overloaded_error": .overloaded,
    "permission_error": .authentication,
    "not_found_error": .notFound,
    "billing_error": .quotaExhausted,
    "timeout_error": .timeout,
    "engine_overloaded_error": .overloaded,
    "server_error": .serverError,
    "api_error": .serverError,
    "invalid_api_key": .authentication,
    "authentication_error": .authentication,
    "model_not_found": .notFound,
    "DeploymentNotFound": .notFound,
    // Bedrock, and what stands before all of Amazon's services.
    "ThrottlingException": .rateLimited,
    "TooManyRequestsException": .rateLimited,
    "ServiceQuotaExceededException": .rateLimited,
    "ModelNotReadyException": .overloaded,
    "ServiceUnavailableException": .overloaded,
    "ModelTimeoutException": .timeout,
    "ModelErrorException": .serverError,
    "ModelStreamErrorException": .serverError,
    "InternalServerException": .serverError,
    "InternalFailure": .serverError,
    "ResourceNotFoundException": .notFound,
    "AccessDeniedException": .authentication,
    "UnrecognizedClientException": .authentication,
    "InvalidClientTokenId": .authentication,
    "InvalidSignatureException": .authentication,
    "SignatureDoesNotMatch": .authentication,
    "IncompleteSignatureException": .authentication,
    "MissingAuthenticationTokenException": .authentication,
    "ExpiredTokenException": .authentication,
]

/// In lower case: a refused key that came as a bad request.
private let keyTexts = ["incorrect api key", "invalid api key", "api key not valid"]

/// In lower case: no credit left, told as a bad request (Anthropic).
private let quotaTexts = ["credit balance is too low"]

/// In lower case.
private let contextWindowTexts = [
    "exceed context limit", "context_length_exceeded", "maximum context length", "context window",
    "context length",
    "prompt is too long",
    "input token count", "too many tokens: total number", "too many tokens: size limit",
    "input is too long", "input tokens exceed", "too many input tokens", "expected maxlength:",
    "maximum prompt length", "too many tokens in the prompt",
]

/// In lower case.
private let contentPolicyTexts = [
    "content management policy", "content policy", "content_policy_violation", "usage policy",
    "usage policies",
    "content filter", "input was flagged", "safety system", "responsibleaipolicyviolation",
]
