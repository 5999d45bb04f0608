"""A stream that breaks after its first content: gone on with elsewhere, or ended with what is known."""

import json

import grpc
import pytest
import stubs
from grpc import StatusCode
from programs import Junction, Upstream, deployment
from stubs import pb

RESCUE = pb.Routing(stream_rescue=pb.STREAM_RESCUE_CONTINUE)


def continuing(upstream, group, model, id, **parameters):
    """A deployment that goes on with a text, as vLLM's do."""
    entry = deployment(group, model, id, api_base=upstream.base, **parameters)
    entry["litellm_params"]["model"] = f"hosted_vllm/{model}"
    return entry


@pytest.fixture
def upstream(start):
    return start(Upstream)


def broken_and_whole(upstream, broken):
    return [
        continuing(upstream, "gpt-4o", broken, "broken", order=1),
        continuing(upstream, "gpt-4o", "chunks-8", "whole", order=2),
    ]


@pytest.mark.parametrize(
    "script, cause",
    [
        ("chunks-8+cut-3", "STREAM_CUT"),
        ("chunks-8+error-in-stream-3", "SERVER_ERROR"),
        ("chunks-3+no-done+cut-3", "STREAM_CUT"),
        ("chunks-8+interval-100000", "TIMEOUT"),
    ],
)
def test_a_broken_stream_goes_on_elsewhere(start, caller_of, upstream, script, cause):
    router = start(Junction, broken_and_whole(upstream, script), {}, {"stream_idle_timeout": 1})
    pieces = caller_of(router).stream_all(routing=RESCUE, max_tokens=500)
    assert stubs.text_of(pieces) == stubs.chunk_text(8)
    seams = [piece for piece in pieces if piece.HasField("seam")]
    assert len(seams) == 1 and seams[0].choices[0].content
    seam = seams[0].seam
    assert (seam.broken_deployment_id, seam.deployment_id) == ("broken", "whole")
    assert pb.AttemptOutcome.Name(seam.cause) == f"ATTEMPT_OUTCOME_{cause}"
    last = pieces[-1]
    assert stubs.outcomes(last.route) == [cause, "SUCCESS"] and last.route.deployment_id == "whole"
    assert last.route.attempts[1].kind == pb.ATTEMPT_KIND_RESCUE
    assert last.usage.estimated and last.usage.completion_tokens > 24, "both attempts are counted"
    assert sum(c.finish_reason != 0 for p in pieces for c in p.choices) == 1
    body = json.loads(upstream.requests()[-1]["body"])
    assert body["messages"][0]["role"] == "user"
    assert body["messages"][-1]["role"] == "assistant" and body["messages"][-1]["content"].startswith(" w0000")
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False
    assert body["max_tokens"] < 500


def detail_of(error):
    """(the google.rpc.Status' details by type, the FailureDetail)"""
    packed = stubs.trailer(error, "grpc-status-details-bin")
    assert packed, "a failed call that made attempts carries details"
    details = {}
    for number, value in fields(packed):
        if number == 3:
            any_fields = dict(fields(value))
            details[any_fields[1].decode().removeprefix("type.googleapis.com/")] = any_fields[2]
    return details, pb.FailureDetail.FromString(details.get("junction.v1.FailureDetail", b""))


def fields(message):
    """The fields of a message as protobuf has them on the wire: varints and bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            length = varint()
            yield key >> 3, message[at : at + length]
            at += length


def test_without_leave_the_stream_ends_with_what_was_used(start, caller_of, upstream):
    caller = caller_of(start(Junction, broken_and_whole(upstream, "chunks-8+cut-3")))
    pieces = []
    with pytest.raises(grpc.RpcError) as raised:
        for piece in caller.stream():
            pieces.append(piece)
    assert stubs.text_of(pieces) == stubs.chunk_text(3)
    error = raised.value
    assert error.code() == StatusCode.UNAVAILABLE
    assert stubs.trailer(error, "grpc-retry-pushback-ms") == "-1"
    details, detail = detail_of(error)
    assert dict(fields(details["google.rpc.ErrorInfo"]))[1] == b"STREAM_INTERRUPTED"
    assert stubs.outcomes(detail.route) == ["STREAM_CUT"]
    assert detail.usage.estimated and 0 < detail.usage.completion_tokens < 24
    assert detail.route.attempts[0].usage == detail.usage


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": pb.ResponseFormat(type=pb.RESPONSE_FORMAT_TYPE_JSON_OBJECT)},
        {"logprobs": True},
        {"n": 2},
    ],
    ids=["JSON", "logprobs", "n"],
)
def test_only_plain_text_is_gone_on_with(start, caller_of, upstream, fields):
    caller = caller_of(start(Junction, broken_and_whole(upstream, "chunks-8+cut-3")))
    error = caller.error(routing=RESCUE, streaming=True, **fields)
    assert error.code() == StatusCode.UNAVAILABLE
    assert stubs.outcomes(detail_of(error)[1].route) == ["STREAM_CUT"]


def test_a_tool_call_is_not_gone_on_with(start, caller_of, upstream):
    caller = caller_of(start(Junction, broken_and_whole(upstream, "tools+cut-2")))
    error = caller.error(routing=RESCUE, streaming=True)
    assert error.code() == StatusCode.UNAVAILABLE
    assert stubs.outcomes(detail_of(error)[1].route) == ["STREAM_CUT"]


def test_who_takes_no_beginning_is_not_asked(start, caller_of, upstream):
    groups = [
        continuing(upstream, "gpt-4o", "chunks-8+cut-3", "broken", order=1),
        upstream.deployment("gpt-4o", "chunks-8", "openai", order=2),
        continuing(upstream, "other", "chunks-8", "fallback"),
    ]
    caller = caller_of(start(Junction, groups, {"fallbacks": [{"gpt-4o": ["other"]}]}))
    pieces = caller.stream_all(routing=RESCUE)
    assert stubs.text_of(pieces) == stubs.chunk_text(8)
    assert [a.deployment_id for a in pieces[-1].route.attempts] == ["broken", "fallback"]


def test_it_is_done_once(start, caller_of, upstream):
    groups = [continuing(upstream, "gpt-4o", "chunks-8+cut-3", "first", order=1)]
    groups += [continuing(upstream, "gpt-4o", "chunks-8+cut-5", name, order=2) for name in ("b", "c")]
    caller = caller_of(start(Junction, groups, {}, {"stream_rescue": "continue"}))
    pieces = []
    with pytest.raises(grpc.RpcError) as raised:
        for piece in caller.stream():
            pieces.append(piece)
    assert stubs.text_of(pieces) == stubs.chunk_text(5)
    assert stubs.outcomes(detail_of(raised.value)[1].route) == ["STREAM_CUT", "STREAM_CUT"]
    never = pb.Routing(stream_rescue=pb.STREAM_RESCUE_NEVER)
    assert stubs.outcomes(detail_of(caller.error(streaming=True, routing=never))[1].route) == ["STREAM_CUT"]


def test_every_failed_call_that_made_attempts_tells_its_route(start, caller_of, upstream):
    groups = [upstream.deployment("gpt-4o", "status-500", "a"), upstream.deployment("b", "status-503", "b")]
    caller = caller_of(start(Junction, groups, {"num_retries": 0, "fallbacks": [{"gpt-4o": ["b"]}]}))
    details, detail = detail_of(caller.error())
    assert stubs.outcomes(detail.route) == ["SERVER_ERROR", "SERVER_ERROR"]
    assert [a.deployment_id for a in detail.route.attempts] == ["a", "b"] and not detail.HasField("usage")
    assert dict(fields(details["google.rpc.ErrorInfo"]))[1] == b"UNAVAILABLE"
