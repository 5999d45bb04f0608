"""Callers that leave, deadlines that pass, a router told to stop: what happens to the provider call."""

import signal
import time

import grpc
import pytest
import stubs
from frames import Connection
from grpc import StatusCode
from programs import Background, Junction, Upstream, eventually


def aborted(upstream, count=1):
    eventually(
        lambda: upstream.stats()["aborted_by_peer"] == count,
        lambda: f"{count} aborted: {upstream.stats()}",
        5,
    )
    assert upstream.stats()["open_calls"] == 0


@pytest.mark.parametrize("streaming", [False, True], ids=["complete", "stream"])
def test_a_deadline_aborts_the_provider_call(caller, upstream, streaming):
    began = time.monotonic()
    error = caller.error("stall", streaming=streaming, timeout=0.4)
    assert error.code() == StatusCode.DEADLINE_EXCEEDED
    aborted(upstream)
    assert time.monotonic() - began < 5, "the provider call went on after the deadline"


def test_the_router_itself_watches_the_deadline(router, upstream):
    """A caller that only says its deadline: no RST_STREAM tells the router that it passed."""
    with Connection(router.port) as connection:
        id = connection.open(
            stubs.STREAM, stubs.framed(stubs.stream_request("stall")), extra=[("grpc-timeout", "300m")]
        )
        stream = connection.finish(id)
        assert stream.headers().get("grpc-status") == "4" or stream.reset == 8
        aborted(upstream)


def test_a_deadline_in_the_middle_of_a_stream(caller, upstream):
    got = []
    with pytest.raises(grpc.RpcError) as error:
        for piece in caller.stream("chunks-200+interval-20", timeout=0.6):
            got.append(piece)
    assert error.value.code() == StatusCode.DEADLINE_EXCEEDED
    assert 0 < len(got) < 100
    aborted(upstream)


def test_no_new_attempt_after_the_deadline(start, caller_of):
    upstream = start(Upstream)
    router = start(
        Junction,
        [upstream.deployment("gpt-4o", "slow-200+status-500"), upstream.deployment("other", "slow-20")],
        {"num_retries": 50, "disable_cooldowns": True, "retry_after": 0},
    )
    caller = caller_of(router)
    # An attempt that cannot finish in the time left is not started, so the failures may come to light first.
    assert caller.error(timeout=0.5).code() in (StatusCode.DEADLINE_EXCEEDED, StatusCode.UNAVAILABLE)
    eventually(lambda: upstream.stats()["open_calls"] == 0, "the last attempt ends")
    calls = upstream.stats()["calls"]
    assert 1 <= calls <= 4
    for _ in range(25):
        caller.complete("other")
    assert upstream.stats()["calls"] == calls + 25, "attempts went on after the deadline"


def test_cancelling_a_call_aborts_the_provider_call(caller, upstream):
    call = caller.stub.Complete.future(stubs.complete_request("stall"), timeout=60)
    eventually(lambda: upstream.stats()["stalled"] == 1, "the call reaches the provider")
    call.cancel()
    aborted(upstream)


def test_cancelling_a_stream_aborts_the_provider_call(caller, upstream):
    stream = caller.stream("chunks-200+interval-20")
    next(stream)
    stream.cancel()
    aborted(upstream)
    assert upstream.stats()["chunks"] < 150


def test_a_lost_connection_aborts_all_its_calls(router, upstream):
    with Connection(router.port) as connection:
        for _ in range(10):
            connection.open(stubs.COMPLETE, stubs.framed(stubs.complete_request("stall")))
        eventually(lambda: upstream.stats()["stalled"] == 10, "the calls reach the provider")
    aborted(upstream, 10)


def test_cancelled_calls_leave_the_others_alone(router, caller, upstream):
    with Connection(router.port) as connection:
        staying = connection.open(stubs.STREAM, stubs.framed(stubs.stream_request("chunks-64")))
        leaving = caller.stream("chunks-200+interval-20")
        next(leaving)
        leaving.cancel()
        assert connection.finish(staying).headers()["grpc-status"] == "0"


def test_a_half_closed_request_is_no_cancellation(router):
    with Connection(router.port) as connection:
        id = connection.open(stubs.COMPLETE, stubs.framed(stubs.complete_request("slow-300")), end=True)
        assert connection.finish(id).headers()["grpc-status"] == "0"


class TestDrain:
    @pytest.fixture
    def upstream(self, start):
        return start(Upstream, chunks=10, chunk_interval_ms=100)

    @pytest.fixture
    def router(self, start, upstream):
        return start(
            Junction,
            [upstream.deployment("gpt-4o"), upstream.deployment("slow", "slow-800")],
            junction_settings={"drain_grace": 20},
            threads=2,
        )

    def test_calls_under_way_finish(self, router, upstream, caller_of):
        caller, other = caller_of(router), caller_of(router)
        stream = caller.stream()
        got = [next(stream)]
        whole = other.stub.Complete.future(stubs.complete_request("slow"), timeout=30)
        eventually(lambda: upstream.stats()["open_calls"] == 2, "both calls reach the provider")
        router.process.send_signal(signal.SIGTERM)
        got += stream
        assert stubs.text_of(got) == stubs.chunk_text(10)
        assert whole.result().choices
        assert router.process.wait(10) == 0

    def test_a_connection_learns_of_it_and_no_new_one_is_taken(self, router, upstream):
        with Connection(router.port) as connection:
            id = connection.open(stubs.STREAM, stubs.framed(stubs.stream_request()))
            connection.wait(lambda: connection.streams[id].data)
            router.process.send_signal(signal.SIGTERM)
            connection.wait(lambda: connection.goaway)
            assert connection.goaway.error_code == 0
            assert connection.finish(id).headers()["grpc-status"] == "0"

            def refused():
                try:
                    Connection(router.port, seconds=1).close()
                except OSError:
                    return True

            eventually(lambda: refused() or not router.is_running(), "new connections are refused")
        assert router.process.wait(10) == 0

    def test_idle_connections_do_not_hold_it_up(self, router, caller_of):
        caller = caller_of(router)
        caller.complete()
        # The grace is longer than this.
        assert router.terminate(10) == 0

    @pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
    def test_a_second_signal_ends_it_at_once(self, start, upstream, caller_of, signal_number):
        router = start(Junction, [upstream.deployment("gpt-4o", "stall")], {}, {"drain_grace": 300})
        call = caller_of(router).stub.Complete.future(stubs.complete_request(), timeout=300)
        eventually(lambda: upstream.stats()["open_calls"] == 1, "the call reaches the provider")
        router.process.send_signal(signal_number)

        def refused():
            try:
                Connection(router.port, seconds=1).close()
            except OSError:
                return True

        eventually(refused, "new connections are refused")
        assert router.is_running()
        router.process.send_signal(signal_number)
        # Neither the call nor the grace ends before this.
        router.process.wait(60)
        call.cancel()

    def test_the_grace_ends(self, start, caller_of):
        upstream = start(Upstream)
        router = start(
            Junction, [upstream.deployment("gpt-4o", "stall")], junction_settings={"drain_grace": 0.5}
        )
        call = Background(caller_of(router).error)
        eventually(lambda: upstream.stats()["stalled"] == 1, "the call reaches the provider")
        router.process.send_signal(signal.SIGTERM)
        assert call.result().code() in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)
        router.process.wait(10)
