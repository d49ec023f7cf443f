"""Serving: from an application and its sockets to the last answer."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from vivace import _engine, blackbox, logs, notify
from vivace.access import AccessLog
from vivace.lifespan import ShutdownError
from vivace.loop import EngineLoop, new_event_loop, uvloop_factory
from vivace.settings import LIMITS, Settings, strangers
from vivace.signals import StateTeller, catch_free
from vivace.sockets import Listener, open_listeners
from vivace.spelling import counted
from vivace.terminal import Terminal
from vivace.threads import DEFAULT as DEFAULT_THREADS
from vivace.threads import Threads
from vivace.version import __version__

if TYPE_CHECKING:
    from vivace.app import Application

__all__ = [
    "ECHO",
    "Conductor",
    "ExitStatus",
    "Leave",
    "Running",
    "announce",
    "complain",
    "conducted",
    "end_at_once",
    "not_started",
    "running",
    "serve",
]

_log = logging.getLogger("vivace")

_NOBODY = "replaces workers, and there are none: nothing was done (serve with --workers)"
_LOOK = 0.01  # seconds between two looks at the connections that are left
ECHO = 0.25  # seconds in which a second signal is the first one, passed on by a wrapper (timeout, npm) as well
_POLL = 0.25  # seconds: under a loop that is not ours, the longest that the engine's own timers wait


class ExitStatus(IntEnum):
    """How the process ends; 128 + n where a second signal n stopped it at once."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOT_STARTED = 3
    NOT_IMPORTED = 4
    CUT = 5  # the deadline of a graceful stop cut connections


@dataclass(frozen=True, slots=True)
class Leave:
    """How to end in good order.

    within    seconds that requests in flight have, then their connections are cut; 0: at once
    keep      idle connections that may ask once more before they are closed: "none", "fresh" (that have not asked
              anything yet, so that their first request may be on its way) or "idle" (all)
    patience  seconds that they have for it
    """

    within: float
    keep: str = "fresh"
    patience: float = 0.2


@dataclass(slots=True)
class Running:
    """An application that is being served.

    server  the engine's: `connections`, `requests`
    io      the back-end in use: "epoll"
    leave   how it will end
    cut     connections that the deadline cut, known when the context has ended
    """

    server: _engine.Server
    io: str
    leave: Leave
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
    shared: bool = False,
    box: int | None = None,
) -> AsyncIterator[Running]:
    """Serve on the running loop for as long as the context lasts.

    app        its start-up hooks run first, its shutdown hooks last; whatever a start-up hook raises is raised
    listeners  from `sockets.open_listeners`; they stay open, and belong to the caller
    limits     what the engine's server takes; the application's own when left out
    graceful   seconds that requests in flight have at the end, then their connections are cut; 0: at once
    io         the engine's back-end, on a loop that is not an EngineLoop
    access_log how every request is logged; None: not at all
    threads    how many handlers with blocking=True may run at once
    shared     other processes accept on the same sockets
    box        the descriptor of a black box to keep account in

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
            served = Running(server, selector.io, Leave(deadline if graceful is None else graceful))
            try:
                if access_log is not None:
                    access_log.begin(server)
                if box is not None:
                    blackbox.attach(box, server, app.router.table.numbered)
                for listener in listeners:
                    server.listen(listener.socket.fileno(), shared=shared)
                yield served
            except BaseException:
                served.cut = server.abort()
                server.close()
                raise
            served.cut = await _stop(server, pool, served.leave)
            server.close()
            AccessLog.end(server)
            app.refusals.flush()


def serve(app: "Application", settings: Settings) -> ExitStatus:
    """Serve until a signal says stop, and return what the process should exit with.

    Prints one line on stderr when it is ready, one when it cannot start. In a thread that is not the main one no
    signal is caught.
    """
    logs.install(settings.log_level, form=settings.log_format)
    for line in strangers():
        _log.warning(line)
    app.debug = settings.debug
    try:
        if settings.access_log is not None:
            settings.access_log.check()
        listeners = open_listeners(settings.places, settings.backlog, settings.uds_mode)
    except (OSError, ValueError) as error:
        return not_started(error)
    box: int | None = None
    try:
        with suppress(OSError):  # it is for the state that SIGUSR1 asks for, no more
            box = blackbox.create()
        return conducted(app, listeners, settings, lambda: _Signals(settings, listeners, box), box=box)
    finally:
        if box is not None:
            os.close(box)
        for listener in listeners:
            listener.close()


class Conductor(Protocol):
    """Who says when a server stops, and is told when it serves. Entered on the loop, before the start-up hooks."""

    asked: bool
    """Whether it has been asked to stop."""

    def __enter__(self) -> Self:
        """Begin to listen for what the server should do."""

    def __exit__(self, *error: object) -> None:
        """Listen no more."""

    def serving(self, served: Running) -> None:
        """Hear that it serves."""

    async def stopped(self) -> Leave:
        """Return when it should end, and how."""


def conducted(
    app: "Application",
    listeners: Sequence[Listener],
    settings: Settings,
    conductor: Callable[[], Conductor],
    *,
    shared: bool = False,
    box: int | None = None,
) -> ExitStatus:
    """Serve until a conductor, which is made on the loop, says stop; see `running` for `shared` and `box`."""
    try:
        loop = _new_loop(app, settings)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        return not_started(error)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_serve(app, listeners, settings, conductor, shared=shared, box=box))


def complain(line: str, status: ExitStatus) -> ExitStatus:
    """Tells a person on stderr, in one line, why it ends here."""
    sys.stderr.write(f"vivace: {line}\n")
    sys.stderr.flush()
    return status


def end_at_once(which: str, number: int) -> NoReturn:
    """Ends the process where it stands, and tells a person on stderr that a signal wants it so."""
    with suppress(Exception):  # stderr may be gone, or be what this has interrupted: that is no reason to stay
        complain(f"stopped at once by {which} ({signal.Signals(number).name})", ExitStatus.INTERNAL)
    os._exit(128 + number)


def not_started(error: Exception) -> ExitStatus:
    """Tells a person on stderr, in one line, what kept it from starting."""
    return complain(getattr(error, "strerror", None) or str(error), ExitStatus.NOT_STARTED)


def _new_loop(app: "Application", settings: Settings) -> asyncio.AbstractEventLoop:
    if settings.loop == "uvloop":
        return uvloop_factory()()
    return app.made_loop(settings.io) or new_event_loop(settings.io)


async def _serve(
    app: "Application",
    listeners: Sequence[Listener],
    settings: Settings,
    conductor: Callable[[], Conductor],
    *,
    shared: bool,
    box: int | None,
) -> ExitStatus:
    served: Running | None = None
    with conductor() as asks:
        try:
            async with running(
                app,
                listeners,
                limits=settings.limits,
                graceful=settings.timeout_graceful,
                io=settings.io,
                access_log=settings.access_log,
                threads=settings.threads,
                shared=shared,
                box=box,
            ) as served:
                asks.serving(served)
                served.leave = await asks.stopped()
        except ShutdownError as error:
            return complain(str(error), ExitStatus.INTERNAL)
        except asyncio.CancelledError:
            if served is None and asks.asked:  # to stop, while it was starting
                return ExitStatus.OK
            raise
        except Exception as error:
            if served is not None:
                raise
            _log.exception("start-up failed")
            return complain(f"start-up failed: {type(error).__name__}: {error}", ExitStatus.NOT_STARTED)
    if served.cut:
        cut = f"{served.cut} connection{'s were' if served.cut > 1 else ' was'} cut"
        _log.warning("timeout_graceful of %g s has passed: %s", served.leave.within, cut)
        return ExitStatus.CUT
    return ExitStatus.OK


def announce(listeners: Sequence[Listener], settings: Settings, io: str, workers: int = 1) -> None:
    """Tell a person on stderr, and systemd, that it serves."""
    where = ", ".join(listener.address for listener in listeners)
    loop = "uvloop" if settings.loop == "uvloop" else "asyncio"
    how = f"{counted(workers, 'worker')}, loop {loop}, io {io}, simd {_engine.ISA}"
    sys.stderr.write(f"vivace {__version__} serving {where} ({how})\n")
    sys.stderr.flush()
    notify.ready(f"serving {where}")


async def _stop(server: _engine.Server, pool: Threads, leave: Leave) -> int:
    """Accept no more, let requests in flight end, and return how many connections had to be cut."""
    server.stop_listening()
    begin = asyncio.get_running_loop().time()
    server.drain(leave.keep)
    await _ended(lambda: not server.connections, begin + min(leave.within, leave.patience))
    server.drain()
    await _ended(lambda: not (server.connections or pool.busy), begin + leave.within)
    if pool.busy:
        _log.warning("%d calls of blocking handlers are left to themselves: they did not end in time", pool.busy)
    return server.abort() if server.connections else 0


async def _ended(condition: Callable[[], object], deadline: float) -> None:
    loop = asyncio.get_running_loop()
    while not condition() and loop.time() < deadline:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(_LOOK)


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
    """SIGTERM and SIGINT: the first stops in good order, the second at once, even where a handler blocks the loop.

    SIGHUP and SIGUSR2, which have workers replaced where there are any, are told in the log and else do nothing; unless
    the terminal is gone: then SIGHUP is as good as a SIGTERM. SIGUSR1 asks for the state. Whoever deals with those by
    himself, or ignores them, may.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, settings: Settings, listeners: Sequence[Listener], box: int | None) -> None:
        self.asked = False
        self._settings = settings
        self._listeners = listeners
        self._tell_state = StateTeller(box)
        self._caught: int | None = None
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
            terminal = Terminal()
            optional: dict[int, Callable[[], None]] = {
                signal.SIGHUP: lambda: self._on_hangup(terminal),
                signal.SIGUSR1: self._tell_state,
                signal.SIGUSR2: lambda: _log.warning("SIGUSR2 %s", _NOBODY),
            }
            self._before |= dict.fromkeys(catch_free(self._loop, optional), signal.SIG_DFL)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def serving(self, served: Running) -> None:
        announce(self._listeners, self._settings, served.io)

    async def stopped(self) -> Leave:
        """Return when somebody has asked to stop."""
        self._waiting = True
        await self._stop.wait()
        return Leave(self._settings.timeout_graceful)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._caught is not None:
            if now - self._caught_at < ECHO:
                return
            end_at_once("a second signal", number)
        self.asked, self._caught, self._caught_at = True, number, now
        self._loop.call_soon_threadsafe(self._begin_stop, number)

    def _on_hangup(self, terminal: Terminal) -> None:
        if not terminal.is_gone():
            _log.warning("SIGHUP %s", _NOBODY)
        elif self._caught is None:
            self._on_signal(signal.SIGHUP, None)

    def _begin_stop(self, number: int) -> None:
        _log.info("%s: stopping", signal.Signals(number).name)
        notify.stopping()
        self._stop.set()
        if not self._waiting and self._task is not None:
            self._task.cancel()
