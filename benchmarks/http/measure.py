"""One server under load: started on one CPU, checked, loaded from another, stopped."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servers import ENGINE, HERE, Server

SERVER_CPU, LOAD_CPU = "0", "1"
MODES = {"P24": (100, 24), "P1": (100, 1), "P16": (64, 16), "C1": (1, 1)}
"""Connections, and requests sent at once on each."""

START_SECONDS, STOP_SECONDS = 15, 3


class UnfitError(Exception):
    """The server did not start, or its answer is wrong."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _family(pid: int) -> list[int]:
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


def _check(server: Server, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for the server and see to it that it answers as it should."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            got = _ask(port, server.workload.request, server.workload.body)
        except OSError:
            if time.monotonic() > end or process.poll() is not None:
                raise UnfitError("does not answer") from None
            time.sleep(0.05)
            continue
        if got.count(b"HTTP/1.1 200 OK") != 2 or got.count(server.workload.body) != 2:
            raise UnfitError(f"answers {got[:200]!r}")
        return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group that was started for this server."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


@contextlib.contextmanager
def _running(server: Server, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = _free_port()
    nginx = (HERE / "peers" / "nginx.conf").read_text()
    (folder / "nginx.conf").write_text(nginx.replace("FOLDER", str(folder)).replace("PORT", str(port)))
    command = [part.replace("PORT", str(port)).replace("FOLDER", str(folder)) for part in server.command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CPU, *command], stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield port, process
    finally:
        _stop(process)


def measure(server: Server, modes: list[str], seconds: float) -> dict[str, dict[str, Any]]:
    """Load the server in each mode; what load.c reports, by mode."""
    results = {}
    folder = Path(tempfile.mkdtemp(prefix="vivace-bench-"))
    try:
        (folder / "request").write_bytes(server.workload.request)
        (folder / "body").write_bytes(server.workload.body)
        with _running(server, folder) as (port, process):
            try:
                _check(server, port, process)
            except UnfitError as error:
                log = (folder / "log").read_text(errors="replace")[-500:]
                raise UnfitError(f"{error}\n{log}") from None
            for mode in modes:
                connections, depth = MODES[mode]
                shape = ["-c", str(connections), "-d", str(depth), "-t", str(seconds)]
                pids = ",".join(map(str, _family(process.pid)))
                files = [str(port), str(folder / "request"), str(folder / "body")]
                load = ["taskset", "-c", LOAD_CPU, str(ENGINE / "benchmarks/http/load"), *shape, "-p", pids, *files]
                done = subprocess.run(load, capture_output=True, text=True, timeout=seconds + 60, check=False)
                if done.returncode != 0:
                    raise UnfitError(f"{mode}: {done.stderr[:300]}{done.stdout[:300]}")
                results[mode] = json.loads(done.stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results
