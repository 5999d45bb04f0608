"""The status of a call that could not be answered: README's table, row by row."""

import re

import grpc
import pytest
import stubs
from grpc import StatusCode
from programs import Junction, Upstream
from stubs import pb

both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["complete", "stream"])


@both_ways
@pytest.mark.parametrize("script", ["status-400", "status-422", "context", "content-policy"])
def test_the_provider_finds_the_request_wrong(caller, upstream, script, streaming):
    error = caller.error(script, streaming=streaming)
    assert error.code() == StatusCode.INVALID_ARGUMENT
    assert f"only-{script}" in error.details()
    assert upstream.stats()["calls"] == 1


@both_ways
@pytest.mark.parametrize(
    "script, says",
    [
        ("status-401", "401"),
        ("status-403", "403"),
        ("status-404", "404"),
        ("status-408", "408"),
        ("status-409", "409"),
        ("status-500", "500"),
        ("status-503", "503"),
        ("malformed", None),
        ("empty", None),
        ("close", None),
        ("reset", None),
    ],
)
def test_the_only_deployment_failed(caller, script, says, streaming):
    error = caller.error(script, streaming=streaming)
    assert error.code() == StatusCode.UNAVAILABLE
    assert f"only-{script}" in error.details()
    assert says is None or says in error.details()


@pytest.mark.parametrize(
    "script", ["cut-0", "role-only-then-cut", "error-in-stream", "cut-3", "error-in-stream-2"]
)
def test_the_only_stream_broke(caller, script):
    error = caller.error(script, streaming=True)
    assert error.code() == StatusCode.UNAVAILABLE
    assert f"only-{script}" in error.details()


def test_content_before_the_break_reaches_the_caller(caller):
    got = []
    with pytest.raises(grpc.RpcError) as error:
        for piece in caller.stream("cut-3"):
            got.append(piece)
    assert error.value.code() == StatusCode.UNAVAILABLE and stubs.text_of(got) == stubs.chunk_text(3)


def test_the_provider_limits_the_rate(caller):
    error = caller.error("status-429-retry-7")
    assert error.code() == StatusCode.RESOURCE_EXHAUSTED
    assert 5000 < int(stubs.trailer(error, "grpc-retry-pushback-ms")) <= 7000


def test_a_stock_client_can_read_the_message_of_an_error(caller):
    error = caller.error("no such group é")
    assert error.code() == StatusCode.NOT_FOUND and "no such group é" in error.details()


@both_ways
def test_no_such_model_group(caller, upstream, streaming):
    error = caller.error("gpt-5", streaming=streaming)
    assert error.code() == StatusCode.NOT_FOUND and "gpt-5" in error.details()
    assert upstream.stats()["calls"] == 0


@both_ways
def test_every_deployment_is_over_its_limit(start, caller_of, streaming):
    upstream = start(Upstream)
    router = start(
        Junction, [upstream.deployment("gpt-4o", rpm=1), upstream.deployment("gpt-4o", "other", rpm=1)]
    )
    caller = caller_of(router)
    ask = caller.stream_all if streaming else caller.complete
    # The minute may turn between two calls, but not in each of four.
    with pytest.raises(grpc.RpcError) as error:
        for _ in range(6):
            ask()
    assert error.value.code() == StatusCode.RESOURCE_EXHAUSTED
    assert 0 < int(stubs.trailer(error.value, "grpc-retry-pushback-ms")) <= 61_000


def test_tokens_are_limited_too(start, caller_of):
    upstream = start(Upstream, prompt_tokens=900, completion_tokens=100)
    caller = caller_of(start(Junction, [upstream.deployment("gpt-4o", tpm=1500)]))
    with pytest.raises(grpc.RpcError) as error:
        for _ in range(6):
            caller.complete()
    assert error.value.code() == StatusCode.RESOURCE_EXHAUSTED
    assert upstream.stats()["calls"] >= 2, "the provider's count was not taken"


def test_every_deployment_failed_names_every_attempt(start, caller_of):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", "status-500", "first"),
        upstream.deployment("gpt-4o", "status-503", "second"),
        upstream.deployment("small", "reset", "third"),
    ]
    router = start(
        Junction, groups, {"num_retries": 1, "fallbacks": [{"gpt-4o": ["small"]}], "disable_cooldowns": True}
    )
    error = caller_of(router).error()
    assert error.code() == StatusCode.UNAVAILABLE
    assert all(
        re.search(rf"\b{name}\b", error.details()) for name in ("first", "second", "third")
    ), error.details()


def wrong_requests():
    message = pb.Message(role=pb.ROLE_USER, content="Hello")
    good = dict(model="gpt-4o", messages=[message])
    return [
        ("completion", pb.CompleteRequest()),
        ("completion.model", pb.CompleteRequest(completion=pb.Completion(messages=[message]))),
        ("completion.messages", pb.CompleteRequest(completion=pb.Completion(model="gpt-4o"))),
        (
            "completion.messages[0].role",
            pb.CompleteRequest(completion=pb.Completion(model="gpt-4o", messages=[pb.Message(content="x")])),
        ),
        (
            "completion.messages[0].role",
            pb.CompleteRequest(
                completion=pb.Completion(model="gpt-4o", messages=[pb.Message(role=99, content="x")])
            ),
        ),
        (
            "completion.messages[1].tool_call_id",
            pb.CompleteRequest(
                completion=pb.Completion(
                    model="gpt-4o", messages=[message, pb.Message(role=pb.ROLE_TOOL, content="x")]
                )
            ),
        ),
        ("completion.temperature", pb.CompleteRequest(completion=pb.Completion(temperature=2.5, **good))),
        (
            "completion.temperature",
            pb.CompleteRequest(completion=pb.Completion(temperature=float("nan"), **good)),
        ),
        ("completion.top_p", pb.CompleteRequest(completion=pb.Completion(top_p=-1, **good))),
        ("completion.max_tokens", pb.CompleteRequest(completion=pb.Completion(max_tokens=0, **good))),
        ("completion.n", pb.CompleteRequest(completion=pb.Completion(n=0, **good))),
        (
            "extra_parameters_json",
            pb.CompleteRequest(completion=pb.Completion(extra_parameters_json="[1]", **good)),
        ),
        (
            "extra_parameters_json",
            pb.CompleteRequest(completion=pb.Completion(extra_parameters_json='{"a":', **good)),
        ),
        (
            "extra_parameters_json",
            pb.CompleteRequest(completion=pb.Completion(extra_parameters_json='{"model":"other"}', **good)),
        ),
        (
            "parameters_json",
            pb.CompleteRequest(
                completion=pb.Completion(
                    tools=[pb.Tool(function=pb.FunctionTool(name="f", parameters_json="nonsense"))], **good
                )
            ),
        ),
        (
            "routing.num_retries",
            pb.CompleteRequest(completion=pb.Completion(**good), routing=pb.Routing(num_retries=-1)),
        ),
        (
            "routing.fallbacks[0].target",
            pb.CompleteRequest(
                completion=pb.Completion(**good), routing=pb.Routing(fallbacks=[pb.Fallback()])
            ),
        ),
    ]


@pytest.mark.parametrize(
    "field, request_", wrong_requests(), ids=[f"{i}-{f}" for i, (f, _) in enumerate(wrong_requests())]
)
def test_a_wrong_request_names_the_field(caller, upstream, field, request_):
    with pytest.raises(grpc.RpcError) as error:
        caller.stub.Complete(request_, timeout=30)
    assert error.value.code() == StatusCode.INVALID_ARGUMENT
    assert field in error.value.details()
    assert upstream.stats()["calls"] == 0


def test_the_callers_own_key_was_refused(start, caller_of):
    upstream = start(Upstream)
    router = start(
        Junction,
        [upstream.deployment("gpt-4o", "status-500"), upstream.deployment("locked", "status-401")],
        {"num_retries": 0, "disable_cooldowns": True},
    )
    override = pb.DeploymentOverride(model="locked", api_key="sk-of-the-caller")
    error = caller_of(router).error(routing=pb.Routing(fallbacks=[pb.Fallback(override=override)]))
    assert error.code() == StatusCode.UNAUTHENTICATED
    assert "sk-of-the-caller" not in error.details()


@both_ways
def test_the_deadline_passed(caller, streaming):
    assert caller.error("stall", streaming=streaming, timeout=0.3).code() == StatusCode.DEADLINE_EXCEEDED
