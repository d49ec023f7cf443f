"""SIGUSR1, which asks for the state, and whom signals belong to."""

import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from vivace import blackbox, cgroup

__all__ = ["StateTeller", "is_free"]

_log = logging.getLogger("vivace")
_BORN = time.monotonic()


def is_free(number: int) -> bool:
    """Whether nobody deals with a signal: neither Python code nor, like faulthandler, code in C."""
    if signal.getsignal(number) is not signal.SIG_DFL:
        return False
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return int(line.split()[1], 16) >> (number - 1) & 1 == 0
    return True


class StateTeller:
    """Tells in the log what this process is about. `box` is the descriptor of its black box; None: it has none."""

    def __init__(self, box: int | None) -> None:
        self._box = box

    def __call__(self) -> None:
        """Log one line."""
        account = blackbox.read(self._box) if self._box is not None else blackbox.Account()
        _log.info("SIGUSR1: %s", account.state(time.monotonic() - _BORN, cgroup.memory_of(os.getpid())))
