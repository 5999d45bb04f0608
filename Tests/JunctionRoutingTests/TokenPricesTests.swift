// What tokens cost: of each kind its own price, of long prompts another, of unknown ones none.
import JunctionRouting
import Testing

struct TokenPricesTests {
    private let prices = TokenPrices(input: 4, output: 10, cachedInput: 1, cacheWrite: 5)

    @Test(
        arguments: [
            (TokenUsage(), 0.0),
            (TokenUsage(prompt: 10, completion: 3), 70),
            (TokenUsage(prompt: 10, completion: 3, cached: 4), 58),
            (TokenUsage(prompt: 10, completion: 3, cached: 4, cacheWritten: 2), 60),
            (TokenUsage(prompt: 10, cached: 99, cacheWritten: 99), 10),
        ] as [(TokenUsage, Double)])
    func eachKindOfTokenHasItsPrice(usage: TokenUsage, cost: Double) {
        #expect(prices.cost(of: usage) == cost)
    }

    @Test func cachedTokensCostAsOthersWhereNothingElseIsSaid() {
        let prices = TokenPrices(input: 4, output: 10)
        #expect(prices.cost(of: TokenUsage(prompt: 10, cached: 4, cacheWritten: 2)) == 40)
    }

    @Test func aLongPromptCostsMoreWithAllItsTokens() {
        var prices = prices
        prices.longPrompt = .init(bound: 10, inputFactor: 2, outputFactor: 1.5)
        #expect(prices.cost(of: TokenUsage(prompt: 10, completion: 2)) == 60)
        #expect(prices.cost(of: TokenUsage(prompt: 11, completion: 2, cached: 1)) == 112)
    }

    @Test func whatTheProviderSaysItCostIsBelieved() {
        var usage = TokenUsage(prompt: 10, completion: 3)
        usage.cost = 0.25
        #expect(prices.cost(of: usage) == 0.25)
        #expect(TokenPrices().cost(of: usage) == 0.25)
    }

    @Test func anUnknownPriceMakesNoCost() {
        #expect(TokenPrices().cost(of: TokenUsage(prompt: 1)) == nil)
        #expect(TokenPrices(input: 1).cost(of: TokenUsage(prompt: 1, completion: 1)) == nil)
        #expect(TokenPrices(output: 1).cost(of: TokenUsage(prompt: 1, completion: 1)) == nil)
        #expect(TokenPrices(input: 1).cost(of: TokenUsage(prompt: 7)) == 7, "embeddings have no answer")
    }
}
