// Writes the body of a provider's request from the message that the caller sent: straight from its bytes,
// into a buffer that is kept. What is wrong with the message is a Failure that names the field.
public import JunctionMessages
internal import JunctionProtobuf
public import JunctionRouting

/// What a deployment's configuration does to its requests.
public struct BodyOptions: Sendable {
    /// Members added to each request that does not set them itself.
    public var extraBody: ExtraBody?
    /// What calls are asked with where they say nothing.
    public var defaults: ParameterDefaults?
    /// What is refused.
    public var untaken: Features = []
    /// What is left out of requests.
    public var dropped: Features = []
    /// What goes to the provider under OpenAI's name, though its wire format has no place for it.
    public var passed: Features = []
    /// The model that is meant where the name that the provider knows does not tell; nil: it does.
    public var baseModel: String?

    public init(extraBody: ExtraBody? = nil) { self.extraBody = extraBody }
}

/// Writes request bodies, one at a time. Confined to one thread.
public final class BodyWriter {
    let writer = JSONWriter()
    private let reader: JSONReader
    /// Where a completion lives that is not asked as it came.
    private let arena = Arena()
    /// Of which completion what is passed on though the wire format has no place for it.
    private var passing: (completion: JunctionV1.Completion.View, features: Features)?
    /// The members of the body so far.
    @exclusivity(unchecked) var written: [StaticString] = []
    /// The members so far of the object that is open, and the objects that were.
    @exclusivity(unchecked) var innerWritten: [StaticString] = []
    @exclusivity(unchecked) var merged: [StaticString] = []
    /// What the answer goes on with.
    private(set) var continuation: Continuation?

    /// - Parameter json: reads the JSON that callers send as text; shared by whoever runs on the thread.
    public init(json reader: JSONReader = JSONReader()) { self.reader = reader }

    /// Writes the body that asks `model` for what `completion` says.
    ///
    /// - Parameters:
    ///   - model: the provider's name of the model.
    ///   - isStreaming: whether the answer shall come piece by piece.
    ///   - continuation: the beginning of the answer, for a provider that goes on with one.
    /// - Throws: a Failure of kind badRequest whose message opens with the field, such as
    ///   `completion.tools[0].function.parameters_json`.
    public func write(
        _ completion: JunctionV1.Completion.View, model: String, isStreaming: Bool, adapter: Adapter,
        options: BodyOptions = BodyOptions(), continuation: Continuation? = nil
    ) throws(Failure) {
        self.continuation = continuation
        let completion = try adjusted(completion, options)
        writer.removeAll()
        written.removeAll(keepingCapacity: true)
        merged.removeAll(keepingCapacity: true)
        passing = options.passed.isEmpty ? nil : (completion, options.passed)
        switch adapter {
        case .openAI(let quirks):
            try writeOpenAI(
                completion, model: model, isStreaming: isStreaming, quirks: quirks, options: options)
        case .azure:
            try writeOpenAI(
                completion, model: model, isStreaming: isStreaming, quirks: .azure, options: options)
        case .anthropic:
            try writeAnthropic(completion, model: model, isStreaming: isStreaming, options: options)
        case .cohere:
            try writeCohere(completion, model: model, isStreaming: isStreaming, options: options)
        // The model stands in the path; what it takes goes by what it is.
        case .gemini: try writeGemini(completion, model: options.baseModel ?? model, options: options)
        case .bedrock: try writeBedrock(completion, model: options.baseModel ?? model, options: options)
        }
    }

    /// Writes the body that asks `model` to turn texts into embeddings.
    ///
    /// - Throws: as for a completion; the fields are those of `embedding`.
    public func write(
        _ embedding: JunctionV1.Embedding.View, model: String, adapter: Adapter,
        options: BodyOptions = BodyOptions()
    ) throws(Failure) {
        let embedding = try adjusted(embedding, options)
        writer.removeAll()
        written.removeAll(keepingCapacity: true)
        merged.removeAll(keepingCapacity: true)
        passing = nil
        switch adapter {
        case .openAI(let quirks):
            try writeOpenAI(embedding, model: model, quirks: quirks, options: options)
        case .azure: try writeOpenAI(embedding, model: model, quirks: .azure, options: options)
        case .cohere: try writeCohere(embedding, model: model, options: options)
        case .gemini: try writeGemini(embedding, model: model, options: options)
        case .bedrock: try writeBedrock(embedding, model: options.baseModel ?? model, options: options)
        case .anthropic: throw wrong("embedding", "is not something that Anthropic takes")
        }
    }

    /// Begins another object, whose members are none yet.
    func startObject() { written.removeAll(keepingCapacity: true) }

    /// The body written last; valid until the next one.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self) get {
            _overrideLifetime(Span(_unsafeBytes: writer.bytes), borrowing: self)
        }
    }

    /// The most tokens that are left to be written.
    func maxTokens(of completion: JunctionV1.Completion.View) -> Int32? {
        continuation.map { $0.rest(of: completion.maxTokens) } ?? completion.maxTokens
    }

    func wrong(_ field: String, _ what: String) -> Failure {
        Failure(.badRequest, message: "\(field) \(what)")
    }
}

// MARK: What the configuration does to a request

extension BodyWriter {
    /// The completion as the deployment is asked it: with the configured values where the caller gives none,
    /// without what is dropped.
    private func adjusted(
        _ completion: JunctionV1.Completion.View, _ options: BodyOptions
    ) throws(Failure) -> JunctionV1.Completion.View {
        var completion = completion
        if options.defaults != nil || !options.dropped.isEmpty {
            arena.reset()
            let copy = JunctionV1.Completion.View(in: arena)
            copy.raw.update(from: completion.raw, count: 1)
            options.defaults?.fill(copy, in: arena)
            copy.drop(options.dropped, in: arena)
            completion = copy
        }
        if !options.untaken.isEmpty { try refuse(Features(of: completion).intersection(options.untaken)) }
        return completion
    }

    private func adjusted(
        _ embedding: JunctionV1.Embedding.View, _ options: BodyOptions
    ) throws(Failure) -> JunctionV1.Embedding.View {
        var embedding = embedding
        if !options.dropped.isDisjoint(with: [.dimensions, .user]) {
            arena.reset()
            let copy = JunctionV1.Embedding.View(in: arena)
            copy.raw.update(from: embedding.raw, count: 1)
            if options.dropped.contains(.dimensions) { copy.dimensions = nil }
            if options.dropped.contains(.user) { copy.user = Text(stored: nil) }
            embedding = copy
        }
        if !options.untaken.isEmpty { try refuse(Features(of: embedding).intersection(options.untaken)) }
        return embedding
    }

    private func refuse(_ untaken: Features) throws(Failure) {
        if let field = untaken.fields.first {
            throw wrong(field, "is not something that the deployment takes")
        }
    }

    /// The members that are passed on though the wire format has no place for them, as OpenAI's has them.
    private func writePassed() throws(Failure) {
        guard let (completion, passed) = passing else { return }
        let features = Features(of: completion).intersection(passed)
        func isNew(_ feature: Features, _ name: StaticString) -> Bool {
            features.contains(feature)
                && !isWritten(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        }
        if isNew(.n, "n") { integer("n", completion.n) }
        if isNew(.seed, "seed") { integer("seed", completion.seed) }
        if isNew(.presencePenalty, "presence_penalty") {
            try number("presence_penalty", completion.presencePenalty)
        }
        if isNew(.frequencyPenalty, "frequency_penalty") {
            try number("frequency_penalty", completion.frequencyPenalty)
        }
        if isNew(.logprobs, "logprobs") { bool("logprobs", completion.logprobs) }
        if isNew(.topLogprobs, "top_logprobs") { integer("top_logprobs", completion.topLogprobs) }
        if isNew(.logitBias, "logit_bias") { try writeLogitBias(completion.logitBias) }
        if isNew(.parallelToolCalls, "parallel_tool_calls") {
            bool("parallel_tool_calls", completion.parallelToolCalls)
        }
        if isNew(.jsonObject, "response_format"), let format = completion.responseFormat {
            try writeResponseFormat(format)
        }
        if isNew(.toolChoiceFunction, "tool_choice"), let choice = completion.toolChoice {
            try writeToolChoice(choice)
        }
    }
}

extension JunctionV1.Completion.View {
    /// Takes back what is asked of these features.
    fileprivate func drop(_ dropped: Features, in arena: Arena) {
        let asked = Features(of: self).intersection(dropped)
        let sampling = asked.contains(.samplingWhileReasoning)
        let thought = asked.contains(.samplingWhileThinking)
        let isHot = !asked.isDisjoint(with: [.temperature, .highTemperature])
        if sampling || thought || isHot { temperature = nil }
        if sampling || thought || asked.contains(.topP) { topP = nil }
        if sampling || asked.contains(.logprobs) { logprobs = nil }
        if sampling || asked.contains(.topLogprobs) { topLogprobs = nil }
        if asked.contains(.stop) { setStop([], in: arena) }
        if asked.contains(.n) { n = nil }
        if asked.contains(.seed) { seed = nil }
        if asked.contains(.presencePenalty) { presencePenalty = nil }
        if asked.contains(.frequencyPenalty) { frequencyPenalty = nil }
        if asked.contains(.logitBias) { setLogitBias(count: 0, in: arena) }
        if asked.contains(.reasoningEffort) { reasoningEffort = Text(stored: nil) }
        if !asked.isDisjoint(with: [.jsonObject, .jsonSchema]) { responseFormat = nil }
        if asked.contains(.tools) { setTools(count: 0, in: arena) }
        let choices: Features = [.toolChoice, .toolChoiceFunction, .forcedCall, .forcedCallWhileThinking]
        if !asked.isDisjoint(with: choices.union(.tools)) { toolChoice = nil }
        if !asked.isDisjoint(with: [.tools, .parallelToolCalls]) { parallelToolCalls = nil }
        if dropped.contains(.maxTokens) { maxTokens = nil }
        if dropped.contains(.user) { user = Text(stored: nil) }
        if dropped.contains(.metadata) { setMetadata(count: 0, in: arena) }
    }
}

// MARK: Members of the body itself, remembered so that none comes twice

extension BodyWriter {
    func member(_ name: StaticString) {
        writer.raw(written.isEmpty ? #"{""# : #",""#)
        writer.raw(name)
        writer.raw(#"":"#)
        written.append(name)
    }

    /// - Parameter field: the completion's field, where it has another name.
    func number(_ name: StaticString, _ value: Double?, field: StaticString? = nil) throws(Failure) {
        guard let value else { return }
        guard value.isFinite else { throw wrong("completion.\(field ?? name)", "is not a finite number") }
        member(name)
        writer.number(value)
    }

    func integer(_ name: StaticString, _ value: (some BinaryInteger)?) {
        guard let value else { return }
        member(name)
        writer.integer(Int64(value))
    }

    func bool(_ name: StaticString, _ value: Bool?) {
        guard let value else { return }
        member(name)
        writer.bool(value)
    }

    func text(_ name: StaticString, _ value: Text) {
        if value.isEmpty { return }
        member(name)
        writer.string(value)
    }

    func texts(_ name: StaticString, _ texts: Repeated<Text>) {
        if texts.isEmpty { return }
        member(name)
        writeTexts(texts)
    }

    /// The members that the caller gave as JSON, and those of the deployment that the request does not have.
    /// A caller's member that is written already is refused: which of the two a provider takes is anyone's
    /// guess.
    func writeExtras(
        _ json: Text, _ extra: ExtraBody?, of field: StaticString = "completion.extra_parameters_json"
    ) throws(Failure) {
        try writePassed()
        var object: JSONValue?
        if !json.isEmpty {
            let start = writer.count
            object = try writeObject(json, "\(field)")
            writer.removeAll(from: start)
        }
        if let object { try writeExtraParameters(object, of: field) }
        guard let extra else { return }
        for member in extra.members {
            let isSet = member.name.withUnsafeBytes { isWritten($0) || object?.hasMember($0) ?? false }
            if !isSet { member.json.withUnsafeBytes { writer.raw($0) } }
        }
    }

    private func writeExtraParameters(_ object: JSONValue, of field: StaticString) throws(Failure) {
        for (key, value) in object.members {
            // What an open object took in is in the body already.
            if value.isObject, merged.contains(where: { $0 ~= key }) { continue }
            if isReserved(key) || isWritten(key.bytes) {
                throw wrong(
                    "\(field)",
                    "has the member `\(readable(String(key)))`, which Junction writes itself")
            }
            writer.raw(",")
            writer.string(key)
            writer.raw(":")
            writer.value(value)
        }
    }

    func isWritten(_ name: UnsafeRawBufferPointer) -> Bool {
        written.contains { $0 ~= JSONText(name) }
    }

    /// Writes a JSON text of the caller as it is and returns what it holds, which must be an object.
    @discardableResult
    func writeObject(_ json: Text, _ field: @autoclosure () -> String) throws(Failure) -> JSONValue {
        guard let object = objectWritten(json) else { throw wrong(field(), "is not a JSON object") }
        return object
    }

    /// The arguments of a call that the assistant made, as the object that they are; none are an empty one.
    func writeArguments(_ call: JunctionV1.ToolCall.View, _ message: Int, _ place: Int) throws(Failure) {
        guard let arguments = call.function?.argumentsJson, !arguments.isEmpty else {
            return writer.raw("{}")
        }
        try writeObject(
            arguments, "completion.messages[\(message)].tool_calls[\(place)].function.arguments_json")
    }

    /// The schema of a function's parameters, where there has to be one.
    func writeParameters(_ function: JunctionV1.FunctionTool.View, _ tool: Int) throws(Failure) {
        if function.parametersJson.isEmpty {
            writer.raw(#"{"type":"object","properties":{}}"#)
        } else {
            try writeObject(function.parametersJson, "completion.tools[\(tool)].function.parameters_json")
        }
    }

    /// The id of the call that a tool's message answers, where there has to be one.
    func writeAnsweredCallID(_ message: JunctionV1.Message.View, _ index: Int) throws(Failure) {
        if message.toolCallId.isEmpty {
            throw wrong("completion.messages[\(index)].tool_call_id", "is empty: say which call it answers")
        }
        writeCallID(message.toolCallId, .word)
    }

    /// The call's labels under the provider's name for them; nothing where there are none.
    func labels(_ name: StaticString, _ completion: JunctionV1.Completion.View) {
        if completion.metadata.isEmpty { return }
        member(name)
        for (index, entry) in completion.metadata.enumerated() {
            writer.raw(index == 0 ? "{" : ",")
            writer.string(entry.key)
            writer.raw(":")
            writer.string(entry.value)
        }
        writer.raw("}")
    }

    /// Writes a text as it is if it is a JSON object; else nothing, and returns false.
    func tryWriteObject(_ text: Text) -> Bool {
        let start = writer.count
        let isObject = objectWritten(text) != nil
        if !isObject { writer.removeAll(from: start) }
        return isObject
    }

    private func objectWritten(_ json: Text) -> JSONValue? {
        let start = writer.count
        writer.raw(UnsafeRawBufferPointer(start: json.pointer, count: json.count))
        let value = reader.read(UnsafeRawBufferPointer(rebasing: writer.bytes[start...]))
        return value?.isObject ?? false ? value : nil
    }

    /// An array of texts.
    func writeTexts(_ texts: Repeated<Text>) {
        for (index, text) in texts.enumerated() {
            writer.raw(index == 0 ? "[" : ",")
            writer.string(text)
        }
        writer.raw("]")
    }
}

// MARK: Members of objects within, always behind another

extension BodyWriter {
    func write(_ name: StaticString, _ value: JSONText) {
        if value.isEmpty { return }
        writer.raw(#",""#)
        writer.raw(name)
        writer.raw(#"":"#)
        writer.string(value)
    }

    func write(_ name: StaticString, _ value: Text) {
        if value.isEmpty { return }
        writer.raw(#",""#)
        writer.raw(name)
        writer.raw(#"":"#)
        writer.string(value)
    }

    func write(_ name: StaticString, _ value: Bool?) {
        guard let value else { return }
        writer.raw(#",""#)
        writer.raw(name)
        writer.raw(#"":"#)
        writer.bool(value)
    }
}
