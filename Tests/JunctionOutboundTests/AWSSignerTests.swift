// Signature Version 4 against signatures that botocore 1.44.8 made; the end-to-end tests hold whole requests
// against it.
import Testing

@testable import JunctionOutbound

struct AWSSignerTests {
    private let credentials = AWSCredentials(
        accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region: "us-east-1", service: "bedrock")

    private func lines(_ credentials: AWSCredentials, path: String, body: String, at time: Int64) -> [String]
    {
        let signer = AWSSigner(
            credentials, host: "bedrock-runtime.us-east-1.amazonaws.com", path: path,
            contentType: "application/json")
        return signer.lines(body: Array(body.utf8).span, at: time)
    }

    @Test func signsAsBotocoreDoes() {
        let made = lines(
            credentials, path: "/model/anthropic.claude-v2%3A1/converse", body: #"{"messages":[]}"#,
            at: 1_440_938_160)
        #expect(
            made == [
                "x-amz-date: 20150830T123600Z",
                "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, "
                    + "SignedHeaders=content-type;host;x-amz-date, "
                    + "Signature=1fc860bea6049e871d7be791ad1f6e132127803875879b6dff187bcd17c48efd",
            ])
    }

    @Test func signsTheTokenToo() {
        var lent = credentials
        lent.sessionToken = "IQoJb3JpZ2luX2VjE=="
        let made = lines(lent, path: "/model/a%2Fb/converse-stream", body: "", at: 951_868_799)
        #expect(made[0] == "x-amz-date: 20000229T235959Z")
        let signature = "4db916f7f279b6df2d53adf339ce8005be5a0f8987c0799f006591c704353ea1"
        #expect(made[1].hasSuffix("x-amz-date;x-amz-security-token, Signature=" + signature))
        #expect(made[2] == "x-amz-security-token: IQoJb3JpZ2luX2VjE==")
    }

    /// The key is made anew for a new day, and for an old one if the clock goes back.
    @Test func theDayMayChange() {
        let path = "/model/m/converse"
        let signer = AWSSigner(credentials, host: "h", path: path, contentType: "application/json")
        let days: [Int64] = [86_399, 86_400, 86_399]
        let made = days.map { signer.lines(body: [UInt8]().span, at: $0) }
        #expect(made[0] == made[2] && made[0][1] != made[1][1])
        let other = AWSSigner(credentials, host: "h", path: path, contentType: "application/json")
        #expect(other.lines(body: [UInt8]().span, at: 86_400) == made[1])
    }
}
