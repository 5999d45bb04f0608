// What the generator makes of a service: calls through the client stub reach the server protocol and come
// back, over loopback, for each kind of call and for names that are words of Swift.
import JunctionProtobuf
import JunctionRPC
import JunctionTransport
import Shelf
import Testing

struct GeneratedStubsTests {
    @Test func oneRequestGetsOneAnswer() async throws {
        try await withLibrarian { librarian in
            let book = ShelfV1.Book.with { $0.title = "Emil" }
            let answer = try await librarian.fetch(book)
            #expect(
                answer
                    == .with {
                        $0.title = "Emil"
                        $0.pages = 1
                    })
            do throws(Status) {
                _ = try await librarian.fetch(.init())
                Issue.record("a book without a title was found")
            } catch { #expect(error == Status(.invalidArgument, "title: missing")) }
        }
    }

    @Test func oneRequestGetsManyAnswers() async throws {
        try await withLibrarian { librarian in
            let wanted = ShelfV1.Lists.with { $0.strings = ["a", "b", "c"] }
            try await expect(librarian.browse(wanted), toHaveTitles: ["a", "b", "c"])
            try await expect(librarian.browse(.init()), toHaveTitles: [])
        }
    }

    @Test func manyRequestsGetOneAnswer() async throws {
        try await withLibrarian { librarian in
            let books = ["x", "y"].map { title in ShelfV1.Book.with { $0.title = title } }
            let both = try await librarian.giveBack(stream(books))
            #expect(both.strings == ["x", "y"])
            let none = try await librarian.giveBack(stream([]))
            #expect(none.strings == [])
        }
    }

    @Test func manyRequestsGetManyAnswers() async throws {
        try await withLibrarian { librarian in
            let readers = ["Ada", "Bo"].map { name in Lending.Reader.with { $0.name = name } }
            try await expect(librarian.talk(stream(readers)), toHaveTitles: ["for Ada", "for Bo"])
        }
    }

    @Test func methodsMayBeNamedLikeWordsOfSwift() async throws {
        try await withLibrarian { librarian in
            let nothing = ShelfV1.Nothing()
            let initialised = try await librarian.init_(nothing)
            #expect(initialised == nothing)
            let myself = try await librarian.self_(nothing)
            #expect(myself == nothing)
            let type = ShelfV1.Type_.with { $0.string = .with { $0.string = "s" } }
            let typed = try await librarian.type(type)
            #expect(typed == type)
            let defaults = try await all(librarian.default(nothing))
            #expect(defaults == [nothing])
            let channelled = try await librarian.channel_(stream([nothing]))
            #expect(channelled == nothing)
            let registered = try await all(librarian.register(stream([nothing, nothing])))
            #expect(registered == [nothing, nothing])
            let number = try await librarian.iN(.with { $0.text = "four" })
            #expect(number.number == 4)
        }
    }

    private func all<Message>(_ answers: AsyncThrowingStream<Message, any Error>) async throws -> [Message] {
        var messages: [Message] = []
        for try await message in answers { messages.append(message) }
        return messages
    }

    private func expect(
        _ answers: AsyncThrowingStream<ShelfV1.Book, any Error>, toHaveTitles titles: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let books = try await all(answers)
        #expect(books.map(\.title) == titles, sourceLocation: sourceLocation)
    }

    private func stream<Message: Sendable>(_ messages: [Message]) -> AsyncThrowingStream<Message, any Error> {
        AsyncThrowingStream { continuation in
            for message in messages { continuation.yield(message) }
            continuation.finish()
        }
    }
}

/// Answers so that a test can tell which method was asked, and with what.
private final class Librarian: LibrarianServer {
    func fetch(_ request: ShelfV1.Book.View, _ call: ServerCall<ShelfV1.Book>) {
        guard !request.title.isEmpty else { return call.finish(Status(.invalidArgument, "title: missing")) }
        request.pages = 1
        call.answer(request)
    }

    func browse(_ request: ShelfV1.Lists.View, _ call: ServerCall<ShelfV1.Book>) {
        for title in request.strings { call.send(.with { $0.title = String(title) }) }
        call.finish()
    }

    func giveBack(_ call: ServerCall<ShelfV1.Lists>) -> MessageReceiver<ShelfV1.Book> {
        var lists = ShelfV1.Lists()
        return MessageReceiver(
            onMessage: { lists.strings.append(String($0.title)) },
            onEnd: { call.answer(lists.view(in: call.arena)) })
    }

    func talk(_ call: ServerCall<ShelfV1.Book>) -> MessageReceiver<Lending.Reader> {
        MessageReceiver(
            onMessage: { reader in call.send(.with { $0.title = "for \(reader.name)" }) },
            onEnd: { call.finish() })
    }

    func init_(_ request: ShelfV1.Nothing.View, _ call: ServerCall<ShelfV1.Nothing>) { call.answer(request) }

    func self_(_ request: ShelfV1.Nothing.View, _ call: ServerCall<ShelfV1.Nothing>) {
        call.answer { ShelfV1.Nothing() }
    }

    func type(_ request: ShelfV1.Type_.View, _ call: ServerCall<ShelfV1.Type_>) { call.answer(request) }

    func `default`(_ request: ShelfV1.Nothing.View, _ call: ServerCall<ShelfV1.Nothing>) {
        call.answer(request)
    }

    func channel_(_ call: ServerCall<ShelfV1.Nothing>) -> MessageReceiver<ShelfV1.Nothing> {
        MessageReceiver(onMessage: { _ in }, onEnd: { call.answer(ShelfV1.Nothing.View(in: call.arena)) })
    }

    func register(_ call: ServerCall<ShelfV1.Nothing>) -> MessageReceiver<ShelfV1.Nothing> {
        MessageReceiver(onMessage: { call.send($0) }, onEnd: { call.finish() })
    }

    func iN(_ request: Proto.Plain.View, _ call: ServerCall<ShelfV1.Self_>) {
        call.send(.with { $0.number = Int32(request.text.count) })
        call.finish()
    }
}

extension ProtobufMessage {
    /// An empty message, then what `fill` makes of it.
    fileprivate static func with(_ fill: (inout Self) -> Void) -> Self {
        var message = Self()
        fill(&message)
        return message
    }
}

/// Serves a librarian on a free port while `body` runs.
private func withLibrarian(_ body: (LibrarianClient) async throws -> Void) async throws {
    let thread = LoopThread(name: "librarian") { _ in }
    let library: Library = try await withCheckedThrowingContinuation { continuation in
        thread.loop.submit { continuation.resume(with: Result { try Library(thread.loop) }) }
    }
    let channel = Channel(host: "127.0.0.1", port: library.port)
    let outcome = await Result { () async throws in try await body(LibrarianClient(channel: channel)) }
    channel.shutdown()
    await withCheckedContinuation { continuation in
        thread.loop.submit { library.close { continuation.resume() } }
    }
    thread.loop.stop()
    thread.join()
    try outcome.get()
}

/// A server with its listener; all but the port belongs to the loop.
private final class Library: @unchecked Sendable {
    let port: Int
    private let server: RPCServer
    private let listener: Listener

    init(_ loop: EventLoop) throws {
        var registry = ServiceRegistry()
        registry.register(Librarian())
        let server = RPCServer(registry: registry, loop: loop)
        self.server = server
        listener = try Listener(loop: loop, host: "127.0.0.1", port: 0) { server.accept($0) }
        port = listener.port
    }

    func close(_ completion: @escaping () -> Void) {
        listener.close()
        server.drain(within: .zero, completion: completion)
    }
}

extension Result where Failure == any Error {
    fileprivate init(catching body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
