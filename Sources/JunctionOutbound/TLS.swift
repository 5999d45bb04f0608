// OpenSSL 3 for Swift: a client's end of TLS on a non-blocking socket, and SHA-1. Knows no protocol inside.
internal import COpenSSL
import JunctionTransport

/// Why there is no encrypted connection; holds no secret.
struct TLSFailure: Error { let message: String }

/// What is trusted and what is shown, read from its files once.
final class TLSContext {
    fileprivate let context: OpaquePointer
    private let options: RedisTLS

    init(_ options: RedisTLS) throws(TLSFailure) {
        guard let context = SSL_CTX_new(TLS_client_method()) else { fatalError("out of memory") }
        self.context = context
        self.options = options
        junction_ssl_write_in_parts(context)
        junction_ssl_require_tls12(context)
        SSL_CTX_set_verify(context, options.verifiesCertificate ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        ERR_clear_error()
        if options.caFile != nil || options.caFolder != nil {
            guard SSL_CTX_load_verify_locations(context, options.caFile, options.caFolder) == 1 else {
                throw failure("cannot read the trusted certificates")
            }
        } else {
            SSL_CTX_set_default_verify_paths(context)
        }
        if let file = options.certificateFile {
            guard SSL_CTX_use_certificate_chain_file(context, file) == 1 else {
                throw failure("cannot read our certificate")
            }
            guard SSL_CTX_use_PrivateKey_file(context, options.keyFile ?? file, SSL_FILETYPE_PEM) == 1 else {
                throw failure("cannot read the key of our certificate")
            }
        }
    }

    deinit { SSL_CTX_free(context) }

    /// TLS on a connected socket, to a host by name or by address; nil: no name is checked.
    fileprivate func session(_ descriptor: Int32, host: String?) -> OpaquePointer {
        guard let session = SSL_new(context) else { fatalError("out of memory") }
        SSL_set_fd(session, descriptor)
        SSL_set_connect_state(session)
        guard let host else { return session }
        let isAddress = host.contains(":") || host.allSatisfy { $0.isNumber || $0 == "." }
        if !isAddress { junction_ssl_name_host(session, host) }
        if options.verifiesCertificate && options.checksHostname { SSL_set1_host(session, host) }
        return session
    }
}

/// One end of an encrypted connection. The socket belongs to the one who made this.
final class TLSSession {
    enum Step {
        case done(Int)
        /// The socket must be ready for this first.
        case wants(Interest)
        case closed
        case failed(TLSFailure)
    }

    private let session: OpaquePointer
    private let context: TLSContext

    init(_ context: TLSContext, descriptor: Int32, host: String?) {
        self.context = context
        session = context.session(descriptor, host: host)
    }

    deinit { SSL_free(session) }

    /// Goes on with the handshake.
    func shakeHands() -> Step {
        ERR_clear_error()
        return step(SSL_do_handshake(session), 0)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Step {
        var count = 0
        ERR_clear_error()
        return step(SSL_read_ex(session, buffer.baseAddress, buffer.count, &count), count)
    }

    /// Writes the first of the bytes, at least one.
    func write(_ bytes: UnsafeRawBufferPointer) -> Step {
        var count = 0
        ERR_clear_error()
        return step(SSL_write_ex(session, bytes.baseAddress, bytes.count, &count), count)
    }

    private func step(_ result: Int32, _ count: Int) -> Step {
        if result == 1 { return .done(count) }
        switch SSL_get_error(session, result) {
        case SSL_ERROR_WANT_READ: return .wants(.read)
        case SSL_ERROR_WANT_WRITE: return .wants(.write)
        case SSL_ERROR_ZERO_RETURN: return .closed
        case SSL_ERROR_SYSCALL where ERR_peek_error() == 0: return .closed
        default:
            let verdict = SSL_get_verify_result(session)
            guard verdict != X509_V_OK, SSL_is_init_finished(session) == 0 else {
                return .failed(failure("TLS failed"))
            }
            let text = String(cString: X509_verify_cert_error_string(verdict))
            return .failed(TLSFailure(message: "the server's certificate is not accepted: \(text)"))
        }
    }
}

/// With the reason that OpenSSL has for it.
private func failure(_ what: String) -> TLSFailure {
    guard let reason = ERR_reason_error_string(ERR_peek_last_error()) else {
        return TLSFailure(message: what)
    }
    return TLSFailure(message: "\(what): \(String(cString: reason))")
}

/// The SHA-1 of a text, in hexadecimal (FIPS 180-4).
func sha1Hexadecimal(_ text: String) -> String {
    var digest = [UInt8](repeating: 0, count: 20)
    let bytes = Array(text.utf8)
    guard EVP_Q_digest(nil, "SHA1", nil, bytes, bytes.count, &digest, nil) == 1 else {
        fatalError("out of memory")
    }
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
