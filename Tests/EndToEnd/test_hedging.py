"""A second attempt beside a slow one: the first answer is used, the loser's transfer is closed."""

import time

import pytest
import stubs
from grpc import StatusCode
from programs import Junction, Upstream, eventually
from stubs import pb

HEDGED = pb.Routing(hedging=pb.Hedging(enabled=True, delay_ms=100))
KINDS = pb.AttemptKind


@pytest.fixture
def providers(start):
    return start(Upstream), start(Upstream)


def groups(providers, slow="stall", quick="chunks-4"):
    return [
        providers[0].deployment("gpt-4o", slow, "slow", order=1),
        providers[1].deployment("gpt-4o", quick, "quick", order=2),
    ]


@pytest.mark.parametrize("streaming", [False, True])
def test_the_second_answers_when_the_first_is_slow(start, caller_of, providers, streaming):
    caller = caller_of(start(Junction, groups(providers)))
    began = time.monotonic()
    if streaming:
        pieces = caller.stream_all(routing=HEDGED)
        assert stubs.text_of(pieces) == stubs.chunk_text(4) and not any(p.HasField("seam") for p in pieces)
        route = pieces[-1].route
    else:
        route = caller.complete(routing=HEDGED).route
    assert time.monotonic() - began < 10
    assert route.deployment_id == "quick"
    assert stubs.outcomes(route) == ["HEDGED", "SUCCESS"]
    assert [a.kind for a in route.attempts] == [KINDS.ATTEMPT_KIND_UNSPECIFIED, KINDS.ATTEMPT_KIND_HEDGE]
    assert route.attempts[0].duration_us >= 100_000 and route.attempts[0].usage.prompt_tokens > 0
    eventually(lambda: providers[0].stats()["aborted_by_peer"] == 1, "the loser's transfer is closed")
    assert providers[0].stats()["open_calls"] == 0


def test_the_first_may_still_win(start, caller_of, providers):
    caller = caller_of(start(Junction, groups(providers, slow="slow-600", quick="stall")))
    route = caller.complete(routing=HEDGED).route
    assert route.deployment_id == "slow" and stubs.outcomes(route) == ["SUCCESS", "HEDGED"]
    eventually(lambda: providers[1].stats()["aborted_by_peer"] == 1, "the loser's transfer is closed")


def test_a_second_that_fails_harms_nothing(start, caller_of, providers):
    caller = caller_of(start(Junction, groups(providers, slow="slow-600", quick="status-400")))
    route = caller.complete(routing=HEDGED).route
    assert route.deployment_id == "slow" and stubs.outcomes(route) == ["SUCCESS", "BAD_REQUEST"]


def test_it_is_off_unless_asked_for(start, caller_of, providers):
    caller = caller_of(start(Junction, groups(providers, slow="slow-400")))
    assert caller.complete().route.deployment_id == "slow"
    assert providers[1].stats()["calls"] == 0


def test_the_configuration_may_ask_for_it(start, caller_of, providers):
    settings = {"hedging": True, "hedge_delay": 0.1}
    caller = caller_of(start(Junction, groups(providers, slow="slow-500"), {}, settings))
    assert stubs.outcomes(caller.complete().route) == ["HEDGED", "SUCCESS"]
    routing = pb.Routing(hedging=pb.Hedging(enabled=False))
    assert stubs.outcomes(caller.complete(routing=routing).route) == ["SUCCESS"]


def test_a_caller_that_leaves_ends_both(start, caller_of, providers):
    caller = caller_of(start(Junction, groups(providers, quick="stall")))
    call = caller.stream(routing=HEDGED)
    eventually(lambda: providers[1].stats()["open_calls"] == 1, "the second is under way")
    call.cancel()
    for provider in providers:
        eventually(lambda: provider.stats()["aborted_by_peer"] == 1, "it is closed")


def test_what_is_wrong_is_refused(start, caller_of, providers):
    caller = caller_of(start(Junction, groups(providers)))
    error = caller.error(routing=pb.Routing(hedging=pb.Hedging(enabled=True, delay_ms=-1)))
    assert error.code() == StatusCode.INVALID_ARGUMENT and "routing.hedging.delay_ms" in error.details()


def route_within_four_seconds(caller, streaming):
    return (caller.stream_all(timeout=4)[-1] if streaming else caller.complete(timeout=4)).route


@pytest.mark.parametrize("streaming", [False, True])
def test_a_deployment_that_hangs_costs_its_share_of_the_time(start, caller_of, providers, streaming):
    caller = caller_of(start(Junction, groups(providers)))
    route = route_within_four_seconds(caller, streaming)
    assert route.deployment_id == "quick" and stubs.outcomes(route) == ["TIMEOUT", "SUCCESS"]
    eventually(lambda: providers[0].stats()["aborted_by_peer"] == 1, "the loser's transfer is closed")


@pytest.mark.parametrize("streaming", [False, True])
def test_one_that_is_late_still_wins_if_it_is_first(start, caller_of, providers, streaming):
    caller = caller_of(start(Junction, groups(providers, slow="slow-2500", quick="stall")))
    route = route_within_four_seconds(caller, streaming)
    assert route.deployment_id == "slow" and stubs.outcomes(route) == ["SUCCESS", "HEDGED"]
    eventually(lambda: providers[1].stats()["aborted_by_peer"] == 1, "the loser's transfer is closed")
