"""Cohere's wire format through the built router."""

import pytest
import stubs
from fixed_provider import FixedProvider, events
from programs import Junction
from stubs import pb

WHOLE = {
    "id": "c1",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "tool_plan": "I will look.",
        "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
    },
    "usage": {"tokens": {"input_tokens": 20, "output_tokens": 5}, "billed_units": {"input_tokens": 2}},
}


def text(piece):
    return {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}


START = {"type": "message-start", "id": "c2", "delta": {"message": {"role": "assistant"}}}
END = {
    "type": "message-end",
    "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 7, "output_tokens": 2}}},
}


@pytest.fixture
def provider(start):
    return start(FixedProvider, {})


@pytest.fixture
def caller(start, caller_of, provider):
    group = {
        "model_name": "cohere",
        "litellm_params": {
            "model": "cohere/command-nightly",
            "api_key": "co-configured",
            "api_base": provider.base,
        },
    }
    return caller_of(start(Junction, [group], {"num_retries": 0}))


def test_a_whole_answer(provider, caller):
    provider.answers["/v2/chat"] = (200, WHOLE)
    tool = pb.Tool(function=pb.FunctionTool(name="now"))
    answer = caller.complete("cohere", "Hello", top_p=0.5, tools=[tool])
    choice = answer.choices[0]
    assert choice.finish_reason == pb.FINISH_REASON_TOOL_CALLS and choice.reasoning == "I will look."
    assert choice.message.tool_calls[0].id == "t1"
    assert (answer.usage.total_tokens, answer.route.provider) == (25, "cohere")
    _, headers, body = provider.requests[0]
    assert headers["authorization"] == "Bearer co-configured"
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert (body["model"], body["p"]) == ("command-nightly", 0.5)


def test_a_stream(provider, caller):
    provider.answers["/v2/chat"] = (200, events(START, text("Hel"), text("lo"), END, named=True))
    pieces = caller.stream_all("cohere")
    assert stubs.text_of(pieces) == "Hello" and pieces[0].id == "c2"
    assert pieces[-1].usage.total_tokens == 9
    assert provider.requests[0][2]["stream"] is True


def test_errors(provider, caller):
    provider.answers["/v2/chat"] = (200, events(START, text("Hel"), named=True))
    error = caller.error("cohere", streaming=True)
    assert "before its end marker" in error.details()
    provider.answers["/v2/chat"] = (400, {"message": "too many tokens: total number of tokens in the prompt"})
    assert caller.error("cohere").code().name == "INVALID_ARGUMENT"
    asked = len(provider.requests)
    error = caller.error("cohere", n=2)
    assert error.code().name == "INVALID_ARGUMENT" and "completion.n" in error.details()
    assert len(provider.requests) == asked
