// Numbers as text. Foundation's formats would link all of it, ICU too, for a few digits.

/// A number with so many digits after the point, rounded from its exact value, a half to the even side: what
/// C's `%.*f` gives; at most 12 digits. What is 2^63 or more, infinite or no number is told as Swift does.
public func fixed(_ number: Double, _ digits: Int) -> String {
    precondition((0...12).contains(digits))
    guard number.magnitude < 0x1p63 else { return "\(number)" }
    let scale = (0..<digits).reduce(UInt128(1)) { scale, _ in scale * 10 }
    let significand = UInt128(number.magnitude.significandBitPattern | (number.isNormal ? 1 << 52 : 0))
    // The number is significand * 2^exponent.
    let exponent = max(Int(number.exponentBitPattern), 1) - 1023 - 52
    var scaled = significand * scale
    if exponent >= 0 {
        scaled <<= exponent
    } else {
        let whole = scaled >> -exponent
        let rest = scaled - whole << -exponent
        let half = exponent < -127 ? UInt128.max : 1 << (-exponent - 1)
        scaled = rest > half || rest == half && whole % 2 == 1 ? whole + 1 : whole
    }
    let sign = number.sign == .minus ? "-" : ""
    guard digits > 0 else { return "\(sign)\(scaled)" }
    let fraction = String(scaled % scale)
    let zeros = String(repeating: "0", count: digits - fraction.count)
    return "\(sign)\(scaled / scale).\(zeros)\(fraction)"
}

/// A number without zeros that say nothing: at most so many digits after the point.
public func trimmed(_ number: Double, _ digits: Int) -> String {
    var text = fixed(number, digits)
    guard text.contains(".") else { return text }
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text
}
