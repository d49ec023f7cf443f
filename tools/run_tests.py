#!/usr/bin/env python3
"""Run the tests in parts, one after the other, and close with one line: "N passed, N failed".

    python tools/run_tests.py [layers] [core] [core-sanitized] [python] [budget] [python-sanitized]

Without arguments every part runs, in this order; `matrix` (the sanitized Python tests on every back-end and every
instruction set) only when it is named. A part that fails does not keep the others from running, and nothing
runs for ever: each part has a time limit. It is run by the Python of an environment that holds meson and ninja.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from environment import ROOT, Environment, say
from pythons import find_pythons

BUILD = ROOT / "build"
REPORTS = BUILD / "reports"

CORE_LIMIT_S = 900
PYTEST_LIMIT_S = 1200
# Most tests wait for a server or a client most of the time.
AT_ONCE = 2 * (os.cpu_count() or 1)
BUDGET_LIMIT_S = 120

# "debugoptimized" keeps assert() alive and the sanitizers' stack traces readable.
SANITIZED_SETUP = ("-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false")
# The extension carries a UBSan of its own: a preloaded one would forget its log file beside a preloaded ASan.
SANITIZED_EXTENSION = (*SANITIZED_SETUP, "-Dc_link_args=['-static-libubsan', '-Wl,-Bsymbolic']")
SANITIZER_LOG = REPORTS / "sanitizer"


class Count(NamedTuple):
    """How many tests passed and failed."""

    passed: int
    failed: int

    def __add__(self, other: object) -> "Count":
        """Sum two counts."""
        if not isinstance(other, Count):
            return NotImplemented
        return Count(self.passed + other.passed, self.failed + other.failed)


SKIPPED = 77  # what a program ends with that has found nothing to test
NONE = Count(0, 0)
ONE_PASSED = Count(1, 0)
ONE_FAILED = Count(0, 1)


def run(command: Sequence[str | Path], limit_s: int, env: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit code; past the limit it and all that it started are killed."""
    child = subprocess.Popen(command, cwd=ROOT, env=os.environ | (env or {}), start_new_session=True)
    try:
        return child.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        say(f"stopped after {limit_s} s: {' '.join(map(str, command))}")
        return -signal.SIGKILL
    finally:
        # Also what a test left behind: nothing outlives its part.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


# --- C ------------------------------------------------------------------------------------------------------------


def count_executable(test: Mapping[str, object]) -> Count:
    """Count the cmocka cases of one test executable; an executable that crashed or has none counts as one."""
    output = f"{test.get('stdout', '')}\n{test.get('stderr', '')}"
    passed = sum(map(int, re.findall(r"^\[  PASSED  \] (\d+) test", output, re.MULTILINE)))
    failed = sum(map(int, re.findall(r"^\[  FAILED  \] (\d+) test", output, re.MULTILINE)))
    if test["result"] == "OK":
        return Count(max(passed, 1), 0)
    return Count(passed, max(failed, 1))


def meson(*arguments: str | Path) -> int:
    """Run meson, with the ninja that is installed beside it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    return run(["meson", *arguments], CORE_LIMIT_S, {"PATH": path})


def run_core(name: str, setup_args: Sequence[str]) -> Count:
    """Build the engine without Python and run its C tests."""
    build = BUILD / name
    report = build / "meson-logs" / "testlog.json"
    report.unlink(missing_ok=True)
    if not (build / "build.ninja").exists() and meson("setup", build, "-Dpython=false", *setup_args):
        return ONE_FAILED
    if meson("compile", "-C", build):
        return ONE_FAILED
    code = meson("test", "-C", build, "--no-rebuild", "--print-errorlogs")
    tests = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    count = sum(map(count_executable, tests), start=NONE)
    return count + ONE_FAILED if code and not count.failed else count


# --- Python -------------------------------------------------------------------------------------------------------


def count_pytest(report: Path, code: int) -> Count:
    """Count the tests of a pytest run by its report; a run that broke off counts as a failure more."""
    if not report.exists():
        return ONE_FAILED
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314  pytest has just written it
    count = NONE
    for suite in suites:
        tests, failed, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "skipped"))
        failed += int(suite.get("errors", 0))
        count += Count(max(tests - failed - skipped, 0), failed)
    no_tests_collected = 5
    return count if code in {0, no_tests_collected} or count.failed else count + ONE_FAILED


def run_pytest(
    name: str,
    python: Path,
    setup_args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    *,
    slow: bool = False,
) -> Count:
    """Install vivace for one CPython, in an environment of its own, and run pytest there."""
    environment = install(name, python, setup_args)
    if environment is None:
        return ONE_FAILED
    report = REPORTS / f"pytest-{name}.xml"
    report.unlink(missing_ok=True)
    options = ["-q", f"--junitxml={report}", "-n", str(AT_ONCE), "--dist", "worksteal"]
    options += [] if slow else ["-m", "not slow"]
    code = run([environment.python, "-m", "pytest", *options], PYTEST_LIMIT_S, env)
    return count_pytest(report, code)


def install(name: str, python: Path, setup_args: Sequence[str] = ()) -> Environment | None:
    """Install vivace and what its tests need for one CPython; None where that failed."""
    environment = Environment(BUILD / f"venv-{name}")
    try:
        environment.create(python)
        environment.install_requirements(["standard", "test"])
        environment.install_package(BUILD / f"py{name}", setup_args)
    except subprocess.CalledProcessError as error:
        say(f"could not install vivace for {python}: {error}")
        return None
    return environment


def run_budget(name: str, python: Path, do: str) -> Count:
    """Count instructions a request and compare them with the committed budget, or write them into it."""
    environment = install(name, python)
    if environment is None:
        return ONE_FAILED
    code = run([environment.python, ROOT / "benchmarks" / "instructions" / "run.py", do], BUDGET_LIMIT_S)
    if code == SKIPPED:
        say("skipped: nothing was compared, for the reason above")
        return NONE
    return ONE_FAILED if code else ONE_PASSED


def sanitizer_environment() -> dict[str, str]:
    """Let a Python that knows no sanitizer load an extension that was built with two."""
    compiler = os.environ.get("CC", "cc").split()
    found = subprocess.run([*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {
        "LD_PRELOAD": found.stdout.strip(),
        "PYTHONMALLOC": "malloc",  # else Python's own arenas hide what is read after it was freed
        # The interpreter itself leaks at its end, by design: leaks are looked for in the C tests.
        "ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:log_path={SANITIZER_LOG}",
        "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:log_path={SANITIZER_LOG}",
    }


def forced(io: str, simd: str) -> dict[str, str]:
    """Give the environment that makes the engine use this back-end and this instruction set, where it can."""
    return {"VIVACE_IO": io} | ({} if simd == "auto" else {"VIVACE_SIMD": simd})


def run_pytest_sanitized(env: Mapping[str, str] | None = None) -> Count:
    """Run pytest on the newest CPython with a sanitized extension; every report counts as a failure."""
    for old in REPORTS.glob(f"{SANITIZER_LOG.name}.*"):
        old.unlink()
    pythons = find_pythons()
    if not pythons:
        return ONE_FAILED
    version, python = list(pythons.items())[-1]
    count = run_pytest(f"{version}-sanitized", python, SANITIZED_EXTENSION, sanitizer_environment() | (env or {}))
    # A server that a test started in a process of its own reports here too, though no test may notice.
    for report in sorted(REPORTS.glob(f"{SANITIZER_LOG.name}.*")):
        say(report.read_text(errors="replace"))
        count += ONE_FAILED
    return count


# --- the parts ----------------------------------------------------------------------------------------------------


def run_layers() -> Count:
    """Check the floor plan."""
    return ONE_FAILED if run([sys.executable, ROOT / "tools" / "check_layers.py"], 60) else ONE_PASSED


def budget_parts(do: str) -> Iterator[tuple[str, Callable[[], Count]]]:
    """Yield the parts that count instructions."""
    for version, path in find_pythons().items():
        yield f"instructions a request, CPython {version}", partial(run_budget, version, path, do)


def python_parts() -> Iterator[tuple[str, Callable[[], Count]]]:
    """Yield the parts that run pytest, one for each CPython."""
    pythons = find_pythons()
    if not pythons:
        yield "pytest: no CPython that can build an extension was found", lambda: ONE_FAILED
    # One Python runs on epoll and the plainest instructions, the next on the middle ones, the others on what is chosen
    # by itself: io_uring and the widest registers where there are such.
    choices = itertools.chain([("epoll", "base"), ("auto", "avx2")], itertools.repeat(("auto", "auto")))
    for (version, path), (io, simd) in zip(pythons.items(), choices, strict=False):
        slow = version in {next(iter(pythons)), next(reversed(pythons))}
        title = f"pytest, CPython {version} ({path}), io {io}, simd {simd}{'' if slow else ', without the slow tests'}"
        yield title, partial(run_pytest, version, path, env=forced(io, simd), slow=slow)


def matrix_parts() -> Iterator[tuple[str, Callable[[], Count]]]:
    """Yield the sanitized tests on every back-end and every instruction set."""
    for io, simd in itertools.product(("epoll", "uring"), ("base", "avx2", "avx512")):
        title = f"pytest, address and undefined behaviour sanitizers, io {io}, simd {simd}"
        yield title, partial(run_pytest_sanitized, forced(io, simd))


def parts_of(group: str) -> Iterator[tuple[str, Callable[[], Count]]]:
    """Yield a title and a function for each part of a group."""
    match group:
        case "layers":
            yield "floor plan", run_layers
        case "core":
            yield "C tests, release", partial(run_core, "core", ("-Dbuildtype=release",))
        case "core-sanitized":
            title = "C tests, address and undefined behaviour sanitizers"
            yield title, partial(run_core, "core-sanitized", SANITIZED_SETUP)
        case "python":
            yield from python_parts()
        case "budget" | "update-budget":
            yield from budget_parts("--check" if group == "budget" else "--update")
        case "python-sanitized":
            yield "pytest, address and undefined behaviour sanitizers", run_pytest_sanitized
        case "matrix":
            yield from matrix_parts()
        case _:
            sys.exit(f"there is no part {group!r}: choose from {', '.join(GROUPS)}")


GROUPS = ("layers", "core", "core-sanitized", "python", "budget", "python-sanitized")


def main() -> int:
    """Run the parts named on the command line, all of them if none is."""
    parts = [part for group in sys.argv[1:] or GROUPS for part in parts_of(group)]
    REPORTS.mkdir(parents=True, exist_ok=True)
    results: list[tuple[str, Count, float]] = []
    for number, (title, test) in enumerate(parts, start=1):
        say(f"\n=== part {number} of {len(parts)}: {title}")
        begin = time.monotonic()
        results.append((title, test(), time.monotonic() - begin))

    say("\n=== summary")
    for title, count, seconds in results:
        verdict = "FAIL" if count.failed else "ok"
        say(f"{verdict:4} {count.passed:6} passed {count.failed:4} failed {seconds:6.0f} s  {title}")
    total = sum((count for _, count, _ in results), start=NONE)
    say(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
