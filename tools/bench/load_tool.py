"""Measures the load tool itself: whether its percentiles are those of h2load, which loads the same router at the
same time; what it spends on a call beside what the router does; and whether it keeps its rate when that is twice
what the router can serve."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from measuring import LOAD_CORE, SERVER_CORE, cpu_ns
import machine
import peers
import programs
import stubs

PERCENTILES = [(50, "p50Us"), (90, "p90Us"), (99, "p99Us"), (99.9, "p999Us")]


def junction_load(router, *options):
    """Runs the tool on the load's core; returns its report and the nanoseconds of CPU that it took."""
    with tempfile.NamedTemporaryFile("r") as file:
        command = [
            "taskset", "-c", str(LOAD_CORE), programs.junction_binary(), "load", "--address", router.address,
            "--model", peers.MODEL, "--prompt", peers.PROMPT, "--warm-up", "0", "--json", file.name, "--quiet",
            *map(str, options),
        ]  # fmt: skip
        tool = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = tool.stdout.read()
        _, status, usage = os.wait4(tool.pid, 0)
        tool.returncode = os.waitstatus_to_exitcode(status)
        text = file.read()
    if not text:
        sys.exit(f"tools/bench/load_tool: {said}")
    return json.loads(text), (usage.ru_utime + usage.ru_stime) * 1e9


def agreement(title, router, calls, connections, rounds):
    """Both tools at once, each with so many connections and one call on each; the greatest difference between
    their percentiles, medians of the rounds."""
    body = stubs.framed(stubs.complete_request(peers.MODEL, peers.PROMPT))
    closed = ["--concurrency", connections, "--connections", connections, "--calls", calls, "--duration", "120s"]
    pairs = {percentile: [] for percentile, _ in PERCENTILES}
    for _ in range(rounds):
        other = programs.Background(
            programs.h2load, router.port, stubs.COMPLETE, body, calls, connections, LOAD_CORE
        )
        report, _ = junction_load(router, *closed)
        theirs = other.result()
        for percentile, key in PERCENTILES:
            their = theirs[min(calls - 1, int(calls * percentile / 100))]
            pairs[percentile].append((report["latency"][key], their))
    print(f"{title}, {connections} connections each, {calls:,} calls each, medians of {rounds}")
    print(f"  {'':8}{'junction load':>15}{'h2load':>12}{'difference':>12}")
    worst = 0
    for percentile, both in pairs.items():
        ours, their = (statistics.median(side) for side in zip(*both))
        difference = statistics.median(one / other - 1 for one, other in both)
        # A tail of a few calls is chance.
        worst = max(worst, abs(difference)) if percentile <= 99 else worst
        print(f"  p{percentile:<7}{ours:>12,.0f} µs{their:>9,.0f} µs{difference:>+11.1%}", flush=True)
    return worst


def cost(router, calls):
    """CPU a call of tool and router, 64 calls at once; the rate that came of it."""
    before = cpu_ns(router.pid)
    report, spent = junction_load(router, "--concurrency", 64, "--calls", calls, "--duration", "120s")
    served = cpu_ns(router.pid) - before
    ratio = served / spent
    print(
        f"64 at once: the tool takes {spent / calls / 1000:.1f} µs of CPU a call, the router "
        f"{served / calls / 1000:.1f}: "
        f"one core of the tool loads {ratio:.1f} cores of the router"
    )
    return ratio, report["callsPerSecond"]


def offer(router, rate):
    report, _ = junction_load(
        router, "--rate", f"{rate:.0f}", "--duration", "3s", "--timeout", "1s", "--arrivals", "poisson"
    )
    late = report["lateness"]
    print(
        f"open loop, twice what was served: {report['started'] / report['seconds']:,.0f} calls/s started of "
        f"{rate:,.0f} wanted, {late['p50Us']:,} µs late (p50), {late['p99Us']:,} µs (p99); "
        f"{report['succeeded']:,} answered, {report['failed']:,} not"
    )


def main():
    parser = argparse.ArgumentParser(prog="tools/bench/load_tool", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="calls of each tool (20,000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that the medians are of (5)")
    options = parser.parse_args()
    programs.raise_file_limit()
    facts = machine.facts()
    print(f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores, load average {facts['load_average']}")
    with programs.Upstream(core=LOAD_CORE, record=0) as upstream:
        deployment = upstream.deployment(peers.MODEL, peers.MODEL, "one")
        with programs.Junction([deployment], {"disable_cooldowns": True}, core=SERVER_CORE) as router:
            worst = agreement("a fast provider", router, options.calls, 8, options.rounds)
            upstream.set(latency_ms=40, latency_spread_ms=40)
            slow = "a provider that takes 40 to 80 ms"
            worst = max(worst, agreement(slow, router, min(options.calls, 5000), 32, options.rounds))
            print(f"percentiles up to p99 differ by at most {worst:.1%}")
            upstream.set(latency_ms=0, latency_spread_ms=0)
            ratio, served = cost(router, options.calls * 2)
            offer(router, 2 * served)
    sys.exit(0 if worst < 0.05 and ratio >= 2 else 1)


main()
