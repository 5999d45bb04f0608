"""Instances that share limits over one Redis, under more load than the limits take: what they admit together.

  tools/bench/shared --mode leased
  tools/bench/shared --mode exact --instances 8 --seconds 190
  tools/bench/shared --mode litellm --instances 2 --python VENV/bin/python
  tools/bench/shared --mode none --cost      # and leased, exact, litellm: latency and CPU of a call

Starts a redis-server, the instances (mock providers) and the load; then an offline checker goes over the log
of admissions: the most that certainly lay within any 60 seconds, by deployment, and the share of each limit
that was used, on average over all 60 seconds. With --cost the load stays below the limits and each call's
latency and CPU are told. Exit code 2 when more than a limit was admitted. `litellm` is LiteLLM's Router (PyPI)
with usage-based-routing-v2.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tests/EndToEnd"))

import programs  # noqa: E402
import shared  # noqa: E402

LITELLM = r'''
import asyncio, json, os, sys, time
import litellm
from litellm import Router
settings = json.load(open(sys.argv[1]))
async def main():
    router = Router(model_list=settings["models"], redis_host="127.0.0.1", redis_port=settings["redis"],
                    routing_strategy=settings["strategy"], num_retries=0, disable_cooldowns=True)
    calls, tasks = [], set()
    async def one():
        begun = time.monotonic()
        try:
            answer = await router.acompletion("g", [{"role": "user", "content": "Hello"}], max_tokens=10)
            served, tokens = answer._hidden_params["model_id"], answer.usage.total_tokens
            calls.append((begun, time.monotonic(), served, tokens, "OK", ""))
        except Exception as error:
            name = type(error).__name__
            status = "RESOURCE_EXHAUSTED" if "RateLimit" in name else name
            calls.append((begun, time.monotonic(), "", 0, status, str(error)[:200]))
    print("ready", flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    due = time.monotonic()
    end = due + settings["seconds"]
    while due < end:
        due += 1 / settings["rate"]
        await asyncio.sleep(max(0, due - time.monotonic()))
        task = asyncio.create_task(one())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    json.dump({"calls": calls, "cpu": time.process_time() - cpu}, open(sys.argv[2], "w"))
asyncio.run(main())
'''


def models(requests, tokens):
    mock = {"mock_response": "one two three"}
    return [
        programs.deployment("g", id="requests", rpm=requests, **mock),
        programs.deployment("g", id="tokens", tpm=tokens, **mock),
    ]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_junction(options, redis, rate):
    settings = {"redis_host": "127.0.0.1", "redis_port": redis.port, "num_retries": 0}
    junction = {"shared_usage": {"mode": options.mode, "timeout": options.timeout}}
    if options.mode == "none":
        settings, junction = {"num_retries": 0}, None
    with contextlib.ExitStack() as stack:
        routers = [
            stack.enter_context(programs.Junction(models(options.rpm, options.tpm), settings, junction))
            for _ in range(options.instances)
        ]
        time.sleep(4)
        before = [cpu_seconds(router.pid) for router in routers]
        load = shared.Load(routers, "g", rate, threads=options.threads, max_tokens=10)
        time.sleep(options.seconds)
        calls = load.stop()
        cpu = sum(cpu_seconds(router.pid) for router in routers) - sum(before)
        for router in routers:
            if "not shared" in router.output():
                print("Redis was missed meanwhile:", router.output().strip().splitlines()[-1])
    return calls, cpu


def run_litellm(options, redis, rate):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "program.py").write_text(LITELLM)
        settings = {
            "models": models(options.rpm, options.tpm), "redis": redis.port, "seconds": options.seconds,
            "rate": rate / options.instances, "strategy": options.strategy,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        started = [
            subprocess.Popen(
                [options.python, folder / "program.py", folder / "settings.json", folder / f"{number}.json"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            for number in range(options.instances)
        ]
        for process in started:
            while process.stdout.readline().strip() != "ready":
                if process.poll() is not None:
                    raise SystemExit(f"LiteLLM does not run with {options.python}: pip install litellm redis")
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in started:
            process.wait()
        results = [json.loads((folder / f"{number}.json").read_text()) for number in range(options.instances)]
    calls = [shared.Call(*call) for result in results for call in result["calls"]]
    return calls, sum(result["cpu"] for result in results)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=["none", "leased", "exact", "litellm"], default="leased")
    parser.add_argument("--instances", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=190)
    parser.add_argument("--rpm", type=int, default=600)
    parser.add_argument("--tpm", type=int, default=7800)
    parser.add_argument("--load", type=float, default=5, help="times what the limits take")
    parser.add_argument("--cost", action="store_true", help="limits far away; latency and CPU of each call")
    parser.add_argument("--rate", type=float, help="calls a second, in the place of --load")
    parser.add_argument("--threads", type=int, default=2, help="callers to an instance")
    parser.add_argument("--timeout", type=float, default=2, help="shared_usage.timeout, in seconds")
    parser.add_argument("--strategy", default="usage-based-routing-v2", help="LiteLLM's")
    parser.add_argument("--python", default=sys.executable, help="with litellm and redis installed")
    options = parser.parse_args()
    if options.cost:
        options.rpm, options.tpm = 10_000_000, 1_000_000_000
    rate = options.rate or (100 if options.cost else options.load * (options.rpm + options.tpm / 13) / 60)
    with shared.Redis() as redis:
        calls, cpu = (run_litellm if options.mode == "litellm" else run_junction)(options, redis, rate)
        operations = redis.command("info", "commandstats")
    answered = shared.answered(calls)
    print(f"{options.mode}: {options.instances} instances, {len(calls)} calls in {options.seconds:.0f} s, "
          f"{len(answered)} answered, {len(shared.failures(calls))} failed otherwise than for a limit")
    for failure in shared.failures(calls)[:3]:
        print("  ", failure.status, failure.details)
    if options.cost:
        took = sorted(call.ended - call.begun for call in answered)
        print(f"  latency p50 {took[len(took) // 2] * 1e3:.2f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.2f} ms; "
              f"CPU {cpu / len(calls) * 1e6:.0f} µs a call")
        for line in operations.splitlines():
            if line.startswith(("cmdstat_evalsha", "cmdstat_incr", "cmdstat_mget", "cmdstat_get")):
                name, rest = line.split(":", 1)
                count = int(rest.split("calls=")[1].split(",")[0])
                print(f"  Redis: {name[8:]} {count / options.seconds:.1f} a second")
        return
    start = min(call.begun for call in calls)
    end = max(call.ended for call in calls)
    over = False
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
    sys.exit(2 if over else 0)


if __name__ == "__main__":
    main()
