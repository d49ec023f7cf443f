#!/usr/bin/env python3
"""Serve millions of mixed requests at full speed, and tell whether the server has grown.

    python tools/soak.py [REQUESTS] [--warm REQUESTS] [--loop asyncio|uvloop]

The server is a process of its own. A client sends it whole and broken requests of every kind, pipelined: answers at
once and later, bodies, chunked ones, unknown paths, errors, requests that are kept, connections that are cut in the
middle. What the server holds in memory (RSS) is read after a warm-up and at the end; the exit status is 1 if it has
grown by more than 5 % and 2 MB.
"""

import argparse
import asyncio
import collections
import logging
import multiprocessing
import os
import random
import re
import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

CONNECTIONS = 64
RESET = struct.pack("ii", 1, 0)
STATUS_LINE = b"HTTP/1.1 "


def application() -> Any:  # noqa: C901 - many routes
    """Make an application that uses what there is to use."""
    from vivace import Application, HTTPError, Request, Response  # noqa: PLC0415 - in the server's process only

    app = Application()
    kept: collections.deque[Any] = collections.deque(maxlen=1000)
    ready = Response("ready", headers={"X-Kept": "yes"})
    left = [0]

    @app.get("/")
    def hello(request: Request) -> Response:
        return request.Response(text="Hello world!")

    @app.get("/ready")
    def kept_answer(request: Request) -> Response:
        return ready

    @app.get("/text/{name}")
    def text(name: str) -> str:
        return name

    @app.get("/at-once")
    async def at_once(request: Request) -> dict[str, Any]:
        return {"path": request.path, "query": dict(request.query), "cookies": request.cookies}

    @app.get("/later")
    async def later(request: Request) -> str:
        await asyncio.sleep(0)
        return request.headers["host"]

    @app.get("/sleep")
    async def sleep(request: Request) -> str:
        await asyncio.sleep(0.001)
        return "slept"

    @app.get("/task")
    async def task(request: Request) -> str:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        return "grouped"

    @app.post("/body")
    async def body(request: Request) -> Any:
        return request.json

    @app.post("/bytes")
    def length(request: Request) -> str:
        return str(len(request.body or b""))

    @app.get("/keep")
    def keep(request: Request) -> str:
        kept.append(request)
        return "kept"

    @app.get("/cycle")
    def cycle(request: Request) -> str:
        request.state.request = request
        request.state.headers = request.headers
        return "cycle"

    @app.get("/callback")
    def callback(request: Request) -> str:
        def count(_: Request) -> None:
            left[0] += 1

        request.add_done_callback(count)
        return "left"

    @app.get("/error")
    async def error(request: Request) -> None:
        raise LookupError(request.path)

    @app.get("/error/later")
    async def error_later(request: Request) -> None:
        await asyncio.sleep(0)
        raise HTTPError(418, "teapot")

    return app


def serve(pipe: Connection, loop: str) -> None:
    """Serve until the client has gone, and tell the port first."""
    from vivace import serving  # noqa: PLC0415 - in the server's process only
    from vivace.loop import new_event_loop, uvloop_factory  # noqa: PLC0415
    from vivace.sockets import Tcp, open_listeners  # noqa: PLC0415

    async def main() -> None:
        (listener,) = open_listeners([Tcp("127.0.0.1", 0)])
        over = asyncio.Event()
        async with serving.running(application(), [listener]) as served:
            asyncio.get_running_loop().add_reader(pipe.fileno(), over.set)
            pipe.send(listener.socket.getsockname()[1])
            await over.wait()
            pipe.send(served.server.requests)
        listener.close()

    logging.getLogger("vivace.error").disabled = True
    logging.getLogger("vivace").disabled = True
    with asyncio.Runner(loop_factory=uvloop_factory() if loop == "uvloop" else new_event_loop) as runner:
        runner.run(main())


def get(path: str, fields: str = "") -> bytes:
    """Make a request for a path."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


def post(path: str, body: bytes, fields: str = "") -> bytes:
    """Make a request with a body."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    return head.encode() + body


def chunked(path: str, *chunks: bytes) -> bytes:
    """Make a request whose body comes in chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


class Batch(NamedTuple):
    """What is sent in one piece.

    answers  how many come back; 0: the connection is cut as soon as it is sent
    closes   the server closes the connection behind them
    """

    data: bytes
    answers: int
    closes: bool = False


def batches() -> list[Batch]:
    """Make every kind, the frequent ones more than once."""
    cookies = "Cookie: a=b; c=d\r\nAccept: */*\r\n"
    mixed = [
        get("/"),
        get("/ready"),
        get("/text/caf%C3%A9"),
        get("/at-once?a=1&b=2&a=3", cookies),
        get("/later"),
        get("/task"),
        post("/body", b'{"a": [1, 2, 3]}'),
        post("/body", b"{broken"),
        post("/bytes", bytes(3000)),
        chunked("/bytes", b"x" * 700, b"y" * 3),
        get("/keep", cookies),
        get("/cycle"),
        get("/callback"),
        get("/error"),
        get("/error/later"),
        get("/nowhere"),
        post("/text/x", b""),
        b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    return [
        *[Batch(get("/") * 100, 100)] * 6,
        *[Batch(get("/at-once") * 50, 50)] * 3,
        *[Batch(b"".join(mixed) * 4, len(mixed) * 4)] * 6,
        Batch(get("/later") * 50, 50),
        Batch(get("/sleep") * 20, 20),
        Batch(get("/keep") * 30, 30),
        Batch(chunked("/bytes", b"z" * 5000) * 10, 10),
        Batch(post("/bytes", bytes(200_000)), 1),
        Batch(get("/") * 3 + get("/", "Connection: close\r\n"), 4, closes=True),
        Batch(get("/later") * 3 + b"broken\r\n\r\n", 4, closes=True),
        Batch(get("/sleep") * 20 + get("/callback") * 5, 0),
        Batch(get("/") * 20 + post("/bytes", bytes(90_000))[:40_000], 0),
    ]


class Client:
    """One connection, which is made anew when it has ended."""

    def __init__(self, port: int) -> None:
        """Connects."""
        self._port = port
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), 20)

    def send(self, batch: Batch) -> None:
        """Send it, in two pieces now and then."""
        if random.random() < 0.1:  # noqa: S311 - one in ten
            cut = random.randrange(len(batch.data))  # noqa: S311
            self._socket.sendall(batch.data[:cut])
            self._socket.sendall(batch.data[cut:])
        else:
            self._socket.sendall(batch.data)

    def take(self, batch: Batch) -> None:
        """Read its answers."""
        if batch.answers == 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        found, tail = 0, b""
        while found < batch.answers:
            data = self._socket.recv(1 << 18)
            if not data:
                raise EOFError(found, batch)
            data = tail + data
            found += data.count(STATUS_LINE)
            # What may be the beginning of the next status line.
            tail = data[-len(STATUS_LINE) + 1 :]
        if found != batch.answers:
            raise ValueError(found, batch)
        if not batch.closes and batch.answers:
            # The rest of the last answer: a round trip of its own.
            self._socket.sendall(get("/text/the-end"))
            while not tail.endswith(b"the-end"):
                tail += self._socket.recv(1 << 18)
            return
        self._socket.close()
        self._connect()


def rss(pid: int) -> int:
    """Read the bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@contextmanager
def server(loop: str) -> Iterator[tuple[int, int, Connection]]:
    """Start the server: its process id, its port, and a pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, loop))
    process.start()
    try:
        yield process.pid or 0, ours.recv(), ours
    finally:
        process.join(20)
        process.kill()


def soak(requests: int, warm: int, loop: str) -> bool:
    """Send them all; whether the server has kept its size."""
    kinds, sent, began, warmed = batches(), 0, time.monotonic(), 0
    with server(loop) as (pid, port, pipe):
        clients = [Client(port) for _ in range(CONNECTIONS)]
        peaks: list[tuple[int, int]] = []
        while sent < requests:
            chosen = [(client, random.choice(kinds)) for client in random.sample(clients, 8)]  # noqa: S311
            for client, batch in chosen:
                client.send(batch)
            for client, batch in chosen:
                client.take(batch)
                sent += batch.answers + 1
            if not warmed and sent >= warm:
                warmed = rss(pid)
                print(f"{sent:>11,} requests  {warmed / 1e6:7.2f} MB  (warm)", flush=True)
            if sent >= (len(peaks) + 1) * max(requests // 10, 1):
                peaks.append((sent, rss(pid)))
                print(f"{sent:>11,} requests  {peaks[-1][1] / 1e6:7.2f} MB", flush=True)
        grown = rss(pid) - warmed
        pipe.send(None)
        served = pipe.recv()
    seconds = time.monotonic() - began
    print(f"{served:,} requests served in {seconds:.0f} s, {served / seconds:,.0f}/s; grown by {grown / 1e6:+.2f} MB")
    return not (grown > 2e6 and grown > 0.05 * warmed)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("requests", nargs="?", type=lambda text: int(re.sub("[_,]", "", text)), default=10_000_000)
    parser.add_argument("--warm", type=int, default=100_000, help="requests before the memory is first read")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--seed", type=int, default=os.getpid())
    given = parser.parse_args()
    random.seed(given.seed)
    print(f"seed {given.seed}", flush=True)
    return 0 if soak(given.requests, given.warm, given.loop) else 1


if __name__ == "__main__":
    sys.exit(main())
