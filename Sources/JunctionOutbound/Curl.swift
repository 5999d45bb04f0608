// The only file that knows libcurl: its handles, and what its result codes mean.
internal import CCurl
import Glibc
import JunctionTransport

private let isCurlReady: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

/// How libcurl ended a transfer.
enum CurlResult {
    case complete
    case failed(CurlCode, message: String)
}

/// A result code of libcurl's, not zero.
struct CurlCode: Equatable {
    let rawValue: UInt32

    /// What kind of failure it is.
    func kind(responseBegan: Bool) -> HTTPFailure.Kind {
        switch CURLcode(rawValue) {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .resolve
        case CURLE_COULDNT_CONNECT, CURLE_INTERFACE_FAILED: .connect
        case CURLE_OPERATION_TIMEDOUT: .timeout
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CRL_BADFILE,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_ENGINE_INITFAILED,
            CURLE_USE_SSL_FAILED:
            .tls
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE, CURLE_HTTP2_STREAM:
            .reset(beforeResponse: !responseBegan)
        case CURLE_URL_MALFORMAT: .invalidEndpoint
        default: .protocol
        }
    }
}

/// A checked URL.
final class CurlAddress {
    fileprivate let parsed: OpaquePointer

    init(_ url: String) throws(HTTPFailure) {
        guard let parsed = curl_url() else { fatalError("out of memory") }
        self.parsed = parsed
        let result = curl_url_set(parsed, CURLUPART_URL, url, UInt32(CURLU_DISALLOW_USER))
        if result == CURLUE_USER_NOT_ALLOWED {
            throw HTTPFailure(.invalidEndpoint, message: "the URL holds user information")
        }
        let isHTTP = result == CURLUE_OK && ["http", "https"].contains(scheme) && !url.utf8.contains(0)
        guard isHTTP else {
            throw HTTPFailure(.invalidEndpoint, message: "the URL is not an http or https one")
        }
        if url.utf8.contains(UInt8(ascii: "#")) {
            throw HTTPFailure(.invalidEndpoint, message: "the URL has a fragment")
        }
    }

    deinit { curl_url_cleanup(parsed) }

    private var scheme: String? { part(CURLUPART_SCHEME) }

    var isSecure: Bool { scheme == "https" }

    /// The host and the port, as a connection is made to them.
    var authority: String {
        "\(part(CURLUPART_HOST) ?? ""):\(part(CURLUPART_PORT, CURLU_DEFAULT_PORT) ?? "")"
    }

    /// The value of the `Host` header: without a port that goes without saying.
    var host: String {
        let host = part(CURLUPART_HOST) ?? ""
        guard let port = part(CURLUPART_PORT, CURLU_NO_DEFAULT_PORT) else { return host }
        return "\(host):\(port)"
    }

    /// What a request asks the host for.
    var pathAndQuery: String {
        (part(CURLUPART_PATH) ?? "/") + (part(CURLUPART_QUERY).map { "?\($0)" } ?? "")
    }

    var path: String { part(CURLUPART_PATH) ?? "/" }

    private func part(_ part: CURLUPart, _ flags: Int32 = 0) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(parsed, part, &text, UInt32(flags)) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }
}

/// A list of header lines.
final class CurlHeaders {
    fileprivate let list: UnsafeMutablePointer<curl_slist>?

    init(_ lines: [String]) {
        var list: UnsafeMutablePointer<curl_slist>?
        for line in lines { list = curl_slist_append(list, line) }
        self.list = list
    }

    deinit { curl_slist_free_all(list) }
}

/// A handle of libcurl's with its options set for good.
class CurlEasy {
    fileprivate let easy: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    // libcurl points into these.
    private let address: CurlAddress
    private let sockets: HTTPSockets
    private let share: CurlShare
    /// The transfer of the handle, if it is one that carries transfers.
    var transfer: CurlTransfer? { nil }

    fileprivate init(
        address: CurlAddress, options: HTTPOptions, sockets: HTTPSockets, share: CurlShare
    ) {
        guard isCurlReady, let easy = curl_easy_init() else { fatalError("out of memory") }
        self.easy = easy
        self.address = address
        self.sockets = sockets
        self.share = share
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.pointee = 0
        set(options)
        setSocketCallbacks()
    }

    deinit {
        curl_easy_cleanup(easy)
        errorText.deallocate()
    }

    private func set(_ options: HTTPOptions) {
        set(CURLOPT_CURLU, pointer: UnsafeRawPointer(address.parsed))
        set(CURLOPT_SHARE, pointer: share.share)
        set(CURLOPT_ERRORBUFFER, pointer: errorText)
        set(CURLOPT_PRIVATE, pointer: Unmanaged.passUnretained(self).toOpaque())
        set(CURLOPT_NOSIGNAL, 1)
        "http,https".withCString { set(CURLOPT_PROTOCOLS_STR, pointer: $0) }
        // Neither a proxy from the environment, nor a redirect, nor a .netrc: the configuration alone
        // decides.
        "".withCString { set(CURLOPT_PROXY, pointer: $0) }
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_TCP_KEEPALIVE, 1)
        set(CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(options.connectTimeout / .milliseconds(1))))
        set(CURLOPT_HTTP_VERSION, options.http2 ? CURL_HTTP_VERSION_2TLS : Int(CURL_HTTP_VERSION_1_1))
        if !options.verifyTLS {
            set(CURLOPT_SSL_VERIFYPEER, 0)
            set(CURLOPT_SSL_VERIFYHOST, 0)
        }
    }

    private func setSocketCallbacks() {
        // A connection outlives the handle that opened it, so these are told of the client's sockets.
        let sockets = Unmanaged.passUnretained(self.sockets).toOpaque()
        junction_curl_on_socket_open(
            easy,
            { sockets, _, address in
                let type = address!.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
                let descriptor = socket(address!.pointee.family, type, address!.pointee.protocol)
                if descriptor >= 0 { CurlMulti.sockets(sockets).opened(descriptor) }
                return descriptor
            }, sockets)
        junction_curl_on_socket_close(
            easy,
            { sockets, descriptor in
                let sockets = CurlMulti.sockets(sockets)
                sockets.closed(descriptor)
                return descriptor == sockets.descriptorToKeep ? 0 : close(descriptor)
            }, sockets)
    }

    fileprivate func set(_ option: CURLoption, _ value: Int) {
        let result = junction_curl_set_long(easy, option, value)
        precondition(result == CURLE_OK, "libcurl lacks option \(option.rawValue)")
    }

    fileprivate func set(_ option: CURLoption, pointer: UnsafeRawPointer?) {
        let result = junction_curl_set_pointer(easy, option, pointer)
        precondition(result == CURLE_OK, "libcurl lacks option \(option.rawValue)")
    }

    fileprivate static func of(_ me: UnsafeMutableRawPointer?) -> CurlEasy {
        Unmanaged<CurlEasy>.fromOpaque(me!).takeUnretainedValue()
    }

    fileprivate func result(_ code: CURLcode) -> CurlResult {
        if code == CURLE_OK { return .complete }
        return .failed(CurlCode(rawValue: code.rawValue), message: message(of: code))
    }

    fileprivate func message(of code: CURLcode) -> String {
        String(cString: errorText.pointee != 0 ? UnsafePointer(errorText) : curl_easy_strerror(code))
    }
}

/// Makes one connection, TLS included, and hands it over: as a socket, or, where TLS lies over it, by
/// carrying its bytes. HTTP is not its affair.
final class CurlConnection: CurlEasy {
    /// What came of a try to move bytes.
    enum Moved {
        case bytes(Int)
        case blocked
        /// The other side sends no more.
        case ended
        case failed(String)
    }

    /// What libcurl reads at once; TLS gives no more at a time.
    private static let secureBytes = 16 << 10

    let isSecure: Bool
    /// Told once what became of it.
    var onDone: (CurlResult) -> Void = { _ in }

    override init(address: CurlAddress, options: HTTPOptions, sockets: HTTPSockets, share: CurlShare) {
        isSecure = address.isSecure
        super.init(address: address, options: options, sockets: sockets, share: share)
        set(CURLOPT_CONNECT_ONLY, 1)
        // libcurl's own buffer serves nothing else here.
        set(CURLOPT_BUFFERSIZE, isSecure ? CurlConnection.secureBytes : 1024)
    }

    /// The socket of the connection that was made.
    var descriptor: Int32 { junction_curl_socket(easy) }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Moved {
        var count = 0
        let code = curl_easy_recv(easy, buffer.baseAddress, buffer.count, &count)
        if code == CURLE_AGAIN { return .blocked }
        if code != CURLE_OK { return .failed(message(of: code)) }
        return count == 0 ? .ended : .bytes(count)
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> Moved {
        var count = 0
        let code = curl_easy_send(easy, bytes.baseAddress, bytes.count, &count)
        if code == CURLE_AGAIN { return .blocked }
        return code == CURLE_OK ? .bytes(count) : .failed(message(of: code))
    }
}

/// A libcurl handle that has the options of one endpoint for good, and carries one transfer at a time.
final class CurlHandle: CurlEasy {
    /// A body buffer that is larger is not kept from call to call.
    private static let keptBytesMax = 65_536

    private var body = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// libcurl points into it.
    private let headers: CurlHeaders
    /// Header lines of the transfer under way alone, and those of the endpoint behind them.
    private var extraHeaders: [UnsafeMutablePointer<curl_slist>] = []
    private var carried: CurlTransfer?
    override var transfer: CurlTransfer? {
        get { carried }
        set { carried = newValue }
    }

    init(
        address: CurlAddress, headers: CurlHeaders, options: HTTPOptions, sockets: HTTPSockets,
        share: CurlShare
    ) {
        self.headers = headers
        super.init(address: address, options: options, sockets: sockets, share: share)
        set(CURLOPT_HTTPHEADER, pointer: headers.list)
        set(CURLOPT_POST, 1)
        set(CURLOPT_PIPEWAIT, 1)
        setDataCallbacks()
    }

    deinit {
        removeExtraHeaders()
        body.deallocate()
    }

    private func setDataCallbacks() {
        let me = Unmanaged.passUnretained(self as CurlEasy).toOpaque()
        junction_curl_on_header(
            easy,
            { bytes, _, count, me in
                let line = UnsafeRawBufferPointer(start: bytes, count: count)
                let transfer = CurlEasy.of(me).transfer
                return transfer?.receive(line: line.assumingMemoryBound(to: UInt8.self)) == true ? count : 0
            }, me)
        junction_curl_on_body(
            easy,
            { bytes, _, count, me in
                let body = UnsafeRawBufferPointer(start: bytes, count: count)
                switch CurlEasy.of(me).transfer?.receive(body: body.assumingMemoryBound(to: UInt8.self)) {
                case .taken: return count
                case .hold: return Int(CURL_WRITEFUNC_PAUSE)
                case .refuse, nil: return 0
                }
            }, me)
    }

    /// Puts header lines before the endpoint's, for the next transfer alone.
    func load(headers lines: [String]) {
        if lines.isEmpty && extraHeaders.isEmpty { return }
        removeExtraHeaders()
        var list = headers.list
        for line in lines {
            let item = UnsafeMutablePointer<curl_slist>.allocate(capacity: 1)
            item.initialize(to: curl_slist(data: strdup(line), next: list))
            extraHeaders.append(item)
            list = item
        }
        set(CURLOPT_HTTPHEADER, pointer: list)
    }

    private func removeExtraHeaders() {
        for item in extraHeaders {
            free(item.pointee.data)
            item.deallocate()
        }
        extraHeaders.removeAll(keepingCapacity: true)
    }

    /// Copies what is to be sent next.
    func load(_ bytes: Span<UInt8>) {
        if bytes.count > body.count {
            body.deallocate()
            body = .allocate(byteCount: max(4096, bytes.count), alignment: 1)
        }
        bytes.withUnsafeBytes { body.copyMemory(from: $0) }
        set(CURLOPT_POSTFIELDSIZE, bytes.count)
        set(CURLOPT_POSTFIELDS, pointer: body.baseAddress)
    }

    /// Gives back the memory of an unusually large body.
    func shrink() {
        guard body.count > CurlHandle.keptBytesMax else { return }
        body.deallocate()
        body = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Lets libcurl go on after a piece was held; calls back with that piece at once.
    func unhold() -> CurlResult { result(curl_easy_pause(easy, CURLPAUSE_CONT)) }
}

/// What transfers and connections may share: addresses that were looked up, TLS sessions. Confined to one
/// thread.
final class CurlShare {
    fileprivate let share: UnsafeMutableRawPointer

    init() {
        guard isCurlReady, let share = curl_share_init() else { fatalError("out of memory") }
        self.share = share
        junction_curl_share(share, CURL_LOCK_DATA_DNS)
        junction_curl_share(share, CURL_LOCK_DATA_SSL_SESSION)
    }

    deinit { curl_share_cleanup(share) }
}

/// A set of transfers and connections.
final class CurlMulti {
    /// Connections kept idle, over all hosts.
    private static let idleConnectionsMax = 4096

    private let multi: UnsafeMutableRawPointer
    private let sockets: HTTPSockets
    /// Told when libcurl wants to be called next; nil: not at all.
    var onTimer: (Duration?) -> Void = { _ in }

    init(sockets: HTTPSockets) {
        guard isCurlReady, let multi = curl_multi_init() else { fatalError("out of memory") }
        self.multi = multi
        self.sockets = sockets
        junction_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, CurlMulti.idleConnectionsMax)
        junction_curl_multi_set_long(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX)
        junction_curl_multi_on_socket(
            multi,
            { easy, descriptor, what, sockets, _ in
                let sockets = CurlMulti.sockets(sockets)
                switch what {
                case CURL_POLL_IN: sockets.want(.read, of: descriptor)
                case CURL_POLL_OUT: sockets.want(.write, of: descriptor)
                case CURL_POLL_INOUT: sockets.want([.read, .write], of: descriptor)
                default: sockets.rest(descriptor, isConnection: CurlMulti.isConnection(of: easy))
                }
                return 0
            }, Unmanaged.passUnretained(sockets).toOpaque())
        junction_curl_multi_on_timer(
            multi,
            { _, milliseconds, me in
                let me = Unmanaged<CurlMulti>.fromOpaque(me!).takeUnretainedValue()
                me.onTimer(milliseconds < 0 ? nil : .milliseconds(milliseconds))
                return 0
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        junction_curl_multi_on_timer(multi, nil, nil)
        // Closes the connections, which tells `sockets`.
        curl_multi_cleanup(multi)
    }

    fileprivate static func sockets(_ raw: UnsafeMutableRawPointer?) -> HTTPSockets {
        Unmanaged<HTTPSockets>.fromOpaque(raw!).takeUnretainedValue()
    }

    /// Whether a socket for which libcurl waits no more is a connection of a transfer: it may close any other
    /// without a word.
    private static func isConnection(of easy: UnsafeMutableRawPointer?) -> Bool {
        transfer(of: easy)?.responseBegan ?? false
    }

    /// nil for libcurl's own handles, which close connections.
    private static func transfer(of easy: UnsafeMutableRawPointer?) -> CurlTransfer? {
        junction_curl_private(easy).flatMap { CurlEasy.of($0).transfer }
    }

    func add(_ handle: CurlEasy) { curl_multi_add_handle(multi, handle.easy) }

    /// Also closes the connection of a `CurlConnection`, but for the socket that `sockets` is to keep.
    func remove(_ handle: CurlEasy) { curl_multi_remove_handle(multi, handle.easy) }

    /// A socket is ready.
    func became(_ ready: Interest, _ descriptor: Int32) {
        var mask: Int32 = 0
        if ready.contains(.read) { mask |= CURL_CSELECT_IN }
        if ready.contains(.write) { mask |= CURL_CSELECT_OUT }
        var running: Int32 = 0
        curl_multi_socket_action(multi, descriptor, mask, &running)
    }

    /// Time that libcurl asked for has passed; also starts what was added.
    func timePassed() {
        var running: Int32 = 0
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running)
    }

    /// The next handle that libcurl is done with; if it carried a transfer, to be removed.
    func nextDone() -> (CurlEasy, CurlResult)? {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE else { continue }
            let handle = CurlEasy.of(junction_curl_private(message.pointee.easy_handle))
            return (handle, handle.result(message.pointee.data.result))
        }
        return nil
    }
}
