// What libcurl does to its sockets without a word must not leave the loop deaf or spinning.
import Glibc
import JunctionTransport
import Testing

@testable import JunctionOutbound

@Suite struct HTTPSocketsTests {
    @Test func aNewSocketUnderTheNumberOfOneThatWasClosedSilentlyIsWatched() {
        let loop = EventLoop()
        let sockets = HTTPSockets(loop: loop)
        var first: [Int32] = [0, 0]
        var second: [Int32] = [0, 0]
        #expect(pipe(&first) == 0 && pipe(&second) == 0)
        sockets.want(.read, of: first[0])
        // Closes the first pipe's end, and gives its number to the second's.
        #expect(dup2(second[0], first[0]) == first[0])
        sockets.opened(first[0])
        #expect(write(second[1], "x", 1) == 1)
        var heard: [Int32] = []
        sockets.onReady = { descriptor, ready in
            heard.append(descriptor)
            #expect(ready == .read)
            loop.stop()
        }
        let watchdog = loop.schedule(after: .seconds(20)) { loop.stop() }
        loop.run()
        watchdog.invalidate()
        #expect(heard == [first[0]])
        sockets.closed(first[0])
        for descriptor in first + second { close(descriptor) }
    }

    @Test func aSocketAtRestThatWasNeverAConnectionIsForgotten() {
        let loop = EventLoop()
        let sockets = HTTPSockets(loop: loop)
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        sockets.onReady = { _, _ in Issue.record("told of a socket that nobody waits for") }
        sockets.want(.read, of: ends[0])
        sockets.rest(ends[0], isConnection: false)
        #expect(write(ends[1], "x", 1) == 1)
        let end = loop.schedule(after: .milliseconds(10)) { loop.stop() }
        loop.run()
        #expect(loop.turns <= 3)
        end.invalidate()
        for descriptor in ends { close(descriptor) }
    }
}
