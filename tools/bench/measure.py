"""Measures what a call and a streamed chunk cost: CPU of the router, beside nghttpx proxying the same load
in the same run. Reports nothing when a status, a byte count or the provider's own count disagrees."""

import argparse
import json
import os
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
import programs  # noqa: E402
import stubs  # noqa: E402

CHUNKS = 64
SERVER_CORE, LOAD_CORE = 0, 1
PROMPT = (
    "You are a careful assistant. Read the following note and answer the question at its end in one or two "
    "sentences. The shop opens at nine and closes at six; on Saturdays it closes at two, and on Sundays it "
    "is not open at all. When would you go there on a Saturday afternoon, and why? "
)


class Disagreement(Exception):
    """Something does not add up, so there is nothing to report."""


def cpu_ns(pid):
    """Nanoseconds on a CPU of a process and its children (Linux's Documentation/scheduler/sched-stats)."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
        for child in (task / "children").read_text().split():
            total += cpu_ns(child)
    return total


def memory_peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class Nghttpx(programs.Program):
    """nghttpx 1.52: HTTP/2 in, HTTP/1.1 out, reads no body. Its worker is a child of the process started."""

    def __init__(self, upstream):
        for _ in range(10):
            port = free_port()
            command = [
                "nghttpx",
                "--conf=/dev/null",
                f"--frontend=127.0.0.1,{port};no-tls",
                f"--backend=127.0.0.1,{upstream.port}",
                "--workers=1",
                "--errorlog-file=/dev/stderr",
            ]
            try:
                super().__init__(command, r"Listening on|listening", core=SERVER_CORE)
                break
            except AssertionError:
                continue
        self.port = port
        self.worker = int(pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Peer:
    """A server under the same load as the others, and how its answers are checked."""

    def __init__(self, name, server, pid, http, requests, expected):
        self.name, self.server, self.pid, self.http = name, server, pid, http
        self.requests = requests  # kind → (path, body)
        self.expected = expected  # kind → (messages, least and most bytes of an answer)
        self.results = {}

    def measure(self, kind, calls, upstream, **load):
        """CPU nanoseconds of one run, after checking that each call was answered in full by the provider."""
        path, body = self.requests[kind]
        before, cpu = upstream.stats(), cpu_ns(self.pid)
        counts = programs.load(self.server.port, path, body, calls, http=self.http, core=LOAD_CORE, **load)
        cpu = cpu_ns(self.pid) - cpu
        after = upstream.stats()
        self.check(
            kind,
            calls,
            counts,
            {key: after[key] - before[key] for key in after if isinstance(after[key], int)},
        )
        return cpu, counts

    def check(self, kind, calls, counts, served):
        messages, least, most = self.expected[kind]
        chunks = CHUNKS * calls if kind == "stream" else 0
        facts = [
            ("calls answered well", counts["ok"], calls),
            ("HTTP statuses", counts["http"], {"200": calls}),
            ("gRPC statuses", counts["grpc"], {} if self.http else {"0": calls}),
            ("messages of an answer", (counts["messages_min"], counts["messages_max"]), (messages, messages)),
            ("bytes of an answer", least <= counts["bytes_min"] <= counts["bytes_max"] <= most, True),
            ("the provider's calls", served["calls"], calls),
            ("the provider's whole answers", served["answered_whole"], calls if kind == "complete" else 0),
            ("the provider's streams", served["streams_completed"], calls if kind == "stream" else 0),
            ("the provider's chunks", served["chunks"], chunks),
            ("calls the provider saw aborted", served["aborted_by_peer"], 0),
        ]
        for what, found, wanted in facts:
            if found != wanted:
                raise Disagreement(
                    f"{self.name}, {kind}: {what}: {found}, not {wanted} (bytes {least} to {most}): {counts}"
                )


def plain_body(streaming):
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0.7,
        "max_tokens": 256,
    }
    if streaming:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, separators=(",", ":")).encode()


def nghttpx_peer(upstream):
    server = Nghttpx(upstream)
    requests = {
        kind: ("/v1/chat/completions", plain_body(kind == "stream")) for kind in ("complete", "stream")
    }
    peer = Peer("nghttpx", server, server.pid, True, requests, {})
    for kind, (path, body) in requests.items():
        counts = programs.load(server.port, path, body, 1, http=True)
        peer.expected[kind] = (0, counts["bytes_min"], counts["bytes_min"])
    return peer


def junction_peer(upstream):
    server = programs.Junction(
        [upstream.deployment("gpt-4o-mini", "gpt-4o-mini", "one")], threads=1, core=SERVER_CORE
    )
    fields = {"prompt": PROMPT, "temperature": 0.7, "max_tokens": 256}
    whole, stream = (make("gpt-4o-mini", **fields) for make in (stubs.complete_request, stubs.stream_request))
    requests = {
        "complete": (stubs.COMPLETE, stubs.framed(whole)),
        "stream": (stubs.STREAM, stubs.framed(stream)),
    }
    peer = Peer("junction", server, server.pid, False, requests, {})
    # A stock client says what a good answer is, word for word.
    caller = stubs.Caller(server.address)
    answer, pieces = caller.stub.Complete(whole, timeout=10), list(caller.stub.Stream(stream, timeout=10))
    caller.close()
    if (
        not answer.choices[0].message.content.startswith("This is the answer")
        or answer.usage.total_tokens != 76
    ):
        raise Disagreement(f"junction's answer is not the provider's: {answer}")
    if stubs.text_of(pieces) != stubs.chunk_text(CHUNKS) or not pieces[-1].route.deployment_id:
        raise Disagreement(f"junction's stream is not the provider's: {pieces}")
    for kind, found in (("complete", [answer]), ("stream", pieces)):
        size = sum(5 + message.ByteSize() for message in found)
        # The durations in the route take one to four bytes more or less.
        peer.expected[kind] = (len(found), size - 12, size + 12)
    return peer


def run(peers, upstream, rounds, calls, streams):
    for peer in peers:
        peer.measure("complete", max(calls // 5, 2000), upstream)
        peer.measure("stream", 64, upstream)
    for _ in range(rounds):
        for peer in peers:
            cpu, counts = peer.measure("complete", calls, upstream)
            peer.results.setdefault("call", []).append(cpu / calls / 1000)
            peer.results.setdefault("rate", []).append(calls / counts["elapsed_us"] * 1e6)
            cpu, _ = peer.measure("stream", streams, upstream)
            peer.results.setdefault("chunk", []).append(cpu / streams / CHUNKS / 1000)
            _, counts = peer.measure("complete", 2000, upstream, connections=1, streams=1)
            peer.results.setdefault("p50", []).append(counts["p50_us"])
            peer.results.setdefault("p99", []).append(counts["p99_us"])
    for peer in peers:
        peer.results["memory"] = [memory_peak_mib(getattr(peer.server, "worker", peer.pid))]


ROWS = [
    ("call", "CPU µs per Complete", ".1f", 3),
    ("chunk", "CPU µs per streamed chunk", ".1f", 1.6),
    ("rate", "calls a second, one core", ",.0f", None),
    ("p50", "one at a time, p50 µs", ".0f", None),
    ("p99", "one at a time, p99 µs", ".0f", None),
    ("memory", "peak RSS MiB", ".1f", None),
]


def report(peers, options):
    print(
        f"medians of {options.rounds} (least to most); {options.calls:,} calls and "
        f"{options.streams:,} streams of {CHUNKS} "
        f"chunks a run, 64 at once; server on core {SERVER_CORE}, caller and provider on core {LOAD_CORE}; "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'':28}"
        + "".join(f"{peer.name:>24}" for peer in peers)
        + (f"{'ratio':>8}" if len(peers) == 2 else "")
    )
    for key, title, form, bar in ROWS:
        line = f"{title:28}"
        medians = []
        for peer in peers:
            values = peer.results[key]
            medians.append(statistics.median(values))
            spread = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
            line += f"{format(medians[-1], form) + spread:>24}"
        if len(peers) == 2:
            line += f"{medians[1] / medians[0]:8.2f}" + (f"  (at most {bar} wanted)" if bar else "")
        print(line)


def main():
    parser = argparse.ArgumentParser(prog="tools/bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--rounds", type=int, default=5, help="runs that the medians are of (5)")
    parser.add_argument("--calls", type=int, default=100_000, help="Complete calls a run (100,000)")
    parser.add_argument("--streams", type=int, default=640, help="streams a run, 64 at once (640)")
    parser.add_argument("--only", choices=["nghttpx", "junction"], help="measure one of the two")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls, options.streams = 1, 20_000, 128
    programs.raise_file_limit()
    if os.cpu_count() < 2:
        sys.exit("tools/bench/run: needs two cores, one for the server and one for the load")
    # Millisecond timers: chunks of streams that began together come together, as from an event loop.
    upstream = programs.Upstream(
        core=LOAD_CORE, record=0, chunks=CHUNKS, chunk_interval_ms=2, timer_step_us=1000
    )
    peers = []
    try:
        for name, make in (("nghttpx", nghttpx_peer), ("junction", junction_peer)):
            if options.only in (None, name):
                peers.append(make(upstream))
        run(peers, upstream, options.rounds, options.calls, options.streams)
        report(peers, options)
    except Disagreement as disagreement:
        sys.exit(f"tools/bench/run: nothing to report, since something disagrees: {disagreement}")
    finally:
        for program in [*(peer.server for peer in peers), upstream]:
            program.stop()


main()
