// Feeds a reader as the network does and shows what it said, as text.
import JunctionMessages
import JunctionProtobuf
import JunctionProviders
import JunctionRouting

/// All that a reader says of an answer that comes in `pieces`.
func read(
    _ pieces: [[UInt8]], status: Int = 200, fields: [(String, String)] = [], adapter: Adapter = .openAI([]),
    isStreaming: Bool, with reader: AnswerReader = AnswerReader()
) -> String {
    reader.reset(adapter: adapter, isStreaming: isStreaming)
    reader.begin(status: status)
    for (name, value) in fields { reader.header(name: Array(name.utf8).span, value: Array(value.utf8).span) }
    let arena = Arena()
    var said = ""
    func take() {
        while true {
            switch reader.next(in: arena) {
            case .needsMore: return
            case .delta(let delta, let hasContent):
                said += hasContent ? "delta\n" : "delta without content\n"
                said += shown(JunctionV1.StreamResponse(delta))
            case .complete(let response): said += "complete\n" + shown(JunctionV1.CompleteResponse(response))
            case .usage(let usage):
                said += "usage \(usage.prompt) + \(usage.completion), cached \(usage.cached), "
                if usage.cacheWritten > 0 { said += "written to cache \(usage.cacheWritten), " }
                said += "reasoning \(usage.reasoning)\n"
            case .finished: said += "finished\n"
            case .failed(let failure):
                said += "failed: \(failure.kind), status \(failure.httpStatus)"
                if let wait = failure.retryAfter { said += ", retry after \(wait)" }
                said += "\n  \(failure.message)\n"
            }
        }
    }
    for piece in pieces {
        reader.append(piece.span)
        take()
    }
    reader.end()
    take()
    return said
}

func read(_ text: String, status: Int = 200, isStreaming: Bool = false) -> String {
    read([Array(text.utf8)], status: status, isStreaming: isStreaming)
}

/// Amazon's event stream of the events that `text` has one a line: `event` or `exception`, its type, its
/// payload.
func frames(_ text: some StringProtocol) -> [UInt8] {
    text.split(separator: "\n").flatMap { line in
        let parts = line.split(separator: " ", maxSplits: 2)
        return frame(
            [
                (parts[0] == "event" ? ":event-type" : ":exception-type", String(parts[1])),
                (":content-type", "application/json"), (":message-type", String(parts[0])),
            ], payload: Array(parts[2].utf8))
    }
}

/// One frame whose headers are texts.
func frame(_ headers: [(name: String, value: String)], payload: [UInt8]) -> [UInt8] {
    func bigEndian(_ value: Int) -> [UInt8] { withUnsafeBytes(of: UInt32(value).bigEndian, Array.init) }
    var encoded: [UInt8] = []
    for (name, value) in headers {
        encoded += [UInt8(name.utf8.count)] + Array(name.utf8) + [7]
        encoded += [UInt8(value.utf8.count >> 8), UInt8(value.utf8.count & 0xff)] + Array(value.utf8)
    }
    var frame = bigEndian(16 + encoded.count + payload.count) + bigEndian(encoded.count)
    frame += bigEndian(checksum(frame))
    frame += encoded + payload
    return frame + bigEndian(checksum(frame))
}

/// CRC-32, bit by bit.
func checksum(_ bytes: [UInt8]) -> Int {
    var remainder: UInt32 = 0xffff_ffff
    for byte in bytes {
        remainder ^= UInt32(byte)
        for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0xedb8_8320 : remainder >> 1 }
    }
    return Int(~remainder)
}

/// The failure that an answer comes to; nil when it comes to none.
func failure(
    status: Int, _ body: String, fields: [(String, String)] = [], isStreaming: Bool = false,
    adapter: Adapter = .openAI([])
) -> Failure? {
    let reader = AnswerReader()
    let arena = Arena()
    reader.reset(adapter: adapter, isStreaming: isStreaming)
    reader.begin(status: status)
    for (name, value) in fields { reader.header(name: Array(name.utf8).span, value: Array(value.utf8).span) }
    reader.append(Array(body.utf8).span)
    reader.end()
    while true {
        switch reader.next(in: arena) {
        case .failed(let failure): return failure
        case .finished, .needsMore: return nil
        default: continue
        }
    }
}

/// The body that asks `model` for what the completion says.
func body(
    _ completion: JunctionV1.Completion, model: String = "m", _ adapter: Adapter,
    options: BodyOptions = BodyOptions()
) throws -> String {
    let arena = Arena()
    let writer = BodyWriter()
    try writer.write(
        completion.view(in: arena), model: model, isStreaming: false, adapter: adapter, options: options)
    return writer.text
}

extension BodyWriter {
    /// The body written last.
    var text: String { bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) } }
}

/// The message's fields that are set, one a line, those of messages within indented.
private func shown(_ message: Any, indent: String = "  ") -> String {
    var text = ""
    for child in Mirror(reflecting: message).children {
        text += shown(child.label ?? "", child.value, indent: indent)
    }
    return text
}

private func shown(_ name: String, _ value: Any, indent: String) -> String {
    switch value {
    case let value as String: return value.isEmpty ? "" : "\(indent)\(name): \(value.debugDescription)\n"
    case let value as any BinaryInteger: return Int(value) == 0 ? "" : "\(indent)\(name): \(value)\n"
    case let value as Double: return "\(indent)\(name): \(value)\n"
    case let value as Bool: return value ? "\(indent)\(name)\n" : ""
    case let value as [UInt8]: return value.isEmpty ? "" : "\(indent)\(name): \(value)\n"
    case let value as [Any]:
        return value.map { "\(indent)\(name)\n" + shown($0, indent: indent + "  ") }.joined()
    case let value as JunctionV1.FinishReason:
        return value == .unspecified ? "" : "\(indent)\(name): \(value)\n"
    case let value as JunctionV1.Role: return value == .unspecified ? "" : "\(indent)\(name): \(value)\n"
    default: break
    }
    let mirror = Mirror(reflecting: value)
    guard mirror.displayStyle == .optional else {
        return "\(indent)\(name)\n" + shown(value, indent: indent + "  ")
    }
    return mirror.children.first.map { shown(name, $0.value, indent: indent) } ?? ""
}
