// Model groups whose names have a star: which one a name belongs to, and what the star stands for in it.

/// A name with one star.
struct Wildcard: Sendable {
    let prefix: String
    let suffix: String
    let modelGroup: Int

    /// nil: the name has no star.
    init?(_ name: String, modelGroup: Int) {
        guard let star = name.firstIndex(of: "*") else { return nil }
        prefix = String(name[..<star])
        suffix = String(name[name.index(after: star)...])
        self.modelGroup = modelGroup
    }

    /// What the star stands for in a name, at least one character; nil: the name is another's.
    func text(in name: String) -> String? {
        guard name.utf8.count > prefix.utf8.count + suffix.utf8.count, name.hasPrefix(prefix),
            name.hasSuffix(suffix)
        else { return nil }
        return String(name.dropFirst(prefix.count).dropLast(suffix.count))
    }

    /// The one that says more comes first; of two that say as much, the one that says it first.
    static func isMoreSpecific(_ one: Wildcard, _ other: Wildcard) -> Bool {
        let counts = (one.prefix.utf8.count + one.suffix.utf8.count, one.prefix.utf8.count)
        let others = (other.prefix.utf8.count + other.suffix.utf8.count, other.prefix.utf8.count)
        return counts > others
    }
}
