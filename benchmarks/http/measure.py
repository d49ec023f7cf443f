"""One server under load: started on one CPU, checked, loaded from another, stopped."""

import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import HERE, PROGRAMS, Server
from workloads import HELLO, Workload

_CPUS = sorted(map(str, os.sched_getaffinity(0)), key=int)
SERVER_CPU, LOAD_CPU = _CPUS[0], _CPUS[1 % len(_CPUS)]
MODES = {"P24": (100, 24), "P1": (100, 1), "P16": (64, 16), "C1": (1, 1)}
"""Connections, and requests sent at once on each."""

START_SECONDS, STOP_SECONDS = 15, 3
TRIES = 3
"""Of what a busy machine may have spoilt."""

LATER_WARM_UP = 0.1
"""Seconds of load before each measurement but a server's first."""

Report = dict[str, Any]
"""What load.c prints."""


class UnfitError(Exception):
    """The server did not start, or its answer is wrong."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def family(pid: int) -> list[int]:
    """Collect the process and all that it has started."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _ask(port: int, request: bytes, expected: bytes) -> bytes:
    """Send the request twice on one connection; what came back, up to the second `expected`."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        client.sendall(request * 2)
        got = b""
        while got.count(expected) < 2 and (more := client.recv(65536)):
            got += more
    return got


@dataclass
class Running:
    """A server that runs, as the load generator needs to know it."""

    server: Server
    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    warm: bool = False

    def check(self, workload: Workload, wait: float = START_SECONDS) -> None:
        """Wait for the server and see to it that it answers as it should."""
        end = time.monotonic() + wait
        while True:
            try:
                got = _ask(self.port, workload.request, workload.body)
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise UnfitError(self._with_log("does not answer")) from None
                time.sleep(0.02)
                continue
            if got.count(b"HTTP/1.1 200 ") != 2 or got.count(workload.body) != 2:
                raise UnfitError(self._with_log(f"answers {got[:200]!r}"))
            return

    def _with_log(self, why: str) -> str:
        return f"{why}\n{(self.folder / 'log').read_text(errors='replace')[-500:]}"

    def load_command(self, workload: Workload, *options: str) -> list[str]:
        """Give the command that loads the server with the workload."""
        (self.folder / "request.bin").write_bytes(workload.request)
        (self.folder / "body.bin").write_bytes(workload.body)
        pids = ",".join(map(str, family(self.process.pid)))
        files = (str(self.folder / "request.bin"), str(self.folder / "body.bin"))
        return [str(PROGRAMS / "load"), *options, "-p", pids, str(self.port), *files]

    def load(self, workload: Workload, seconds: float, *options: str) -> Report:
        """Load the server from the other CPU."""
        warm_up = LATER_WARM_UP if self.warm else self.server.warm_up
        self.warm = True
        times = ("-t", str(seconds), "-w", str(warm_up))
        command = ["taskset", "-c", LOAD_CPU, *self.load_command(workload, *options, *times)]
        for _ in range(TRIES):
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
            report: Report = json.loads(done.stdout or "{}")
            if done.returncode == 0:
                return report
            if report.get("answers") or report.get("faults", 1):
                raise UnfitError(f"{done.stderr[:300]}{done.stdout[:300]}")
        # Not a wrong answer, but none: somebody else had the CPU all the time, or the server hangs.
        raise UnfitError(f"gave no answer within {seconds} s, {TRIES} times")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group that was started for this server."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


@contextlib.contextmanager
def running(server: Server, cpus: str = SERVER_CPU, workers: int = 1) -> Iterator[Running]:
    """Start the server on the CPUs, and stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="vivace-bench-"))
    try:
        words = {"PORT": _free_port(), "FOLDER": folder, "WORKERS": workers}
        nginx = (HERE / "peers" / "nginx.conf").read_text()
        for word, value in words.items():
            nginx = nginx.replace(word, str(value))
        (folder / "nginx.conf").write_text(nginx)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["taskset", "-c", cpus, *server.started(**words)], stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield Running(server, int(str(words["PORT"])), process, folder)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(server: Server, modes: list[str], seconds: float) -> dict[str, dict[str, Report]]:
    """Load the server with each of its cases in each mode: what load.c reports, by row and mode."""
    results: dict[str, dict[str, Report]] = {}
    with running(server) as run:
        for case, workload in server.cases:
            run.check(workload)
            for mode in modes:
                connections, depth = MODES[mode]
                report = run.load(workload, seconds, "-c", str(connections), "-d", str(depth))
                results.setdefault(server.row(case), {})[mode] = report
    return results


# ---- at a fixed rate -------------------------------------------------------------------------------------------------

SHARES = (0.2, 0.5, 0.8)
"""Of what the server does without pipelining when it is asked as fast as it answers."""

TRY_SECONDS = 0.6
ALONE = ("-c", "100", "-d", "1")


def measure_latency(server: Server) -> list[Report]:
    """Load the server at fixed rates: for each share the medians of some tries, with `share` and `rate`."""
    with running(server) as run:
        workload = next((workload for _, workload in server.cases if workload is HELLO), server.cases[0][1])
        run.check(workload)
        run.load(workload, 0.2, *ALONE)
        most = run.load(workload, 0.7, *ALONE)
        full = most["answers"] / most["seconds"]
        reports: list[list[Report]] = [[] for _ in SHARES]
        for _ in range(TRIES):
            for share, tries in zip(SHARES, reports, strict=True):
                tries.append(run.load(workload, TRY_SECONDS, *ALONE, "-r", f"{full * share:.0f}"))
    return [
        {"share": share, "rate": full * share} | {key: statistics.median(one[key] for one in tries) for key in tries[0]}
        for share, tries in zip(SHARES, reports, strict=True)
    ]
