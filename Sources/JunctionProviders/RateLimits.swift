// What the header fields of an answer say about the provider's limits, and about when to come again.
// Sources: platform.openai.com/docs/guides/rate-limits, docs.anthropic.com/en/api/rate-limits,
// openrouter.ai/docs/api-reference/limits, RFC 9110 section 10.2.3. Mistral documents no names: those of 2026
// are quoted in github.com/mistralai/client-ts/issues/169, those of 2025 in other projects' tests.
import JunctionRouting

/// What an answer's header fields say.
struct AnswerHeaders {
    private var limits = RateLimits()
    /// When all is back, where a date says so (Anthropic).
    private var requestsReset: Duration?
    private var tokensReset: Duration?
    private var retryAfter: Duration?
    private var retryAfterMilliseconds: Duration?
    private var retryDate: HTTPDate?
    private var date: HTTPDate?
    /// Of a limit that is not said to be of requests or of tokens (OpenRouter): whether all of it is used,
    /// and when it is whole again, since 1970.
    private var isUsedUp = false
    private var resetDate: Duration?
    /// What Amazon calls the error.
    private(set) var errorType: String?

    /// Dates are read against the answer's own, which may come behind them.
    var rateLimits: RateLimits {
        guard let date = date?.time, requestsReset != nil || tokensReset != nil else { return limits }
        var limits = limits
        if let requestsReset { limits.requests.reset = max(.zero, requestsReset - date) }
        if let tokensReset { limits.tokens.reset = max(.zero, tokensReset - date) }
        return limits
    }

    /// How long to stay away; nil: not said.
    ///
    /// A date is read against the answer's own `Date`, so that no clock is needed and none has to agree.
    var wait: Duration? {
        if let retryAfterMilliseconds { return retryAfterMilliseconds }
        if let retryAfter { return retryAfter }
        if let retryDate, let date { return max(.zero, retryDate.time(asOf: date) - date.time) }
        if isUsedUp, let resetDate, let date { return max(.zero, resetDate - date.time) }
        let rateLimits = rateLimits
        return [rateLimits.requests, rateLimits.tokens].filter { $0.remaining == 0 }.compactMap(\.reset)
            .filter { $0 > .zero }.max()
    }

    mutating func read(name: Span<UInt8>, value: Span<UInt8>) {
        switch name.count {
        case 4 where equal(name, "date"): date = HTTPDate(value)
        case 11 where equal(name, "retry-after"):
            retryAfter = duration(value)
            if retryAfter == nil { retryDate = HTTPDate(value) }
        case 14 where equal(name, "retry-after-ms"):
            retryAfterMilliseconds = duration(value).map { $0 / 1000 }
        case 16 where equal(name, "x-amzn-errortype"): errorType = text(value)
        case 17 where equal(name, "x-ratelimit-reset"): resetDate = whole(value).flatMap(timeSince1970)
        case 21 where equal(name, "x-ratelimit-remaining"): isUsedUp = whole(value) == 0
        case 24 where equal(name, "x-ratelimit-limit-tokens"): limits.tokens.limit = limit(value)
        case 24 where equal(name, "x-ratelimit-reset-tokens"): limits.tokens.reset = duration(value)
        case 26 where equal(name, "x-ratelimit-limit-requests"): limits.requests.limit = limit(value)
        case 26 where equal(name, "x-ratelimit-reset-requests"): limits.requests.reset = duration(value)
        case 28 where equal(name, "x-ratelimit-remaining-tokens"): limits.tokens.remaining = whole(value)
        case 30 where equal(name, "x-ratelimit-remaining-requests"):
            limits.requests.remaining = whole(value)
        case 32...38 where name[0] | 0x20 == UInt8(ascii: "a"): readAnthropic(name: name, value: value)
        default: readMinutes(name: name, value: value)
        }
    }

    /// Limits that say in their name that they are of a minute (Mistral; of tokens Cerebras, which also says
    /// when all is back). Those of a month beside them are not read.
    private mutating func readMinutes(name: Span<UInt8>, value: Span<UInt8>) {
        switch name.count {
        case 21 where equal(name, "ratelimitbysize-reset"): limits.tokens.reset = duration(value)
        case 28 where equal(name, "x-ratelimit-limit-req-minute"): limits.requests.limit = limit(value)
        case 30 where equal(name, "x-ratelimitbysize-limit-minute"): limits.tokens.limit = limit(value)
        case 31 where equal(name, "x-ratelimit-limit-tokens-minute"): limits.tokens.limit = limit(value)
        case 31 where equal(name, "x-ratelimit-reset-tokens-minute"): limits.tokens.reset = duration(value)
        case 32 where equal(name, "x-ratelimit-remaining-req-minute"):
            if let remaining = whole(value) { limits.requests.noteMinute(remaining) }
        case 34 where equal(name, "x-ratelimitbysize-remaining-minute"),
            35 where equal(name, "x-ratelimit-remaining-tokens-minute"):
            if let remaining = whole(value) { limits.tokens.noteMinute(remaining) }
        default: break
        }
    }

    /// Of the three limits on tokens, `tokens` is the one that is nearest.
    private mutating func readAnthropic(name: Span<UInt8>, value: Span<UInt8>) {
        switch name.count {
        case 32 where equal(name, "anthropic-ratelimit-tokens-limit"): limits.tokens.limit = limit(value)
        case 32 where equal(name, "anthropic-ratelimit-tokens-reset"):
            tokensReset = secondsSince1970(timestamp: value)
        case 34 where equal(name, "anthropic-ratelimit-requests-limit"): limits.requests.limit = limit(value)
        case 34 where equal(name, "anthropic-ratelimit-requests-reset"):
            requestsReset = secondsSince1970(timestamp: value)
        case 36 where equal(name, "anthropic-ratelimit-tokens-remaining"):
            limits.tokens.remaining = whole(value)
        case 38 where equal(name, "anthropic-ratelimit-requests-remaining"):
            limits.requests.remaining = whole(value)
        default: break
        }
    }
}

extension RateLimits.Limit {
    /// All of a minute's limit is back after a minute, where nothing says when.
    fileprivate mutating func noteMinute(_ remaining: Int) {
        self.remaining = remaining
        reset = reset ?? .seconds(60)
    }
}

private func text(_ value: Span<UInt8>) -> String {
    value.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
}

/// Azure has sent limits of 0 and -1, which mean nothing.
private func limit(_ text: Span<UInt8>) -> Int? { whole(text).flatMap { $0 > 0 ? $0 : nil } }

private func whole(_ text: Span<UInt8>) -> Int? {
    guard text.count > 0, text.count <= 18 else { return nil }
    var value = 0
    for place in 0..<text.count {
        guard let digit = digit(text[place]) else { return nil }
        value = value * 10 + digit
    }
    return value
}

func digit(_ byte: UInt8) -> Int? { byte >= 0x30 && byte <= 0x39 ? Int(byte - 0x30) : nil }

private func equal(_ name: Span<UInt8>, _ lowercase: StaticString) -> Bool {
    for place in 0..<name.count {
        let byte = name[place]
        let isUppercase = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
        if (isUppercase ? byte | 0x20 : byte) != lowercase.utf8Start[place] { return false }
    }
    return true
}

/// A duration: seconds, with or without a fraction (`7`, `0.5`), or as Go writes it (`6m0s`, `12ms`,
/// `1h2m3.5s`). Nil when it is neither, or longer than thirty years.
func duration(_ text: Span<UInt8>) -> Duration? {
    var at = 0
    var sum = Duration.zero
    while at < text.count {
        guard let number = decimal(text, &at) else { return nil }
        let unit = at
        while at < text.count, digit(text[at]) == nil { at += 1 }
        switch (at - unit, unit < at ? text[unit] : 0) {
        case (0, _) where sum == .zero: sum = number
        case (1, UInt8(ascii: "d")): sum += number * 86400
        case (1, UInt8(ascii: "h")): sum += number * 3600
        case (1, UInt8(ascii: "m")): sum += number * 60
        case (1, UInt8(ascii: "s")): sum += number
        case (2, UInt8(ascii: "m")) where text[unit + 1] == UInt8(ascii: "s"): sum += number / 1000
        case (2, UInt8(ascii: "u")), (3, 0xc2), (3, 0xce): sum += number / 1_000_000
        case (2, UInt8(ascii: "n")): sum += number / 1_000_000_000
        default: return nil
        }
    }
    return text.count > 0 && sum < .seconds(1_000_000_000) ? sum : nil
}

/// Digits with or without a fraction, as so many seconds.
private func decimal(_ text: Span<UInt8>, _ at: inout Int) -> Duration? {
    let start = at
    var seconds: Int64 = 0
    while at < text.count, let digit = digit(text[at]) {
        guard at - start < 12 else { return nil }
        seconds = seconds * 10 + Int64(digit)
        at += 1
    }
    guard at > start else { return nil }
    var nanoseconds: Int64 = 0
    if at < text.count, text[at] == UInt8(ascii: ".") {
        at += 1
        var place: Int64 = 100_000_000
        while at < text.count, let digit = digit(text[at]) {
            nanoseconds += Int64(digit) * place
            place /= 10
            at += 1
        }
    }
    return .seconds(seconds) + .nanoseconds(nanoseconds)
}

/// The time of a number of milliseconds or seconds since 1970; nil for one that is of neither.
private func timeSince1970(_ count: Int) -> Duration? {
    if count >= 1_000_000_000_000 { return .milliseconds(count) }
    return count >= 1_000_000_000 ? .seconds(count) : nil
}
