// Members that a deployment's configuration adds to the body of its requests. Read once, when the
// configuration is.

/// Members added to each request of a deployment that does not set them itself.
public struct ExtraBody: Sendable {
    /// Why a text cannot be added to requests.
    public enum Problem: Error, Equatable {
        /// It is not a JSON object.
        case notAnObject
        /// It has a member that Junction writes itself.
        case reserved(member: String)
    }

    struct Member: Sendable {
        let name: [UInt8]
        /// How it is appended to an object: `,"name":value`.
        let json: [UInt8]
        /// The members of the value, where it is an object.
        let inner: [Member]?
    }

    let members: [Member]

    /// - Parameter json: a JSON object.
    public init(json: String) throws(Problem) {
        let writer = JSONWriter()
        let reader = JSONReader()
        writer.raw(json)
        guard let object = reader.read(writer.bytes), object.isObject else { throw .notAnObject }
        for (key, _) in object.members where isReserved(key) { throw .reserved(member: String(key)) }
        members = ExtraBody.members(of: object, by: writer)
        withExtendedLifetime(reader) {}
    }

    private static func members(of object: JSONValue, by writer: JSONWriter) -> [Member] {
        object.members.map { key, value in
            writer.removeAll()
            writer.raw(",")
            writer.string(key)
            writer.raw(":")
            writer.value(value)
            let json = Array(writer.bytes)
            return Member(
                name: Array(key.bytes), json: json,
                inner: value.isObject ? members(of: value, by: writer) : nil)
        }
    }
}

/// Whether Junction writes the member itself, always.
func isReserved(_ member: JSONText) -> Bool {
    switch member {
    case "model", "messages", "stream", "stream_options": true
    default: false
    }
}
