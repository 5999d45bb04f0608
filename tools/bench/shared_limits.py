"""Instances that share limits over one Redis, under more load than the limits take: what they admit together.

  tools/bench/shared --mode leased
  tools/bench/shared --mode exact --instances 8 --seconds 190
  tools/bench/shared --mode litellm --instances 2 --python VENV/bin/python

Starts a redis-server, the instances (mock providers) and the load; then an offline checker goes over the log
of admissions: the most that certainly lay within any 60 seconds, by deployment, and the share of each limit
that was used, on average over all 60 seconds; with leases also the most that they withheld of a limit. Exit code
2 when more than a limit was admitted, or more withheld than half of one. `litellm` is LiteLLM's Router (PyPI), with
VENV, which has litellm and redis.
"""

import argparse
import contextlib
import re
import sys
import threading
import time
import urllib.request

from litellm_process import LiteLLM
import programs
import shared

MOST_WITHHELD = 0.5


def models(requests, tokens):
    mock = {"mock_response": "one two three"}
    return [
        programs.deployment("g", id="requests", rpm=requests, **mock),
        programs.deployment("g", id="tokens", tpm=tokens, **mock),
    ]


class Withheld(threading.Thread):
    """Looks again and again at what leases withhold: the most of a limit, of all instances together."""

    def __init__(self, routers, limits):
        super().__init__(daemon=True)
        self.most = 0
        self._ports = [re.search(r"metrics on \S+:(\d+)\n", router.output())[1] for router in routers]
        self._limits = limits
        self._ended = threading.Event()
        self.start()

    def run(self):
        while not self._ended.wait(0.1):
            pages = [
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
                for port in self._ports
            ]
            for deployment, limit in self._limits.items():
                line = rf'^junction_lease_{deployment}_withheld{{.*"{deployment}".*}} (\d+)$'
                found = sum(int(number) for page in pages for number in re.findall(line, page, re.M))
                self.most = max(self.most, found / limit)

    def end(self):
        self._ended.set()
        self.join()
        return self.most


def run_junction(options, redis, rate):
    settings = {"redis_host": "127.0.0.1", "redis_port": redis.port, "num_retries": 0}
    junction = {"shared_usage": {"mode": options.mode, "timeout": options.timeout}}
    with contextlib.ExitStack() as stack:
        routers = [
            stack.enter_context(
                programs.Junction(
                    models(options.rpm, options.tpm), settings, junction, arguments=["--metrics-port", "0"]))
            for _ in range(options.instances)
        ]
        time.sleep(4)
        withheld = Withheld(routers, {"requests": options.rpm, "tokens": options.tpm})
        load = shared.Load(routers, "g", rate, threads=options.threads, max_tokens=10)
        time.sleep(options.seconds)
        calls = load.stop()
        most = withheld.end()
        for router in routers:
            if "not shared" in router.output():
                print("Redis was missed meanwhile:", router.output().strip().splitlines()[-1])
    return calls, most


def run_litellm(options, redis, rate):
    deployments = models(options.rpm, options.tpm)
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(LiteLLM(deployments, redis, options.python, options.strategy))
            for _ in range(options.instances)
        ]
        for process in processes:
            process.begin(rate=rate / options.instances, seconds=options.seconds)
        return [call for process in processes for call in process.end()[0]], 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=["leased", "exact", "litellm"], default="leased")
    parser.add_argument("--instances", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=190)
    parser.add_argument("--rpm", type=int, default=600)
    parser.add_argument("--tpm", type=int, default=7800)
    parser.add_argument("--load", type=float, default=5, help="times what the limits take")
    parser.add_argument("--threads", type=int, default=2, help="callers to an instance")
    parser.add_argument("--timeout", type=float, default=2, help="shared_usage.timeout, in seconds")
    parser.add_argument("--strategy", default="usage-based-routing-v2", help="LiteLLM's")
    parser.add_argument("--python", default=sys.executable, help="with litellm and redis installed")
    options = parser.parse_args()
    rate = options.load * (options.rpm + options.tpm / 13) / 60
    with shared.Redis() as redis:
        calls, withheld = (run_litellm if options.mode == "litellm" else run_junction)(options, redis, rate)
    print(f"{options.mode}: {options.instances} instances, {len(calls)} calls in {options.seconds:.0f} s, "
          f"{len(shared.answered(calls))} answered, {len(shared.failures(calls))} failed otherwise than for a limit")
    for failure in shared.failures(calls)[:3]:
        print("  ", failure.status, failure.details)
    start = min(call.begun for call in calls)
    end = max(call.ended for call in calls)
    over = withheld > MOST_WITHHELD
    for deployment, limit, weight in (
        ("requests", options.rpm, lambda call: 1), ("tokens", options.tpm, lambda call: call.tokens)
    ):
        its = shared.answered(calls, deployment)
        most = shared.most_in_a_minute(its, weight)
        # The mean over all 60 seconds from the start on: each call lies in 60 seconds' worth of them.
        times = ((call, min(end, call.ended + 60) - max(start + 60, call.ended)) for call in its)
        used = sum(weight(call) * max(0, time) for call, time in times) / (end - start - 60) / limit
        over |= most > limit
        print(f"  {deployment}: {most} of {limit} at most in any 60 s ({most / limit - 1:+.1%}), {used:.1%} used")
    if options.mode == "leased":
        print(f"  withheld by leases: {withheld:.1%} of a limit at most, of {MOST_WITHHELD:.0%} that may be")
    sys.exit(2 if over else 0)


if __name__ == "__main__":
    main()
