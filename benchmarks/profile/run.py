#!/usr/bin/env python3
"""Draw flame graphs and measure the speed budget: where the time of a plain `hello` goes.

    python benchmarks/profile/run.py             writes docs/benchmarks/flame-*.svg and speed-budget.md

Needs perf (linux-perf on Debian), and leave to use it; takes about a minute. vivace is built from this tree with debug
information, which changes no instruction. Time is sampled while the server is loaded; how long a request takes in all
is measured just before, without the sampling. Instructions are counted by valgrind (benchmarks/instructions).
"""

import argparse
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "instructions"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "http"))

import callgrind
import flame
import goals
import page
import phases
import servers
from built import go_on_with_vivace
from callgrind import CannotCountError, Wanted
from measure import running
from sampling import CannotSampleError, sample

DOCS = servers.ROOT / "docs" / "benchmarks"
GET = b"GET /response HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"
REQUESTS = 2400
MODES = {"P24": "24 requests at once on each of 100 connections", "P1": "one at a time on each of 100 connections"}
PROSE = """\
# Where the time goes

The speed budget of a plain handler, `def hello(request): return request.Response(text="Hello world!")`, request and
answer as in [results.md](results.md). Measured {date} by `python benchmarks/profile/run.py`, which wrote this page.

{machine}

Nanoseconds of the server's CPU time a request, by samples of its stack: what CPython and libc do counts for whoever of
the engine asked them to, so "the Response" includes CPython's part in making one, and only the bytecode of the handler
stands for itself. What the kernel sends over loopback it also receives: "send" includes the client's side of TCP, up to
its socket. A shared machine moves the sums, and the shares much less.
"""
COUNTED = """\
## Instructions

The same request without the kernel, counted by valgrind, {depth} pipelined, on epoll: {total:,.0f} instructions. Here
CPython and libc stand for themselves.
"""

GRAPHS = """\
## Flame graphs

Widths are shares of the samples, functions stand on those that called them. Opened by itself, a picture tells each
box's name and share to whoever points at it; what is under a thousandth is left out.
"""


def _sampled(seconds: float) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Sample both back-ends in both modes: nanoseconds by phase, and the pictures."""
    from vivace import _engine  # noqa: PLC0415 - there is none before the environment is made

    files = phases.files_of(Path(_engine.__file__))
    table: dict[str, dict[str, float]] = {}
    pictures = {}
    for server in servers.ours():
        if not server.name.startswith(servers.VIVACE):
            continue
        for mode, words in MODES.items():
            with running(server) as run:
                run.check(server.cases[0][1])
                stacks, report = sample(run, mode, seconds)
            ns = 1e9 / goals.per_cpu(report)
            title = f"{server.name}, {mode}"
            table[title] = {phase: share * ns for phase, share in phases.shares(stacks, files).items()}
            print(f"{title}: {ns:.0f} ns a request, {sum(stacks.values())} samples", flush=True)
            name = f"flame-{mode}-{server.name.rpartition(' ')[2]}.svg"
            pictures[name] = flame.graph(f"{title}: {words}, plain handler", stacks)
    return table, pictures


def _table(table: dict[str, dict[str, float]]) -> list[str]:
    """Write phases as rows, measurements as columns."""
    lines = [f"| ns a request | {' | '.join(table)} |", f"|---|{'--:|' * len(table)}"]
    for phase in phases.PHASES:
        if any(phase in column for column in table.values()):
            cells = [f"{column[phase]:,.0f}" if phase in column else "" for column in table.values()]
            lines.append(f"| {phase} | {' | '.join(cells)} |")
    sums = [f"**{sum(column.values()):,.0f}**" for column in table.values()]
    return [*lines, f"| **in all** | {' | '.join(sums)} |", ""]


def _counted(depth: int) -> list[str]:
    """Count instructions by phase."""
    from vivace import _engine  # noqa: PLC0415

    files = phases.files_of(Path(_engine.__file__))
    counted = callgrind.count([Wanted("hello", GET, depth, REQUESTS)])["hello"]
    found: Counter[str] = Counter()
    for (place, function), cost in counted.by_function.items():
        if "/_engine." in place:
            found[phases.of_engine(function.partition("'")[0], files)] += cost
        else:
            found["CPython" if "python" in Path(place).name else "libc"] += cost
    lines = [COUNTED.format(depth=depth, total=found.total() / REQUESTS), "| | instructions |", "|---|--:|"]
    each = {phase: found[phase] / REQUESTS for phase in (*phases.PHASES, "CPython", "libc")}
    return [*lines, *(f"| {phase} | {cost:,.0f} |" for phase, cost in each.items() if cost >= 0.5), ""]


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement; default %(default)s")
    parser.add_argument("--python", type=Path, help="the Python to build vivace for; default: the one that runs this")
    parser.add_argument("--output", type=Path, default=DOCS, help="the folder; default %(default)s")
    options = parser.parse_args()
    go_on_with_vivace(options.python, "profile", ["-Ddebug=true"])
    servers.build()
    try:
        table, pictures = _sampled(options.seconds)
        counted = _counted(24)
    except (CannotSampleError, CannotCountError, subprocess.CalledProcessError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    machine = "\n".join(page.machine(Path(sys.executable)))
    lines = [PROSE.format(date=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine), *_table(table), *counted]
    lines += [GRAPHS, *(f"![{name}]({name})\n" for name in pictures)]
    options.output.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (options.output / name).write_text(picture, encoding="utf-8")
    (options.output / "speed-budget.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
