"""What a router tells Prometheus, read by Prometheus' own parser, against what its callers and providers saw."""

import re
import socket
import time
import urllib.request

import pytest
import shared
from programs import Background, Junction, deployment, eventually
from prometheus_client.parser import text_string_to_metric_families
from stubs import pb


def serve(start, models, router_settings=None, junction_settings=None, threads=2):
    return start(
        Junction, models, router_settings, junction_settings, threads, arguments=["--metrics-port", "0"]
    )


def metrics_port(router):
    return int(eventually(lambda: re.search(r"metrics on \S+:(\d+)\n", router.output()), "it says the port")[1])


class Metrics(dict):
    """Samples by name and labels, those in the order of the alphabet."""

    def __init__(self, router):
        address = f"http://127.0.0.1:{metrics_port(router)}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            self.text = answer.read().decode()
        families = list(text_string_to_metric_families(self.text))
        assert len({family.name for family in families}) == len(families)
        for family in families:
            assert family.documentation and family.type != "unknown"
            for sample in family.samples:
                key = (sample.name, *(sample.labels[name] for name in sorted(sample.labels)))
                assert key not in self
                self[key] = sample.value

    def sum(self, name):
        return sum(value for key, value in self.items() if key[0] == name)


def test_counts_are_the_callers_and_the_providers(start, upstream, caller_of):
    models = [
        upstream.deployment("good", "chunks-3", "d-good"),
        upstream.deployment("flaky", "flaky-1", "d-flaky"),
        upstream.deployment("bad", "status-503", "d-bad"),
        upstream.deployment("refuses", "status-400", "d-refuses"),
        upstream.deployment("slow", "slow-700", "d-slow", order=1),
        upstream.deployment("slow", "chunks-2", "d-quick", order=2),
        upstream.deployment("stalls", "stall", "d-stalls"),
        upstream.deployment("limited", "chunks-2", "d-limited", rpm=1),
    ]
    settings = {"num_retries": 1, "retry_after": 0, "fallbacks": [{"bad": ["good"]}], "disable_cooldowns": True}
    router = serve(start, models, settings)
    caller = caller_of(router)
    assert Metrics(router).sum("junction_requests_total") == 0
    for _ in range(3):
        caller.complete("good")
    for _ in range(2):
        caller.stream_all("good")
    caller.embed("good", "a", "b")
    caller.complete("flaky")
    caller.complete("bad")
    caller.error("refuses")
    caller.complete("limited")
    caller.error("limited")
    caller.error("nowhere")
    caller.error("good", prompt="x", temperature=99)
    caller.error("stalls", timeout=0.2, streaming=True)
    caller.complete("slow", routing=pb.Routing(hedging=pb.Hedging(enabled=True, delay_ms=50)))
    stream = caller.stream("stalls")
    eventually(lambda: upstream.stats()["models"]["stall"]["calls"] >= 2, "it is under way")
    stream.cancel()
    upstream_calls = eventually(lambda: upstream.stats()["open_calls"] == 0 and upstream.stats(), "all end")
    its = eventually(
        lambda: (its := Metrics(router)).sum("junction_requests_total") == 16 and its,
        lambda: Metrics(router).text,
    )

    def requests(group, method, status):
        return its.get(("junction_requests_total", method, group, status), 0)

    # Labels are sorted by name: method, model_group, status.
    assert requests("good", "Complete", "OK") == 3
    assert requests("good", "Stream", "OK") == 2
    assert requests("good", "Embed", "OK") == 1
    assert requests("flaky", "Complete", "OK") == 1
    assert requests("bad", "Complete", "OK") == 1
    assert requests("refuses", "Complete", "INVALID_ARGUMENT") == 1
    assert requests("limited", "Complete", "OK") == 1
    assert requests("limited", "Complete", "RESOURCE_EXHAUSTED") == 1
    assert requests("", "Complete", "NOT_FOUND") == 1
    assert requests("", "Complete", "INVALID_ARGUMENT") == 1
    assert requests("stalls", "Stream", "DEADLINE_EXCEEDED") == 1
    assert requests("stalls", "Stream", "CANCELLED") == 1
    assert requests("slow", "Complete", "OK") == 1
    assert its["junction_retries_total", "flaky"] == 1
    assert its["junction_retries_total", "good"] == 0
    assert its["junction_fallbacks_total", "bad"] == 1
    assert its["junction_hedges_total", "slow"] == 1
    assert its["junction_attempts_total", "d-flaky", "server_error"] == 1
    assert its["junction_attempts_total", "d-flaky", "ok"] == 1
    assert its["junction_attempts_total", "d-bad", "server_error"] == 2
    assert its["junction_attempts_total", "d-refuses", "bad_request"] == 1
    assert its["junction_attempts_total", "d-slow", "outrun"] == 1
    assert its.sum("junction_attempts_total") == upstream_calls["calls"]
    # The stand-in tells 52 and 24 of each completion.
    assert its["junction_tokens_total", "d-flaky", "prompt"] == 52
    assert its["junction_tokens_total", "d-flaky", "completion"] == 24
    assert its["junction_request_duration_seconds_count", "good"] == 6
    assert its["junction_time_to_first_token_seconds_count", "good"] == 2
    assert its.sum("junction_in_flight") == 0
    assert its["process_resident_memory_bytes",] > 1e6 and its["process_open_fds",] > 5
    assert its["process_cpu_seconds_total",] > 0
    assert its["junction_build_info", "0.1.0"] == 1
    assert "sk-configured" not in its.text


def test_what_is_under_way_and_what_cools_down(start, upstream, caller_of):
    models = [
        upstream.deployment("slow", "stall", "d-slow"),
        upstream.deployment("bad", "status-401", "d-bad"),
    ]
    router = serve(start, models, {"num_retries": 0, "cooldown_time": 60})
    caller = caller_of(router)
    calls = [caller.stream("slow") for _ in range(3)]
    eventually(lambda: Metrics(router)["junction_in_flight", "d-slow"] == 3, "all three are under way")
    caller.error("bad")
    its = Metrics(router)
    assert its["junction_deployment_cooling", "d-bad"] == 1
    assert its["junction_deployment_cooling", "d-slow"] == 0
    for call in calls:
        call.cancel()
    eventually(lambda: Metrics(router)["junction_in_flight", "d-slow"] == 0, "none is")


@pytest.mark.parametrize("mode", ["exact", "leased"])
def test_redis_gone_and_back(start, mode):
    port = shared.free_port()
    redis = start(shared.Redis, port)
    models = [deployment("g", id="d", rpm=6000, tpm=10_000_000, mock_response="one two three")]
    sharing = {"shared_usage": {"mode": mode}}
    router = serve(start, models, {"redis_host": "127.0.0.1", "redis_port": port}, sharing)

    def state():
        its = Metrics(router)
        return its["junction_redis_connected",], its["junction_sharing_apart", "g"]

    eventually(lambda: state() == (1, 0), "it shares")
    with shared.Load([router], "g", rate=50, max_tokens=10):
        if mode == "leased":
            eventually(lambda: Metrics(router)["junction_lease_requests_withheld", "d"] > 0, "a block is held")
            assert Metrics(router)["junction_lease_tokens_withheld", "d"] > 0
        redis.kill()
        eventually(lambda: state() == (0, 1), "it is apart")
        start(shared.Redis, port)
        eventually(lambda: state() == (1, 0), "it shares again")
    if mode == "exact":
        assert Metrics(router)["junction_lease_requests_withheld", "d"] == 0
    else:
        eventually(
            lambda: Metrics(router)["junction_lease_requests_withheld", "d"] == 0, "what was not used is given back"
        )


def test_there_is_no_page_unless_it_is_asked_for(start):
    model = deployment("g", mock_response="hi")
    assert "metrics" not in start(Junction, [model]).output()
    configured = start(Junction, [model], None, {"metrics_port": 0})
    assert Metrics(configured)["junction_build_info", "0.1.0"] == 1


def test_clients_that_are_none_harm_nothing(start, caller_of):
    router = serve(start, [deployment("g", mock_response="hi")])
    port = metrics_port(router)

    def answer(sent):
        with socket.create_connection(("127.0.0.1", port), timeout=15) as it:
            it.sendall(sent)
            answer = b""
            while piece := it.recv(65536):
                answer += piece
            return answer.split(b"\r\n")[0]

    assert answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b"HTTP/1.1 404 Not Found"
    assert answer(b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n") == b"HTTP/1.1 405 Method Not Allowed"
    assert answer(b"\x16\x03\x01\x02\x00") == b"HTTP/1.1 400 Bad Request"
    assert answer(b"GET /metrics HTTP/1.1\r\nA: " + b"a" * 8192) == b"HTTP/1.1 431 Request Header Fields Too Large"
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    begun = time.monotonic()
    dropped = Background(silent[-1].recv, 1)
    assert Metrics(router)["junction_build_info", "0.1.0"] == 1
    caller_of(router).complete("g")
    assert dropped.result(30) == b"", "who says nothing is ended"
    assert time.monotonic() - begun > 5
    with socket.create_connection(("127.0.0.1", port)):
        assert router.terminate() == 0, "nor does it wait for them"
    for it in silent:
        it.close()
