// One connection to one Redis server, from the first packet to the last: it encrypts, signs in, sends what came
// in a turn of the loop by one write, and matches replies to commands. It does not come back once it has ended.
import Glibc
import JunctionTransport

/// Whom a connection tells what becomes of it.
protocol RedisConnectionOwner: AnyObject {
    func becameReady(_ connection: RedisConnection)
    /// A reply came in time (nil), or commands were given up just now.
    func answered(_ connection: RedisConnection, late: RedisFailure?)
    /// The server refused a command in a way that another attempt may cure; true: the owner sees to the call.
    func redirected(_ connection: RedisConnection, _ refusal: String, _ command: [UInt8], _ call: RedisCall)
        -> Bool
    /// The last call, once.
    func ended(_ connection: RedisConnection, _ failure: RedisFailure)
}

final class RedisConnection: Flushable {
    /// What it connects to and how it presents itself.
    struct Setup {
        var address: RedisAddress
        var credentials = RedisCredentials()
        var database = 0
        var clientName = ""
        var tls: TLSContext?
        /// Whether a replica will not do.
        var mustBeMaster = false
        var timeout: Duration
        var connectTimeout: Duration
    }

    private enum Phase { case connecting, encrypting, signingIn, ready, ended }
    private enum Step { case authenticate, name, select, role, ping }

    /// Most bytes of commands that are not answered yet.
    static let outputBytesMax = 16 << 20

    let setup: Setup
    private let loop: EventLoop
    private weak var owner: (any RedisConnectionOwner)?
    private var phase = Phase.connecting
    private var socket: RedisSocket?
    private let reader = RedisReader()
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 * 1024, alignment: 16)
    /// Commands as they are sent, from the first unanswered one on.
    private var output: [UInt8] = []
    /// Of `output`, what is answered already, and what is written.
    private var answeredEnd = 0
    private var writtenEnd = 0
    private var isDirty = false
    private var queue = RedisQueue()
    /// Commands sent and answered so far.
    private var sentCount = 0
    private var answeredCount = 0
    /// Scripts loaded here, and which command did it.
    private var loads: [String: Int] = [:]
    private var steps: ArraySlice<Step> = []
    private var signIn: ArraySlice<UInt8> = []
    private var deadline: Timer?
    private var connectDeadline: Timer?
    private(set) var bytesReadAt: ContinuousClock.Instant

    init(loop: EventLoop, setup: Setup, owner: any RedisConnectionOwner) {
        self.loop = loop
        self.setup = setup
        self.owner = owner
        bytesReadAt = loop.now
        deadline = loop.schedule(after: setup.timeout) { [unowned self] in giveUpLate() }
        deadline?.cancel()
        connectDeadline = loop.schedule(after: setup.connectTimeout) { [unowned self] in
            end(RedisFailure(.unavailable, "\(setup.address) did not answer in \(setup.connectTimeout)"))
        }
    }

    deinit {
        deadline?.invalidate()
        connectDeadline?.invalidate()
        input.deallocate()
    }

    var isReady: Bool { phase == .ready }
    var isIdle: Bool { queue.isEmpty }
    /// Writes so far, for tests that count them.
    private(set) var writeCount = 0

    // MARK: Coming up

    /// Once, before anything else; commands may be sent from then on.
    func begin() {
        // The connector may outlive us: whatever it connects then is closed.
        let completion: (Result<Int32, SystemError>) -> Void = { [weak self] result in
            guard let self, phase == .connecting else {
                if case .success(let descriptor) = result { Glibc.close(descriptor) }
                return
            }
            switch result {
            case .success(let descriptor): connected(descriptor)
            case .failure(let error): end(RedisFailure(.unavailable, error.description))
            }
        }
        switch setup.address {
        case .tcp(let host, let port):
            Connector.connect(
                host: host, port: port, loop: loop, timeout: setup.connectTimeout, completion: completion)
        case .unix(let path):
            Connector.connect(path: path, loop: loop, timeout: setup.connectTimeout, completion: completion)
        }
    }

    private func connected(_ descriptor: Int32) {
        var host: String?
        if case .tcp(let name, _) = setup.address { host = name }
        phase = .encrypting
        socket = RedisSocket(descriptor: descriptor, loop: loop, tls: setup.tls, host: host) {
            [unowned self] in becameActive()
        }
        becameActive()
    }

    private func becameActive() {
        if phase == .encrypting {
            switch socket!.encrypt() {
            case .moved: beginSigningIn()
            case .mustWait: return
            case .ended(let message): return end(RedisFailure(.unavailable, "\(setup.address): \(message)"))
            }
        }
        read()
        // What replies lead to is written at the end of the turn, with the rest.
        if let socket, socket.wantsToWrite || phase == .signingIn { write() }
    }

    private func beginSigningIn() {
        phase = .signingIn
        var bytes: [UInt8] = []
        var steps: [Step] = []
        func add(_ step: Step, _ arguments: [RedisArgument]) {
            var command = RedisCommand()
            for argument in arguments { command.append(argument) }
            append(command, to: &bytes)
            steps.append(step)
        }
        if let password = setup.credentials.password {
            let user = setup.credentials.username.map { [RedisArgument.text($0)] } ?? []
            add(.authenticate, ["AUTH"] + user + [.text(password())])
        }
        if !setup.clientName.isEmpty { add(.name, ["CLIENT", "SETNAME", .text(setup.clientName)]) }
        if setup.database != 0 { add(.select, ["SELECT", .integer(setup.database)]) }
        if setup.mustBeMaster { add(.role, ["ROLE"]) }
        add(.ping, ["PING"])
        signIn = bytes[...]
        self.steps = steps[...]
        write()
    }

    /// One reply of those that `beginSigningIn` asked for.
    private func signedIn(_ reply: RedisValue) {
        let step = steps.removeFirst()
        if let failure = failure(of: step, reply) { return end(failure) }
        guard steps.isEmpty else { return }
        phase = .ready
        connectDeadline?.cancel()
        signIn = []
        markDirty()
        owner?.becameReady(self)
    }

    private func failure(of step: Step, _ reply: RedisValue) -> RedisFailure? {
        switch (step, reply) {
        case (.authenticate, .error(let text)):
            // A server that does not know AUTH quotes what came with it: only the code is shown.
            let code = text.prefix { $0.isLetter && $0.isUppercase }
            return RedisFailure(.refused, "\(setup.address) does not accept the user or password (\(code))")
        case (.name, _): return nil
        case (_, .error(let text)) where text.hasPrefix("NOAUTH"):
            return RedisFailure(.refused, "\(setup.address) wants a password")
        case (.select, .error(let text)):
            return RedisFailure(
                .refused, "\(setup.address) does not give us database \(setup.database): \(text)")
        case (.role, .array(let role)) where role.first?.text == "master": return nil
        case (.role, _): return RedisFailure(.unavailable, "\(setup.address) is not the master")
        case (.ping, .error(let text)): return RedisFailure(.unavailable, "\(setup.address): \(text)")
        default: return nil
        }
    }

    // MARK: Commands

    /// Sends a command at the end of this turn, or when the connection is ready. False: too much waits.
    func send(_ command: borrowing RedisCommand, _ call: RedisCall) -> Bool {
        guard output.count - answeredEnd + command.bytes.count < Self.outputBytesMax else { return false }
        let start = output.count
        append(command, to: &output)
        enqueue(call, byteCount: output.count - start)
        return true
    }

    /// The same for a command as it was sent once before.
    func send(again command: [UInt8], _ call: RedisCall) {
        output.append(contentsOf: command)
        enqueue(call, byteCount: command.count)
    }

    private func enqueue(_ call: RedisCall, byteCount: Int) {
        if queue.nextDeadline == nil { deadline?.reschedule(after: setup.timeout) }
        let command = UnansweredCommand(
            call: call, deadline: loop.now + setup.timeout, byteCount: byteCount)
        queue.append(command)
        sentCount += 1
        markDirty()
    }

    private func append(_ command: borrowing RedisCommand, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "*"))
        appendDecimal(command.argumentCount, to: &bytes)
        bytes.append(13)
        bytes.append(10)
        bytes.append(contentsOf: command.bytes)
    }

    private func markDirty() {
        guard phase == .ready, !isDirty else { return }
        isDirty = true
        loop.markDirty(self)
    }

    func flush() {
        isDirty = false
        write()
    }

    private func write() {
        switch phase {
        case .signingIn:
            while !signIn.isEmpty {
                guard let count = write(signIn) else { return }
                signIn.removeFirst(count)
            }
        case .ready:
            while writtenEnd < output.count {
                guard let count = write(output[writtenEnd...]) else { return }
                writtenEnd += count
            }
        case .connecting, .encrypting, .ended: return
        }
        socket?.endWriting()
    }

    /// Nil: nothing more can be written now.
    private func write(_ bytes: ArraySlice<UInt8>) -> Int? {
        writeCount += 1
        switch bytes.withUnsafeBytes({ socket!.write($0) }) {
        case .moved(let count): return count
        case .mustWait: return nil
        case .ended(let message):
            end(lost(message))
            return nil
        }
    }

    // MARK: Replies

    private func read() {
        while phase == .signingIn || phase == .ready {
            switch socket!.read(into: input) {
            case .moved(let count):
                bytesReadAt = loop.now
                take(UnsafeRawBufferPointer(rebasing: input[..<count]))
                // A socket that gave less than was asked for has no more.
                if count < input.count && setup.tls == nil { return }
            case .mustWait: return
            case .ended(let message): return end(lost(message))
            }
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        do throws(RedisProtocolError) {
            try reader.feed(bytes)
            while phase != .ended, let reply = try reader.next() {
                if phase == .signingIn { signedIn(reply) } else { answer(reply) }
            }
        } catch {
            end(RedisFailure(.malformed, "\(setup.address) does not speak as Redis does: \(error.message)"))
        }
    }

    private func answer(_ reply: RedisValue) {
        guard let command = queue.popFirst() else {
            return end(RedisFailure(.malformed, "\(setup.address) answered what was not asked"))
        }
        answeredCount += 1
        let start = answeredEnd
        answeredEnd += command.byteCount
        defer { if phase != .ended { forgetAnswered() } }
        guard !command.isGivenUp else { return }
        owner?.answered(self, late: nil)
        if case .error(let text) = reply {
            let bytes = Array(output[start..<answeredEnd])
            if sendAgain(bytes, command.call, refusedFor: text) { return }
        }
        command.call.completion?(.success(reply))
    }

    private func forgetAnswered() {
        if answeredEnd == output.count {
            output.removeAll(keepingCapacity: output.count < 1 << 20)
        } else if answeredEnd >= 64 * 1024 && answeredEnd * 2 >= output.count {
            output.removeFirst(answeredEnd)
            writtenEnd -= answeredEnd
            answeredEnd = 0
            return
        } else {
            return
        }
        writtenEnd = 0
        answeredEnd = 0
    }

    private func sendAgain(_ bytes: [UInt8], _ call: RedisCall, refusedFor text: String) -> Bool {
        guard call.hops < 4 else { return false }
        var call = call
        call.hops += 1
        guard let script = call.script, text.hasPrefix("NOSCRIPT") else {
            return owner?.redirected(self, text, bytes, call) ?? false
        }
        // One load serves all that were sent before it.
        if loads[script.sha1].map({ $0 < answeredCount }) ?? true {
            var load = RedisCommand()
            for word in ["SCRIPT", "LOAD", script.text] { load.append(word) }
            loads[script.sha1] = sentCount
            guard send(load, RedisCall()) else { return false }
        }
        send(again: bytes, call)
        return true
    }

    private func giveUpLate() {
        let now = loop.now
        let failure = RedisFailure(.timeout, "\(setup.address) did not answer in \(setup.timeout)")
        var isLate = false
        while phase != .ended, let call = queue.giveUpFirst(lateAt: now) {
            isLate = true
            call.completion?(.failure(failure))
        }
        guard phase != .ended else { return }
        if let next = queue.nextDeadline { deadline?.reschedule(after: next - now) }
        if isLate && phase == .ready { owner?.answered(self, late: failure) }
    }

    // MARK: The end

    private func lost(_ message: String) -> RedisFailure {
        RedisFailure(phase == .ready ? .connectionLost : .unavailable, "\(setup.address): \(message)")
    }

    /// Closes the connection; whatever is unanswered fails.
    func end(_ failure: RedisFailure) {
        guard phase != .ended else { return }
        phase = .ended
        socket?.close()
        deadline?.invalidate()
        connectDeadline?.invalidate()
        while let command = queue.popFirst() {
            guard !command.isGivenUp else { continue }
            command.call.completion?(.failure(failure))
        }
        owner?.ended(self, failure)
    }
}
