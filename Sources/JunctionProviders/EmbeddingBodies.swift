// Embeddings: the request bodies, of every wire format that has them. Sources:
// platform.openai.com/docs/api-reference/embeddings/create, docs.mistral.ai/api/#tag/embeddings,
// docs.cohere.com/reference/embed, ai.google.dev/api/embeddings.
internal import JunctionMessages
internal import JunctionProtobuf
internal import JunctionRouting

private let extras: StaticString = "embedding.extra_parameters_json"

extension BodyWriter {
    func writeOpenAI(
        _ embedding: JunctionV1.Embedding.View, model: String, quirks: OpenAIQuirks, options: BodyOptions
    ) throws(Failure) {
        member("model")
        writer.string(model)
        texts("input", embedding.inputs)
        integer(
            quirks.contains(.outputDimension) ? "output_dimension" : "dimensions", embedding.dimensions)
        text("user", embedding.user)
        try writeExtras(embedding.extraParametersJson, options.extraBody, of: extras)
        writer.raw("}")
    }

    /// Cohere must be told what the vectors are for.
    func writeCohere(
        _ embedding: JunctionV1.Embedding.View, model: String, options: BodyOptions
    ) throws(Failure) {
        member("model")
        writer.string(model)
        try writeCohereTexts(embedding, options: options)
    }

    private func writeCohereTexts(
        _ embedding: JunctionV1.Embedding.View, options: BodyOptions
    ) throws(Failure) {
        texts("texts", embedding.inputs)
        member("input_type")
        switch embedding.inputType {
        case let type where type.isEmpty || type == "RETRIEVAL_DOCUMENT": writer.raw(#""search_document""#)
        case let type where type == "RETRIEVAL_QUERY": writer.raw(#""search_query""#)
        case let type: writer.string(type)
        }
        member("embedding_types")
        writer.raw(#"["float"]"#)
        integer("output_dimension", embedding.dimensions)
        try writeExtras(embedding.extraParametersJson, options.extraBody, of: extras)
        writer.raw("}")
    }

    /// Bedrock passes a model's own body on: Cohere's, whose model stands in the path, or Titan's, which
    /// takes one text. Source: Bedrock's user guide, model-parameters-titan-embed-text.
    func writeBedrock(
        _ embedding: JunctionV1.Embedding.View, model: String, options: BodyOptions
    ) throws(Failure) {
        if model.has("cohere.embed") { return try writeCohereTexts(embedding, options: options) }
        guard model.has("amazon.titan-embed-text") else {
            throw wrong(
                "embedding", "is for another model: of Bedrock's, only Titan's and Cohere's are known")
        }
        guard embedding.inputs.count == 1 else {
            throw wrong("embedding.inputs", "has more than the one text that Titan takes")
        }
        text("inputText", embedding.inputs[0])
        integer("dimensions", embedding.dimensions)
        try writeExtras(embedding.extraParametersJson, options.extraBody, of: extras)
        writer.raw("}")
    }

    /// A request for each text, in one body. What the caller adds, it adds to each.
    func writeGemini(
        _ embedding: JunctionV1.Embedding.View, model: String, options: BodyOptions
    ) throws(Failure) {
        for (index, text) in embedding.inputs.enumerated() {
            writer.raw(index == 0 ? #"{"requests":["# : ",")
            startObject()
            member("model")
            writer.string(isPath(model) ? model : "models/" + model)
            member("content")
            writer.raw(#"{"parts":[{"text":"#)
            writer.string(text)
            writer.raw("}]}")
            writeTaskType(embedding.inputType)
            integer("outputDimensionality", embedding.dimensions)
            try writeExtras(embedding.extraParametersJson, options.extraBody, of: extras)
            writer.raw("}")
        }
        writer.raw(embedding.inputs.isEmpty ? #"{"requests":[]}"# : "]}")
    }

    private func writeTaskType(_ type: Text) {
        if type.isEmpty { return }
        member("taskType")
        switch type {
        case _ where type == "search_document": writer.raw(#""RETRIEVAL_DOCUMENT""#)
        case _ where type == "search_query": writer.raw(#""RETRIEVAL_QUERY""#)
        default: writer.string(String(type).uppercased())
        }
    }
}
