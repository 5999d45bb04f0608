"""Redis under load is killed, stopped, emptied, cut off, replaced: no call fails for it, the counters agree again
within a window, and nothing passes a limit but by the part that an instance may take while it is alone."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import uuid

import pytest
import shared
from programs import Background, Program, Upstream, eventually

MODES = ["exact", "leased"]
TIGHT = 60
FIELDS = {"max_tokens": 10}
# Seconds after which what was used has left: the window, its bucket, and the second that blocks go ahead.
WINDOW = 62
# What passes of a limit within a minute of trouble: instances that are alone reckon that what the others had used
# leaves evenly, and do not know what these took since they were heard last.
OVER = 1.5


class Sentinel(Program):
    """Watches a server and makes its replica the master when it is gone."""

    def __init__(self, master):
        self.port = shared.free_port()
        self._folder = tempfile.TemporaryDirectory()
        path = os.path.join(self._folder.name, "sentinel.conf")
        with open(path, "w") as file:
            file.write(
                f"port {self.port}\ndir {self._folder.name}\nsentinel monitor main 127.0.0.1 {master} 1\n"
                "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
            )
        super().__init__(["redis-server", path, "--sentinel"], r"\+monitor master main")

    def command(self, *words):
        return shared.asked(self.port, *words)


class Namespace:
    """A network namespace with a link to it whose packets can be dropped without either end hearing of it."""

    def __init__(self):
        self.name = f"jn{uuid.uuid4().hex[:8]}"
        self._near, self._far = self.name + "a", self.name + "b"
        number = int(self.name[2:6], 16)
        self._network = f"10.{200 + number % 50}.{number // 256}"
        self.address = f"{self._network}.2"
        try:
            for line in (
                f"netns add {self.name}",
                f"link add {self._near} type veth peer name {self._far} netns {self.name}",
                f"addr add {self._network}.1/24 dev {self._near}",
                f"link set {self._near} up",
                f"-n {self.name} addr add {self.address}/24 dev {self._far}",
                f"-n {self.name} link set {self._far} up",
                f"-n {self.name} link set lo up",
            ):
                self._ip(line)
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', '') or error}")

    @staticmethod
    def _ip(line):
        subprocess.run(["ip", *line.split()], check=True, capture_output=True, text=True)

    def cut(self):
        """Frames go to an address that nobody has."""
        nobody = "lladdr 02:00:00:00:00:99 nud permanent"
        self._ip(f"neigh replace {self.address} dev {self._near} {nobody}")
        self._ip(f"-n {self.name} neigh replace {self._network}.1 dev {self._far} {nobody}")

    def mend(self):
        self._ip(f"neigh del {self.address} dev {self._near}")
        self._ip(f"-n {self.name} neigh del {self._network}.1 dev {self._far}")

    def close(self):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            self._ip(f"netns del {self.name}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class World:
    """Two instances with one Redis and two providers of one model group; one has a limit that the load would pass,
    the other takes all the rest, so that every call has to succeed."""

    def __init__(self, start, mode, redis):
        self.mode = mode
        self.providers = {
            name: start(Upstream, record=1, prompt_tokens=10, completion_tokens=5) for name in ("tight", "wide")
        }
        self.models = [
            self.providers[name].deployment("g", id=name, rpm=limit, weight=1)
            for name, limit in (("tight", TIGHT), ("wide", 30_000))
        ]
        self.routers = [start(lambda: shared.instance(self.models, redis, mode)) for _ in range(2)]

    def say(self, text):
        return [router.output().count(text) for router in self.routers]

    def misses_redis(self):
        eventually(lambda: all(self.say("usage is not shared")), "it is missed")

    def counted(self):
        """By deployment: what Redis has counted, and what the provider has answered."""
        usage = shared.usage(self.routers[0].file.name)
        return {
            name: (usage[name]["requests"], provider.stats()["answered_whole"])
            for name, provider in self.providers.items()
        }

    def agrees(self):
        # Never less than was used. What was granted and whose answer was lost is counted beside it until its minute
        # is over: each time that an instance missed Redis or was stopped, a call of each of its callers, and with
        # leases their blocks too.
        lost = (1 + sum(self.say("usage is not shared"))) * (20 if self.mode == "leased" else 2)
        return all(0 <= redis - provider <= lost for redis, provider in self.counted().values())

    def agrees_exactly_a_window_after(self, moment):
        """What was lost has left with all else of its time: what has been used since is all that is counted."""
        time.sleep(max(0, moment + WINDOW - 10 - time.monotonic()))
        before = {name: provider for name, (_, provider) in self.counted().items()}
        with shared.Load(self.routers, "g", rate=10, threads=2, **FIELDS):
            time.sleep(2)
        eventually(
            lambda: all(its == provider - before[name] for name, (its, provider) in self.counted().items()),
            lambda: f"Redis, providers: {self.counted()}, providers before: {before}")

    def under_load(self, trouble):
        """Loads the instances, lets the trouble happen, and judges what became of the calls."""
        eventually(lambda: all(self.say("listening")), "all listen")
        with shared.Load(self.routers, "g", rate=30, threads=2, **FIELDS) as load:
            time.sleep(1.5)
            trouble()
            # Together again, or never apart.
            eventually(
                lambda: self.say("usage is not shared") == self.say("usage is shared again"),
                "they share again", 30)
            eventually(lambda: len(load.calls) > 4 * TIGHT, "the load is well above the limit", 60)
        calls = load.stop()
        stopped = time.monotonic()
        assert not [call for call in calls if call.status != "OK"], [c for c in calls if c.status != "OK"][:3]
        eventually(self.agrees, lambda: f"Redis, providers: {self.counted()}")
        most = shared.most_in_a_minute(shared.answered(calls, "tight"))
        assert most <= TIGHT * OVER, most
        assert most > TIGHT / 3, "it is used while all this happens"
        for router in self.routers:
            assert router.output().count("usage is not shared") < 10, "it is said once, not with every call"
        return stopped


def at(port, host="127.0.0.1"):
    return {"redis_host": host, "redis_port": port}


@pytest.mark.parametrize("mode", MODES)
def test_killed_and_started_again_with_nothing(start, mode):
    redis = start(shared.Redis)
    world = World(start, mode, at(redis.port))

    def trouble():
        redis.kill()
        world.misses_redis()
        time.sleep(2)
        start(shared.Redis, redis.port)

    world.under_load(trouble)
    assert all(world.say("usage is not shared"))


@pytest.mark.parametrize("mode", MODES)
def test_emptied_within_a_moment(start, mode):
    redis = start(shared.Redis)
    world = World(start, mode, at(redis.port))
    world.under_load(lambda: redis.command("flushall"))


@pytest.mark.parametrize("mode", MODES)
def test_stopped_for_ten_seconds(start, mode):
    redis = start(shared.Redis)
    world = World(start, mode, at(redis.port))

    def trouble():
        redis.pause()
        world.misses_redis()
        time.sleep(10)
        redis.go_on()

    world.agrees_exactly_a_window_after(world.under_load(trouble))


@pytest.mark.parametrize("mode", MODES)
def test_an_instance_is_stopped_and_taken_for_dead(start, mode):
    redis = start(shared.Redis)
    world = World(start, mode, at(redis.port))
    members = lambda: redis.command("zcard", "junction:{g}:members")  # noqa: E731

    def trouble():
        world.routers[0].process.send_signal(signal.SIGSTOP)
        eventually(lambda: members() == "1", "it is taken for dead", 20)
        world.routers[0].process.send_signal(signal.SIGCONT)
        eventually(lambda: members() == "2", "it is back")

    world.under_load(trouble)


@pytest.mark.parametrize("mode", MODES)
def test_its_packets_are_dropped(start, mode):
    namespace = start(Namespace)
    port = shared.free_port()
    redis = start(
        Program,
        ["ip", "netns", "exec", namespace.name, "redis-server", "--port", str(port), "--save", "",
         "--appendonly", "no", "--bind", namespace.address, "--protected-mode", "no"],
        r"Ready to accept connections",
    )  # fmt: skip
    world = World(start, mode, at(port, namespace.address))

    def trouble():
        namespace.cut()
        world.misses_redis()
        time.sleep(5)
        namespace.mend()

    world.under_load(trouble)
    assert redis.is_running()


@pytest.mark.parametrize("mode", MODES)
def test_a_sentinel_promotes_the_replica(start, mode):
    redis = start(shared.Redis)
    replica = start(shared.Redis, 0, "--replicaof", "127.0.0.1", str(redis.port))
    eventually(lambda: "master_link_status:up" in replica.command("info", "replication"), "it follows")
    sentinel = start(Sentinel, redis.port)
    eventually(lambda: str(replica.port) in sentinel.command("sentinel", "replicas", "main"), "it is known", 30)
    world = World(
        start, mode,
        {"redis_sentinel_nodes": [["127.0.0.1", sentinel.port]], "redis_service_name": "main"})

    def is_promoted():
        # With that, whoever is connected is cut off.
        with contextlib.suppress(subprocess.CalledProcessError):
            return "role:master" in replica.command("info", "replication")

    def trouble():
        redis.kill()
        eventually(is_promoted, "it is promoted", 30)

    world.under_load(trouble)


@pytest.mark.parametrize("mode", MODES)
def test_refused_without_redis_where_that_is_asked_and_served_again_after(start, caller_of, mode):
    redis = start(shared.Redis)
    provider = start(Upstream)
    models = [provider.deployment("g", id="d", rpm=1000)]
    router = start(lambda: shared.instance(models, redis.port, mode, fail_closed=True))
    caller = caller_of(router)

    def status():
        try:
            caller.complete("g", **FIELDS)
        except shared.grpc.RpcError as error:
            return error.code().name, "grpc-retry-pushback-ms" in dict(error.trailing_metadata())
        return "OK", False

    eventually(lambda: status()[0] == "OK", "it is answered once Redis is joined")
    redis.kill()
    eventually(lambda: status() == ("UNAVAILABLE", True), "it is refused, with when to come again")
    answered = provider.stats()["answered_whole"]
    for _ in range(10):
        assert status() == ("UNAVAILABLE", True)
    assert provider.stats()["answered_whole"] == answered, "nothing passes while Redis is gone"
    start(shared.Redis, redis.port)
    eventually(lambda: status()[0] == "OK", "it is served again")


@pytest.mark.parametrize("mode", MODES)
def test_what_a_crashed_instance_held_returns(start, caller_of, mode):
    redis = start(shared.Redis)
    provider = start(Upstream, latency_ms=60_000)
    models = [
        provider.deployment("held", id="held", max_parallel_requests=2),
        provider.deployment("g", id="d", rpm=40, mock_response="one two three"),
    ]
    routers = [start(lambda: shared.instance(models, redis.port, mode)) for _ in range(2)]
    for group in ("held", "g"):
        # Until its first report is heard an instance keeps to its part, one place in flight.
        key = f"junction:{{{group}}}:told:*"
        eventually(lambda: redis.command("keys", key).count("told") == 2, "both have joined and reported")
    with shared.Load(routers[:1], "g", rate=40, **FIELDS):
        for _ in range(2):
            Background(lambda: caller_of(routers[0]).error("held", **FIELDS))
        eventually(lambda: shared.usage(routers[0].file.name)["held"]["parallel"] == 2, "both places are held")
        eventually(lambda: shared.usage(routers[0].file.name)["d"]["requests"] > 10, "its calls count")
        routers[0].process.kill()
        killed = time.monotonic()
    usage = lambda name: shared.usage(routers[1].file.name)[name]  # noqa: E731
    eventually(lambda: usage("held")["parallel"] == 0, "places in flight are free", 14)
    assert time.monotonic() - killed > 8, "not before it is known to be gone"
    eventually(lambda: usage("d")["requests"] == 0, "what it used and was granted has left", 63)
