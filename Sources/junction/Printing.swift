// Where the subcommands print: answers to standard output at once, all else to standard error.
import ArgumentParser
import JunctionTransport

/// Writes to standard output without holding anything back. Ends the process with code 1 when nobody reads
/// it.
func printNow(_ text: String) throws {
    do {
        try writeStandardOutput(text)
    } catch {
        throw ExitCode(1)
    }
}

/// Writes to standard error; where that is closed there is nobody to tell.
func printError(_ text: String) {
    try? writeStandardError(text)
}

/// Text to the right of its column.
func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}
