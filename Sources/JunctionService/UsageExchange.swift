// Keeps a router and its usage store in step: sends each model group's reports when they are due, hands it
// the news, and says when the store is gone and when it is back. Decides nothing of limits.
import JunctionRouting
import JunctionTransport

/// Confined to one loop; one a router.
final class UsageExchange {
    private let router: Router
    private let store: any UsageStore
    private let now: () -> Instant
    private let say: (String) -> Void
    private var timer: Timer?
    /// The model groups whose limits are kept together.
    private var together: Set<Int> = []
    private var hasSaid = false
    /// How often it is looked whether something is due.
    private static let look = Duration.milliseconds(50)

    init(
        router: Router, store: any UsageStore, loop: EventLoop, now: @escaping () -> Instant,
        say: @escaping (String) -> Void
    ) {
        self.router = router
        self.store = store
        self.now = now
        self.say = say
        timer = loop.schedule(after: .zero) { [unowned self] in
            timer?.reschedule(after: Self.look)
            for group in 0..<router.modelGroupCount { exchange(group) }
        }
    }

    private func exchange(_ group: Int) {
        let sentAt = now()
        guard let (report, member) = router.report(ofModelGroup: group, now: sentAt) else { return }
        store.exchange(report, of: member) { [weak self] answer in
            self?.heard(answer, to: report, from: group, sentAt)
        }
    }

    private func heard(
        _ answer: StoreAnswer<SharedNews>, to report: SharedReport, from group: Int, _ sentAt: Instant
    ) {
        switch answer {
        case .content(let news):
            if router.learn(news, to: report, ofModelGroup: group, sentAt: sentAt, now: now()) {
                joined(group)
            }
        case .unknownMember:
            // It was restarted empty, or we were silent for too long: we join again, and nobody need know.
            _ = router.part(fromStoreOfModelGroup: group, now: now())
        case .unavailable(let reason):
            _ = router.part(fromStoreOfModelGroup: group, now: now())
            parted(group, reason)
        }
    }

    private func joined(_ group: Int) {
        together.insert(group)
        guard hasSaid, together.count == router.modelGroupCount else { return }
        hasSaid = false
        say("usage is shared again")
    }

    private func parted(_ group: Int, _ reason: String) {
        together.remove(group)
        guard !hasSaid else { return }
        hasSaid = true
        say("usage is not shared, each instance keeps to its part of the limits until it is: \(reason)")
    }

    /// Gives back what is not used, and calls `then` when that is done or cannot be.
    func leave(then: @escaping () -> Void) {
        timer?.invalidate()
        timer = nil
        var left = 1
        let done = {
            left -= 1
            if left == 0 { then() }
        }
        for group in 0..<router.modelGroupCount {
            guard let (report, member) = router.farewell(ofModelGroup: group) else { continue }
            left += 1
            store.exchange(report, of: member) { _ in done() }
        }
        done()
    }
}
