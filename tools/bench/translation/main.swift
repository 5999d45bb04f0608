// What a translation costs for each wire format, in microseconds of one core: a request of 4 KB, and an answer
// of 4 KB, whole and in 64 pieces. Run in release: swift run -c release translation-bench
import JunctionMessages
import JunctionProtobuf
import JunctionProviders

/// 4 KB of prose with a line end and a quotation mark now and then, as models write it.
let text = String(
    (0..<64).map { "\($0). The quick \"brown\" fox jumps over the lazy dog; né à Paris.\n" }.joined().prefix(
        4000))

func completion() -> JunctionV1.Completion {
    func message(_ role: JunctionV1.Role, _ content: Substring) -> JunctionV1.Message {
        var message = JunctionV1.Message()
        message.role = role
        message.content = String(content)
        return message
    }
    var completion = JunctionV1.Completion()
    completion.model = "group"
    completion.messages = [
        message(.system, text.prefix(400)), message(.user, text.prefix(1000)),
        message(.assistant, text.prefix(1600)), message(.user, text.prefix(600)),
    ]
    var tool = JunctionV1.Tool()
    tool.function = JunctionV1.FunctionTool()
    tool.function?.name = "get_weather"
    tool.function?.description = "The weather at a place"
    tool.function?.parametersJson =
        #"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}}"#
    completion.tools = [tool]
    completion.temperature = 0.5
    completion.maxTokens = 1000
    completion.stop = ["END"]
    return completion
}

/// Microseconds a turn of `work`, the best of forty rounds: what other processes take is not ours.
func measure(_ work: () -> Void) -> Double {
    var best = Double.infinity
    for _ in 0..<40 {
        let start = ContinuousClock.now
        for _ in 0..<300 { work() }
        best = min(best, (ContinuousClock.now - start) / .microseconds(300))
    }
    return best
}

func request(_ adapter: Adapter) -> Double {
    let arena = Arena()
    let view = completion().view(in: arena)
    let writer = BodyWriter()
    return measure {
        do {
            try writer.write(view, model: "claude-3-5-sonnet", isStreaming: true, adapter: adapter)
        } catch { fatalError("\(error)") }
    }
}

func answer(_ adapter: Adapter, _ pieces: [[UInt8]], isStreaming: Bool) -> Double {
    let reader = AnswerReader()
    let arena = Arena()
    return measure {
        var isFinished = false
        var contentBytes = 0
        func take() {
            while true {
                switch reader.next(in: arena) {
                case .needsMore: return
                case .delta(let delta, _):
                    for choice in delta.choices { contentBytes += choice.content.count }
                    arena.reset()
                case .complete(let response): contentBytes = response.choices[0].message?.content.count ?? 0
                case .usage, .embeddings: break
                case .finished:
                    isFinished = true
                    return
                case .failed(let failure): fatalError("\(failure)")
                }
            }
        }
        reader.reset(adapter: adapter, isStreaming: isStreaming)
        reader.begin(status: 200)
        for piece in pieces {
            reader.append(piece.span)
            take()
        }
        reader.end()
        if !isFinished { take() }
        arena.reset()
        precondition(isFinished && contentBytes == text.utf8.count, "\(adapter) lost something")
    }
}

let rows: [(String, Adapter)] = [
    ("openai", .openAI([])), ("azure", .azure), ("anthropic", .anthropic), ("cohere", .cohere),
    ("gemini", .gemini), ("bedrock", .bedrock),
]

func column(_ text: String) -> String { String(repeating: " ", count: max(0, 12 - text.count)) + text }
func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

print("µs          " + ["request", "whole", "streamed", "most ÷ openai"].map(column).joined())
var first: [Double] = []
for (name, adapter) in rows {
    let cost = [
        request(adapter), answer(adapter, [whole(adapter)], isStreaming: false),
        answer(adapter, stream(adapter), isStreaming: true),
    ]
    if first.isEmpty { first = cost }
    let worst = zip(cost, first).map { $0 / $1 }.max() ?? 0
    print(
        name + String(repeating: " ", count: 12 - name.count) + cost.map { column(rounded($0)) }.joined()
            + column(rounded(worst)))
}
