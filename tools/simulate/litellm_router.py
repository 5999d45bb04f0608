"""LiteLLM's own Router in the five worlds of Comparison.swift, in virtual time: the tables of litellm.md.

    python3 -m venv /tmp/litellm && /tmp/litellm/bin/pip install litellm==1.80.0 time-machine
    /tmp/litellm/bin/python tools/simulate/litellm_router.py --scale 0.1 --seed 1 --junction .build/release/junction

The Router is the one from PyPI, unchanged: only the clock and the providers are ours. The event loop jumps to
its next timer instead of waiting, and `time.time` and `datetime.now` follow it. Later releases (seen with 1.110.2)
keep their cooldowns in a core written in Rust, which has a clock of its own: there they last for hundreds of
virtual seconds, so such a release is refused. A provider counts its fixed minutes as SimulatedProvider.swift does.
Rates and limits are scaled alike, as the table's are. Each run has a process of its own, since LiteLLM keeps state
in its modules. `--junction` puts Junction's own rows beside them.
"""
import argparse
import asyncio
import collections
import contextvars
import logging
import math
import multiprocessing
import os
import random
import subprocess

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # There is nothing to fetch it from.

import litellm
import time_machine
from litellm import CustomLLM, ModelResponse, Router

litellm.suppress_debug_info = True
litellm.telemetry = False
logging.disable(logging.CRITICAL)

STRATEGIES = [
    "usage-based-routing-v2", "usage-based-routing", "simple-shuffle", "least-busy",
    "latency-based-routing", "cost-based-routing",
]
WORLDS = ["steady", "burst", "one slow", "half down", "uneven limits"]
SECONDS, DEADLINE, PROMPT_MEDIAN, MAX_TOKENS = 600, 30, 300, 400
START = 1_800_000_000 // 60 * 60


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that does not wait: with nothing to do it is the time of its next timer."""

    now = 0.0

    def time(self):
        return self.now

    def run_in_executor(self, executor, function, *arguments):
        """At once: a thread would take real time, of which there is none here."""
        done = self.create_future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    def _run_once(self):
        if not self._ready and self._scheduled:
            due = self._scheduled[0]._when
            if due > self.now:
                self.now = due
                self.clock.move_to(START + due, tick=False)
        super()._run_once()


def log_normal(median, p99, chance):
    return median * math.exp(chance.gauss(0, 1) * math.log(p99 / median) / 2.3263479)


class Provider:
    """The far end of one deployment."""

    def __init__(self, tokens, requests, slow=False, outage=None):
        self.limits = (tokens, requests)
        self.first, self.rest = ((4, 20), (0.12, 0.3)) if slow else ((0.4, 2), (0.012, 0.03))
        self.outage = outage
        self.minutes = collections.defaultdict(lambda: [0, 0])  # Tokens, requests let in.

    async def ask(self, prompt, completion, loop, chance):
        """Seconds to the first token and of the rest; raises as a provider fails."""
        minute = self.minutes[int(loop.now // 60)]
        if self.outage and 120 <= loop.now < 360:
            if self.outage == "timeout":
                await asyncio.sleep(1_000_000)
            await asyncio.sleep(0.05)
            raise litellm.InternalServerError("the provider failed", "simulated", "m")
        if minute[1] >= self.limits[1] or minute[0] + prompt + completion > self.limits[0]:
            await asyncio.sleep(0.05)
            wait = str(int(60 - loop.now % 60) + 1)
            response = litellm.httpx.Response(
                429, headers={"retry-after": wait}, request=litellm.httpx.Request("POST", "http://simulated"))
            raise litellm.RateLimitError("over the limit", "simulated", "m", response=response)
        minute[0] += prompt + completion
        minute[1] += 1
        return log_normal(*self.first, chance), log_normal(*self.rest, chance) * completion

    def over(self):
        return sum(max(0, tokens - self.limits[0]) for tokens, _ in self.minutes.values())


# How often the call at hand has asked a provider.
attempts = contextvars.ContextVar("attempts")


class Simulated(CustomLLM):
    """The simulated providers as LiteLLM sees them."""

    def __init__(self, providers, loop, chance):
        super().__init__()
        self.providers, self.loop, self.chance = providers, loop, chance

    async def acompletion(self, model, messages, optional_params, timeout=None, **_):
        attempts.get()[0] += 1
        prompt, completion = size_of(messages)
        provider = self.providers[model]

        async def answer():
            first, rest = await provider.ask(prompt, completion, self.loop, self.chance)
            await asyncio.sleep(first + rest)

        await within(timeout, answer())
        response = ModelResponse(model=model)
        response.choices[0].message.content = "yes"
        response.usage = litellm.Usage(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
        return response

    async def astreaming(self, model, messages, optional_params, timeout=None, **_):
        attempts.get()[0] += 1
        prompt, completion = size_of(messages)
        first, rest = await within(
            timeout, self.providers[model].ask(prompt, completion, self.loop, self.chance))
        await within(timeout, asyncio.sleep(first))
        yield piece("yes")
        await asyncio.sleep(rest)
        yield piece("", last={
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})


def piece(text, last=None):
    return {"text": text, "is_finished": last is not None, "finish_reason": "stop" if last else "",
            "usage": last, "index": 0, "tool_use": None}


async def within(seconds, job):
    try:
        return await asyncio.wait_for(job, seconds if isinstance(seconds, (int, float)) else DEADLINE)
    except asyncio.TimeoutError:
        raise litellm.Timeout("no answer in time", "m", "simulated") from None


def size_of(messages):
    """The sizes travel in the message, behind as many words as the prompt has tokens."""
    prompt, completion = messages[0]["content"].rsplit(" ", 2)[1:]
    return int(prompt), int(completion)


def arrivals(world, scale, chance):
    sources = [(60, 0, SECONDS)]
    if world == "burst":
        sources += [(400, minute * 60, minute * 60 + 10) for minute in range(1, 10, 2)]
    for rate, start, end in sources:
        at = start + chance.expovariate(rate * scale)
        while at < end:
            yield at
            at += chance.expovariate(rate * scale)


def providers_of(world, scale):
    room = [6, 12, 25, 60] if world == "uneven limits" else [30] * 4
    return [
        Provider(
            int(calls * 60 * 900 * scale), int(calls * 60 * scale), slow=world == "one slow" and index == 0,
            outage=["failure", "timeout"][index] if world == "half down" and index < 2 else None)
        for index, calls in enumerate(room)
    ]


def run(world, strategy, scale, seed):
    """One world under one strategy, as a row of the table."""
    chance = random.Random(f"{seed} {world}")
    providers = providers_of(world, scale)
    with time_machine.travel(START, tick=False) as clock:
        loop = VirtualLoop()
        loop.clock = clock
        asyncio.set_event_loop(loop)
        handler = Simulated({f"d{index}": provider for index, provider in enumerate(providers)}, loop, chance)
        litellm.custom_provider_map = [{"provider": "simulated", "custom_handler": handler}]
        litellm.provider_list.append("simulated")
        litellm._custom_providers.append("simulated")
        router = Router(
            model_list=[
                {
                    "model_name": "m",
                    "litellm_params": {
                        "model": f"simulated/d{index}", "tpm": provider.limits[0], "rpm": provider.limits[1],
                        "input_cost_per_token": 1e-6 * (index + 1),
                        "output_cost_per_token": 4e-6 * (index + 1)},
                    "model_info": {"id": f"d{index}"},
                }
                for index, provider in enumerate(providers)
            ],
            routing_strategy=strategy, num_retries=2, timeout=DEADLINE)
        times, counts = [], collections.Counter()

        async def call(at):
            await asyncio.sleep(at)
            prompt = max(1, round(log_normal(PROMPT_MEDIAN, 1_500, chance)))
            completion = min(MAX_TOKENS, max(1, round(log_normal(100, 400, chance))))
            content = "word " * prompt + f"{prompt} {completion}"
            leaves = chance.random() < 0.01
            arrived = loop.now
            made = [0]
            attempts.set(made)
            try:
                await asyncio.wait_for(
                    ask(content, streams=chance.random() < 0.5), 5 if leaves else DEADLINE)
                times.append(loop.now - arrived)
                counts["answered"] += 1
            except asyncio.TimeoutError:
                counts["left" if leaves else "failed"] += 1
            except Exception as error:
                counts["failed"] += 1
                counts[type(error).__name__] += 1
            counts["retries"] += max(0, made[0] - 1)

        async def ask(content, streams):
            answer = await router.acompletion(
                model="m", messages=[{"role": "user", "content": content}], stream=streams,
                max_tokens=MAX_TOKENS)
            if streams:
                async for _ in answer:
                    pass

        async def everyone():
            await asyncio.gather(*(call(at) for at in arrivals(world, scale, chance)))

        loop.run_until_complete(everyone())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    asked = counts["answered"] + counts["failed"]
    times.sort()
    retries = counts["retries"] / max(1, len(times) + counts["failed"] + counts["left"])
    over = sum(provider.over() for provider in providers)
    return (
        f"| LiteLLM `{strategy}` | {100 * counts['answered'] / asked:.2f} % | {times[len(times) // 2]:.2f} s"
        f" | {times[len(times) * 99 // 100]:.2f} s | {retries:.3f} | – | {over} |"
    )


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--scale", type=float, default=0.1)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--world", choices=WORLDS, action="append")
    options.add_argument("--strategy", choices=STRATEGIES, action="append")
    options.add_argument("--junction", help="the program, for its own rows")
    arguments = options.parse_args()
    if os.path.isdir(os.path.join(os.path.dirname(litellm.__file__), "router_rust")):
        options.error("this LiteLLM's Router has a clock of its own: pip install litellm==1.80.0")
    scale, seed = arguments.scale, arguments.seed
    own = rows_of_junction(arguments.junction, scale, seed) if arguments.junction else {}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for world in arguments.world or WORLDS:
            print(f"\n## {world}\n\n| strategy | served | p50 | p99 | retries | cost | over |")
            print("|---|---|---|---|---|---|---|")
            for strategy in arguments.strategy or STRATEGIES:
                print(pool.apply(run, (world, strategy, scale, seed)), flush=True)
            for row in own.get(world, []):
                print(row.replace("| `", "| Junction `", 1))


def rows_of_junction(program, scale, seed):
    """The rows of Junction's table, by world."""
    table = subprocess.run(
        [program, "simulate", "--table", "--scale", str(scale), "--seed", str(seed)],
        check=True, capture_output=True, text=True).stdout
    rows, world = {}, None
    for line in table.splitlines():
        if line.startswith("## "):
            world = line[3:]
        elif line.startswith("| `"):
            rows.setdefault(world, []).append(line)
    return rows


if __name__ == "__main__":
    main()
