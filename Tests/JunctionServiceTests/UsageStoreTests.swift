// What a usage store promises, asked of both: the table in memory and the scripts in a real Redis. At the end
// both are asked the same at random and must say the same.
import JunctionRouting
import Testing

@testable import JunctionService

@Suite struct UsageStoreTests {
    @Test(arguments: StoreKind.allCases) func aStrangerHasToJoin(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        #expect(store.reserve(request(10), of: anna).isUnknownMember)
        #expect(store.exchange(report(1), of: anna).isUnknownMember)
        #expect(store.join(anna).wasKnown == false)
        #expect(store.reserve(request(10), of: anna).grant?.candidate == 0)
    }

    @Test(arguments: StoreKind.allCases) func whatWasSentBeforeTheLastJoinIsRefused(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let later = StoreMember(name: "anna", epoch: 2)
        #expect(store.join(later, number: 2).wasKnown)
        #expect(store.reserve(request(10), of: anna).isUnknownMember)
        #expect(store.exchange(report(3), of: anna).isUnknownMember)
        #expect(store.reserve(request(10), of: later).grant != nil)
    }

    @Test(arguments: StoreKind.allCases) func aJoinWhoseAnswerWasLostLeavesTheStoreIgnorant(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna, number: 0)
        let later = StoreMember(name: "anna", epoch: 2)
        #expect(store.join(later, number: 0).wasKnown == false)
        _ = store.exchange(report(1), of: later)
        #expect(store.join(StoreMember(name: "anna", epoch: 3), number: 0).wasKnown)
    }

    /// It was silent for so long that it was taken for dead, and tells again what was not answered: what it
    /// used is still counted, so it must be known.
    @Test(arguments: StoreKind.allCases) func whatWasToldOutlivesTheMembership(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        store.join(bert)
        var its = report(2)
        its.corrections = [.init(row: 0, bucket: 4_000_000, tokens: 30, requests: 3)]
        _ = store.exchange(its, of: anna)
        store.now += .seconds(11)
        #expect(store.exchange(report(2), of: bert).content?.members == 1)
        #expect(store.exchange(its, of: anna).isUnknownMember)
        let later = StoreMember(name: "anna", epoch: 2)
        #expect(store.join(later, number: 0).wasKnown)
        #expect(
            store.exchange(its, of: later).content?.entries[0].used == SharedAmount(tokens: 30, requests: 3))
    }

    @Test(arguments: StoreKind.allCases) func aStoreThatLostAllKnowsNobody(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        store.clear()
        #expect(store.exchange(report(2), of: anna).isUnknownMember)
        #expect(store.join(StoreMember(name: "anna", epoch: 2)).wasKnown == false)
    }

    @Test(arguments: StoreKind.allCases) func tokensAreNeverMoreThanTheLimit(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        store.join(bert)
        #expect(store.reserve(request(60), of: anna).grant != nil)
        #expect(store.reserve(request(41), of: bert).grant == nil)
        #expect(store.reserve(request(40), of: bert).grant != nil)
        #expect(store.reserve(request(1), of: anna).isFull)
    }

    @Test(arguments: StoreKind.allCases) func requestsAreNeverMoreThanTheLimit(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let row = SharedRow(name: "a", requestsLimit: 2)
        for _ in 0..<2 { #expect(store.reserve(request(1, [row]), of: anna).grant != nil) }
        #expect(store.reserve(request(1, [row]), of: anna).isFull)
    }

    /// Also when the key was never there before: buckets of the first minute have to leave too.
    @Test(arguments: StoreKind.allCases) func whatWasUsedLeavesAfterItsMinute(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.now = .seconds(1_000_000) + .milliseconds(900)
        store.join(anna)
        #expect(store.reserve(request(100), of: anna).grant != nil)
        #expect(store.reserve(request(1), of: anna).opensAfter == .milliseconds(60_100))
        store.now = .seconds(1_000_060) + .milliseconds(999)
        store.rejoin(anna, number: 2)
        #expect(store.reserve(request(1), of: anna).isFull)
        store.now = .seconds(1_000_061)
        #expect(store.reserve(request(100), of: anna).grant?.bucket == 4 * 1_000_061)
    }

    @Test(arguments: StoreKind.allCases) func longIdleTimesLeaveNothingBehind(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        for _ in 0..<3 {
            #expect(store.reserve(request(100), of: anna).grant != nil)
            store.now += .seconds(1_000)
            store.rejoin(anna, number: 2)
        }
        #expect(store.exchange(report(2), of: anna).content?.entries[0].used == SharedAmount())
    }

    @Test(arguments: StoreKind.allCases) func theLeastUsedIsChosenWhereThatIsAsked(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let rows = [SharedRow(name: "a", tokensLimit: 100), SharedRow(name: "b", tokensLimit: 100)]
        #expect(store.reserve(request(30, rows), of: anna).grant?.candidate == 0)
        #expect(store.reserve(request(10, rows), of: anna).grant?.candidate == 0)
        #expect(store.reserve(request(10, rows, leastUsed: true), of: anna).grant?.candidate == 1)
        #expect(store.reserve(request(70, rows), of: anna).grant?.candidate == 1)
    }

    @Test(arguments: StoreKind.allCases) func aCallTooLargeForAllIsToldSo(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        #expect(store.reserve(request(101), of: anna).isFull)
        #expect(store.reserve(request(101), of: anna).opensAfter == nil)
    }

    @Test(arguments: StoreKind.allCases) func theWholeGroupHasItsOwnLimit(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let rows = [SharedRow(name: "a", tokensLimit: 100), SharedRow(name: "b", tokensLimit: 100)]
        var ask = request(50, rows)
        ask.whole = SharedRow(name: "", tokensLimit: 120)
        ask.choosesLeastUsed = true
        #expect(store.reserve(ask, of: anna).grant?.candidate == 0)
        #expect(store.reserve(ask, of: anna).grant?.candidate == 1)
        #expect(store.reserve(ask, of: anna).isFull)
        ask.tokens = 20
        #expect(store.reserve(ask, of: anna).grant != nil)
    }

    @Test(arguments: StoreKind.allCases) func budgetsAreSpentAndWholeAgain(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        var row = SharedRow(name: "a", budget: SharedBudget(limit: 100, seconds: 1_000))
        row.cost = 60
        #expect(store.reserve(request(1, [row]), of: anna).grant != nil)
        #expect(store.reserve(request(1, [row]), of: anna).opensAfter == .seconds(1_000))
        var its = report(2, [row])
        its.corrections = [.init(row: 0, bucket: 4_000_000, tokens: 0, requests: 0, cost: -50)]
        #expect(store.exchange(its, of: anna).content?.entries[0].spent == 10)
        #expect(store.reserve(request(1, [row]), of: anna).grant != nil)
        #expect(store.reserve(request(1, [row]), of: anna).isFull)
        store.now = .seconds(1_001_000)
        store.rejoin(anna, number: 3)
        #expect(store.reserve(request(1, [row]), of: anna).grant != nil)
    }

    // MARK: Settling

    @Test(arguments: StoreKind.allCases) func whatWasNotUsedGoesBackToItsOwnBucket(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let bucket = store.reserve(request(100), of: anna).grant!.bucket
        store.now += .seconds(3)
        var its = report(2)
        its.corrections = [.init(row: 0, bucket: bucket, tokens: -70, requests: 0)]
        #expect(store.exchange(its, of: anna).content?.entries[0].used.tokens == 30)
        #expect(store.reserve(request(70), of: anna).grant != nil)
        store.now += .seconds(58)
        store.rejoin(anna, number: 3)
        #expect(store.exchange(report(3), of: anna).content?.entries[0].used.tokens == 70)
    }

    @Test(arguments: StoreKind.allCases) func aReportThatIsSentTwiceCountsOnce(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let bucket = store.reserve(request(100), of: anna).grant!.bucket
        var its = report(2)
        its.corrections = [.init(row: 0, bucket: bucket, tokens: -20, requests: 0)]
        for _ in 0..<3 { #expect(store.exchange(its, of: anna).content?.entries[0].used.tokens == 80) }
        its.number = 3
        #expect(store.exchange(its, of: anna).content?.entries[0].used.tokens == 60)
    }

    @Test(arguments: StoreKind.allCases) func whatComesTooLateCountsNowOrNotAtAll(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let bucket = store.reserve(request(50), of: anna).grant!.bucket
        store.now += .seconds(70)
        store.rejoin(anna, number: 2)
        var its = report(2)
        its.corrections = [
            .init(row: 0, bucket: bucket, tokens: -50, requests: 0),
            .init(row: 0, bucket: bucket, tokens: 7, requests: 1),
        ]
        #expect(
            store.exchange(its, of: anna).content?.entries[0].used == SharedAmount(tokens: 7, requests: 1))
    }

    // MARK: Blocks

    @Test(arguments: StoreKind.allCases) func aBlockIsAnEvenShareOfHalfOfWhatIsLeft(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        store.join(bert)
        var its = report(2, [SharedRow(name: "a", tokensLimit: 1_000, requestsLimit: 100, parallelLimit: 40)])
        its.entries[0].wanted = SharedAmount(tokens: 900, requests: 10, parallel: 90)
        let entry = store.exchange(its, of: anna).content!.entries[0]
        #expect(entry.block.amount == SharedAmount(tokens: 250, requests: 10, parallel: 10))
        #expect(entry.block.bucket == 4_000_004)
        // A second after the bucket in which it was granted is over: so long it may have been used.
        store.now = .seconds(1_000_061) + .milliseconds(249)
        store.rejoin(anna, number: 3)
        #expect(store.exchange(report(3), of: anna).content?.entries[0].used.tokens == 250)
        store.now += .milliseconds(1)
        #expect(store.exchange(report(4), of: anna).content?.entries[0].used.tokens == 0)
    }

    @Test(arguments: StoreKind.allCases) func aCallBringsABlockWithIt(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        var ask = request(10)
        ask.block = SharedAmount(tokens: 30, requests: 3)
        let grant = store.reserve(ask, of: anna).grant
        #expect(grant?.block == SharedBlock(amount: SharedAmount(tokens: 30, requests: 3), bucket: 4_000_004))
        #expect(store.exchange(report(2), of: anna).content?.entries[0].used.tokens == 40)
    }

    // MARK: In flight

    @Test(arguments: StoreKind.allCases) func placesInFlightComeBackWithReports(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        let row = SharedRow(name: "a", parallelLimit: 2)
        for _ in 0..<2 { #expect(store.reserve(request(1, [row]), of: anna).grant != nil) }
        #expect(store.reserve(request(1, [row]), of: anna).isFull)
        var its = report(2, [row])
        its.entries[0].parallel = 1
        #expect(store.exchange(its, of: anna).content?.entries[0].used.parallel == 1)
        #expect(store.exchange(its, of: anna).content?.entries[0].used.parallel == 1)
        #expect(store.reserve(request(1, [row]), of: anna).grant != nil)
    }

    @Test(arguments: StoreKind.allCases) func whatACrashedInstanceHeldInFlightIsFreeAfterTenSeconds(
        kind: StoreKind
    ) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        store.join(bert)
        let row = SharedRow(name: "a", parallelLimit: 1)
        #expect(store.reserve(request(1, [row]), of: anna).grant != nil)
        store.now += .seconds(9)
        #expect(store.exchange(report(2, [row]), of: bert).content?.members == 2)
        #expect(store.reserve(request(1, [row]), of: bert).isFull)
        store.now += .seconds(2)
        #expect(store.exchange(report(3, [row]), of: bert).content?.members == 1)
        #expect(store.reserve(request(1, [row]), of: bert).grant != nil)
        #expect(store.exchange(report(2, [row]), of: anna).isUnknownMember)
    }

    @Test(arguments: StoreKind.allCases) func aJoinSaysWhatIsHeld(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        let row = SharedRow(name: "a", parallelLimit: 10)
        store.join(anna)
        for _ in 0..<3 { #expect(store.reserve(request(1, [row]), of: anna).grant != nil) }
        var its = report(2, [row])
        its.purpose = .joins
        its.entries[0].parallel = 5
        let later = StoreMember(name: "anna", epoch: 2)
        for _ in 0..<2 { #expect(store.exchange(its, of: later).content?.entries[0].used.parallel == 5) }
    }

    @Test(arguments: StoreKind.allCases) func whoLeavesHoldsNothing(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        let row = SharedRow(name: "a", tokensLimit: 100, parallelLimit: 10)
        store.join(anna)
        store.join(bert)
        var ask = request(10, [row])
        ask.block = SharedAmount(tokens: 20, requests: 2, parallel: 1)
        let block = store.reserve(ask, of: anna).grant!.block
        var its = report(2, [row])
        its.purpose = .leaves
        its.corrections = [.init(row: 0, bucket: block.bucket, tokens: -20, requests: -2)]
        #expect(store.exchange(its, of: anna).content != nil)
        let news = store.exchange(report(2, [row]), of: bert).content!
        #expect(news.members == 1)
        #expect(news.entries[0].used == SharedAmount(tokens: 10, requests: 1, parallel: 0))
    }

    // MARK: Health

    @Test(arguments: StoreKind.allCases) func cooldownsReachTheOthers(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        store.join(bert)
        var its = report(2)
        its.entries[0].cooldown = SharedCooldown(left: .seconds(5), cause: .rateLimited)
        _ = store.exchange(its, of: anna)
        store.now += .seconds(2)
        let heard = store.exchange(report(2), of: bert).content?.entries[0].cooldown
        #expect(heard == SharedCooldown(left: .seconds(3), cause: .rateLimited))
        #expect(store.reserve(request(1), of: bert).opensAfter == .seconds(3))
        var inSpite = request(1)
        inSpite.ignoresCooldowns = true
        #expect(store.reserve(inSpite, of: bert).grant?.candidate == 0)
        its.number = 3
        its.entries[0].cooldown = SharedCooldown(left: .seconds(1), cause: .serverError)
        #expect(store.exchange(its, of: anna).content?.entries[0].cooldown?.left == .seconds(3))
        its.number = 4
        its.entries[0].cooldown = SharedCooldown(left: .zero, cause: .serverError)
        #expect(store.exchange(its, of: anna).content?.entries[0].cooldown == nil, "it is over")
        #expect(store.reserve(request(1), of: bert).grant != nil)
        its.number = 5
        its.entries[0].cooldown = SharedCooldown(left: .seconds(3), cause: .rateLimited)
        _ = store.exchange(its, of: anna)
        store.now += .seconds(3)
        #expect(store.exchange(report(4), of: bert).content?.entries[0].cooldown == nil)
    }

    @Test(arguments: StoreKind.allCases) func latenciesAreAveraged(kind: StoreKind) {
        let store = StoreUnderTest(kind)
        store.join(anna)
        store.join(bert)
        var its = report(2)
        its.entries[0].latency = SharedLatency(perToken: 0.008, toFirstContent: 0)
        _ = store.exchange(its, of: anna)
        its.entries[0].latency = SharedLatency(perToken: 0.016, toFirstContent: 0.4)
        let mean = store.exchange(its, of: bert).content!.entries[0].latency
        #expect(abs(mean.perToken - 0.010) < 1e-8)
        #expect(abs(mean.toFirstContent - 0.4) < 1e-8)
    }

    @Test func allKeysExpire() {
        let store = StoreUnderTest(.redis)
        var row = SharedRow(name: "a", tokensLimit: 100, parallelLimit: 3)
        row.budget = SharedBudget(limit: 100, seconds: 86_400)
        store.join(anna)
        _ = store.reserve(request(10, [row]), of: anna)
        _ = store.exchange(report(2, [row]), of: anna)
        let times = store.timesToLive()
        #expect(times.count == 5)
        #expect(times.allSatisfy { $0 > 100 && $0 <= 86_400 + 125 })
    }

    /// As after a change of the configuration, while the others keep the key from expiring.
    @Test func deploymentsThatNobodyNamesAreForgotten() {
        let store = StoreUnderTest(.redis)
        let row = SharedRow(name: "b", tokensLimit: 10_000, parallelLimit: 3)
        store.join(anna)
        var its = report(2, [row])
        its.corrections = (0..<200).map {
            .init(row: 0, bucket: 4_000_000 - $0, tokens: 5, requests: 1)
        }
        _ = store.exchange(its, of: anna)
        _ = store.reserve(request(10, [row]), of: anna)
        #expect(store.fieldsOfUse().filter { $0.hasSuffix("|b") }.count > 400)
        for number in 3..<200 {
            store.now += .milliseconds(250)
            _ = store.exchange(report(number), of: anna)
        }
        #expect(store.fieldsOfUse().filter { $0.hasSuffix("|b") }.count > 400, "its minute is not over")
        for number in 200..<500 {
            store.now += .milliseconds(250)
            _ = store.exchange(report(number), of: anna)
        }
        #expect(store.fieldsOfUse().contains("p|b"), "a call is under way")
        its = report(500, [row])
        its.entries[0].parallel = 1
        #expect(store.exchange(its, of: anna).content?.entries[0].used == SharedAmount())
        for number in 501..<1_000 {
            store.now += .milliseconds(250)
            _ = store.exchange(report(number), of: anna)
        }
        #expect(store.fieldsOfUse().filter { $0.hasSuffix("|b") } == [])
    }

    // MARK: Alike

    @Test(arguments: [7, 8] as [UInt64]) func bothSayTheSame(seed: UInt64) {
        let stores = StoreKind.allCases.map(StoreUnderTest.init)
        var random = RandomSource(seed: seed)
        var epochs = ["anna": 0, "bert": 0, "carl": 0]
        var number = 0
        var rows = [
            SharedRow(name: "a", tokensLimit: 1_000, requestsLimit: 60),
            SharedRow(name: "b", tokensLimit: 400, parallelLimit: 12),
            SharedRow(name: "c", budget: SharedBudget(limit: 5_000, seconds: 30)),
        ]
        for index in rows.indices { rows[index].cost = 10 * index }
        let whole = SharedRow(name: "", requestsLimit: 100, parallelLimit: 30)
        for step in 0..<1_500 {
            func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }
            if below(3) == 0 {
                let later = stores[0].now + .milliseconds(below(40) == 0 ? 75_000 : below(3_000))
                for store in stores { store.now = later }
            }
            let name = ["anna", "bert", "carl"][below(3)]
            let member = StoreMember(name: name, epoch: epochs[name]!)
            let bucket = Int(stores[0].now / StoreClock.bucketLength)
            let wanted = SharedAmount(
                tokens: below(100), requests: below(9), parallel: below(4))
            if below(2) == 0 {
                var ask = request(below(120), rows, leastUsed: below(2) == 0)
                ask.candidates.shuffle(using: &random)
                ask.block = below(3) == 0 ? wanted : SharedAmount()
                ask.whole = whole
                let answers = stores.map { $0.reserve(ask, of: member).told }
                #expect(answers[0] == answers[1], "seed \(seed), step \(step): \(ask)")
                if answers[0] != answers[1] { return }
            } else {
                number += 1
                var its = report(number, rows)
                its.whole = whole
                if below(12) == 0 {
                    its.purpose = below(4) == 0 ? .leaves : .joins
                    if its.purpose == .joins { epochs[name]! += 1 }
                }
                for index in rows.indices where below(2) == 0 {
                    its.entries[index].wanted = wanted
                    its.entries[index].parallel = below(3)
                    its.entries[index].latency.perToken = Double(below(4)) * 0.004
                    let lag = below(360)
                    its.corrections.append(
                        .init(
                            row: index, bucket: bucket - lag, tokens: below(9) - 4,
                            requests: below(3) - 1, cost: below(9) - 4))
                }
                if below(30) == 0 {
                    its.entries[1].cooldown = SharedCooldown(
                        left: .milliseconds(below(4_000)), cause: .overloaded)
                }
                let asker = StoreMember(name: name, epoch: epochs[name]!)
                let answers = stores.map { $0.exchange(its, of: asker).told }
                #expect(answers[0] == answers[1], "seed \(seed), step \(step): \(its)")
                if answers[0] != answers[1] { return }
            }
        }
    }
}

private let anna = StoreMember(name: "anna", epoch: 1)
private let bert = StoreMember(name: "bert", epoch: 1)

private func request(
    _ tokens: Int, _ rows: [SharedRow] = [SharedRow(name: "a", tokensLimit: 100)], leastUsed: Bool = false
) -> SharedRequest {
    SharedRequest(modelGroup: "g", tokens: tokens, choosesLeastUsed: leastUsed, candidates: rows)
}

private func report(_ number: Int, _ rows: [SharedRow] = [SharedRow(name: "a", tokensLimit: 100)])
    -> SharedReport
{
    SharedReport(modelGroup: "g", number: number, entries: rows.map { .init(row: $0) })
}

extension StoreUnderTest {
    @discardableResult fileprivate func join(_ member: StoreMember, number: Int = 1) -> SharedNews {
        var its = report(number)
        its.purpose = .joins
        return exchange(its, of: member).content!
    }

    /// Speaks again after a silence that it may have been given up in.
    fileprivate func rejoin(_ member: StoreMember, number: Int) {
        if exchange(report(0), of: member).isUnknownMember { join(member, number: number - 1) }
    }
}

extension StoreAnswer {
    fileprivate var isUnknownMember: Bool { if case .unknownMember = self { true } else { false } }
}

extension StoreAnswer<SharedReply> {
    fileprivate var grant: SharedGrant? {
        if case .content(.granted(let grant)) = self { grant } else { nil }
    }
    fileprivate var isFull: Bool { if case .content(.full) = self { true } else { false } }
    fileprivate var opensAfter: Duration? {
        if case .content(.full(let wait)) = self { wait } else { nil }
    }
    /// All of it, to compare; Redis tells times in whole milliseconds.
    fileprivate var told: String {
        if let wait = opensAfter { return "full for \(wait / .milliseconds(1)) ms" }
        return "\(self)"
    }
}

extension StoreAnswer<SharedNews> {
    /// All that is counted, to compare; latencies Redis keeps in whole nanoseconds.
    fileprivate var told: String {
        guard var news = content else { return "\(self)" }
        for index in news.entries.indices {
            news.entries[index].latency = SharedLatency()
        }
        return "\(news)"
    }
}
