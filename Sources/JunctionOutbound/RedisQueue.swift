// Commands that Redis has not answered yet, in the order in which it will. Reads no clock.
import JunctionTransport

/// What is to be done with a reply.
struct RedisCall {
    var completion: RedisClient.Completion?
    /// Loaded when the server does not know it.
    var script: RedisScript?
    /// How often the command was sent again already.
    var hops = 0
}

/// One command on its way.
struct UnansweredCommand {
    var call: RedisCall
    var deadline: ContinuousClock.Instant
    /// Its length as it was sent.
    var byteCount: Int
    /// Its completion has been told that it is late: the reply is skipped when it comes.
    var isGivenUp = false
}

/// First in, first out; all have the same time, so those that are late are the first ones.
struct RedisQueue {
    private var entries: ContiguousArray<UnansweredCommand> = []
    private var head = 0
    /// Of `entries`, how many are answered or given up.
    private var lateEnd = 0

    var isEmpty: Bool { head == entries.count }
    var count: Int { entries.count - head }

    mutating func append(_ command: UnansweredCommand) { entries.append(command) }

    mutating func popFirst() -> UnansweredCommand? {
        guard head < entries.count else { return nil }
        let first = entries[head]
        entries[head].call = RedisCall()
        head += 1
        lateEnd = max(lateEnd, head)
        if head == entries.count {
            entries.removeAll(keepingCapacity: head < 4096)
            head = 0
            lateEnd = 0
        } else if head >= 4096 && head * 2 >= entries.count {
            entries.removeFirst(head)
            lateEnd -= head
            head = 0
        }
        return first
    }

    /// When the next one is late; nil: none is waited for.
    var nextDeadline: ContinuousClock.Instant? {
        lateEnd < entries.count ? entries[lateEnd].deadline : nil
    }

    /// The next one that is late, given up with this.
    mutating func giveUpFirst(lateAt now: ContinuousClock.Instant) -> RedisCall? {
        guard let deadline = nextDeadline, deadline <= now else { return nil }
        entries[lateEnd].isGivenUp = true
        defer { lateEnd += 1 }
        let call = entries[lateEnd].call
        entries[lateEnd].call = RedisCall()
        return call
    }
}
