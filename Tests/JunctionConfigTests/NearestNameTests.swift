// Which known name is offered for an unknown one.
import Testing

@testable import JunctionConfig

@Suite struct NearestNameTests {
    @Test(arguments: [
        ("api_bse", "api_base"), ("tmp", "tpm"), ("TPM", "tpm"), ("modelname", "model_name"),
        ("api_kye", "api_key"),
        ("fallback", "fallbacks"), ("num_retry", "num_retries"),
    ])
    func aSlipOfTheHandIsFound(_ typed: String, _ meant: String) {
        #expect(
            nearestName(
                to: typed, among: ["api_base", "api_key", "tpm", "model_name", "fallbacks", "num_retries"])
                == meant)
    }

    @Test(arguments: ["", "x", "temperature", "apple"])
    func whatIsFarFromAllIsNot(_ typed: String) {
        #expect(nearestName(to: typed, among: ["api_base", "api_key", "tpm"]) == nil)
    }

    @Test func theNearerWinsAndThenTheFirst() {
        #expect(nearestName(to: "gpt-4", among: ["gpt-4o", "gpt-4"]) == "gpt-4")
        #expect(nearestName(to: "gpt-4", among: ["gpt-4b", "gpt-4a"]) == "gpt-4b")
        #expect(nearestName(to: "abcd", among: ["abdc"]) == "abdc")
        #expect(nearestName(to: "a", among: []) == nil)
    }
}
