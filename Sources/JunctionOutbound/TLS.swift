// OpenSSL 3 for Swift: a client's end of TLS on a non-blocking socket, and SHA-1. Knows no protocol inside.
internal import COpenSSL

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
