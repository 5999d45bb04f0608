"""Retries, failover and fallbacks; and that nothing of one attempt leaks into the next."""

import json

import grpc
import pytest
import stubs
from grpc import StatusCode
from programs import Junction, Upstream, eventually
from stubs import pb

NO_COOLDOWNS = {"disable_cooldowns": True, "retry_after": 0}
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["complete", "stream"])


def fallback(name):
    return pb.Fallback(model_group=name)


def override(**fields):
    return pb.Fallback(override=pb.DeploymentOverride(**fields))


def route_of(caller, streaming, *arguments, **fields):
    if streaming:
        return caller.stream_all(*arguments, **fields)[-1].route
    return caller.complete(*arguments, **fields).route


@both_ways
@pytest.mark.parametrize(
    "fault",
    [
        "status-500",
        "status-429",
        "status-401",
        "status-404",
        "status-408",
        "close",
        "reset",
        "malformed",
        "empty",
        "quota",
    ],
)
def test_failover_to_another_deployment(start, caller_of, fault, streaming):
    upstream = start(Upstream)
    groups = [upstream.deployment("gpt-4o", fault, "bad"), upstream.deployment("gpt-4o", "gpt-4o", "good")]
    caller = caller_of(start(Junction, groups, {"num_retries": 2, **NO_COOLDOWNS}))
    failed = 0
    for _ in range(8):
        route = route_of(caller, streaming)
        assert route.deployment_id == "good" and not route.fallback_used
        assert [a.deployment_id for a in route.attempts] in (
            ["good"],
            ["bad", "good"],
            ["bad", "bad", "good"],
        )
        failed += len(route.attempts) - 1
        assert all(a.error and a.outcome != pb.ATTEMPT_OUTCOME_SUCCESS for a in route.attempts[:-1])
    models = upstream.stats()["models"]
    calls = models.get(fault, {"calls": 0})["calls"]
    # A kept connection that breaks before any answer may have been an old one: the request is sent again.
    most = 2 * failed if fault in ("close", "reset") else failed
    assert models["gpt-4o"]["succeeded"] == 8 and failed <= calls <= most
    assert failed > 0, "the bad deployment was never tried"


@pytest.mark.parametrize("fault", ["cut-0", "role-only-then-cut", "error-in-stream", "stall"])
def test_a_stream_fails_over_until_its_first_content(start, caller_of, fault):
    upstream = start(Upstream, chunks=5)
    groups = [
        upstream.deployment("gpt-4o", fault, "bad", stream_timeout=0.3, timeout=0.3),
        upstream.deployment("gpt-4o", "gpt-4o", "good"),
    ]
    caller = caller_of(start(Junction, groups, {"num_retries": 2, **NO_COOLDOWNS}))
    tried = set()
    for _ in range(6):
        pieces = caller.stream_all()
        assert stubs.text_of(pieces) == stubs.chunk_text(5), "a piece of another attempt, or a lost one"
        tried |= {a.deployment_id for a in pieces[-1].route.attempts}
    assert tried == {"bad", "good"}


def test_retries_as_configured_and_as_the_call_says(start, caller_of):
    upstream = start(Upstream)
    caller = caller_of(
        start(Junction, [upstream.deployment("gpt-4o", "status-500")], {"num_retries": 2, **NO_COOLDOWNS})
    )

    def calls(routing=None):
        upstream.reset()
        assert caller.error(routing=routing).code() == StatusCode.UNAVAILABLE
        return upstream.stats()["calls"]

    assert calls() == 3
    assert calls(pb.Routing(num_retries=0)) == 1
    assert calls(pb.Routing(num_retries=4)) == 5


def test_a_deployment_that_comes_back_answers_on_a_retry(start, caller_of):
    upstream = start(Upstream)
    caller = caller_of(
        start(
            Junction, [upstream.deployment("gpt-4o", "flaky-2", "shaky")], {"num_retries": 3, **NO_COOLDOWNS}
        )
    )
    route = caller.complete().route
    assert stubs.outcomes(route) == ["SERVER_ERROR", "SERVER_ERROR", "SUCCESS"]
    assert [a.http_status for a in route.attempts] == [500, 500, 200]


@pytest.mark.parametrize("fault", ["status-400", "context", "content-policy"])
def test_a_wrong_request_is_not_tried_again(start, caller_of, fault):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", fault),
        upstream.deployment("gpt-4o", fault),
        upstream.deployment("small", "small"),
    ]
    settings = {"num_retries": 3, "fallbacks": [{"gpt-4o": ["small"]}], **NO_COOLDOWNS}
    assert caller_of(start(Junction, groups, settings)).error().code() == StatusCode.INVALID_ARGUMENT
    assert upstream.stats()["calls"] == 1


@pytest.mark.parametrize(
    "fault, key", [("context", "context_window_fallbacks"), ("content-policy", "content_policy_fallbacks")]
)
def test_fallbacks_of_their_own_for_two_refusals(start, caller_of, fault, key):
    upstream = start(Upstream)
    groups = [upstream.deployment("gpt-4o", fault), upstream.deployment("large", "large", "large")]
    route = caller_of(start(Junction, groups, {key: [{"gpt-4o": ["large"]}]})).complete().route
    assert route.deployment_id == "large" and route.fallback_used


@both_ways
def test_fallbacks_in_order(start, caller_of, streaming):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", "status-500", "a"),
        upstream.deployment("second", "status-503", "b"),
        upstream.deployment("third", "third", "c"),
    ]
    settings = {"num_retries": 0, "fallbacks": [{"gpt-4o": ["second", "third"]}], **NO_COOLDOWNS}
    route = route_of(caller_of(start(Junction, groups, settings)), streaming)
    assert [a.deployment_id for a in route.attempts] == ["a", "b", "c"]
    assert (route.model_group, route.fallback_used) == ("third", True)
    assert [a.model_group for a in route.attempts] == ["gpt-4o", "second", "third"]


def test_fallbacks_of_the_call_replace_the_configured_ones(start, caller_of):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", "status-500", "a"),
        upstream.deployment("second", "second", "b"),
        upstream.deployment("third", "third", "c"),
    ]
    settings = {"num_retries": 0, "fallbacks": [{"gpt-4o": ["second"]}], **NO_COOLDOWNS}
    caller = caller_of(start(Junction, groups, settings))
    route = caller.complete(routing=pb.Routing(fallbacks=[fallback("third")])).route
    assert [a.deployment_id for a in route.attempts] == ["a", "c"]
    assert caller.error(routing=pb.Routing(disable_fallbacks=True)).code() == StatusCode.UNAVAILABLE


def test_an_unknown_fallback_is_refused(start, caller_of):
    upstream = start(Upstream)
    caller = caller_of(start(Junction, [upstream.deployment("gpt-4o")]))
    error = caller.error(routing=pb.Routing(fallbacks=[fallback("nowhere")]))
    assert (
        error.code() in (StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND) and "nowhere" in error.details()
    )


def test_calls_spread_over_deployments_by_tokens_used(start, caller_of):
    upstream = start(Upstream)
    caller = caller_of(start(Junction, [upstream.deployment("gpt-4o", f"d{n}") for n in range(4)]))
    for _ in range(40):
        caller.complete()
    calls = {name: model["calls"] for name, model in upstream.stats()["models"].items()}
    # A turn of the minute sets the counts to zero in between, hence not exactly ten each.
    assert len(calls) == 4 and all(7 <= n <= 13 for n in calls.values()), calls


def test_an_alias_leads_to_its_group(start, caller_of):
    upstream = start(Upstream)
    router = start(
        Junction, [upstream.deployment("gpt-4o", id="main")], {"model_group_alias": {"best": "gpt-4o"}}
    )
    caller = caller_of(router)
    assert caller.complete("best").route.deployment_id == "main"
    assert caller.complete("main").route.deployment_id == "main", "a deployment id asks that deployment"


def test_tags_choose_deployments(start, caller_of):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", "free", "free", tags=["free"]),
        upstream.deployment("gpt-4o", "paid", "paid", tags=["paid"]),
    ]
    caller = caller_of(start(Junction, groups, {"enable_tag_filtering": True}))
    for tag in ("free", "paid"):
        assert {caller.complete(routing=pb.Routing(tags=[tag])).route.deployment_id for _ in range(5)} == {
            tag
        }


class TestOverrides:
    """A deployment made for one call: whose key goes where."""

    @pytest.fixture
    def own(self, start):
        return start(Upstream, name="configured")

    @pytest.fixture
    def other(self, start):
        return start(Upstream, name="overridden")

    @pytest.fixture
    def caller(self, start, caller_of, own, other):
        groups = [
            own.deployment(
                "gpt-4o",
                "status-500",
                "a",
                api_key="sk-configured-a",
                organization="org-a",
                extra_headers={"x-secret": "header-of-a"},
                extra_body={"only_a": 1},
            ),
            own.deployment("small", "small", "b", api_key="sk-configured-b"),
        ]
        return caller_of(
            start(Junction, groups, {"num_retries": 0, **NO_COOLDOWNS}, {"allowed_api_bases": [other.base]})
        )

    @both_ways
    def test_another_key_at_the_configured_base(self, caller, own, streaming):
        route = route_of(
            caller, streaming, routing=pb.Routing(fallbacks=[override(model="small", api_key="sk-caller")])
        )
        assert route.fallback_used and stubs.outcomes(route) == ["SERVER_ERROR", "SUCCESS"]
        first, second = own.requests()
        assert first["headers"]["authorization"] == "Bearer sk-configured-a"
        assert second["headers"]["authorization"] == "Bearer sk-caller"
        assert json.loads(second["body"])["model"] == "small"

    @both_ways
    def test_another_base_gets_the_callers_key_and_nothing_of_ours(self, caller, own, other, streaming):
        chosen = override(api_key="sk-caller", api_base=other.base, model="openai/gpt-other")
        route_of(caller, streaming, routing=pb.Routing(fallbacks=[chosen]))
        [request] = other.requests()
        assert request["headers"]["authorization"] == "Bearer sk-caller"
        assert json.loads(request["body"])["model"] == "gpt-other"
        seen = json.dumps(request)
        for secret in ("sk-configured", "org-a", "header-of-a", "only_a"):
            assert secret not in seen, f"{secret} of the configured deployment reached an overridden base"
        assert "sk-caller" not in json.dumps(own.requests())

    def test_a_configured_key_is_never_sent_to_an_overridden_base(self, caller, own, other):
        error = caller.error(routing=pb.Routing(fallbacks=[override(api_base=other.base)]))
        assert error.code() == StatusCode.INVALID_ARGUMENT and "api_key" in error.details()
        assert other.stats()["calls"] == own.stats()["calls"] == 0

    @pytest.mark.parametrize(
        "base",
        [
            "http://127.0.0.1:1/v1",
            "http://169.254.169.254/latest",
            "{other}/../admin",
            "http://user@127.0.0.1:{port}/v1",
            "http://127.0.0.1:{port}.evil.example/v1",
            "{other}evil",
            "file:///etc/passwd",
        ],
    )
    def test_a_base_that_is_not_allowed(self, caller, own, other, base):
        base = base.format(other=other.base, port=other.port)
        error = caller.error(routing=pb.Routing(fallbacks=[override(api_key="sk-caller", api_base=base)]))
        assert error.code() == StatusCode.INVALID_ARGUMENT and "api_base" in error.details()
        assert other.stats()["calls"] == own.stats()["calls"] == 0

    def test_a_key_that_would_add_a_header(self, caller, own):
        error = caller.error(
            routing=pb.Routing(fallbacks=[override(model="small", api_key="sk\r\nx-evil: 1")])
        )
        assert error.code() == StatusCode.INVALID_ARGUMENT and "x-evil" not in error.details()
        assert own.stats()["calls"] == 0

    def test_the_next_call_is_as_before(self, caller, own):
        caller.complete(routing=pb.Routing(fallbacks=[override(model="small", api_key="sk-caller")]))
        caller.complete("small")
        assert own.requests(1)[0]["headers"]["authorization"] == "Bearer sk-configured-b"

    def test_calls_at_once_keep_their_own_keys(self, caller, own):
        own.set(latency_ms=5)
        calls = {}
        for n in range(100):
            routing = pb.Routing(fallbacks=[override(model="small", api_key=f"sk-caller-{n:03}")])
            request = stubs.complete_request(prompt=f"prompt {n:03}", routing=routing)
            calls[n] = caller.stub.Complete.future(request, timeout=30)
        assert all(call.result() for call in calls.values())
        for request in own.requests():
            body = json.loads(request["body"])
            number = body["messages"][0]["content"].removeprefix("prompt ")
            expected = f"Bearer sk-caller-{number}" if body["model"] == "small" else "Bearer sk-configured-a"
            assert request["headers"]["authorization"] == expected


def test_nothing_of_an_attempt_leaks_into_the_next(start, caller_of):
    """Failed attempts with bodies, headers and half streams of their own; the answer is the last one's."""
    upstream = start(Upstream, chunks=4)
    groups = [
        upstream.deployment("gpt-4o", "status-429-retry-1", "a", api_key="sk-a", extra_body={"from_a": True}),
        upstream.deployment(
            "b", "role-only-then-cut", "b", api_key="sk-b", extra_headers={"x-from-b": "yes"}
        ),
        upstream.deployment("c", "malformed", "c", api_key="sk-c"),
        upstream.deployment("d", "d", "d", api_key="sk-d"),
    ]
    settings = {"num_retries": 0, "fallbacks": [{"gpt-4o": ["b", "c", "d"]}], **NO_COOLDOWNS}
    pieces = caller_of(start(Junction, groups, settings)).stream_all(temperature=0.25)
    assert stubs.text_of(pieces) == stubs.chunk_text(4)
    assert [a.deployment_id for a in pieces[-1].route.attempts] == ["a", "b", "c", "d"]
    assert pieces[-1].usage.total_tokens == 76
    requests = upstream.requests()
    assert [r["headers"]["authorization"] for r in requests] == [f"Bearer sk-{n}" for n in "abcd"]
    assert ["x-from-b" in r["headers"] for r in requests] == [False, True, False, False]
    bodies = [json.loads(r["body"]) for r in requests]
    assert ["from_a" in body for body in bodies] == [True, False, False, False]
    for body in bodies:
        body.pop("from_a", None)
    assert [body.pop("model") for body in bodies] == [
        "status-429-retry-1",
        "role-only-then-cut",
        "malformed",
        "d",
    ]
    assert all(body == bodies[0] for body in bodies) and bodies[0]["temperature"] == 0.25


def test_a_deployment_that_fails_often_cools_down(start, caller_of):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", "status-500", "bad"),
        upstream.deployment("gpt-4o", "gpt-4o", "good"),
    ]
    caller = caller_of(
        start(Junction, groups, {"num_retries": 2, "allowed_fails": 1, "cooldown_time": 60, "retry_after": 0})
    )
    for _ in range(40):
        assert caller.complete().route.deployment_id == "good"
    assert upstream.stats()["models"]["status-500"]["calls"] < 10


def test_the_attempts_own_timeout(start, caller_of):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", "stall", "slow", timeout=0.2),
        upstream.deployment("other", "other", "good"),
    ]
    caller = caller_of(
        start(Junction, groups, {"num_retries": 0, "fallbacks": [{"gpt-4o": ["other"]}], **NO_COOLDOWNS})
    )
    route = caller.complete().route
    assert stubs.outcomes(route) == ["TIMEOUT", "SUCCESS"]
    assert 150_000 < route.attempts[0].duration_us
    eventually(lambda: upstream.stats()["aborted_by_peer"] == 1, "the stalled call is aborted")


def test_a_provider_that_is_not_there(start, caller_of):
    gone = Upstream()
    gone.stop()
    upstream = start(Upstream)
    groups = [gone.deployment("gpt-4o", "gpt-4o", "gone"), upstream.deployment("other", "other", "good")]
    caller = caller_of(
        start(Junction, groups, {"num_retries": 0, "fallbacks": [{"gpt-4o": ["other"]}], **NO_COOLDOWNS})
    )
    route = caller.complete().route
    assert stubs.outcomes(route) == ["CONNECTION_FAILED", "SUCCESS"]


def test_the_message_lists_attempts_in_order_without_the_prompt(start, caller_of):
    upstream = start(Upstream)
    groups = [
        upstream.deployment("gpt-4o", "status-500", "one"),
        upstream.deployment("b", "status-503", "two"),
    ]
    caller = caller_of(
        start(Junction, groups, {"num_retries": 0, "fallbacks": [{"gpt-4o": ["b"]}], **NO_COOLDOWNS})
    )
    with pytest.raises(grpc.RpcError) as error:
        caller.complete(prompt="a private matter")
    details = error.value.details()
    assert details.index("one") < details.index("two") and "private" not in details
