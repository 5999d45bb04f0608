// Looks models up in ModelTable.swift, by the names that deployments give them. For the start only: it is no
// quick lookup.
public import JunctionRouting

/// What is known of a model.
public struct ModelFacts: Sendable, Equatable {
    /// What a model makes.
    public enum Mode: String, Sendable { case chat, embedding }

    public var mode: Mode
    public var prices: TokenPrices
    /// Its context window, in tokens.
    public var maxInputTokens: Int?
    /// The longest answer, in tokens.
    public var maxOutputTokens: Int?

    /// What the table says of a provider's model; nil: nothing.
    public static func of(model: String, provider: String) -> ModelFacts? {
        for name in names(of: model, provider: provider) {
            for provider in owners(of: provider) {
                if let facts = table["\(provider)/\(name)"] { return facts }
            }
        }
        return nil
    }

    /// Under whose names the provider's models stand.
    private static func owners(of provider: String) -> [String] {
        switch provider {
        case "azure": ["azure", "openai"]
        case "cohere_chat": ["cohere"]
        case "bedrock_converse": ["bedrock"]
        default: [provider]
        }
    }

    /// The model's name, then what it may stand under instead: the name without its version's date, without
    /// the folder that the provider puts all models in.
    private static func names(of model: String, provider: String) -> [String] {
        var names = [model]
        let folder =
            switch provider {
            case "fireworks_ai": "accounts/fireworks/models/"
            case "gemini": "models/"
            // Where the nearest region answers, the base price holds.
            case "bedrock", "bedrock_converse": "global."
            default: ""
            }
        if model.hasPrefix(folder) {
            names.append(String(model.dropFirst(folder.count)))
        } else {
            names.append(folder + model)
        }
        return names + names.compactMap(withoutVersion)
    }

    /// The name without `-latest`, a date (`-2025-08-07`, `-20250929`) or a month (`-2508`, `-0125`) at its
    /// end; nil: it has none.
    private static func withoutVersion(_ name: String) -> String? {
        if name.hasSuffix("-latest") { return String(name.dropLast(7)) }
        var rest = name[...]
        var digits = ""
        while let dash = rest.lastIndex(of: "-"), digits.utf8.count < 8 {
            let part = rest[rest.index(after: dash)...]
            guard !part.isEmpty, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { break }
            digits = part + digits
            rest = rest[..<dash]
        }
        return digits.utf8.count == 8 || digits.utf8.count == 4 ? String(rest) : nil
    }

    // MARK: The table

    private static let table: [String: ModelFacts] = {
        var table: [String: ModelFacts] = [:]
        var mode = Mode.chat
        var provider = ""
        for line in ModelTable.text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 2 {
                mode = Mode(rawValue: words[0])!
                provider = words[1]
            } else {
                let facts = mode == .chat ? ModelFacts(chat: words) : ModelFacts(embedding: words)
                precondition(table.updateValue(facts, forKey: "\(provider)/\(words[0])") == nil, words[0])
            }
        }
        return table
    }()

    private init(chat words: [String]) {
        mode = .chat
        prices = TokenPrices(
            input: dollars(words[1]), output: dollars(words[4]), cachedInput: dollars(words[2]),
            cacheWrite: dollars(words[3]), longPrompt: words.count > 7 ? longPrompt(words[7]) : nil)
        maxInputTokens = Int(words[5])
        maxOutputTokens = Int(words[6])
    }

    private init(embedding words: [String]) {
        mode = .embedding
        prices = TokenPrices(input: dollars(words[1]))
        maxInputTokens = Int(words[2])
    }
}

/// A price of a million tokens as that of one; nil for `-`.
private func dollars(_ word: String) -> Double? { Double(word + "e-6") }

private func longPrompt(_ word: String) -> TokenPrices.LongPrompt {
    let numbers = word.split(separator: "*").map { Double($0)! }
    return TokenPrices.LongPrompt(
        bound: Int(numbers[0]), inputFactor: numbers[1], outputFactor: numbers[2])
}
