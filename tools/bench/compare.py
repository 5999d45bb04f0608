"""Measures what a call and a streamed chunk cost the router and its peers: all in one run, on one machine, in
front of one provider. Reports nothing when a status, a byte count or the provider's own count of calls
disagrees. Says which peers are not on this machine."""

import argparse
import json
import os
import pathlib
import statistics
import sys

from measuring import LOAD_CORE, ROOT, SERVER_CORE, Disagreement, measure, memory
import machine
import page
import peers
import programs

# What is measured of each peer: the key in the JSON, its title, how it is written.
MEASURES = [
    ("cpu_us_per_call", "CPU µs a call", ",.1f"),
    ("cpu_us_per_chunk", "CPU µs a chunk", ",.1f"),
    ("calls_per_second", "calls/s, one core", ",.0f"),
    ("p50_us", "p50 µs", ",.0f"),
    ("p99_us", "p99 µs", ",.0f"),
    ("added_p50_us", "added p50", ",.0f"),
    ("added_p99_us", "added p99", ",.0f"),
    ("rss_mib", "peak RSS MiB", ",.1f"),
]


class Load:
    """How much of each kind of call is made of a peer in one run, so that a run takes about as long for all."""

    def __init__(self, peer, upstream, seconds):
        self.peer, self.upstream = peer, upstream
        calls = 200
        while True:
            rate = measure(peer, peer.requests["complete"], calls, upstream, 0).calls_per_second
            if calls / rate > 0.2:
                break
            calls *= 5
        self.calls = max(100, round(rate * seconds, -2))
        batch_seconds = peers.CHUNKS * peer.interval_ms / 1000
        self.streams = peer.streams_at_once * max(1, round(seconds / batch_seconds))
        alone = measure(peer, peer.requests["complete"], 100, upstream, 0, 1, 1)
        self.alone = round(min(5000, max(100, seconds / 2 * alone.calls_per_second)), -2)
        self.stream(peer.streams_at_once)

    def stream(self, streams):
        self.upstream.set(chunk_interval_ms=self.peer.interval_ms)
        # On eight connections, or one for each stream where there is no HTTP/2.
        return measure(
            self.peer, self.peer.requests["stream"], streams, self.upstream, peers.CHUNKS,
            8, self.peer.streams_at_once // 8,
        )  # fmt: skip

    def run(self):
        """One round: the value of each measure."""
        request = self.peer.requests["complete"]
        together = measure(self.peer, request, self.calls, self.upstream, 0)
        streamed = self.stream(self.streams)
        alone = measure(self.peer, request, self.alone, self.upstream, 0, 1, 1)
        return {
            "cpu_us_per_call": together.cpu_us_per_call,
            "calls_per_second": together.calls_per_second,
            "cpu_us_per_chunk": streamed.cpu_us_per_call / peers.CHUNKS,
            "p50_us": alone.p50_us,
            "p99_us": alone.p99_us,
        }


def run(found, upstream, options):
    """Measures all peers in turn, round after round, so that what disturbs the machine disturbs all."""
    loads = [Load(peer, upstream, options.seconds) for peer in found]
    for index in range(options.rounds):
        direct = None
        for load in loads:
            values = load.run()
            direct = direct or values
            if load.peer.name != "direct" and loads[0].peer.name == "direct":
                for key in ("p50_us", "p99_us"):
                    values["added_" + key] = values[key] - direct[key]
            for key, value in values.items():
                load.peer.results.setdefault(key, []).append(value)
        print(f"\rround {index + 1} of {options.rounds} done", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for peer in found:
        peer.results["rss_mib"] = [memory(peer.pid, "VmHWM") / 2**20]


def result(found, missing, options):
    """All of it, as the JSON holds it."""
    return {
        "command": " ".join(["tools/bench/run", *sys.argv[1:]]),
        **machine.facts(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "chunks": peers.CHUNKS,
        "peers": [{"name": peer.name, "what": peer.what, "measures": peer.results} for peer in found],
        "missing": [{"name": name, "reason": reason} for name, reason in missing],
    }


def median(peer, key):
    values = peer["measures"].get(key)
    return statistics.median(values) if values else None


def table(result):
    """Text for a terminal and for Markdown: a row a peer, with ratios to nghttpx where it was measured."""
    base = next((peer for peer in result["peers"] if peer["name"] == "nghttpx"), None)
    rows = [["server"]]
    for key, title, _ in MEASURES:
        rows[0] += [title, "×"] if base and key.startswith("cpu") else [title]
    for peer in result["peers"]:
        row = [peer["name"]]
        for key, _, form in MEASURES:
            value = median(peer, key)
            row.append("" if value is None else format(value, form))
            if base and key.startswith("cpu"):
                row.append("" if peer["name"] == "direct" else f"{value / median(base, key):.2f}")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|")
    return "\n".join(lines)


def report(result):
    print(
        f"{result['date']}, {result['cpu']}, {result['cores']} cores, load average {result['load_average']}\n"
        f"Medians of {result['rounds']} rounds. 64 calls at once; streams of {peers.CHUNKS} chunks, 64 at once, "
        f"2 ms apart (litellm: 8, 50 ms);\np50 and p99 of one call at a time, and what is added to asking the "
        f"provider itself.\nServer on core {SERVER_CORE}, caller and provider on core {LOAD_CORE}. `direct` is "
        f"the stand-in provider alone.\n"
    )
    print(table(result))
    for peer in result["missing"]:
        print(f"missing: {peer['name']}: {peer['reason']}")


def chosen(text):
    names = {peer.name: peer for peer in peers.ALL}
    if text == "all":
        return peers.ALL
    wanted = ["direct", *text.split(","), "junction"]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        sys.exit(f"tools/bench/run: there is no peer {unknown[0]}; there are {', '.join(names)}, all")
    return [peer for peer in peers.ALL if peer.name in wanted]


def arguments():
    parser = argparse.ArgumentParser(prog="tools/bench/run", description=__doc__)
    parser.add_argument(
        "--peers",
        default="nghttpx",
        help="all, or names divided by commas (default: nghttpx): "
        + ", ".join(peer.name for peer in peers.ALL if peer.name not in ("direct", "junction")),
    )
    parser.add_argument("--install", action="store_true", help="install what is missing; `--peers all` does, too")
    parser.add_argument("--no-install", action="store_true", help="install nothing, also with `--peers all`")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that the medians are of (5)")
    parser.add_argument("--seconds", type=float, default=2, help="length of one run of a round (2)")
    parser.add_argument("--json", type=pathlib.Path, help="write all numbers of all rounds")
    parser.add_argument("--html", type=pathlib.Path, help="write a page with plots; it needs no network")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.2
    if options.rounds < 1 or not 0.05 <= options.seconds <= 60:
        parser.error("--rounds must be 1 or more, and --seconds 0.05 to 60")
    options.install = (options.install or options.peers == "all") and not options.no_install
    options.kinds = chosen(options.peers)
    return options


def main():
    options = arguments()
    programs.raise_file_limit()
    if os.cpu_count() < 2:
        sys.exit("tools/bench/run: needs two cores, one for the server and one for the load")
    # Millisecond timers: chunks of streams that began together come together, as from an event loop.
    upstream = programs.Upstream(core=LOAD_CORE, record=0, chunks=peers.CHUNKS, timer_step_us=1000)
    found, missing = [], []
    try:
        for kind in options.kinds:
            try:
                found.append(kind(upstream, options.install))
            except peers.Missing as error:
                missing.append((kind.name, str(error)))
        run(found, upstream, options)
        outcome = result(found, missing, options)
    except Disagreement as disagreement:
        sys.exit(f"tools/bench/run: nothing to report, since something disagrees: {disagreement}")
    finally:
        for peer in found:
            peer.stop()
        upstream.stop()
    report(outcome)
    if options.json:
        options.json.write_text(json.dumps(outcome, indent=2) + "\n")
    if options.html:
        options.html.write_text(page.html(outcome))


main()
