// Objects within a body that Junction fills and that callers and configurations may add to, such as Gemini's
// `generationConfig`. Who sets one member of them does not lose the others.
internal import JunctionProtobuf
internal import JunctionRouting

extension BodyWriter {
    /// Writes the member `name` of the body: an object with what `fill` writes, what the caller gives it in
    /// `extra_parameters_json`, and what the configuration does and neither has; nothing when all that is
    /// nothing.
    ///
    /// - Parameters:
    ///   - json: the caller's `extra_parameters_json`.
    ///   - fill: writes members by `inner`.
    /// - Throws: when the caller gives a member that is written already: which of the two a provider takes is
    ///   anyone's guess.
    func openObject(
        _ name: StaticString, _ json: Text, _ extra: ExtraBody?, fill: () throws(Failure) -> Void
    ) throws(Failure) {
        let start = writer.count
        innerWritten.removeAll(keepingCapacity: true)
        member(name)
        let content = writer.count
        try fill()
        let theirs = try theirObject(name, json)
        if case .isObject(let object) = theirs {
            try takeIn(object, name, from: content)
            merged.append(name)
        }
        // A caller's value that is no object stands for the configuration's whole one.
        if let extra, !theirs.isOther { takeIn(extra, name, from: content, besides: theirs.object) }
        if writer.count == content {
            writer.removeAll(from: start)
            written.removeLast()
        } else {
            writer.raw("}")
        }
    }

    /// Opens a member of the object that is open, and that with its first.
    func inner(_ name: StaticString) {
        writer.raw(innerWritten.isEmpty ? #"{""# : #",""#)
        writer.raw(name)
        writer.raw(#"":"#)
        innerWritten.append(name)
    }

    func inner(_ name: StaticString, _ value: (some BinaryInteger)?) {
        guard let value else { return }
        inner(name)
        writer.integer(Int64(value))
    }

    func inner(_ name: StaticString, _ value: Double?, field: StaticString) throws(Failure) {
        guard let value else { return }
        guard value.isFinite else { throw wrong("completion.\(field)", "is not a finite number") }
        inner(name)
        writer.number(value)
    }

    /// What a caller's JSON has under a name.
    private enum Theirs {
        case isNothing
        case isObject(JSONValue)
        case isSomethingElse

        var isOther: Bool { if case .isSomethingElse = self { true } else { false } }
        var object: JSONValue? { if case .isObject(let object) = self { object } else { nil } }
    }

    private func theirObject(_ name: StaticString, _ json: Text) throws(Failure) -> Theirs {
        if json.isEmpty { return .isNothing }
        let start = writer.count
        let all = try writeObject(json, "completion.extra_parameters_json")
        writer.removeAll(from: start)
        guard let value = all[name] else { return .isNothing }
        return value.isObject ? .isObject(value) : .isSomethingElse
    }

    private func takeIn(_ object: JSONValue, _ name: StaticString, from content: Int) throws(Failure) {
        for (key, value) in object.members {
            if innerWritten.contains(where: { $0 ~= key }) {
                throw wrong(
                    "completion.extra_parameters_json",
                    "has the member `\(name).\(readable(String(key)))`, which Junction writes itself")
            }
            writer.raw(writer.count == content ? "{" : ",")
            writer.string(key)
            writer.raw(":")
            writer.value(value)
        }
    }

    private func takeIn(
        _ extra: ExtraBody, _ name: StaticString, from content: Int, besides theirs: JSONValue?
    ) {
        let outer = extra.members.first { member in
            member.name.withUnsafeBytes { name ~= JSONText($0) }
        }
        guard let inner = outer?.inner else { return }
        for member in inner {
            let isSet = member.name.withUnsafeBytes { key in
                innerWritten.contains { $0 ~= JSONText(key) } || theirs?.hasMember(key) ?? false
            }
            if isSet { continue }
            // What is kept opens with a comma.
            writer.raw(writer.count == content ? "{" : ",")
            member.json.withUnsafeBytes { writer.raw(UnsafeRawBufferPointer(rebasing: $0.dropFirst())) }
        }
    }
}
