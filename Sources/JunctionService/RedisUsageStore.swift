// The usage store in a Redis: writes questions as arguments of scripts, reads their answers. What is counted
// and how, RedisScripts.swift says; when to ask, others decide.
import JunctionOutbound
import JunctionRouting

/// Confined to the loop of its client.
final class RedisUsageStore: UsageStore {
    private let client: RedisClient
    private let scripts: RedisScripts
    private let namespace: String
    /// The keys of each model group, without those of members.
    private var keys: [String: [String]] = [:]

    init(client: RedisClient, namespace: String, scripts: RedisScripts = RedisScripts()) {
        self.client = client
        self.namespace = namespace
        self.scripts = scripts
    }

    /// Whether Redis can be asked now.
    var isConnected: Bool { client.state == .ready }

    func reserve(
        _ request: SharedRequest, of member: StoreMember, then: @escaping (StoreAnswer<SharedReply>) -> Void
    ) {
        evaluate(scripts.reserve, request.modelGroup, then, Self.reply) { command in
            command.append(member.name)
            command.append(member.epoch)
            command.append(request.tokens)
            command.append((request.choosesLeastUsed ? 1 : 0) + (request.ignoresCooldowns ? 2 : 0))
            command.append(request.block)
            command.append(request.whole == nil ? 0 : 1)
            if let whole = request.whole { command.append(whole) }
            for row in request.candidates { command.append(row) }
        }
    }

    func exchange(
        _ report: SharedReport, of member: StoreMember, then: @escaping (StoreAnswer<SharedNews>) -> Void
    ) {
        let read = { Self.news($0, of: report) }
        evaluate(scripts.exchange, report.modelGroup, of: member, then, read) { command in
            command.append(member.name)
            command.append(member.epoch)
            command.append(report.number)
            command.append(report.purpose.rawValue)
            command.append(milliseconds(StoreMember.lifetime))
            command.append(report.whole == nil ? 0 : 1)
            command.append(report.entries.count)
            if let whole = report.whole { command.append(whole) }
            for entry in report.entries { command.append(entry) }
            for correction in report.corrections { command.append(correction) }
        }
    }

    /// What is counted of these deployments now. It need not have joined.
    func look(
        _ modelGroup: String, _ rows: [SharedRow], then: @escaping (StoreAnswer<SharedView>) -> Void
    ) {
        evaluate(scripts.look, modelGroup, then, { Self.view($0, of: rows) }) { command in
            for row in rows { command.append(row) }
        }
    }

    private func evaluate<Content: Sendable>(
        _ script: RedisScript, _ modelGroup: String, of member: StoreMember? = nil,
        _ then: @escaping (StoreAnswer<Content>) -> Void,
        _ read: @escaping (ReplyReader) -> StoreAnswer<Content>?, _ write: (inout RedisCommand) -> Void
    ) {
        var keys = keys(of: modelGroup)
        if let member { keys.append("\(namespace):{\(modelGroup)}:told:\(member.name)") }
        client.evaluate(script, keyCount: keys.count) { result in
            switch result {
            case .success(.array(let values)):
                let answer = read(ReplyReader(values))
                then(answer ?? .unavailable("Redis gave an answer that no script of ours gives"))
            case .success(.error(let text)): then(.unavailable(text))
            case .success: then(.unavailable("Redis gave an answer that no script of ours gives"))
            case .failure(let failure): then(.unavailable(failure.message))
            }
        } _: { command in
            for key in keys { command.append(key: key) }
            write(&command)
        }
    }

    private func keys(of modelGroup: String) -> [String] {
        if let keys = keys[modelGroup] { return keys }
        let made = ["use", "members", "held", "spend"].map { "\(namespace):{\(modelGroup)}:\($0)" }
        keys[modelGroup] = made
        return made
    }

    // MARK: Answers

    private static func reply(_ reader: ReplyReader) -> StoreAnswer<SharedReply>? {
        switch reader.next() {
        case -1: return .unknownMember
        case 0:
            let wait = reader.next()
            return reader.isWhole
                ? .content(.full(opensAfter: wait < 0 ? nil : .milliseconds(wait))) : nil
        case 1:
            let grant = SharedGrant(
                candidate: reader.next(), bucket: reader.next(), block: reader.block(),
                clock: reader.clock())
            return reader.isWhole ? .content(.granted(grant)) : nil
        default: return nil
        }
    }

    private static func news(_ reader: ReplyReader, of report: SharedReport) -> StoreAnswer<SharedNews>? {
        if reader.next() == -1 { return .unknownMember }
        var news = SharedNews(
            members: reader.next(), wasKnown: reader.next() == 1, clock: reader.clock(), entries: [])
        for _ in report.entries {
            let used = reader.amount()
            let spent = reader.next()
            var entry = SharedNews.Entry(
                used: used, block: reader.block(), cooldown: reader.cooldown(),
                latency: SharedLatency(
                    perToken: Double(reader.next()) * 1e-9, toFirstContent: Double(reader.next()) * 1e-9))
            entry.spent = spent
            news.entries.append(entry)
        }
        return reader.isWhole ? .content(news) : nil
    }

    private static func view(_ reader: ReplyReader, of rows: [SharedRow]) -> StoreAnswer<SharedView>? {
        var view = SharedView()
        for _ in 0..<reader.next() {
            view.members.append(.init(name: reader.text(), silentFor: .milliseconds(reader.next())))
        }
        for row in rows {
            view.rows.append(
                .init(row: row, used: reader.amount(), spent: reader.next(), cooldown: reader.cooldown()))
        }
        return reader.isWhole ? .content(view) : nil
    }
}

/// What a store holds of one model group, to look at.
struct SharedView: Sendable {
    struct Member: Sendable {
        var name: String
        /// Since it was last heard.
        var silentFor: Duration
    }
    struct Row: Sendable {
        var row: SharedRow
        var used: SharedAmount
        /// Billionths of a dollar.
        var spent: Int
        var cooldown: SharedCooldown?
    }

    var members: [Member] = []
    var rows: [Row] = []
}

/// Takes an answer's values one after the other.
private final class ReplyReader {
    private var values: ArraySlice<RedisValue>
    /// Whether all that was asked for was there.
    private(set) var isWhole = true

    init(_ values: [RedisValue]) { self.values = values[...] }

    func next() -> Int {
        guard let value = values.popFirst()?.integer else {
            isWhole = false
            return 0
        }
        return value
    }

    func text() -> String {
        guard let text = values.popFirst()?.text else {
            isWhole = false
            return ""
        }
        return text
    }

    func amount() -> SharedAmount { SharedAmount(tokens: next(), requests: next(), parallel: next()) }
    func block() -> SharedBlock { SharedBlock(amount: amount(), bucket: next()) }
    func clock() -> StoreClock { StoreClock(second: next(), microsecond: next()) }

    func cooldown() -> SharedCooldown? {
        let left = next()
        let cause = text()
        guard left > 0 else { return nil }
        let kind = Failure.Kind.allCases.first { "\($0)" == cause } ?? .serverError
        return SharedCooldown(left: .milliseconds(left), cause: kind)
    }
}

extension RedisCommand {
    fileprivate mutating func append(_ amount: SharedAmount) {
        append(amount.tokens)
        append(amount.requests)
        append(amount.parallel)
    }

    fileprivate mutating func append(_ row: SharedRow) {
        append(row.name)
        append(row.tokensLimit ?? -1)
        append(row.requestsLimit ?? -1)
        append(row.parallelLimit ?? -1)
        append(row.budget?.limit ?? -1)
        append(row.budget?.seconds ?? 1)
        append(row.cost)
    }

    fileprivate mutating func append(_ entry: SharedReport.Entry) {
        append(entry.row)
        append(entry.wanted)
        append(entry.parallel)
        append(entry.cooldown.map { $0.left == .zero ? -1 : milliseconds($0.left) } ?? 0)
        append(entry.cooldown.map { "\($0.cause)" } ?? "")
        append(Int(entry.latency.perToken * 1e9))
        append(Int(entry.latency.toFirstContent * 1e9))
    }

    fileprivate mutating func append(_ correction: SharedReport.Correction) {
        append(correction.row)
        append(correction.bucket)
        append(correction.tokens)
        append(correction.requests)
        append(correction.cost)
    }
}

private func milliseconds(_ duration: Duration) -> Int { Int(duration / .milliseconds(1)) }
