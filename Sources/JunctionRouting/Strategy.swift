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
    func choose(
        by strategy: Strategy, from tier: Range<Int>, of group: ModelGroup, for request: PickRequest,
        now: Instant, random: inout RandomSource
    ) -> Int? {
        switch strategy {
        case .usageBased:
            lowest(in: tier, request, now, &random) { Double(slots[$0].tokensCounted) }
        case .leastBusy:
            lowest(in: tier, request, now, &random) { Double(slots[$0].inFlight) }
        case .costBased:
            lowest(in: tier, request, now, &random) { group.terms[$0].costPerToken }
        case .latencyBased:
            fastest(in: tier, request, now, buffer: group.latencyBuffer, &random)
        case .simpleShuffle:
            weighted(in: tier, request, now, group.terms, &random)
        case .powerOfTwo:
            lessLoadedOfTwo(in: tier, request, now, &random)
        case .headroom:
            lowest(in: tier, request, now, &random) { slots[$0].shareUsed }
        }
    }

    /// The open deployment with the lowest score; one of them at random when several have it.
    @inline(__always)
    private func lowest(
        in tier: Range<Int>, _ request: PickRequest, _ now: Instant, _ random: inout RandomSource,
        score: (Int) -> Double
    ) -> Int? {
        let takesAll = request.takesAll
        var choice: Int?
        var best = Double.infinity
        var ties = 0
        for place in tier where isOpen(place, slots[place], to: request, takesAll: takesAll, now: now) {
            let its = score(place)
            if its > best { continue }
            ties = its < best ? 1 : ties &+ 1
            best = its
            if ties == 1 || random.below(ties) == 0 { choice = place }
        }
        return choice
    }

    /// One at random of those that are at most `buffer` (a share) slower than the fastest.
    private func fastest(
        in tier: Range<Int>, _ request: PickRequest, _ now: Instant, buffer: Double,
        _ random: inout RandomSource
    ) -> Int? {
        func seconds(_ place: Int) -> Double { health[place].latency(isStreaming: request.isStreaming) }
        guard let first = lowest(in: tier, request, now, &random, score: seconds) else { return nil }
        if buffer <= 0 { return first }
        let bound = seconds(first) * (1 + buffer)
        return lowest(in: tier, request, now, &random) { seconds($0) > bound ? 1 : 0 }
    }

    /// The one with less to do of two at random. Where the speed of one is not known, calls alone count.
    private func lessLoadedOfTwo(
        in tier: Range<Int>, _ request: PickRequest, _ now: Instant, _ random: inout RandomSource
    ) -> Int? {
        guard let one = anyOpen(in: tier, request, now, &random),
            let other = anyOpen(in: tier, but: one, request, now, &random)
        else { return nil }
        let (its, others) = (
            health[one].latency(isStreaming: request.isStreaming),
            health[other].latency(isStreaming: request.isStreaming)
        )
        let areKnown = its > 0 && others > 0
        let load = Double(slots[one].inFlight + 1) * (areKnown ? its : 1)
        return load <= Double(slots[other].inFlight + 1) * (areKnown ? others : 1) ? one : other
    }

    /// One at random of those that are open; `last` only when it is the only one.
    private func anyOpen(
        in tier: Range<Int>, but last: Int? = nil, _ request: PickRequest, _ now: Instant,
        _ random: inout RandomSource
    ) -> Int? {
        // Most are open mostly: a few draws nearly always spare the look at all of them.
        for _ in 0..<4 {
            let place = tier.lowerBound + random.below(tier.count)
            if place != last, isOpen(place, to: request, now: now) { return place }
        }
        return lowest(in: tier, request, now, &random) { $0 == last ? 1 : 0 }
    }

    /// One at random, each as likely as its weight is large. Weights of zero count when there are no others.
    private func weighted(
        in tier: Range<Int>, _ request: PickRequest, _ now: Instant, _ terms: [Terms],
        _ random: inout RandomSource
    ) -> Int? {
        let takesAll = request.takesAll
        var total = 0.0
        for place in tier where isOpen(place, slots[place], to: request, takesAll: takesAll, now: now) {
            total += terms[place].weight
        }
        guard total > 0 else { return lowest(in: tier, request, now, &random) { _ in 0 } }
        var choice: Int?
        var rest = random.fraction() * total
        for place in tier where isOpen(place, to: request, now: now) && terms[place].weight > 0 {
            choice = place
            rest -= terms[place].weight
            if rest < 0 { break }
        }
        return choice
    }
}
