"""Many calls: none lost, none failed that another deployment could serve, memory bounded and flat.
Numbers for a person are printed; `pytest -s` shows them."""

import collections
import concurrent.futures
import os
import time

import grpc
import pytest
import stubs
from frames import Connection, messages
from programs import Junction, Upstream, eventually, load
from stubs import OUTCOME, pb

MIB = 1 << 20
# The sanitizers keep memory that was freed.
SANITIZED = "JUNCTION_SANITIZED" in os.environ


@pytest.mark.measured
def test_5000_streams_open_at_once(start):
    upstream = start(Upstream, chunks=10, chunk_interval_ms=800, record=0)
    router = start(Junction, [upstream.deployment("gpt-4o")], {"timeout": 120}, threads=2)
    body = stubs.framed(stubs.stream_request())
    counts = load(router.port, stubs.STREAM, body, 5000, connections=50, streams=100, seconds=120)
    stats = upstream.stats()
    _, peak = router.memory()
    print(
        f"5,000 streams: {stats['open_calls_max']} open at once, peak RSS {peak / MIB:.1f} MiB, "
        f"{counts['elapsed_us'] / 1e6:.1f} s"
    )
    assert counts["ok"] == counts["ended"] == 5000, counts
    assert counts["messages_min"] == counts["messages_max"] >= 11, counts
    assert stats["open_calls_max"] == 5000 and stats["streams_completed"] == 5000
    assert stats["aborted_by_peer"] == 0


def test_a_slow_reader_stops_the_provider(start, caller_of):
    """A caller that opens no window: the router stops reading the provider's body, and keeps little of it."""
    upstream = start(Upstream, record=0)
    chunks, size = 40_000, 1000
    router = start(
        Junction,
        [upstream.deployment("big", f"chunks-{chunks}+size-{size}"), upstream.deployment("gpt-4o")],
        {"timeout": 300, "stream_timeout": 300},
    )
    other = caller_of(router)
    other.complete()
    before, _ = router.memory()
    with Connection(router.port, seconds=60) as connection:
        connection.reads_freely = False
        id = connection.open(stubs.STREAM, stubs.framed(stubs.stream_request("big")))
        stream = connection.streams[id]
        connection.wait(lambda: len(stream.data) >= 65_000)
        stalled = wait_for_stall(connection, upstream)
        grown = router.memory()[0] - before
        print(
            f"slow reader: the provider stalled after {stalled / MIB:.1f} MiB "
            f"of about {chunks * size * 1.3 / MIB:.0f}, "
            f"the router grew by {grown / MIB:.1f} MiB"
        )
        # The kernel's socket buffers between the two take some megabytes of their own.
        assert stalled < 24 * MIB, "the provider's body is read though nobody takes it"
        assert grown < 4 * MIB or SANITIZED, "the body piles up in the router"
        assert len(stream.data) <= 65_535
        assert other.complete().choices, "other calls stand still"
        # Reading on, all of it comes, in order.
        connection.reads_freely = True
        connection.open_window((1 << 30), 0)
        connection.open_window((1 << 30), id)
        connection.finish(id)
    assert stream.headers()["grpc-status"] == "0"
    found, rest = messages(bytes(stream.data))
    assert rest == b""
    text = stubs.text_of(pb.StreamResponse.FromString(message) for message in found)
    assert len(text) == chunks * size
    assert text.split("x" * 100)[0] == " w0000" and text.count(" w") == chunks


def wait_for_stall(connection, upstream):
    """Waits until the stand-in sends no more, and returns how many bytes it had sent."""
    give_up = time.monotonic() + 30
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 1:
        assert time.monotonic() < give_up, "the provider never stalled"
        connection.read_for(0.1)
        sent = upstream.stats()["bytes_out"]
        # What the question about the counters itself sends is small.
        if sent - last > 100_000:
            last, since = sent, time.monotonic()
    return last


@pytest.mark.measured
def test_memory_stays_flat(start):
    """20,000 calls here (JUNCTION_CALLS sets it): tools/bench/soak does 200,000 of each kind."""
    calls = int(os.environ.get("JUNCTION_CALLS", 20_000))
    upstream = start(Upstream, record=0)
    router = start(
        Junction, [upstream.deployment("gpt-4o", "a"), upstream.deployment("gpt-4o", "b")], threads=2
    )
    whole, stream = stubs.framed(stubs.complete_request()), stubs.framed(stubs.stream_request())

    def ask(count):
        for path, body in ((stubs.COMPLETE, whole), (stubs.STREAM, stream)):
            counts = load(router.port, path, body, count)
            assert counts["ok"] == count, counts

    ask(5000)
    before, _ = router.memory()
    ask(calls)
    after, peak = router.memory()
    print(
        f"memory after 10,000 calls {before / MIB:.1f} MiB, after {2 * calls} more "
        f"{after / MIB:.1f}, peak {peak / MIB:.1f}"
    )
    assert abs(after - before) <= 2 * MIB
    stats = upstream.stats()
    assert stats["calls"] == stats["answered_whole"] + stats["streams_completed"] == 2 * (5000 + calls)


@pytest.mark.measured
def test_memory_stays_flat_when_calls_fail_and_callers_leave(start):
    upstream = start(Upstream, record=0)
    groups = [
        upstream.deployment("gpt-4o", "status-500"),
        upstream.deployment("gpt-4o", "reset"),
        upstream.deployment("stall", "stall"),
    ]
    router = start(Junction, groups, {"num_retries": 1, "retry_after": 0, "disable_cooldowns": True})

    def ask(count):
        body = stubs.framed(stubs.complete_request())
        assert load(router.port, stubs.COMPLETE, body, count)["grpc"] == {"14": count}
        for _ in range(count // 100):
            with Connection(router.port) as connection:
                for _ in range(50):
                    connection.open(stubs.STREAM, stubs.framed(stubs.stream_request("stall")))
                connection.ping()
        eventually(lambda: upstream.stats()["open_calls"] == 0, "the calls of callers that left end")

    ask(1000)
    before, _ = router.memory()
    ask(4000)
    after, _ = router.memory()
    print(
        f"memory after 1,500 failed and abandoned calls {before / MIB:.1f} MiB, "
        f"after 6,000 more {after / MIB:.1f}"
    )
    assert abs(after - before) <= 2 * MIB


def test_faults_are_hidden(start, caller_of):
    """A provider that fails 30 % of calls, stalls 5 % and cuts 5 % of streams before the first token: 10,000
    calls over two deployments and one fallback group, none fails; the routes add up to the provider's counts.
    """
    calls, callers_count = 10_000, 8
    seed = int(time.time())
    print("seed", seed)
    flaky = start(Upstream, fail_rate=0.3, stall_rate=0.05, cut_rate=0.05, seed=seed, record=0)
    steady = start(Upstream, record=0)
    groups = [
        flaky.deployment("gpt-4o", "first", "first", timeout=0.5, stream_timeout=0.5),
        flaky.deployment("gpt-4o", "second", "second", timeout=0.5, stream_timeout=0.5),
        steady.deployment("standby", "standby", "standby"),
    ]
    settings = {
        "num_retries": 2,
        "fallbacks": [{"gpt-4o": ["standby"]}],
        "retry_after": 0,
        "disable_cooldowns": True,
    }
    router = start(Junction, groups, settings, threads=2)
    callers = [caller_of(router) for _ in range(callers_count)]

    def one(n):
        caller = callers[n % callers_count]
        if n % 2:
            answer = caller.complete(timeout=60)
            assert answer.choices[0].message.content.startswith("This is the answer")
            return answer.route
        pieces = caller.stream_all(timeout=60)
        assert stubs.text_of(pieces) == stubs.chunk_text(8)
        return pieces[-1].route

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        routes, failures = [], []
        for future in [pool.submit(one, n) for n in range(calls)]:
            try:
                routes.append(future.result())
            except grpc.RpcError as error:
                failures.append(f"{error.code()}: {error.details()}")
    assert not failures, f"{len(failures)} calls failed, the first: {failures[0]}"

    tried = collections.Counter((a.deployment_id, a.outcome) for route in routes for a in route.attempts)
    print(
        "attempts:",
        {f"{name} {OUTCOME.Name(o)[16:]}": n for (name, o), n in sorted(tried.items())},
        "by fallback:",
        sum(route.fallback_used for route in routes),
    )
    assert all(route.attempts[-1].deployment_id == route.deployment_id for route in routes)

    def counted():
        models = {**flaky.stats()["models"], **steady.stats()["models"]}
        return {name: (model["calls"], model["succeeded"], model["failed"]) for name, model in models.items()}

    def told():
        found = {}
        for name in ("first", "second", "standby"):
            good = tried[name, pb.ATTEMPT_OUTCOME_SUCCESS]
            of_all = sum(n for (tried_name, _), n in tried.items() if tried_name == name)
            if of_all:
                found[name] = (of_all, good, of_all - good)
        return found

    eventually(lambda: counted() == told(), lambda: f"the router says {told()}, the provider {counted()}", 10)
    by_outcome = collections.Counter()
    for (name, outcome), n in tried.items():
        by_outcome[outcome] += n if name != "standby" else 0
    stats = flaky.stats()
    assert by_outcome[pb.ATTEMPT_OUTCOME_TIMEOUT] == stats["stalled"]
    assert (
        by_outcome[pb.ATTEMPT_OUTCOME_STREAM_CUT] + by_outcome[pb.ATTEMPT_OUTCOME_CONNECTION_FAILED]
        == stats["cut"]
    )
    assert by_outcome[pb.ATTEMPT_OUTCOME_RATE_LIMITED] == stats["failed"].get("429", 0)
    assert (
        stats["stalled"] > 300 and stats["cut"] > 100 and stats["failed_total"] > 2500
    ), "the faults did not happen"
