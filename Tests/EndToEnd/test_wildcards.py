"""Model groups with a star in their names, through the built router."""

import grpc
import pytest
from fixed_provider import FixedProvider
from grpc import StatusCode
from programs import Junction

ANSWER = {
    "id": "a",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


def test_what_the_star_stands_for_is_asked_of_the_provider(start, caller_of):
    provider = start(FixedProvider, {"/chat/completions": (200, ANSWER)})
    parameters = {"model": "openai/*", "api_key": "k", "api_base": provider.base}
    group = {"model_name": "any/*", "litellm_params": parameters}
    caller = caller_of(start(Junction, [group], {"num_retries": 0}))
    for model in ["one", "ft:two/3", "one"]:
        assert caller.complete(f"any/{model}").route.model_group == "any/*"
    assert [body["model"] for _, _, body in provider.requests] == ["one", "ft:two/3", "one"]
    for model in ["any/", "any/*", "any/a..b", "any/a b", "other"]:
        with pytest.raises(grpc.RpcError) as error:
            caller.complete(model)
        assert error.value.code() == StatusCode.NOT_FOUND
    assert len(provider.requests) == 3
