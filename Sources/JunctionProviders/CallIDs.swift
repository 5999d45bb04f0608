// Ids of tool calls. Callers hand back what one provider made to whichever answers next, and some providers
// refuse ids that are not like their own.
internal import JunctionProtobuf

/// What a provider takes for a call's id.
enum CallIDRule {
    case any
    /// Nine letters and digits: Mistral's "must be a-z, A-Z, 0-9, with a length of 9".
    case nine
    /// Up to 64 letters, digits, `_` and `-`: Anthropic's `^[a-zA-Z0-9_-]+$`, and the length of Bedrock's
    /// `ToolUseId`. That may have `.` and `:` too, but Claude stands behind Bedrock with its own rule.
    case word

    fileprivate func allows(_ id: JSONText) -> Bool {
        switch self {
        case .any: true
        case .nine: id.count == 9 && id.bytes.allSatisfy(isAlphanumeric)
        case .word:
            (1...64).contains(id.count)
                && id.bytes.allSatisfy {
                    isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
                }
        }
    }
}

private func isAlphanumeric(_ byte: UInt8) -> Bool {
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter < 26 || byte &- UInt8(ascii: "0") < 10
}

extension BodyWriter {
    /// A call's id as a JSON string; in place of one that the provider refuses, nine letters and digits that
    /// are always the same for it, so that a call and its result still belong together.
    func writeCallID(_ callID: Text, _ rule: CallIDRule) {
        let id = takeApart(callID: callID).id
        if rule.allows(id) { return writer.string(id) }
        // FNV-1a, of 64 bits; nine digits of base 62 hold 53 of them.
        var hash = id.bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let digits: StaticString = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        var text = ""
        for _ in 0..<9 {
            text.unicodeScalars.append(Unicode.Scalar(digits.utf8Start[Int(hash % 62)]))
            hash /= 62
        }
        writer.string(text)
    }
}
