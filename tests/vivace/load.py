"""Clients that ask again and again while something happens to the server."""

import socket
import threading
import time
from collections import Counter
from typing import Self

from waiting import SECONDS


class Patience:
    """A worker that leaves waits a second for the first request of a connection, then closes it. A client that was
    slower than that, as it may be on a busy machine, has not been failed: the close that it meets with is passed over.
    """

    SECONDS = 0.8

    def __init__(self, began: float) -> None:
        """Count from before it was connected."""
        self._began = began
        self._sent: float | None = None

    def sent(self) -> None:
        """Hear that the request has gone out."""
        self._sent = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, (EOFError, ConnectionResetError, BrokenPipeError)):
            return False
        if isinstance(error, EOFError) and any(error.args):  # an answer that had begun
            return False
        return (self._sent or time.monotonic()) - self._began > self.SECONDS


def asked(process, target: str = "/") -> str:
    """The text of an answer; none where `Patience` passes over that there was none."""
    with Patience(time.monotonic()) as patience:
        client = process.client()
        client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        patience.sent()
        return client.answer().text
    return ""


class Load:
    """Asks from several threads until it is stopped. `failures`: what went wrong; `answers`: how often each was given.

    fresh   clients that open a connection for each request
    kept    clients that keep theirs, and open another one only when the server has closed it: a request that meets
            with the close of a connection that was used before is sent again, as RFC 9112 (section 9.3.1) wants it
    """

    def __init__(self, port: int, target: str = "/", *, fresh: int = 2, kept: int = 2) -> None:
        self.failures: list[str] = []
        self.answers: Counter[str] = Counter()
        self._port = port
        self._request = f"GET {target} HTTP/1.1\r\nHost: a\r\n".encode()
        self._stop = threading.Event()
        work = [self._ask_fresh] * fresh + [self._ask_kept] * kept
        self._threads = [threading.Thread(target=self._run, args=(ask,)) for ask in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _run(self, ask) -> None:
        while not self._stop.is_set():
            try:
                ask()
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(repr(error))
                self._stop.wait(0.01)

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), SECONDS)

    def _ask_fresh(self) -> None:
        began = time.monotonic()
        with self._connect() as sock, sock.makefile("rb") as file:
            self._ask_first(sock, file, b"Connection: close\r\n\r\n", began)

    def _ask_kept(self) -> None:
        began = time.monotonic()
        with self._connect() as sock, sock.makefile("rb") as file:
            last = self._ask_first(sock, file, b"\r\n", began)
            while not last and not self._stop.is_set():
                try:
                    sock.sendall(self._request + b"\r\n")
                    first = file.readline()
                except (ConnectionResetError, BrokenPipeError):
                    return
                last = not first or self._take(first, file)

    def _ask_first(self, sock: socket.socket, file, end: bytes, began: float) -> bool:
        """Ask on a connection that is new; whether it has ended."""
        first = b""
        with Patience(began) as patience:
            sock.sendall(self._request + end)
            patience.sent()
            first = file.readline()
            if not first:
                raise EOFError
        return not first or self._take(first, file)

    def _take(self, first: bytes, file) -> bool:
        """Take one answer, whose first line has come; whether it was the connection's last."""
        if not first.startswith(b"HTTP/1.1 200 "):
            raise ValueError(first)
        length, last = 0, False
        while (line := file.readline()) != b"\r\n":
            if not line:
                raise EOFError("in the head")
            name, _, value = line.lower().partition(b":")
            length = int(value) if name == b"content-length" else length
            last = last or (name == b"connection" and value.strip() == b"close")
        body = file.read(length)
        if len(body) != length:
            raise EOFError("in the body")
        self.answers[body.decode()] += 1
        return last
