"""A measurement as one web page that needs nothing but itself: bars in SVG, and the numbers."""

import html as text
import math
import statistics

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:820px;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
svg{width:100%;height:auto;font:13px system-ui,sans-serif}.grid{stroke:#e5e7eb}.whisker{stroke:#111;stroke-width:1.5}
table{border-collapse:collapse;width:100%}td,th{padding:.25rem .5rem;text-align:right;border-bottom:1px solid #e5e7eb}
td:first-child,th:first-child,td:last-child{text-align:left}
"""
PLOTS = [
    ("cpu_us_per_call", "CPU of the server, µs a call", "{:,.1f}"),
    ("cpu_us_per_chunk", "CPU of the server, µs a streamed chunk", "{:,.1f}"),
    ("p50_us", "One call at a time, p50, µs", "{:,.0f}"),
    ("p99_us", "One call at a time, p99, µs", "{:,.0f}"),
    ("calls_per_second", "Calls a second on one core", "{:,.0f}"),
    ("rss_mib", "Peak resident memory, MiB", "{:,.1f}"),
]
LEFT, RIGHT, WIDTH, BAR = 110, 90, 820, 26


def bars(title, peers, key, form):
    """A bar a peer on a logarithmic axis, a line from the least to the greatest round."""
    shown = [(peer["name"], peer["measures"][key]) for peer in peers if peer["measures"].get(key)]
    if not shown:
        return ""
    low = math.floor(math.log10(max(1e-3, min(min(values) for _, values in shown))) - 0.1)
    high = math.ceil(math.log10(max(max(values) for _, values in shown)))

    def x(value):
        share = (math.log10(max(value, 10**low)) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    height = BAR * len(shown) + 30
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text.escape(title)}">']
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height - 22}"/>')
        parts.append(f'<text x="{at:.1f}" y="{height - 6}" text-anchor="middle">{10.0**power:,g}</text>')
    for index, (name, values) in enumerate(shown):
        middle, y = statistics.median(values), index * BAR
        colour = "#2563eb" if name == "junction" else "#9ca3af"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end">{text.escape(name)}</text>')
        parts.append(
            f'<rect x="{LEFT}" y="{y + 4}" width="{x(middle) - LEFT:.1f}" height="{BAR - 8}" fill="{colour}"/>'
        )
        parts.append(
            f'<line class="whisker" x1="{x(min(values)):.1f}" x2="{x(max(values)):.1f}" '
            f'y1="{y + BAR / 2}" y2="{y + BAR / 2}"/>'
        )
        parts.append(f'<text x="{x(max(values)) + 8:.1f}" y="{y + 17}">{form.format(middle)}</text>')
    return f"<h2>{text.escape(title)}</h2>\n" + "\n".join(parts) + "</svg>\n"


def html(result):
    heads = "".join(f"<th>{text.escape(title)}</th>" for _, title, _ in PLOTS)
    rows = ""
    for peer in result["peers"]:
        cells = ""
        for key, _, form in PLOTS:
            cells += f"<td>{form.format(statistics.median(peer['measures'][key]))}</td>"
        rows += f"<tr><td>{text.escape(peer['name'])}</td>{cells}<td>{text.escape(peer['what'])}</td></tr>\n"
    missing = "".join(
        f"<p>Missing: {text.escape(peer['name'])}: {text.escape(peer['reason'])}</p>\n"
        for peer in result["missing"]
    )
    machine = f"{result['date']}, {result['cpu']}, {result['cores']} cores, kernel {result['kernel']}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>tools/bench/run</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>Junction and its peers</h1>\n"
        f"<p>{text.escape(machine)}; load average {result['load_average']}. Medians of {result['rounds']} "
        f"rounds, lines from the least to the greatest; the axes are logarithmic. "
        f"<code>{text.escape(result['command'])}</code></p>\n{missing}"
        + "".join(bars(title, result["peers"], key, form) for key, title, form in PLOTS)
        + f"<h2>Numbers</h2>\n<table><tr><th></th>{heads}<th></th></tr>\n{rows}</table>\n</body></html>\n"
    )
