"""Logging: Python's own, on the loggers "vivace" and "vivace.error"."""

import logging
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TextIO

__all__ = ["LEVELS", "RefusalLog", "install"]

LEVELS = ("critical", "error", "warning", "info", "debug")


def install(level: str | None = None) -> None:
    """Make what vivace logs visible: on stderr, from INFO on, unless the program has set logging up itself.

    level   one of LEVELS; None keeps what the program chose
    """
    logger = logging.getLogger("vivace")
    if level is not None:
        logger.setLevel(level.upper())
    elif logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is now, not to what it was when logging was set up."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


@dataclass(slots=True)
class _Reason:
    logged_at: float  # seconds, time.monotonic()
    unsaid: int = 0


class RefusalLog:
    """The requests that the engine refused, logged at INFO: who is attacked must not be flooded by the log too.

    Each reason is logged at most once a second; the next line of the same reason, or `flush`, tells how many more
    there were. The total is `count`.
    """

    REASONS = 64  # distinct ones remembered
    INTERVAL = 1.0  # seconds between two lines of one reason

    def __init__(self) -> None:
        """Nothing refused yet."""
        self.count = 0
        self._reasons: OrderedDict[tuple[str, int], _Reason] = OrderedDict()
        self._log = logging.getLogger("vivace.error")

    def add(self, reason: str, code: int, remote: str | None) -> bool:
        """One more. False if it was only counted: `flush` should then be called about a second later."""
        self.count += 1
        now = time.monotonic()
        known = self._reasons.get((reason, code))
        if known is not None and now - known.logged_at < self.INTERVAL:
            known.unsaid += 1
            return False
        more = f" (and {known.unsaid} more like it)" if known is not None and known.unsaid else ""
        self._log.info("refused a request from %s with %d: %s%s", remote or "a client", code, reason, more)
        self._reasons[reason, code] = _Reason(now)
        if len(self._reasons) > self.REASONS:
            self._reasons.popitem(last=False)
        return True

    def flush(self) -> None:
        """Log what was only counted."""
        for (reason, code), known in self._reasons.items():
            if known.unsaid:
                self._log.info("refused %d more requests with %d: %s", known.unsaid, code, reason)
                known.unsaid = 0
                known.logged_at = time.monotonic()
