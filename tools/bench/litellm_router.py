"""LiteLLM's Router (PyPI) under load, in a process of its own and with that Python which has it: reads what to
route from a file, then from standard input one line a run; writes what became of each call into a file."""

import asyncio
import json
import sys
import time

from litellm import Router

PROMPT = [{"role": "user", "content": "Hello"}]


async def one(router, calls):
    begun = time.monotonic()
    try:
        answer = await router.acompletion("g", PROMPT, max_tokens=10)
        served, tokens = answer._hidden_params["model_id"], answer.usage.total_tokens
        calls.append((begun, time.monotonic(), served, tokens, "OK", ""))
    except Exception as error:
        name = type(error).__name__
        status = "RESOURCE_EXHAUSTED" if "RateLimit" in name else name
        calls.append((begun, time.monotonic(), "", 0, status, str(error)[:200]))


async def at_rate(router, calls, rate, seconds):
    """Calls come, whether earlier ones have ended or not."""
    due = time.monotonic()
    end, tasks = due + seconds, set()
    while due < end:
        due += 1 / rate
        await asyncio.sleep(max(0, due - time.monotonic()))
        task = asyncio.create_task(one(router, calls))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def at_once(router, calls, concurrency, count):
    """Each call comes when an earlier one has ended."""

    async def caller():
        for _ in range(count // concurrency):
            await one(router, calls)

    await asyncio.gather(*(caller() for _ in range(concurrency)))


async def main():
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    router = Router(num_retries=0, disable_cooldowns=True, **settings)
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        run = json.loads(line)
        calls, cpu = [], time.process_time()
        await (at_rate if "rate" in run else at_once)(router, calls, **run)
        cpu = time.process_time() - cpu
        with open(sys.argv[2], "w") as file:
            json.dump({"calls": calls, "cpu": cpu}, file)
        print("ready", flush=True)


asyncio.run(main())
