// Signs requests to Amazon's services (Signature Version 4). Source:
// docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
//
// Not by libcurl's CURLOPT_AWS_SIGV4: 7.88.1 signs paths as they stand, where every service but S3 wants them
// encoded once more (a model's id has a colon), and signs `Expect:`, which it then does not send.
internal import COpenSSL
import Glibc

/// Who signs, and for what.
public struct AWSCredentials: Sendable {
    public var accessKeyID: String
    public var secretAccessKey: String
    /// For keys that are lent for some hours.
    public var sessionToken: String?
    /// Such as `us-east-1`.
    public var region: String
    /// Such as `bedrock`.
    public var service: String

    public init(
        accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, region: String,
        service: String
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
        self.region = region
        self.service = service
    }
}

/// Signs POST requests to one URL. Confined to one thread.
final class AWSSigner {
    private typealias Digest = InlineArray<32, UInt8>

    private let credentials: AWSCredentials
    /// The canonical request up to the date, and from behind it up to the body's hash.
    private let head: String
    private let tail: String
    private let scopeTail: String
    private let fields: String
    /// The key of a day, made once for it.
    private var day = ""
    private var key: [UInt8] = []

    /// - Parameters:
    ///   - host: as the field `Host` has it.
    ///   - path: as it is sent.
    init(_ credentials: AWSCredentials, host: String, path: String, contentType: String) {
        self.credentials = credentials
        let token = credentials.sessionToken
        fields = "content-type;host;x-amz-date" + (token == nil ? "" : ";x-amz-security-token")
        head = "POST\n\(encoded(path))\n\ncontent-type:\(contentType)\nhost:\(host)\nx-amz-date:"
        tail = "\n" + (token.map { "x-amz-security-token:\($0)\n" } ?? "") + "\n\(fields)\n"
        scopeTail = "/\(credentials.region)/\(credentials.service)/aws4_request"
    }

    /// The header lines that sign a request with that body.
    ///
    /// - Parameter time: the time now, in seconds since 1970; Amazon takes what is at most five minutes off.
    func lines(body: Span<UInt8>, at time: Int64) -> [String] {
        let (date, moment) = stamps(time)
        if date != day { renewKey(for: date) }
        let hash = body.withUnsafeBytes { hexadecimal(sha256($0)) }
        let scope = date + scopeTail
        let canonical = hexadecimal(sha256(head + moment + tail + hash))
        let signature = hexadecimal(hmac(key, "AWS4-HMAC-SHA256\n\(moment)\n\(scope)\n\(canonical)"))
        var lines = [
            "x-amz-date: \(moment)",
            "Authorization: AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), "
                + "SignedHeaders=\(fields), Signature=\(signature)",
        ]
        if let token = credentials.sessionToken { lines.append("x-amz-security-token: \(token)") }
        return lines
    }

    private func renewKey(for date: String) {
        day = date
        key = Array("AWS4\(credentials.secretAccessKey)".utf8)
        for part in [date, credentials.region, credentials.service, "aws4_request"] {
            let next = hmac(key, part)
            key = next.indices.map { next[$0] }
        }
    }

    private func sha256(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var digest = Digest(repeating: 0)
        var span = digest.mutableSpan
        span.withUnsafeMutableBufferPointer { out in
            _ = SHA256(
                bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, out.baseAddress)
        }
        return digest
    }

    private func sha256(_ text: String) -> Digest {
        var text = text
        return text.withUTF8 { sha256(UnsafeRawBufferPointer($0)) }
    }

    private func hmac(_ key: [UInt8], _ text: String) -> Digest {
        var digest = Digest(repeating: 0)
        var span = digest.mutableSpan
        var text = text
        text.withUTF8 { text in
            span.withUnsafeMutableBufferPointer { out in
                _ = HMAC(
                    EVP_sha256(), key, Int32(key.count), text.baseAddress, text.count, out.baseAddress, nil)
            }
        }
        return digest
    }

    private func hexadecimal(_ digest: Digest) -> String {
        let digits: StaticString = "0123456789abcdef"
        return String(unsafeUninitializedCapacity: 64) { out in
            for place in digest.indices {
                out[2 * place] = digits.utf8Start[Int(digest[place] >> 4)]
                out[2 * place + 1] = digits.utf8Start[Int(digest[place] & 15)]
            }
            return 64
        }
    }
}

/// The path with each byte that is not unreserved encoded, the `%` of what is encoded already among them.
private func encoded(_ path: String) -> String {
    let digits = Array("0123456789ABCDEF".unicodeScalars)
    var encoded = ""
    for byte in path.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"), UInt8(ascii: "/"):
            encoded.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            encoded += "%"
            encoded.unicodeScalars.append(digits[Int(byte >> 4)])
            encoded.unicodeScalars.append(digits[Int(byte & 15)])
        }
    }
    return encoded
}

/// `20150830` and `20150830T123600Z`.
private func stamps(_ time: Int64) -> (date: String, moment: String) {
    var seconds = time_t(time)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func digits(_ value: Int32, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let date = digits(parts.tm_year + 1900, 4) + digits(parts.tm_mon + 1, 2) + digits(parts.tm_mday, 2)
    let clock = digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2)
    return (date, "\(date)T\(clock)Z")
}
