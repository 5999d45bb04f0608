// The configuration as a person reads it after `junction check`. Shows where a key comes from, never a key.

extension ServerConfiguration {
    public func deploymentTable() -> String { "" }
}
