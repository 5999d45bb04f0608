// How a deployment is chosen among those that are open. One short function a strategy; to add one, add a
// case and a function.

/// How a deployment is chosen. Raw values are those of `routing_strategy`; the last two are Junction's own.
public enum Strategy: String, Sendable, CaseIterable {
    /// The one with the least tokens used in this minute, reserved ones included.
    case usageBased = "usage-based-routing"
    /// At random, weighted by `weight`, else by requests per minute, else by tokens per minute.
    case simpleShuffle = "simple-shuffle"
    /// The one with the fewest calls under way.
    case leastBusy = "least-busy"
    /// The one that answers fastest: seconds a token, or to a stream's first content. One that was never
    /// asked comes first.
    case latencyBased = "latency-based-routing"
    /// The one whose tokens cost least. One of unknown cost comes last.
    case costBased = "cost-based-routing"
    /// Of two at random, the one with fewer calls under way, each weighted by how long it takes to answer.
    case powerOfTwo = "power-of-two"
    /// The one with the largest share of its limits left in this minute, reservations counted; of those
    /// without limits the least used.
    case headroom

    /// The strategy that a configuration names; LiteLLM's `usage-based-routing-v2` is ours without suffix.
    public init?(named name: String) {
        self.init(rawValue: name == "usage-based-routing-v2" ? "usage-based-routing" : name)
    }
}

extension ModelGroup.State {
    /// Chooses among the deployments of `tier` that are open to the call; nil: none is.
    ///
    /// - Parameter isOpen: in the place of what is open by limits and cooldowns.
    mutating func choose(
        from tier: Range<Int>, of group: ModelGroup, for request: PickRequest, _ expected: ExpectedTokens,
        now: Instant, random: inout RandomSource, isOpen: ((Int) -> Bool)? = nil
    ) -> Int? {
        if let session = request.session {
            return choose(for: session, from: tier, of: group) { place in
                isOpen?(place) ?? group.isOpen(place, to: request, expected, self, now: now)
            }
        }
        if let isOpen {
            for place in tier { board.openOneByOne(place, isOpen: isOpen(place)) }
        } else if request.takesAll {
            board.openAll()
        } else {
            for place in tier {
                let isOpen = group.isOpen(place, to: request, expected, self, now: now)
                board.openOneByOne(place, isOpen: isOpen)
            }
        }
        let tokens = Board.score(expected.total)
        switch strategy {
        case .usageBased, .leastBusy, .costBased, .headroom:
            return board.lowest(in: tier, for: tokens, isStreaming: false, &random)
        case .latencyBased:
            return board.lowest(
                in: tier, for: tokens, isStreaming: request.isStreaming, buffer: group.latencyBuffer, &random)
        case .simpleShuffle:
            return weighted(in: tier, tokens, group, &random)
        case .powerOfTwo:
            return lessLoadedOfTwo(in: tier, tokens, isStreaming: request.isStreaming, &random)
        }
    }

    /// The one with less to do of two at random. Where the speed of one is not known, calls alone count.
    private func lessLoadedOfTwo(
        in tier: Range<Int>, _ tokens: Int32, isStreaming: Bool, _ random: inout RandomSource
    ) -> Int? {
        guard let one = anyOpen(in: tier, tokens, &random),
            let other = anyOpen(in: tier, but: one, tokens, &random)
        else { return nil }
        let (its, others) = (
            health[one].latency(isStreaming: isStreaming), health[other].latency(isStreaming: isStreaming)
        )
        let areKnown = its > 0 && others > 0
        let load = Double(slots[one].inFlight + 1) * (areKnown ? its : 1)
        return load <= Double(slots[other].inFlight + 1) * (areKnown ? others : 1) ? one : other
    }

    /// One at random of those that are open; `last` only when it is the only one.
    private func anyOpen(
        in tier: Range<Int>, but last: Int = -1, _ tokens: Int32, _ random: inout RandomSource
    ) -> Int? {
        // Most are open mostly: a few draws nearly always spare the look at all of them.
        for _ in 0..<4 {
            let place = tier.lowerBound + random.below(tier.count)
            if place != last, board.isOpen(place, for: tokens) { return place }
        }
        return board.any(in: tier, but: last, for: tokens, &random)
    }

    /// One at random, each as likely as its weight is large. Weights of zero count when there are no others.
    private func weighted(
        in tier: Range<Int>, _ tokens: Int32, _ group: ModelGroup, _ random: inout RandomSource
    ) -> Int? {
        let weights = group.cumulativeWeights
        let before = tier.lowerBound == 0 ? 0 : weights[tier.lowerBound - 1]
        let all = weights[tier.upperBound - 1] - before
        // A draw that meets a closed one is made again, which leaves the others' shares as they are.
        for _ in 0..<(all > 0 ? 16 : 0) {
            let mark = before + random.fraction() * all
            let place = Self.first(above: mark, in: tier, weights)
            if board.isOpen(place, for: tokens) { return place }
        }
        var open = 0.0
        for place in tier where board.isOpen(place, for: tokens) { open += group.terms[place].weight }
        guard open > 0 else { return board.any(in: tier, for: tokens, &random) }
        var choice: Int?
        var rest = random.fraction() * open
        for place in tier where board.isOpen(place, for: tokens) && group.terms[place].weight > 0 {
            choice = place
            rest -= group.terms[place].weight
            if rest < 0 { break }
        }
        return choice
    }

    /// The first place whose weight, with all before it, is above `mark`; the last if none is.
    private static func first(above mark: Double, in tier: Range<Int>, _ weights: [Double]) -> Int {
        var (low, high) = (tier.lowerBound, tier.upperBound - 1)
        while low < high {
            let middle = (low + high) / 2
            if weights[middle] > mark { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
