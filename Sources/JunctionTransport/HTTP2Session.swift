// HTTP/2 without I/O, on nghttp2: received bytes go in and become stream events; frames come out as bytes.
// The only file that knows nghttp2. Frames are taken out only by `takeOutput`, never while a callback runs.
internal import CNghttp2

/// Whom a session belongs to: a connection, or a test.
protocol HTTP2SessionOwner: AnyObject {
    /// There is something to do: `deliverEvents` and `takeOutput`, later, outside every callback. Told often.
    func sessionBecameDirty()
    /// The peer opened a stream (servers only).
    func handler(for stream: HTTP2Stream) -> any HTTP2StreamHandler
    /// The peer's first settings came: it does speak HTTP/2.
    func sessionIsEstablished()
    /// The peer answered the ping of `announceShutdown`.
    func shutdownWasHeard()
    /// The peer sent a frame that moves nothing, such as a ping that no answer came before, or opened a
    /// stream beyond its limit (servers only).
    func sessionWasBothered()
}

/// The state of one HTTP/2 connection. Confined to one thread.
final class HTTP2Session {
    enum Role { case server, client }

    /// No piece of output is longer: a frame header and the payload that nghttp2 puts in one frame.
    static let largestPiece = 9 + 16 * 1024 + 256

    let role: Role
    @exclusivity(unchecked) unowned(unsafe) var owner: (any HTTP2SessionOwner)?
    private let limits: HTTP2Limits
    @exclusivity(unchecked) private var raw: OpaquePointer?
    @exclusivity(unchecked) private var streams: [HTTP2Stream] = []
    @exclusivity(unchecked) private var resetStreams: [HTTP2Stream] = []
    @exclusivity(unchecked) private var writableStreams: [HTTP2Stream] = []
    /// The stream of the last event: events of one stream come in a row.
    @exclusivity(unchecked) private var recent: HTTP2Stream?
    @exclusivity(unchecked) private var isEstablished = false
    /// Whether anything of a stream was sent since the last ping: clients that measure the line ping then.
    @exclusivity(unchecked) private var hasSentSincePing = false
    @exclusivity(unchecked) private var hasFailed = false

    init(role: Role, limits: HTTP2Limits) {
        self.role = role
        self.limits = limits
        let me = Unmanaged.passUnretained(self).toOpaque()
        let options = HTTP2Session.makeOptions()
        defer { nghttp2_option_del(options) }
        let result =
            role == .server
            ? nghttp2_session_server_new2(&raw, HTTP2Session.callbacks, me, options)
            : nghttp2_session_client_new2(&raw, HTTP2Session.callbacks, me, options)
        precondition(result == 0, "out of memory")
        submitSettings()
    }

    deinit { if let raw { nghttp2_session_del(raw) } }

    private static func makeOptions() -> OpaquePointer? {
        var options: OpaquePointer?
        nghttp2_option_new(&options)
        nghttp2_option_set_no_auto_window_update(options, 1)
        nghttp2_option_set_no_closed_streams(options, 1)
        // Honest callers that hedge or cancel reset many streams; nghttp2's 33 a second would cut them off.
        nghttp2_option_set_stream_reset_rate_limit(options, 10_000, 1_000)
        nghttp2_option_set_max_continuations(options, 8)
        return options
    }

    private func submitSettings() {
        func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
            nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(value))
        }
        var entries = [
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindowBytes),
            entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headerListBytes),
            entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
        ]
        switch role {
        case .server: entries.append(entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreams))
        case .client: entries.append(entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0))
        }
        nghttp2_submit_settings(raw, 0, entries, entries.count)
        nghttp2_session_set_local_window_size(raw, 0, 0, Int32(limits.connectionWindowBytes))
    }

    // MARK: Bytes in and out

    /// Takes what the peer sent; handlers are called from here. Returns whether the session can go on: most
    /// of a peer's faults nghttp2 answers itself, but not garbage instead of a preface, nor floods.
    func receive(_ bytes: Span<UInt8>) -> Bool {
        guard let raw, !hasFailed else { return false }
        let taken = bytes.withUnsafeBufferPointer { nghttp2_session_mem_recv(raw, $0.baseAddress, $0.count) }
        if nghttp2_session_want_write(raw) != 0 { owner?.sessionBecameDirty() }
        return taken >= 0
    }

    /// Writes frames into `buffer`, as many as fit; returns their bytes, 0 when there is nothing to send. The
    /// buffer needs room for `largestPiece` to get any.
    func takeOutput(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let raw else { return 0 }
        var count = 0
        while buffer.count - count >= HTTP2Session.largestPiece {
            var piece: UnsafePointer<UInt8>?
            let length = nghttp2_session_mem_send(raw, &piece)
            if length < 0 { hasFailed = true }
            guard length > 0, let piece else { break }
            precondition(length <= HTTP2Session.largestPiece, "nghttp2 made a frame larger than the default")
            (buffer.baseAddress! + count).copyMemory(from: piece, byteCount: length)
            count += length
        }
        return count
    }

    /// Tells handlers what came of calls of theirs: streams closed by `reset`, or writable again. Returns
    /// whether there was any.
    func deliverEvents() -> Bool {
        if resetStreams.isEmpty && writableStreams.isEmpty { return false }
        let (reset, writable) = (resetStreams, writableStreams)
        resetStreams = []
        writableStreams = []
        for stream in reset { close(stream, stream.resetCode ?? HTTP2ErrorCode.cancel) }
        for stream in writable where !stream.isClosed { stream.handler?.becameWritable() }
        return true
    }

    /// Nothing more is to be read or sent: the connection can be closed.
    var isOver: Bool {
        guard let raw, !hasFailed else { return true }
        return nghttp2_session_want_read(raw) == 0 && nghttp2_session_want_write(raw) == 0
    }

    var openStreams: Int { streams.count }

    // MARK: The life of a connection

    /// Begins a graceful end: the peer hears that it should open no more streams; a ping tells when it heard.
    func announceShutdown() {
        guard let raw else { return }
        nghttp2_submit_shutdown_notice(raw)
        nghttp2_submit_ping(raw, 0, nil)
        owner?.sessionBecameDirty()
    }

    /// Refuses streams from here on; the session is over when those that are open have ended.
    func refuseNewStreams() {
        guard let raw else { return }
        nghttp2_submit_goaway(
            raw, 0, nghttp2_session_get_last_proc_stream_id(raw), HTTP2ErrorCode.noError, nil, 0)
        owner?.sessionBecameDirty()
    }

    /// Tells the peer that the connection ends now.
    func terminate(_ errorCode: UInt32) {
        guard let raw else { return }
        nghttp2_session_terminate_session(raw, errorCode)
    }

    /// Closes every stream: their bytes go nowhere any more. Not from within a callback.
    func connectionLost() {
        guard let raw else { return }
        self.raw = nil
        recent = nil
        while let stream = streams.last {
            close(stream, stream.resetCode ?? HTTP2ErrorCode.connectionLost)
            remove(stream)
        }
        nghttp2_session_del(raw)
    }

    // MARK: Streams

    /// Whether the peer would take another stream (clients only).
    var canOpenStreams: Bool {
        guard let raw, !hasFailed else { return false }
        return nghttp2_session_check_request_allowed(raw) != 0
    }

    /// Sends a request. When the peer's limit of streams is reached it waits for its turn; when the
    /// connection takes no more, `closed` follows with `refusedStream`.
    func open(_ block: HeaderBlock, endStream: Bool, handler: any HTTP2StreamHandler) -> HTTP2Stream {
        let stream = HTTP2Stream(id: 0, session: self)
        stream.handler = handler
        stream.headers = block
        if endStream { stream.end = .body }
        let result = submitRequest(stream, block, endStream: endStream)
        if result > 0 {
            stream.id = result
            insert(stream)
        } else {
            stream.resetCode = HTTP2ErrorCode.refusedStream
            resetStreams.append(stream)
        }
        owner?.sessionBecameDirty()
        return stream
    }

    /// The number of the new stream, or an error.
    private func submitRequest(_ stream: HTTP2Stream, _ block: HeaderBlock, endStream: Bool) -> Int32 {
        guard let raw else { return NGHTTP2_ERR_SESSION_CLOSING.rawValue }
        let user = Unmanaged.passUnretained(stream).toOpaque()
        return block.withFields { fields, count in
            if endStream { return nghttp2_submit_request(raw, nil, fields, count, nil, user) }
            var body = bodyOf(stream)
            return nghttp2_submit_request(raw, nil, fields, count, &body, user)
        }
    }

    func submitResponse(_ stream: HTTP2Stream, _ block: HeaderBlock, endStream: Bool) {
        guard let raw else { return }
        block.withFields { fields, count in
            if endStream {
                nghttp2_submit_response(raw, stream.id, fields, count, nil)
            } else {
                var body = bodyOf(stream)
                nghttp2_submit_response(raw, stream.id, fields, count, &body)
            }
        }
        owner?.sessionBecameDirty()
    }

    /// The stream has output, or ended, after it had none.
    func resume(_ stream: HTTP2Stream) {
        guard let raw else { return }
        if stream.isDeferred {
            stream.isDeferred = false
            nghttp2_session_resume_data(raw, stream.id)
        }
        owner?.sessionBecameDirty()
    }

    func consume(_ stream: HTTP2Stream, _ byteCount: Int) {
        guard let raw, byteCount > 0 else { return }
        if stream.hasEndedRemotely || stream.isClosed {
            // Its own window is of no use to the peer any more; the connection's is.
            nghttp2_session_consume_connection(raw, byteCount)
        } else {
            nghttp2_session_consume(raw, stream.id, byteCount)
        }
        owner?.sessionBecameDirty()
    }

    func reset(_ stream: HTTP2Stream, _ errorCode: UInt32) {
        guard let raw else { return }
        nghttp2_submit_rst_stream(raw, 0, stream.id, errorCode)
        resetStreams.append(stream)
        owner?.sessionBecameDirty()
    }

    private func insert(_ stream: HTTP2Stream) {
        stream.slot = streams.count
        streams.append(stream)
    }

    private func remove(_ stream: HTTP2Stream) {
        let last = streams.removeLast()
        if last !== stream {
            streams[stream.slot] = last
            last.slot = stream.slot
        }
        if recent === stream { recent = nil }
        stream.slot = -1
    }

    /// Tells the handler, once, and cuts the stream off. nghttp2 may still know it, so `streams` keeps it.
    private func close(_ stream: HTTP2Stream, _ errorCode: UInt32) {
        guard let handler = stream.handler else { return }
        stream.handler = nil
        stream.session = nil
        consume(stream, stream.bytesUnconsumed)
        stream.bytesUnconsumed = 0
        stream.output.discard()
        handler.closed(errorCode: errorCode)
    }

    private func stream(_ id: Int32) -> HTTP2Stream? {
        if let recent, recent.id == id { return recent }
        guard let user = nghttp2_session_get_stream_user_data(raw, id) else { return nil }
        recent = Unmanaged<HTTP2Stream>.fromOpaque(user).takeUnretainedValue()
        return recent
    }

    // MARK: Body and trailers out

    private func bodyOf(_ stream: HTTP2Stream) -> nghttp2_data_provider {
        nghttp2_data_provider(
            source: nghttp2_data_source(ptr: Unmanaged.passUnretained(stream).toOpaque()),
            read_callback: { _, _, destination, limit, flags, source, user -> Int in
                Unmanaged<HTTP2Stream>.fromOpaque(source!.pointee.ptr)._withUnsafeGuaranteedRef { stream in
                    HTTP2Session.with(user) { $0.fill(destination!, limit, stream, &flags!.pointee) }
                }
            })
    }

    private func fill(
        _ destination: UnsafeMutablePointer<UInt8>, _ limit: Int, _ stream: HTTP2Stream, _ flags: inout UInt32
    ) -> Int {
        if stream.isClosed { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        let count = stream.output.move(to: destination, atMost: limit)
        if stream.isAwaitedByHandler && stream.output.count < HTTP2Stream.lowMarkBytes {
            stream.isAwaitedByHandler = false
            if case .none = stream.end { writableStreams.append(stream) }
        }
        guard stream.output.isEmpty else { return count }
        switch stream.end {
        case .none:
            if count > 0 { return count }
            stream.isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        case .body:
            flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
        case .trailers(let block):
            flags |= NGHTTP2_DATA_FLAG_EOF.rawValue | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            block.withFields { _ = nghttp2_submit_trailer(raw, stream.id, $0, $1) }
        }
        return count
    }

    // MARK: Events from nghttp2

    private func headersBegan(_ frame: UnsafePointer<nghttp2_frame>) {
        let id = frame.pointee.hd.stream_id
        if role == .server && frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
            let stream = HTTP2Stream(id: id, session: self)
            nghttp2_session_set_stream_user_data(raw, id, Unmanaged.passUnretained(stream).toOpaque())
            insert(stream)
            recent = stream
            stream.handler = owner?.handler(for: stream)
        } else if let stream = stream(id) {
            stream.headerBytes = 0
            stream.headerFields = 0
        }
    }

    /// Whether the field is within the limits.
    private func received(
        _ id: Int32, name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard let stream = stream(id), !stream.isClosed else { return true }
        stream.headerBytes += name.count + value.count + 32
        stream.headerFields += 1
        if stream.headerBytes > limits.headerListBytes || stream.headerFields > limits.headerFields {
            return false
        }
        stream.handler?.received(headerName: name.span, value: value.span)
        return true
    }

    private func received(_ id: Int32, data: UnsafeBufferPointer<UInt8>) {
        guard let stream = stream(id), !stream.isClosed else {
            nghttp2_session_consume_connection(raw, data.count)
            return
        }
        stream.bytesUnconsumed += data.count
        stream.handler?.received(data: data.span)
    }

    private func received(_ frame: UnsafePointer<nghttp2_frame>) {
        let ends = frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(frame.pointee.hd.type) {
        case NGHTTP2_HEADERS.rawValue:
            guard let stream = stream(frame.pointee.hd.stream_id) else { return }
            if ends { stream.hasEndedRemotely = true }
            if !stream.isClosed { stream.handler?.headersEnded(endStream: ends) }
            if ends && !stream.isClosed { stream.handler?.endedRemotely() }
        case NGHTTP2_DATA.rawValue:
            if role == .server && !ends && frame.pointee.hd.length == 0 { owner?.sessionWasBothered() }
            guard ends, let stream = stream(frame.pointee.hd.stream_id) else { return }
            stream.hasEndedRemotely = true
            if !stream.isClosed { stream.handler?.endedRemotely() }
        case NGHTTP2_SETTINGS.rawValue:
            if frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 { return }
            if isEstablished {
                if role == .server { owner?.sessionWasBothered() }
                return
            }
            isEstablished = true
            owner?.sessionIsEstablished()
        case NGHTTP2_PING.rawValue:
            if frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 {
                owner?.shutdownWasHeard()
            } else if role == .server {
                if !hasSentSincePing { owner?.sessionWasBothered() }
                hasSentSincePing = false
            }
        default: break
        }
    }

    private func sent(_ frame: UnsafePointer<nghttp2_frame>) {
        if role == .server {
            switch UInt32(frame.pointee.hd.type) {
            case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue: hasSentSincePing = true
            case NGHTTP2_RST_STREAM.rawValue
            where frame.pointee.rst_stream.error_code == HTTP2ErrorCode.refusedStream:
                owner?.sessionWasBothered()
            default: break
            }
        }
        guard role == .server, frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0,
            frame.pointee.hd.type == NGHTTP2_HEADERS.rawValue
                || frame.pointee.hd.type == NGHTTP2_DATA.rawValue,
            let stream = stream(frame.pointee.hd.stream_id), !stream.hasEndedRemotely
        else { return }
        // The answer is complete while the peer still sends: RFC 9113 §8.1 lets it stop without an error.
        nghttp2_submit_rst_stream(raw, 0, frame.pointee.hd.stream_id, HTTP2ErrorCode.noError)
    }

    private func couldNotSend(_ frame: UnsafePointer<nghttp2_frame>) {
        guard role == .client, frame.pointee.hd.type == NGHTTP2_HEADERS.rawValue,
            frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST, let stream = stream(frame.pointee.hd.stream_id)
        else { return }
        close(stream, stream.resetCode ?? HTTP2ErrorCode.refusedStream)
    }

    private func streamEnded(_ id: Int32, _ errorCode: UInt32) {
        guard let stream = stream(id) else { return }
        close(stream, stream.resetCode ?? errorCode)
        remove(stream)
    }

    /// The session that nghttp2 calls back for. It lives through every callback, so it is not retained for
    /// one.
    private static func with<Result>(
        _ user: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> Result
    ) -> Result {
        Unmanaged<HTTP2Session>.fromOpaque(user!)._withUnsafeGuaranteedRef(body)
    }

    nonisolated(unsafe) private static let callbacks: OpaquePointer? = {
        var callbacks: OpaquePointer?
        nghttp2_session_callbacks_new(&callbacks)
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            HTTP2Session.with(user) { $0.headersBegan(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, _, user in
            let isWithinLimits = HTTP2Session.with(user) {
                $0.received(
                    frame!.pointee.hd.stream_id, name: UnsafeBufferPointer(start: name, count: nameCount),
                    value: UnsafeBufferPointer(start: value, count: valueCount))
            }
            return isWithinLimits ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, data, count, user in
            HTTP2Session.with(user) {
                $0.received(id, data: UnsafeBufferPointer(start: data, count: count))
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            HTTP2Session.with(user) { $0.received(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            HTTP2Session.with(user) { $0.sent(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) { _, frame, _, user in
            HTTP2Session.with(user) { $0.couldNotSend(frame!) }
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, errorCode, user in
            HTTP2Session.with(user) { $0.streamEnded(id, errorCode) }
            return 0
        }
        return callbacks
    }()
}

extension HeaderBlock {
    /// The fields as nghttp2 wants them. It does not copy the bytes: streams keep their blocks.
    fileprivate func withFields<Result>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result) -> Result {
        let flags = UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
        return withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: lengths.count) { fields in
            var next = bytes
            for (index, length) in lengths.enumerated() {
                fields.initializeElement(
                    at: index,
                    to: nghttp2_nv(
                        name: next, value: next + length.name, namelen: length.name, valuelen: length.value,
                        flags: flags))
                next += length.name + length.value
            }
            return body(UnsafePointer(fields.baseAddress), lengths.count)
        }
    }
}
