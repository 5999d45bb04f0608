"""Watches the router's memory over many calls: whole answers, streams, failures with fallback. Exit
code 0 when it stays within 2 MiB and every call was answered well."""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
import programs  # noqa: E402
import stubs  # noqa: E402

MIB = 1 << 20


def main():
    parser = argparse.ArgumentParser(prog="tools/bench/soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000, help="calls of each kind (200,000)")
    options = parser.parse_args()
    programs.raise_file_limit()
    with programs.Upstream(record=0) as upstream:
        groups = [
            upstream.deployment("gpt-4o", "a"),
            upstream.deployment("gpt-4o", "b"),
            upstream.deployment("failing", "status-500"),
            upstream.deployment("standby", "standby"),
        ]
        settings = {
            "num_retries": 1,
            "retry_after": 0,
            "disable_cooldowns": True,
            "fallbacks": [{"failing": ["standby"]}],
        }
        with programs.Junction(groups, settings, threads=2) as router:
            kinds = [
                ("Complete", stubs.COMPLETE, stubs.complete_request()),
                ("Stream", stubs.STREAM, stubs.stream_request()),
                ("Complete by fallback", stubs.COMPLETE, stubs.complete_request("failing")),
            ]
            bad = sum([watch(router, *kind, options.calls) for kind in kinds])
    sys.exit(1 if bad else 0)


def watch(router, name, path, request, calls):
    """Loads with one kind of call, after a tenth of it as warm-up; returns whether something was not right."""
    body = stubs.framed(request)
    good = programs.load(router.port, path, body, calls // 10)["ok"] == calls // 10
    before, _ = router.memory()
    steps = []
    for _ in range(4):
        good &= programs.load(router.port, path, body, calls // 4)["ok"] == calls // 4
        steps.append(router.memory()[0])
    grown = steps[-1] - before
    right = good and abs(grown) <= 2 * MIB
    print(
        f"{name:22} {calls:,} calls: "
        f"{' → '.join(f'{size / MIB:.2f}' for size in [before, *steps])} MiB "
        f"({grown / MIB:+.2f}), peak {router.memory()[1] / MIB:.1f}; {'right' if right else 'WRONG'}"
        + ("" if good else ", not every call was answered well"),
        flush=True,
    )
    return not right


main()
