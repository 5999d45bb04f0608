"""Measures how the router's costs grow: of a call, with the number of deployments and of open streams; of an
idle open stream, in memory; and calls a second, with the number of loops. Reports nothing when an answer or the
provider's count disagrees."""

import argparse
import json
import os
import pathlib
import resource
import statistics
import sys

from measuring import LOAD_CORE, SERVER_CORE, Answer, Disagreement, Request, measure, memory
import machine
import peers
import programs
import stubs

IDLE = "chunks-2+interval-3600000"  # a stream that says one word, and the next in an hour
KIB = 1024


class Router:
    """Junction with one model group of `deployments`, and one more of streams that stay open."""

    name, protocol, header = "junction", "grpc", None

    def __init__(self, upstream, deployments=1, threads=1, core=SERVER_CORE):
        models = [upstream.deployment(peers.MODEL, peers.MODEL, f"d{n}") for n in range(deployments)]
        # The first word comes after 20 s, when all streams are open, the second 20 s later.
        mock = {"model": "openai/idle", "mock_response": "word " * 50, "mock_tokens_per_second": 0.05}
        models += [upstream.deployment("idle", IDLE), {"model_name": "mock", "litellm_params": mock}]
        settings = {"timeout": 7200, "stream_timeout": 7200}
        self.program = programs.Junction(
            models, settings, {"stream_idle_timeout": 7200}, threads=threads, core=core
        )
        self.port, self.pid = self.program.port, self.program.pid
        asked = stubs.complete_request(peers.MODEL, peers.PROMPT, temperature=0.7, max_tokens=256)
        caller = stubs.Caller(self.program.address)
        size = 5 + caller.stub.Complete(asked, timeout=10).ByteSize()
        caller.close()
        # The durations in the route, and the deployment's number, take some bytes more or less.
        self.request = Request("complete", stubs.COMPLETE, stubs.framed(asked), Answer(1, size - 16, size + 16))

    def open_streams(self, group, streams):
        body = stubs.framed(stubs.stream_request(group))
        return programs.OpenCalls(self.port, stubs.STREAM, body, streams, LOAD_CORE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.stop()


def cost(routers, upstream, options):
    """CPU µs a call of each router in turn, round after round: medians by the routers' keys."""
    values = {key: [] for key in routers}
    for router in routers.values():
        measure(router, router.request, options.calls // 5, upstream, 0)
    for _ in range(options.rounds):
        for key, router in routers.items():
            run = measure(router, router.request, options.calls, upstream, 0)
            values[key].append(run.cpu_us_per_call)
    return {key: statistics.median(values) for key, values in values.items()}


def deployments(upstream, options):
    """CPU of a call by deployments in its model group."""
    routers = {}
    try:
        for count in (10, 100, 1000):
            routers[count] = Router(upstream, count)
        costs = cost(routers, upstream, options)
    finally:
        for router in routers.values():
            router.program.stop()
    show("deployments", costs, "CPU µs a call")
    return costs


def streams(upstream, options):
    """CPU of a call while so many other streams are open."""
    costs = {}
    for count in (10, 1000, 10_000):
        with Router(upstream) as router, router.open_streams("idle", count):
            costs |= cost({count: router}, upstream, options)
        programs.eventually(lambda: upstream.stats()["open_calls"] == 0, "the provider sees the streams end")
    show("open streams", costs, "CPU µs a call")
    return costs


def idle(upstream, options):
    """Resident memory of the idle process, and of each idle open stream: with a connection to the provider
    each, and answered by a mock, which has none."""
    # The provider's side of each stream is a file, too; some are kept for the rest.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found = {}
    for group, wanted in (("idle", options.idle), ("mock", options.idle)):
        count = min(wanted, limit - 500 - wanted // 100) if group == "idle" else wanted
        with Router(upstream) as router:
            before = memory(router.pid)
            with router.open_streams(group, count):
                each = (memory(router.pid) - before) / count
        found |= {"process_mib": before / KIB**2, f"{group}_streams": count, f"{group}_kib_each": each / KIB}
        what = "a provider's connection each" if group == "idle" else "answered by a mock"
        less = f" (of {wanted:,}: no more files may be open)" if count < wanted else ""
        print(f"{count:,} idle open streams, {what}{less}: {each / KIB:.1f} KiB each", flush=True)
    print(f"idle process: {found['process_mib']:.1f} MiB", flush=True)
    return found


def loops(upstream, options):
    """Calls a second by threads, each with a core; caller and provider have what is left, or the last core."""
    cores = os.cpu_count()
    found = {}
    for threads in (1, 2):
        with Router(upstream, threads=threads, core=f"0-{threads - 1}") as router:
            runs = [
                measure(router, router.request, options.calls, upstream, 0, 16, 8)
                for _ in range(options.rounds)
            ]
        found[threads] = statistics.median(run.calls_per_second for run in runs)
    show("loops", found, "calls/s", ",.0f")
    if cores <= 2:
        print("  with two cores, the second loop shares its core with caller and provider", flush=True)
    return found


def show(what, values, unit, form=".1f"):
    first = next(iter(values.values()))
    for key, value in values.items():
        print(f"{key:>7,} {what}: {value:{form}} {unit} ({value / first:.2f} ×)", flush=True)


PARTS = {"deployments": deployments, "streams": streams, "idle": idle, "loops": loops}


def main():
    parser = argparse.ArgumentParser(prog="tools/bench/scaling", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all)")
    parser.add_argument("--rounds", type=int, default=5, help="runs that the medians are of (5)")
    parser.add_argument("--calls", type=int, default=40_000, help="calls a run (40,000)")
    parser.add_argument("--idle", type=int, default=20_000, help="idle open streams (20,000)")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}")
    programs.raise_file_limit()
    facts = machine.facts()
    print(f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores, load average {facts['load_average']}")
    try:
        with programs.Upstream(core=LOAD_CORE, record=0, chunks=peers.CHUNKS, timer_step_us=1000) as upstream:
            for part in options.parts or PARTS:
                facts[part] = PARTS[part](upstream, options)
    except Disagreement as disagreement:
        sys.exit(f"tools/bench/scaling: nothing to report, since something disagrees: {disagreement}")
    if options.json:
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


main()
