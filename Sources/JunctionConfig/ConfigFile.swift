// The door of the module: the text of a configuration file and an environment in, a configuration and what is
// wrong with the file out. Opens no file and reads no environment of its own.

public enum ConfigFile {
    public static func read(
        text: String, file: String, environment: [String: String]
    ) -> (ServerConfiguration?, [Diagnostic]) {
        (nil, [])
    }
}
