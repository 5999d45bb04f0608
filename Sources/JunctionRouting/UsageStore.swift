// What several instances of a router count together: the questions, as values, and the protocol of whoever
// answers them. The core does not know whether that is a table in memory or a Redis.

/// Keeps the usage of model groups for all instances that share their limits. An instance joins a model group
/// first; then it reserves, one call at a time or a block ahead, and reports what became of it.
///
/// Counted in buckets of a quarter second of the store's own clock, by their number since its start; a bucket
/// leaves when 60 seconds are over since its end, so that no 60 seconds ever hold more than a limit. A block
/// is put into a later bucket, up to whose end it may be used: it leaves as much later.
public protocol UsageStore: AnyObject {
    /// Chooses among deployments and reserves there, in one step.
    func reserve(
        _ request: SharedRequest, of member: StoreMember, then: @escaping (StoreAnswer<SharedReply>) -> Void)
    /// Reports and asks for whatever an instance has to say and to know of a model group.
    func exchange(
        _ report: SharedReport, of member: StoreMember, then: @escaping (StoreAnswer<SharedNews>) -> Void)
}

/// An instance of the router, as a model group of the store knows it.
public struct StoreMember: Sendable, Equatable {
    public var name: String
    /// Raised with every join. What was sent before the last join, and is only now performed, is refused.
    public var epoch: Int

    public init(name: String, epoch: Int) {
        self.name = name
        self.epoch = epoch
    }

    /// Without a word for so long an instance counts as gone: what it held in flight is free.
    public static let lifetime = Duration.seconds(10)
    /// How often an instance speaks at least.
    public static let heartbeat = Duration.seconds(3)
}

/// What comes back from a store.
public enum StoreAnswer<Content: Sendable>: Sendable {
    case content(Content)
    /// The store does not know the member, or knows it under a later epoch: it has to join.
    case unknownMember
    /// The store does not answer. What was asked may have been done, or may be yet.
    case unavailable(String)

    public var content: Content? { if case .content(let content) = self { content } else { nil } }
}

/// One deployment of a model group, or the group as a whole, as a store has to know it.
public struct SharedRow: Sendable, Equatable {
    /// The deployment's id; "" for the whole group.
    public var name: String
    /// Most tokens in 60 seconds, requests in 60 seconds, and requests under way; nil: no limit.
    public var tokensLimit: Int?
    public var requestsLimit: Int?
    public var parallelLimit: Int?
    /// Most that may be spent in a time; nil: no limit.
    public var budget: SharedBudget?
    /// What the call costs there, in billionths of a dollar.
    public var cost = 0

    public init(
        name: String, tokensLimit: Int? = nil, requestsLimit: Int? = nil, parallelLimit: Int? = nil,
        budget: SharedBudget? = nil
    ) {
        self.name = name
        self.tokensLimit = tokensLimit
        self.requestsLimit = requestsLimit
        self.parallelLimit = parallelLimit
        self.budget = budget
    }
}

/// Money for a time. Such times follow one another from the start of the store's clock.
public struct SharedBudget: Sendable, Equatable {
    /// Billionths of a dollar.
    public var limit: Int
    public var seconds: Int

    /// Which of its times a bucket lies in.
    func period(of bucket: Int) -> Int { bucket / StoreClock.bucketsASecond / seconds }

    public init(limit: Int, seconds: Int) {
        self.limit = limit
        self.seconds = seconds
    }
}

/// Tokens, requests and places in flight.
public struct SharedAmount: Sendable, Equatable {
    public var tokens: Int
    public var requests: Int
    public var parallel: Int

    public init(tokens: Int = 0, requests: Int = 0, parallel: Int = 0) {
        self.tokens = tokens
        self.requests = requests
        self.parallel = parallel
    }

    public var isNothing: Bool { self == SharedAmount() }
}

/// One call looks for a deployment.
public struct SharedRequest: Sendable {
    public var modelGroup: String
    /// Tokens of the call.
    public var tokens: Int
    /// Whether the one with the fewest tokens is chosen, or the first with room.
    public var choosesLeastUsed: Bool
    /// Whether candidates that cool down may be chosen.
    public var ignoresCooldowns = false
    /// In the order of preference.
    public var candidates: [SharedRow]
    /// The limits of the whole group; nil: it has none.
    public var whole: SharedRow?
    /// What is to be granted beside the call, as far as the limits allow it.
    public var block: SharedAmount

    public init(
        modelGroup: String, tokens: Int, choosesLeastUsed: Bool = false, candidates: [SharedRow],
        whole: SharedRow? = nil, block: SharedAmount = SharedAmount()
    ) {
        self.modelGroup = modelGroup
        self.tokens = tokens
        self.choosesLeastUsed = choosesLeastUsed
        self.candidates = candidates
        self.whole = whole
        self.block = block
    }
}

public enum SharedReply: Sendable, Equatable {
    case granted(SharedGrant)
    /// No candidate has room. When the first has it if nothing else happens; nil: none ever has.
    case full(opensAfter: Duration?)
}

/// What one call was given.
public struct SharedGrant: Sendable, Equatable {
    /// The candidate, by its index in the request.
    public var candidate: Int
    /// The bucket that the call counts in.
    public var bucket: Int
    /// What was granted beside it.
    public var block: SharedBlock
    public var clock: StoreClock

    public init(candidate: Int, bucket: Int, block: SharedBlock, clock: StoreClock) {
        self.candidate = candidate
        self.bucket = bucket
        self.block = block
        self.clock = clock
    }
}

/// Room that an instance may give to its calls by itself.
public struct SharedBlock: Sendable, Equatable {
    /// Tokens and requests, to be used before `bucket` is over; places in flight, until they are given back.
    public var amount: SharedAmount
    public var bucket: Int

    public init(amount: SharedAmount, bucket: Int) {
        self.amount = amount
        self.bucket = bucket
    }
}

/// The time by the store's clock.
public struct StoreClock: Sendable, Equatable {
    /// Usage is counted in buckets of this length.
    public static let bucketLength = Duration.milliseconds(250)
    /// Buckets in a second.
    public static let bucketsASecond = 4
    /// A bucket leaves with the one so much after its own: the buckets of 60 seconds, and its own.
    public static let windowBuckets = 60 * bucketsASecond + 1

    public var second: Int
    public var microsecond: Int

    public init(second: Int, microsecond: Int) {
        self.second = second
        self.microsecond = microsecond
    }

    /// From this moment to the end of a bucket.
    public func untilEnd(of bucket: Int) -> Duration {
        Self.bucketLength * (bucket + 1) - .seconds(second) - .microseconds(microsecond)
    }
}

extension Duration {
    /// The bucket of a time since the start of the store's clock.
    var bucket: Int {
        let (seconds, attoseconds) = components
        let part = attoseconds / (1_000_000_000_000_000_000 / Int64(StoreClock.bucketsASecond))
        return Int(seconds) * StoreClock.bucketsASecond + Int(part)
    }
}

/// A cooldown, as instances tell each other.
public struct SharedCooldown: Sendable, Equatable {
    /// Zero: it is over, sooner than was told before.
    public var left: Duration
    public var cause: Failure.Kind

    public init(left: Duration, cause: Failure.Kind) {
        self.left = left
        self.cause = cause
    }
}

/// How long a deployment takes: mean seconds a completion token of whole answers, and to the first content of
/// streams; 0: not known.
public struct SharedLatency: Sendable, Equatable {
    public var perToken: Double
    public var toFirstContent: Double

    public init(perToken: Double = 0, toFirstContent: Double = 0) {
        self.perToken = perToken
        self.toFirstContent = toFirstContent
    }
}

/// What an instance has to say of a model group, and asks for.
public struct SharedReport: Sendable {
    public enum Purpose: Int, Sendable {
        case reports = 0
        case joins, leaves
    }

    /// What is to be put right of one deployment in one bucket: positive, what was used beside all
    /// reservations; negative, what was reserved and not used. Once the bucket has left its window, more
    /// counts now and less does not count.
    public struct Correction: Sendable, Equatable {
        /// The entry of the report.
        public var row: Int
        public var bucket: Int
        public var tokens: Int
        public var requests: Int
        /// Billionths of a dollar.
        public var cost: Int

        public init(row: Int, bucket: Int, tokens: Int, requests: Int, cost: Int = 0) {
            self.row = row
            self.bucket = bucket
            self.tokens = tokens
            self.requests = requests
            self.cost = cost
        }
    }

    /// One deployment.
    public struct Entry: Sendable {
        public var row: SharedRow
        /// What is wanted ahead.
        public var wanted = SharedAmount()
        /// Places in flight given back since the last report; with a join, all that are held.
        public var parallel = 0
        public var cooldown: SharedCooldown?
        public var latency = SharedLatency()

        public init(row: SharedRow) { self.row = row }
    }

    public var modelGroup: String
    public var purpose: Purpose
    /// Rises with each new report of a member. A report is sent until it is answered, and one that was seen
    /// before changes nothing, so that a lost answer never counts twice.
    public var number: Int
    public var entries: [Entry]
    /// The limits of the whole group; nil: it has none.
    public var whole: SharedRow?
    public var corrections: [Correction]

    public init(
        modelGroup: String, purpose: Purpose = .reports, number: Int, entries: [Entry],
        whole: SharedRow? = nil, corrections: [Correction] = []
    ) {
        self.modelGroup = modelGroup
        self.purpose = purpose
        self.number = number
        self.entries = entries
        self.whole = whole
        self.corrections = corrections
    }
}

/// What an instance hears of a model group.
public struct SharedNews: Sendable {
    /// One deployment, in the order of the report's entries.
    public struct Entry: Sendable, Equatable {
        /// What all instances have reserved or used, in the window and in flight.
        public var used: SharedAmount
        /// Billionths of a dollar spent in this time of the budget.
        public var spent = 0
        /// What was granted of that which was wanted.
        public var block: SharedBlock
        public var cooldown: SharedCooldown?
        public var latency: SharedLatency

        public init(
            used: SharedAmount, block: SharedBlock, cooldown: SharedCooldown?, latency: SharedLatency
        ) {
            self.used = used
            self.block = block
            self.cooldown = cooldown
            self.latency = latency
        }
    }

    /// How many instances share the model group.
    public var members: Int
    /// Whether the member has reported since the store began; false after a join where all was lost, or never
    /// was. An earlier join does not count: its answer may have been lost, and the rest not told again.
    public var wasKnown: Bool
    public var clock: StoreClock
    public var entries: [Entry]

    public init(members: Int, wasKnown: Bool, clock: StoreClock, entries: [Entry]) {
        self.members = members
        self.wasKnown = wasKnown
        self.clock = clock
        self.entries = entries
    }
}
