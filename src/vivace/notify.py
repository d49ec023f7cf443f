"""Telling systemd, or who speaks its language, how it goes: sd_notify(3)."""

import os
import socket
from contextlib import suppress

__all__ = ["followed_by", "ready", "stopping"]


def ready(status: str) -> None:
    """Say that the server serves. Nothing happens where nobody has asked to be told (`NOTIFY_SOCKET`)."""
    _tell(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")


def stopping() -> None:
    """Say that the server is about to end."""
    _tell("STOPPING=1")


def followed_by(pid: int) -> None:
    """Say that another process serves in the place of this one."""
    _tell(f"MAINPID={pid}")


def _tell(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as teller:
        teller.connect("\0" + address[1:] if address.startswith("@") else address)
        teller.sendall(text.encode())
