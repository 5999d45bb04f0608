// `grpc-timeout`: 1 to 8 digits and a unit. Source: grpc/doc/PROTOCOL-HTTP2.md.

extension Duration {
    /// A timeout longer than this counts as this: ten years, so that no clock overflows.
    private static let timeoutMax = Duration.seconds(10 * 365 * 86_400)

    /// Reads the value of `grpc-timeout`; nil when it is none.
    init?(grpcTimeout value: Span<UInt8>) {
        guard (2...9).contains(value.count) else { return nil }
        var amount: Int64 = 0
        for index in 0..<value.count - 1 {
            let digit = value[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            amount = amount * 10 + Int64(digit)
        }
        let timeout: Duration? =
            switch value[value.count - 1] {
            case UInt8(ascii: "H"): .seconds(amount * 3600)
            case UInt8(ascii: "M"): .seconds(amount * 60)
            case UInt8(ascii: "S"): .seconds(amount)
            case UInt8(ascii: "m"): .milliseconds(amount)
            case UInt8(ascii: "u"): .microseconds(amount)
            case UInt8(ascii: "n"): .nanoseconds(amount)
            default: nil
            }
        guard let timeout else { return nil }
        self = min(timeout, Duration.timeoutMax)
    }

    /// The value of `grpc-timeout`, in the finest unit that holds it in 8 digits, rounded up.
    var grpcTimeout: String {
        let (seconds, attoseconds) = max(.zero, min(self, Duration.timeoutMax)).components
        let fractions: [(unit: String, perSecond: Int64)] = [
            ("n", 1_000_000_000), ("u", 1_000_000), ("m", 1000), ("S", 1),
        ]
        for (unit, perSecond) in fractions {
            let each = 1_000_000_000_000_000_000 / perSecond
            let amount = seconds * perSecond + (attoseconds + each - 1) / each
            if amount <= 99_999_999 { return "\(amount)\(unit)" }
        }
        return "\((seconds + 3599) / 3600)H"
    }
}
