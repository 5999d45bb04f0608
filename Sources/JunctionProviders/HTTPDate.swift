// Points in time as header fields name them. Knows no clock: a time is only compared with another.
// Sources: RFC 9110 section 5.6.7, RFC 3339.

/// A date of HTTP in any of its three forms: `Sun, 06 Nov 1994 08:49:37 GMT`, and the obsolete
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
struct HTTPDate {
    /// Since 1970; in this century where the date does not say in which.
    let time: Duration
    private let hasCentury: Bool

    /// Nil for what is no date.
    init?(_ text: Span<UInt8>) {
        let dayPlace: Int
        let monthPlace: Int
        let timePlace: Int
        let yearPlaces: Range<Int>
        let comma = (0..<text.count).first { text[$0] == UInt8(ascii: ",") }
        switch (comma, text.count) {
        case (3?, 29): (dayPlace, monthPlace, yearPlaces, timePlace) = (5, 8, 12..<16, 17)
        case (let comma?, let count) where count == comma + 24 && (6...9).contains(comma):
            (dayPlace, monthPlace) = (comma + 2, comma + 5)
            (yearPlaces, timePlace) = (comma + 9..<comma + 11, comma + 12)
        case (nil, 24): (dayPlace, monthPlace, yearPlaces, timePlace) = (8, 4, 20..<24, 11)
        default: return nil
        }
        let isPadded = text[dayPlace] == UInt8(ascii: " ")
        guard comma == nil || endsInGMT(text),
            let day = number(text, (isPadded ? dayPlace + 1 : dayPlace)..<dayPlace + 2),
            let month = (1...12).first(where: { isMonth(text, $0, at: monthPlace) }),
            let year = number(text, yearPlaces), let timeOfDay = timeOfDay(text, at: timePlace),
            let midnight = midnight(year: yearPlaces.count == 4 ? year : 2000 + year, month: month, day: day)
        else { return nil }
        time = midnight + timeOfDay
        hasCentury = yearPlaces.count == 4
    }

    /// The time, read in the present that another date names: a year of two digits that would be more than
    /// fifty years ahead is the last one that ended so.
    func time(asOf present: HTTPDate) -> Duration {
        let (fiftyYears, century) = (Duration.seconds(18263 * 86400), Duration.seconds(36525 * 86400))
        return hasCentury || time - present.time <= fiftyYears ? time : time - century
    }
}

/// The time of an RFC 3339 timestamp in UTC, such as `2025-08-01T12:00:30Z`, since 1970; its fraction is left
/// out.
func secondsSince1970(timestamp text: Span<UInt8>) -> Duration? {
    guard text.count >= 20, text[text.count - 1] == UInt8(ascii: "Z"), let year = number(text, 0..<4),
        let month = number(text, 5..<7), (1...12).contains(month), let day = number(text, 8..<10),
        let midnight = midnight(year: year, month: month, day: day), let timeOfDay = timeOfDay(text, at: 11)
    else { return nil }
    return midnight + timeOfDay
}

/// Of `08:49:37`, since midnight. A leap second may stand at the end of a minute.
private func timeOfDay(_ text: Span<UInt8>, at place: Int) -> Duration? {
    guard let hour = number(text, place..<place + 2), hour < 24, text[place + 2] == UInt8(ascii: ":"),
        let minute = number(text, place + 3..<place + 5), minute < 60, text[place + 5] == UInt8(ascii: ":"),
        let second = number(text, place + 6..<place + 8), second <= 60
    else { return nil }
    return .seconds(hour * 3600 + minute * 60 + second)
}

/// Since 1970; nil when the month has no such day.
private func midnight(year: Int, month: Int, day: Int) -> Duration? {
    let days = daysSince1970(year: year, month: month, day: day)
    guard day > 0, days < daysSince1970(year: year, month: month + 1, day: 1) else { return nil }
    return .seconds(days * 86400)
}

/// In the Gregorian calendar; years begin in March, so that the leap day is the last. The 13th month is the
/// first of the next year.
private func daysSince1970(year: Int, month: Int, day: Int) -> Int {
    let year = month > 2 ? year : year - 1
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
}

private func endsInGMT(_ text: Span<UInt8>) -> Bool {
    text[text.count - 3] == UInt8(ascii: "G") && text[text.count - 2] == UInt8(ascii: "M")
        && text[text.count - 1] == UInt8(ascii: "T")
}

private func isMonth(_ text: Span<UInt8>, _ month: Int, at place: Int) -> Bool {
    let names = ("JanFebMarAprMayJunJulAugSepOctNovDec" as StaticString).utf8Start + (month - 1) * 3
    return (0..<3).allSatisfy { text[place + $0] == names[$0] }
}

private func number(_ text: Span<UInt8>, _ range: Range<Int>) -> Int? {
    var value = 0
    for place in range {
        guard let digit = digit(text[place]) else { return nil }
        value = value * 10 + digit
    }
    return value
}
