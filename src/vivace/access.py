"""The access log: one line for every request. The engine writes it; here is decided how and where to."""

import json
import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from vivace import _engine
from vivace.logs import wants_color

__all__ = ["FORMATS", "AccessLog"]

FORMATS = ("short", "common", "combined", "json")

_log = logging.getLogger("vivace")
_access = logging.getLogger("vivace.access")


@dataclass(frozen=True, slots=True)
class AccessLog:
    """How the access log is written.

    format  one of FORMATS; None: short on a terminal, else combined
    path    the file that lines are appended to; "-": stdout; None: stderr
    worker  this process's number, from 1; 0: there is only one

    If the program has given the logger "vivace.access" handlers, records go there, and format and path do not count.
    """

    format: str | None = None
    path: str | None = None
    worker: int = 0

    def check(self) -> None:
        """Raise OSError, in one line that says what to do, if the file cannot be written."""
        if self.path in (None, "-"):
            return
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            msg = f"cannot write the access log to {self.path}: {reason}; give access_log_file another path"
            raise OSError(error.errno, msg) from None

    def begin(self, server: _engine.Server) -> None:
        """Log what this server answers; before it listens. OSError for a file that cannot be written."""
        if _access.disabled or _access.level > logging.INFO:
            return
        if _access.handlers:
            server.log_access("json", worker=self.worker, take=_hand_over)
        elif self.path is None:
            self._to_stream(server, sys.stderr, sys.__stderr__, 2)
        elif self.path == "-":
            self._to_stream(server, sys.stdout, sys.__stdout__, 1)
        else:
            server.log_access(self.format or "combined", path=self.path, worker=self.worker)

    def _to_stream(self, server: _engine.Server, stream: TextIO | None, real: TextIO | None, number: int) -> None:
        try:
            fd = stream.fileno() if stream is not None else -1
        except (AttributeError, OSError, ValueError):  # a program's own, with no descriptor: beside it is the real one
            fd = number if real is not None else -1
        if fd < 0:  # started without it: its number may be anything's by now
            return
        on_terminal = os.isatty(fd)
        # It may have been closed: then there is nobody to tell.
        with suppress(OSError):
            server.log_access(
                self.format or ("short" if on_terminal else "combined"),
                fd=fd,
                color=wants_color(on_terminal=on_terminal),
                worker=self.worker,
            )

    @staticmethod
    def end(server: _engine.Server) -> None:
        """Tell, once the server is closed, which lines nobody has seen."""
        if server.access_lost:
            _log.warning("access log: %d lines could not be written", server.access_lost)


_KEYS = (
    "client", "method", "path", "query", "http", "status", "bytes_out", "duration_ms", "route", "referer", "user_agent",
    "worker", "event", "raw", "reason",
)  # fmt: skip
_UNKNOWN = dict.fromkeys(_KEYS, "-")


def _hand_over(lines: bytes) -> None:
    """Make records of the engine's lines."""
    if not _access.isEnabledFor(logging.INFO):
        return
    for line in lines.splitlines():
        fields: dict[str, Any] = json.loads(line)
        if "status" not in fields:  # what the engine has to say of the log itself
            _access.warning("access log: %s lines were lost: %s", fields["lines"], fields["reason"])
            continue
        target = fields.get("path", "") + ("?" + fields["query"] if "query" in fields else "")
        request = f"{fields['method']} {target}" if "method" in fields else fields.get("raw", "")
        took = f"{fields['duration_ms']:.2f}ms" if "duration_ms" in fields else "-"
        _access.info(
            '%s "%s" %d %dB %s',
            fields.get("client", "-"),
            request,
            fields["status"],
            fields["bytes_out"],
            took,
            extra=_UNKNOWN | {key: fields[key] for key in _KEYS if key in fields},
        )
