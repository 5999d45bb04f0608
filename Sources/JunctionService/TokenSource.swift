// Tokens of Entra ID on a worker's loop: fetched when first needed, kept, renewed before they expire.
// Requests that need one before it is there wait. Nothing else of a request is known here.
import JunctionConfig
import JunctionOutbound
import JunctionProviders
import JunctionTransport

/// The tokens of one client. Confined to its worker's loop.
final class TokenSource: HTTPHandler {
    /// What a fetch came to.
    enum Outcome {
        case token(String)
        /// As what its answer counts for the request that waited.
        case refused(status: Int)
        case failed(HTTPFailure)
    }

    private static let fetchTimeout = Duration.seconds(30)
    private static let answerBytesMax = 64 << 10
    /// A token is renewed when so much of its time is left; at most half of it.
    private static let renewalMargin = Duration.seconds(300)

    private let loop: EventLoop
    private let client: HTTPClient
    private let endpoint: HTTPEndpoint
    private let request: [UInt8]

    private var token: String?
    private var expiry: ContinuousClock.Instant
    private var renewal: ContinuousClock.Instant
    private var waiting: [(Outcome) -> Void] = []

    private var transfer: HTTPTransfer?
    private var timer: Timer?
    private var status = 0
    private var answer: [UInt8] = []

    init(
        _ settings: EntraSettings, server: ServerConfiguration.Server, loop: EventLoop, client: HTTPClient
    ) throws(HTTPFailure) {
        self.loop = loop
        self.client = client
        endpoint = try HTTPEndpoint(
            url: settings.tokenURL, headers: [("content-type", "application/x-www-form-urlencoded")],
            options: HTTPOptions(connectTimeout: server.connectTimeout))
        request = Array(
            EntraToken.request(
                clientID: settings.clientID, clientSecret: settings.clientSecret.reveal(),
                scope: settings.scope
            ).utf8)
        expiry = loop.now
        renewal = loop.now
    }

    /// The token, where there is one that is good; has the next one fetched when it is time for that.
    var current: String? {
        guard let token, loop.now < expiry else { return nil }
        if loop.now >= renewal { fetch() }
        return token
    }

    /// Tells the next token when it is there. Never from inside this call.
    func next(_ tell: @escaping (Outcome) -> Void) {
        waiting.append(tell)
        fetch()
    }

    private func fetch() {
        if transfer != nil { return }
        status = 0
        answer.removeAll()
        let request = self.request
        let sent = client.send(to: endpoint, body: request.span, handler: self)
        transfer = sent
        timer = loop.schedule(after: TokenSource.fetchTimeout) { [unowned self] in
            transfer?.cancel()
            end(.failed(HTTPFailure(.timeout, message: "no token of Entra ID in time")))
        }
    }

    func received(status: Int) { self.status = status }

    func received(headerName: Span<UInt8>, value: Span<UInt8>) {}

    func received(body: Span<UInt8>) {
        let room = max(0, TokenSource.answerBytesMax - answer.count)
        for place in 0..<min(room, body.count) { answer.append(body[place]) }
    }

    func ended(_ end: HTTPEnd) {
        switch end {
        case .failed(let failure): self.end(.failed(failure))
        case .complete where status == 200:
            guard let token = EntraToken(answer: answer.span) else { return self.end(.refused(status: 502)) }
            self.token = token.text
            expiry = loop.now + token.lifetime
            renewal = expiry - min(TokenSource.renewalMargin, token.lifetime / 2)
            self.end(.token(token.text))
        // A client that is refused is told so by 400, 401 or 403.
        case .complete: self.end(.refused(status: (400..<404).contains(status) ? 401 : status))
        }
    }

    private func end(_ outcome: Outcome) {
        transfer = nil
        timer?.invalidate()
        timer = nil
        // An attempt to renew that fails is made again at the next request, but not at each one.
        renewal = max(renewal, loop.now + .seconds(5))
        let waiting = self.waiting
        self.waiting.removeAll()
        for tell in waiting { tell(outcome) }
    }
}

/// A request that waits for a token before it is sent. Confined to its worker's loop.
final class TokenTransfer {
    private var handler: (any HTTPHandler)?
    private var transfer: HTTPTransfer?
    private var isPaused = false

    /// - Parameter send: sends the request with that token.
    init(
        _ source: TokenSource, handler: any HTTPHandler,
        send: @escaping (_ token: String, _ handler: any HTTPHandler) -> HTTPTransfer
    ) {
        self.handler = handler
        source.next { outcome in
            guard let handler = self.handler else { return }
            switch outcome {
            case .token(let token):
                self.transfer = send(token, handler)
                if self.isPaused { self.transfer?.pause() }
            case .refused(let status):
                handler.received(status: status)
                handler.ended(.complete)
            case .failed(let failure): handler.ended(.failed(failure))
            }
            self.handler = nil
        }
    }

    func cancel() {
        handler = nil
        transfer?.cancel()
    }

    func letGo() {
        handler = nil
        transfer?.letGo()
    }

    func pause() {
        isPaused = true
        transfer?.pause()
    }

    func resume() {
        isPaused = false
        transfer?.resume()
    }
}
