// One event loop a thread, on libuv: readiness of descriptors, timers, signals, wake-ups from other threads,
// name resolution. Knows no protocol. Everything but `submit` and `stop` belongs to the loop's own thread.
internal import CUV
import Glibc
import Synchronization

/// What a descriptor is watched for, or is ready for.
public struct Interest: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let read = Interest(rawValue: 1)
    public static let write = Interest(rawValue: 2)
}

/// Something with output to write at the end of a turn, such as a connection.
public protocol Flushable: AnyObject {
    /// Called once at the end of each turn in which the object was marked dirty.
    func flush()
}

/// A loop of turns: wait for events, let their handlers run, then write what they left behind, once.
public final class EventLoop: @unchecked Sendable {
    private let loop: UnsafeMutablePointer<uv_loop_t>
    private let waker: UnsafeMutablePointer<uv_async_t>
    private let alarm: UnsafeMutablePointer<uv_timer_t>
    private let beforePoll: UnsafeMutablePointer<uv_prepare_t>
    private let submitted = Mutex<[@Sendable () -> Void]>([])
    private let isStopping = Atomic(false)
    @exclusivity(unchecked) private var timers = TimerHeap()
    @exclusivity(unchecked) private var alarmDue = Int64.max
    @exclusivity(unchecked) private var beforeSleepActions: [() -> Void] = []
    @exclusivity(unchecked) private var dirty: [any Flushable] = []
    @exclusivity(unchecked) private var flushing: [any Flushable] = []
    @exclusivity(unchecked) private var mustRunAgain = false
    /// The time in nanoseconds since `origin`; -1: not read since the last wait.
    @exclusivity(unchecked) private var cachedTime: Int64 = -1
    @exclusivity(unchecked) private var kept: [AnyObject] = []
    /// Shared by the connections of this loop.
    let transferBuffer = TransferBuffer()
    /// When the last turn ended, and since when no wait was longer than it takes to look.
    @exclusivity(unchecked) private var turnEnd: Int64 = 0
    @exclusivity(unchecked) private var busySince: Int64 = 0
    /// Turns taken so far; for tests that show that a loop sleeps.
    @exclusivity(unchecked) public private(set) var turns = 0

    public init() {
        signal(SIGPIPE, SIG_IGN)
        loop = .allocate(capacity: 1)
        waker = .allocate(capacity: 1)
        alarm = .allocate(capacity: 1)
        beforePoll = .allocate(capacity: 1)
        precondition(uv_loop_init(loop) == 0, "the system gives no event loop: too many open files?")
        let me = Unmanaged.passUnretained(self).toOpaque()
        uv_async_init(loop, waker) { EventLoop.of($0!.pointee.data).runSubmitted() }
        uv_timer_init(loop, alarm)
        uv_prepare_init(loop, beforePoll)
        waker.pointee.data = me
        alarm.pointee.data = me
        beforePoll.pointee.data = me
        uv_prepare_start(beforePoll) { prepare in
            Unmanaged<EventLoop>.fromOpaque(prepare!.pointee.data)._withUnsafeGuaranteedRef {
                $0.cachedTime = -1
            }
        }
    }

    deinit {
        uv_close(UnsafeMutableRawPointer(waker).assumingMemoryBound(to: uv_handle_t.self), nil)
        uv_close(UnsafeMutableRawPointer(alarm).assumingMemoryBound(to: uv_handle_t.self), nil)
        uv_close(UnsafeMutableRawPointer(beforePoll).assumingMemoryBound(to: uv_handle_t.self), nil)
        // Watches that their owners never closed: their descriptors are not ours, but their memory is.
        uv_walk(
            loop,
            { handle, _ in
                guard let handle, uv_is_closing(handle) == 0 else { return }
                switch uv_handle_get_type(handle) {
                case UV_POLL:
                    Unmanaged<DescriptorWatch>.fromOpaque(handle.pointee.data).takeUnretainedValue().close()
                case UV_SIGNAL:
                    Unmanaged<SignalWatch>.fromOpaque(handle.pointee.data).takeUnretainedValue().close()
                default: break
                }
            }, nil)
        uv_run(loop, UV_RUN_NOWAIT)
        // A name that is still being looked up needs the loop: a leak is better than a crash.
        guard uv_loop_close(loop) == 0 else { return }
        waker.deallocate()
        alarm.deallocate()
        beforePoll.deallocate()
        loop.deallocate()
    }

    private static func of(_ data: UnsafeMutableRawPointer?) -> EventLoop {
        Unmanaged<EventLoop>.fromOpaque(data!).takeUnretainedValue()
    }

    // MARK: Turns

    /// Takes turns on the calling thread until `stop`.
    public func run() {
        while !isStopping.load(ordering: .acquiring) { takeTurn() }
        runSubmitted()
        endTurn()
        kept = []
    }

    /// Keeps `object` until `run` ends; it is let go of on the loop's thread, where it belongs.
    public func keep(_ object: AnyObject) { kept.append(object) }

    func takeTurn() {
        let isDue = setAlarm()
        let mustNotWait = isDue || mustRunAgain || !dirty.isEmpty
        mustRunAgain = false
        uv_run(loop, mustNotWait ? UV_RUN_NOWAIT : UV_RUN_ONCE)
        turns &+= 1
        fireTimers()
        endTurn()
    }

    private func endTurn() {
        // What ends a turn may wait for nothing and yet take a while, such as a provider that answers at
        // once.
        if time - turnEnd > EventLoop.shortestSleep { busySince = time }
        cachedTime = -1
        for action in beforeSleepActions { action() }
        swap(&dirty, &flushing)
        for flushable in flushing { flushable.flush() }
        flushing.removeAll(keepingCapacity: true)
        turnEnd = EventLoop.readClock()
    }

    private static let shortestSleep: Int64 = 200_000

    /// For how long the loop has had something to do at every moment, in nanoseconds.
    public var busyTime: Int64 { turnEnd - busySince }

    /// Ends `run` after the turn under way. From any thread.
    public nonisolated func stop() {
        isStopping.store(true, ordering: .releasing)
        uv_async_send(waker)
    }

    /// Runs `job` on the loop's thread. From any thread; in order.
    public nonisolated func submit(_ job: @escaping @Sendable () -> Void) {
        let isFirst = submitted.withLock { jobs in
            jobs.append(job)
            return jobs.count == 1
        }
        if isFirst { uv_async_send(waker) }
    }

    private func runSubmitted() {
        let jobs = submitted.withLock { jobs in
            defer { jobs = [] }
            return jobs
        }
        for job in jobs { job() }
    }

    /// The time, read once between two waits.
    public var now: ContinuousClock.Instant { EventLoop.origin + .nanoseconds(time) }

    /// The same in nanoseconds, counted from a moment before any loop; far cheaper to reckon with.
    public var time: Int64 {
        if cachedTime < 0 { cachedTime = EventLoop.readClock() }
        return cachedTime
    }

    /// An instant as `time` counts it.
    public static func time(of instant: ContinuousClock.Instant) -> Int64 {
        (instant - origin).inNanoseconds
    }

    private static func readClock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return time.nanoseconds &- start.time
    }

    /// Seconds since 1970 by the system's clock, which may jump: for what other machines are told.
    public var secondsSince1970: Int64 {
        var time = uv_timeval64_t()
        uv_gettimeofday(&time)
        return time.tv_sec
    }

    /// Runs `action` at the end of every turn, before connections are flushed.
    public func beforeSleep(_ action: @escaping () -> Void) {
        beforeSleepActions.append(action)
    }

    /// The next turn does not wait, so that `beforeSleep` actions run again soon.
    public func runAgain() { mustRunAgain = true }

    /// Has `flushable.flush()` run at the end of this turn. The caller keeps its own mark so as to ask once a
    /// turn.
    public func markDirty(_ flushable: any Flushable) { dirty.append(flushable) }

    /// Names the calling thread, as `top -H` shows it; at most 15 bytes.
    static func nameThread(_ name: String) { junction_name_thread(name) }

    // MARK: Timers

    /// Runs `action` once after `delay`, in the first turn that begins no earlier. Millisecond resolution.
    public func schedule(after delay: Duration, _ action: @escaping () -> Void) -> Timer {
        let timer = Timer(loop: self, action: action)
        timer.reschedule(after: delay)
        return timer
    }

    fileprivate func place(_ timer: Timer, after delay: Duration) {
        // At least a nanosecond on, so that a timer that always asks for "at once" leaves the turn to others.
        timer.due = time &+ max(1, delay.inNanoseconds)
        // A timer that moves back, as idle time-outs do with each piece, stays where it is in the heap and is
        // looked at again when its old time comes.
        if timer.heapIndex >= 0 && timer.due >= timer.key { return }
        if timer.heapIndex >= 0 { timers.remove(timer) }
        timer.key = timer.due
        timers.insert(timer)
    }

    fileprivate func remove(_ timer: Timer) {
        if timer.heapIndex >= 0 { timers.remove(timer) }
    }

    /// One moment by two names: the clock behind `ContinuousClock` is CLOCK_BOOTTIME.
    private static let start = {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return (instant: ContinuousClock.now, time: time.nanoseconds)
    }()
    private static var origin: ContinuousClock.Instant { start.instant }

    /// Has libuv end its wait when the first timer is due; true when it is due already.
    private func setAlarm() -> Bool {
        let due = timers.firstKey
        // An alarm that goes off too early is cheaper than one that moves with each call.
        if due >= alarmDue && alarmDue >= 0 { return false }
        alarmDue = due
        guard due != .max else {
            uv_timer_stop(alarm)
            return false
        }
        let delay = max(0, due - EventLoop.readClock())
        uv_update_time(loop)
        // libuv may call an alarm that is due before it waits; the repeat keeps that wait short.
        uv_timer_start(
            alarm, { EventLoop.of($0!.pointee.data).alarmDue = -1 }, UInt64((delay + 999_999) / 1_000_000), 1)
        return delay == 0
    }

    private func fireTimers() {
        guard timers.firstKey != .max, timers.firstKey <= time else { return }
        let time = self.time
        while let timer = timers.first, timer.key <= time {
            timers.remove(timer)
            if timer.due > time {
                timer.key = timer.due
                timers.insert(timer)
            } else {
                timer.action?()
            }
        }
    }

    // MARK: Descriptors, signals, names

    /// Calls `handler` whenever the descriptor is ready for what it is watched for, or has failed (then it is
    /// told of both, so that reading or writing shows the error). Level-triggered.
    public func watch(
        _ descriptor: Int32, _ interest: Interest, _ handler: @escaping (Interest) -> Void
    ) -> DescriptorWatch {
        DescriptorWatch(loop: loop, descriptor: descriptor, interest: interest, handler: handler)
    }

    /// Calls `action` on the loop's thread each time the process gets `signal`.
    public func onSignal(_ signal: Int32, _ action: @escaping () -> Void) -> SignalWatch {
        SignalWatch(loop: loop, signal: signal, action: action)
    }

    /// Finds the addresses of a host on a thread of libuv's pool; `completion` runs on the loop with the
    /// addresses, or with none and what went wrong.
    public func resolve(host: String, port: Int, completion: @escaping ([SocketAddress], String?) -> Void) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
        request.pointee.data = Unmanaged.passRetained(Resolution(completion)).toOpaque()
        let started = uv_getaddrinfo(
            loop, request,
            { request, status, first in
                let resolution = Unmanaged<Resolution>.fromOpaque(request!.pointee.data).takeRetainedValue()
                var addresses: [SocketAddress] = []
                var next = first
                while let entry = next {
                    addresses.append(SocketAddress(entry.pointee.ai_addr, entry.pointee.ai_addrlen))
                    next = entry.pointee.ai_next
                }
                uv_freeaddrinfo(first)
                request!.deallocate()
                resolution.completion(addresses, status == 0 ? nil : String(cString: uv_strerror(status)))
            }, host, String(port), &hints)
        guard started != 0 else { return }
        Unmanaged<Resolution>.fromOpaque(request.pointee.data).release()
        request.deallocate()
        completion([], String(cString: uv_strerror(started)))
    }

    private final class Resolution {
        let completion: ([SocketAddress], String?) -> Void
        init(_ completion: @escaping ([SocketAddress], String?) -> Void) { self.completion = completion }
    }
}

/// A time at which something is to happen. Confined to its loop.
public final class Timer {
    private unowned(unsafe) let loop: EventLoop
    @exclusivity(unchecked) fileprivate var action: (() -> Void)?
    @exclusivity(unchecked) fileprivate var due: Int64 = 0
    /// The time under which the heap holds it: `due` or earlier.
    @exclusivity(unchecked) fileprivate var key: Int64 = 0
    @exclusivity(unchecked) fileprivate var heapIndex = -1

    fileprivate init(loop: EventLoop, action: @escaping () -> Void) {
        self.loop = loop
        self.action = action
    }

    /// Fires after `delay` from now instead; also when it has fired or was cancelled.
    public func reschedule(after delay: Duration) { loop.place(self, after: delay) }

    /// Does not fire until it is rescheduled.
    public func cancel() { loop.remove(self) }

    /// Never fires again, and lets go of what its action holds.
    public func invalidate() {
        loop.remove(self)
        action = nil
    }
}

/// A binary heap of timers by `key`; each knows its place, so that it can be taken out.
private struct TimerHeap {
    private var timers: [Timer] = []
    var first: Timer? { timers.first }
    /// When the first is to be looked at; `max`: there is none.
    var firstKey: Int64 { timers.first?.key ?? .max }

    mutating func insert(_ timer: Timer) {
        timers.append(timer)
        timer.heapIndex = timers.count - 1
        up(timer.heapIndex)
    }

    mutating func remove(_ timer: Timer) {
        let index = timer.heapIndex
        timer.heapIndex = -1
        let last = timers.removeLast()
        guard last !== timer else { return }
        put(last, index)
        up(index)
        down(last.heapIndex)
    }

    private mutating func put(_ timer: Timer, _ index: Int) {
        timers[index] = timer
        timer.heapIndex = index
    }

    private mutating func up(_ start: Int) {
        var index = start
        let timer = timers[index]
        while index > 0, timers[(index - 1) / 2].key > timer.key {
            put(timers[(index - 1) / 2], index)
            index = (index - 1) / 2
        }
        put(timer, index)
    }

    private mutating func down(_ start: Int) {
        var index = start
        let timer = timers[index]
        while 2 * index + 1 < timers.count {
            var child = 2 * index + 1
            if child + 1 < timers.count, timers[child + 1].key < timers[child].key { child += 1 }
            if timers[child].key >= timer.key { break }
            put(timers[child], index)
            index = child
        }
        put(timer, index)
    }
}

/// A descriptor that a loop watches. Close it before the descriptor.
public final class DescriptorWatch {
    @exclusivity(unchecked) private var handle: UnsafeMutablePointer<uv_poll_t>?
    @exclusivity(unchecked) private var handler: ((Interest) -> Void)?
    @exclusivity(unchecked) public private(set) var interest: Interest = []

    fileprivate init(
        loop: UnsafeMutablePointer<uv_loop_t>, descriptor: Int32, interest: Interest,
        handler: @escaping (Interest) -> Void
    ) {
        self.handler = handler
        let handle = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
        precondition(uv_poll_init(loop, handle, descriptor) == 0, "not a descriptor that can be watched")
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        self.handle = handle
        update(interest)
    }

    /// Watches for `interest` from now on; each change costs a system call.
    public func update(_ interest: Interest) {
        guard let handle, interest != self.interest else { return }
        self.interest = interest
        var events: UInt32 = 0
        if interest.contains(.read) { events |= UV_READABLE.rawValue }
        if interest.contains(.write) { events |= UV_WRITABLE.rawValue }
        let result = uv_poll_start(handle, Int32(events)) { handle, status, events in
            // libuv holds it until it is closed and the callbacks are over.
            Unmanaged<DescriptorWatch>.fromOpaque(handle!.pointee.data)._withUnsafeGuaranteedRef {
                $0.became(status: status, events: UInt32(events))
            }
        }
        precondition(result == 0, "the descriptor is watched already, or closed")
    }

    private func became(status: Int32, events: UInt32) {
        var ready: Interest = []
        if status < 0 {
            // libuv has stopped watching.
            interest = []
            ready = [.read, .write]
        }
        if events & UV_READABLE.rawValue != 0 { ready.insert(.read) }
        if events & UV_WRITABLE.rawValue != 0 { ready.insert(.write) }
        handler?(ready)
    }

    /// No call of the handler comes after this.
    public func close() {
        guard let handle else { return }
        self.handle = nil
        handler = nil
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)) { handle in
            Unmanaged<DescriptorWatch>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).assumingMemoryBound(to: uv_poll_t.self).deallocate()
        }
    }
}

/// A time at which something is to happen, to some 50 µs where a `Timer` counts milliseconds; each setting of
/// it is a system call. Confined to its loop.
public final class Alarm {
    private let descriptor: Int32
    private var watch: DescriptorWatch?

    public init(loop: EventLoop, _ action: @escaping () -> Void) {
        descriptor = junction_alarm_open()
        watch = loop.watch(descriptor, .read) { [descriptor] _ in
            var expirations: UInt64 = 0
            _ = Glibc.read(descriptor, &expirations, 8)
            action()
        }
    }

    /// Rings once after `nanoseconds` from now, or at once; forgets an earlier setting.
    public func set(afterNanoseconds nanoseconds: Int64) {
        junction_alarm_set(descriptor, max(1, nanoseconds))
    }

    /// Never rings again. Once, and before the loop ends.
    public func close() {
        watch?.close()
        watch = nil
        Glibc.close(descriptor)
    }
}

/// A signal that a loop watches.
public final class SignalWatch {
    private var handle: UnsafeMutablePointer<uv_signal_t>?
    private var action: (() -> Void)?

    fileprivate init(loop: UnsafeMutablePointer<uv_loop_t>, signal: Int32, action: @escaping () -> Void) {
        self.action = action
        let handle = UnsafeMutablePointer<uv_signal_t>.allocate(capacity: 1)
        uv_signal_init(loop, handle)
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        self.handle = handle
        uv_signal_start(
            handle,
            { handle, _ in
                Unmanaged<SignalWatch>.fromOpaque(handle!.pointee.data).takeUnretainedValue().action?()
            }, signal)
    }

    /// No call of the action comes after this.
    public func close() {
        guard let handle else { return }
        self.handle = nil
        action = nil
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)) { handle in
            Unmanaged<SignalWatch>.fromOpaque(handle!.pointee.data).release()
            UnsafeMutableRawPointer(handle!).assumingMemoryBound(to: uv_signal_t.self).deallocate()
        }
    }
}

extension Duration {
    /// Whole nanoseconds; durations of more than 146 years count as 146.
    var inNanoseconds: Int64 {
        let bound = 4_611_686_018_000_000_000
        return Int64(max(-bound, min(bound, Int(clamping: attoseconds / 1_000_000_000))))
    }
}

extension timespec {
    fileprivate var nanoseconds: Int64 { Int64(tv_sec) * 1_000_000_000 + Int64(tv_nsec) }
}

/// How many cores this process may run on.
public func usableCores() -> Int { Int(uv_available_parallelism()) }
