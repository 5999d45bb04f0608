// The event loop alone: order of timers, wake-ups from other threads, readiness, and that it sleeps.
import Glibc
import Synchronization
import Testing

@testable import JunctionTransport

@Suite struct EventLoopTests {
    @Test func timersFireInOrderOfTheirTime() {
        let loop = EventLoop()
        var fired: [Int] = []
        let delays = [30, 10, 20, 0, 40]
        let timers = delays.map { delay in loop.schedule(after: .milliseconds(delay)) { fired.append(delay) }
        }
        let last = loop.schedule(after: .milliseconds(50)) { loop.stop() }
        timers[0].cancel()
        timers[1].reschedule(after: .milliseconds(45))
        loop.run()
        #expect(fired == [0, 20, 40, 10])
        last.invalidate()
    }

    @Test func aTimerMovedBackFiresOnceAndNotEarly() {
        let loop = EventLoop()
        var fired = 0
        let start = loop.now
        var elapsed = Duration.zero
        let timer = loop.schedule(after: .milliseconds(1)) {
            fired += 1
            elapsed = loop.now - start
            loop.stop()
        }
        timer.reschedule(after: .milliseconds(25))
        loop.run()
        #expect(fired == 1)
        #expect(elapsed >= .milliseconds(24))
    }

    @Test func anAlarmRingsOnceForEachSettingAndNotEarly() {
        let loop = EventLoop()
        let start = loop.now
        var rings: [Duration] = []
        var alarm: Alarm?
        alarm = Alarm(loop: loop) {
            rings.append(loop.now - start)
            if rings.count == 1 { alarm?.set(afterNanoseconds: 300_000) } else { loop.stop() }
        }
        alarm?.set(afterNanoseconds: 3_600_000_000_000)
        alarm?.set(afterNanoseconds: 200_000)
        loop.run()
        alarm?.close()
        #expect(rings.count == 2)
        #expect(rings[0] >= .microseconds(200) && rings[1] - rings[0] >= .microseconds(300))
    }

    @Test func manyTimersKeepTheirOrderUnderInsertAndRemove() {
        let loop = EventLoop()
        var fired: [Int] = []
        var timers: [Timer] = []
        for index in 0..<500 {
            let delay = (index * 7919) % 50
            timers.append(loop.schedule(after: .milliseconds(delay)) { fired.append(delay) })
        }
        for index in stride(from: 0, to: 500, by: 3) { timers[index].cancel() }
        let end = loop.schedule(after: .milliseconds(60)) { loop.stop() }
        loop.run()
        #expect(fired == fired.sorted())
        #expect(fired.count == 500 - 167)
        end.invalidate()
    }

    @Test func submittedJobsRunInOrderOnTheLoop() {
        let seen = Mutex<[Int]>([])
        let thread = LoopThread(name: "test") { _ in }
        for index in 0..<100 { thread.loop.submit { seen.withLock { $0.append(index) } } }
        thread.loop.submit { [loop = thread.loop] in loop.stop() }
        thread.join()
        #expect(seen.withLock { $0 } == Array(0..<100))
    }

    @Test func aReadableDescriptorIsToldAndAnIdleLoopSleeps() {
        let loop = EventLoop()
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        var heard = 0
        let watch = loop.watch(ends[0], .read) { ready in
            #expect(ready == .read)
            var byte: UInt8 = 0
            #expect(read(ends[0], &byte, 1) == 1)
            heard += 1
            loop.stop()
        }
        let turnsBefore = loop.turns
        let writer = loop.schedule(after: .milliseconds(20)) { _ = write(ends[1], "x", 1) }
        loop.run()
        #expect(heard == 1)
        #expect(loop.turns - turnsBefore <= 4)
        watch.close()
        writer.invalidate()
        close(ends[0])
        close(ends[1])
    }

    @Test func namesAreResolved() {
        let loop = EventLoop()
        var found: [SocketAddress] = []
        loop.resolve(host: "127.0.0.1", port: 80) { addresses, error in
            found = addresses
            #expect(error == nil)
            loop.stop()
        }
        loop.run()
        #expect(found.map(\.description) == ["127.0.0.1:80"])
    }

    @Test func aLoopWithAnOpenWatchCanBeLetGoOf() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        var watch: DescriptorWatch?
        weak var gone: EventLoop?
        do {
            let loop = EventLoop()
            gone = loop
            watch = loop.watch(ends[0], .read) { _ in }
        }
        #expect(gone == nil)
        withExtendedLifetime(watch) {}
        close(ends[1])
    }
}
