"""Starts and stops the programs that the suite and the benchmark run: the router, stand-in providers, a
Redis server, the loading caller. Each listens on a free port of its own; waiting is for conditions."""

import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARIES = ["-lnghttp2"]
SOURCES = {"upstream": "tools/upstream/*.c", "caller": "tools/bench/caller/*.c"}


def junction_binary():
    """The router under test: $JUNCTION, else the debug build."""
    path = pathlib.Path(os.environ.get("JUNCTION", ROOT / ".build/debug/junction"))
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}: run `swift build` first, or set JUNCTION to the built program"
        )
    return str(path)


def built(name):
    """A C program of tools/, compiled when its sources are newer than it."""
    sources = sorted(ROOT.glob(SOURCES[name]))
    headers = [header for source in sources for header in source.parent.glob("*.h")]
    program = ROOT / ".build/outside" / name
    newest = max(path.stat().st_mtime for path in sources + headers)
    if not program.exists() or program.stat().st_mtime < newest:
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        command = ["cc", "-O2", "-Wall", "-Wextra", "-o", fresh, *sources, *LIBRARIES]
        subprocess.run(command, check=True)
        fresh.rename(program)
    return str(program)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition, what, seconds=20.0):
    """Waits until `condition()` is true and returns its value; fails saying `what` when it does not come."""
    give_up = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"did not happen within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


class Program:
    """A process of ours. Its output, both kinds, is kept in `output()` and shown when it does not start."""

    def __init__(self, command, ready, environment=None, core=None, seconds=30):
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        self._file = tempfile.NamedTemporaryFile(prefix="junction-test-", suffix=".log", delete=False)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        pattern = re.compile(ready)

        def says_ready():
            found = pattern.search(self.output())
            if not found and self.process.poll() is not None:
                raise AssertionError(f"{command[0]} ended with {self.process.returncode}:\n{self.output()}")
            return found

        try:
            self.ready = eventually(says_ready, lambda: f"{ready} from {command}: {self.output()}", seconds)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        return pathlib.Path(self._file.name).read_text(errors="replace")

    def memory(self):
        """Resident memory in bytes: now, and at its peak."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return tuple(int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) * 1024 for key in ("VmRSS", "VmHWM"))

    def is_running(self):
        return self.process.poll() is None

    def terminate(self, seconds=30):
        """Asks it to end and returns its exit code."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def stop(self):
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._file.close()
        pathlib.Path(self._file.name).unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Upstream(Program):
    """A stand-in provider; tools/upstream/README.md has its options, scripts and counters."""

    def __init__(self, core=None, **options):
        arguments = [
            text for name, value in options.items() for text in ("--" + name.replace("_", "-"), str(value))
        ]
        super().__init__([built("upstream"), *arguments], r"listening on (\d+)\n", core=core)
        self.port = int(self.ready[1])
        self.base = f"http://127.0.0.1:{self.port}/v1"

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def stats(self):
        return self._get("/stats")

    def requests(self, last=None):
        """The requests it got, oldest first; headers as a mapping with lower-case names."""
        found = self._get("/requests" + (f"?last={last}" if last is not None else ""))
        return [
            {**request, "headers": {name.lower(): value for name, value in request["headers"]}}
            for request in found
        ]

    def bodies(self):
        return [json.loads(request["body"]) for request in self.requests()]

    def set(self, **options):
        assert self._get("/options?" + "&".join(f"{k.replace('_', '-')}={v}" for k, v in options.items()))[
            "ok"
        ]

    def reset(self):
        """Sets the counters to zero."""
        eventually(lambda: self.stats()["open_calls"] == 0, "all calls of the stand-in end")
        self._get("/stats?reset")

    def deployment(self, group, model="gpt-4o", id=None, **parameters):
        """An entry of `model_list` that leads here. `model` may be a script."""
        return deployment(group, model, id, api_base=self.base, **parameters)


def deployment(group, model="gpt-4o", id=None, **parameters):
    entry = {
        "model_name": group,
        "litellm_params": {"model": f"openai/{model}", "api_key": "sk-configured", **parameters},
    }
    return {**entry, "model_info": {"id": id}} if id else entry


class Junction(Program):
    """A router that serves a configuration made of `model_list` entries and settings."""

    def __init__(
        self,
        model_list,
        router_settings=None,
        junction_settings=None,
        threads=1,
        core=None,
        environment=None,
        arguments=(),
        seconds=30,
    ):
        configuration = {"model_list": model_list}
        if router_settings:
            configuration["router_settings"] = router_settings
        if junction_settings:
            configuration["junction_settings"] = junction_settings
        self.file = tempfile.NamedTemporaryFile("w", prefix="junction-test-", suffix=".yaml", delete=False)
        json.dump(configuration, self.file, indent=2)  # JSON is YAML
        self.file.close()
        command = [
            junction_binary(),
            "serve",
            "--config",
            self.file.name,
            "--port",
            "0",
            "--threads",
            str(threads),
        ]
        super().__init__([*command, *arguments], r"listening on (\S+):(\d+)\n", environment, core, seconds)
        self.port = int(self.ready[2])
        self.address = f"127.0.0.1:{self.port}"

    def stop(self):
        super().stop()
        pathlib.Path(self.file.name).unlink(missing_ok=True)


def command(*arguments, environment=None, input=None, seconds=60):
    """Runs `junction` with arguments and returns (exit code, standard output, standard error)."""
    done = subprocess.run(
        [junction_binary(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        input=input or "",
        env={**os.environ, **(environment or {})},
    )
    return done.returncode, done.stdout, done.stderr


def _caller(file, port, path, calls, connections, streams):
    values = {"port": port, "path": path, "body": file, "calls": calls, "connections": connections,
              "streams": streams}  # fmt: skip
    return [built("caller"), *(str(part) for name, value in values.items() for part in ("--" + name, value))]


def load(
    port, path, body, calls, connections=8, streams=8, protocol="grpc", header=None, core=None, seconds=300
):
    """Runs the loading caller and returns its counts; `ok` says how many calls were answered well.
    `protocol` is grpc, or http2 or http1 for a plain POST."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        command = _caller(file.name, port, path, calls, connections, streams) + ["--timeout", str(seconds)]
        if protocol != "grpc":
            command.append({"http2": "--http", "http1": "--http1"}[protocol])
        if header:
            command += ["--header", header]
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    if not done.stdout:
        raise AssertionError(f"caller: {done.stderr}")
    return json.loads(done.stdout)


def h2load(port, path, body, calls, connections, core=None):
    """Runs nghttp2's load tool, one gRPC call at a time on each connection; returns how long each took, in
    microseconds, sorted."""
    with tempfile.NamedTemporaryFile() as file, tempfile.NamedTemporaryFile("r") as log:
        file.write(body)
        file.flush()
        command = [
            "h2load", "-n", str(calls), "-c", str(connections), "-m", "1", "-d", file.name,
            "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-timeout: 60000m",
            "--log-file", log.name,
            f"http://127.0.0.1:{port}{path}",
        ]  # fmt: skip
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        rows = [line.split("\t") for line in log]
    assert len(rows) == calls and all(row[1] == "200" for row in rows), done.stdout + done.stderr
    return sorted(int(row[2]) for row in rows)


class OpenCalls(Program):
    """So many calls, each of which has got its first bytes; they stay open until this is stopped."""

    def __init__(self, port, path, body, calls, core=None):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(body)
        self.file.flush()
        streams = min(calls, 100)
        command = _caller(self.file.name, port, path, calls, -(-calls // streams), streams)
        super().__init__([*command, "--hold", "--timeout", "3600"], rf"holding {calls}\n", core=core, seconds=300)

    def stop(self):
        super().stop()
        self.file.close()


class Background(threading.Thread):
    """Runs a function in a thread of its own; `result()` gives what it returned or raised."""

    def __init__(self, function, *arguments, **named):
        super().__init__(daemon=True)
        self._call = lambda: function(*arguments, **named)
        self._value = self._error = None
        self.start()

    def run(self):
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    def result(self, seconds=120):
        self.join(seconds)
        assert not self.is_alive(), "still running"
        if self._error:
            raise self._error
        return self._value


def raise_file_limit():
    """Lets this process, and what it starts, open as many files as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
