"""The terminal that a server was started from: when it goes, so does the server."""

import os
import signal

__all__ = ["Terminal"]


class Terminal:
    """Tells the two things apart that SIGHUP may mean: somebody has sent it, or the terminal is gone.

    Made before SIGHUP gets a handler: where it is ignored (`nohup`), the server shall outlive its terminal.
    """

    def __init__(self) -> None:
        """Note what there is now."""
        self._matters = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _is_there()

    def is_gone(self) -> bool:
        """Whether there was a terminal that mattered, and is none any more."""
        return self._matters and not _is_there()


def _is_there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
