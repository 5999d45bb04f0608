// Replies of Redis out of the bytes of a connection, by hiredis' reader, which does no input of its own. Its
// hooks build our values, so that no reply of hiredis' is made and copied. Knows no command.
internal import CHiredis

/// What came is no RESP.
struct RedisProtocolError: Error { let message: String }

/// Bytes in, split anywhere; values out, in order. After an error it gives nothing more.
final class RedisReader {
    /// Most bytes of a reply that is not complete yet.
    static let bytesMax = 64 << 20
    /// Most elements of one array.
    static let elementsMax = 1 << 20

    private let reader: UnsafeMutablePointer<redisReader>
    /// Arrays whose elements are still coming, the outermost first.
    private var open: [(values: [RedisValue], count: Int)] = []
    private var whole: RedisValue?

    init() {
        guard let reader = redisReaderCreateWithFunctions(Self.hooks) else { fatalError("out of memory") }
        self.reader = reader
        reader.pointee.privdata = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { redisReaderFree(reader) }

    /// Takes bytes; what they complete comes from `next`.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(RedisProtocolError) {
        let result = redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        guard result == REDIS_OK else { throw error() }
    }

    /// The next whole reply; nil: it needs more bytes.
    func next() throws(RedisProtocolError) -> RedisValue? {
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else { throw error() }
        guard object != nil else {
            if reader.pointee.len > Self.bytesMax {
                throw RedisProtocolError(message: "a reply of more than \(Self.bytesMax >> 20) MiB")
            }
            return nil
        }
        defer { whole = nil }
        return whole
    }

    private func error() -> RedisProtocolError {
        if reader.pointee.err == REDIS_ERR_OOM {
            return RedisProtocolError(message: "a reply that is too large")
        }
        // It may quote one byte of what came.
        let text = withUnsafeBytes(of: &reader.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RedisProtocolError(message: text)
    }

    private func add(_ value: RedisValue) {
        var value = value
        while var last = open.popLast() {
            last.values.append(value)
            if last.values.count < last.count { return open.append(last) }
            value = .array(last.values)
        }
        whole = value
    }

    // MARK: Hooks: each returns anything but nil for an object; the objects themselves are ours.

    nonisolated(unsafe) private static let hooks: UnsafeMutablePointer<redisReplyObjectFunctions> = {
        let hooks = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        hooks.initialize(
            to: redisReplyObjectFunctions(
                createString: { task, text, count in
                    let bytes = UnsafeRawBufferPointer(start: text, count: count)
                    let value: RedisValue =
                        switch task!.pointee.type {
                        case REDIS_REPLY_STATUS: .status(String(decoding: bytes, as: UTF8.self))
                        case REDIS_REPLY_ERROR: .error(String(decoding: bytes, as: UTF8.self))
                        default: .bytes(Array(bytes))
                        }
                    return RedisReader.add(value, task)
                },
                createArray: { task, count in
                    if count > RedisReader.elementsMax { return nil }
                    if count <= 0 { return RedisReader.add(.array([]), task) }
                    let reader = RedisReader.of(task)
                    var values: [RedisValue] = []
                    values.reserveCapacity(min(Int(count), 64))
                    reader.open.append((values, Int(count)))
                    return task!.pointee.privdata
                },
                createInteger: { task, number in RedisReader.add(.integer(Int(number)), task) },
                createNil: { task in RedisReader.add(.null, task) },
                freeObject: { _ in }))
        return hooks
    }()

    private static func of(_ task: UnsafePointer<redisReadTask>?) -> RedisReader {
        Unmanaged<RedisReader>.fromOpaque(task!.pointee.privdata).takeUnretainedValue()
    }

    private static func add(
        _ value: RedisValue, _ task: UnsafePointer<redisReadTask>?
    ) -> UnsafeMutableRawPointer? {
        of(task).add(value)
        return task!.pointee.privdata
    }
}
