"""`junction load`: its counts are the provider's, its times are those of the calls, its exit codes tell."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from programs import Background, Junction, Upstream, command, eventually, free_port, h2load, junction_binary
from stubs import COMPLETE, complete_request, framed

MS = 1000


@pytest.fixture
def upstream(start):
    return start(Upstream, chunks=5, record=0)


@pytest.fixture
def router(start, upstream):
    groups = [
        upstream.deployment("gpt-4o", "gpt-4o", "one"),
        upstream.deployment("gpt-4o", "gpt-4o", "two"),
        upstream.deployment("broken", "status-500", "bad"),
        upstream.deployment("slow", "slow-200", "late"),
        upstream.deployment("silent", "stall", "mute"),
    ]
    return start(Junction, groups, {"num_retries": 0, "disable_cooldowns": True})


@pytest.fixture
def load(router, tmp_path):
    """Runs the tool on the router and returns (exit code, report, standard output, standard error)."""

    def run(*arguments, seconds=60):
        file = tmp_path / "report.json"
        file.unlink(missing_ok=True)
        given = ["load", "--address", router.address, "--json", file, *arguments]
        code, out, err = command(*given, seconds=seconds)
        return code, json.loads(file.read_text()) if file.exists() else None, out, err

    return run


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("pace", [["--rate", "200"], ["--concurrency", "7"]])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_counts_are_the_providers(load, upstream, streaming, pace, threads):
    """Each call once: also with a warm-up, whose calls the provider sees and the report does not count."""
    arguments = ["--model", "gpt-4o", "--calls", "150", "--threads", threads, "--warm-up", "0", *pace]
    code, report, out, err = load(*arguments, *(["--stream"] if streaming else []))
    stats = upstream.stats()
    assert code == 0, (out, err)
    assert report["started"] == report["succeeded"] == stats["calls"] == 150
    assert report["failed"] == 0 and report["outcomes"] == {"OK": 150}
    assert stats["answered_whole"] == (0 if streaming else 150)
    assert stats["streams_completed"] == (150 if streaming else 0)
    assert stats["aborted_by_peer"] == 0
    assert sum(report["deployments"].values()) == 150 and set(report["deployments"]) == {"one", "two"}
    assert report["completionTokens"] == 150 * 24 and report["promptTokens"] == 150 * 52
    assert report["latency"]["count"] == 150 == report["service"]["count"]
    assert report["firstToken"]["count"] == (150 if streaming else 0)
    assert sum(second["succeeded"] for second in report["timeline"]) == 150


def test_warm_up_is_made_and_not_counted(load, upstream):
    code, report, _, _ = load("--model", "gpt-4o", "--rate", "100", "--duration", "0.5s", "--warm-up", "500ms")
    assert code == 0 and report["started"] == 50 and upstream.stats()["calls"] == 100


@pytest.mark.parametrize(
    "pace, calls",
    [
        (["--rate", "20", "--ramp-to", "80", "--duration", "1s"], 50),
        (["--steps", "20:500ms,60:500ms"], 40),
        (["--rate", "100", "--duration", "1s", "--arrivals", "poisson"], range(60, 145)),
    ],
)
def test_open_loops(load, upstream, pace, calls):
    code, report, _, _ = load("--model", "gpt-4o", "--warm-up", "0", *pace)
    assert code == 0 and report["started"] == upstream.stats()["calls"]
    assert report["started"] in (calls if isinstance(calls, range) else [calls])


def test_a_trace_is_replayed(load, upstream, tmp_path):
    trace = tmp_path / "trace"
    trace.write_text("# seconds\n" + "".join(f"{100 + n / 50}\n" for n in range(30)))
    code, report, _, _ = load("--model", "gpt-4o", "--replay", trace)
    assert code == 0 and report["started"] == 30 == upstream.stats()["calls"]
    assert 0.5 < report["seconds"] < 1.5


def test_a_trace_says_what_was_asked(load, upstream, tmp_path):
    trace = tmp_path / "trace"
    trace.write_text(
        "seconds,model,prompt_tokens,completion_tokens,stream\n"
        + "".join(f"{n / 100},gpt-4o,{50 + n},{n + 1},{n % 2}\n" for n in range(20))
        + '{"at": 0.05, "model": "slow", "prompt": "Hello", "max_tokens": 77}\n0.1\n'
    )
    code, report, out, err = load("--model", "gpt-4o", "--replay", trace)
    assert code == 0, (out, err)
    stats = upstream.stats()
    assert report["started"] == 22 == stats["calls"] and stats["streams_completed"] == 10
    assert stats["models"]["slow-200"]["calls"] == 1


def test_a_mix_has_its_shares(load, upstream, tmp_path):
    mix = tmp_path / "mix.yaml"
    mix.write_text(
        "- {model: gpt-4o, weight: 3, stream: true, prompt_bytes: 'uniform:10-2000'}\n- {model: slow}\n"
    )
    code, report, out, err = load("--mix", mix, "--rate", "400", "--calls", "400", "--warm-up", "0")
    assert code == 0, (out, err)
    models = upstream.stats()["models"]
    assert models["gpt-4o"]["calls"] + models["slow-200"]["calls"] == 400
    assert 250 <= models["gpt-4o"]["calls"] == upstream.stats()["streams_completed"] <= 350
    assert report["latency"]["maxUs"] >= 200 * MS and report["firstToken"]["p50Us"] < 200 * MS


def test_a_mix_brings_its_own_key(start, tmp_path):
    """Calls whose group fails go on with the key of the mix, which stands in the environment."""
    upstream = start(Upstream)
    router = start(Junction, [upstream.deployment("gpt-4o", "status-401", "bad"), upstream.deployment("b", "b", "b")])
    mix = tmp_path / "mix.yaml"
    mix.write_text(
        "- {model: gpt-4o, sessions: 4, num_retries: 0, fallbacks: [{model: b, api_key: os.environ/MY_KEY}]}\n"
    )
    code, out, err = command(
        "load", "--address", router.address, "--mix", mix, "--calls", 10, "--warm-up", 0,
        environment={"MY_KEY": "sk-of-the-mix"},
    )  # fmt: skip
    assert code == 0 and "10 answered by a fallback" in out, (out, err)
    keys = {request["headers"]["authorization"] for request in upstream.requests()}
    assert keys == {"Bearer sk-configured", "Bearer sk-of-the-mix"}
    assert "sk-of-the-mix" not in out + err


class TestProcesses:
    """Several processes make one run."""

    @pytest.mark.parametrize("pace", [["--rate", "300"], ["--concurrency", "7"]])
    def test_they_count_as_one(self, load, upstream, pace):
        code, report, out, err = load(
            "--model", "gpt-4o", "--calls", "150", "--processes", "3", "--threads", "2", "--warm-up", "0", *pace
        )
        assert code == 0, (out, err)
        assert report["started"] == report["succeeded"] == upstream.stats()["calls"] == 150
        assert report["latency"]["count"] == 150 and report["processes"] == 3
        assert sum(second["succeeded"] for second in report["timeline"]) == 150

    def test_they_join_run_after_run(self, router, load, upstream):
        """Two that join make every try of a search, and end when there is no further one."""
        port = free_port()
        joined = [
            Background(command, "load", "--join", f"127.0.0.1:{port}", seconds=60) for _ in range(2)
        ]
        code, report, out, err = load(
            "--model", "gpt-4o", "--rate", "100", "--duration", "300ms", "--warm-up", "0", "--find-max",
            "--slo", "p99<10ms", "--lead", f"127.0.0.1:{port}", "--processes", "2",
        )  # fmt: skip
        assert "2 of 2 processes have joined" in err and re.search(r"\d+ calls/s: (met|missed)", err), (out, err)
        calls = 0
        for member in joined:
            member_code, _, said = member.result()
            assert member_code == 0, said
            made = [int(number) for number in re.findall(r"made (\d+) calls?", said)]
            assert len(made) == len(re.findall(r"\d+ calls/s: (?:met|missed)", err))
            calls += sum(made)
        assert calls == upstream.stats()["calls"]

    def test_one_that_leaves_is_told(self, router, upstream):
        port = free_port()
        options = ["--model", "gpt-4o", "--rate", "50", "--duration", "60s", "--warm-up", "0"]
        leader = Background(
            command, "load", "--address", router.address, *options, "--lead", f"127.0.0.1:{port}", "--processes", 2
        )
        members = [
            subprocess.Popen(
                [junction_binary(), "load", "--join", f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        eventually(lambda: upstream.stats()["calls"] >= 10, "calls are made")
        members[0].kill()
        code, out, err = leader.result()
        assert code == 1 and out == "" and "a process left before the end" in err, (out, err)
        assert members[1].wait(20) == 1 and "the leader of the run left" in members[1].stderr.read()
        members[0].wait(5)

    def test_an_interrupted_run_reports(self, router, upstream, tmp_path):
        file = tmp_path / "report.json"
        options = ["--model", "gpt-4o", "--rate", "50", "--duration", "60s", "--warm-up", "0", "--json", file]
        tool = subprocess.Popen(
            [junction_binary(), "load", "--address", router.address, "--processes", "2", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        eventually(lambda: upstream.stats()["calls"] >= 20, "the processes make calls")
        tool.send_signal(signal.SIGINT)
        _, err = tool.communicate(timeout=20)
        report = json.loads(file.read_text())
        assert tool.returncode == 0, err
        assert 0 < report["started"] == upstream.stats()["calls"] < 1000

    def test_no_router(self):
        code, out, err = command("load", "--model", "a", "--address", "127.0.0.1:1", "--processes", 2)
        assert code == 1 and out == "" and "cannot connect" in err


def test_failing_fast_is_not_being_fast(load, upstream):
    code, report, out, _ = load("--model", "broken", "--rate", "100", "--calls", "60", "--warm-up", "0")
    assert code == 2
    assert report["failed"] == 60 == report["outcomes"]["UNAVAILABLE"] == upstream.stats()["failed_total"]
    assert report["latency"]["count"] == 0 and report["failures"]["count"] == 60
    assert "UNAVAILABLE" in out


def test_deadlines_are_counted(load):
    arguments = ["--model", "silent", "--rate", "50", "--calls", "10", "--timeout", "300ms", "--warm-up", "0"]
    code, report, _, _ = load(*arguments)
    assert code == 2 and report["outcomes"] == {"DEADLINE_EXCEEDED": 10}
    assert report["failures"]["p50Us"] >= 250 * MS


def stalled(router, load, *pace):
    """The report of a run in which the router stands still for 100 ms or more, once a second."""
    with_progress = Background(load, "--model", "gpt-4o", "--warm-up", "500ms", "--duration", "4s", *pace)
    time.sleep(1.5)
    stalls = 0
    while with_progress.is_alive() and stalls < 3:
        os.kill(router.pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(router.pid, signal.SIGCONT)
        stalls += 1
        time.sleep(0.9)
    code, report, out, err = with_progress.result()
    print(f"{' '.join(pace)}: p50 {report['latency']['p50Us']} µs, p99 {report['latency']['p99Us']} µs, "
          f"p99.9 {report['latency']['p999Us']} µs, max {report['latency']['maxUs']} µs, {report['started']} calls")
    assert code == 0 and report["failed"] == 0, (out, err)
    return report


def test_an_open_loop_shows_a_stall_that_a_closed_one_hides(router, load):
    """Of 4 s the router stands still for 0.3 s: one call in thirteen was due in a stall. A closed loop has
    only the few calls under way to show it."""
    open_loop = stalled(router, load, "--rate", "300")
    closed_loop = stalled(router, load, "--concurrency", "4")
    assert open_loop["latency"]["p99Us"] >= 70 * MS
    assert closed_loop["latency"]["maxUs"] >= 90 * MS
    assert closed_loop["latency"]["p99Us"] < 50 * MS


@pytest.mark.measured
def test_it_agrees_with_h2load(start, tmp_path):
    """Both load one router at the same time; a provider that takes 40 to 80 ms spreads the latencies evenly.
    Tails belong to the machine here: tools/bench/load_tool compares those, too."""
    upstream = start(Upstream, record=0, latency_ms=40, latency_spread_ms=40)
    router = start(Junction, [upstream.deployment("gpt-4o")])
    file, calls, connections = tmp_path / "report.json", 3000, 32
    body = framed(complete_request("gpt-4o", "The shop opens at nine. " * 16))
    other = Background(h2load, router.port, COMPLETE, body, calls, connections)
    code, out, err = command(
        "load", "--address", router.address, "--model", "gpt-4o", "--concurrency", connections,
        "--connections", connections, "--calls", calls, "--duration", "60s", "--warm-up", 0, "--json", file,
    )  # fmt: skip
    assert code == 0, (out, err)
    ours, theirs = json.loads(file.read_text())["latency"], other.result()
    for percentile, key in ((50, "p50Us"), (90, "p90Us")):
        their = theirs[calls * percentile // 100 - 1]
        print(f"p{percentile}: {ours[key]} µs here, {their} µs by h2load")
        assert abs(ours[key] / their - 1) < 0.05, percentile


def test_times_are_those_of_the_calls(load):
    code, report, _, _ = load("--model", "slow", "--rate", "50", "--calls", "60", "--warm-up", "0")
    assert code == 0 and report["latency"]["p50Us"] >= 200 * MS
    print(f"a provider that takes 200 ms: p50 {report['latency']['p50Us']} µs")
    for times in (report["latency"], report["service"]):
        assert times["p50Us"] <= times["p90Us"] <= times["p99Us"] <= times["maxUs"]


class TestObjectives:
    @pytest.mark.parametrize(
        "slo, code",
        [("p99<20s,errors<0.1%", 0), ("p50<1us", 2), ("rate>1000000", 2), ("ttft.p50<1s", 2)],
    )
    def test_they_set_the_exit_code(self, load, slo, code):
        got, _, _, err = load("--model", "gpt-4o", "--calls", "20", "--warm-up", "0", "--slo", slo)
        assert got == code and ("MISSED" in err) == (code == 2), err

    def test_errors_may_be_allowed(self, load):
        arguments = ["--model", "broken", "--calls", "20", "--warm-up", "0"]
        assert load(*arguments, "--slo", "errors<=100%")[0] == 2, "no call was answered"

    def test_the_highest_rate_is_found(self, load):
        code, report, out, err = load(
            "--model", "gpt-4o", "--rate", "100", "--duration", "300ms", "--warm-up", "0", "--find-max",
            "--slo", "p99<30ms,errors<0.1%",
        )
        found = re.search(r"highest rate that meets .*: (\d+) calls/s", out)
        assert code == 0 and found, (out, err)
        tried = {int(rate): verdict for rate, verdict in re.findall(r"^(\d+) calls/s: (met|missed)", err, re.M)}
        met = [rate for rate, verdict in tried.items() if verdict == "met"]
        assert int(found[1]) == max(met) < min(rate for rate, verdict in tried.items() if verdict == "missed")
        rate = re.search(r"([\d.,]+) calls/s$", report["pacing"])
        assert round(float(rate[1].replace(",", ""))) == int(found[1])


def test_the_page_and_the_comparison(load, tmp_path):
    page = tmp_path / "report.html"
    kept = tmp_path / "kept.json"
    code, report, _, _ = load(
        "--model", "gpt-4o", "--stream", "--rate", "100", "--duration", "1s", "--html", page
    )
    assert code == 0
    kept.write_text(json.dumps(report))
    text = page.read_text()
    assert text.count("<svg") == 4 and "http://" not in text and "https://" not in text
    code, out, err = command("load", "--compare", kept, kept)
    assert code == 0 and "latency p99" in out and "+0 %" in out and "worse" not in out
    kept.write_text("{}")
    code, out, err = command("load", "--compare", kept, kept)
    assert code == 1 and "is no report" in err


def test_an_interrupted_run_reports(router, upstream, tmp_path):
    file = tmp_path / "report.json"
    arguments = ["--model", "gpt-4o", "--rate", "50", "--duration", "60s", "--warm-up", "0", "--json", file]
    tool = subprocess.Popen(
        [junction_binary(), "load", "--address", router.address, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    eventually(lambda: upstream.stats()["calls"] >= 20, "the tool makes calls")
    tool.send_signal(signal.SIGINT)
    out, err = tool.communicate(timeout=20)
    report = json.loads(file.read_text())
    assert tool.returncode == 0, err
    assert 0 < report["started"] < 1000 and report["seconds"] < 20


def test_a_router_that_goes_away_is_counted(router, load, upstream):
    arguments = ["--model", "gpt-4o", "--rate", "100", "--duration", "3s", "--warm-up", "0", "--timeout", "2s"]
    run = Background(load, *arguments)
    eventually(lambda: upstream.stats()["calls"] >= 100, "the tool makes calls")
    os.kill(router.pid, signal.SIGKILL)
    code, report, out, err = run.result()
    assert code == 2, (out, err)
    assert report["started"] == 300 == report["succeeded"] + report["failed"]
    assert report["outcomes"]["CONNECTION_LOST"] == report["failed"] > 50


class TestWrongArguments:
    @pytest.mark.parametrize(
        "arguments, says",
        [
            ([], "--model"),
            (["--model", "a", "--rate", "0"], "--rate"),
            (["--model", "a", "--rate", "1", "--concurrency", "2"], "Only one of"),
            (["--model", "a", "--slo", "p99"], "p99<50ms"),
            (["--model", "a", "--slo", "p99<50"], "with its unit"),
            (["--model", "a", "--find-max"], "--slo"),
            (["--model", "a", "--duration", "soon"], "--duration"),
            (["--model", "a", "--prompt-bytes", "many"], "lognormal"),
            (["--model", "a", "--address", "nowhere"], "HOST:PORT"),
            (["--compare", "one.json"], "two files"),
            (["--model", "a", "--processes", "0"], "--processes"),
            (["--model", "a", "--lead", "nowhere"], "--lead must be HOST:PORT"),
            (["--join", "nowhere"], "--join must be HOST:PORT"),
        ],
    )
    def test_they_are_refused(self, arguments, says):
        code, out, err = command("load", *arguments)
        assert code == 64 and out == "" and says in err, err

    def test_files_that_are_wrong(self, router, tmp_path):
        mix = tmp_path / "mix.yaml"
        mix.write_text("- {model: a, wieght: 3}\n")
        code, _, err = command("load", "--address", router.address, "--mix", mix)
        assert code == 1 and f"{mix}:1" in err and "wieght" in err

    def test_no_router(self):
        code, out, err = command("load", "--model", "a", "--address", "127.0.0.1:1")
        assert code == 1 and out == "" and "cannot connect" in err

    def test_help_has_examples(self):
        code, out, _ = command("load", "--help")
        assert code == 0
        for part in ["--find-max", "--join LEADER", "Examples:", "open", "closed", "Exit code", "lognormal"]:
            assert part in out, part
