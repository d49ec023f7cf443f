"""A worker: the process that serves for a supervisor, from its own side.

It is the same program, started once more with a ticket in its environment. It imports the application, says what the
application asks for, is given the listening sockets, serves, and ends when it is told to or nobody is there any more.
"""

import asyncio
import functools
import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from vivace import _engine, logs
from vivace.serving import ExitStatus, Leave, Running, complain, conducted
from vivace.settings import Settings
from vivace.signals import StateTeller, catch_free
from vivace.sockets import Listener
from vivace.version import __version__

if TYPE_CHECKING:
    from vivace.app import Application

__all__ = ["BLOCKED", "LONGEST", "MOST_SOCKETS", "VARIABLE", "Ticket", "serve", "ticket"]

VARIABLE = "_VIVACE_WORKER"
BLOCKED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)  # until a worker deals with them
_TERMINAL = (signal.SIGINT, signal.SIGHUP)  # come from a terminal, to its whole group
LONGEST = 1 << 17  # bytes of one message
MOST_SOCKETS = 250  # that one message may carry (SCM_MAX_FD)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a supervisor gives its worker to start with.

    version     of the supervisor's vivace
    supervisor  its process id
    number      the worker's, from 1 on
    label       what is served, for people
    control     the descriptor of a socket to talk over
    box         the descriptor of the black box
    call        which of the program's calls of `run()` is meant, from 1 on
    """

    version: str
    supervisor: int
    number: int
    label: str
    control: int
    box: int
    call: int

    def tell(self, **message: Any) -> bool:
        """Send the supervisor a message; False if it is gone."""
        with self.talk() as control:
            try:
                control.sendall(json.dumps(message).encode())
            except OSError:
                return False
        return True

    def talk(self) -> socket.socket:
        """Give a socket of the caller's own to talk over."""
        return socket.socket(fileno=os.dup(self.control))


@functools.cache
def ticket() -> Ticket | None:
    """Find out whether this process is a worker. It is taken off the environment: children are none."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return None
    found = Ticket(**json.loads(text))
    if found.supervisor != os.getppid():
        if _is_orphan(found):
            sys.exit(ExitStatus.OK)  # who has asked for it is gone: it must not become a server of its own
        return None  # a worker's child, which has inherited the variable only
    for fd in (found.control, found.box):
        os.set_inheritable(fd, False)
    if os.environ.get("LISTEN_PID") == str(found.supervisor):
        os.environ["LISTEN_PID"] = str(os.getpid())  # so that the settings name the sockets, which the supervisor has
    if threading.current_thread() is threading.main_thread():
        # What becomes of the workers is the supervisor's to say.
        for number in _TERMINAL:
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINAL)
    _engine.set_process_title(f"vivace: worker {found.number} [{found.label}]", f"vivace w{found.number}")
    return found


def _is_orphan(found: Ticket) -> bool:
    try:
        with found.talk() as control:
            return control.type == socket.SOCK_SEQPACKET and not control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False


def serve(mine: Ticket, app: "Application", settings: Settings) -> ExitStatus:
    """Serve for the supervisor until it says stop; the status is what the process should exit with."""
    logs.install(settings.log_level, f"w{mine.number}", form=settings.log_format)
    app.debug = settings.debug
    if mine.version != __version__:
        upgraded = f"vivace was upgraded from {mine.version} to {__version__}: send SIGUSR2, or start the server again"
        return complain(upgraded, ExitStatus.NOT_STARTED)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    listeners = _introduced(mine, settings)
    if listeners is None:
        return ExitStatus.OK
    if settings.access_log is not None:
        settings = replace(settings, access_log=replace(settings.access_log, worker=mine.number))
    status = conducted(app, listeners, settings, lambda: _Orders(mine, settings), shared=True, box=mine.box)
    mine.tell(left=True)
    return status


def _introduced(mine: Ticket, settings: Settings) -> list[Listener] | None:
    """Tell what the application asks for, and take the sockets; None: it should not serve any more."""
    if not mine.tell(settings=settings.to_wire()):
        return None
    with mine.talk() as control:
        text, fds, _, _ = socket.recv_fds(control, LONGEST, MOST_SOCKETS, socket.MSG_CMSG_CLOEXEC)
    addresses = json.loads(text)["listeners"] if text and b"listeners" in text else []
    return [Listener(socket.socket(fileno=fd), at) for fd, at in zip(fds, addresses, strict=True)] or None


class _Orders:
    """The supervisor's orders, and SIGTERM, which is its owner's: both stop in good order, however often they come."""

    def __init__(self, mine: Ticket, settings: Settings) -> None:
        self.asked = False
        self._mine = mine
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._leave = Leave(settings.timeout_graceful)
        self._stop = asyncio.Event()
        self._waiting = False
        self._control = mine.talk()

    def __enter__(self) -> Self:
        self._loop.add_reader(self._control, self._on_order)
        with suppress(ValueError, RuntimeError):  # not the main thread
            self._loop.add_signal_handler(signal.SIGTERM, self._begin_stop, self._leave)
            catch_free(self._loop, {signal.SIGUSR1: StateTeller(self._mine.box), signal.SIGUSR2: lambda: None})
            signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._control)
        self._control.close()

    def serving(self, served: Running) -> None:
        self._mine.tell(serving=served.io)

    async def stopped(self) -> Leave:
        self._waiting = True
        await self._stop.wait()
        return self._leave

    def _on_order(self) -> None:
        try:
            text = self._control.recv(LONGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        order = json.loads(text) if text else {}
        if not text:
            self._loop.remove_reader(self._control)  # the supervisor is gone
        self._begin_stop(Leave(**order["leave"]) if "leave" in order else self._leave)

    def _begin_stop(self, leave: Leave) -> None:
        if self.asked:
            return
        self.asked, self._leave = True, leave
        self._stop.set()
        if not self._waiting and self._task is not None:
            self._task.cancel()
