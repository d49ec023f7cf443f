"""A worker as its supervisor sees it: starting it, talking to it, and the account of its end."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from resource import struct_rusage
from typing import Any

from vivace import blackbox, cgroup
from vivace.program import Program
from vivace.serving import Leave
from vivace.settings import Settings
from vivace.sockets import Listener
from vivace.spelling import counted
from vivace.version import __version__
from vivace.worker import BLOCKED, LONGEST, VARIABLE, Ticket

__all__ = ["Child", "Death", "Phase"]


class Phase(Enum):
    """How far a worker has come."""

    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()
    ENDED = auto()


@dataclass(slots=True)
class Death:
    """How a worker ended.

    status    its exit status; minus the number of a signal that killed it; None: nobody knows
    uptime    seconds since it was started
    memory    bytes, the most that it ever had in use; 0: nobody knows
    account   what its black box says
    starved   the kernel has killed something for want of memory since the worker was started
    """

    status: int | None
    uptime: float
    memory: int
    account: blackbox.Account
    starved: bool = False

    def __str__(self) -> str:
        """How, when, and what it was doing, in one line."""
        told = self.account
        lived = f"after {self.uptime:.1f} s and {counted(told.requests, 'request')}"
        memory = f", with at most {self.memory >> 20} MiB of memory" if self.memory else ""
        cut = f"; {counted(told.connections, 'open connection')}" if told.connections else ""
        return f"{self.how} {lived}{memory}, {told}{cut}"

    @property
    def how(self) -> str:
        """What ended it: `was killed by SIGSEGV`."""
        if self.status is None:
            return "has ended"
        if self.status >= 0:
            return f"exited with status {self.status}"
        how = f"was killed by {_signal_name(-self.status)}"
        if self.status != -signal.SIGKILL:
            return how
        if self.starved:
            return f"{how} (by the kernel, it seems: it has killed for want of memory meanwhile)"
        return f"{how} (sent by somebody: the kernel has not killed for want of memory)"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(slots=True, eq=False)
class Child:
    """One worker process. Made by `start`, on the loop that it is watched on.

    number    its place among the workers, from 1 on
    settings  what it has told; None so far
    known     done when `settings` are known, or it has ended
    ready     done when it serves, or has ended
    ended     done when it has ended: how
    """

    number: int
    pid: int
    phase: Phase
    born: float
    io: str
    settings: Settings | None
    mistaken: bool  # nothing is wrong with the application but its name
    known: asyncio.Event
    ready: asyncio.Event
    ended: asyncio.Future[Death]
    max_requests: int | None = None
    dismissed: bool = False  # told by us to go
    left: bool = False  # it has served to the end, and told so
    _popen: subprocess.Popen[bytes] = field(repr=False, kw_only=True)
    _control: socket.socket = field(repr=False, kw_only=True)
    _box: int = field(repr=False, kw_only=True)
    _kills: int = field(repr=False, kw_only=True)
    _loop: asyncio.AbstractEventLoop = field(repr=False, kw_only=True)

    @classmethod
    def start(cls, program: Program, number: int) -> "Child":
        """Start the program as worker `number`. OSError if that fails."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as undo, theirs:
            undo.callback(ours.close)
            box = blackbox.create()
            undo.callback(os.close, box)
            control = theirs.fileno()
            ticket = Ticket(__version__, os.getpid(), number, program.label, control, box, program.call)
            environ = {**program.environ, VARIABLE: json.dumps(asdict(ticket))}
            # Ctrl-C, in a terminal, goes to the worker too. It must not find Python half awake.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
            try:
                popen = subprocess.Popen(program.arguments, cwd=program.directory, env=environ, pass_fds=[control, box])
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            undo.pop_all()
        ours.setblocking(False)
        child = cls(
            number,
            popen.pid,
            Phase.STARTING,
            time.monotonic(),
            "",
            None,
            False,
            asyncio.Event(),
            asyncio.Event(),
            loop.create_future(),
            _popen=popen,
            _control=ours,
            _box=box,
            _kills=cgroup.oom_kills(),
            _loop=loop,
        )
        loop.add_reader(ours, child._on_message)
        return child

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"

    @property
    def requests(self) -> int:
        """Requests handed to the application so far."""
        return blackbox.tally(self._box)

    @property
    def memory(self) -> int:
        """Bytes of memory in use now."""
        return cgroup.memory_of(self.pid)

    @property
    def state(self) -> str:
        """What it is about, in one line."""
        account = blackbox.read(self._box)
        return f"{self.phase.name.lower()}, {account.state(time.monotonic() - self.born, self.memory)}"

    def give(self, listeners: Sequence[Listener]) -> None:
        """Hand the listening sockets over, which it waits for. OSError if that fails, and it is still there."""
        message = json.dumps({"listeners": [listener.address for listener in listeners]}).encode()
        with suppress(ConnectionError):  # it has just ended, and we shall be told
            socket.send_fds(self._control, [message], [listener.socket.fileno() for listener in listeners])

    def leave(self, how: Leave) -> None:
        """Ask it to end in good order."""
        if self.phase in (Phase.LEAVING, Phase.ENDED):
            return
        self.dismissed = True
        starting, self.phase = self.phase is Phase.STARTING, Phase.LEAVING
        if starting:
            self.signal(signal.SIGTERM)  # it may be importing, and not listen yet
        with suppress(OSError):
            self._control.sendall(json.dumps({"leave": asdict(how)}).encode())

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self.phase is not Phase.ENDED:  # nobody else can have its pid: we have not reaped it
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it now."""
        self.dismissed = True
        self.signal(signal.SIGKILL)

    def reap(self) -> None:
        """Look whether it has ended."""
        if self.phase is Phase.ENDED:
            return
        try:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has reaped it
            self.bury(None, None)
            return
        if pid:
            self.bury(os.waitstatus_to_exitcode(status), usage)

    def bury(self, status: int | None, usage: struct_rusage | None) -> None:
        """It has ended, and been reaped."""
        self._on_message()  # its last words
        self._popen.returncode = 0 if status is None else status
        account = blackbox.read(self._box)
        starved = cgroup.oom_kills() > self._kills
        memory = usage.ru_maxrss << 10 if usage is not None else 0
        self.phase = Phase.ENDED
        self._loop.remove_reader(self._control)
        self._control.close()
        os.close(self._box)
        self.ended.set_result(Death(status, time.monotonic() - self.born, memory, account, starved))
        self.known.set()
        self.ready.set()

    def _on_message(self) -> None:
        while self.phase is not Phase.ENDED:
            try:
                text = self._control.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError:
                text = b""
            if not text:
                self._loop.remove_reader(self._control)
                return  # the end will be seen by SIGCHLD
            self._hear(json.loads(text))

    def _hear(self, message: dict[str, Any]) -> None:
        if "settings" in message:
            self.settings = Settings.from_wire(message["settings"])
            self.known.set()
        elif "serving" in message:
            self.io = message["serving"]
            if self.phase is Phase.STARTING:
                self.phase = Phase.SERVING
                self.ready.set()
        self.mistaken = self.mistaken or "mistaken" in message
        self.left = self.left or "left" in message
