"""Clients that ask again and again while something happens to the server."""

import socket
import threading
from collections import Counter
from typing import Self

from waiting import SECONDS


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
        with self._connect() as sock, sock.makefile("rb") as file:
            sock.sendall(self._request + b"Connection: close\r\n\r\n")
            self._take(file)

    def _ask_kept(self) -> None:
        with self._connect() as sock, sock.makefile("rb") as file:
            used = False
            while not self._stop.is_set():
                try:
                    sock.sendall(self._request + b"\r\n")
                    last = self._take(file, used=used)
                except (ConnectionResetError, BrokenPipeError):
                    if used:
                        return
                    raise
                if last:
                    return
                used = True

    def _take(self, file, *, used: bool = False) -> bool:
        """Take one answer; whether it was the connection's last."""
        first = file.readline()
        if not first and used:
            return True
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
