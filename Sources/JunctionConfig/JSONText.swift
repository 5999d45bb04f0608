// Writes texts and plain scalars as JSON: of `extra_body`, and of the mock's answers. Knows no key.

/// A text as a JSON string.
package func jsonText(_ text: String) -> String {
    var json = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": json += "\\\""
        case "\\": json += "\\\\"
        case "\n": json += "\\n"
        case _ where scalar.value < 0x20:
            let hex = String(scalar.value, radix: 16)
            json += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        default: json.unicodeScalars.append(scalar)
        }
    }
    return json + "\""
}

/// A plain YAML scalar in JSON: a boolean or a number where it is one (YAML 1.2 core schema), else a string.
func jsonScalar(_ text: String) -> String {
    switch text {
    case "true", "True", "TRUE": return "true"
    case "false", "False", "FALSE": return "false"
    default: break
    }
    if let number = Int(text) { return String(number) }
    let begin = text.unicodeScalars.first { $0 != "-" && $0 != "+" && $0 != "." }
    if let begin, ("0"..."9").contains(begin), let number = Double(text), number.isFinite {
        return String(number)
    }
    return jsonText(text)
}
