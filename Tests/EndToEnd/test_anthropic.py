"""Anthropic's wire format through the built router."""

import json

import pytest
import stubs
from fixed_provider import FixedProvider, events
from programs import Junction
from stubs import pb

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-instant-1.2"}
COUNTS = {"input_tokens": 10, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 30}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "now"}
WHOLE = {
    **MESSAGE,
    "content": [{"type": "text", "text": "Hi."}, {**CALL, "input": {"zone": "UTC"}}],
    "stop_reason": "tool_use",
    "usage": {**COUNTS, "output_tokens": 7},
}


def block(index, start, *deltas):
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


START = {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": COUNTS}}
TEXT = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi."})
TOOL = block(1, {**CALL, "input": {}}, {"type": "input_json_delta", "partial_json": '{"zone":"UTC"}'})
DELTA = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}}
STOP = {"type": "message_stop"}
PATH = "/v1/messages"
NOW = pb.Tool(function=pb.FunctionTool(name="now"))


@pytest.fixture
def provider(start):
    return start(FixedProvider, {})


@pytest.fixture
def caller(start, caller_of, provider):
    parameters = {
        "model": "anthropic/claude-instant-1",
        "api_key": "sk-ant-configured",
        "api_base": provider.base,
    }
    group = {"model_name": "claude", "litellm_params": parameters}
    return caller_of(start(Junction, [group], {"num_retries": 0, "disable_cooldowns": True}))


def counted(usage):
    return usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens


def test_a_whole_answer(provider, caller):
    provider.answers[PATH] = (200, WHOLE)
    answer = caller.complete("claude", tools=[NOW])
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hi.", pb.FINISH_REASON_TOOL_CALLS)
    assert json.loads(choice.message.tool_calls[0].function.arguments_json) == {"zone": "UTC"}
    assert counted(answer.usage) == (42, 7, 30, 2) and answer.route.provider == "anthropic"
    _, headers, body = provider.requests[0]
    assert headers["x-api-key"] == "sk-ant-configured" and headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers
    assert body["model"] == "claude-instant-1" and body["max_tokens"] == 4096
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


def test_a_stream(provider, caller):
    provider.answers[PATH] = (200, events(START, *TEXT, {"type": "ping"}, *TOOL, DELTA, STOP, named=True))
    pieces = caller.stream_all("claude", tools=[NOW])
    assert stubs.text_of(pieces) == "Hi." and pieces[0].id == "msg_1"
    calls = [call for piece in pieces for choice in piece.choices for call in choice.tool_calls]
    assert [call.id for call in calls] == ["toolu_1", ""]
    assert "".join(call.arguments_json for call in calls) == '{"zone":"UTC"}'
    assert counted(pieces[-1].usage) == (42, 7, 30, 2)
    assert provider.requests[0][2]["stream"] is True


@pytest.mark.parametrize(
    "status, kind, message, outcome",
    [
        (529, "overloaded_error", "Overloaded", "UNAVAILABLE"),
        (400, "invalid_request_error", "prompt is too long: 3 tokens > 2 maximum", "INVALID_ARGUMENT"),
    ],
)
def test_an_error(provider, caller, status, kind, message, outcome):
    provider.answers[PATH] = (status, {"type": "error", "error": {"type": kind, "message": message}})
    error = caller.error("claude")
    assert error.code().name == outcome and message in error.details()


@pytest.mark.parametrize(
    "end", [[], [{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]]
)
def test_a_stream_that_does_not_end_well(provider, caller, end):
    provider.answers[PATH] = (200, events(START, *TEXT, *end, named=True))
    assert caller.error("claude", streaming=True).code().name == "UNAVAILABLE"


def test_what_it_does_not_take_is_refused_unasked(provider, caller):
    error = caller.error("claude", seed=7)
    assert error.code().name == "INVALID_ARGUMENT" and "completion.seed" in error.details()
    assert not provider.requests
