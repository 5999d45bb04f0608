// Parameters that a deployment's configuration gives to calls that do not set them: LiteLLM's sampling
// parameters in `litellm_params`. The caller's word comes first.
internal import JunctionMessages
internal import JunctionProtobuf
public import JunctionRouting

/// What a deployment's calls are asked with where their callers say nothing.
public struct ParameterDefaults: Sendable, Equatable {
    public var temperature: Double?
    public var topP: Double?
    public var maxTokens: Int?
    public var stop: [String] = []
    public var n: Int?
    public var seed: Int?
    public var presencePenalty: Double?
    public var frequencyPenalty: Double?
    public var logprobs: Bool?
    public var topLogprobs: Int?
    /// By token id.
    public var logitBias: [Int: Double] = [:]
    public var parallelToolCalls: Bool?
    public var reasoningEffort = ""
    public var responseFormat: ResponseFormat?
    public var user = ""

    /// The form that answers must have.
    public enum ResponseFormat: Sendable, Equatable {
        case text, jsonObject
        /// - Parameter schema: a JSON object.
        case jsonSchema(name: String, schema: String, strict: Bool?)
    }

    public init() {}

    /// Sets the biases that a JSON object of token ids has; false when it is none.
    public mutating func setLogitBias(json: String) -> Bool {
        read(json) { object in
            for (key, value) in object.members {
                guard let token = Int(String(key)), let bias = value.number, (-100...100).contains(bias)
                else { return false }
                logitBias[token] = bias
            }
            return object.isObject
        }
    }

    /// Sets the form that a JSON object describes as OpenAI's API has it; false when it describes none.
    public mutating func setResponseFormat(json: String) -> Bool {
        read(json) { object in
            switch object["type"]?.text {
            case .some("text"): responseFormat = .text
            case .some("json_object"): responseFormat = .jsonObject
            case .some("json_schema"):
                guard let given = object["json_schema"], let schema = given["schema"], schema.isObject else {
                    return false
                }
                let writer = JSONWriter()
                writer.value(schema)
                var isStrict: Bool?
                if case .bool(let flag)? = given["strict"]?.kind { isStrict = flag }
                responseFormat = .jsonSchema(
                    name: given["name"]?.text.map { String($0) } ?? "answer",
                    schema: String(decoding: writer.bytes, as: UTF8.self), strict: isStrict)
            default: return false
            }
            return true
        }
    }

    private func read(_ json: String, _ body: (JSONValue) -> Bool) -> Bool {
        let writer = JSONWriter()
        let reader = JSONReader()
        writer.raw(json)
        return withExtendedLifetime((writer, reader)) { reader.read(writer.bytes).map(body) ?? false }
    }

    /// What they ask of a deployment.
    public var features: Features {
        let arena = Arena()
        return withExtendedLifetime(arena) {
            let completion = JunctionV1.Completion.View(in: arena)
            fill(completion, in: arena)
            return Features(of: completion)
        }
    }

    /// Sets in `completion` what it does not set itself.
    func fill(_ completion: JunctionV1.Completion.View, in arena: Arena) {
        completion.temperature = completion.temperature ?? temperature
        completion.topP = completion.topP ?? topP
        completion.maxTokens = completion.maxTokens ?? maxTokens.map { Int32(clamping: $0) }
        if completion.stop.isEmpty { completion.setStop(stop.map { arena.text($0) }, in: arena) }
        completion.n = completion.n ?? n.map { Int32(clamping: $0) }
        completion.seed = completion.seed ?? seed.map(Int64.init)
        completion.presencePenalty = completion.presencePenalty ?? presencePenalty
        completion.frequencyPenalty = completion.frequencyPenalty ?? frequencyPenalty
        completion.logprobs = completion.logprobs ?? logprobs
        completion.topLogprobs = completion.topLogprobs ?? topLogprobs.map { Int32(clamping: $0) }
        completion.parallelToolCalls = completion.parallelToolCalls ?? parallelToolCalls
        if completion.reasoningEffort.isEmpty { completion.reasoningEffort = arena.text(reasoningEffort) }
        if completion.user.isEmpty { completion.user = arena.text(user) }
        if completion.logitBias.isEmpty {
            let biases = logitBias.sorted { $0.key < $1.key }
            for (entry, bias) in zip(completion.setLogitBias(count: biases.count, in: arena), biases) {
                entry.key = Int32(clamping: bias.key)
                entry.value = Float(bias.value)
            }
        }
        if completion.responseFormat == nil { completion.responseFormat = responseFormat?.view(in: arena) }
    }
}

extension ParameterDefaults.ResponseFormat {
    fileprivate func view(in arena: Arena) -> JunctionV1.ResponseFormat.View {
        let format = JunctionV1.ResponseFormat.View(in: arena)
        switch self {
        case .text: format.type = .text
        case .jsonObject: format.type = .jsonObject
        case .jsonSchema(let name, let schema, let strict):
            format.type = .jsonSchema
            let view = JunctionV1.JsonSchema.View(in: arena)
            view.name = arena.text(name)
            view.schemaJson = arena.text(schema)
            view.strict = strict
            format.jsonSchema = view
        }
        return format
    }
}
