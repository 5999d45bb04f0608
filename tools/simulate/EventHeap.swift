// What is to happen in a simulation, soonest first. Knows times and numbers only.

/// One thing to happen.
struct Event {
    enum Kind: UInt8 {
        case arrives, firstContent, answers, fails, lapses, timesOut, isSlow, wakes, isWoken, leaves,
            deadlinePasses
    }

    /// Nanoseconds since the start.
    var at: Int
    /// Breaks ties: what was planned first happens first.
    var number: Int
    /// The call that it happens to; for `arrives` the caller.
    var subject: Int32
    /// What of the call it happens to: an attempt or a wait, by the turn in which it began.
    var turn: Int32
    var kind: Kind

    @inline(__always)
    func precedes(_ other: Event) -> Bool { at != other.at ? at < other.at : number < other.number }
}

/// A binary heap of events.
struct EventHeap {
    private var heap: [Event] = []
    private var count = 0

    mutating func push(at: Int, _ kind: Event.Kind, _ subject: Int, turn: Int32 = 0) {
        let event = Event(at: at, number: count, subject: Int32(subject), turn: turn, kind: kind)
        count += 1
        heap.append(event)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard event.precedes(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = event
    }

    mutating func pop() -> Event? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if heap.isEmpty { return first }
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= heap.count { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(last) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = last
        return first
    }
}
