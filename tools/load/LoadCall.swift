// One call as the load tool makes it: counts what comes back and reads no more of it than it must. Taken from
// a pool and used again. Sources: grpc/doc/PROTOCOL-HTTP2.md.
import JunctionMessages
import JunctionProtobuf
import JunctionTransport

final class LoadCall: HTTP2StreamHandler {
    private unowned let worker: Worker
    private var stream: HTTP2Stream?
    private(set) var connection = 0
    private(set) var streams = false
    private(set) var bytesSent = 0
    /// Nanoseconds on the worker's clock.
    private(set) var intended: Int64 = 0
    private(set) var sent: Int64 = 0
    private(set) var isCounted = false

    private var httpStatus = 0
    private var grpcStatus = -1
    private(set) var bytesReceived = 0
    private(set) var messages = 0
    private var lastMessageAt: Int64 = 0
    private(set) var completionTokens = 0
    private var hasRoute = false
    private var isMalformed = false
    /// `grpc-message` as it came, percent-encoded; only errors have one.
    private(set) var errorMessage: [UInt8]?
    /// The five bytes before a message, as far as they have come, the newest lowest.
    private var prefix: UInt64 = 0
    private var prefixCount = 0
    /// Of the message that is being read: its length, and its bytes when it comes in pieces.
    private var messageLength = 0
    private var messageSeen = 0
    private var pieces: [UInt8] = []
    private var isAwaited = false

    init(worker: Worker) { self.worker = worker }

    func start(
        _ request: PreparedRequest, on http2: HTTP2Connection, connection: Int, headers: HeaderBlock,
        intended: Int64, now: Int64, isCounted: Bool
    ) {
        self.connection = connection
        self.intended = intended
        self.isCounted = isCounted
        streams = request.streams
        sent = now
        bytesSent = request.bytes.count
        httpStatus = 0
        grpcStatus = -1
        bytesReceived = 0
        messages = 0
        completionTokens = 0
        hasRoute = false
        isMalformed = false
        errorMessage = nil
        prefixCount = 0
        messageSeen = 0
        messageLength = 0
        let stream = http2.openStream(headers: headers, handler: self)
        stream.send(request.bytes)
        stream.endBody()
        self.stream = stream
    }

    /// The index of how it ended in the counts.
    private func outcome(_ errorCode: UInt32) -> Int {
        if grpcStatus > 0 { return grpcStatus < CallOutcome.connectionLost ? grpcStatus : 2 }
        if errorCode != 0 { return worker.isGivingUp ? CallOutcome.unanswered : CallOutcome.connectionLost }
        let isWhole = !isMalformed && prefixCount == 0 && hasRoute && (streams || messages == 1)
        return grpcStatus == 0 && httpStatus == 200 && isWhole ? 0 : CallOutcome.malformed
    }

    // MARK: What the transport tells

    func received(headerName name: Span<UInt8>, value: Span<UInt8>) {
        // `:status`, `grpc-status`, `grpc-message`: each is known by its length and one letter.
        if name.count == 7, name[1] == UInt8(ascii: "s") {
            httpStatus = number(value)
        } else if name.count == 11, name[5] == UInt8(ascii: "s") {
            grpcStatus = number(value)
        } else if name.count == 12, name[5] == UInt8(ascii: "m") {
            errorMessage = value.indices.map { value[$0] }
        }
    }

    func headersEnded(endStream: Bool) {}

    func received(data: Span<UInt8>) {
        bytesReceived += data.count
        var offset = 0
        while offset < data.count {
            if prefixCount < 5 {
                prefix = prefix << 8 | UInt64(data[offset])
                prefixCount += 1
                offset += 1
                if prefixCount == 5 { beginMessage() }
            } else {
                let end = min(data.count, offset + messageLength - messageSeen)
                take(data.extracting(offset..<end))
                offset = end
            }
        }
        stream?.consume(data.count)
    }

    func endedRemotely() {}
    func becameWritable() {}

    func closed(errorCode: UInt32) {
        stream = nil
        worker.ended(self, outcome: outcome(errorCode))
    }

    // MARK: Messages

    private func beginMessage() {
        if prefix >> 32 & 0xff != 0 { isMalformed = true }
        messageLength = Int(UInt32(truncatingIfNeeded: prefix))
        messageSeen = 0
        isAwaited = false
        pieces.removeAll(keepingCapacity: true)
        messages += 1
        if streams {
            let now = worker.now
            if isCounted { worker.sawMessage(of: self, at: now, after: messages == 1 ? nil : lastMessageAt) }
            lastMessageAt = now
        }
        if messageLength == 0 { prefixCount = 0 }
    }

    private func take(_ bytes: Span<UInt8>) {
        if messageSeen == 0 {
            // A piece of a streamed answer begins with its choices (field 1, length-delimited); the last
            // message has none, and it alone has usage and route.
            isAwaited = !streams || bytes[0] != 0x0a
        }
        let isWhole = bytes.count == messageLength
        messageSeen += bytes.count
        if isAwaited {
            if isWhole {
                read(bytes)
            } else {
                for index in bytes.indices { pieces.append(bytes[index]) }
                if messageSeen == messageLength { read(pieces.span) }
            }
        }
        if messageSeen == messageLength { prefixCount = 0 }
    }

    private func read(_ bytes: Span<UInt8>) {
        let arena = worker.arena
        defer { arena.reset() }
        do throws(ProtobufError) {
            if streams {
                let view = try decode(JunctionV1.StreamResponse.View.self, bytes, in: arena)
                note(view.usage, view.route)
            } else {
                let view = try decode(JunctionV1.CompleteResponse.View.self, bytes, in: arena)
                if view.choices.isEmpty { isMalformed = true }
                note(view.usage, view.route)
            }
        } catch { isMalformed = true }
    }

    private func note(_ usage: JunctionV1.Usage.View?, _ route: JunctionV1.Route.View?) {
        if let usage {
            completionTokens = Int(usage.completionTokens)
            if isCounted { worker.measured.promptTokens += Int(usage.promptTokens) }
            if isCounted { worker.measured.completionTokens += completionTokens }
        }
        guard let route else { return }
        hasRoute = true
        guard isCounted else { return }
        worker.measured.deployments[String(route.deploymentId), default: 0] += 1
        worker.measured.attempts += route.attempts.count
        if route.fallbackUsed { worker.measured.fallbacks += 1 }
    }
}

/// The number in a header's value; -1 when it is none.
private func number(_ value: Span<UInt8>) -> Int {
    if value.isEmpty || value.count > 6 { return -1 }
    var number = 0
    for index in value.indices {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(value[index]) else { return -1 }
        number = number * 10 + Int(value[index] - UInt8(ascii: "0"))
    }
    return number
}
