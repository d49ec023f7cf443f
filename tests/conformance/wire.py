"""What goes over the wire: requests as bytes, answers read strictly, connections that are cut where a test says."""

import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from waiting import SECONDS, eventually  # noqa: F401 - for those who import what goes over the wire

LINGERS = 1.5  # seconds, less than the server's two: so long at least it listens behind its last answer

T = TypeVar("T")

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [\t -~\x80-\xff]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)")
_DATE = re.compile(rb"Date: [A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT\r\n")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class Answer:
    """One answer as it was sent."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    headers: dict[str, str] = field(init=False)

    def __post_init__(self):
        self.headers = dict(self.fields)
        assert len(self.headers) == len(self.fields) or "set-cookie" in self.headers, f"a field twice: {self.fields}"

    @property
    def text(self) -> str:
        return self.body.decode()


def split(data: bytes, methods: Iterable[str] = ()) -> list[Answer]:
    """Every answer in `data`, which must hold nothing else; `methods` of their requests, GET where it ends."""
    answers = []
    asked = iter(methods)
    at = 0
    while at < len(data):
        end = data.find(b"\r\n\r\n", at)
        assert end >= 0, f"cut within a head: {data[at:]!r}"
        head = data[at:end]
        at = end + 4
        first, *lines = head.split(b"\r\n")
        line = _STATUS_LINE.fullmatch(first)
        assert line, f"no status line: {first[:200]!r}"
        answer = Answer(int(line[1]), [_field(line) for line in lines])
        answers.append(answer)
        if answer.status < 200:
            continue
        if answer.status in (204, 304):
            assert "content-length" not in answer.headers or answer.status == 304
            next(asked, "GET")
        elif next(asked, "GET") != "HEAD":
            length = int(answer.headers["content-length"])
            assert len(data) - at >= length, f"cut within a body: {len(data) - at} of {length}"
            answer.body = data[at : at + length]
            at += length
    return answers


def _field(line: bytes) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    assert match, f"no field line: {line[:200]!r}"
    return match[1].decode().lower(), match[2].decode("latin-1")


def undated(data: bytes) -> bytes:
    """The same, whenever it was sent."""
    return _DATE.sub(b"Date: -\r\n", data)


def get(target: str = "/", *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: test", *lines, "", ""]).encode()


def post(target: str, body: bytes, *lines: str, method: str = "POST") -> bytes:
    return get(target, f"Content-Length: {len(body)}", *lines, method=method) + body


def chunked(
    target: str, *chunks: bytes, lines: Sequence[str] = (), trailers: bytes = b"", method: str = "POST"
) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return get(target, "Transfer-Encoding: chunked", *lines, method=method) + body + b"0\r\n" + trailers + b"\r\n"


CLOSE = get("/", "Connection: close")


class Wire:
    """A connection on which nothing happens unasked."""

    def __init__(self, port: int, *, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self.rest = b""
        self.quiet = time.monotonic()  # when it had certainly not been answered yet

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Vanish: the server is sent a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def try_send(self, data: bytes) -> None:
        """Send to a server that may have closed already."""
        with suppress(ConnectionError):
            self.socket.sendall(data)

    def end(self) -> None:
        """Say that no more will be sent; what comes is still read."""
        self.socket.shutdown(socket.SHUT_WR)

    def until_closed(self) -> bytes:
        """All bytes until the server's end. A reset is an error: it destroys answers."""
        parts = [self.rest]
        while part := self.socket.recv(1 << 18):
            parts.append(part)
        self.rest = b""
        return b"".join(parts)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head = self.rest.partition(b"\r\n\r\n")[0]
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        need = int(length[1]) if length and method != "HEAD" and b" 304 " not in head[:13] else 0
        need += len(head) + 4
        while len(self.rest) < need:
            self._more()
        (answer,) = split(self.rest[:need], [method])
        self.rest = self.rest[need:]
        return answer

    def answers(self, count: int) -> list[Answer]:
        return [self.answer() for _ in range(count)]

    def _more(self) -> None:
        part = self.socket.recv(1 << 18)
        if not part:
            raise EOFError(self.rest)
        self.rest += part

    def silent(self) -> bool:
        """Whether nothing has come so far."""
        if self.rest:
            return False
        now = time.monotonic()
        self.socket.setblocking(False)
        try:
            self.rest = self.socket.recv(1 << 18)
        except BlockingIOError:
            self.quiet = now
            return True
        else:
            return False
        finally:
            self.socket.settimeout(SECONDS)

    def alive(self) -> bool:
        """Whether a further request is answered."""
        try:
            self.send(get("/"))
            return self.answer().status == 200
        except (EOFError, ConnectionError):
            return False


def whole(port: int, data: bytes) -> bytes:
    """All that comes back when `data` is sent at once and the server closes."""
    with Wire(port) as wire:
        wire.send(data)
        return wire.until_closed()


def in_time(attempt: Callable[[], tuple[bool, T]]) -> T:
    """What came; an attempt that says that this machine was too slow for a time-out to mean anything is made again."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        kept_up, result = attempt()
        if kept_up:
            return result
    pytest.skip("this machine is too slow to keep up with a time-out")


def sending_on(port: int, talk: Callable[[Wire], T]) -> T:
    """What a talk gives that sends on behind the last answer, which the server puts up with for a while.

    A reset is an error, unless it met a client that was slower than that, by what `wire.silent()` has seen.
    """

    def attempt() -> tuple[bool, T | None]:
        with Wire(port) as wire:
            try:
                return True, talk(wire)
            except OSError as error:
                if isinstance(error, TimeoutError) or time.monotonic() - wire.quiet < LINGERS:
                    raise
                return False, None

    return in_time(attempt)
