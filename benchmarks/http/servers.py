"""What a server is to this benchmark, and which are ours: vivace, the core without Python, the null servers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import workloads
from workloads import Workload

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
ENGINE = BUILD / "core"
PROGRAMS = ENGINE / "benchmarks" / "http"

NULL, CORE, VIVACE = "null epoll", "core", "vivace"
BACK_ENDS = {"uring": "io_uring", "epoll": "epoll"}


@dataclass(frozen=True)
class Server:
    """A command that serves, and what is asked of it.

    command  PORT stands for its port, FOLDER for a folder of its own, WORKERS for how many processes are wanted
    cases    what is asked, by the name that the page gives it; "" is the server itself
    warm_up  seconds of load before the first measurement: some compile while they run
    workers  whether the command knows WORKERS
    """

    name: str
    command: tuple[str, ...]
    cases: tuple[tuple[str, Workload], ...] = (("", workloads.HELLO),)
    warm_up: float = 0.3
    workers: bool = False

    def row(self, case: str) -> str:
        """Name one of its cases."""
        return f"{self.name}: {case}" if case else self.name

    def started(self, **words: object) -> list[str]:
        """Fill in the command."""
        command = list(self.command)
        for word, value in words.items():
            command = [part.replace(word, str(value)) for part in command]
        return command


HELLO = "Response(text=...)"
VIVACE_CASES = (
    (HELLO, workloads.HELLO),
    ("str", workloads.TEXT),
    ("async def", workloads.ASYNC),
    ("await sleep(0)", workloads.SLEEP),
    ("dict as JSON", workloads.JSON),
    ("/users/{id:int}", workloads.USER),
    ("four headers", workloads.HEADERS),
    ("POST 1 KiB", workloads.ECHO),
)
CORE_CASES = (("hello", workloads.HELLO), ("/users/{id:int}", workloads.USER), ("POST 1 KiB", workloads.ECHO))
ON_EPOLL = ("hello", HELLO, "async def", "await sleep(0)")
"""Cases that are measured on the second back-end too."""


def _vivace(io: str, cases: tuple[tuple[str, Workload], ...]) -> Server:
    command = (sys.executable, str(HERE / "vivace_app.py"), "PORT", io, "WORKERS")
    return Server(f"{VIVACE} on {BACK_ENDS[io]}", command, cases, workers=True)


def ours() -> Iterator[Server]:
    """Yield the null servers, the core without Python, and vivace."""
    length = str(len(workloads.HELLO.request))
    yield Server(NULL, (str(PROGRAMS / "null_epoll"), "PORT", length))
    rings = (PROGRAMS / "null_uring").exists()
    if rings:
        yield Server("null io_uring", (str(PROGRAMS / "null_uring"), "PORT", length))
    for io in ("uring", "epoll") if rings else ("epoll",):
        few = rings and io == "epoll"
        for make, every in ((_core, CORE_CASES), (_vivace, VIVACE_CASES)):
            yield make(io, tuple(case for case in every if not few or case[0] in ON_EPOLL))


def _core(io: str, cases: tuple[tuple[str, Workload], ...]) -> Server:
    return Server(f"{CORE} on {BACK_ENDS[io]}", (str(PROGRAMS / "core_server"), "PORT", io), cases)


def build() -> None:
    """Build the load generator and the servers in C."""
    meson = shutil.which("meson", path=str(Path(sys.executable).parent)) or shutil.which("meson")
    if meson is None:
        raise SystemExit("meson is not installed: run `make setup`, or put it on PATH")
    # With the ninja that is installed beside it: another version would build everything again.
    env = os.environ | {"PATH": os.pathsep.join([str(Path(meson).parent), *os.get_exec_path()])}
    if not (ENGINE / "build.ninja").exists():
        subprocess.run([meson, "setup", ENGINE, ROOT, "-Dpython=false", "--buildtype=release"], check=True, env=env)
    subprocess.run([meson, "compile", "-C", ENGINE], check=True, stdout=subprocess.DEVNULL, env=env)
