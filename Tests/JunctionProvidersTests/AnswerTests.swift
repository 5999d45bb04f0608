// Answers that are none, and what a reader does between answers.
import JunctionMessages
import JunctionProtobuf
import JunctionRouting
import Testing

@testable import JunctionProviders

struct AnswerTests {
    @Test(arguments: [
        ("", "is empty"), ("<html></html>", "is not JSON"), ("{", "is not JSON"), ("null", "has no choices"),
        ("{}", "has no choices"), (#"{"choices":[]}"#, "has no choices"),
        (#"{"choices":null}"#, "has no choices"),
        (#"{"choices":[{"finish_reason":"stop"}]}"#, "has no choices"),
        (#"{"choices":[{"message":{"content":"\ud800"}}]}"#, "is not JSON"),
        ("{\"choices\":[{\"message\":{\"content\":\"\u{0}\"}}]}", "is not JSON"),
    ])
    func whatIsNoAnswerIsAFailure(body: String, what: String) {
        #expect(read(body) == "failed: malformedResponse, status 200\n  the provider's answer \(what)\n")
    }

    @Test(
        arguments: [
            (#""cost":0.00075"#, 0.00075), (#""cost":{"input_cost":0.1,"total_cost":0.25}"#, 0.25),
            (#""cost_in_usd_ticks":25000000"#, 0.0025), (#""cost":null"#, nil), (#""cost":-1"#, nil),
            (#""cost":"free""#, nil), (#""other":1"#, nil),
        ] as [(String, Double?)])
    func believesWhatAProviderSaysItCost(member: String, cost: Double?) {
        let reader = AnswerReader()
        let arena = Arena()
        reader.reset(adapter: .openAI([]), isStreaming: false)
        reader.begin(status: 200)
        let body = #"{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":1,\#(member)}}"#
        reader.append(Array(body.utf8).span)
        reader.end()
        var usage: TokenUsage?
        reading: while true {
            switch reader.next(in: arena) {
            case .usage(let told): usage = told
            case .finished, .needsMore, .failed: break reading
            default: continue
            }
        }
        #expect(usage?.prompt == 1)
        #expect(usage?.cost == cost)
    }

    @Test(arguments: [
        ("", Failure.Kind.streamCut), ("data: {\"choices\":[{\"delta\":{}}]}\n\n", .streamCut),
        ("data: [DONE]\n\n", .malformedResponse), ("data: nonsense\n\n", .malformedResponse),
        ("data: 7\n\n", .malformedResponse), ("<html>", .malformedResponse), ("{}", .malformedResponse),
        ("event: error\ndata: {\"message\":\"too much\",\"code\":\"rate_limit_exceeded\"}\n\n", .rateLimited),
        ("data: {\"error\":\"model is loading\"}\n\n", .serverError),
    ])
    func whatIsNoStreamIsAFailure(body: String, kind: Failure.Kind) {
        #expect(failure(status: 200, body, isStreaming: true)?.kind == kind)
    }

    @Test(arguments: ["data: [DONE]\n\n", "data: [DONE]\n", "data: [DONE]", "data:[DONE]\r\n\r\n"])
    func theEndMarkerEndsAStream(end: String) {
        let said = read("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" + end, isStreaming: true)
        #expect(said == "delta\n  choices\n    content: \"a\"\nfinished\n")
    }

    /// Some send it so that the connection is not taken for dead.
    @Test(arguments: [" ", "\n", "\r\n\t ", "\n\n  \n"])
    func whiteSpaceBeforeAStreamIsNothing(space: String) {
        let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"
        let said = read([Array(stream.utf8)], isStreaming: true)
        #expect(said.contains("finished"))
        let bytes = Array((space + stream).utf8)
        for place in 0...bytes.count {
            #expect(read([Array(bytes[..<place]), Array(bytes[place...])], isStreaming: true) == said)
        }
        #expect(read(bytes.map { [$0] }, isStreaming: true) == said)
    }

    @Test func whatComesBehindTheEndIsNotRead() {
        let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
        #expect(read(chunk + "data: [DONE]\n\n" + chunk, isStreaming: true).hasSuffix("finished\n"))
        #expect(
            read(chunk + "data: {\"error\":{}}\n\n" + chunk, isStreaming: true).contains(
                "failed: serverError"))
    }

    @Test func chunksThatAddNothingAreNotTold() {
        let said = read(
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: {\"choices\":[]}\n\n"
                + "data: {\"object\":\"ping\"}\n\ndata:\n\ndata: [DONE]\n\n", isStreaming: true)
        #expect(said == "finished\n")
    }

    @Test func anAnswerLongerThanAnyIsAFailure() {
        let reader = AnswerReader()
        reader.reset(adapter: .openAI([]), isStreaming: false)
        reader.begin(status: 200)
        let arena = Arena()
        let megabyte = [UInt8](repeating: UInt8(ascii: " "), count: 1 << 20)
        for _ in 0..<16 {
            reader.append(megabyte.span)
            guard case .needsMore = reader.next(in: arena) else { return #expect(Bool(false)) }
        }
        reader.append(megabyte.span)
        guard case .failed(let failure) = reader.next(in: arena) else { return #expect(Bool(false)) }
        #expect(failure.kind == .malformedResponse)
        guard case .needsMore = reader.next(in: arena) else { return #expect(Bool(false)) }
    }

    @Test func nothingOfAnAttemptLeaksIntoTheNext() {
        let reader = AnswerReader()
        let fields = [("Retry-After", "7"), ("x-ratelimit-limit-requests", "9")]
        let early = read(
            [Array("{\"error\":{}}".utf8)], status: 429, fields: fields, isStreaming: false, with: reader)
        #expect(early.hasPrefix("failed: rateLimited, status 429, retry after 7.0 seconds\n"))
        _ = read(
            [Array("data: {\"id\":\"1\",\"choices\":[{\"delta\":{}}]}\n\ndata: {".utf8)], isStreaming: true,
            with: reader)
        let late = read(
            [Array("data: {\"id\":\"2\",\"choices\":[{\"delta\":{}}]}\n\ndata: [DONE]\n\n".utf8)],
            isStreaming: true, with: reader)
        #expect(late == "delta without content\n  id: \"2\"\nfinished\n")
        #expect(reader.rateLimits == RateLimits())
        #expect(
            read([Array("{\"error\":{}}".utf8)], status: 429, isStreaming: false, with: reader).hasPrefix(
                "failed: rateLimited, status 429\n"))
    }

    @Test func readersAndWritersOfAThreadShareAParser() throws {
        let json = JSONReader()
        let writer = BodyWriter(json: json)
        let reader = AnswerReader(json: json)
        let arena = Arena()
        try writer.write(
            asking { $0.extraParametersJson = "{\"a\":1}" }.view(in: arena), model: "m", isStreaming: false,
            adapter: .openAI([]))
        let body = "{\"choices\":[{\"message\":{\"content\":\"Hi\"}}]}"
        #expect(read([Array(body.utf8)], isStreaming: false, with: reader).contains("content: \"Hi\""))
        #expect(writer.text.hasSuffix("\"a\":1}"))
    }

    @Test func aNULInTextIsLeftOut() {
        #expect(read(#"{"choices":[{"message":{"content":"a\u0000b"}}]}"#).contains("content: \"ab\"\n"))
    }
}
