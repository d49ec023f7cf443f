#!/usr/bin/env python3
"""Instructions a request, counted by valgrind: they do not move with the machine's mood.

    python benchmarks/instructions/run.py             print the table
    python benchmarks/instructions/run.py --check     fail where one exceeds budget.json by over 3 % (of all: 5 %)
    python benchmarks/instructions/run.py --update    write the figures of this build into budget.json and the page

Counted is what a request takes from the receive to the send, without the kernel. `engine` is our own module;
its budget is for a version of CPython, a compiler and a kind of CPU. `all` includes CPython and libc; its budget is for
one build of them. Where budget.json has no such build, that is said and nothing compared. valgrind offers AVX2 and no
AVX-512, so it is the AVX2 parser that is counted. `make budget` updates those of all CPythons that `make test` tests.
"""

import argparse
import hashlib
import json
import platform
import re
import sys
import sysconfig
from pathlib import Path

from callgrind import CannotCountError, Counted, NoValgrindError, Wanted, count

from vivace import _engine

BUDGET = Path(__file__).with_name("budget.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "instructions.md"
TOLERANCE = {"engine": 1.03, "all": 1.05}
"""Of all instructions more, as where the heap happens to lie moves what malloc() and memcpy() cost by up to 1 %."""

UNSTEADY = ("echo 1 KiB",)
"""Where bodies come from malloc(), all instructions vary by 4 %: only the engine's are in the budget."""

FAR_BELOW = 0.85
"""Of a budget: it guards nothing any more."""

FAILED, NOTHING_TO_SAY = 1, 77
"""Exit codes; the second is what test runners take for "skipped"."""

GET = "GET {} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nUser-Agent: count\r\nAccept-Encoding: gzip\r\n\r\n"
BODY = "x" * 1024
CASES = {
    "response": GET.format("/response"),
    "text": GET.format("/text"),
    "async": GET.format("/async"),
    "sleep": GET.format("/sleep"),
    "json": GET.format("/json"),
    "param": GET.format("/users/123"),
    "headers": GET.format("/headers"),
    "not found": GET.format("/nowhere"),
    "echo 1 KiB": f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
}
DEPTHS = {24: ("24 pipelined", 1200), 1: ("one by one", 400)}
"""What a depth is called, and how many requests are counted."""

PROSE = """\
# Instructions a request

From the receive to the send, without the kernel, counted by valgrind: in the engine's own module, and with CPython and
libc. The handlers are those of [app.py](../../benchmarks/instructions/app.py). Made by `make budget` from the budget
that `make test` compares with; [README.md](README.md) says how.
"""

Figures = dict[str, float]
Budget = dict[str, dict[str, Figures]]
"""By "engine" or "all", then the build, then the case."""


def builds() -> dict[str, str]:
    """Say what the figures hold for: of the engine, and of all."""
    made = Path(_engine.__file__).read_bytes()
    found = re.search(rb"(GCC): \([^)]*\) (\d+)|(clang) version (\d+)", made)
    compiler = "-".join(part.decode().lower() for part in found.groups() if part) if found else "unknown compiler"
    wide = "avx2" if " avx2 " in Path("/proc/cpuinfo").read_text() else "no avx2"
    engine = f"cpython-{sys.version_info[0]}.{sys.version_info[1]} {compiler} {platform.machine()} {wide}"
    python = f"{sysconfig.get_config_var('CONFIG_ARGS')} {platform.python_compiler()}"
    build = hashlib.sha256(python.encode()).hexdigest()[:8]
    libc = "-".join(platform.libc_ver())
    return {"engine": engine, "all": f"{engine} cpython-{platform.python_version()} {build} {libc}"}


def figures(counted: Counted, requests: int) -> Figures:
    """Give instructions a request."""
    return {"engine": round(counted.of("/_engine.") / requests, 1), "all": round(counted.of() / requests, 1)}


def page(budget: Budget) -> str:
    """Write the figures of all builds as a table."""
    every = sorted(budget["all"])
    names = [re.sub(r"^(.*) cpython-(\S+) (\S+) (\S+)$", r"\2", build) for build in every]
    lines = [
        PROSE,
        f"| | {' | '.join(f'{name}: engine | all' for name in names)} |",
        f"|---|{'--:|--:|' * len(every)}",
    ]
    for label in next(iter(budget["engine"].values()), []):
        cells = []
        for build in every:
            engine = next(figures for name, figures in budget["engine"].items() if build.startswith(name))
            both = (engine, budget["all"][build])
            cells += [f"{figures[label]:,.0f}" if label in figures else "" for figures in both]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "", *(f"- {name}: {build}" for name, build in zip(names, every, strict=True)), ""])


def show(label: str, found: Figures, allowed: Figures) -> None:
    """Print a row of the table."""
    cells = [f"{found[kind]:>10}{allowed.get(kind) or '':>10}" for kind in ("engine", "all")]
    print(f"{label:<28}{''.join(cells)}", flush=True)


def main() -> int:
    """Count, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with budget.json")
    parser.add_argument("--update", action="store_true", help="write budget.json")
    parser.add_argument("--only", help="cases, separated by commas")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(CASES)
    if unknown := set(names) - set(CASES):
        parser.error(f"there is no case {', '.join(unknown)}: choose from {', '.join(CASES)}")
    wanted = [
        Wanted(f"{name}, {words}", CASES[name].encode(), depth, requests)
        for name in names
        for depth, (words, requests) in DEPTHS.items()
    ]
    try:
        counted = count(wanted)
    except CannotCountError as error:
        print(f"instructions were not counted: {error}")
        return NOTHING_TO_SAY if isinstance(error, NoValgrindError) else FAILED

    budget: Budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {"engine": {}, "all": {}}
    build = builds()
    over = []
    print(f"{'instructions a request':<28}{'engine':>10}{'budget':>10}{'all':>10}{'budget':>10}")
    for one in wanted:
        found = figures(counted[one.label], one.requests)
        of_build = {kind: budget[kind].setdefault(build[kind], {}) for kind in build}
        allowed = {kind: of_build[kind][one.label] for kind in build if one.label in of_build[kind]}
        show(one.label, found, allowed)
        for kind, most in allowed.items():
            if found[kind] > most * TOLERANCE[kind]:
                over.append(f"{one.label}: {found[kind]} instructions of {kind}, {most} are in the budget")
            if found[kind] < most * FAR_BELOW:
                print(f"{one.label}: the budget of {kind} is far above what is needed: `make budget` lowers it")
        for kind in build:
            if kind == "engine" or not one.label.startswith(UNSTEADY):
                of_build[kind][one.label] = found[kind]
    if given.update:
        BUDGET.write_text(json.dumps(budget, indent=1, sort_keys=True) + "\n")
        PAGE.write_text(page(budget), encoding="utf-8")
    return verdict(build, over) if given.check else 0


def verdict(build: dict[str, str], over: list[str]) -> int:
    """Say how the figures compare; the exit code."""
    known: Budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    missing = [kind for kind in build if build[kind] not in known.get(kind, {})]
    for kind in missing:
        print(f"no budget of {kind} for {build[kind]}: not compared")
    if over:
        print(*over, sep="\n")
        print(f"{len(over)} figures are over the budget by more than it allows: make it cheaper, or say why")
        return FAILED
    return NOTHING_TO_SAY if len(missing) == len(build) else 0


if __name__ == "__main__":
    sys.exit(main())
