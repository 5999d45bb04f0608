"""A Redis, a link to it that can break, instances that share it, and a load on them whose every call is kept."""

import collections
import heapq
import json
import signal
import socket
import subprocess
import tempfile
import threading
import time

import grpc
import programs
import stubs


class Redis(programs.Program):
    """A redis-server that keeps nothing; what a replica writes down goes into a folder of its own."""

    def __init__(self, port=0, *arguments):
        self.port = port or free_port()
        self._folder = tempfile.TemporaryDirectory()
        command = ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no",
                   "--dir", self._folder.name, *arguments]
        super().__init__(command, r"Ready to accept connections")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.is_running():
            self.process.kill()
            self.process.wait()
        super().stop()

    def command(self, *words):
        return asked(self.port, *words)


def asked(port, *words):
    """What the server at a port answers to a command."""
    return subprocess.run(
        ["redis-cli", "-p", str(port), *words], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Link:
    """A way to Redis that can swallow what is sent, be cut, and lead elsewhere."""

    def __init__(self, target):
        self.target = target
        self._swallows = threading.Event()
        self._pairs = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        if self._swallows.is_set():
            with self._lock:
                self._pairs.append((near, near))
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            self._pairs.append((near, far))
        threading.Thread(target=self._copy, args=(near, far), daemon=True).start()
        self._copy(far, near)

    def _copy(self, source, sink):
        try:
            while data := source.recv(65536):
                if not self._swallows.is_set():
                    sink.sendall(data)
        except OSError:
            pass
        for it in (source, sink):
            try:
                it.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def swallow(self):
        self._swallows.set()

    def mend(self):
        """Whatever was connected is cut; new connections pass."""
        self._swallows.clear()
        self.cut()

    def cut(self):
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for it in pair:
                try:
                    it.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def lead_to(self, port):
        self.target = port
        self.cut()

    def close(self):
        self._listener.close()
        self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def instance(models, redis, mode, **settings):
    """A router that shares its limits over the Redis at a port, or that keys of `router_settings` name."""
    if isinstance(redis, int):
        redis = {"redis_host": "127.0.0.1", "redis_port": redis}
    settings = {"mode": mode, **settings}
    return programs.Junction(models, {**redis, "num_retries": 0}, {"shared_usage": settings})


Call = collections.namedtuple("Call", "begun ended deployment tokens status details")


class Load:
    """Calls `rate` times a second, evenly over the routers, until stopped. Keeps every call."""

    def __init__(self, routers, model, rate, threads=4, **fields):
        self.calls = []
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(router, model, threads * len(routers) / rate, fields))
            for router in routers
            for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, router, model, pause, fields):
        caller = stubs.Caller(router.address)
        due = time.monotonic() + pause * (hash(threading.get_ident()) % 100) / 100
        while not self._stopped.is_set():
            due = max(due + pause, time.monotonic() - 1)
            self._stopped.wait(max(0, due - time.monotonic()))
            begun = time.monotonic()
            try:
                answer = caller.complete(model, **fields)
                what = (answer.route.deployment_id, answer.usage.total_tokens, "OK", "")
            except grpc.RpcError as error:
                what = ("", 0, error.code().name, error.details())
            self.calls.append(Call(begun, time.monotonic(), *what))
        caller.close()

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        return self.calls

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def answered(calls, deployment=None):
    return [
        call for call in calls if call.status == "OK" and (deployment is None or call.deployment == deployment)
    ]


def failures(calls):
    """Calls that failed otherwise than for a limit."""
    return [call for call in calls if call.status not in ("OK", "RESOURCE_EXHAUSTED")]


def most_in_a_minute(calls, weight=lambda call: 1):
    """The most that certainly lay within some 60 seconds: of calls that began and ended in them."""
    by_end = collections.deque(sorted(calls, key=lambda call: call.ended))
    inside, total, most = [], 0, 0
    for start in sorted(call.begun for call in calls):
        while by_end and by_end[0].ended <= start + 60:
            call = by_end.popleft()
            heapq.heappush(inside, (call.begun, weight(call)))
            total += weight(call)
        while inside and inside[0][0] < start:
            total -= heapq.heappop(inside)[1]
        most = max(most, total)
    return most


def usage(router_file):
    """What `junction usage` says of each deployment, by its id."""
    code, output, errors = programs.command("usage", "--config", router_file, "--json")
    assert code == 0, errors
    return {its["id"]: its for group in json.loads(output) for its in group["deployments"]}
