// A text that nobody may see: a provider's key, the value of a header. Prints as *** whichever way it is
// printed; there is one way out.

/// A text that is never shown.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let text: String
    /// Where the text came from, fit to be shown: `set` (it stands in the file) or `os.environ/NAME`.
    public let source: String

    public init(_ text: String, source: String = "set") {
        self.text = text
        self.source = source
    }

    /// The text, for the one purpose of sending it to the provider it belongs to.
    public func reveal() -> String { text }

    public var description: String { "***" }
    public var debugDescription: String { "***" }
    public var customMirror: Mirror { Mirror(self, children: EmptyCollection()) }
}
