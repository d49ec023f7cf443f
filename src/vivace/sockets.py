"""Listening sockets: where a server can be reached."""

import errno
import os
import re
import socket
import stat
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import NoReturn

__all__ = ["Inherited", "Listener", "Place", "Tcp", "Unix", "activated", "open_listeners", "place"]

HIGHEST_PORT = 65535
_FIRST_ACTIVATED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


@dataclass(frozen=True, slots=True)
class Tcp:
    """A host name or address, "" being every one of this machine, and a port, 0 being any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return _authority(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Unix:
    """A Unix socket: a path in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Inherited:
    """A descriptor that the parent process (systemd, a supervisor) has bound."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"


Place = Tcp | Unix | Inherited


def place(text: str) -> Place:
    """Read an address as `--bind` takes it: HOST:PORT, [::1]:8080, :8080, unix:PATH or fd://N.

    ValueError, in one line, for anything else.

    >>> place("[::1]:8080")
    Tcp(host='::1', port=8080)
    """
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Unix(text.removeprefix("unix:"))
    if found := re.fullmatch(r"fd://([0-9]{1,9})", text):
        return Inherited(int(found[1]))
    if (found := re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:/]*)):([0-9]{1,5})", text)) and int(found[3]) <= HIGHEST_PORT:
        return Tcp(found[1] or found[2] or "", int(found[3]))
    msg = f'"{text}" is no address: write HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N'
    raise ValueError(msg)


def activated(environ: Mapping[str, str]) -> tuple[Inherited, ...]:
    """Find the sockets that systemd, or who speaks its language, has opened for this process: `LISTEN_FDS`.

    ValueError, in one line, for a count that is none.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return ()  # none, or meant for an ancestor of ours
    count = environ.get("LISTEN_FDS", "")
    if not re.fullmatch(r"[0-9]{1,4}", count):
        msg = f"LISTEN_FDS takes a number of sockets, not {count!r}"
        raise ValueError(msg)
    return tuple(Inherited(_FIRST_ACTIVATED + n) for n in range(int(count)))


@dataclass(slots=True)
class Listener:
    """A socket that listens, and how to name it."""

    socket: socket.socket
    address: str  # "http://127.0.0.1:8080" or "unix:/run/shop.sock"
    path: str | None = None  # of a Unix socket that is ours to remove
    inode: int = 0

    def close(self) -> None:
        """Close the socket; remove the path of a Unix socket, unless another server has taken it over."""
        self.socket.close()
        if self.path is not None:
            with suppress(FileNotFoundError):
                if os.stat(self.path).st_ino == self.inode:  # noqa: PTH116
                    os.unlink(self.path)  # noqa: PTH108


def open_listeners(places: Iterable[Place], backlog: int = 2048, mode: int | None = None) -> list[Listener]:
    """Binds and listens, without blocking.

    places    a host name may give several sockets, one for each of its addresses
    backlog   connections that the kernel keeps until they are accepted
    mode      of the Unix sockets among them: who may connect; what the umask leaves when left out

    OSError, in one line that says what to do.
    """
    with ExitStack() as undo:
        listeners: list[Listener] = []
        for where in places:
            for listener in _open(where, backlog, mode):
                undo.callback(listener.close)
                listeners.append(listener)
        undo.pop_all()
        return listeners


def _open(where: Place, backlog: int, mode: int | None) -> list[Listener]:
    match where:
        case Tcp(host, port):
            return _open_tcp(host, port, backlog)
        case Unix(path):
            return [_open_unix(path, backlog, mode)]
        case Inherited(fd):
            return [_open_inherited(fd, backlog)]


def _open_tcp(host: str, port: int, backlog: int) -> list[Listener]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        msg = f'cannot listen on host "{host}": {error.strerror or error}; give a name or address of this machine'
        raise OSError(error.errno, msg) from None
    listeners: list[Listener] = []
    refused: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            # With port 0 the first address chooses, and the others take the same.
            chosen = listeners[0].socket.getsockname()[1] if listeners else port
            listeners.append(_listen_tcp(family, (str(address[0]), chosen, *address[2:]), host, backlog))
        except OSError as error:
            # A name may have an address that this machine has not, such as ::1 of "localhost" in a container.
            refused = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break
    if refused is not None and (not listeners or refused.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)):
        for listener in listeners:
            listener.close()
        _refuse(f"{_authority(host, port)}", refused)
    return listeners


def _listen_tcp(family: int, address: tuple[object, ...], host: str, backlog: int) -> Listener:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        if family == socket.AF_INET6:
            # "::" alone means every address of both families; next to an IPv4 socket it must leave those alone.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        sock.bind(address)
        sock.listen(backlog)
        sock.setblocking(False)
        bound = sock.getsockname()
    except BaseException:
        sock.close()
        raise
    return Listener(sock, f"http://{_authority(bound[0], bound[1])}")


def _open_unix(path: str, backlog: int, mode: int | None) -> Listener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear_stale(path)
        sock.bind(path)
        if mode is not None:
            os.chmod(path, mode)  # noqa: PTH101 - nobody can connect before listen()
        sock.listen(backlog)
        sock.setblocking(False)
        inode = os.stat(path).st_ino  # noqa: PTH116
    except OSError as error:
        sock.close()
        _refuse(f"unix:{path}", error)
    return Listener(sock, f"unix:{path}", path, inode)


def _clear_stale(path: str) -> None:
    """Remove a Unix socket that a server which has died left behind."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108


def _open_inherited(fd: int, backlog: int) -> Listener:
    try:
        sock = socket.socket(fileno=os.dup(fd))
    except OSError as error:
        _refuse(f"descriptor {fd}", error)
    try:
        if sock.type != socket.SOCK_STREAM:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))  # noqa: TRY301 - told as the kernel's own are
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.listen(backlog)
        sock.setblocking(False)
        name = sock.getsockname()
    except OSError as error:
        sock.close()
        _refuse(f"descriptor {fd}", error)
    if sock.family == socket.AF_UNIX:
        return Listener(sock, f"unix:{os.fsdecode(name)}")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Listener(sock, f"http://{_authority(name[0], name[1])}")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_ADVICE = {
    errno.EADDRINUSE: "another server has it; stop that one or choose another address (port 0: any free one)",
    errno.EACCES: "this user may not; choose a port above 1023 or another path",
    errno.EADDRNOTAVAIL: "this machine has no such address; 127.0.0.1, or 0.0.0.0 for all, always work",
    errno.EBADF: "the parent process has not passed it on",
    errno.ENOTSOCK: "it is no socket",
    errno.EINVAL: "it is no stream socket",
}


def _refuse(where: str, error: OSError) -> NoReturn:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    advice = _ADVICE.get(error.errno or 0)
    raise OSError(error.errno, f"cannot listen on {where}: {reason}" + (f": {advice}" if advice else "")) from None
