"""Azure OpenAI's addresses, key and content filter through the built router."""

import pytest
import stubs
from fixed_provider import FixedProvider, events
from programs import Junction, eventually

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


TOKEN_PATH = "/contoso.example/oauth2/v2.0/token"
CHAT_PATH = "/openai/v1/chat/completions"


@pytest.fixture
def entra(start):
    """Stands in for Microsoft's token endpoint."""
    return start(FixedProvider, {TOKEN_PATH: (200, {"access_token": "t1", "expires_in": 3600})})


@pytest.fixture
def signed_in(start, caller_of, entra):
    """A caller of a router whose only deployment fetches its tokens, and the provider behind it."""
    provider = start(FixedProvider, {CHAT_PATH: (200, WHOLE)})
    parameters = {
        "model": "azure/my-gpt",
        "api_base": provider.base + "/openai/v1",
        "tenant_id": "contoso.example",
        "client_id": "client 1",
        "client_secret": "s3cret&more",
    }
    group = {"model_name": "gpt", "litellm_params": parameters}
    router = start(
        Junction, [group], {"num_retries": 0, "disable_cooldowns": True},
        environment={"AZURE_AUTHORITY_HOST": entra.base},
    )  # fmt: skip
    return caller_of(router), provider


def tokens_of(provider):
    return [headers.get("authorization") for _, headers, _ in provider.requests]


def test_a_token_is_fetched_once(signed_in, entra):
    caller, provider = signed_in
    provider.answers[CHAT_PATH] = (200, WHOLE)
    calls = [caller.stub.Complete.future(stubs.complete_request("gpt"), timeout=30) for _ in range(8)]
    assert all(call.result().choices[0].message.content == "Hi." for call in calls)
    provider.answers[CHAT_PATH] = (200, STREAM)
    assert stubs.text_of(caller.stream_all("gpt")) == "Hi."
    assert tokens_of(provider) == ["Bearer t1"] * 9
    assert all("api-key" not in headers for _, headers, _ in provider.requests)
    (asked,) = entra.requests
    assert asked[2] == (
        "grant_type=client_credentials&client_id=client%201&client_secret=s3cret%26more"
        "&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
    )


def test_a_token_is_renewed_before_it_expires(signed_in, entra):
    caller, provider = signed_in
    entra.answers[TOKEN_PATH] = (200, {"access_token": "t1", "expires_in": 1})
    caller.complete("gpt")
    entra.answers[TOKEN_PATH] = (200, {"access_token": "t2", "expires_in": 3600})

    def renewed():
        caller.complete("gpt")
        return tokens_of(provider)[-1] == "Bearer t2"

    eventually(renewed, lambda: f"t2 in {tokens_of(provider)}")
    assert set(tokens_of(provider)) == {"Bearer t1", "Bearer t2"}
    assert len(entra.requests) == 2


@pytest.mark.parametrize(
    "status, answer, says",
    [
        (401, {"error": "invalid_client", "error_description": "s3cret&more"}, "access was refused"),
        (400, {"error": "unauthorized_client"}, "access was refused"),
        (503, {"error": "temporarily_unavailable"}, "503"),
        (200, {"token_type": "Bearer"}, "502"),
    ],
)
def test_a_token_that_is_not_given(signed_in, entra, status, answer, says):
    caller, provider = signed_in
    entra.answers[TOKEN_PATH] = (status, answer)
    error = caller.error("gpt")
    assert error.code().name == "UNAVAILABLE" and says in error.details()
    assert "s3cret" not in error.details()
    assert not provider.requests
    entra.answers[TOKEN_PATH] = (200, {"access_token": "t1", "expires_in": 3600})
    assert caller.complete("gpt").choices[0].message.content == "Hi."


def test_a_token_from_the_configuration_is_a_bearer(start, caller_of):
    provider = start(FixedProvider, {CHAT_PATH: (200, WHOLE)})
    parameters = {
        "model": "azure/my-gpt",
        "api_base": provider.base + "/openai/v1",
        "azure_ad_token": "os.environ/MY_TOKEN",
    }
    group = {"model_name": "gpt", "litellm_params": parameters}
    caller = caller_of(start(Junction, [group], environment={"MY_TOKEN": "t0"}))
    assert caller.complete("gpt").choices[0].message.content == "Hi."
    assert tokens_of(provider) == ["Bearer t0"] and "api-key" not in provider.requests[0][1]
