"""Logging: Python's own, on the loggers "vivace", "vivace.error" and "vivace.access"."""

import json
import logging
import os
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TextIO

__all__ = ["FORMATS", "LEVELS", "RefusalLog", "install", "wants_color"]

LEVELS = ("critical", "error", "warning", "info", "debug")
FORMATS = ("text", "json")


def install(level: str | None = None, who: str = "", *, form: str | None = None) -> None:
    """Make what vivace logs visible: on stderr, from INFO on, unless the program has set logging up itself.

    level   one of LEVELS; None keeps what the program chose
    who     which of several workers this is: "w2"
    form    one of FORMATS, the first when left out

    Handlers that the program has given to one of the loggers, or to the root, take the place of ours, whenever they
    come: no line appears twice.
    """
    if sys.stderr is None:  # started with descriptor 2 closed: what is said there goes nowhere
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as the process lives
    logger = logging.getLogger("vivace")
    if level is not None:
        logger.setLevel(level.upper())
    elif logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    ours = [handler for handler in logger.handlers if isinstance(handler, _StderrHandler)]
    if not logger.handlers and not logging.getLogger().handlers:
        ours = [_StderrHandler()]
        logger.addHandler(ours[0])
    for handler in ours:
        handler.setFormatter(_Json(who) if form == "json" else _Text(who))


def wants_color(*, on_terminal: bool) -> bool:
    """Whether to write colours: on a terminal, unless NO_COLOR says no, or FORCE_COLOR yes (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return on_terminal and os.environ.get("TERM") != "dumb"


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is now, and only what no handler of the program's own takes."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.addFilter(self._is_unseen)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def _is_unseen(self, record: logging.LogRecord) -> bool:
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return False
            logger = logger.parent if logger.propagate else None
        return True


class _Text(logging.Formatter):
    """`12:03:11 INFO  message`, with the date and without colours where no person is watching."""

    LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}  # noqa: RUF012 - read only
    COLORS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}  # noqa: RUF012 - read only

    def __init__(self, who: str = "") -> None:
        super().__init__()
        self._who = who and who + " "

    def format(self, record: logging.LogRecord) -> str:
        """Write one record; a traceback follows on lines of its own."""
        on_terminal = _is_terminal(sys.stderr)
        when = time.strftime("%H:%M:%S" if on_terminal else "%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = f"{self.LEVELS.get(record.levelname, record.levelname):<5}"
        color = self.COLORS.get(record.levelname)
        if color and wants_color(on_terminal=on_terminal):
            level = f"\033[{color}m{level}\033[0m"
        return f"{when} {level} {self._who}{super().format(record)}"


class _Json(logging.Formatter):
    """One JSON object a line, with the keys of the access log: ts, level, event, and logger, message, exception."""

    def __init__(self, who: str = "") -> None:
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        """Write one record on one line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "ts": f"{when}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._who:
            line["worker"] = int(self._who.removeprefix("w"))  # a number, as in the access log
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # no stream, or a closed one
        return False


@dataclass(slots=True)
class _Reason:
    logged_at: float  # seconds, time.monotonic()
    unsaid: int = 0


class RefusalLog:
    """The requests that the engine refused, logged at INFO: who is attacked must not be flooded by the log too.

    What was refused for want of memory, disk or descriptors of ours is logged at WARNING. Each reason is logged at most
    once a second; the next line of the same reason, or `flush`, tells how many more there were. The total is `count`.
    """

    REASONS = 64  # distinct ones remembered
    INTERVAL = 1.0  # seconds between two lines of one reason
    OURS = frozenset({500, 503, 507})  # no fault of the client's

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
        self._tell(code, "refused a request from %s with %d: %s%s", remote or "a client", code, reason, more)
        self._reasons[reason, code] = _Reason(now)
        if len(self._reasons) > self.REASONS:
            self._reasons.popitem(last=False)
        return True

    def _tell(self, code: int, line: str, *what: object) -> None:
        self._log.log(logging.WARNING if code in self.OURS else logging.INFO, line, *what)

    def flush(self) -> None:
        """Log what was only counted."""
        for (reason, code), known in self._reasons.items():
            if known.unsaid:
                self._tell(code, "refused %d more requests with %d: %s", known.unsaid, code, reason)
                known.unsaid = 0
                known.logged_at = time.monotonic()
