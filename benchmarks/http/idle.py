"""What a connection costs a server that has answered it and waits for its next request."""

import contextlib
import resource
import select
import socket
import time
from pathlib import Path
from typing import Any

from measure import UnfitError, family, running
from servers import Server
from workloads import Workload

WARM_CONNECTIONS = 500
"""Opened first, so that the rooms of the allocator that were free already are taken."""

SETTLE_SECONDS = 0.3
SOURCES = 8
"""Addresses 127.0.0.1 and up that the connections come from: a server's port has 28,000 of each."""


def _memory(pid: int) -> dict[str, int]:
    """Sum up the memory of the process and all that it started, in bytes: resident, and private and written to."""
    resident = private = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]:
                name, _, value = line.partition(":")
                if name == "Rss":
                    resident += int(value.split()[0]) * 1024
                elif name == "Private_Dirty":
                    private += int(value.split()[0]) * 1024
    return {"resident": resident, "private": private}


def _open(port: int, count: int, workload: Workload, clients: list[socket.socket]) -> None:
    """Open connections, and have one request answered on each."""
    for number in range(count):
        source = f"127.0.0.{1 + number % SOURCES}"
        client = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))
        clients.append(client)
        client.sendall(workload.request)
        got = b""
        while workload.body not in got:
            more = client.recv(4096)
            if not more:
                raise UnfitError(f"closed connection {len(clients)}")
            got += more


def _closed(clients: list[socket.socket]) -> int:
    """Count those that the server has closed."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN)
    return len(poll.poll(0))


def room_for(count: int) -> int:
    """Raise the limit of descriptors, here and for the servers to come; how many connections it then allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, count + WARM_CONNECTIONS + 200)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return min(count, soft - WARM_CONNECTIONS - 200)


def measure_idle(server: Server, count: int) -> dict[str, Any]:
    """Hold `count` idle connections: bytes of user memory that each one costs.

    That of the dearer half: an allocator may have old room to give away for nothing, a collector may clear up.
    """
    clients: list[socket.socket] = []
    try:
        with running(server) as run:
            workload = server.cases[0][1]
            run.check(workload)
            _open(run.port, WARM_CONNECTIONS, workload, clients)
            before = []
            for _ in range(3):
                time.sleep(SETTLE_SECONDS)
                before.append(_memory(run.process.pid))
                if len(before) < 3:
                    _open(run.port, count // 2, workload, clients)
            if lost := _closed(clients):
                raise UnfitError(f"closed {lost} of {len(clients)} connections")
            start, middle, end = before
            half = count // 2
            return {
                "connections": 2 * half,
                **{f"{k}_each": max(end[k] - middle[k], middle[k] - start[k]) / half for k in end},
                **{f"{kind}_total": end[kind] for kind in end},
            }
    except OSError as error:
        raise UnfitError(f"after {len(clients)} connections: {error}") from None
    finally:
        for client in clients:
            client.close()
