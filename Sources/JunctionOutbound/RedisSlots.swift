// Which slot of a Redis Cluster a key is in, and where a redirection points (redis.io, "Redis cluster
// specification"). Sends nothing.

/// The slot of a key: a checksum of what stands in its first braces, or of all of it.
func redisSlot(of key: some Collection<UInt8>) -> Int {
    if let open = key.firstIndex(of: UInt8(ascii: "{")) {
        let rest = key[key.index(after: open)...]
        if let close = rest.firstIndex(of: UInt8(ascii: "}")), close != rest.startIndex {
            return Int(checksum(rest[..<close]) & 0x3FFF)
        }
    }
    return Int(checksum(key) & 0x3FFF)
}

/// CRC-16/XMODEM.
private func checksum(_ bytes: some Collection<UInt8>) -> UInt16 {
    bytes.reduce(0) { sum, byte in (sum << 8) ^ table[Int(UInt8(sum >> 8) ^ byte)] }
}

private let table: [UInt16] = (0..<256).map { (byte: UInt16) in
    (0..<8).reduce(byte << 8) { sum, _ in sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x1021 }
}

/// `MOVED SLOT HOST:PORT` or `ASK SLOT HOST:PORT`.
struct RedisRedirection: Equatable {
    /// For this one command only.
    var isOnce: Bool
    var slot: Int
    var address: RedisAddress

    /// - Parameter sender: whose host it is when the server names none.
    init?(_ refusal: String, from sender: RedisAddress) {
        let words = refusal.split(separator: " ")
        guard words.count == 3, words[0] == "MOVED" || words[0] == "ASK",
            let slot = Int(words[1]), (0..<16384).contains(slot),
            let colon = words[2].lastIndex(of: ":"),
            let port = Int(words[2][words[2].index(after: colon)...]), (1...65535).contains(port)
        else { return nil }
        var host = String(words[2][..<colon])
        if host.isEmpty || host == "?", case .tcp(let sendersHost, _) = sender { host = sendersHost }
        isOnce = words[0] == "ASK"
        self.slot = slot
        address = .tcp(host: host, port: port)
    }
}
