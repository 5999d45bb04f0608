"""Azure OpenAI's addresses, key and content filter through the built router."""

import pytest
import stubs
from fixed_provider import FixedProvider, events
from programs import Junction

HEAD = {"id": "chatcmpl-A", "model": "gpt-4o-2024-08-06", "created": 1}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
MESSAGE = {"role": "assistant", "content": "Hi."}
WHOLE = {**HEAD, "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE}], "usage": USAGE}
FILTER = {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
STREAM = [
    *events(
        FILTER,
        {**HEAD, "choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": None}]},
        {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**HEAD, "choices": [], "usage": USAGE},
    ),
    b"data: [DONE]\n\n",
]


@pytest.mark.parametrize(
    "base, version, path",
    [
        ("", None, "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"),
        ("", "2025-04-01-preview", "/openai/deployments/my-gpt/chat/completions?api-version=2025-04-01-preview"),
        ("/openai/v1", None, "/openai/v1/chat/completions"),
    ],
)
def test_azure(start, caller_of, base, version, path):
    provider = start(FixedProvider, {path: (200, WHOLE)})
    parameters = {"model": "azure/my-gpt", "api_key": "configured", "api_base": provider.base + base}
    if version:
        parameters["api_version"] = version
    group = {"model_name": "gpt", "litellm_params": parameters}
    caller = caller_of(start(Junction, [group], {"num_retries": 0, "disable_cooldowns": True}))
    answer = caller.complete("gpt")
    assert answer.choices[0].message.content == "Hi." and answer.usage.total_tokens == 5
    assert (answer.id, answer.route.provider) == ("chatcmpl-A", "azure")

    provider.answers[path] = (200, STREAM)
    pieces = caller.stream_all("gpt")
    assert stubs.text_of(pieces) == "Hi." and pieces[0].id == "chatcmpl-A"
    assert pieces[-1].usage.total_tokens == 5
    for _, headers, body in provider.requests:
        assert headers["api-key"] == "configured" and "authorization" not in headers
        assert body["model"] == "my-gpt"

    inner = {"code": "ResponsibleAIPolicyViolation"}
    refusal = {"code": "content_filter", "message": "The prompt was filtered.", "innererror": inner}
    provider.answers[path] = (400, {"error": refusal})
    error = caller.error("gpt")
    assert error.code().name == "INVALID_ARGUMENT" and "The prompt was filtered." in error.details()
