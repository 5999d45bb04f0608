"""LiteLLM's Router (PyPI) in a process of its own, with a Python that has it: started, given calls to make, and asked
what became of them."""

import json
import os
import subprocess
import sys
import tempfile

import measuring  # noqa: F401  finds what follows
import shared


class LiteLLM:
    """One process with one Router. `redis` None: without it."""

    def __init__(self, models, redis, python, strategy, core=None):
        settings = {"model_list": models, "routing_strategy": strategy}
        if redis:
            settings |= {"redis_host": "127.0.0.1", "redis_port": redis.port}
        self._folder = tempfile.TemporaryDirectory()
        self._results = os.path.join(self._folder.name, "results.json")
        path = os.path.join(self._folder.name, "settings.json")
        with open(path, "w") as file:
            json.dump(settings, file)
        program = os.path.join(os.path.dirname(__file__), "litellm_router.py")
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        self._process = subprocess.Popen(
            [*pinned, python, program, path, self._results], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"})
        self._wait()

    def _wait(self):
        for line in self._process.stdout:
            if line.strip() == "ready":
                return
        sys.exit(f"LiteLLM does not run with {self._process.args[-4]}: pip install litellm redis")

    def begin(self, **run):
        self._process.stdin.write(json.dumps(run) + "\n")
        self._process.stdin.flush()

    def end(self):
        """The calls of the run, and the seconds of CPU they took."""
        self._wait()
        with open(self._results) as file:
            results = json.load(file)
        return [shared.Call(*call) for call in results["calls"]], results["cpu"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
        self._folder.cleanup()
