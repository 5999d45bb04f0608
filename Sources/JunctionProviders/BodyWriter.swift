// Writes the body of a provider's request from the message that the caller sent: straight from its bytes,
// into a buffer that is kept. What is wrong with the message is a Failure that names the field.
public import JunctionMessages
internal import JunctionProtobuf
public import JunctionRouting

/// What a deployment's configuration adds to its requests.
public struct BodyOptions: Sendable {
    /// Members added to each request that does not set them itself.
    public var extraBody: ExtraBody?

    public init(extraBody: ExtraBody? = nil) { self.extraBody = extraBody }
}

/// Writes request bodies, one at a time. Confined to one thread.
public final class BodyWriter {
    let writer = JSONWriter()
    private let reader: JSONReader
    /// The members of the body so far.
    var written: [StaticString] = []
    /// The members so far of the object that is open, and the objects that were.
    var innerWritten: [StaticString] = []
    var merged: [StaticString] = []

    /// - Parameter json: reads the JSON that callers send as text; shared by whoever runs on the thread.
    public init(json reader: JSONReader = JSONReader()) { self.reader = reader }

    /// Writes the body that asks `model` for what `completion` says.
    ///
    /// - Parameters:
    ///   - model: the provider's name of the model.
    ///   - isStreaming: whether the answer shall come piece by piece.
    /// - Throws: a Failure of kind badRequest whose message opens with the field, such as
    ///   `completion.tools[0].function.parameters_json`.
    public func write(
        _ completion: JunctionV1.Completion.View, model: String, isStreaming: Bool, adapter: Adapter,
        options: BodyOptions = BodyOptions()
    ) throws(Failure) {
        writer.removeAll()
        written.removeAll(keepingCapacity: true)
        merged.removeAll(keepingCapacity: true)
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
        case .gemini: try writeGemini(completion, model: model, options: options)
        case .bedrock: try writeBedrock(completion, model: model, options: options)
        }
    }

    /// The body written last; valid until the next one.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self) get {
            _overrideLifetime(Span(_unsafeBytes: writer.bytes), borrowing: self)
        }
    }

    func wrong(_ field: String, _ what: String) -> Failure {
        Failure(.badRequest, message: "\(field) \(what)")
    }

    /// Refuses a parameter that is set and that the provider has no place for.
    func refuse(_ name: StaticString, when isSet: Bool, by provider: StaticString) throws(Failure) {
        if isSet { throw wrong("completion.\(name)", "is not something that \(provider) takes") }
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
    func writeExtras(_ json: Text, _ extra: ExtraBody?) throws(Failure) {
        var object: JSONValue?
        if !json.isEmpty {
            let start = writer.count
            object = try writeObject(json, "completion.extra_parameters_json")
            writer.removeAll(from: start)
        }
        if let object { try writeExtraParameters(object) }
        guard let extra else { return }
        for member in extra.members {
            let isSet = member.name.withUnsafeBytes { isWritten($0) || object?.hasMember($0) ?? false }
            if !isSet { member.json.withUnsafeBytes { writer.raw($0) } }
        }
    }

    private func writeExtraParameters(_ object: JSONValue) throws(Failure) {
        for (key, value) in object.members {
            // What an open object took in is in the body already.
            if value.isObject, merged.contains(where: { $0 ~= key }) { continue }
            if isReserved(key) || isWritten(key.bytes) {
                throw wrong(
                    "completion.extra_parameters_json",
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
