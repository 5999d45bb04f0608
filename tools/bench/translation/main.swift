// What a translation costs for each provider that differs in it, in microseconds of CPU: a request of 4 KB, an
// answer of 4 KB, whole and in 64 pieces, four texts to embed and their vectors. Exit code 1: one costs more
// than twice what it does for OpenAI. Run in release: swift run -c release translation-bench
import Glibc
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

func embedding() -> JunctionV1.Embedding {
    var embedding = JunctionV1.Embedding()
    embedding.model = "group"
    embedding.inputs = (0..<vectorCount).map { String(text.dropFirst($0 * 1000).prefix(1000)) }
    return embedding
}

/// The time that this thread has been on a core, in microseconds: what other processes take is not ours.
func cpuMicroseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

func request(_ adapter: Adapter) -> () -> Void {
    let arena = Arena()
    let view = completion().view(in: arena)
    let writer = BodyWriter()
    return {
        do {
            try writer.write(view, model: "claude-3-5-sonnet", isStreaming: true, adapter: adapter)
        } catch { fatalError("\(error)") }
        withExtendedLifetime(arena) {}
    }
}

func embeddingRequest(_ adapter: Adapter) -> () -> Void {
    let arena = Arena()
    let view = embedding().view(in: arena)
    let writer = BodyWriter()
    return {
        do {
            try writer.write(view, model: "cohere.embed-english-v3", adapter: adapter)
        } catch { fatalError("\(error)") }
        withExtendedLifetime(arena) {}
    }
}

func vectors(_ adapter: Adapter) -> () -> Void {
    let reader = AnswerReader()
    let arena = Arena()
    let body = embeddingAnswer(adapter)
    return {
        reader.reset(adapter: adapter, isStreaming: false, embeddingCount: vectorCount)
        reader.begin(status: 200)
        reader.append(body.span)
        reader.end()
        guard case .embeddings(let response) = reader.next(in: arena) else { fatalError("\(adapter)") }
        precondition(response.vectors.allSatisfy { $0.values.count == vectorLength })
        arena.reset()
    }
}

func answer(_ adapter: Adapter, _ pieces: [[UInt8]], isStreaming: Bool) -> () -> Void {
    let reader = AnswerReader()
    let arena = Arena()
    return {
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

/// One of a kind: the first provider with each adapter.
var rows: [(name: String, adapter: Adapter)] = []
for provider in Registry.names.compactMap(Registry.provider)
where !rows.contains(where: { $0.adapter == provider.adapter }) {
    rows.append((provider.name, provider.adapter))
}

/// What is measured, by column; nil: there is no such thing.
let works: [[(() -> Void)?]] = rows.map { _, adapter in
    let embeds = adapter.embeddingURL(base: "", model: "", apiVersion: nil) != nil
    return [
        request(adapter), answer(adapter, [whole(adapter)], isStreaming: false),
        answer(adapter, stream(adapter), isStreaming: true), embeds ? embeddingRequest(adapter) : nil,
        embeds ? vectors(adapter) : nil,
    ]
}

/// The least of fifty rounds, in which all take turns: what disturbs the machine disturbs all.
var costs = works.map { $0.map { _ in Double.infinity } }
for _ in 0..<50 {
    for (row, columns) in works.enumerated() {
        for (column, work) in columns.enumerated() {
            guard let work else { continue }
            let start = cpuMicroseconds()
            for _ in 0..<100 { work() }
            costs[row][column] = min(costs[row][column], (cpuMicroseconds() - start) / 100)
        }
    }
}

func padded(_ text: String) -> String { String(repeating: " ", count: max(1, 15 - text.count)) + text }
func rounded(_ value: Double) -> String { value.isFinite ? "\((value * 100).rounded() / 100)" : "-" }

let titles = ["request", "whole", "streamed", "embed request", "vectors", "most ÷ openai"]
print("µs          " + titles.map(padded).joined())
var isTooDear = false
for (row, cost) in zip(rows, costs) {
    let most = zip(cost, costs[0]).map { $0.isFinite ? $0 / $1 : 0 }.max() ?? 0
    isTooDear = isTooDear || most > 2
    print(
        row.name + String(repeating: " ", count: 12 - row.name.count)
            + (cost + [most]).map { padded(rounded($0)) }.joined())
}
exit(isTooDear ? 1 : 0)
