"""Serving: from an application and its sockets to the last answer."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from vivace import _engine, logs
from vivace.access import AccessLog
from vivace.lifespan import ShutdownError
from vivace.loop import EngineLoop, new_event_loop, uvloop_factory
from vivace.settings import LIMITS, Settings
from vivace.sockets import Listener, open_listeners
from vivace.threads import DEFAULT as DEFAULT_THREADS
from vivace.threads import Threads
from vivace.version import __version__

if TYPE_CHECKING:
    from vivace.app import Application

__all__ = ["ExitStatus", "Running", "complain", "running", "serve"]

_log = logging.getLogger("vivace")

_LOOK = 0.01  # seconds between two looks at the connections that are left
_ECHO = 0.25  # seconds in which a second signal is the first one, passed on by a wrapper (timeout, npm) as well
_POLL = 0.25  # seconds: under a loop that is not ours, the longest that the engine's own timers wait


class ExitStatus(IntEnum):
    """How the process ends; 128 + n where a second signal n stopped it at once."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOT_STARTED = 3
    NOT_IMPORTED = 4
    CUT = 5  # the deadline of a graceful stop cut connections


@dataclass(slots=True)
class Running:
    """An application that is being served.

    server  the engine's: `connections`, `requests`
    io      the back-end in use: "epoll"
    cut     connections that the deadline cut, known when the context has ended
    """

    server: _engine.Server
    io: str
    cut: int = 0


@asynccontextmanager
async def running(
    app: "Application",
    listeners: Sequence[Listener],
    *,
    limits: Mapping[str, int | float] | None = None,
    graceful: float | None = None,
    io: str = "auto",
    access_log: AccessLog | None = None,
    threads: int = DEFAULT_THREADS,
) -> AsyncIterator[Running]:
    """Serve on the running loop for as long as the context lasts.

    app        its start-up hooks run first, its shutdown hooks last; whatever a start-up hook raises is raised
    listeners  from `sockets.open_listeners`; they stay open, and belong to the caller
    limits     what the engine's server takes; the application's own when left out
    graceful   seconds that requests in flight have at the end, then their connections are cut; 0: at once
    io         the engine's back-end, on a loop that is not an EngineLoop
    access_log how every request is logged; None: not at all
    threads    how many handlers with blocking=True may run at once

        with closing(open_listeners([Tcp("127.0.0.1", 0)])[0]) as listener:
            async with running(app, [listener]):
                ...                                           # talk to listener.address
    """
    own = {name: app.limits.get(name, setting.default) for name, setting in LIMITS.items()}
    deadline = own.pop("timeout_graceful")
    arguments: dict[str, Any] = own if limits is None else dict(limits)
    loop = asyncio.get_running_loop()
    with _engine_on(loop, io) as selector, app.running_on(loop), _threads_of(app, Threads(threads, loop)) as pool:
        async with app.lifespan.running(app):
            server = _engine.Server(selector, app, app.router.table, **arguments)
            served = Running(server, selector.io)
            try:
                if access_log is not None:
                    access_log.begin(server)
                for listener in listeners:
                    server.listen(listener.socket.fileno())
                yield served
            except BaseException:
                served.cut = server.abort()
                server.close()
                raise
            served.cut = await _stop(server, pool, deadline if graceful is None else graceful)
            server.close()
            AccessLog.end(server)
            app.refusals.flush()


def serve(app: "Application", settings: Settings) -> ExitStatus:
    """Serve until a signal says stop, and return what the process should exit with.

    Prints one line on stderr when it is ready, one when it cannot start. In a thread that is not the main one no
    signal is caught.
    """
    logs.install(settings.log_level, form=settings.log_format)
    app.debug = settings.debug
    listeners: list[Listener] = []
    try:
        if settings.access_log is not None:
            settings.access_log.check()
        listeners = open_listeners(settings.places, settings.backlog)
        loop = _new_loop(app, settings)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        _close(listeners)
        return complain(getattr(error, "strerror", None) or str(error), ExitStatus.NOT_STARTED)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(_serve(app, listeners, settings))
    finally:
        _close(listeners)


def complain(line: str, status: ExitStatus) -> ExitStatus:
    """Tells a person on stderr, in one line, why it ends here."""
    sys.stderr.write(f"vivace: {line}\n")
    sys.stderr.flush()
    return status


def _new_loop(app: "Application", settings: Settings) -> asyncio.AbstractEventLoop:
    if settings.loop == "uvloop":
        return uvloop_factory()()
    return app.made_loop(settings.io) or new_event_loop(settings.io)


def _close(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        listener.close()


async def _serve(app: "Application", listeners: Sequence[Listener], settings: Settings) -> ExitStatus:
    served: Running | None = None
    with _Signals() as signals:
        try:
            async with running(
                app,
                listeners,
                limits=settings.limits,
                graceful=settings.timeout_graceful,
                io=settings.io,
                access_log=settings.access_log,
                threads=settings.threads,
            ) as served:
                _announce(listeners, served, settings)
                await signals.stopped()
        except ShutdownError as error:
            return complain(str(error), ExitStatus.INTERNAL)
        except asyncio.CancelledError:
            if served is None and signals.caught:  # asked to stop while it was starting
                return ExitStatus.OK
            raise
        except Exception as error:
            if served is not None:
                raise
            _log.exception("start-up failed")
            return complain(f"start-up failed: {type(error).__name__}: {error}", ExitStatus.NOT_STARTED)
    if served.cut:
        cut = f"{served.cut} connection{'s were' if served.cut > 1 else ' was'} cut"
        _log.warning("timeout_graceful of %g s has passed: %s", settings.timeout_graceful, cut)
        return ExitStatus.CUT
    return ExitStatus.OK


def _announce(listeners: Sequence[Listener], served: Running, settings: Settings) -> None:
    where = ", ".join(listener.address for listener in listeners)
    loop = "uvloop" if settings.loop == "uvloop" else "asyncio"
    how = f"1 worker, loop {loop}, io {served.io}, simd {_engine.ISA}"
    sys.stderr.write(f"vivace {__version__} serving {where} ({how})\n")
    sys.stderr.flush()


async def _stop(server: _engine.Server, pool: Threads, graceful: float) -> int:
    """Accept no more, let requests in flight end, and return how many connections had to be cut."""
    server.stop_listening()
    server.drain()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + graceful
    while (server.connections or pool.busy) and loop.time() < deadline:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(_LOOK)
    if pool.busy:
        _log.warning("%d calls of blocking handlers are left to themselves: they did not end in time", pool.busy)
    return server.abort() if server.connections else 0


@contextmanager
def _threads_of(app: "Application", pool: Threads) -> Iterator[Threads]:
    """Give the application's blocking handlers this pool, for the time of the context."""
    before, app.router.threads = app.router.threads, pool
    try:
        yield pool
    finally:
        app.router.threads = before
        pool.close()


@contextmanager
def _engine_on(loop: asyncio.AbstractEventLoop, io: str) -> Iterator[_engine.Selector]:
    """Find the engine of an EngineLoop, or make one that any other loop watches."""
    if isinstance(loop, EngineLoop):
        yield loop.selector
        return
    if io == "uring":
        msg = "io uring waits in vivace's own loop only: take loop asyncio, or io epoll"
        raise ValueError(msg)
    selector = _engine.Selector("epoll")
    selector.attach(loop)
    loop.add_reader(selector.fileno(), selector.poll)

    timers: list[asyncio.TimerHandle] = []

    def tick() -> None:
        timers[:] = [loop.call_later(_POLL, tick)]
        selector.poll()

    tick()
    try:
        yield selector
    finally:
        timers[0].cancel()
        loop.remove_reader(selector.fileno())
        selector.close()


class _Signals:
    """SIGTERM and SIGINT: the first stops in good order, the second at once, even where a handler blocks the loop."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.caught: int | None = None
        self._caught_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._stop = asyncio.Event()
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self.NUMBERS:
                self._before[number] = signal.getsignal(number)
                # The loop's handler is for its wake-up pipe; ours, put over it, runs even when the loop does not.
                self._loop.add_signal_handler(number, lambda: None)
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, handler)

    async def stopped(self) -> None:
        """Return when somebody has asked to stop."""
        self._waiting = True
        await self._stop.wait()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.caught is not None:
            if now - self._caught_at < _ECHO:
                return
            complain(f"stopped at once by a second signal ({signal.Signals(number).name})", ExitStatus.INTERNAL)
            os._exit(128 + number)
        self.caught, self._caught_at = number, now
        self._loop.call_soon_threadsafe(self._begin_stop, number)

    def _begin_stop(self, number: int) -> None:
        _log.info("%s: stopping", signal.Signals(number).name)
        self._stop.set()
        if not self._waiting and self._task is not None:
            self._task.cancel()
