"""The supervisor: owns the listening sockets, and sees to it that as many workers serve as there should.

Rule 1: it never imports the application (unless the program has done so before it called `run()`): what it needs to
        know, its first worker tells. So every worker that is started runs the code that is on disk then.
Rule 2: a worker is replaced by first starting another one. Only when that serves is the old one told to leave: the
        sockets are shared, and whoever queues is accepted by one or the other.
Rule 3: what fails before the first worker serves ends it all; what fails later is logged and tried again.
"""

import asyncio
import contextlib
import errno
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from vivace import _engine, logs, notify
from vivace.child import Child, Death, Phase
from vivace.program import Program
from vivace.serving import ECHO, ExitStatus, Leave, announce, end_at_once, not_started
from vivace.settings import Settings, strangers
from vivace.sockets import Listener, open_listeners
from vivace.spelling import counted
from vivace.terminal import Terminal
from vivace.upgrade import VARIABLE, Estate, Heir, estate
from vivace.watching import Watch
from vivace.worker import MOST_SOCKETS

__all__ = ["supervise"]

_log = logging.getLogger("vivace")

_EXIT = 2.0  # seconds that a worker has to exit, after its time for requests in flight
_LOOK = 0.5  # seconds between two looks at how much the workers have served, and use
_PATIENCE = 2.0  # seconds that idle connections may still ask an old worker something
_RELOADED = Leave(5.0, keep="fresh", patience=1.0)  # a person waits for the new code, also on a connection of before
_YOUNG = 5.0  # seconds: who dies earlier has hardly served
_PAUSE_OF_YOUNG = 1.0  # seconds at most until a worker that served is replaced
_PAUSE = 30.0  # seconds at most between two attempts to start a worker
_ATTEMPTS = 4  # in vain, and nobody serves: that is the end


def supervise(program: Program, settings: Settings) -> ExitStatus:
    """Serve by workers until a signal says stop, and return what the process should exit with.

    program   what they run
    settings  what is known of them: the address and the number of workers are those that the first worker tells

    RuntimeError, in one line, in a thread that is not the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        msg = "several workers, and reload, need the main thread"
        raise RuntimeError(msg)
    logs.install(settings.log_level, form=settings.log_format)
    inherited = estate()
    program = replace(program, environ={key: program.environ[key] for key in program.environ if key != VARIABLE})
    for line in strangers(program.environ):
        _log.warning(line)
    _engine.set_process_title(f"vivace: master [{program.label}]", "vivace master")
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(_supervise(program, settings, inherited))


async def _supervise(program: Program, settings: Settings, inherited: Estate | None) -> ExitStatus:
    return await _Supervisor(program, settings, inherited).run()


@dataclass(slots=True, eq=False)
class _Slot:
    """A worker's place.

    current    who serves there, or should
    successor  who is about to take over
    young      how often in a row one that served there has died young
    failures   how often in a row one could not be started there
    """

    number: int
    current: Child | None = None
    successor: Child | None = None
    young: int = 0
    failures: int = 0

    @property
    def pause(self) -> float:
        """Seconds before the next attempt to fill it; the first comes at once, and the second."""
        of_young = min(2.0 ** (self.young - 4), _PAUSE_OF_YOUNG) if self.young > 2 else 0.0  # noqa: PLR2004
        return max(of_young, min(2.0 ** (self.failures - 2), _PAUSE) if self.failures else 0.0)


class _StartError(Exception):
    """A worker has not come to serve."""

    def __init__(self, child: Child, death: Death) -> None:
        super().__init__(f"{child} {death.how} while it was starting")
        self.child = child
        self.death = death

    @property
    def status(self) -> ExitStatus:
        """What the server exits with, if this ends it."""
        told = self.death.status
        return ExitStatus(told) if told in (ExitStatus.USAGE, ExitStatus.NOT_IMPORTED) else ExitStatus.NOT_STARTED

    @property
    def has_told(self) -> bool:
        """Whether the worker itself has said on stderr why."""
        return self.death.status in (ExitStatus.USAGE, ExitStatus.NOT_STARTED, ExitStatus.NOT_IMPORTED)


class _Supervisor:
    def __init__(self, program: Program, settings: Settings, inherited: Estate | None = None) -> None:
        self._program = program
        self._settings = settings
        self._inherited = inherited
        self._heir: Heir | None = None
        self._watch = Watch.of(settings, program) if settings.reload else None
        self._slots: list[_Slot] = []
        self._children: set[Child] = set()
        self._listeners: list[Listener] = []
        self._told = False  # a worker has told the settings
        self._served = False  # all workers have served
        self._tasks: set[asyncio.Task[None]] = set()
        self._change = asyncio.Lock()  # one replacement at a time
        self._filling: asyncio.Task[None] | None = None  # all places: the first time, or to reload
        self._stop = asyncio.Event()
        self._status = ExitStatus.OK
        self._signalled: tuple[int, float] | None = None
        self._loop = asyncio.get_running_loop()

    # ---- from the start to the end

    async def run(self) -> ExitStatus:
        self._catch_signals()
        try:
            if self._watch is not None:
                self._go(self._reload_on_changes(self._watch))
            begin = self._filling = self._go(self._begin())
            stop = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait([begin, stop], return_when=asyncio.FIRST_COMPLETED)
            await stop
            await self._end()
        finally:
            self._close_listeners()
            await self._kill_all()
        return self._status

    async def _begin(self) -> None:
        """Start the first worker, who tells what the application asks for, then the others."""
        try:
            async with self._change:
                await self._fill()
        except OSError as error:
            self._tell(error)
            self._fail(ExitStatus.NOT_STARTED)
        except _StartError as error:
            self._tell(error)
            if self._watch is not None and not error.child.mistaken:
                _log.info("waiting for a change")
            else:
                self._fail(error.status)

    async def _fill(self) -> None:
        """Start workers in all places; when they serve, they serve instead of who did before."""
        first = self._slots[0] if self._slots else _Slot(1)
        fresh = {first: self._succeed(first)}
        try:
            await self._serving(fresh[first])
            slots = self._slots or [first, *(_Slot(number) for number in range(2, self._settings.workers + 1))]
            for slot in slots:
                if slot is not first:
                    fresh[slot] = self._succeed(slot)  # one by one: should the next fail, these are known
            await asyncio.gather(*(self._serving(child) for child in fresh.values()))
        except BaseException:
            for slot, child in fresh.items():
                self._give_up(slot, child)
            raise
        self._slots = slots
        for slot, child in fresh.items():
            self._put(slot, child, _RELOADED)
        if not self._served:
            self._served = True
            announce(self._listeners, self._settings, fresh[first].io, len(self._slots))
            if self._inherited is not None:
                self._inherited.take_over()
            if self._settings.max_requests or self._settings.max_rss:
                self._go(self._recycle())

    async def _end(self) -> None:
        """Tell all workers to leave, and wait until they have."""
        for task in self._tasks:
            task.cancel()
        leave = Leave(self._settings.timeout_graceful)
        if self._heir is not None and self._heir.serves:
            leave = self._gentle
        else:
            notify.stopping()
        self._close_listeners()
        for child in self._children:
            child.leave(leave)
        waited = [child.ended for child in self._children]
        if waited:
            await asyncio.wait(waited, timeout=leave.within + _EXIT)
        overdue = [child for child in self._children if not child.ended.done() and not child.left]
        for child in overdue:
            _log.warning("%s did not end in %g s and was killed", child, leave.within + _EXIT)
        await self._kill_all()
        if overdue and self._status is ExitStatus.OK:
            self._status = ExitStatus.CUT

    async def _kill_all(self) -> None:
        alive = list(self._children)
        for child in alive:
            child.kill()
        if alive:
            await asyncio.wait([child.ended for child in alive])

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    def _fail(self, status: ExitStatus) -> None:
        self._status = status
        self._stop.set()

    def _go(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside; if it fails unforeseen, nobody knows any more what serves: that is the end."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("the supervisor failed", exc_info=error)
                self._fail(ExitStatus.INTERNAL)

        task.add_done_callback(done)
        return task

    # ---- workers

    def _start(self, number: int) -> Child:
        child = Child.start(self._program, number)
        self._children.add(child)
        child.ended.add_done_callback(lambda ended: self._on_end(child, ended.result()))
        return child

    def _succeed(self, slot: _Slot) -> Child:
        """Start a worker for a place; another one that was being started for it comes too late."""
        if slot.successor is not None:
            self._give_up(slot, slot.successor)
        slot.successor = self._start(slot.number)
        return slot.successor

    def _give_up(self, slot: _Slot, child: Child) -> None:
        """A worker that was started for a place will not take it; if nobody else has it, another one is started."""
        self._dismiss(slot, child)
        if self._is_vacant(slot):
            self._revive(slot)

    def _dismiss(self, slot: _Slot, child: Child) -> None:
        """Have a worker leave that was started for a place. It may have accepted somebody already."""
        if child.phase is not Phase.ENDED:
            self._send_off(child, _RELOADED)
        if slot.successor is child:
            slot.successor = None

    async def _serving(self, child: Child) -> None:
        """Bring a worker to serve. _StartError if it ends before; OSError if there are no sockets for it."""
        await child.known.wait()
        if child.settings is not None and child.phase is Phase.STARTING:
            self._take(child.settings)
            child.give(self._listeners)
        await child.ready.wait()
        if child.phase is not Phase.SERVING:
            raise _StartError(child, await child.ended)
        base, jitter = self._settings.max_requests, self._settings.max_requests_jitter
        child.max_requests = base + random.randint(0, jitter) if base is not None else None  # noqa: S311 - no secret

    def _take(self, settings: Settings) -> None:
        """The first worker tells what the application asks for; from then on addresses and their number stay."""
        if self._told:
            return
        if settings.access_log is not None:
            settings.access_log.check()
        if self._inherited is not None:
            self._listeners = self._inherited.listeners
        else:
            self._listeners = open_listeners(settings.places, settings.backlog, settings.uds_mode)
        if (count := len(self._listeners)) > MOST_SOCKETS:
            self._close_listeners()
            advice = "give fewer addresses, or serve without workers"
            raise OSError(errno.E2BIG, f"workers can share {MOST_SOCKETS} listening sockets, not {count}: {advice}")
        self._told = True
        self._settings = settings
        logs.install(settings.log_level, form=settings.log_format)

    def _put(self, slot: _Slot, child: Child, how: Leave) -> None:
        """Let a worker that serves take its place, and who had it leave."""
        if slot.successor is not child or slot not in self._slots:  # there is a later one, or the place is gone
            self._send_off(child, how)
            return
        old, slot.current, slot.successor = slot.current, child, None
        if old is not None:
            self._send_off(old, how)
        if child.phase is Phase.ENDED:
            self._revive(slot)

    def _send_off(self, old: Child, how: Leave) -> None:
        old.leave(how)
        self._go(self._see_off(old, how.within + _EXIT))

    async def _see_off(self, old: Child, seconds: float) -> None:
        await asyncio.wait([old.ended], timeout=seconds)
        if not old.ended.done():
            if not old.left:
                _log.warning("%s did not end in %g s and was killed", old, seconds)
            old.kill()

    async def _replace(self, slot: _Slot, how: Leave) -> None:
        """Start a successor; when it serves it takes the place. _StartError if it does not come to serve."""
        child = self._succeed(slot)
        try:
            await self._serving(child)
        except BaseException:
            self._give_up(slot, child)
            raise
        self._put(slot, child, how)

    def _on_end(self, child: Child, death: Death) -> None:
        self._children.discard(child)
        if child.phase is Phase.ENDED and death.status == ExitStatus.CUT and self._stop.is_set():
            self._status = self._status or ExitStatus.CUT
        if death.status == ExitStatus.INTERNAL and child.left and self._stop.is_set():
            self._status = ExitStatus.INTERNAL
        for place in self._slots:
            if place.successor is child:
                place.successor = None
        slot = next((slot for slot in self._slots if slot.current is child), None)
        if slot is None or self._stop.is_set():
            return
        _log.error("%s %s", child, death)
        slot.young = slot.young + 1 if death.uptime < _YOUNG else 0
        if slot.successor is None:
            self._revive(slot)

    def _revive(self, slot: _Slot) -> None:
        if not self._stop.is_set():
            self._go(self._keep_trying(slot))

    async def _keep_trying(self, slot: _Slot) -> None:
        """Fill a place whose worker has died: at once, and then after pauses that grow."""
        while True:
            await asyncio.sleep(slot.pause)
            if not self._is_vacant(slot):
                return
            child = None
            try:
                child = self._succeed(slot)
                await self._serving(child)
            except (OSError, _StartError) as error:
                if isinstance(error, _StartError) and error.child.dismissed:
                    return  # who has done that fills the place
                if child is not None:
                    self._dismiss(slot, child)
                slot.failures += 1
                self._tell(error)
                if self._watch is not None:
                    _log.info("waiting for a change")
                    return
                if slot.failures >= _ATTEMPTS and not any(_serves(slot) for slot in self._slots):
                    _log.error("no worker serves, and none can be started")
                    self._fail(error.status if isinstance(error, _StartError) else ExitStatus.NOT_STARTED)
                    return
            else:
                slot.failures = 0
                self._put(slot, child, Leave(0))
                _log.info("%s serves in its place", child)
                return

    def _is_vacant(self, slot: _Slot) -> bool:
        return slot in self._slots and slot.successor is None and not _serves(slot)

    def _tell(self, error: OSError | _StartError) -> None:
        if isinstance(error, OSError) or not error.has_told:
            not_started(error)

    # ---- replacing workers that are well

    async def _roll(self) -> None:
        """Replace the workers one by one."""
        async with self._change:
            begin = time.monotonic()
            for slot in list(self._slots):
                if slot not in self._slots or slot.successor is not None:
                    continue
                try:
                    await self._replace(slot, self._gentle)
                except (OSError, _StartError) as error:
                    self._tell(error)
                    _log.error("the old workers go on: a new one could not be started")
                    return
            _log.info("all workers are new, %.1f s later", time.monotonic() - begin)

    @property
    def _gentle(self) -> Leave:
        return Leave(self._settings.timeout_graceful, keep="idle", patience=_PATIENCE)

    async def _recycle(self) -> None:
        """Replace, one by one, workers that have served enough or use too much memory."""
        while True:
            await asyncio.sleep(_LOOK)
            for slot in list(self._slots):
                child = slot.current
                if child is None or child.phase is not Phase.SERVING or slot.successor is not None:
                    continue
                if (why := self._too_much(child)) and not await self._renewed(slot, child, why):
                    await asyncio.sleep(_PAUSE)

    async def _renewed(self, slot: _Slot, child: Child, why: str) -> bool:
        """Replace a worker if it is still the one that serves there; False if that failed."""
        async with self._change:
            if slot not in self._slots or slot.current is not child or child.phase is not Phase.SERVING:
                return True  # it has gone while this waited for its turn: who saw to that fills the place
            _log.info("%s %s: a new one takes over", child, why)
            try:
                await self._replace(slot, self._gentle)
            except (OSError, _StartError) as error:
                self._tell(error)
                return False
            return True

    def _too_much(self, child: Child) -> str:
        if child.max_requests is not None and (requests := child.requests) >= child.max_requests:
            return f"has served {requests} requests"
        limit = self._settings.max_rss
        if limit is not None and (memory := child.memory) > limit:
            return f"uses {memory >> 20} MiB of memory"
        return ""

    def _more(self) -> None:
        if not self._served:
            return
        slot = _Slot(max((slot.number for slot in self._slots), default=0) + 1)
        self._slots.append(slot)
        _log.info("SIGTTIN: %d workers", len(self._slots))
        self._revive(slot)

    def _fewer(self) -> None:
        if len(self._slots) < 2:  # noqa: PLR2004 - one stays
            return
        slot = self._slots.pop()
        _log.info("SIGTTOU: %s", counted(len(self._slots), "worker"))
        for child in (slot.current, slot.successor):
            if child is not None:
                self._send_off(child, self._gentle)

    # ---- being replaced

    def _upgrade(self) -> None:
        if os.getpid() == 1:
            _log.warning("SIGUSR2: the first process of a container cannot be replaced: nothing was done")
        elif not self._served or self._heir is not None:
            _log.warning("SIGUSR2: %s is still starting: nothing was done", self._heir or "the server")
        else:
            self._go(self._hand_over())

    async def _hand_over(self) -> None:
        """Start another supervisor; when it serves, this one ends."""
        try:
            heir = self._heir = Heir.start(self._program, self._listeners)
        except OSError as error:
            self._tell(error)
            return
        _log.info("SIGUSR2: starting %s", heir)
        try:
            serves = await heir.comes_to_serve()
        finally:
            heir.give_up()
        if not serves:
            _log.error("%s has not come to serve: this one goes on", heir)
            return
        _log.info("%s serves: this one ends", heir)
        notify.followed_by(heir.pid)
        for listener in self._listeners:
            listener.path = None  # it belongs to the other one now
        self._stop.set()

    # ---- new code

    async def _reload_on_changes(self, watch: Watch) -> None:
        async for changed in watch.changes():
            if self._filling is not None and not self._filling.done():
                self._filling.cancel()  # what it was starting is old by now
                await asyncio.wait([self._filling])
            _log.info("%s: reloading", changed)
            self._filling = self._go(self._reload())

    async def _reload(self) -> None:
        async with self._change:
            begin, served = time.monotonic(), self._served
            try:
                await self._fill()
            except (OSError, _StartError) as error:
                self._tell(error)
                _log.error("the old code goes on: waiting for a change" if served else "waiting for a change")
            else:
                if served:
                    _log.info("reloaded in %.1f s", time.monotonic() - begin)

    # ---- signals

    def _catch_signals(self) -> None:
        terminal = Terminal()
        on: dict[int, Callable[[], None]] = {
            signal.SIGCHLD: self._reap,
            signal.SIGINT: lambda: self._on_stop(signal.SIGINT),
            signal.SIGTERM: lambda: self._on_stop(signal.SIGTERM),
            signal.SIGQUIT: lambda: self._stop_now(signal.SIGQUIT),
            signal.SIGHUP: lambda: self._on_hup(terminal),
            signal.SIGUSR1: self._tell_state,
            signal.SIGUSR2: self._upgrade,
            signal.SIGTTIN: self._more,
            signal.SIGTTOU: self._fewer,
        }
        for number, handler in on.items():
            self._loop.add_signal_handler(number, handler)

    def _reap(self) -> None:
        for child in list(self._children):
            child.reap()
        if self._heir is not None and self._heir.has_ended():
            self._heir = None
        if os.getpid() == 1:  # in a container: grandchildren that lost their parent are ours too
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        with contextlib.suppress(ChildProcessError):
            # Look first: a worker may have died meanwhile, and how is its Child's to find out.
            while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                worker = next((child for child in self._children if child.pid == dead.si_pid), None)
                if worker is not None and worker.phase is not Phase.ENDED:
                    worker.reap()
                else:
                    os.waitpid(dead.si_pid, 0)

    def _tell_state(self) -> None:
        _log.info("SIGUSR1: %s", counted(len(self._slots), "worker"))
        for child in sorted(self._children, key=lambda child: (child.number, child.born)):
            _log.info("%s: %s", child, child.state)

    def _on_hup(self, terminal: Terminal) -> None:
        if terminal.is_gone():
            if self._signalled is None:
                self._on_stop(signal.SIGHUP)
        elif self._served:
            _log.info("SIGHUP: replacing the workers one by one")
            self._go(self._roll())

    def _on_stop(self, number: int) -> None:
        now = time.monotonic()
        if self._signalled is not None:
            if now - self._signalled[1] >= ECHO:
                self._stop_now(number)
            return
        self._signalled = (number, now)
        _log.info("%s: stopping", signal.Signals(number).name)
        self._stop.set()

    def _stop_now(self, number: int) -> None:
        which = "a second signal" if self._signalled is not None else "a signal"
        for child in self._children:
            child.kill()
        if self._heir is not None:
            self._heir.give_up()
        for listener in self._listeners:
            listener.close()
        end_at_once(which, number)


def _serves(slot: _Slot) -> bool:
    return slot.current is not None and slot.current.phase is Phase.SERVING
