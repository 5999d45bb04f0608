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

    /// Each member's name, and how it is appended to an object: `,"name":value`.
    let members: [(name: [UInt8], json: [UInt8])]

    /// - Parameter json: a JSON object.
    public init(json: String) throws(Problem) {
        let writer = JSONWriter()
        let reader = JSONReader()
        writer.raw(json)
        guard let object = reader.read(writer.bytes), object.isObject else { throw .notAnObject }
        var members: [(name: [UInt8], json: [UInt8])] = []
        for (key, value) in object.members {
            if isReserved(key) { throw .reserved(member: String(key)) }
            writer.removeAll()
            writer.raw(",")
            writer.string(key)
            writer.raw(":")
            writer.value(value)
            members.append((Array(key.bytes), Array(writer.bytes)))
        }
        self.members = members
        withExtendedLifetime(reader) {}
    }
}

/// Whether Junction writes the member itself, always.
func isReserved(_ member: JSONText) -> Bool {
    switch member {
    case "model", "messages", "stream", "stream_options": true
    default: false
    }
}
