// What some calls ask for and not every deployment can give. Knows none of it: which bit stands for what is
// for those to say who speak with providers.

/// Things that a call asks for, or that a deployment cannot give. The core only compares the two.
public struct Features: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}
