// How the processes of one run talk: one stream of HTTP/2 between each and the one that leads, each word a line
// of JSON. Whoever can reach the leader's port may join and sees what is asked: it is meant for a network of one's
// own.
import FoundationEssentials
import JunctionTransport

/// What the leader of a run says.
enum LeaderWord: Codable, Sendable {
    /// Connect, and make this part of the run when told.
    case prepare(LoadPlan)
    case begin
    /// Start no further call.
    case stop
}

/// What a process says that joined a run.
enum MemberWord: Codable, Sendable {
    /// Has its connections.
    case ready
    /// Counts since the start.
    case progress(LoadProgress)
    case done(Measurements)
    /// Could not do its part.
    case failed(String)
}

/// One side of a stream of lines.
final class Conversation<Heard: Codable, Said: Codable>: HTTP2StreamHandler {
    static var path: String { "/junction.load/join" }

    var stream: HTTP2Stream?
    private var line: [UInt8] = []
    private var hasEnded = false
    private let heard: (Heard) -> Void
    /// Called when the other side ended, left, or cannot be understood.
    private let left: () -> Void

    init(heard: @escaping (Heard) -> Void, left: @escaping () -> Void) {
        self.heard = heard
        self.left = left
    }

    func say(_ word: Said) {
        // These values have no number that JSON lacks.
        guard let text = try? JSONEncoder().encode(word) else { return }
        stream?.send(Array(text) + [UInt8(ascii: "\n")])
    }

    /// Says that nothing more follows.
    func end() {
        guard !hasEnded else { return }
        hasEnded = true
        stream?.endBody()
    }

    func received(headerName: Span<UInt8>, value: Span<UInt8>) {}
    func headersEnded(endStream: Bool) {}

    func received(data: Span<UInt8>) {
        for index in data.indices {
            if data[index] != UInt8(ascii: "\n") {
                line.append(data[index])
            } else {
                let word = try? JSONDecoder().decode(Heard.self, from: Data(line))
                line.removeAll(keepingCapacity: true)
                guard let word else {
                    stream?.reset(HTTP2ErrorCode.protocolError)
                    return
                }
                heard(word)
            }
        }
        stream?.consume(data.count)
    }

    func endedRemotely() { end() }
    func becameWritable() {}

    func closed(errorCode: UInt32) {
        stream = nil
        left()
    }
}
