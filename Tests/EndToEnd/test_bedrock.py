"""Bedrock through the built router: signatures against botocore's own, and Converse whole and streamed."""

import binascii
import json
import struct
import urllib.parse

import pytest
import stubs
from fixed_provider import FixedProvider
from programs import Junction
from stubs import pb

auth = pytest.importorskip("botocore.auth", reason="tools/setup installs it")
eventstream = pytest.importorskip("botocore.eventstream")
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402

MODEL = "anthropic.claude-3-sonnet-20240229-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0"
WHOLE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 45, "cacheReadInputTokens": 30,
              "cacheWriteInputTokens": 10},
    "metrics": {"latencyMs": 1},
}
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


def path(model, is_stream=False):
    return f"/model/{urllib.parse.quote(model, safe='')}/converse" + ("-stream" if is_stream else "")


def frame(kind, name, payload):
    headers = b""
    for key, value in {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}.items():
        headers += struct.pack(">B", len(key)) + key.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + body
    return message + struct.pack(">I", binascii.crc32(message))


def stream(*end):
    return [
        frame("event", "messageStart", {"role": "assistant"}),
        frame("event", "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}, "p": "abc"}),
        frame("event", "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "."}}),
        frame("event", "contentBlockStop", {"contentBlockIndex": 0}),
        *end,
    ]


STREAM = stream(
    frame("event", "messageStop", {"stopReason": "end_turn"}),
    frame("event", "metadata", {"usage": WHOLE["usage"], "metrics": {"latencyMs": 1}}),
)


class Bedrock(FixedProvider):
    STREAM_TYPE = "application/vnd.amazon.eventstream"


def signature(provider, request, region):
    """What botocore makes the signature of the request that came, from its signed fields."""
    path, headers, _ = provider.requests[request]
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    signer = auth.SigV4Auth(
        Credentials(KEYS["aws_access_key_id"], KEYS["aws_secret_access_key"]), "bedrock", region
    )
    made = AWSRequest(
        method="POST", url=f"http://{headers['host']}{path}", data=provider.bodies[request],
        headers={name: headers[name] for name in signed},
    )
    made.context["timestamp"] = headers["x-amz-date"]
    text = signer.string_to_sign(made, signer.canonical_request(made))
    return signed, signer.signature(text, made)


@pytest.fixture
def provider(start):
    return start(Bedrock, {})


def router(start, provider, base="", environment=None, **parameters):
    parameters = {"model": f"bedrock/{MODEL}", "api_base": provider.base + base, **KEYS, **parameters}
    given = {key: value for key, value in parameters.items() if value is not None}
    group = {"model_name": "claude", "litellm_params": given}
    settings = {"num_retries": 0, "disable_cooldowns": True}
    return start(Junction, [group], settings, environment=environment)


@pytest.mark.parametrize(
    "model, region, token, base",
    [
        (MODEL, "us-east-1", None, ""),
        (MODEL, "eu-central-1", "IQoJb3JpZ2luX2VjEJr//////////wEaCXVz+token/with=signs==", ""),
        (ARN, "eu-west-1", None, ""),
        ("a b~c(d)'é!", "us-gov-west-1", "t", "/behind/a-proxy"),
    ],
)
def test_the_signature_is_botocores(start, caller_of, provider, model, region, token, base):
    caller = caller_of(
        router(start, provider, base, model=f"bedrock/{model}", aws_region_name=region, aws_session_token=token)
    )
    provider.answers = {
        base + path(model): (200, WHOLE),
        base + path(model, is_stream=True): (200, STREAM),
    }
    for text in ["Hello", "wörld " * 5000]:
        assert caller.complete("claude", text).choices[0].message.content == "Hi."
        assert stubs.text_of(caller.stream_all("claude", text)) == "Hi."
    assert len(provider.requests) == 4
    for index, (_, headers, _) in enumerate(provider.requests):
        signed, expected = signature(provider, index, region)
        assert headers["authorization"].endswith(f"Signature={expected}")
        assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert {"content-type", "host", "x-amz-date"} <= set(signed)
        assert headers.get("x-amz-security-token") == token
        assert token is None or "x-amz-security-token" in signed


def test_answers(start, caller_of, provider):
    caller = caller_of(router(start, provider))
    provider.answers = {path(MODEL): (200, WHOLE), path(MODEL, is_stream=True): (200, STREAM)}
    answer = caller.complete("claude")
    usage = answer.usage
    assert (answer.choices[0].finish_reason, answer.route.provider) == (pb.FINISH_REASON_STOP, "bedrock")
    assert (usage.prompt_tokens, usage.completion_tokens) == (43, 2)
    assert (usage.cached_tokens, usage.cache_write_tokens) == (30, 10)
    pieces = caller.stream_all("claude")
    assert stubs.text_of(pieces) == "Hi." and pieces[-1].usage == usage


@pytest.mark.parametrize(
    "kind, code",
    [("throttlingException", "UNAVAILABLE"), ("modelStreamErrorException", "UNAVAILABLE")],
)
def test_an_exception_in_a_stream(start, caller_of, provider, kind, code):
    caller = caller_of(router(start, provider))
    provider.answers = {path(MODEL, True): (200, stream(frame("exception", kind, {"message": "Not now."})))}
    error = caller.error("claude", streaming=True)
    assert error.code().name == code and "Not now." in error.details()


def test_frames_are_botocores():
    """The frames that these tests send are such as botocore reads."""
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(b"".join(STREAM))
    messages = [message.to_response_dict() for message in buffer]
    assert [message["headers"][":event-type"] for message in messages] == [
        "messageStart", "contentBlockDelta", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata",
    ]  # fmt: skip
    assert json.loads(messages[1]["body"])["delta"] == {"text": "Hi"}


def test_an_api_key_is_a_bearer(start, caller_of, provider):
    provider.answers = {path(MODEL): (200, WHOLE)}
    caller = caller_of(router(start, provider, **dict.fromkeys(KEYS), api_key="bedrock-api-key-1"))
    assert caller.complete("claude").choices[0].message.content == "Hi."
    _, headers, _ = provider.requests[0]
    assert headers["authorization"] == "Bearer bedrock-api-key-1" and "x-amz-date" not in headers


def test_reasoning_comes_back_signed(start, caller_of, provider):
    caller = caller_of(router(start, provider))
    reasoning = {"reasoningContent": {"reasoningText": {"text": "I should.", "signature": "EqQB"}}}
    call = {"toolUse": {"toolUseId": "t1", "name": "now", "input": {}}}
    whole = {**WHOLE, "stopReason": "tool_use",
             "output": {"message": {"role": "assistant", "content": [reasoning, call]}}}
    provider.answers = {path(MODEL): (200, whole)}
    tools = [pb.Tool(function=pb.FunctionTool(name="now"))]
    first = caller.complete("claude", tools=tools)
    asked = first.choices[0].message
    provider.answers = {path(MODEL): (200, WHOLE)}
    messages = [
        pb.Message(role=pb.ROLE_USER, content="When?"), asked,
        pb.Message(role=pb.ROLE_TOOL, content="Noon.", tool_call_id=asked.tool_calls[0].id),
    ]  # fmt: skip
    again = pb.Completion(model="claude", messages=messages, tools=tools)
    caller.stub.Complete(pb.CompleteRequest(completion=again), timeout=30)
    assert provider.requests[1][2]["messages"][1] == {"role": "assistant", "content": [reasoning, call]}


def test_the_environment_signs_in(start, caller_of, provider):
    provider.answers = {path(MODEL): (200, WHOLE)}
    environment = {
        "AWS_BEDROCK_RUNTIME_ENDPOINT": provider.base,
        "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
        "AWS_SESSION_TOKEN": "lent",
        "AWS_REGION": "ap-south-1",
        "AWS_BEARER_TOKEN_BEDROCK": "",
    }
    none = dict.fromkeys(["api_base", *KEYS])
    caller = caller_of(router(start, provider, environment=environment, **none))
    caller.complete("claude")
    _, headers, _ = provider.requests[0]
    assert headers["x-amz-security-token"] == "lent" and "/ap-south-1/bedrock/" in headers["authorization"]
    assert headers["authorization"].endswith(signature(provider, 0, "ap-south-1")[1])


def test_an_api_key_of_the_environment_ranks_above_its_pair(start, caller_of, provider):
    provider.answers = {path(MODEL): (200, WHOLE)}
    environment = {
        "AWS_BEDROCK_RUNTIME_ENDPOINT": provider.base,
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_BEARER_TOKEN_BEDROCK": "key-1",
    }
    none = dict.fromkeys(["api_base", *KEYS])
    caller_of(router(start, provider, environment=environment, **none)).complete("claude")
    assert provider.requests[0][1]["authorization"] == "Bearer key-1"


def test_a_callers_key_is_never_signed_with_ours(start, caller_of, provider):
    provider.answers = {path(MODEL): (429, {"message": "Too many requests"})}
    caller = caller_of(router(start, provider, aws_session_token="lent"))
    override = pb.Fallback(override=pb.DeploymentOverride(api_key="theirs"))
    caller.error("claude", routing=pb.Routing(fallbacks=[override]))
    ours, theirs = (headers for _, headers, _ in provider.requests)
    assert ours["x-amz-security-token"] == "lent" and ours["authorization"].startswith("AWS4-")
    assert theirs["authorization"] == "Bearer theirs"
    assert not [name for name in theirs if name.startswith("x-amz-")]
