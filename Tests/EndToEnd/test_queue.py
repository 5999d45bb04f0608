"""Calls that wait for room; calls of one session; what a call is told of the choices made for it."""

import pytest
import stubs
from grpc import StatusCode
from programs import Background, Junction, Upstream, eventually
from stubs import pb


@pytest.fixture
def upstream(start):
    return start(Upstream)


def single(upstream, script="slow-300"):
    return [upstream.deployment("gpt-4o", script, "only", max_parallel_requests=1)]


@pytest.mark.parametrize("threads", [1, 2])
def test_calls_wait_in_the_order_of_their_priority(start, caller_of, upstream, threads):
    router = start(Junction, single(upstream), {}, {"queue_timeout": 20}, threads=threads)
    # With two threads, calls of several connections wait on both loops.
    callers = [caller_of(router) for _ in range(6)]
    calls = [Background(callers[0].complete, prompt="first")]
    eventually(lambda: upstream.stats()["open_calls"] == 1, "the first is under way")
    for index, priority in enumerate([200, 10, 128, 0, 128]):
        routing = pb.Routing(priority=priority)
        calls.append(Background(callers[index + 1].complete, prompt=f"{priority}", routing=routing))
    answers = [call.result() for call in calls]
    assert all(stubs.outcomes(a.route) == ["SUCCESS"] for a in answers)
    assert upstream.stats()["open_calls_max"] == 1 and upstream.stats()["failed_total"] == 0
    order = [body["messages"][0]["content"] for body in upstream.bodies()]
    assert order == ["first", "0", "10", "128", "128", "200"]
    queued = {int(p): a.route.queued_us for p, a in zip([200, 10, 128, 0, 128], answers[1:])}
    assert answers[0].route.queued_us == 0 and 0 < queued[0] < queued[10] < queued[200]


def test_without_a_timeout_a_call_fails_at_once(start, caller_of, upstream):
    caller = caller_of(start(Junction, single(upstream, "slow-2000")))
    busy = Background(caller.complete)
    eventually(lambda: upstream.stats()["open_calls"] == 1, "the first is under way")
    assert caller.error().code() == StatusCode.RESOURCE_EXHAUSTED
    waiting = caller.complete(routing=pb.Routing(queue_timeout_ms=10_000))
    assert waiting.route.queued_us > 0 and busy.result().route.deployment_id == "only"


def test_it_gives_up_in_time(start, caller_of, upstream):
    caller = caller_of(start(Junction, single(upstream, "stall"), {}, {"queue_timeout": 0.3}))
    busy = caller.stream()
    eventually(lambda: upstream.stats()["open_calls"] == 1, "the first is under way")
    error = caller.error()
    assert error.code() == StatusCode.RESOURCE_EXHAUSTED
    busy.cancel()
    eventually(lambda: upstream.stats()["open_calls"] == 0, "the first is over")
    # The slot is free again, also though nobody waits any more.
    assert caller.error(timeout=0.5).code() == StatusCode.DEADLINE_EXCEEDED


def test_a_caller_that_leaves_the_queue_is_not_served(start, caller_of, upstream):
    caller = caller_of(start(Junction, single(upstream, "slow-500"), {}, {"queue_timeout": 20}))
    busy = Background(caller.complete, prompt="first")
    eventually(lambda: upstream.stats()["open_calls"] == 1, "the first is under way")
    gone = caller.stream(prompt="gone", routing=pb.Routing(priority=0), timeout=0.1)
    last = Background(caller.complete, prompt="last")
    with pytest.raises(Exception) as error:
        list(gone)
    assert error.value.code() == StatusCode.DEADLINE_EXCEEDED
    assert busy.result() and last.result()
    assert [body["messages"][0]["content"] for body in upstream.bodies()] == ["first", "last"]


def test_a_full_queue_sheds_the_last_in_rank(start, caller_of, upstream):
    settings = {"queue_timeout": 20, "queue_size": 1}
    caller = caller_of(start(Junction, single(upstream, "slow-1000"), {}, settings))
    busy = Background(caller.complete)
    eventually(lambda: upstream.stats()["open_calls"] == 1, "the first is under way")
    worse = caller.stub.Complete.future(stubs.complete_request(routing=pb.Routing(priority=200)), timeout=30)
    better = caller.stub.Complete.future(stubs.complete_request(routing=pb.Routing(priority=100)), timeout=30)
    assert worse.exception(10).code() == StatusCode.RESOURCE_EXHAUSTED
    assert better.result().route.queued_us > 0 and busy.result()


@pytest.mark.parametrize(
    "routing, field",
    [
        (pb.Routing(priority=256), "priority"),
        (pb.Routing(queue_timeout_ms=-1), "queue_timeout_ms"),
        (pb.Routing(session_key="x" * 257), "session_key"),
    ],
)
def test_what_is_wrong_is_refused(start, caller_of, upstream, routing, field):
    error = caller_of(start(Junction, single(upstream))).error(routing=routing)
    assert error.code() == StatusCode.INVALID_ARGUMENT and f"routing.{field}" in error.details()


def test_a_session_stays_at_one_deployment(start, caller_of, upstream):
    groups = [upstream.deployment("gpt-4o", f"d{n}", f"d{n}") for n in range(4)]
    router = start(Junction, groups, threads=2)
    seen = {}
    for session in range(12):
        routing = pb.Routing(session_key=f"session {session}")
        found = {caller_of(router).complete(routing=routing).route.deployment_id for _ in range(4)}
        assert len(found) == 1
        seen[session] = found.pop()
    assert len(set(seen.values())) > 1, "sessions are spread"


def test_a_call_is_told_of_the_choices_made_for_it(start, caller_of, upstream):
    groups = [
        upstream.deployment("gpt-4o", "status-500", "bad", order=1),
        upstream.deployment("gpt-4o", "gpt-4o", "good", order=2),
        upstream.deployment("gpt-4o", "gpt-4o", "small", order=2, tpm=5),
    ]
    caller = caller_of(start(Junction, groups))
    assert not caller.complete().route.decisions
    route = caller.complete(routing=pb.Routing(explain=True)).route
    first, second = route.decisions
    assert first.model_group == "gpt-4o" and first.strategy == "usage-based-routing"
    assert [c.deployment_id for c in first.candidates] == ["bad", "good", "small"]
    assert [c.chosen for c in first.candidates] == [True, False, False]
    assert [c.chosen for c in second.candidates] == [False, True, False]
    assert "tried" in second.candidates[0].reason and "more than its 5" in second.candidates[2].reason
    assert all(c.reason for d in route.decisions for c in d.candidates)
