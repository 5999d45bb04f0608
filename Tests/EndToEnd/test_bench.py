"""The benchmarks run, add up, and refuse what does not."""

import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from programs import ROOT, Junction, Upstream, junction_binary, load
from stubs import COMPLETE, complete_request, framed


def bench(script, *arguments, code=0):
    """Runs a script of tools/bench on the program under test; returns what it printed."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools/bench" / script, *map(str, arguments)],
        capture_output=True, text=True, timeout=300, env={**os.environ, "JUNCTION": junction_binary()},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.mark.measured
def test_peers_are_compared(tmp_path):
    data, page = tmp_path / "run.json", tmp_path / "run.html"
    out, _ = bench(
        "compare.py", "--peers", "nghttpx,nghttpx-h2", "--rounds", 1, "--seconds", 0.05,
        "--json", data, "--html", page,
    )  # fmt: skip
    result = json.loads(data.read_text())
    assert [peer["name"] for peer in result["peers"]] == ["direct", "nghttpx", "nghttpx-h2", "junction"]
    assert result["missing"] == []
    for peer in result["peers"]:
        assert f"| {peer['name']}" in out
        assert all(value > 0 for key in peer["measures"] for value in peer["measures"][key] if "added" not in key)
    text = page.read_text()
    plots = re.findall(r"(?s)<svg.*?</svg>", text)
    assert len(plots) == 6 and "http://" not in text and "https://" not in text
    for plot in plots:
        assert len(ElementTree.fromstring(plot).findall("rect")) == 4


def test_a_missing_peer_is_named():
    names = ["nginx", "envoy", "smg", "litellm"]
    program = (
        "import sys; sys.path.insert(0, 'tools/bench'); import peers, pathlib\n"
        "peers.PACKAGES = pathlib.Path('/nowhere'); peers.shutil.which = lambda *_, **__: None\n"
        "peers.ROOT = pathlib.Path('/')\n"
        "for kind in peers.ALL:\n"
        f"    if kind.name in {names}:\n"
        "        try: kind(None)\n"
        "        except peers.Missing as error: print(kind.name, error)\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    lines = out.stdout.splitlines()
    assert [line.split()[0] for line in lines] == names, out
    assert all("not installed" in line for line in lines)


def test_a_run_that_does_not_add_up_is_refused():
    """The provider fails one call in ten: the router hides it, and the provider's count tells."""
    program = (
        "import sys; sys.path.insert(0, 'tools/bench'); import measuring, peers, programs\n"
        "with programs.Upstream(record=0, chunks=peers.CHUNKS) as upstream:\n"
        "    peer = peers.Junction(upstream)\n"
        "    upstream.set(fail_rate=0.1)\n"
        "    try: measuring.measure(peer, peer.requests['complete'], 200, upstream, 0)\n"
        "    except measuring.Disagreement as error: print('refused:', error)\n"
        "    peer.stop()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "JUNCTION": junction_binary()},
    )  # fmt: skip
    assert done.stdout.startswith("refused: junction, complete: "), done


@pytest.mark.measured
def test_costs_are_followed(tmp_path):
    data = tmp_path / "scaling.json"
    bench(
        "scaling.py", "deployments", "loops", "--rounds", 1, "--calls", 200, "--json", data
    )
    result = json.loads(data.read_text())
    assert set(result["deployments"]) == {"10", "100", "1000"} and set(result["loops"]) == {"1", "2"}
    assert all(value > 0 for part in ("deployments", "loops") for value in result[part].values())


@pytest.mark.measured
def test_the_costs_of_sharing_are_told():
    out, _ = bench("shared_cost.py", "--rounds", 1, "--calls", 200)
    assert re.findall(r"(?m)^\| (none|leased|exact) (?:\| [\d,.-]+ ){4}\|$", out) == ["none", "leased", "exact"] * 2


def test_a_provider_over_http2(start):
    """The stand-in speaks cleartext HTTP/2, too: whole answers, streams, errors, and its counts."""
    upstream = start(Upstream, chunks=5, record=0)
    body = b'{"model":"%s","messages":[]%s,"stream_options":{"include_usage":true}}'

    def ask(model, streams, calls=20):
        sent = body % (model, b',"stream":true' if streams else b"")
        counts = load(upstream.port, "/v1/chat/completions", sent, calls, 2, 5, "http2")
        again = load(upstream.port, "/v1/chat/completions", sent, calls, 10, 1, "http1")
        # Both protocols carry the same bytes.
        assert [counts[key] for key in ("ok", "bytes_min", "bytes_max", "messages_max")] == [
            again[key] for key in ("ok", "bytes_min", "bytes_max", "messages_max")
        ]
        return counts

    assert ask(b"gpt-4o", False)["ok"] == 20
    assert ask(b"slow-50", False)["p50_us"] >= 50_000
    counts = ask(b"gpt-4o", True)
    # The role, five words, the end, the usage and [DONE].
    assert counts["ok"] == 20 and counts["messages_min"] == 9
    assert ask(b"interval-20", True)["p50_us"] >= 80_000
    assert ask(b"status-503", False)["http"] == {"503": 20}
    stats = upstream.stats()
    assert stats["calls"] == 200 and stats["streams_completed"] == 80 and stats["answered_whole"] == 80
    assert stats["failed"] == {"503": 40} and stats["open_calls"] == 0 and stats["aborted_by_peer"] == 0


def test_the_caller_counts_what_is_wrong(start):
    """Fast failures are not fast: the caller's `ok` leaves them out."""
    upstream = start(Upstream, record=0)
    with Junction([upstream.deployment("bad", "status-500")], {"num_retries": 0, "disable_cooldowns": True}) as router:
        counts = load(router.port, COMPLETE, framed(complete_request("bad")), 50)
    assert counts["ok"] == 0 and counts["grpc"] == {"14": 50} and counts["http"] == {"200": 50}
