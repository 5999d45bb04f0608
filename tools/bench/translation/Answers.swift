// The answers that the benchmark of translation reads: the same text in each wire format, as the goldens of
// the providers' formats have it.
import JunctionProviders

private func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        + "\""
}

/// The text in 64 pieces, each as a JSON string.
private let pieces: [String] = {
    let size = text.count / 64 + 1
    var rest = Substring(text)
    var pieces: [String] = []
    while !rest.isEmpty {
        pieces.append(quoted(String(rest.prefix(size))))
        rest = rest.dropFirst(size)
    }
    return pieces
}()

func whole(_ adapter: Adapter) -> [UInt8] {
    let content = quoted(text)
    let body =
        switch adapter {
        case .openAI, .azure:
            #"{"id":"chatcmpl-123","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"#
                + #""message":{"role":"assistant","content":\#(content)},"finish_reason":"stop"}],"#
                + #""usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}"#
        case .anthropic:
            #"{"id":"msg_01","type":"message","role":"assistant","model":"m","#
                + #""content":[{"type":"text","text":\#(content)}],"stop_reason":"end_turn","#
                + #""stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":12}}"#
        case .cohere:
            #"{"id":"c1","finish_reason":"COMPLETE","message":{"role":"assistant","#
                + #""content":[{"type":"text","text":\#(content)}]},"#
                + #""usage":{"tokens":{"input_tokens":9,"output_tokens":12}}}"#
        case .gemini:
            #"{"candidates":[{"content":{"parts":[{"text":\#(content)}],"role":"model"},"#
                + #""finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"#
                + #""candidatesTokenCount":12,"totalTokenCount":21},"modelVersion":"m","responseId":"r"}"#
        case .bedrock:
            #"{"metrics":{"latencyMs":1},"output":{"message":{"content":[{"text":\#(content)}],"#
                + #""role":"assistant"}},"stopReason":"end_turn","#
                + #""usage":{"inputTokens":9,"outputTokens":12,"totalTokens":21}}"#
        }
    return Array(body.utf8)
}

func stream(_ adapter: Adapter) -> [[UInt8]] {
    switch adapter {
    case .openAI, .azure:
        let head = #""id":"chatcmpl-123","object":"chat.completion.chunk","created":1,"model":"m","#
        return pieces.map {
            event(#"{\#(head)"choices":[{"index":0,"delta":{"content":\#($0)},"finish_reason":null}]}"#)
        } + [
            event(#"{\#(head)"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#),
            event(#"{\#(head)"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12}}"#),
            event("[DONE]"),
        ]
    case .anthropic:
        let block = #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#
        let start = #"{"id":"msg_01","type":"message","role":"assistant","model":"m","content":[]}"#
        return [
            event(#"{"type":"message_start","message":\#(start)}"#, "message_start"),
            event(block, "content_block_start"),
        ]
            + pieces.map {
                event(
                    #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":\#($0)}}"#,
                    "content_block_delta")
            } + [
                event(#"{"type":"content_block_stop","index":0}"#, "content_block_stop"),
                event(
                    #"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":12}}"#,
                    "message_delta"), event(#"{"type":"message_stop"}"#, "message_stop"),
            ]
    case .cohere:
        let start = #""delta":{"message":{"content":{"type":"text","text":""}}}"#
        return [
            event(#"{"type":"message-start","id":"c1","delta":{"message":{"role":"assistant"}}}"#),
            event(#"{"type":"content-start","index":0,\#(start)}"#),
        ]
            + pieces.map {
                event(
                    #"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":\#($0)}}}}"#)
            } + [
                event(#"{"type":"content-end","index":0}"#),
                event(#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#),
            ]
    case .gemini:
        let usage = #""usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":12,"totalTokenCount":21}"#
        return pieces.map { piece in
            event(
                #"{"candidates":[{"content":{"parts":[{"text":\#(piece)}],"role":"model"},"index":0}],\#(usage),"#
                    + #""modelVersion":"m","responseId":"r"}"#
            )
        } + [event(#"{"candidates":[{"finishReason":"STOP","index":0}],\#(usage)}"#)]
    case .bedrock:
        return [frame("messageStart", #"{"p":"abcdefg","role":"assistant"}"#)]
            + pieces.map {
                frame(
                    "contentBlockDelta",
                    #"{"contentBlockIndex":0,"delta":{"text":\#($0)},"p":"abcdefghijklmnop"}"#)
            } + [
                frame("contentBlockStop", #"{"contentBlockIndex":0,"p":"abc"}"#),
                frame("messageStop", #"{"p":"abcdef","stopReason":"end_turn"}"#),
                frame("metadata", #"{"usage":{"inputTokens":9,"outputTokens":12,"totalTokens":21}}"#),
            ]
    }
}

/// As many texts are embedded, into vectors so long that the answer has 4 KB.
let vectorCount = 4
let vectorLength = 64

/// The answer that holds the vectors.
func embeddingAnswer(_ adapter: Adapter) -> [UInt8] {
    let vector = "[" + (0..<vectorLength).map { "-0.0\(12_345_678 + $0 * 997)" }.joined(separator: ",") + "]"
    func array(_ element: (Int) -> String) -> String {
        "[" + (0..<vectorCount).map(element).joined(separator: ",") + "]"
    }
    let body =
        switch adapter {
        case .openAI, .azure:
            #"{"object":"list","data":"#
                + array { #"{"object":"embedding","index":\#($0),"embedding":\#(vector)}"# }
                + #","model":"m","usage":{"prompt_tokens":9,"total_tokens":9}}"#
        case .cohere, .bedrock:
            #"{"id":"e1","embeddings":{"float":\#(array { _ in vector })},"texts":[],"#
                + #""meta":{"billed_units":{"input_tokens":9}},"response_type":"embeddings_by_type"}"#
        case .gemini: #"{"embeddings":\#(array { _ in #"{"values":\#(vector)}"# })}"#
        case .anthropic: ""
        }
    return Array(body.utf8)
}

private func event(_ data: String, _ name: String? = nil) -> [UInt8] {
    Array(((name.map { "event: \($0)\n" } ?? "") + "data: \(data)\n\n").utf8)
}

/// One frame of Amazon's event stream.
private func frame(_ type: String, _ payload: String) -> [UInt8] {
    func bigEndian(_ value: Int) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
    var headers: [UInt8] = []
    for (name, value) in [
        (":event-type", type), (":content-type", "application/json"), (":message-type", "event"),
    ] {
        headers += [UInt8(name.utf8.count)] + Array(name.utf8) + [7, 0, UInt8(value.utf8.count)]
        headers += Array(value.utf8)
    }
    var frame = bigEndian(16 + headers.count + payload.utf8.count) + bigEndian(headers.count)
    frame += bigEndian(checksum(frame)) + headers + Array(payload.utf8)
    return frame + bigEndian(checksum(frame))
}

/// CRC-32, bit by bit.
private func checksum(_ bytes: [UInt8]) -> Int {
    var remainder: UInt32 = 0xffff_ffff
    for byte in bytes {
        remainder ^= UInt32(byte)
        for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0xedb8_8320 : remainder >> 1 }
    }
    return Int(~remainder)
}
