"""What limits that instances share over Redis cost a call: latency added to the provider's own, CPU of the
router and of Redis, without sharing, with leases, exactly, and by LiteLLM's Router without and with Redis
(usage-based-routing-v2).

  tools/bench/shared_cost --python VENV/bin/python

All run at once and are measured in turn, round after round: the routers and LiteLLM's processes on core 0;
Redis, the caller and the provider on core 1. Limits are far away. Junction is called over gRPC; LiteLLM's Router is
a library, its calls are begun and timed in its own process. What the idle ones say to Redis counts as Redis' CPU,
too. VENV has litellm and redis (PyPI).
"""

import argparse
import contextlib
import os
import statistics

from measuring import LOAD_CORE, SERVER_CORE, cpu_ns
import litellm_process
import machine
import peers
import programs
import shared
import stubs

LIMITS = {"rpm": 100_000_000, "tpm": 100_000_000_000}


class Direct:
    name = "direct"

    def __init__(self, upstream):
        self.port = upstream.port

    def run(self, calls, at_once):
        body = peers.json_body(False)
        counts = programs.load(self.port, peers.PATH, body, calls, at_once, 1, "http1", core=LOAD_CORE)
        return counts["p50_us"], counts["p99_us"], 0


class Junction:
    """One router and, where limits are shared, another that it shares them with."""

    def __init__(self, mode, upstream, redis, stack):
        self.name = mode
        model = upstream.deployment(peers.MODEL, peers.MODEL, "one", **LIMITS)
        settings, junction = {"num_retries": 0}, None
        if mode != "none":
            settings |= {"redis_host": "127.0.0.1", "redis_port": redis.port}
            junction = {"shared_usage": {"mode": mode, "timeout": 1}}
        self.routers = [
            stack.enter_context(programs.Junction([model], settings, junction, core=SERVER_CORE))
            for _ in range(1 if mode == "none" else 2)
        ]
        self.body = stubs.framed(stubs.complete_request(peers.MODEL, peers.PROMPT, max_tokens=256))

    def run(self, calls, at_once):
        before = cpu_ns(self.routers[0].pid)
        counts = programs.load(
            self.routers[0].port, stubs.COMPLETE, self.body, calls, 1, at_once, core=LOAD_CORE)
        assert counts["ok"] == calls, counts
        assert not any("not shared" in router.output() for router in self.routers), "Redis was missed meanwhile"
        return counts["p50_us"], counts["p99_us"], (cpu_ns(self.routers[0].pid) - before) / calls / 1000


class LiteLLM(litellm_process.LiteLLM):
    # It is so much slower.
    calls_divided_by = 50

    def __init__(self, name, *arguments):
        self.name = name
        super().__init__(*arguments, core=SERVER_CORE)

    def run(self, calls, at_once):
        self.begin(concurrency=at_once, count=max(at_once, calls // self.calls_divided_by))
        made, cpu = self.end()
        assert not [call for call in made if call.status != "OK"], made[0]
        took = sorted((call.ended - call.begun) * 1e6 for call in made)
        return took[len(took) // 2], took[len(took) * 99 // 100], cpu / len(made) * 1e6


def table(all, redis, options, at_once):
    rows = {it.name: [] for it in all}
    for number in range(options.rounds + 1):
        for it in all:
            before = cpu_ns(redis.pid)
            calls = options.calls // getattr(it, "calls_divided_by", 1)
            p50, p99, cpu = it.run(options.calls, at_once)
            # The first round warms up.
            if number:
                rows[it.name].append((p50, p99, cpu, (cpu_ns(redis.pid) - before) / calls / 1000))
    medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in rows.items()}
    direct = medians.pop("direct")
    print(f"\n{at_once} at once; the provider alone: p50 {direct[0]:,.0f} µs, p99 {direct[1]:,.0f} µs\n")
    print("| limits shared by | added p50 µs | added p99 µs | CPU µs a call | Redis' CPU µs a call |")
    print("|---|--:|--:|--:|--:|")
    for name, (p50, p99, cpu, redis_cpu) in medians.items():
        print(f"| {name} | {p50 - direct[0]:,.0f} | {p99 - direct[1]:,.0f} | {cpu:,.1f} | {redis_cpu:,.1f} |")


def main():
    parser = argparse.ArgumentParser(
        prog="tools/bench/shared_cost", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000, help="a run; LiteLLM makes a fiftieth (10,000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that the medians are of (5)")
    parser.add_argument("--python", help="with litellm and redis installed; without it LiteLLM is left out")
    options = parser.parse_args()
    programs.raise_file_limit()
    facts = machine.facts()
    print(f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores, load average {facts['load_average']}")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(shared.Redis())
        os.sched_setaffinity(redis.pid, {LOAD_CORE})
        upstream = stack.enter_context(programs.Upstream(core=LOAD_CORE, record=0))
        all = [Direct(upstream)]
        all += [Junction(mode, upstream, redis, stack) for mode in ("none", "leased", "exact")]
        if options.python:
            models = [upstream.deployment("g", peers.MODEL, "one", **LIMITS)]
            for name, store, strategy in (
                ("LiteLLM, none", None, "simple-shuffle"), ("LiteLLM, Redis", redis, "usage-based-routing-v2")
            ):
                all.append(stack.enter_context(LiteLLM(name, models, store, options.python, strategy)))
        for at_once in (1, 16):
            table(all, redis, options, at_once)


if __name__ == "__main__":
    main()
