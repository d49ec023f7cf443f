"""The page of results: every figure in it comes from one run."""

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import goals
from goals import per_cpu
from measure import MODES, Report
from servers import NULL

LEGEND = f"""\
*min, median, max*: thousands of requests per second of CPU time that the server used, over the rounds. *ratio*: of the
medians, to the null server on epoll, which does not even parse ({NULL}). *wall*: thousands of requests per second by
the clock, which suffers from whatever else runs. *p50, p99*: how long a batch took while the server was as busy as can
be; see "Latency" for what a client waits at a bearable load. *MiB*: resident memory. Compare within a table only."""

GOALS = """\
Ratios of requests per second of CPU time within each round, the median of all rounds and how far they go; "plain" is
`def hello(request): return request.Response(text="Hello world!")`. [README.md](README.md) says how all is measured."""

QUIET_LOAD = 2.5
"""The load average that a server and its load generator make by themselves, and a little."""

LATE_US = 100
"""A load generator later than this with one request in a hundred was itself too slow."""


@dataclass
class Results:
    """What a run has measured."""

    command: str = ""
    date: str = ""
    machine: list[str] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    busy: float = 0.0
    rounds: dict[str, dict[str, list[Report]]] = field(default_factory=dict)
    latency: dict[str, list[Report]] = field(default_factory=dict)
    idle: dict[str, dict[str, Any]] = field(default_factory=dict)
    workers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


# ---- what was measured on --------------------------------------------------------------------------------------------


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


DESCRIBE_PYTHON = """
import os, platform, sys, sysconfig, timeit
options = sysconfig.get_config_var("CONFIG_ARGS") or ""
words = ("--enable-optimizations", "--with-lto", "--enable-shared", "--disable-gil", "--with-pydebug")
found = " ".join(word for word in words if word in options) or "no option"
call = min(timeit.repeat("f()", "def f(): pass", number=1000000, repeat=7)) * 1000
print(f"{platform.python_version()}, {platform.python_compiler()}, configured with {found}; "
      f"an empty function is called in {call:.0f} ns")
print(os.path.realpath(sys.executable))
"""


def _package_of(path: str) -> str:
    """Name the package of the system that a file is from: distributions do not say in CONFIG_ARGS how they build."""
    if shutil.which("dpkg-query") is None:
        return ""
    owner = _first_line("dpkg-query", "--search", path).partition(":")[0]
    return owner and f"; Debian's {_first_line('dpkg-query', '--show', owner).replace(chr(9), ' ')}"


def machine(python: Path) -> Iterator[str]:
    """Describe what is measured on."""
    told = subprocess.run([python, "-c", DESCRIBE_PYTHON], capture_output=True, text=True, check=True).stdout
    build, path = told.splitlines()
    yield f"- CPU: {_cpu_model()}, {os.cpu_count()} in all; the server on one, the load on another"
    yield f"- Kernel: {platform.system()} {platform.release().partition('-')[0]}"
    yield f"- Python: {build}{_package_of(path)}"
    yield f"- Compiler of the core: {_first_line('cc', '--version')}"


# ---- throughput ------------------------------------------------------------------------------------------------------


def _row(name: str, reports: list[Report], base: float) -> str:
    figures = [per_cpu(report) / 1000 for report in reports]
    middle = statistics.median(figures)
    wall = statistics.median(report["answers"] / report["seconds"] for report in reports) / 1000
    p50, p99 = (statistics.median(report[key] for report in reports) for key in ("p50_us", "p99_us"))
    resident = max(report["rss_kib"] for report in reports) / 1024
    ratio = f"{middle / base:.2f}" if base else ""
    return (
        f"| {name} | {len(reports)} | {min(figures):.0f} | **{middle:.0f}** | {max(figures):.0f} | {ratio} "
        f"| {wall:.0f} | {p50:.0f} | {p99:.0f} | {resident:.1f} |"
    )


def _throughput(results: Results, mode: str) -> Iterator[str]:
    connections, depth = MODES[mode]
    of_mode = {name: by_mode[mode] for name, by_mode in results.rounds.items() if by_mode.get(mode)}
    middle = {name: statistics.median(map(per_cpu, reports)) for name, reports in of_mode.items()}
    base = middle.get(NULL, 0) / 1000
    sent = "one request at a time" if depth == 1 else f"{depth} requests at once"
    yield f"## {mode}: {connections} connections, {sent} on each"
    yield ""
    yield f"![Requests per second of CPU time, {mode}](throughput-{mode}.svg)"
    yield ""
    yield "| | rounds | min | **median** | max | ratio | wall | p50 µs | p99 µs | MiB |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name in sorted(of_mode, key=lambda name: -middle[name]):
        yield _row(name, of_mode[name], base)
    yield ""
    if base:
        figures = list(map(per_cpu, of_mode[NULL]))
        apart = (max(figures) - min(figures)) / statistics.median(figures)
        yield f"The rounds of the null server itself lie {apart:.0%} apart: smaller differences mean little here."
        yield ""


# ---- the other parts -------------------------------------------------------------------------------------------------

LATENCY = """\
Requests leave by a fixed schedule, one at a time on each of 100 connections, at 20 %, 50 % and 80 % of what that very
server answered without pause just before. The time of each runs from the moment it was *due*, also if the answer before
it, or the server, kept it from being sent ("without coordinated omission"). Microseconds. *unanswered*: due, and
without an answer at the end; they count with the time they had waited by then. Each figure is the median of three
tries. A dagger marks where the load generator itself was late by more than 100 µs with one request in a hundred."""


IDLE = """\
{count:,} connections are opened, each has one request answered and stays open. Bytes of user memory that each added, in
the dearer half of them: *private* is what the server's processes alone have written to, *resident* includes what they
share. The kernel's own memory of a socket is in neither. A collector may clear up meanwhile: less than a byte means
that. nginx sets memory aside when it starts, for as many connections as it may have; here it shows as *MiB*: all
private memory at the end."""

WORKERS = """\
Thousands of requests per second by the clock, without pipelining, 100 connections a worker; each worker has a CPU and a
load generator of its own, as far as there are CPUs. A dagger marks where server and load had to share CPUs: such a
figure only shows that the workers share the work."""


def _latency(latency: dict[str, list[Report]]) -> Iterator[str]:
    yield "## Latency at fixed rates"
    yield ""
    yield LATENCY
    yield ""
    yield "![Latency at half of the load](latency.svg)"
    yield ""
    yield "| | load | requests/s | p50 | p90 | p99 | p99.9 | max | unanswered |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name, reports in latency.items():
        for report in reports:
            late = " †" if report["late_p99_us"] > LATE_US else ""
            keys = ("p50_us", "p90_us", "p99_us", "p999_us", "max_us", "unanswered")
            cells = " | ".join(f"{report[key]:.0f}" for key in keys)
            yield f"| {name} | {report['share']:.0%} | {report['rate']:,.0f}{late} | {cells} |"
    yield ""


def _idle(idle: dict[str, dict[str, Any]]) -> Iterator[str]:
    count = max(int(report["connections"]) for report in idle.values())
    yield "## Memory of idle connections"
    yield ""
    yield IDLE.format(count=count)
    yield ""
    yield "![Bytes an idle connection](idle.svg)"
    yield ""
    yield "| | private bytes each | resident bytes each | MiB |"
    yield "|---|--:|--:|--:|"
    for name, report in sorted(idle.items(), key=lambda item: float(item[1]["private_each"])):
        total = report["private_total"] / 1024 / 1024
        yield f"| {name} | {report['private_each']:,.0f} | {report['resident_each']:,.0f} | {total:.1f} |"
    yield ""


def _workers(workers: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    yield "## Workers"
    yield ""
    yield WORKERS
    yield ""
    counts = sorted({report["workers"] for reports in workers.values() for report in reports})
    yield f"| | {' | '.join(str(count) for count in counts)} |"
    yield f"|---|{'--:|' * len(counts)}"
    for name, reports in workers.items():
        by_count = {report["workers"]: report for report in reports}
        cells = [_cell(by_count.get(count)) for count in counts]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _cell(report: dict[str, Any] | None) -> str:
    if report is None:
        return ""
    return f"{report['answers_per_second'] / 1000:.0f}{' †' if report['shared'] else ''}"


def _versions(versions: list[str]) -> Iterator[str]:
    yield "## Versions of the peers"
    yield ""
    yield from (f"- {line}" for line in versions)
    yield ""


def _left_out(left_out: dict[str, str]) -> Iterator[str]:
    yield "## Left out"
    yield ""
    for name, why in left_out.items():
        yield f"- {name}: {why.splitlines()[0]}"
    yield ""


def _lines(results: Results) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield f"Measured {results.date} by `{results.command}`, which wrote this page and its pictures."
    yield ""
    yield from results.machine
    yield ""
    if results.busy > QUIET_LOAD:
        yield (
            f"**The machine was busy with other work** (load average up to {results.busy:.1f} where about 2 is this "
            "measurement): wall times, latencies and the spread of all figures are worse than they should be."
        )
        yield ""
    if NULL in results.rounds:
        yield "## Goals"
        yield ""
        yield GOALS
        yield ""
        yield from goals.table(results.rounds, results.idle)
        yield ""
    if results.rounds:
        yield "## Requests per second"
        yield ""
        yield LEGEND
        yield ""
    for mode in results.modes:
        if any(mode in by_mode for by_mode in results.rounds.values()):
            yield from _throughput(results, mode)
    parts: Iterable[tuple[Any, Any]] = (
        (_latency, results.latency),
        (_idle, results.idle),
        (_workers, results.workers),
        (_versions, results.versions),
        (_left_out, results.left_out),
    )
    for write, part in parts:
        if part:
            yield from write(part)


def page(results: Results) -> str:
    """Write the page."""
    return "\n".join(_lines(results))
