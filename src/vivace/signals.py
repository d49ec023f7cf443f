"""SIGUSR1, which asks for the state, and whom signals belong to."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from vivace import blackbox, cgroup

__all__ = ["StateTeller", "catch_free"]

_log = logging.getLogger("vivace")
_BORN = time.monotonic()


def catch_free(loop: asyncio.AbstractEventLoop, handlers: Mapping[int, Callable[[], object]]) -> list[int]:
    """Handle signals on a loop, but for those that somebody deals with: Python code or, like faulthandler, code in C.

    Returns which; before, each had its default.
    """
    in_c = _caught()
    free = [n for n in handlers if signal.getsignal(n) is signal.SIG_DFL and not in_c >> (n - 1) & 1]
    for number in free:
        loop.add_signal_handler(number, handlers[number])
    return free


def _caught() -> int:
    """Find out what has a handler in this process: signal n is bit n - 1."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return int(line.split()[1], 16)
    return 0


class StateTeller:
    """Tells in the log what this process is about. `box` is the descriptor of its black box; None: it has none."""

    def __init__(self, box: int | None) -> None:
        self._box = box

    def __call__(self) -> None:
        """Log one line."""
        account = blackbox.read(self._box) if self._box is not None else blackbox.Account()
        _log.info("SIGUSR1: %s", account.state(time.monotonic() - _BORN, cgroup.memory_of(os.getpid())))
