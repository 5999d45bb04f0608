// Embeddings: the answers, of every wire format that has them. A vector is an array of numbers, or the bytes
// of 32-bit floats, little-endian, in base64. Sources as for EmbeddingBodies.swift.
import Glibc
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

/// The embeddings that `json` holds: `count` of them, in the order of the texts.
func readOpenAIEmbeddings(_ json: JSONValue, count: Int, in arena: Arena) throws(AnswerProblem) -> AnswerPiece
{
    if let error = openAIError(within: json) { throw .error(error) }
    guard let data = json["data"], data.isArray else { throw .malformed("has no embeddings") }
    let response = JunctionV1.EmbedResponse.View(in: arena)
    if let model = json["model"]?.text { response.model = arena.text(model) }
    let vectors = response.setVectors(count: count, in: arena)
    var filled = 0
    for (place, element) in data.elements.enumerated() {
        let index = Int(clamping: element["index"]?.integer ?? Int64(place))
        guard vectors.indices.contains(index), vectors[index].values.isEmpty else { throw .wrongCount }
        try fill(vectors[index], from: element["embedding"], in: arena)
        filled += 1
    }
    guard filled == count else { throw .wrongCount }
    return AnswerPiece(embeddings: response, usage: json["usage"].flatMap(openAIUsage), isLast: true)
}

/// Cohere's; where it was asked for other types by `extra_parameters_json`, floats are among them or the
/// answer is of no use.
func readCohereEmbeddings(_ json: JSONValue, count: Int, in arena: Arena) throws(AnswerProblem) -> AnswerPiece
{
    guard let embeddings = json["embeddings"] else {
        if json["message"]?.text != nil { throw .error(cohereError(json, status: 200)) }
        throw .malformed("has no embeddings")
    }
    let response = JunctionV1.EmbedResponse.View(in: arena)
    let floats = embeddings.isArray ? embeddings : embeddings["float"]
    try fill(response, count: count, from: floats, under: nil, in: arena)
    let units = json["meta"]?["billed_units"]?["input_tokens"]
    return AnswerPiece(
        embeddings: response, usage: units.map { TokenUsage(prompt: tokenCount($0)) }, isLast: true)
}

/// Gemini's. Its first models count no tokens.
func readGeminiEmbeddings(_ json: JSONValue, count: Int, in arena: Arena) throws(AnswerProblem) -> AnswerPiece
{
    guard let embeddings = json["embeddings"] else {
        if json["error"] != nil || json.isArray { throw .error(geminiError(json)) }
        throw .malformed("has no embeddings")
    }
    let response = JunctionV1.EmbedResponse.View(in: arena)
    try fill(response, count: count, from: embeddings, under: "values", in: arena)
    let tokens = json["usageMetadata"]?["promptTokenCount"]
    return AnswerPiece(
        embeddings: response, usage: tokens.map { TokenUsage(prompt: tokenCount($0)) }, isLast: true)
}

/// Titan's or Cohere's, as Bedrock passes them on.
func readBedrockEmbeddings(_ json: JSONValue, count: Int, in arena: Arena) throws(AnswerProblem)
    -> AnswerPiece
{
    guard let vector = json["embedding"], count == 1 else {
        return try readCohereEmbeddings(json, count: count, in: arena)
    }
    let response = JunctionV1.EmbedResponse.View(in: arena)
    try fill(response.setVectors(count: 1, in: arena)[0], from: vector, in: arena)
    let tokens = json["inputTextTokenCount"]
    return AnswerPiece(
        embeddings: response, usage: tokens.map { TokenUsage(prompt: tokenCount($0)) }, isLast: true)
}

/// - Parameter name: the member that holds the vector; nil: the element is the vector.
private func fill(
    _ response: JunctionV1.EmbedResponse.View, count: Int, from array: JSONValue?, under name: StaticString?,
    in arena: Arena
) throws(AnswerProblem) {
    guard let array, array.elements.count == count else { throw .wrongCount }
    for (element, vector) in zip(array.elements, response.setVectors(count: count, in: arena)) {
        try fill(vector, from: name.map { element[$0] } ?? element, in: arena)
    }
}

private func fill(
    _ vector: JunctionV1.EmbeddingVector.View, from json: JSONValue?, in arena: Arena
) throws(AnswerProblem) {
    var values: [Float] = []
    if let text = json?.text {
        guard let floats = floats(base64: text) else { throw .badVector }
        values = floats
    }
    for element in json?.elements ?? JSONElements.none {
        guard let number = element.number else { throw .badVector }
        values.append(Float(number))
    }
    guard !values.isEmpty, values.allSatisfy(\.isFinite) else { throw .badVector }
    vector.setValues(values, in: arena)
}

extension AnswerProblem {
    fileprivate static var wrongCount: AnswerProblem {
        .malformed("does not have one embedding for each text")
    }
    fileprivate static var badVector: AnswerProblem {
        .malformed("has an embedding that is not a vector of numbers")
    }
}

/// The 32-bit floats, little-endian, whose bytes the text is in base64 (RFC 4648 section 4); nil when it is
/// not.
private func floats(base64 text: JSONText) -> [Float]? {
    var floats: [Float] = []
    floats.reserveCapacity(text.count * 3 / 16)
    var bits: UInt64 = 0
    var count = 0
    var pattern: UInt32 = 0
    var byteCount = 0
    let digits = text.bytes.prefix { $0 != UInt8(ascii: "=") }
    guard text.count % 4 == 0, text.count - digits.count <= 2 else { return nil }
    for byte in digits {
        guard let digit = base64Digit(byte) else { return nil }
        bits = bits << 6 | UInt64(digit)
        count += 6
        guard count >= 8 else { continue }
        count -= 8
        pattern |= UInt32(truncatingIfNeeded: bits >> UInt64(count) & 0xff) << UInt32(byteCount * 8)
        byteCount += 1
        guard byteCount == 4 else { continue }
        floats.append(Float(bitPattern: pattern))
        (pattern, byteCount) = (0, 0)
    }
    return byteCount == 0 ? floats : nil
}

private func base64Digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
}
