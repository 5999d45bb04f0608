"""Limits that instances share over Redis: exact together, and no call lost when Redis is."""

import time

import pytest
import shared
from programs import command, deployment, eventually

MODES = ["exact", "leased"]
FIELDS = {"max_tokens": 10}


def mocks(requests=None, tokens=None):
    """A deployment with a limit of requests, one with a limit of tokens."""
    models = []
    if requests:
        models.append(deployment("g", id="requests", rpm=requests, mock_response="one two three"))
    if tokens:
        models.append(deployment("g", id="tokens", tpm=tokens, mock_response="one two three"))
    return models


@pytest.fixture
def redis(start):
    return start(shared.Redis)


@pytest.mark.parametrize("mode", MODES)
def test_instances_take_together_what_the_limits_allow(start, redis, mode):
    models = mocks(requests=120, tokens=1500)
    routers = [
        start(lambda: shared.instance(models, redis.port, mode, timeout=5)) for _ in range(3)
    ]
    eventually(lambda: redis.command("zcard", "junction:{g}:members") == "3", "all have joined")
    with shared.Load(routers, "g", rate=150, **FIELDS) as load:
        time.sleep(5)
    calls = load.stop()
    assert not shared.failures(calls), shared.failures(calls)[0]
    requests = len(shared.answered(calls, "requests"))
    tokens = sum(call.tokens for call in shared.answered(calls, "tokens"))
    assert len(calls) > 3 * len(shared.answered(calls)), "the load is well above the limits"
    assert requests <= 120 and tokens <= 1500, "nothing passes a limit"
    # A block that was not used is given back within two seconds, a reservation when its call ends.
    assert requests >= 0.95 * 120 and tokens >= 0.95 * 1500 - 20, (requests, tokens)


@pytest.mark.parametrize("mode", MODES)
def test_a_cluster_keeps_each_model_group_in_one_slot(start, caller_of, mode):
    node = start(shared.Redis, 0, "--cluster-enabled", "yes", "--cluster-port", str(shared.free_port()))
    node.command("cluster", "addslotsrange", "0", "16383")
    eventually(lambda: "cluster_state:ok" in node.command("cluster", "info"), "all slots are served")
    models = [deployment(group, id=group, rpm=100, mock_response="hi") for group in ("g", "h")]
    router = start(
        lambda: shared.instance(models, {"redis_startup_nodes": [["127.0.0.1", node.port]]}, mode, timeout=5))
    for group in ("g", "h"):
        caller_of(router).complete(group, **FIELDS)
        eventually(lambda: shared.usage(router.file.name)[group]["requests"] == 1, "it is counted")
        keys = node.command("keys", f"junction:{{{group}}}:*").split()
        assert len(keys) == 4 and len({node.command("cluster", "keyslot", key) for key in keys}) == 1, keys
        assert all(0 < int(node.command("ttl", key)) <= 125 for key in keys)
    assert len(node.command("keys", "*").split()) == 8, "no other keys"
    assert "not shared" not in router.output()


def agreed(redis_count, calls, mode):
    """Whether Redis has counted what the callers have been answered."""
    its = redis_count()["requests"]
    requests = its["requests"] - len(shared.answered(calls, "requests"))
    tokens = its["tokens"] - sum(call.tokens for call in shared.answered(calls, "requests"))
    if mode == "exact":
        return requests == 0 and tokens == 0
    # A block whose grant was lost on the way is used by nobody, and leaves with its minute.
    return 0 <= requests <= 40 and tokens == 0


@pytest.mark.parametrize("mode", MODES)
def test_no_call_fails_whatever_becomes_of_redis_and_the_counters_agree_again(start, mode):
    models = mocks(requests=6000)
    port = shared.free_port()
    redis = start(shared.Redis, port)
    link = start(shared.Link, port)
    routers = [start(lambda: shared.instance(models, link.port, mode)) for _ in range(2)]
    its = {}

    def count():
        its.update(shared.usage(routers[0].file.name))
        return its

    with shared.Load(routers, "g", rate=40, threads=2, **FIELDS) as load:
        time.sleep(1)
        redis.pause()
        time.sleep(1.5)
        redis.go_on()
        time.sleep(0.7)
        link.swallow()
        time.sleep(1)
        link.mend()
        time.sleep(0.7)
        replica = start(shared.Redis, 0, "--replicaof", "127.0.0.1", str(port))
        eventually(lambda: "master_link_status:up" in replica.command("info", "replication"), "it follows")
        time.sleep(0.3)
        replica.command("replicaof", "no", "one")
        link.lead_to(replica.port)
        time.sleep(0.7)
        replica.kill()
        time.sleep(0.5)
        empty = start(shared.Redis, replica.port)
        time.sleep(1)
    calls = load.stop()
    assert empty.is_running()
    assert len(calls) > 100
    assert not [call for call in calls if call.status != "OK"], [c for c in calls if c.status != "OK"][:3]
    eventually(lambda: agreed(count, calls, mode), lambda: f"{its}, {len(calls)} calls")
    for router in routers:
        said = lambda text: router.output().count(f"usage is {text}")  # noqa: E731
        eventually(lambda: said("shared again") == said("not shared") >= 1, "it shares again")


def test_an_instance_alone_keeps_to_its_part(start, redis):
    routers = [start(lambda: shared.instance(mocks(requests=100), redis.port, "leased")) for _ in range(2)]
    eventually(lambda: redis.command("zcard", "junction:{g}:members") == "2", "both have joined")
    time.sleep(3.2)  # until each has spoken again, and so knows of the other
    redis.kill()
    with shared.Load(routers[:1], "g", rate=100, **FIELDS) as load:
        time.sleep(2)
    calls = load.stop()
    assert not shared.failures(calls)
    # Nine tenths of an even share.
    assert 40 <= len(shared.answered(calls)) <= 45


def test_calls_fail_without_redis_where_that_is_asked_for(start, redis, caller_of):
    router = start(lambda: shared.instance(mocks(requests=100), redis.port, "leased", fail_closed=True))
    caller = caller_of(router)

    def answers():
        try:
            return caller.complete("g", **FIELDS)
        except shared.grpc.RpcError:
            return None

    eventually(answers, "it is answered once Redis is joined")
    redis.kill()

    def refused():
        try:
            caller.complete("g", **FIELDS)
        except shared.grpc.RpcError as error:
            return error
        return None

    error = eventually(refused, "the lease is used up, or Redis is missed")
    assert error.code().name == "UNAVAILABLE"
    assert "grpc-retry-pushback-ms" in dict(error.trailing_metadata())


def test_a_crashed_instance_is_forgotten_and_one_that_ends_says_so(start, redis):
    models = [deployment("g", id="d", max_parallel_requests=4, mock_response="hi")]
    routers = [start(lambda: shared.instance(models, redis.port, "exact")) for _ in range(2)]
    eventually(lambda: redis.command("zcard", "junction:{g}:members") == "2", "both have joined")
    routers[0].terminate()
    assert redis.command("zcard", "junction:{g}:members") == "1"
    routers[1].process.kill()
    assert int(redis.command("ttl", "junction:{g}:use")) <= 125


def test_usage_tells_what_all_have_used(start, redis, caller_of):
    models = mocks(requests=100)
    routers = [start(lambda: shared.instance(models, redis.port, "exact")) for _ in range(2)]
    eventually(lambda: redis.command("zcard", "junction:{g}:members") == "2", "both have joined")
    time.sleep(0.3)
    for router in routers:
        for _ in range(3):
            caller_of(router).complete("g", **FIELDS)
    eventually(
        lambda: shared.usage(routers[0].file.name)["requests"]["requests"] == 6, "all six are counted"
    )
    code, output, _ = command("usage", "--config", routers[0].file.name)
    assert code == 0
    assert "shared by 2 instances" in output and "6/100" in output
    redis.kill()
    code, _, errors = command("usage", "--config", routers[0].file.name)
    assert code == 1 and "Redis does not answer" in errors
