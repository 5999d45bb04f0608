"""Gemini's wire format through the built router."""

import pytest
import stubs
from fixed_provider import FixedProvider, events
from programs import Junction
from stubs import pb

WHOLE = "/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


def chunk(*parts, reason=None, **usage):
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }


@pytest.fixture
def provider(start):
    return start(FixedProvider, {})


@pytest.fixture
def caller(start, caller_of, provider):
    group = {
        "model_name": "gemini",
        "litellm_params": {
            "model": "gemini/gemini-2.5-flash",
            "api_key": "AIza-configured",
            "api_base": provider.base + "/v1beta",
        },
    }
    return caller_of(start(Junction, [group], {"num_retries": 0}))


def test_a_whole_answer(provider, caller):
    answer = chunk({"text": "Hello"}, reason="STOP", promptTokenCount=3, candidatesTokenCount=1)
    provider.answers[WHOLE] = (200, answer)
    answer = caller.complete("gemini", "Hi", max_tokens=9)
    assert answer.choices[0].message.content == "Hello" and answer.model == "gemini-2.5-flash"
    assert answer.usage.total_tokens == 4
    path, headers, body = provider.requests[0]
    assert headers["x-goog-api-key"] == "AIza-configured" and "AIza" not in path
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"maxOutputTokens": 9},
    }


def test_a_streamed_tool_call_and_its_result(provider, caller):
    call = {"functionCall": {"name": "now", "args": {"zone": "UTC"}}, "thoughtSignature": "c2ln"}
    provider.answers[STREAM] = (200, events(chunk(call), chunk({"text": ""}, reason="STOP")))
    pieces = caller.stream_all("gemini")
    delta = pieces[0].choices[0].tool_calls[0]
    assert (delta.index, delta.name, delta.arguments_json) == (0, "now", '{"zone":"UTC"}')
    reasons = [choice.finish_reason for piece in pieces for choice in piece.choices if choice.finish_reason]
    assert reasons == [pb.FINISH_REASON_TOOL_CALLS]

    function = pb.FunctionCall(name=delta.name, arguments_json=delta.arguments_json)
    messages = [
        pb.Message(role=pb.ROLE_USER, content="When?"),
        pb.Message(role=pb.ROLE_ASSISTANT, tool_calls=[pb.ToolCall(id=delta.id, function=function)]),
        pb.Message(role=pb.ROLE_TOOL, tool_call_id=delta.id, content="noon"),
    ]
    provider.answers[STREAM] = (200, events(chunk({"text": "Noon."}, reason="STOP")))
    request = pb.StreamRequest(completion=pb.Completion(model="gemini", messages=messages))
    assert stubs.text_of(caller.stub.Stream(request, timeout=30)) == "Noon."
    _, _, body = provider.requests[1]
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"
    response = body["contents"][2]["parts"][0]["functionResponse"]
    assert (response["name"], response["response"]) == ("now", {"output": "noon"})


def test_errors(provider, caller):
    provider.answers[STREAM] = (200, events(chunk({"text": "Hel"})))
    assert "before its end marker" in caller.error("gemini", streaming=True).details()
    provider.answers[WHOLE] = (200, {"promptFeedback": {"blockReason": "SAFETY"}})
    assert caller.error("gemini").code().name == "INVALID_ARGUMENT"
    image = pb.ContentPart(image=pb.ImagePart(url="http://example.com/a.png"))
    request = pb.Completion(model="gemini", messages=[pb.Message(role=pb.ROLE_USER, parts=[image])])
    with pytest.raises(stubs.grpc.RpcError) as error:
        caller.stub.Complete(pb.CompleteRequest(completion=request), timeout=30)
    assert "completion.messages[0].parts[0].image.url" in error.value.details()


def test_a_limit_says_when_to_come_again(provider, caller):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]
    error = {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": details}
    provider.answers[WHOLE] = (429, {"error": error})
    error = caller.error("gemini")
    assert error.code().name == "RESOURCE_EXHAUSTED"
    assert 30_000 < int(stubs.trailer(error, "grpc-retry-pushback-ms")) <= 34_000
