// What `SectionReader` makes of a section: its values by key, each with its place. Knows types, not what a
// key means.

/// One value of the file, of the type that the schema asks for.
struct Entry {
    enum Content {
        case text(LocatedText)
        case secret(Secret)
        case integer(Int)
        case number(Double)
        case duration(Duration)
        case boolean(Bool)
        case texts([LocatedText])
        case secretMap([(name: LocatedText, value: Secret)])
        case fallbacks([FallbackRule])
        case section(Values)
        case sections([Values])
        case sectionMap([(name: LocatedText, values: Values)])
        case nodes([HostAndPort])
        case json(String)
    }

    var content: Content
    /// The place of the value, not of its key.
    var place: Place
}

/// A server by its name or address.
struct HostAndPort {
    var host: String
    var port: Int?
}

/// Model groups that stand in for another.
struct FallbackRule {
    var group: LocatedText
    var substitutes: [LocatedText]
}

/// The values of one section. A key that was absent, null or wrong is not there.
struct Values {
    let section: Section
    /// Where the section begins.
    let place: Place
    var entries: [String: Entry] = [:]

    init(section: Section, place: Place) {
        self.section = section
        self.place = place
    }

    subscript(key: String) -> Entry? {
        precondition(
            Schema.spec(key, in: section) != nil, "\(key) is not in the schema of \(section.rawValue)")
        return entries[key]
    }

    /// The place of a key's value; of the section when it has no such key.
    func place(of key: String) -> Place { self[key]?.place ?? place }

    func text(_ key: String) -> String? { located(key)?.text }
    func located(_ key: String) -> LocatedText? {
        if case .text(let text)? = self[key]?.content { text } else { nil }
    }
    func secret(_ key: String) -> Secret? {
        if case .secret(let secret)? = self[key]?.content { secret } else { nil }
    }
    func integer(_ key: String) -> Int? {
        if case .integer(let number)? = self[key]?.content { number } else { nil }
    }
    func number(_ key: String) -> Double? {
        if case .number(let number)? = self[key]?.content { number } else { nil }
    }
    func duration(_ key: String) -> Duration? {
        if case .duration(let duration)? = self[key]?.content { duration } else { nil }
    }
    func boolean(_ key: String) -> Bool? {
        if case .boolean(let flag)? = self[key]?.content { flag } else { nil }
    }
    func texts(_ key: String) -> [LocatedText]? {
        if case .texts(let texts)? = self[key]?.content { texts } else { nil }
    }
    func secretMap(_ key: String) -> [(name: LocatedText, value: Secret)]? {
        if case .secretMap(let pairs)? = self[key]?.content { pairs } else { nil }
    }
    func fallbacks(_ key: String) -> [FallbackRule]? {
        if case .fallbacks(let rules)? = self[key]?.content { rules } else { nil }
    }
    func section(_ key: String) -> Values? {
        if case .section(let values)? = self[key]?.content { values } else { nil }
    }
    func sections(_ key: String) -> [Values]? {
        if case .sections(let list)? = self[key]?.content { list } else { nil }
    }
    func sectionMap(_ key: String) -> [(name: LocatedText, values: Values)]? {
        if case .sectionMap(let pairs)? = self[key]?.content { pairs } else { nil }
    }
    func nodes(_ key: String) -> [HostAndPort]? {
        if case .nodes(let nodes)? = self[key]?.content { nodes } else { nil }
    }
    func json(_ key: String) -> String? {
        if case .json(let text)? = self[key]?.content { text } else { nil }
    }
}
