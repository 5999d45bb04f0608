// What stands in single header fields: timeouts, statuses, percent-encoding, base64, content types.
import JunctionTransport
import Testing

@testable import JunctionRPC

struct HeaderFieldTests {
    private func timeout(_ text: String) -> Duration? {
        let bytes = Array(text.utf8)
        return Duration(grpcTimeout: bytes.span)
    }

    @Test(
        arguments: [
            ("1H", .seconds(3600)), ("2M", .seconds(120)), ("3S", .seconds(3)), ("4m", .milliseconds(4)),
            ("5u", .microseconds(5)), ("6n", .nanoseconds(6)), ("0S", .zero),
            ("00000012m", .milliseconds(12)),
            ("99999999S", .seconds(99_999_999)), ("99999999H", .seconds(315_360_000)),
            ("99999999M", .seconds(315_360_000)),
        ] as [(String, Duration)])
    func timeoutsAreRead(text: String, expected: Duration) { #expect(timeout(text) == expected) }

    @Test(arguments: ["", "1", "S", "123456789S", "1s", "1 S", "-1S", "+1S", "1.5S", "1SS", "S1", "١S"])
    func whatIsNoTimeoutIsRefused(text: String) { #expect(timeout(text) == nil) }

    @Test(
        arguments: [
            (.zero, "0n"), (.nanoseconds(1), "1n"), (.milliseconds(50), "50000000n"),
            (.milliseconds(200), "200000u"),
            (.seconds(60), "60000000u"), (.seconds(3600), "3600000m"), (.seconds(200_000), "200000S"),
            (.seconds(-5), "0n"), (.seconds(99_999_999), "99999999S"), (.seconds(100_000_000), "27778H"),
            (.seconds(Int64.max), "87600H"),
        ] as [(Duration, String)])
    func timeoutsAreWritten(duration: Duration, expected: String) {
        #expect(duration.grpcTimeout == expected)
    }

    @Test func aWrittenTimeoutIsNeverShorter() {
        var nanoseconds: Int64 = 1
        while nanoseconds < 300_000_000_000_000_000 {
            for duration in [Duration.nanoseconds(nanoseconds), .nanoseconds(nanoseconds - 1)] {
                let text = duration.grpcTimeout
                #expect(timeout(text).map { $0 >= duration } == true, "\(duration) as \(text)")
            }
            nanoseconds = nanoseconds * 3 + 1
        }
    }

    @Test(arguments: [
        ("plain text ~", "plain text ~"), ("100%", "100%25"), ("\t\r\n", "%09%0D%0A"),
        ("☺ and 😈", "%E2%98%BA and %F0%9F%98%88"), ("\u{7f}", "%7F"), ("", ""),
    ])
    func messagesArePercentEncoded(text: String, encoded: String) {
        #expect(percentEncoded(text) == encoded)
        #expect(percentDecoded(Array(encoded.utf8)) == text)
    }

    @Test(arguments: [
        ("50% off", "50% off"), ("%", "%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%e2%98%ba", "☺"),
        ("%FF", "\u{fffd}"),
    ])
    func brokenPercentsAreLeftAsTheyAre(encoded: String, text: String) {
        #expect(percentDecoded(Array(encoded.utf8)) == text)
    }

    @Test func base64IsReadPaddedAndUnpadded() {
        let samples = [
            "": "", "f": "Zg", "fo": "Zm8", "foo": "Zm9v", "foob": "Zm9vYg", "fooba": "Zm9vYmE",
            "foobar": "Zm9vYmFy",
        ]
        for (text, encoded) in samples {
            #expect(base64(Array(text.utf8)) == encoded)
            let padded = encoded + String(repeating: "=", count: (4 - encoded.count % 4) % 4)
            #expect(bytes(base64: encoded.utf8) == Array(text.utf8))
            #expect(bytes(base64: padded.utf8) == Array(text.utf8))
        }
        let all = (0...255).map { UInt8($0) }
        #expect(bytes(base64: base64(all).utf8) == all)
        for wrong in ["Z", "Z===", "Zg=a", "Z*==", "Zm9vY"] {
            #expect(bytes(base64: wrong.utf8) == nil, "\(wrong)")
        }
    }

    @Test func contentTypesOfGRPCAreKnown() {
        func isGRPC(_ text: String) -> Bool {
            let bytes = Array(text.utf8)
            return RequestHead.isGRPC(contentType: bytes.span)
        }
        for good in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            #expect(isGRPC(good), "\(good)")
        }
        for bad in ["", "application/grp", "application/grpc-web", "application/json", "text/plain"] {
            #expect(!isGRPC(bad), "\(bad)")
        }
    }

    private func fields(_ status: Status) -> [String: String] {
        Dictionary(uniqueKeysWithValues: status.fields.map { ($0.name, $0.value) })
    }

    @Test func aStatusIsWrittenInTrailers() {
        #expect(fields(.ok) == ["grpc-status": "0"])
        #expect(fields(Status(.notFound, "no ☺")) == ["grpc-status": "5", "grpc-message": "no %E2%98%BA"])
        #expect(
            fields(Status(.unavailable, retryPushback: .seconds(-1)))
                == ["grpc-status": "14", "grpc-retry-pushback-ms": "-1"])
        #expect(Status.Code.allCases.map(\.rawValue) == Array(0...16))
        #expect("\(Status(.deadlineExceeded, "late"))" == "DEADLINE_EXCEEDED: late")
    }

    @Test func aLongMessageIsCutBetweenCharacters() throws {
        for lead in ["", "a", "ab", "abc"] {
            let encoded = try #require(
                fields(Status(.unknown, lead + String(repeating: "😈", count: 1000)))["grpc-message"])
            let text = percentDecoded(Array(encoded.utf8))
            #expect(text.utf8.count <= 2048 && text.utf8.count > 2040)
            #expect(text.hasPrefix(lead + "😈") && text.hasSuffix("😈…"))
        }
    }

    @Test func aPushbackComesInMillisecondsAndAsRetryInfo() throws {
        let fields = fields(Status(.resourceExhausted, "full", retryPushback: .microseconds(1_500_001)))
        #expect(fields["grpc-retry-pushback-ms"] == "1501")
        let details = try #require(fields["grpc-status-details-bin"].flatMap { bytes(base64: $0.utf8) })
        // By hand after google/rpc/status.proto: code 8, "full", Any(RetryInfo(delay: 1 s 500,001,000 ns)).
        let type = Array("type.googleapis.com/google.rpc.RetryInfo".utf8)
        let retryInfo: [UInt8] = [0x0a, 8, 0x08, 1, 0x10, 0xe8, 0xd1, 0xb5, 0xee, 0x01]
        let any = [0x0a, UInt8(type.count)] + type + [0x12, UInt8(retryInfo.count)] + retryInfo
        #expect(details == [0x08, 8, 0x12, 4] + Array("full".utf8) + [0x1a, UInt8(any.count)] + any)
    }

    @Test(
        arguments: [
            (400, .internal), (401, .unauthenticated), (403, .permissionDenied), (404, .unimplemented),
            (429, .unavailable), (502, .unavailable), (503, .unavailable), (504, .unavailable),
            (500, .unknown),
            (302, .unknown),
        ] as [(Int, Status.Code)])
    func anAnswerWithoutAStatusHasOne(http: Int, code: Status.Code) {
        #expect(Status(httpStatus: http).code == code)
    }
}
