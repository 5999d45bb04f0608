// Providers' errors: their class, what is shown of them, and when to come again.
import JunctionRouting
import Testing

@testable import JunctionProviders

struct FailureTests {
    @Test(
        arguments: [
            (400, .badRequest), (401, .authentication), (402, .quotaExhausted), (403, .authentication),
            (404, .notFound),
            (405, .notFound), (408, .timeout), (409, .serverError), (413, .contextWindowExceeded),
            (418, .badRequest),
            (422, .badRequest), (429, .rateLimited), (500, .serverError), (502, .serverError),
            (503, .overloaded),
            (504, .timeout), (529, .overloaded), (599, .serverError), (302, .serverError),
        ] as [(Int, Failure.Kind)])
    func theStatusClassesAnError(status: Int, kind: Failure.Kind) {
        for body in ["", "no JSON", "<html>", "{}", "[]", "null", #"{"error":{"message":"m"}}"#] {
            #expect(failure(status: status, body)?.kind == kind, "\(body)")
            #expect(failure(status: status, body)?.httpStatus == status)
        }
    }

    @Test(
        arguments: [
            (429, #"{"error":{"code":"insufficient_quota"}}"#, .quotaExhausted),
            (429, #"{"error":{"type":"insufficient_quota","code":null}}"#, .quotaExhausted),
            (400, #"{"error":{"code":"context_length_exceeded"}}"#, .contextWindowExceeded),
            (422, #"{"detail":"Input is too long for requested model."}"#, .contextWindowExceeded),
            (
                400, #"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
                .contextWindowExceeded
            ),
            (400, #"{"error":{"code":"content_policy_violation"}}"#, .contentPolicy),
            (400, #"{"error":{"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#, .contentPolicy),
            (403, #"{"error":{"code":403,"message":"Your input was flagged"}}"#, .contentPolicy),
            (413, #"{"error":{"code":"rate_limit_exceeded","type":"tokens"}}"#, .rateLimited),
            (
                400,
                #"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***."}"#,
                .authentication
            ),
            (400, #"[{"error":{"code":400,"message":"API key not valid."}}]"#, .authentication),
            (200, #"{"error":{"code":402,"message":"Insufficient credits"}}"#, .quotaExhausted),
            (200, #"{"error":{"code":"503"}}"#, .overloaded),
            (200, #"{"error":{"type":"invalid_request_error","message":"no"}}"#, .badRequest),
            (200, #"{"object":"error","message":"m","code":404}"#, .notFound),
            (500, #"{"error":{"message":"maximum context length"}}"#, .serverError),
            (500, #"{"type":"error","error":{"type":"timeout_error"}}"#, .timeout),
            (200, #"{"error":{"code":504,"message":"no answer in time"}}"#, .timeout),
        ] as [(Int, String, Failure.Kind)])
    func codesAndWordsSayMore(status: Int, body: String, kind: Failure.Kind) {
        #expect(failure(status: status, body)?.kind == kind)
    }

    @Test func aRefusedKeyIsNotQuoted() {
        for status in [401, 403] {
            let message = failure(
                status: status, #"{"error":{"message":"Key hunter2 is wrong","code":"x"}}"#)?.message
            #expect(message == "the provider answered \(status): access was refused")
        }
        let message = failure(status: 200, #"{"error":{"message":"Key hunter2","code":"invalid_api_key"}}"#)?
            .message
        #expect(message == "the provider answered with an error: access was refused")
    }

    @Test(arguments: [
        "sk-proj-abc_DEF-123", "sk-or-v1-0123456789abcdef", "gsk_abcdefgh", "AIzaSyA-1234", "xai-abcdefgh",
        "hf_abcdefg",
        "0123456789abcdef0123456789abcdef", "eyJhbGciOi.eyJzdWIi.c2ln", "pplx-0123", "sk-***1234",
        "Zm9vYmFyYmF6cXV4Zm9v+YmFyYmF6cXV4Zm9vYmFyYmF6MTIz==",
    ])
    func nothingThatLooksLikeAKeyIsShown(key: String) {
        for text in [
            "key \(key) is wrong", "\"\(key)\"", "https://h/?key=\(key)&a=b", "Authorization: Bearer \(key)",
            key,
        ] {
            #expect(!readable(text).contains(key), "\(readable(text))")
            #expect(readable(text).contains("***"))
        }
        #expect(!readable("Bearer hunter2!").contains("hunter2"))
    }

    @Test(arguments: [
        "The model `gpt-4o-2024-08-06` does not exist", "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", "claude-3-5-sonnet-20241022",
        "mixtral-8x7b-instruct-v0.1",
        "See https://platform.openai.com/docs/guides/error-codes/api-errors.",
        "messages[0].content: Field required",
        "internationalization counterrevolutionaries",
    ])
    func namesAreShown(text: String) {
        #expect(readable(text) == text)
    }

    @Test func messagesAreShortAndOfOneLine() {
        #expect(readable("a\nb\u{1b}[31m\u{202e}\0") == #"a b\u{1B}[31m\u{202E}\0"#)
        let long = readable(String(repeating: "word ", count: 1000))
        #expect(long.unicodeScalars.count == 301)
        #expect(readable(String(repeating: "a", count: 290) + " sk-abcdefghijklmnop").hasSuffix(" ***"))
    }

    @Test(
        arguments: [
            ([("Retry-After", "20")], .seconds(20)),
            ([("retry-after", "0.5")], .milliseconds(500)),
            ([("retry-after", "30"), ("retry-after-ms", "1500")], .milliseconds(1500)),
            (
                [
                    ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                    ("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"),
                ], .seconds(30)
            ),
            (
                [
                    ("Retry-After", "Thu, 01 Jan 2026 00:00:01 GMT"),
                    ("Date", "Wed, 31 Dec 2025 23:59:59 GMT"),
                ], .seconds(2)
            ),
            (
                [
                    ("Retry-After", "Thu, 29 Feb 2024 00:00:00 GMT"),
                    ("Date", "Fri, 01 Mar 2024 00:00:00 GMT"),
                ], .zero
            ),
            ([("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT")], nil),
            ([("Retry-After", "soon")], nil), ([("Retry-After", "-5")], nil), ([("Retry-After", "")], nil),
            ([("Retry-After", "99999999999999999999999")], nil),
            ([("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s")], .seconds(1)),
            ([("x-ratelimit-remaining-tokens", "5"), ("x-ratelimit-reset-tokens", "6m0s")], nil),
            (
                [
                    ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s"),
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "12ms"),
                ], .seconds(360)
            ),
            (
                [
                    ("Date", "Thu, 06 Mar 2025 23:59:30 GMT"), ("X-RateLimit-Remaining", "0"),
                    ("X-RateLimit-Reset", "1741305600000"),
                ], .seconds(30)
            ),
            (
                [
                    ("Date", "Thu, 06 Mar 2025 23:59:30 GMT"), ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1741305575"),
                ], .seconds(5)
            ),
            (
                [
                    ("Date", "Thu, 06 Mar 2025 23:59:30 GMT"), ("x-ratelimit-remaining", "3"),
                    ("x-ratelimit-reset", "1741305600000"),
                ], nil
            ),
            ([("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1741305600000")], nil),
        ] as [([(String, String)], Duration?)])
    func saysWhenToComeAgain(fields: [(String, String)], wait: Duration?) {
        #expect(failure(status: 429, "{}", fields: fields)?.retryAfter == wait)
    }

    /// All but the first are 30 s after it, or no date.
    @Test(arguments: [
        ("Sun, 06 Nov 1994 08:50:07 GMT", true), ("Sunday, 06-Nov-94 08:50:07 GMT", true),
        ("Sun Nov  6 08:50:07 1994", true), ("Sun Nov 06 08:50:07 1994", true),
        ("Sun, 06 Nov 1994 08:50:07 EST", false), ("Sunday, 06-Nov-94 08:50:07 CET", false),
        ("Sun, 6 Nov 1994 08:50:07 GMT", false), ("Sun Nov 6 08:50:07 1994", false),
        ("Sunday, 06-Nov-1994 08:50:07 GMT", false), ("Sun, 06-Nov-94 08:50:07 GMT", false),
        ("Sun, 06 nov 1994 08:50:07 GMT", false), ("Sunday, 06-Foo-94 08:50:07 GMT", false),
        ("Sun Foo  6 08:50:07 1994", false), ("Sun, 31 Nov 1994 08:50:07 GMT", false),
        ("Sun Nov  0 08:50:07 1994", false), ("Wednesday, 29-Feb-95 08:50:07 GMT", false),
        ("Sun Nov  6 24:50:07 1994", false), ("Sun Nov  6 08:60:07 1994", false),
        ("Sun Nov  6 08:50:61 1994", false), ("Sun Nov  6 08.50.07 1994", false),
        ("Sun Nov  6 08:50:07 199x", false), ("Sun, Nov  6 08:50:07 1994", false), (",", false),
        ("Sunday, 06-Nov-94 08:50:07 GM", false), ("Sunday,06-Nov-94 08:50:07 GMT", false),
        ("Moooooonday, 06-Nov-94 08:50:07 GMT", false), ("                        ", false),
    ])
    func readsDates(text: String, isDate: Bool) {
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            for fields in [
                [("Date", date), ("Retry-After", text)], [("Retry-After", text), ("Date", date)],
            ] {
                #expect(
                    failure(status: 429, "{}", fields: fields)?.retryAfter == (isDate ? .seconds(30) : nil))
            }
        }
    }

    /// Years of two digits are at most fifty years ahead (RFC 9110, section 5.6.7).
    @Test(arguments: [
        ("Sat, 31 Dec 2026 23:59:59 GMT", "Friday, 01-Jan-27 00:00:01 GMT", 2),
        ("Saturday, 31-Dec-26 23:59:59 GMT", "Friday, 01-Jan-27 00:00:01 GMT", 2),
        ("Fri, 31 Dec 1999 23:59:59 GMT", "Saturday, 01-Jan-00 00:00:01 GMT", 2),
        ("Sat, 01 Jan 2000 00:00:00 GMT", "Friday, 31-Dec-99 23:59:59 GMT", 0),
        ("Wed, 25 Nov 2026 12:00:00 GMT", "Wednesday, 25-Nov-76 12:00:00 GMT", (50 * 365 + 13) * 86400),
        ("Wed, 25 Nov 2026 12:00:00 GMT", "Friday, 25-Nov-77 12:00:00 GMT", 0),
        ("Wed, 29 Feb 2096 00:00:00 GMT", "Wednesday, 29-Feb-96 00:00:05 GMT", 5),
        ("Thu, 29 Feb 1996 00:00:00 GMT", "Thursday, 29-Feb-96 00:00:05 GMT", 5),
    ])
    func aYearOfTwoDigitsIsNearThePresent(date: String, retryAfter: String, seconds: Int) {
        let fields = [("Date", date), ("Retry-After", retryAfter)]
        #expect(failure(status: 503, "{}", fields: fields)?.retryAfter == .seconds(seconds))
    }

    @Test(
        arguments: [
            ("12ms", .milliseconds(12)), ("1s", .seconds(1)), ("6m0s", .seconds(360)),
            ("1h2m3.5s", .milliseconds(3_723_500)),
            ("7.66s", .milliseconds(7660)), ("2m59.56s", .milliseconds(179_560)),
            ("250us", .microseconds(250)),
            ("250µs", .microseconds(250)), ("5ns", .nanoseconds(5)), ("1d", .seconds(86400)),
            ("60", .seconds(60)),
            ("1x", nil), ("s", nil), ("1s2", nil), ("", nil), (".5", nil), ("1..5", nil),
        ] as [(String, Duration?)])
    func readsDurations(text: String, expected: Duration?) {
        #expect(duration(Array(text.utf8).span) == expected)
    }

    @Test func tellsTheProvidersLimits() {
        let reader = AnswerReader()
        let fields = [
            ("X-RateLimit-Limit-Requests", "60"), ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-remaining-tokens", "149984"), ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]
        _ = read([], fields: fields, isStreaming: false, with: reader)
        #expect(reader.rateLimits.requests == RateLimits.Limit(limit: 60, remaining: 59, reset: .seconds(1)))
        #expect(
            reader.rateLimits.tokens
                == RateLimits.Limit(limit: 150_000, remaining: 149_984, reset: .seconds(360)))
        _ = read(
            [], fields: [("x-ratelimit-limit-tokens", "-1"), ("x-ratelimit-remaining-tokens", "-1")],
            isStreaming: false, with: reader)
        #expect(reader.rateLimits == RateLimits())
    }

    /// Fields as answers of Mistral had them in 2026 and 2025, and Cerebras' of the same names.
    @Test(
        arguments: [
            (
                [
                    ("x-ratelimit-limit-req-minute", "720"), ("x-ratelimit-remaining-req-minute", "717"),
                    ("x-ratelimit-limit-tokens-minute", "5000000"), ("x-ratelimit-tokens-query-cost", "52"),
                    ("x-ratelimit-remaining-tokens-minute", "4999911"),
                ], RateLimits.Limit(limit: 720, remaining: 717, reset: .seconds(60)),
                RateLimits.Limit(limit: 5_000_000, remaining: 4_999_911, reset: .seconds(60)), nil
            ),
            (
                [
                    ("x-ratelimitbysize-remaining-minute", "467993"), ("ratelimitbysize-query-cost", "32007"),
                    ("ratelimitbysize-limit", "500000"), ("ratelimitbysize-reset", "40"),
                    ("x-ratelimitbysize-limit-month", "1000000000"), ("ratelimitbysize-remaining", "467993"),
                    ("x-ratelimitbysize-limit-minute", "500000"),
                    ("x-ratelimitbysize-remaining-month", "999967993"),
                ], RateLimits.Limit(),
                RateLimits.Limit(limit: 500_000, remaining: 467_993, reset: .seconds(40)), nil
            ),
            (
                [("RateLimitBySize-Reset", "3"), ("X-RateLimitBySize-Remaining-Minute", "0")],
                RateLimits.Limit(), RateLimits.Limit(remaining: 0, reset: .seconds(3)), .seconds(3)
            ),
            (
                // A model that the plan does not have.
                [("x-ratelimit-limit-req-minute", "0"), ("x-ratelimit-remaining-req-minute", "0")],
                RateLimits.Limit(remaining: 0, reset: .seconds(60)), RateLimits.Limit(), .seconds(60)
            ),
            (
                [
                    ("x-ratelimit-reset-tokens-minute", "26.5"),
                    ("x-ratelimit-remaining-tokens-minute", "0"),
                    ("x-ratelimit-remaining-requests-minute", "4"),
                    ("x-ratelimit-limit-tokens-minute", "30000"),
                ], RateLimits.Limit(),
                RateLimits.Limit(limit: 30000, remaining: 0, reset: .milliseconds(26_500)),
                .milliseconds(26_500)
            ),
            (
                [
                    ("x-ratelimit-remaining-tokens-minute", "-1"), ("x-ratelimit-limit-tokens-minute", "-1"),
                    ("x-ratelimit-remaining-req-minute", "many"), ("x-ratelimit-limit-req-minute", ""),
                ], RateLimits.Limit(), RateLimits.Limit(), nil
            ),
        ] as [([(String, String)], RateLimits.Limit, RateLimits.Limit, Duration?)])
    func tellsTheLimitsOfAMinute(
        fields: [(String, String)], requests: RateLimits.Limit, tokens: RateLimits.Limit, wait: Duration?
    ) {
        let reader = AnswerReader()
        for fields in [fields, fields.reversed()] {
            _ = read([], fields: fields, isStreaming: false, with: reader)
            #expect(reader.rateLimits.requests == requests)
            #expect(reader.rateLimits.tokens == tokens)
            #expect(failure(status: 429, "{}", fields: fields)?.retryAfter == wait)
        }
    }
}
