// What a provider said went wrong, made fit to show: short, without control characters, without secrets.
// Providers quote keys ("Incorrect API key provided: sk-…"), and the reader of an answer does not know the
// key.

private let charactersMax = 300

/// The text as a person may read it in an error.
func readable(_ text: String) -> String {
    var shown = ""
    var count = 0
    for scalar in redacted(text).unicodeScalars {
        if count == charactersMax { return shown + "…" }
        count += 1
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse:
            shown += scalar == "\n" ? " " : scalar.escaped(asASCII: true)
        default: shown.unicodeScalars.append(scalar)
        }
    }
    return shown
}

/// The text with everything that may be a key replaced by `***`.
private func redacted(_ text: String) -> String {
    var result = ""
    var word = ""
    var isBehindBearer = false
    func endWord() {
        if word.isEmpty { return }
        result += isBehindBearer || looksSecret(word) ? "***" : word
        isBehindBearer = word.lowercased() == "bearer"
        word = ""
    }
    // A message that needs more than this is cut long before it.
    for character in text.unicodeScalars.prefix(charactersMax * 8) {
        if isPartOfKey(character) {
            word.unicodeScalars.append(character)
        } else {
            endWord()
            result.unicodeScalars.append(character)
        }
    }
    endWord()
    return result
}

private func isPartOfKey(_ character: Unicode.Scalar) -> Bool {
    switch character {
    case "a"..."z", "A"..."Z", "0"..."9", "-", "_", "*", "+", "/", "=", ".": true
    default: false
    }
}

/// Starts of providers' keys.
private let keyPrefixes = [
    "sk-", "sk_", "gsk_", "xai-", "pplx-", "hf_", "AIza", "fw_", "tgp_", "nvapi-", "r8_", "eyJ", "AKIA",
    "ghp_",
]

/// Whether the word is, or holds, a key: one that starts as keys do, or a long run of letters and digits
/// mixed, as no name of a model has.
private func looksSecret(_ word: String) -> Bool {
    for part in word.split(whereSeparator: { $0 == "/" || $0 == "=" || $0 == "." }) {
        if keyPrefixes.contains(where: { part.hasPrefix($0) && part.count >= $0.count + 4 }) { return true }
        if part.contains("***") { return true }
    }
    let runs = word.split(whereSeparator: { !$0.isLetter && !$0.isNumber })
    if runs.contains(where: {
        $0.count >= 20 && $0.contains(where: \.isNumber) && $0.contains(where: \.isLetter)
    }) {
        return true
    }
    // Base64 may be cut up by + and /, but its pieces mix capitals, small letters and digits.
    return word.count >= 40 && word.contains(where: \.isUppercase) && word.contains(where: \.isLowercase)
        && word.contains(where: \.isNumber) && word.contains { $0 == "+" || $0 == "=" }
}
