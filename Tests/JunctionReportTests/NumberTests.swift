// Numbers as text, beside what C's printf makes of them.
import Foundation
import JunctionReport
import Testing

struct NumberTests {
    @Test func fixedIsWhatPrintfWrites() {
        let numbers: [Double] = [
            0, -0.0, 0.5, 1.5, 2.5, 0.125, 0.375, 1.005, 0.1, 99.95, 99.995, 1e-9, .leastNonzeroMagnitude,
            1e-300, 123_456_789.987_654,
            -3.14159, -0.004, 4.5e15, 9e15, 1e18, 0.05, 0.000_000_5, 2.0 / 3,
        ]
        var random = SystemRandomNumberGenerator()
        let more = (0..<2_000).map { _ in
            Double.random(in: -1...1, using: &random) * pow(10, Double.random(in: -8...12))
        }
        for number in numbers + more {
            for digits in [0, 1, 2, 3, 4, 6] {
                #expect(fixed(number, digits) == String(format: "%.\(digits)f", number), "\(number)")
            }
        }
    }

    @Test func whatHasNoDigitsIsTold() {
        #expect(fixed(.infinity, 1) == "inf")
        #expect(fixed(.nan, 1) == "nan")
        #expect(trimmed(1e300, 1) == "1e+300")
    }

    @Test func trimmedLeavesOutZerosBehindThePoint() {
        #expect(trimmed(100, 0) == "100")
        #expect(trimmed(100, 2) == "100")
        #expect(trimmed(0.30000000000000004, 6) == "0.3")
        #expect(trimmed(2.25, 6) == "2.25")
        #expect(trimmed(0, 2) == "0")
    }
}
