"""Servers for tests, in a thread or as a process, and a client that sends raw bytes."""

import asyncio
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

import pytest
from waiting import SECONDS

from vivace import Application, serving
from vivace.loop import new_event_loop
from vivace.sockets import Tcp, open_listeners

IO = os.environ.get("VIVACE_IO", "auto")  # the back-end that the whole run is for
FOR_ALL = ("VIVACE_IO", "VIVACE_SIMD")  # what a run of the tests is told, and every server that it starts
FOR_NONE = (
    "VIVACE_",
    "PORT",
    "WEB_CONCURRENCY",
    "LISTEN_",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "FORCE_COLOR",
    "PYTHON_COLORS",
)


@pytest.fixture(scope="session", autouse=True)
def environment() -> None:
    """Nothing that whoever runs the tests has set for his own servers and terminals reaches those of the tests."""
    for name in [name for name in os.environ if name.startswith(FOR_NONE) and name not in FOR_ALL]:
        del os.environ[name]
    # Python takes a module's byte code for that of another version of the same size and second.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


class Answer:
    """One HTTP answer, as read from the wire."""

    def __init__(self, head: str, body: bytes) -> None:
        first, *fields = head.split("\r\n")
        self.status = int(first.split(" ")[1])
        self.fields = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        self.headers = dict(self.fields)
        self.body = body
        self.text = body.decode()


class Client:
    """A connection that sends what it is told, byte for byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(SECONDS)
        self._file = sock.makefile("rb")

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def answer(self, method: str = "GET") -> Answer:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            if not line:
                raise EOFError(head)
            head += line
        answer = Answer(head.decode("latin-1").strip(), b"")
        if method != "HEAD":
            answer.body = self._file.read(int(answer.headers.get("content-length", 0)))
            answer.text = answer.body.decode()
        return answer

    def request(self, target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        fields = {"Host": "test", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None:
            fields["Content-Length"] = str(len(body))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        return self.answer(method)

    def at_end(self) -> bool:
        """Whether the server has closed (waits for it)."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def reset(self) -> None:
        """Leave without good-bye: the server is sent a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def connect(port: int, host: str = "127.0.0.1") -> Client:
    return Client(socket.create_connection((host, port), SECONDS))


class Served:
    """An application that a thread serves."""

    def __init__(self, app: Application, **arguments: Any) -> None:
        self.app = app
        self._arguments = arguments
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._clients: list[Client] = []
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(SECONDS)
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: new_event_loop(IO)) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - for the thread that started this one
            self.failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        (listener,) = open_listeners([Tcp("127.0.0.1", 0)])
        self.port = listener.socket.getsockname()[1]
        try:
            async with serving.running(self.app, [listener], **self._arguments) as self.running:
                self._ready.set()
                await self._end.wait()
        finally:
            listener.close()

    def client(self) -> Client:
        self._clients.append(connect(self.port))
        return self._clients[-1]

    def get(self, target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        return self.client().request(target, method, body, Connection="close", **headers)

    def end(self) -> None:
        """Ask for the end, without waiting for it."""
        self._loop.call_soon_threadsafe(self._end.set)

    def stop(self) -> None:
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it may be ending by itself this very moment
                self.end()
            self._thread.join(SECONDS)
        for client in self._clients:
            client.close()
        assert not self._thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """`serve(app)` serves it on a free port until the test ends."""
    with ExitStack() as stack:

        def start(app: Application, **arguments: Any) -> Served:
            served = Served(app, **arguments)
            stack.callback(served.stop)
            served.start()
            return served

        yield start


class _Rest(threading.Thread):
    """What a stream still has, read beside."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._text = ""
        self.start()

    def run(self) -> None:
        self._text = self._stream.read()

    def text(self) -> str:
        self.join(SECONDS)
        assert not self.is_alive(), "somebody holds the stream"
        return self._text


class Process:
    """A Python that serves: a script, or the command line."""

    def __init__(self, arguments: list[str], directory: Path, env: dict[str, str]) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "VIVACE_IO": IO, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.announced = ""
        self.before: list[str] = []
        self._clients: list[Client] = []

    def ready(self) -> str:
        """The line that says it serves."""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            if " serving " in line:
                self.announced = line.strip()
                return self.announced
            self.before.append(line)
        raise AssertionError("".join(self.before))

    def line(self, *words: str) -> str:
        """The next line of the log that has all these words."""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.before.append(line)
            if all(word in line for word in words):
                return line
        raise AssertionError("".join(self.before))

    @property
    def port(self) -> int:
        found = re.search(r":(\d+)[ ,]", self.announced or self.ready())
        assert found
        return int(found[1])

    def client(self) -> Client:
        self._clients.append(connect(self.port))
        return self._clients[-1]

    def get(self, target: str) -> Answer:
        return self.client().request(target, Connection="close")

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Exit status, what is left of stdout, and all of stderr but what `ready` gave."""
        # communicate() would leave out what has been read ahead of the lines that were asked for.
        rest = [_Rest(stream) for stream in (self.popen.stdout, self.popen.stderr)]
        status = self.popen.wait(SECONDS)
        out, err = (each.text() for each in rest)
        return status, out, "".join(self.before) + err

    def stop(self) -> tuple[int, str, str]:
        self.signal(signal.SIGTERM)
        return self.end()

    def clear(self) -> None:
        for client in self._clients:
            client.close()
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """`start("-m", "vivace", ...)` starts a Python in the test's own folder."""
    with ExitStack() as stack:

        def begin(*arguments: str, **env: str) -> Process:
            process = Process(list(arguments), tmp_path, env)
            stack.callback(process.clear)
            return process

        yield begin


@pytest.fixture
def run(start: Callable[..., Process]) -> Callable[..., tuple[int, str, str]]:
    """`run("check", "hello:app")` runs a command of vivace to its end: status, stdout, stderr."""
    return lambda *arguments, **env: start("-m", "vivace", *arguments, **env).end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Let what a test has logged pass to another process, lone surrogates too."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report
