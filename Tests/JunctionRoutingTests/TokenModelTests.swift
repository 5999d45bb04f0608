// How many tokens a call is expected to use: high at first, close to the truth once calls have ended.
import Testing

@testable import JunctionRouting

private func text(_ ascii: Int, _ other: Int = 0, maxAnswer: Int? = 0) -> CallSize {
    CallSize(tokens: 10, asciiBytes: ascii, otherBytes: other, maxAnswerTokens: maxAnswer)
}

@Suite struct TokenModelTests {
    @Test func theStartIsHigh() {
        let model = TokenModel(lowestLimit: nil)
        #expect(model.expected(text(300)).prompt == 110)
        #expect(model.expected(text(0, 300)).prompt == 160)
        #expect(model.expected(CallSize(tokens: 77)) == ExpectedTokens(prompt: 77, completion: 0))
    }

    @Test func theAnswersBoundIsReservedWhole() {
        let model = TokenModel(lowestLimit: 100)
        var size = text(0, maxAnswer: 4_000)
        size.answers = 3
        #expect(model.expected(size).completion == 12_000)
    }

    @Test func withoutABoundAsManyAsUsualAreExpectedButNeverMostOfALimit() {
        #expect(TokenModel(lowestLimit: nil).expected(text(0, maxAnswer: nil)).completion == 512)
        #expect(TokenModel(lowestLimit: 400).expected(text(0, maxAnswer: nil)).completion == 100)
        var model = TokenModel(lowestLimit: nil)
        for _ in 0..<100 {
            model.learn(text(0, maxAnswer: nil), TokenUsage(prompt: 10, completion: 90_000))
        }
        #expect(model.expected(text(0, maxAnswer: nil)).completion == 8_192)
    }

    @Test func absurdSizesStayInRange() {
        let model = TokenModel(lowestLimit: nil)
        let size = CallSize(
            tokens: 5, asciiBytes: 1 << 40, otherBytes: 1 << 40, maxAnswerTokens: .max, answers: 128)
        #expect(model.expected(size).total == 2_000_000_000)
    }

    /// Text that comes to a token in 4.2 ± 0.6 bytes: after two hundred calls nine of ten are reserved
    /// enough for, and not much more than enough.
    @Test(arguments: [1, 2, 3] as [UInt64]) func theRatioIsLearnt(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var model = TokenModel(lowestLimit: nil)
        var enough = 0
        var reserved = 0
        var used = 0
        for number in 0..<1_200 {
            let size = text(200 + random.below(4_000))
            let bytesPerToken = 3.6 + 1.2 * random.fraction()
            let actual = 10 + Int(Double(size.asciiBytes) / bytesPerToken)
            if number >= 200 {
                let expected = model.expected(size).prompt
                if expected >= actual { enough += 1 }
                reserved += expected
                used += actual
            }
            model.learn(size, TokenUsage(prompt: actual, completion: 5))
        }
        #expect((820...980).contains(enough), "seed \(seed): \(enough) of 1,000")
        #expect(Double(reserved) / Double(used) < 1.2, "seed \(seed)")
    }

    @Test func eachKindOfTextTeachesItsOwnRatio() {
        var model = TokenModel(lowestLimit: nil)
        for _ in 0..<300 {
            model.learn(text(400), TokenUsage(prompt: 110, completion: 1))
            model.learn(text(0, 300), TokenUsage(prompt: 10 + 100, completion: 1))
        }
        #expect((108...112).contains(model.expected(text(400)).prompt))
        #expect((108...112).contains(model.expected(text(0, 300)).prompt))
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func usualAnswersAreLearnt(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var model = TokenModel(lowestLimit: nil)
        for _ in 0..<2_000 {
            model.learn(text(9, maxAnswer: nil), TokenUsage(prompt: 9, completion: 1 + random.below(200)))
        }
        let expected = model.expected(text(9, maxAnswer: nil)).completion
        #expect((170...200).contains(expected), "seed \(seed): \(expected), where 190 is the 95th percentile")
    }

    @Test func boundedAnswersSayNothingOfUnboundedOnes() {
        var model = TokenModel(lowestLimit: nil)
        for _ in 0..<100 { model.learn(text(9, maxAnswer: 16), TokenUsage(prompt: 9, completion: 16)) }
        #expect(model.expected(text(9, maxAnswer: nil)).completion == 512)
    }

    @Test func theFirstFewAnswersDoNotLowerTheExpectation() {
        var model = TokenModel(lowestLimit: nil)
        for _ in 0..<4 { model.learn(text(9, maxAnswer: nil), TokenUsage(prompt: 9, completion: 20)) }
        #expect(model.expected(text(9, maxAnswer: nil)).completion == 512)
        model.learn(text(9, maxAnswer: nil), TokenUsage(prompt: 9, completion: 20))
        #expect(model.expected(text(9, maxAnswer: nil)).completion == 20)
    }

    /// The router learns from answers that the provider has counted, and from no guesses of ours.
    @Test func theRouterLearnsFromWhatIsCounted() {
        let router = router("a") { $0.deployments[0].tokensPerMinute = 1_000_000 }
        func reserved() -> Int {
            var traits = CallTraits(modelGroup: 0, estimatedTokens: 0, isStreaming: false)
            traits.size = text(400, maxAnswer: nil)
            var random = RandomSource(seed: 1)
            var route = Route(router: router, call: traits, now: .zero)
            _ = route.start(now: .zero, random: &random)
            return router.usage(now: .zero)[0].tokensReserved
        }
        func call(isEstimated: Bool) {
            var traits = CallTraits(modelGroup: 0, estimatedTokens: 0, isStreaming: false)
            traits.size = text(400, maxAnswer: nil)
            var random = RandomSource(seed: 1)
            var route = Route(router: router, call: traits, now: .zero)
            _ = route.start(now: .zero, random: &random)
            route.finished(
                usage: TokenUsage(prompt: 110, completion: 50, isEstimated: isEstimated), now: .zero)
        }
        let first = reserved()
        #expect(first == 10 + 134 + 512)
        for _ in 0..<30 { call(isEstimated: true) }
        #expect(reserved() == first)
        for _ in 0..<30 { call(isEstimated: false) }
        #expect((160...162).contains(reserved()))
    }
}
