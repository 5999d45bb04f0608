"""Fixtures: programs that end with their test, and one router with a provider that most tests share."""

import contextlib

import programs
import pytest
import stubs


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "measured: compares sizes of memory or loads heavily; left out under sanitizers"
    )
    programs.raise_file_limit()


@pytest.fixture
def start():
    """Starts a program, ended after the test: `start(Upstream, chunks=3)`."""
    with contextlib.ExitStack() as stack:

        def started(kind, *arguments, **named):
            return stack.enter_context(kind(*arguments, **named))

        yield started


@pytest.fixture
def caller_of():
    """A stock client of a router, closed after the test."""
    with contextlib.ExitStack() as stack:

        def made(router, **options):
            caller = stubs.Caller(router.address, **options)
            stack.callback(caller.close)
            return caller

        yield made


# Model groups of the shared router: any name that is a script of the stand-in, one deployment each.
SCRIPTS = [
    "chunks-64",
    "tools",
    "crlf+chunks-5",
    "no-done+chunks-3",
    "drip-7+chunks-4",
    "no-usage+chunks-4",
    "size-2000+chunks-3",
    "slow-300",
    "chunks-200+interval-20",
    "status-400",
    "status-401",
    "status-401-echo",
    "status-403",
    "status-404",
    "status-408",
    "status-409",
    "status-422",
    "status-429",
    "status-429-retry-7",
    "status-500",
    "status-503",
    "quota",
    "context",
    "content-policy",
    "malformed",
    "empty",
    "close",
    "reset",
    "stall",
    "cut-0",
    "cut-3",
    "role-only-then-cut",
    "error-in-stream",
    "error-in-stream-2",
]


@pytest.fixture(scope="session")
def shared_upstream():
    with programs.Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def shared_router(shared_upstream):
    groups = [shared_upstream.deployment("gpt-4o", "gpt-4o", "main")]
    groups += [shared_upstream.deployment(script, script, f"only-{script}") for script in SCRIPTS]
    settings = {"num_retries": 0, "disable_cooldowns": True, "timeout": 20}
    with programs.Junction(groups, settings) as router:
        yield router
        assert router.is_running(), f"the router ended during the tests:\n{router.output()}"


@pytest.fixture
def upstream(shared_upstream):
    """The shared stand-in provider, its counters at zero."""
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture
def router(shared_router):
    """A router whose groups are named for what their one deployment does; no retries, no cooldowns."""
    assert shared_router.is_running(), f"the router has ended:\n{shared_router.output()}"
    return shared_router


@pytest.fixture
def caller(router, caller_of):
    return caller_of(router)
