// What the calls of one loop were and came to, since it began: plain numbers in places that are known by
// index, so that counting a call takes no lock, no name and no memory. Knows nothing of how they are shown.
import JunctionRPC
import JunctionRouting

/// Counters, summed over loops when somebody looks.
struct Tally: Sendable {
    enum Method: Int, CaseIterable { case complete, stream, embed }

    /// What happened to calls of a model group.
    enum Turn: Int, CaseIterable { case retry, fallback, hedge, rescue }

    /// How an attempt ended.
    enum Outcome: Equatable {
        case answered
        /// Another one of its call was quicker.
        case outrun
        case failed(Failure.Kind)

        static let all: [Outcome] = [.answered, .outrun] + Failure.Kind.allCases.map(Outcome.failed)
        static let count = 16

        fileprivate var index: Int {
            switch self {
            case .answered: 0
            case .outrun: 1
            case .failed(let kind): 2 + kind.rawValue
            }
        }
    }

    // Written out, since what is known when it is built costs a call nothing.
    private static let codes = 17
    private static let methods = 3
    private static let turns = 4

    /// The place of calls that were refused before they had a model group.
    let noGroup: Int
    private var requests: [Int]
    private var turned: [Int]
    /// By deployment; one more place is for what is none that is configured.
    private var attempts: [Int]
    private var promptTokens: [Int]
    private var completionTokens: [Int]
    private(set) var durations: Timings
    private(set) var firstContents: Timings

    init(modelGroups: Int, deployments: Int) {
        func zeros(_ count: Int) -> [Int] { [Int](repeating: 0, count: count) }
        precondition(
            Self.codes == Status.Code.allCases.count && Self.methods == Method.allCases.count
                && Self.turns == Turn.allCases.count && Outcome.count == Outcome.all.count)
        noGroup = modelGroups
        requests = zeros((modelGroups + 1) * Self.methods * Self.codes)
        turned = zeros(modelGroups * Self.turns)
        attempts = zeros((deployments + 1) * Outcome.count)
        promptTokens = zeros(deployments + 1)
        completionTokens = zeros(deployments + 1)
        durations = Timings(modelGroups: modelGroups)
        firstContents = Timings(modelGroups: modelGroups)
    }

    // MARK: Counting

    /// A call that has ended.
    mutating func count(
        _ method: Method, modelGroup: Int, code: Status.Code, nanoseconds: Int64, usedFallback: Bool
    ) {
        requests[index(modelGroup, method, code)] += 1
        durations.add(nanoseconds, modelGroup: modelGroup)
        if usedFallback { count(.fallback, modelGroup: modelGroup) }
    }

    /// A call that was refused as it came.
    mutating func count(refused method: Method, code: Status.Code) {
        requests[index(noGroup, method, code)] += 1
    }

    mutating func count(_ turn: Turn, modelGroup: Int) {
        turned[modelGroup * Self.turns + turn.rawValue] += 1
    }

    mutating func count(firstContentAfter nanoseconds: Int64, modelGroup: Int) {
        firstContents.add(nanoseconds, modelGroup: modelGroup)
    }

    /// An attempt that has ended, and what it used as far as is known.
    mutating func count(_ outcome: Outcome, deployment: Int, _ used: TokenUsage?) {
        attempts[deployment * Outcome.count + outcome.index] += 1
        guard let used else { return }
        promptTokens[deployment] += used.prompt
        completionTokens[deployment] += used.completion
    }

    private func index(_ modelGroup: Int, _ method: Method, _ code: Status.Code) -> Int {
        (modelGroup * Self.methods + method.rawValue) * Self.codes + code.rawValue
    }

    // MARK: Looking

    func requests(modelGroup: Int, _ method: Method, _ code: Status.Code) -> Int {
        requests[index(modelGroup, method, code)]
    }

    func turned(_ turn: Turn, modelGroup: Int) -> Int { turned[modelGroup * Self.turns + turn.rawValue] }

    func attempts(deployment: Int, _ outcome: Outcome) -> Int {
        attempts[deployment * Outcome.count + outcome.index]
    }

    func tokens(deployment: Int) -> (prompt: Int, completion: Int) {
        (promptTokens[deployment], completionTokens[deployment])
    }

    static func += (sum: inout Tally, other: Tally) {
        sum.requests.add(other.requests)
        sum.turned.add(other.turned)
        sum.attempts.add(other.attempts)
        sum.promptTokens.add(other.promptTokens)
        sum.completionTokens.add(other.completionTokens)
        sum.durations += other.durations
        sum.firstContents += other.firstContents
    }
}

/// How long things took, a histogram for each model group.
struct Timings: Sendable {
    /// Seconds; what took longer than all of them has a place of its own behind.
    static let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
    private static let limits = bounds.map { Int64($0 * 1e9) }
    private static let places = 16
    private var counts: [Int]
    private var sums: [Int64]

    init(modelGroups: Int) {
        precondition(Self.places == Self.bounds.count + 1)
        counts = [Int](repeating: 0, count: modelGroups * Self.places)
        sums = [Int64](repeating: 0, count: modelGroups)
    }

    mutating func add(_ nanoseconds: Int64, modelGroup: Int) {
        let limits = Self.limits
        var place = 0
        while place < limits.count, nanoseconds > limits[place] { place += 1 }
        counts[modelGroup * Self.places + place] += 1
        sums[modelGroup] += nanoseconds
    }

    /// How many took no longer than each bound; the last is all.
    func atMost(modelGroup: Int) -> [Int] {
        var sum = 0
        return counts[modelGroup * Self.places..<(modelGroup + 1) * Self.places].map { count in
            sum += count
            return sum
        }
    }

    func seconds(modelGroup: Int) -> Double { Double(sums[modelGroup]) / 1e9 }

    static func += (sum: inout Timings, other: Timings) {
        sum.counts.add(other.counts)
        for index in sum.sums.indices { sum.sums[index] += other.sums[index] }
    }
}

extension [Int] {
    fileprivate mutating func add(_ other: [Int]) {
        for index in indices { self[index] += other[index] }
    }
}
