"""Counts what a call and a streamed chunk cost: instructions in user code, and allocations, by callgrind; and the
memory of a router that does nothing. Unlike times these are the same on a busy machine. Fails when one is dearer
than counts.json says by more than 5 %, or when an idle router holds more than 20 MB."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
import programs  # noqa: E402
import stubs  # noqa: E402

COMMITTED = pathlib.Path(__file__).with_name("counts.json")
MARGIN = 0.05
# As the kernel counts resident memory, in units of 1024 bytes.
IDLE_KB_MAX = 20_000
CHUNKS = 64
PROMPT = (
    "You are a careful assistant. Read the following note and answer the question at its end in one or two "
    "sentences. The shop opens at nine and closes at six; on Saturdays it closes at two, and on Sundays it "
    "is not open at all. When would you go there on a Saturday afternoon, and why? "
)
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}
# kind → (path, request, warm-up calls, calls that count, units of a call)
LOADS = {
    "complete": (stubs.COMPLETE, stubs.complete_request, 300, 2000, 1),
    "chunk": (stubs.STREAM, stubs.stream_request, 3, 12, CHUNKS),
}


def callgrind_command(binary, folder):
    """A program that serves under callgrind, by a copy whose debug information it need not read."""
    copy, script = folder / "junctiond", folder / "run"
    subprocess.run(["strip", "--strip-debug", "-o", copy, binary.with_name("junctiond")], check=True)
    script.write_text(
        f'#!/bin/sh\nshift\nexec valgrind --tool=callgrind --callgrind-out-file={folder}/out {copy} "$@"\n'
    )
    script.chmod(0o755)
    # The same code on every machine: simdjson picks what the processor has, Swift hashes by chance.
    os.environ |= {
        "JUNCTION": str(script),
        "SIMDJSON_FORCE_IMPLEMENTATION": "westmere",
        "SWIFT_DETERMINISTIC_HASHING": "1",
    }


class Profile:
    """What callgrind wrote between two dumps: https://valgrind.org/docs/manual/cl-format.html."""

    def __init__(self, path):
        text = path.read_text(errors="replace")
        self.instructions = int(re.search(r"^(?:summary|totals): (\d+)", text, re.M)[1])
        self.allocations = 0
        names, callee, caller = {}, None, None
        for line in text.splitlines():
            if match := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line):
                if match[3]:
                    names[match[2]] = match[3].split("'")[0]
                if match[1]:
                    callee = names[match[2]]
                else:
                    caller = names[match[2]]
            elif line.startswith("calls=") and callee in ALLOCATORS and caller not in ALLOCATORS:
                self.allocations += int(line[6:].split()[0])


def dump(pid, folder):
    before = set(folder.glob("out.*"))
    subprocess.run(["callgrind_control", "--dump", str(pid)], check=True, capture_output=True)

    def written():
        fresh = set(folder.glob("out.*")) - before
        return [path for path in fresh if "totals:" in path.read_text(errors="replace")]

    return programs.eventually(written, "callgrind writes its counts", 60)[0]


def count(binary):
    """kind → {instructions, allocations} of one call, or of one chunk of a stream."""
    counts = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        callgrind_command(binary, folder)
        upstream = programs.Upstream(record=0, chunks=CHUNKS, chunk_interval_ms=8)
        router = None
        try:
            router = programs.Junction([upstream.deployment("gpt-4o-mini")], threads=1, seconds=120)
            for kind, (path, make, warm_up, calls, units) in LOADS.items():
                body = stubs.framed(make("gpt-4o-mini", prompt=PROMPT, temperature=0.7, max_tokens=256))
                for number in (warm_up, calls):
                    start = dump(router.pid, folder)
                    done = programs.load(router.port, path, body, number, connections=1, streams=1)
                    if done["ok"] != number:
                        sys.exit(f"counts: of {number} calls {done['ok']} were answered well: {done}")
                    time.sleep(0.2)
                profile = Profile(dump(router.pid, folder))
                assert start != profile
                counts[kind] = {
                    "instructions": round(profile.instructions / calls / units),
                    "allocations": round(profile.allocations / calls / units, 2),
                }
        finally:
            for program in (router, upstream):
                if program:
                    program.stop()
    return counts


def idle_kb():
    """Resident memory of a router of one deployment that nobody has called."""
    upstream = programs.Upstream(record=0)
    router = None
    try:
        router = programs.Junction([upstream.deployment("gpt-4o-mini")], threads=2)
        status = pathlib.Path(f"/proc/{router.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1])
    finally:
        for program in (router, upstream):
            if program:
                program.stop()


def compare(counts, committed):
    """Prints both; returns whether nothing is too dear."""
    good = True
    print(f"{'':24}{'counted':>12}{'committed':>12}")
    for kind, found in counts.items():
        for what, value in found.items():
            limit = committed[kind][what]
            # Half an allocation a call is a vector that grew, not a new habit.
            isDear = value > limit * (1 + MARGIN) + (0.5 if what == "allocations" else 0)
            good &= not isDear
            note = ""
            if isDear:
                note = f"  dearer by more than {MARGIN:.0%}"
            elif value < limit * (1 - MARGIN):
                note = "  cheaper: commit it with --update"
            print(f"{what + ' a ' + kind:24}{value:12,}{limit:12,}{note}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write what is counted to counts.json")
    options = parser.parse_args()
    binary = pathlib.Path(os.environ.get("JUNCTION", ROOT / ".build/release/junction"))
    os.environ["JUNCTION"] = str(binary)
    idle = idle_kb()
    counts = count(binary)
    if options.update:
        COMMITTED.write_text(json.dumps(counts, indent=2) + "\n")
    good = compare(counts, json.loads(COMMITTED.read_text()))
    print(f"an idle router holds {idle:,} kB, of {IDLE_KB_MAX:,} at most")
    sys.exit(0 if good and idle <= IDLE_KB_MAX else 1)


if __name__ == "__main__":
    main()
