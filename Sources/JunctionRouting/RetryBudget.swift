// How many retries, or hedges, a model group may have beside its calls, so that they do not multiply an
// outage. It knows neither calls nor deployments. The form is Finagle's and Linkerd's.

/// Retries that may be made: a share of the calls of the last ten seconds, and some a second in any case.
struct RetryBudget {
    private static let seconds = 10

    private let share: Double
    private let free: Double
    /// What calls added and retries took in each of the last seconds, by the second modulo ten.
    private var changes = InlineArray<10, Double>(repeating: 0)
    private var balance: Double
    private var second = 0
    private var end = Instant(.seconds(1))

    /// - Parameters:
    ///   - share: how many retries each call adds.
    ///   - freeASecond: how many there are without any call.
    init(share: Double, freeASecond: Double = 10) {
        self.share = share
        free = freeASecond * Double(Self.seconds)
        balance = free
    }

    var hasOne: Bool { balance >= 1 }

    mutating func addCall() { change(by: share) }

    mutating func takeRetry() { change(by: -1) }

    /// Forgets what is ten seconds old. Never goes back.
    mutating func advance(to now: Instant) {
        guard now >= end else { return }
        let current = Int(now.sinceStart.components.seconds)
        for number in second + 1...min(current, second + Self.seconds) { changes[number % Self.seconds] = 0 }
        second = current
        end = Instant(.seconds(current + 1))
        // Summed anew, so that no error of rounding stays.
        balance = free
        for index in changes.indices { balance += changes[index] }
    }

    private mutating func change(by amount: Double) {
        changes[second % Self.seconds] += amount
        balance += amount
    }
}
