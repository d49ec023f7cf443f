"""The black box: what a process does, or was doing when it died, in memory that its supervisor reads.

A memfd. In front lies what the engine writes (`src/binding/py_blackbox.h`), behind it the names of the routes, which
are written once. Reading is `pread`: nothing that a dying worker has written can hurt its supervisor.
"""

import mmap
import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from vivace import _engine
from vivace.routing import Route
from vivace.spelling import counted

__all__ = ["Account", "attach", "create", "read", "tally", "title"]

_HEAD = struct.Struct("=QIIII")  # black_box: requests, connections, running, routes, reserved
_COUNT = struct.Struct("=I")
_NAMES_AT_MOST = 1 << 24  # bytes


@dataclass(slots=True)
class Account:
    """What a black box says.

    requests     handed to the application
    connections  open, as of the worker's latest turn
    running      the route whose handler runs: "GET /users/{id:int}"; None: none
    waiting      routes, and how many of their handlers wait for something
    """

    requests: int = 0
    connections: int = 0
    running: str | None = None
    waiting: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """What it was doing: `while GET /crash was running, and 2 x GET /slow waited`."""
        parts = [f"while {self.running} was running"] if self.running else []
        if self.waiting:
            waited = ", ".join(f"{count} x {route}" for route, count in self.waiting.most_common(5))
            more = f" and {len(self.waiting) - 5} other routes" if len(self.waiting) > 5 else ""  # noqa: PLR2004
            parts.append(f"while {waited}{more} waited")
        return " and ".join(parts) or "while no handler was running"

    def state(self, uptime: float, memory: int) -> str:
        """How it stands, in one line, `uptime` seconds after its start and with so many bytes of memory in use."""
        done = f"{counted(self.requests, 'request')} in {uptime:.1f} s"
        return f"{done}, {memory >> 20} MiB of memory, {counted(self.connections, 'open connection')}, {self}"


def create() -> int:
    """Make an empty one; the descriptor is closed on exec unless it is passed on."""
    return os.memfd_create("vivace-blackbox", os.MFD_CLOEXEC)


def attach(fd: int, server: _engine.Server, routes: Sequence[Route]) -> None:
    """Have a server keep account in the box; `routes` are the table's, by number (`Routes.numbered`)."""
    names = "\n".join(title(route) for route in routes).encode()[:_NAMES_AT_MOST]
    front = _HEAD.size + (len(routes) + 1) * _COUNT.size
    os.ftruncate(fd, front + len(names))
    memory = mmap.mmap(fd, front + len(names))
    memory[front:] = names
    server.record(memory)


def title(route: Route) -> str:
    """Name a route in one line: `GET /users/{id:int}`."""
    methods = "|".join(sorted(route.methods)) or "any"
    return f"{methods} {route.pattern}".replace("\n", "\\n")


def read(fd: int) -> Account:
    """Read what a box says now; one that was never attached says nothing."""
    head = os.pread(fd, _HEAD.size, 0)
    if len(head) < _HEAD.size:
        return Account()
    requests, connections, running, routes, _ = _HEAD.unpack(head)
    size = os.fstat(fd).st_size
    front = _HEAD.size + routes * _COUNT.size
    if routes == 0 or front > size:
        return Account(requests, connections)
    counts = struct.unpack(f"={routes}I", os.pread(fd, routes * _COUNT.size, _HEAD.size))
    names = ["", *os.pread(fd, size - front, front).decode(errors="replace").split("\n")]

    def name(number: int) -> str:
        return names[number] if number < len(names) else f"route {number}"

    waiting = Counter({name(number): count for number, count in enumerate(counts) if number and count})
    return Account(requests, connections, name(running) if running else None, waiting)


def tally(fd: int) -> int:
    """Read just the number of requests."""
    head = os.pread(fd, _HEAD.size, 0)
    return int(_HEAD.unpack(head)[0]) if len(head) == _HEAD.size else 0
