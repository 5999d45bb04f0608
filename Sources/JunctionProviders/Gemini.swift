// Google's Gemini API, which is not Vertex AI's. Source: ai.google.dev/api/generate-content. Bodies in
// GeminiRequest.swift and GeminiAnswer.swift.
import Glibc
import JunctionProtobuf

/// - Parameter method: what stands behind the colon, such as `generateContent`.
func geminiURL(base: String, model: String, method: String) -> String {
    var base = base[...]
    while base.last == "/" { base.removeLast() }
    let encoded = percentEncoded(model)
    let name = isPath(model) ? encoded.replacing("%2F", with: "/") : "models/" + encoded
    return "\(base)/\(name):\(method)"
}

/// Whether the model's name says what it is one of.
func isPath(_ model: String) -> Bool { model.hasPrefix("models/") || model.hasPrefix("tunedModels/") }

/// The key goes in a header: a URL is logged by whoever sees it.
func geminiHeaders(key: String?) -> [(name: String, value: String)] {
    var headers = [(name: "content-type", value: "application/json")]
    if let key { headers.append((name: "x-goog-api-key", value: key)) }
    return headers
}

// MARK: Thought signatures

/// Gemini's models sign their thoughts on function calls and want the signature back with the call. Callers
/// keep a call's id and nothing else of it, so the signature travels in the id, behind this mark.
let thoughtMark: StaticString = "__thought__"

/// A call's own id, and the signature that travels in it. No other provider gets that: some refuse long ids.
func takeApart(callID: Text) -> (id: JSONText, signature: JSONText?) {
    let bytes = UnsafeRawBufferPointer(start: callID.pointer, count: callID.count)
    let length = thoughtMark.utf8CodeUnitCount
    var place = 0
    while place + length <= callID.count {
        if memcmp(callID.pointer + place, thoughtMark.utf8Start, length) == 0 {
            return (
                JSONText(UnsafeRawBufferPointer(rebasing: bytes[..<place])),
                JSONText(UnsafeRawBufferPointer(rebasing: bytes[(place + length)...]))
            )
        }
        place += 1
    }
    return (JSONText(bytes), nil)
}

/// What Gemini 3 takes instead of a signature, for a call that another model made. Source:
/// ai.google.dev/gemini-api/docs/thought-signatures.
let thoughtOfAnother: StaticString = "skip_thought_signature_validator"
