"""A server under valgrind's callgrind: what each run of requests cost, by object and function."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
COUNTED = ("vv_loop_dispatch", "coroutine_take_turns")
"""What is counted: these functions with all that they call. The first goes from the receive to the send; the second,
beside it, takes coroutines further that had yielded."""

OPENS = "vv_conn_open"
"""callgrind writes down what it has counted, and starts again at nothing, whenever a connection opens."""

WARM_UP = 96
"""Requests on a connection of their own before those that are counted: CPython specialises what runs often."""

SECONDS = 60


@dataclass(frozen=True)
class Wanted:
    """Some requests to be counted: `requests` of them, `depth` at once."""

    label: str
    request: bytes
    depth: int
    requests: int


@dataclass
class Counted:
    """Instructions, by function."""

    by_function: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of (object, function), without what they call."""

    def of(self, *objects: str) -> int:
        """Sum up the objects whose name holds one of the words; all if there are none."""
        found = self.by_function.items()
        return sum(cost for (name, _), cost in found if not objects or any(word in name for word in objects))


class CannotCountError(Exception):
    """The server did not run under valgrind, or callgrind did not see what is to be counted."""


class NoValgrindError(CannotCountError):
    """It is not installed."""


def _parse(text: Iterable[str]) -> Counted:
    """Read callgrind's file: the costs of lines, without those of calls."""
    counted = Counted()
    names: dict[tuple[str, str], str] = {}
    here, function, after_call = "", "", False
    for line in text:
        if found := re.match(r"(ob|fn)=(\(\d+\))(?: (.*))?", line):
            kind, number, name = found.groups()
            name = names.setdefault((kind, number), name or "")
            if kind == "ob":
                here = name
            else:
                function = name
        elif found := re.match(r"c(ob|fn)=(\(\d+\)) (.*)", line):
            kind, number, name = found.groups()
            names.setdefault((kind, number), name)
        elif line.startswith("calls="):
            after_call = True
        elif line[:1] in "0123456789+-*" and (parts := line.split()):
            if not after_call and len(parts) > 1:
                counted.by_function[here, function] += int(parts[-1])
            after_call = False
    return counted


def _ask(port: int, wanted: Wanted, requests: int) -> None:
    """Send batches on a connection of their own, and wait for each one's answers (all of one length)."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        length = 0
        for _ in range(requests // wanted.depth):
            sock.sendall(wanted.request * wanted.depth)
            if not length:
                length = _first_length(sock, wanted)
                continue
            due = length * wanted.depth
            while due > 0:
                due -= len(_more(sock))


def _first_length(sock: socket.socket, wanted: Wanted) -> int:
    """Take the answers of the first batch; the length of one."""
    got = b""
    while True:
        got += _more(sock)
        head = got.find(b"\r\n\r\n")
        found = re.search(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)", got[: head + 2])
        if head >= 0 and found:
            length = head + 4 + int(found[1])
            if len(got) == length * wanted.depth:
                return length


def _more(sock: socket.socket) -> bytes:
    got = sock.recv(1 << 20)
    if not got:
        raise CannotCountError("the server has closed a connection")
    return got


@contextlib.contextmanager
def _serving(out: Path, io: str) -> Iterator[int]:
    """Run app.py under callgrind; its port."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise NoValgrindError("valgrind is not installed")
    counted = [f"--toggle-collect={name}" for name in COUNTED]
    counting = [*counted, f"--dump-before={OPENS}", f"--callgrind-out-file={out}"]
    # Little else: what the environment holds moves the heap, and with it what malloc() costs.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    env = {**kept, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
    command = [valgrind, "--tool=callgrind", *counting, sys.executable, str(HERE / "app.py"), io]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as server:
        try:
            assert server.stderr is not None
            lines = []
            for line in server.stderr:
                lines.append(line)
                if found := re.search(r"serving http://127\.0\.0\.1:(\d+)", line):
                    break
            else:
                raise CannotCountError("".join(lines))
            yield int(found[1])
            server.send_signal(signal.SIGINT)
            server.stderr.read()
            server.wait(SECONDS)
        finally:
            server.kill()


def count(wanted: list[Wanted], io: str = "epoll") -> dict[str, Counted]:
    """Count instructions for each of the wanted, in one run of the server."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        with _serving(out, io) as port:
            for one in wanted:
                _ask(port, one, max(WARM_UP, one.depth * 2))
                _ask(port, one, one.requests)
        # Dump n holds what was counted up to connection n; the file without a number what came after the last.
        dumps = [Path(folder, f"out.{number}") for number in range(1, 2 * len(wanted) + 1)]
        if not all(dump.exists() for dump in dumps):
            raise CannotCountError(f"callgrind did not see each call of {OPENS}()")
        after = [*dumps[2::2], out]
        counted = {}
        for one, dump in zip(wanted, after, strict=True):
            with dump.open() as text:
                counted[one.label] = _parse(text)
            if not counted[one.label].of():
                raise CannotCountError(f"callgrind did not see {COUNTED[0]}() in {one.label!r}")
    return counted
