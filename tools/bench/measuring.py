"""Measures one run of calls on one server, and refuses it when anything disagrees: a status, the messages or
bytes of an answer, or the provider's own count of what it served."""

import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
import programs  # noqa: E402

SERVER_CORE, LOAD_CORE = 0, 1


class Disagreement(Exception):
    """Something does not add up, so there is nothing to report."""


def process_tree(pid):
    """A process and all that descend from it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += process_tree(int(child))
    return found


def cpu_ns(pid):
    """Nanoseconds that a process and its descendants were on a CPU, threads that have ended included."""
    # The clock of another process: MAKE_PROCESS_CPUCLOCK of Linux's posix-timers.h, kind 2 (scheduled time).
    return sum(time.clock_gettime_ns(~each << 3 | 2) for each in process_tree(pid))


def memory(pid, key="VmRSS"):
    """Bytes resident in the largest process of a tree; `VmHWM` for the most there have been."""
    sizes = []
    for each in process_tree(pid):
        status = pathlib.Path(f"/proc/{each}/status").read_text()
        sizes.append(int(status.split(key + ":")[1].split()[0]) * 1024)
    return max(sizes)


class Answer:
    """What a good answer is: how many messages, and how many bytes at least and at most."""

    def __init__(self, messages, least, most):
        self.messages, self.least, self.most = messages, least, most


class Request:
    """What is sent for one kind of call, and what must come back."""

    def __init__(self, kind, path, body, answer):
        self.kind, self.path, self.body, self.answer = kind, path, body, answer


class Run:
    """The result of one run: what the server and the caller measured."""

    def __init__(self, calls, cpu, counts):
        self.cpu_us_per_call = cpu / calls / 1000
        self.calls_per_second = calls / counts["elapsed_us"] * 1e6
        self.p50_us, self.p99_us = counts["p50_us"], counts["p99_us"]


def measure(peer, request, calls, upstream, chunks, connections=8, streams=8):
    """Makes `calls` calls, checks every one of them, and returns the Run."""
    if peer.protocol == "http1":
        connections, streams = connections * streams, 1
    before, cpu = upstream.stats(), cpu_ns(peer.pid)
    counts = programs.load(
        peer.port, request.path, request.body, calls, connections, streams, peer.protocol, peer.header,
        core=LOAD_CORE,
    )
    cpu = cpu_ns(peer.pid) - cpu
    after = upstream.stats()
    served = {name: after[name] - before[name] for name in after if isinstance(after[name], int)}
    check(peer, request, calls, chunks, counts, served)
    return Run(calls, cpu, counts)


def check(peer, request, calls, chunks, counts, served):
    answer, is_stream = request.answer, request.kind == "stream"
    facts = [
        ("calls answered well", counts["ok"], calls),
        ("HTTP statuses", counts["http"], {"200": calls}),
        ("gRPC statuses", counts["grpc"], {"0": calls} if peer.protocol == "grpc" else {}),
        ("messages of an answer", (counts["messages_min"], counts["messages_max"]), (answer.messages,) * 2),
        ("bytes of an answer", answer.least <= counts["bytes_min"] <= counts["bytes_max"] <= answer.most, True),
        ("the provider's calls", served["calls"], calls),
        ("the provider's whole answers", served["answered_whole"], 0 if is_stream else calls),
        ("the provider's streams", served["streams_completed"], calls if is_stream else 0),
        ("the provider's chunks", served["chunks"], chunks * calls if is_stream else 0),
        ("calls the provider saw aborted", served["aborted_by_peer"], 0),
    ]
    for what, found, wanted in facts:
        if found != wanted:
            raise Disagreement(
                f"{peer.name}, {request.kind}: {what}: {found}, not {wanted} "
                f"(bytes of an answer: {answer.least} to {answer.most}): {counts}"
            )
