"""The page of results: every figure in it comes from the run."""

import os
import platform
import shutil
import statistics
import subprocess
import sysconfig
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import MODES

Rounds = dict[str, dict[str, list[dict[str, Any]]]]
"""By the server's name and the mode: what each round reported."""

BASE = "null epoll"
LEGEND = f"""\
*min, median, max*: thousands of requests per second of CPU time that the server used, over the rounds. *ratio*: of the
medians, to the null server on epoll, which does not even parse ({BASE}). *wall*: thousands of requests per second by
the clock, which suffers from whatever else runs. *p50, p99*: how long a batch took. *MiB*: resident memory. Compare
within a table only."""

QUIET_LOAD = 2.5
"""The load average that a server and its load generator make by themselves, and a little."""


def per_cpu(report: dict[str, Any]) -> float:
    """Requests per second of the server's CPU time: what another program takes from the CPU does not count."""
    return float(report["answers"] / report["cpu_seconds"])


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def machine() -> Iterator[str]:
    """Describe what was measured on."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    words = ("--enable-optimizations", "--with-lto", "--enable-shared", "--disable-gil", "--with-pydebug")
    found = [word for word in words if word in options]
    yield f"- CPU: {_cpu_model()}, {os.cpu_count()} in all; the server on one, the load on another"
    yield f"- Kernel: {platform.system()} {platform.release().partition('-')[0]}"
    made = f"{platform.python_compiler()}, configured with {' '.join(found) or 'no option'}"
    yield f"- Python: {platform.python_version()}, {made}"
    yield f"- Compiler of the core: {_first_line('cc', '--version')}"


def _row(name: str, reports: list[dict[str, Any]], base: float) -> str:
    figures = [per_cpu(report) / 1000 for report in reports]
    middle = statistics.median(figures)
    wall = statistics.median(report["answers"] / report["seconds"] for report in reports) / 1000
    p50, p99 = (statistics.median(report[key] for report in reports) for key in ("p50_us", "p99_us"))
    resident = max(report["rss_kib"] for report in reports) / 1024
    ratio = f"{middle / base:.2f}" if base else ""
    return (
        f"| {name} | {min(figures):.0f} | **{middle:.0f}** | {max(figures):.0f} | {ratio} | {wall:.0f} "
        f"| {p50:.0f} | {p99:.0f} | {resident:.1f} |"
    )


def _table(rounds: Rounds, mode: str) -> Iterator[str]:
    connections, depth = MODES[mode]
    of_mode = {name: by_mode[mode] for name, by_mode in rounds.items() if by_mode.get(mode)}
    middle = {name: statistics.median(map(per_cpu, reports)) for name, reports in of_mode.items()}
    base = middle.get(BASE, 0) / 1000
    sent = "one request at a time" if depth == 1 else f"{depth} requests at once"
    yield f"## {mode}: {connections} connections, {sent} on each"
    yield ""
    yield "| | min | **median** | max | ratio | wall | p50 µs | p99 µs | MiB |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name in sorted(of_mode, key=lambda name: -middle[name]):
        yield _row(name, of_mode[name], base)
    yield ""
    if base:
        figures = list(map(per_cpu, of_mode[BASE]))
        apart = (max(figures) - min(figures)) / statistics.median(figures)
        yield f"The rounds of the null server itself lie {apart:.0%} apart: smaller differences mean nothing here."
        yield ""


def page(rounds: Rounds, modes: list[str], seconds: float, busy: float, left_out: dict[str, str]) -> str:
    """Write the page."""
    count = max((len(reports) for by_mode in rounds.values() for reports in by_mode.values()), default=0)
    lines = [
        "# Results",
        "",
        (
            f"Measured {datetime.now(UTC):%Y-%m-%d} by `python benchmarks/http/run.py --rounds {count} "
            f"--seconds {seconds:g} --modes {','.join(modes)}`, which wrote this page."
        ),
        "",
        *machine(),
        "",
        LEGEND,
        "",
    ]
    if busy > QUIET_LOAD:
        lines += [
            (
                f"**The machine was busy with other work** (load average up to {busy:.1f} where about 2 is this "
                "measurement): wall times, latencies and the spread of all figures are worse than they should be."
            ),
            "",
        ]
    for mode in modes:
        lines += _table(rounds, mode)
    if left_out:
        lines += ["Left out, as they did not start or did not answer rightly here:", ""]
        lines += [f"- {name}: {why.splitlines()[0]}" for name, why in left_out.items()]
        lines += [""]
    return "\n".join(lines)
