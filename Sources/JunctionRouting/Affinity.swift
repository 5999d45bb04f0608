// Sends calls of one session to one deployment, so that its provider's prompt cache serves them, but not so
// many that it is far busier than the others (rendezvous hashing with bounded loads).

/// What the calls of one session have in common, short enough to be compared.
public struct SessionKey: Sendable, Equatable {
    let hash: UInt64

    /// - Parameter text: what the caller calls its session.
    public init(_ text: Span<UInt8>) {
        var hash = fnvOffset
        for index in text.indices { hash = fnv(hash, text[index]) }
        self.hash = hash
    }
}

extension ModelGroup.State {
    /// Share of the mean load, each deployment's calls under way, up to which sessions stay where they are.
    private static var boundedLoad: Double { 1.25 }
    /// So many calls under way make nobody busy, whatever the mean.
    private static var idleLoad: Double { 4 }

    /// Of the open deployments that are not far busier than the others, the session's first; nil: none is
    /// open. One that comes or goes moves no session but its own.
    func choose(
        for session: SessionKey, from tier: Range<Int>, of group: ModelGroup, isOpen: (Int) -> Bool
    ) -> Int? {
        let places = tier.filter(isOpen)
        let open = places.count
        let load = places.reduce(0) { $0 + slots[$1].inFlight }
        guard open > 0 else { return nil }
        let most = max(Self.idleLoad, (Self.boundedLoad * Double(load + 1) / Double(open)).rounded(.up))
        var choice: Int?
        var best: UInt64 = 0
        for place in places where Double(slots[place].inFlight) < most {
            let score = mixed(session.hash ^ group.terms[place].idHash)
            if choice == nil || score > best { (choice, best) = (place, score) }
        }
        return choice
    }
}

/// A number that stands for a deployment's id, the same in every process.
func stableHash(of id: String) -> UInt64 { id.utf8.reduce(fnvOffset, fnv) }

/// FNV-1a, of 64 bits.
private let fnvOffset: UInt64 = 0xcbf2_9ce4_8422_2325
private func fnv(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }

/// Spreads the bits (the finalizer of SplitMix64).
private func mixed(_ hash: UInt64) -> UInt64 {
    var hash = hash
    hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
    hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
    return hash ^ (hash >> 31)
}
