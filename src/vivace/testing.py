"""Tests of an application, by the engine that serves it in production: real sockets, real limits, real disconnects.

Needs httpx2: `pip install httpx2`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

try:
    import httpx2
except ModuleNotFoundError as missing:
    if missing.name != "httpx2":
        raise
    msg = "vivace.testing needs httpx2: `pip install httpx2`"
    raise ModuleNotFoundError(msg, name="httpx2") from None

from vivace import failures
from vivace._engine import Request
from vivace.app import Application
from vivace.loop import new_event_loop
from vivace.serving import Running, running
from vivace.sockets import Listener, Tcp, open_listeners

__all__ = ["AsyncTestClient", "TestClient"]

T = TypeVar("T")
Address = tuple[str, int]

_URL = "http://testserver"
_TIMEOUT = 30.0  # seconds, of a request
_GRACEFUL = 1.0  # seconds that handlers have at the end
_PATIENCE = 10.0  # seconds after that, until the application counts as stuck


class TestClient(httpx2.Client):
    """A client of an application that is served for it: httpx2's Client, with the engine at the other end.

    Entering serves the application, in a thread and on a loop of its own, with its start-up hooks; whatever these
    raise is raised here. Leaving ends it, with its shutdown hooks. Any number may be open at once.

    app                      what is tested
    base_url                 what paths are relative to; whatever its host is, the application is reached
    raise_server_exceptions  an exception that no error handler takes is raised by the request, in place of its 500
    graceful                 seconds that requests in flight have at the end; then they are cut
    io                       the engine's back-end
    options                  httpx2's: headers, cookies, follow_redirects, timeout (30 s) ...

    RuntimeError for a request outside of the context, and at the end if the application does not stop.

        with TestClient(app) as client:
            assert client.get("/").text == "Hello world!"
    """

    __test__ = False  # it is not for pytest to collect

    def __init__(
        self,
        app: Application,
        *,
        base_url: str = _URL,
        raise_server_exceptions: bool = True,
        graceful: float = _GRACEFUL,
        io: str = "auto",
        **options: Any,
    ) -> None:
        """Nothing is served before the context is entered."""
        self._server = _Thread(app, graceful, io)
        transport = _Transport(self._server, _Failures(app) if raise_server_exceptions else None)
        super().__init__(base_url=base_url, transport=transport, **{"timeout": _TIMEOUT, "trust_env": False, **options})

    @property
    def address(self) -> Address:
        """Where the application is served, for clients of other kinds: ("127.0.0.1", port)."""
        return self._server.address

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = _TIMEOUT) -> T:
        """Run a coroutine on the application's loop, and return what it returns.

        timeout  seconds, then it is cancelled and TimeoutError is raised; None: for ever

            client.run(app.state.db.insert("a row"))
        """
        return self._server.run(coroutine, timeout)


class AsyncTestClient(httpx2.AsyncClient):
    """The same for tests that are coroutines: httpx2's AsyncClient; the application is served on the running loop.

    Arguments are those of TestClient.

        async with AsyncTestClient(app) as client:
            answer = await client.get("/")
    """

    __test__ = False

    def __init__(
        self,
        app: Application,
        *,
        base_url: str = _URL,
        raise_server_exceptions: bool = True,
        graceful: float = _GRACEFUL,
        io: str = "auto",
        **options: Any,
    ) -> None:
        """Nothing is served before the context is entered."""
        self._server = _Task(app, graceful, io)
        transport = _AsyncTransport(self._server, _Failures(app) if raise_server_exceptions else None)
        super().__init__(base_url=base_url, transport=transport, **{"timeout": _TIMEOUT, "trust_env": False, **options})

    @property
    def address(self) -> Address:
        """Where the application is served, for clients of other kinds: ("127.0.0.1", port)."""
        return self._server.address


# Servers


class _Place:
    """Where an application is served, while it is."""

    EXAMPLE = ""  # of the context that serves it

    def __init__(self, app: Application, graceful: float, io: str) -> None:
        self.app = app
        self.graceful = graceful
        self.io = io
        self._address: Address | None = None

    @property
    def address(self) -> Address:
        if self._address is None:
            msg = f"the application is not served: write `{self.EXAMPLE} as client:` around its requests"
            raise RuntimeError(msg)
        return self._address

    def _listen(self) -> Listener:
        (listener,) = open_listeners([Tcp("127.0.0.1", 0)])
        host, port = listener.socket.getsockname()
        self._address = (host, port)
        return listener

    def _running(self, listener: Listener) -> AbstractAsyncContextManager[Running]:
        return running(self.app, [listener], graceful=self.graceful, io=self.io)


class _Thread(_Place):
    """Serves on a loop of its own, in a thread."""

    EXAMPLE = "with TestClient(app)"

    def __init__(self, app: Application, graceful: float, io: str) -> None:
        super().__init__(app, graceful, io)
        self._ready = threading.Event()
        self._serves = False
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Return when it serves, or raise what kept it from that."""
        self._thread = threading.Thread(target=self._main, name="vivace test server", daemon=True)
        self._thread.start()
        self._ready.wait()
        if not self._serves:
            self._thread.join()
            self._raise()

    def stop(self) -> None:
        """Return when it has ended; raise what went wrong on the way."""
        self._address = None
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(self.graceful + _PATIENCE)
        if self._thread.is_alive():
            msg = "the application does not stop: one of its tasks goes on after it was cancelled, or blocks the loop"
            raise RuntimeError(msg)
        self._raise()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None) -> T:
        """See TestClient.run."""
        try:
            _ = self.address
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: new_event_loop(self.io)) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - for the thread that started this one
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        listener = self._listen()
        try:
            async with self._running(listener):
                self._serves = True
                self._ready.set()
                await self._end.wait()
        finally:
            listener.close()


class _Task(_Place):
    """Serves on the running loop."""

    EXAMPLE = "async with AsyncTestClient(app)"

    async def start(self) -> None:
        """Begin to serve, or raise what keeps it from that."""
        async with AsyncExitStack() as stack:
            listener = self._listen()
            stack.callback(listener.close)
            await stack.enter_async_context(self._running(listener))
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """End it, and raise what went wrong on the way."""
        self._address = None
        await self._stack.aclose()


# What requests go through


class _Failures:
    """The exceptions that no error handler took, by the address of the client that got a 500 for it."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._by_client: dict[Any, BaseException] = {}

    def watch(self) -> Callable[[], None]:
        """Begin; calling what it returns ends it."""
        failures.watchers.append(self._add)
        return lambda: failures.watchers.remove(self._add)

    def _add(self, request: Request, exception: BaseException) -> None:
        if request.app is self._app:
            self._by_client[request.transport.get_extra_info("peername")] = exception

    def of(self, answer: httpx2.Response) -> BaseException | None:
        """The exception that this answer stands for."""
        stream = answer.extensions.get("network_stream")
        if answer.status_code < 500 or stream is None:  # noqa: PLR2004 - what a failure is answered with
            return None
        return self._by_client.pop(stream.get_extra_info("client_addr"), None)


def _redirected(request: httpx2.Request, address: Address) -> httpx2.Request:
    """The same request, sent to where the application is; its Host stays."""
    if request.url.scheme != "http":
        msg = f"the test client speaks http: {request.url} would need TLS"
        raise httpx2.UnsupportedProtocol(msg, request=request)
    host, port = address
    url = request.url.copy_with(host=host, port=port)
    return httpx2.Request(
        request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
    )


class _Transport(httpx2.BaseTransport):
    """Serves the application from its beginning to its end."""

    def __init__(self, server: _Thread, failed: _Failures | None) -> None:
        self._server = server
        self._failed = failed
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._server.start()
            stack.callback(self._server.stop)
            if self._failed is not None:
                stack.callback(self._failed.watch())
            # Without TLS there is nothing to verify: reading the certificates would take ten times as long as a test.
            self._inner = stack.enter_context(httpx2.HTTPTransport(verify=False, trust_env=False))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._stack.__exit__(exc_type, exc_value, traceback)

    def close(self) -> None:
        self._stack.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        redirected = _redirected(request, self._server.address)
        answer = self._inner.handle_request(redirected)
        failure = self._failed.of(answer) if self._failed is not None else None
        if failure is not None:
            answer.close()
            raise failure
        return answer


class _AsyncTransport(httpx2.AsyncBaseTransport):
    """The same on the running loop."""

    def __init__(self, server: _Task, failed: _Failures | None) -> None:
        self._server = server
        self._failed = failed
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._server.start()
            stack.push_async_callback(self._server.stop)
            if self._failed is not None:
                stack.callback(self._failed.watch())
            self._inner = await stack.enter_async_context(httpx2.AsyncHTTPTransport(verify=False, trust_env=False))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._stack.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        await self._stack.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        redirected = _redirected(request, self._server.address)
        answer = await self._inner.handle_async_request(redirected)
        failure = self._failed.of(answer) if self._failed is not None else None
        if failure is not None:
            await answer.aclose()
            raise failure
        return answer
