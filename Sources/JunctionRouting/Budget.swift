// Money that may be spent in a time: reserved by estimate when a deployment is chosen, settled by what was
// used. Knows neither deployments nor prices.
import Synchronization

/// Most that may be spent in a time, as LiteLLM's `max_budget` and `budget_duration`.
public struct BudgetLimit: Sendable, Equatable {
    /// US dollars.
    public var dollars: Double
    /// The budget is whole again after so long, counted from the start of the router.
    public var duration: Duration

    public init(dollars: Double, duration: Duration) {
        self.dollars = dollars
        self.duration = duration
    }
}

extension TokenPrices {
    /// What the tokens cost in whole billionths of a dollar, so that what is given back is to the last one
    /// what was taken; 0 where a price is not known.
    func billionths(of usage: TokenUsage) -> Int { Int(min(((cost(of: usage) ?? 0) * 1e9).rounded(), 1e17)) }
}

/// One budget, whoever shares it.
final class Purse: Sendable {
    let limit: BudgetLimit
    private let state: Mutex<State>
    /// Shows Thread Sanitizer the order that the lock makes, as in `ModelGroup`.
    private let order = Atomic(false)

    private struct State {
        /// Billionths of a dollar.
        let limit: Int
        let seconds: Duration
        var spent = 0
        var period = 0
        var end: Instant

        mutating func advance(to now: Instant) {
            guard now >= end else { return }
            period = Int(now.sinceStart / seconds)
            end = Instant(seconds * (period + 1))
            spent = 0
        }

        func affords(_ cost: Int) -> Bool { spent < limit && cost <= limit - spent }
    }

    init(_ limit: BudgetLimit) {
        self.limit = limit
        let duration = max(limit.duration, .seconds(1))
        state = Mutex(
            State(
                limit: Int(min(limit.dollars * 1e9, 1e17)), seconds: duration, end: Instant(duration)))
    }

    /// Takes what a call will cost; the period that it is taken from. nil: there is not so much left.
    func reserve(_ cost: Int, now: Instant) -> Int? {
        withState(now) { state in
            guard state.affords(cost) else { return nil }
            state.spent += cost
            return state.period
        }
    }

    /// Puts what a call cost in the place of what was reserved. Of a period that is over only what the call
    /// cost beyond the reservation counts, now that it is known.
    func settle(reserved: Int, in period: Int, cost: Int, now: Instant) {
        withState(now) { state in
            state.spent += period == state.period ? cost - reserved : max(0, cost - reserved)
        }
    }

    func affords(_ cost: Int, now: Instant) -> Bool { withState(now) { $0.affords(cost) } }

    /// When it is whole again.
    func end(now: Instant) -> Instant { withState(now) { $0.end } }

    /// US dollars spent in this period, reserved ones included.
    func spent(now: Instant) -> Double { withState(now) { Double($0.spent) * 1e-9 } }

    private func withState<Result: Sendable>(_ now: Instant, _ body: (inout State) -> Result) -> Result {
        state.withLock { state in
            _ = order.load(ordering: .acquiring)
            defer { order.store(true, ordering: .releasing) }
            state.advance(to: now)
            return body(&state)
        }
    }
}

/// The budgets that a call at one deployment is paid from: the deployment's own, its model group's, its
/// provider's.
struct Purses: Sendable {
    /// As many as there can be.
    static let most = 3
    private let purses: [Purse]

    init(_ purses: [Purse?]) { self.purses = purses.compactMap(\.self) }

    var isEmpty: Bool { purses.isEmpty }

    /// Takes the cost from all of them, or from none.
    func reserve(_ cost: Int, now: Instant) -> Spending? {
        var spending = Spending(cost: cost)
        for index in purses.indices {
            guard let period = purses[index].reserve(cost, now: now) else {
                settle(spending, cost: 0, count: index, now: now)
                return nil
            }
            spending.periods[index] = period
        }
        return spending
    }

    func settle(_ spending: Spending, cost: Int, now: Instant) {
        settle(spending, cost: cost, count: purses.count, now: now)
    }

    private func settle(_ spending: Spending, cost: Int, count: Int, now: Instant) {
        for index in 0..<count {
            purses[index].settle(
                reserved: spending.cost, in: spending.periods[index], cost: cost, now: now)
        }
    }

    func affords(_ cost: Int, now: Instant) -> Bool {
        purses.allSatisfy { $0.affords(cost, now: now) }
    }

    /// US dollars spent from the first of them in its present period, reserved ones included.
    func spent(now: Instant) -> Double { purses.first?.spent(now: now) ?? 0 }

    /// When all of them that cannot pay now are whole again; nil: all can.
    func opens(for cost: Int, now: Instant) -> Instant? {
        purses.filter { !$0.affords(cost, now: now) }.map { $0.end(now: now) }.max()
    }
}

/// What a call took from its budgets, and from which period of each.
struct Spending: Sendable {
    var cost = 0
    var periods = InlineArray<3, Int>(repeating: 0)
}
