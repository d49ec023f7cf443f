"""SIGUSR2: a supervisor is followed by a new one, which is started from what is on disk and takes over its sockets.

For as long as the new one starts the old one serves. If it does not come to serve, the old one goes on.
"""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from vivace.program import Program
from vivace.sockets import Listener

__all__ = ["VARIABLE", "Estate", "Heir", "estate"]

VARIABLE = "_VIVACE_UPGRADE"
_SERVING = b"serving"


class Heir:
    """The supervisor that is to follow this one."""

    def __init__(self, popen: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._popen = popen
        self._control = control
        self.serves = False

    @classmethod
    def start(cls, program: Program, listeners: Sequence[Listener]) -> "Heir":
        """Start the program once more and leave it the sockets. OSError if that fails."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fds = [theirs.fileno(), *(listener.socket.fileno() for listener in listeners)]
            told = {
                "supervisor": os.getpid(),
                "control": theirs.fileno(),
                "listeners": [(each.socket.fileno(), each.address, each.path, each.inode) for each in listeners],
            }
            environ = {**program.environ, VARIABLE: json.dumps(told)}
            try:
                popen = subprocess.Popen(program.arguments, cwd=program.directory, env=environ, pass_fds=fds)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(popen, ours)

    def __str__(self) -> str:
        return f"the new server (pid {self.pid})"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    async def comes_to_serve(self) -> bool:
        """Wait until it serves; False if it does not come to that."""
        with self._control:
            self.serves = await asyncio.get_running_loop().sock_recv(self._control, len(_SERVING)) == _SERVING
        return self.serves

    def has_ended(self) -> bool:
        """Whether it has ended; it is reaped then."""
        return self._popen.poll() is not None

    def give_up(self) -> None:
        """It shall not come to serve any more."""
        if not self.serves:
            self._popen.terminate()


@dataclass(slots=True)
class Estate:
    """What a supervisor has left to this one: sockets, of which those in the file system are still its own."""

    listeners: list[Listener]
    _paths: list[tuple[str | None, int]]
    _control: socket.socket

    def take_over(self) -> None:
        """Say that this one serves: the other one goes, and what belongs to the sockets is ours."""
        for listener, (path, inode) in zip(self.listeners, self._paths, strict=True):
            listener.path, listener.inode = path, inode
        with self._control, suppress(OSError):  # it has ended already
            self._control.sendall(_SERVING)


def estate() -> Estate | None:
    """Find out whether this process follows another supervisor. It is taken off the environment."""
    text = os.environ.pop(VARIABLE, None)
    told = json.loads(text) if text is not None else None
    if told is None or told["supervisor"] != os.getppid():
        return None  # nobody's, or that of an ancestor, from whom the variable was inherited only
    listeners = [Listener(socket.socket(fileno=fd), address) for fd, address, _, _ in told["listeners"]]
    control = socket.socket(fileno=told["control"])
    for each in (control, *(listener.socket for listener in listeners)):
        each.set_inheritable(False)
    return Estate(listeners, [(path, inode) for _, _, path, inode in told["listeners"]], control)
