"""Settings: what can be set, what it means, and which of several places has the last word.

Highest first: the command line, `app.run(...)`, the environment (`VIVACE_PORT`), `Application(...)`, the host's own
hints (`LISTEN_FDS`, `PORT`, `WEB_CONCURRENCY`), the default.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any, Self

from vivace import _engine, cgroup, sockets, threads
from vivace.access import FORMATS as ACCESS_FORMATS
from vivace.access import AccessLog
from vivace.logs import FORMATS, LEVELS
from vivace.spelling import did_you_mean

__all__ = ["ALL", "LIMITS", "SERVING", "Setting", "Settings", "checked", "resolve", "strangers"]

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set.

    name     as in `app.run(name=...)`; `--name` and `VIVACE_NAME` follow from it
    parse    text or value to value; ValueError says what is wanted
    default  when nobody says anything
    metavar  how the help shows the value
    text     the help
    """

    name: str
    parse: Callable[[Any], Any]
    default: Any
    metavar: str
    text: str

    @property
    def variable(self) -> str:
        """The environment variable: `VIVACE_LIMIT_BODY_BYTES`."""
        return f"VIVACE_{self.name.upper()}"

    @property
    def option(self) -> str:
        """The command line option: `--limit-body-bytes`."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_flag(self) -> bool:
        """Whether it is yes or no."""
        return isinstance(self.default, bool)

    @property
    def repeatable(self) -> bool:
        """Whether it may be said more than once."""
        return isinstance(self.default, tuple)

    @property
    def shown_default(self) -> str:
        """The default as the help shows it: `16MiB`, `30s`."""
        if self.repeatable:
            return ", ".join(self.default)
        if self.metavar == "SIZE":
            return f"{self.default >> 20}MiB" if self.default >= 1 << 20 else f"{self.default >> 10}KiB"
        return f"{self.default:g}s" if self.metavar == "TIME" else str(self.default)

    def read(self, value: Any, said: str) -> Any:
        """Check a value; ValueError in one line that names where it was said."""
        try:
            return self.parse(value)
        except (ValueError, TypeError) as error:
            msg = f"{said} takes {error}, not {value!r}"
            raise ValueError(msg) from None


def _whole(wanted: str, lowest: int, highest: int = 2**63 - 1) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,19}\s*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError(wanted)
        return value

    return parse


_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_LONGEST = _engine.LIMITS["timeout_head"][2]  # seconds: more milliseconds than this the engine does not count
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _size(lowest: int, highest: int) -> Callable[[Any], int]:
    whole = _whole(f"a number of bytes from {lowest} to {highest}, such as 4096 or 4KiB", lowest, highest)

    def parse(value: Any) -> int:
        if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,15}) ?([kmg]ib|b|)", value.strip().lower())):
            value = int(found[1]) * _UNITS[found[2]]
        return whole(value)

    return parse


def _count(highest: int) -> Callable[[Any], int]:
    return _whole(f"a whole number from 1 to {highest}", 1, highest)


def _seconds(lowest: float) -> Callable[[Any], float]:
    wanted = f"a time from {lowest:g} s to {_LONGEST:.0f} s, such as 2.5, 500ms or 1m"

    def parse(value: Any) -> float:
        if isinstance(value, str):
            found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?(ms|s|m|h|)", value.strip().lower())
            value = float(found[1]) * _SECONDS[found[2]] if found else math.nan
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(wanted)
        if not lowest <= value <= _LONGEST:
            raise ValueError(wanted)
        return float(value)

    return parse


def _choice(*words: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if isinstance(value, str) and value.lower() in words:
            return value.lower()
        raise ValueError("one of " + ", ".join(words))

    return parse


_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in (*_YES, *_NO):
        return value.lower() in _YES
    raise ValueError("true or false")


def _text(value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError("a text")  # noqa: TRY004 - Setting.read tells both alike
    return os.fspath(value)


def _places(value: Any) -> tuple[sockets.Place, ...]:
    texts = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(text if isinstance(text, sockets.Place) else sockets.place(text.strip()) for text in texts)
    except (ValueError, TypeError, AttributeError):
        raise ValueError("addresses: HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N") from None


def _workers(value: Any) -> int:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return cgroup.cpus()
    return _whole("a number of processes from 1 to 1024, or auto", 1, 1024)(value)


def _mode(value: Any) -> int:
    wanted = "a mode in octal digits, such as 660"
    if isinstance(value, str):
        if not re.fullmatch(r"\s*(0o)?[0-7]{1,4}\s*", value):
            raise ValueError(wanted)
        value = int(value.strip().removeprefix("0o"), 8)
    return _whole(wanted, 0, 0o777)(value)


def _texts(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else [value] if isinstance(value, os.PathLike) else value
    try:
        texts = tuple(os.fspath(text).strip() for text in given)
    except (TypeError, AttributeError):
        raise ValueError("texts, with a comma between them") from None
    return tuple(text for text in texts if text)


def _by_name(*settings: Setting) -> dict[str, Setting]:
    return {setting.name: setting for setting in settings}


def _limit(name: str, metavar: str, text: str) -> Setting:
    """Make the setting of a limit whose default and bounds the engine knows."""
    default, least, most = _engine.LIMITS[name]
    parse: Callable[[Any], Any]
    if metavar == "TIME":
        parse = _seconds(least)
    else:
        parse = _size(int(least), int(most)) if metavar == "SIZE" else _count(int(most))
    return Setting(name, parse, default, metavar, text)


LIMITS = _by_name(
    _limit("limit_head_bytes", "SIZE", "Request line and header fields; longer ones are a 431."),
    _limit("limit_header_fields", "N", "Header fields of a request; more are a 431."),
    _limit("limit_body_bytes", "SIZE", "Request body; a longer one is a 413."),
    _limit("limit_body_memory_bytes", "SIZE", "Of a body in memory; a longer one is a file."),
    _limit("limit_form_parts", "N", "Fields and files of a form; more are a 413."),
    _limit("limit_form_head_bytes", "SIZE", "Header lines of a part of a form; then a 413."),
    _limit("limit_form_text_bytes", "SIZE", "Of a form without its files; then a 413."),
    _limit("limit_pipeline", "N", "Requests in flight on one connection, then it waits."),
    _limit("limit_output_bytes", "SIZE", "Unsent output on one connection, then it waits."),
    _limit("limit_connections", "N", "Open connections, then accepting waits."),
    _limit("timeout_head", "TIME", "For a complete head, from its first byte; then a 408."),
    _limit("timeout_body", "TIME", "Without progress of a body; then a 408."),
    _limit("timeout_keep_alive", "TIME", "For the next request of a connection; then it is closed."),
    _limit("timeout_write", "TIME", "For a client that takes nothing of its answer; then closed."),
    Setting("timeout_graceful", _seconds(0), 30.0, "TIME", "For requests in flight when stopping; then they are cut."),
)
"""The limits that take effect, by name: those of `Application(...)`, `app.run(...)` and the command line."""

_ADDRESS = ("bind", "uds", "fd")
SERVING = _by_name(
    Setting("host", _text, "127.0.0.1", "TEXT", "Name or address to listen on; 0.0.0.0: all of IPv4, ::: all."),
    Setting("port", _whole("a port, 0 to 65535", 0, sockets.HIGHEST_PORT), 8080, "INT", "Port; 0: any free one."),
    Setting("bind", _places, (), "ADDR", "HOST:PORT, unix:PATH or fd://N; may be repeated."),
    Setting("uds", _text, None, "PATH", "Unix socket to listen on."),
    Setting("uds_mode", _mode, None, "MODE", "Who may connect to Unix sockets, in octal: 660."),
    Setting("fd", _whole("the number of an open descriptor", 0, 2**31 - 1), None, "INT", "Inherited socket."),
    Setting("backlog", _count(2**31 - 1), 2048, "N", "Connections that wait to be accepted."),
    Setting("workers", _workers, 1, "N", "Processes that serve; auto: one for each CPU."),
    Setting("max_requests", _count(10**15), None, "N", "After so many a worker is replaced by a new one."),
    Setting("max_requests_jitter", _whole("a whole number from 0", 0), 0, "N", "Up to so many more, at random."),
    Setting("max_rss", _size(1 << 20, 10**15), None, "SIZE", "At so much memory a worker is replaced by a new one."),
    Setting("reload", _flag, False, "", "Serve the new code when a file changes."),
    Setting("reload_dir", _texts, (), "DIR", "Look there, in place of here and APP's folder; may be repeated."),
    Setting("reload_include", _texts, (), "GLOB", "Files that count as well as *.py; may be repeated."),
    Setting("reload_exclude", _texts, (), "GLOB", "Files and folders that do not count; may be repeated."),
    Setting("reload_delay", _seconds(0.01), 0.25, "TIME", "Without another change, before it reloads."),
    Setting("loop", _choice("auto", "asyncio", "uvloop"), "auto", "NAME", "Event loop: auto, asyncio or uvloop."),
    Setting("io", _choice("auto", "epoll", "uring"), "auto", "NAME", "System interface: auto, epoll or uring."),
    Setting("log_level", _choice(*LEVELS), None, "LEVEL", "Least level that is logged: " + ", ".join(LEVELS) + "."),
    Setting("log_format", _choice(*FORMATS), "text", "NAME", "Form of log lines: " + ", ".join(FORMATS) + "."),
    Setting("access_log", _flag, False, "", "Log every request."),
    Setting(
        "access_log_format",
        _choice(*ACCESS_FORMATS),
        None,
        "NAME",
        "Form of its lines: short (as on a terminal), common, combined (as elsewhere) or json.",
    ),
    Setting("access_log_file", _text, None, "PATH", "File for them instead of stderr; -: stdout."),
    Setting("threads", _count(10_000), threads.DEFAULT, "N", "Handlers with blocking=True that may run at once."),
    Setting("debug", _flag, False, "", "Show tracebacks to clients; warn of handlers that hold the event loop."),
)
"""How and where to serve."""

ALL = {**SERVING, **LIMITS}
"""Every setting, by name."""

_OTHER_VARIABLES = ("VIVACE_APP_DIR", "VIVACE_ENV_FILE", "VIVACE_FACTORY", "VIVACE_SIMD")

_NEEDS = {
    "access_log_format": "access_log",
    "access_log_file": "access_log",
    "reload_dir": "reload",
    "reload_include": "reload",
    "reload_exclude": "reload",
    "reload_delay": "reload",
    "max_requests_jitter": "max_requests",
}
"""Settings that do nothing without another one."""


_PLACES: dict[str, type[sockets.Place]] = {
    kind.__name__: kind for kind in (sockets.Tcp, sockets.Unix, sockets.Inherited)
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server was asked for, all questions settled."""

    places: tuple[sockets.Place, ...]
    uds_mode: int | None
    backlog: int
    workers: int
    workers_asked: bool  # for a number of them, be it one
    max_requests: int | None
    max_requests_jitter: int
    max_rss: int | None  # bytes
    reload: bool
    reload_dir: tuple[str, ...]
    reload_include: tuple[str, ...]
    reload_exclude: tuple[str, ...]
    reload_delay: float  # seconds
    loop: str
    io: str
    log_level: str | None
    log_format: str
    access_log: AccessLog | None
    debug: bool
    threads: int
    timeout_graceful: float  # seconds
    limits: dict[str, int | float] = field(default_factory=dict)  # what the engine's server takes

    def to_wire(self) -> dict[str, Any]:
        """Give them as JSON can carry them: a worker tells its supervisor."""
        return {**asdict(self), "places": [(type(where).__name__, *astuple(where)) for where in self.places]}

    @classmethod
    def from_wire(cls, told: Mapping[str, Any]) -> Self:
        """Make them of what `to_wire` gave, and JSON has carried."""
        value: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in told.items()}
        value["places"] = tuple(_PLACES[kind](*parts) for kind, *parts in told["places"])
        value["access_log"] = AccessLog(**told["access_log"]) if told["access_log"] is not None else None
        return cls(**value)

    @property
    def supervised(self) -> bool:
        """Whether it takes a supervisor: somebody has asked for workers, there are several, or they come and go."""
        return (
            self.workers_asked
            or self.workers > 1
            or self.reload
            or self.max_requests is not None
            or self.max_rss is not None
        )


def checked(given: Values, who: str, known: Mapping[str, Setting] = ALL) -> dict[str, Any]:
    """Check what was given and is not None.

    TypeError for an unknown name, with the nearest one; ValueError for a value that is none.
    """
    for name in given:
        if name not in known:
            msg = f"{who} has no setting {name!r}{did_you_mean(name, known)}"
            raise TypeError(msg)
    return {name: known[name].read(value, name) for name, value in given.items() if value is not None}


def resolve(
    layers: Sequence[Values],
    own: Values,
    environ: Mapping[str, str] = os.environ,
    defaults: Values | None = None,
    *,
    partly: bool = False,
) -> Settings:
    """Settles every setting.

    layers    checked values of the command line and `run()`, the highest first
    own       what `Application(...)` was given
    environ   the environment
    defaults  in place of the usual ones
    partly    there is no application yet, which may say more

    ValueError for what contradicts itself, does nothing or is malformed in the environment; one line each.
    """
    ranked = [*layers, _from_environment(environ), own]
    last = {**_hints(environ), **(defaults or {})}
    if not partly:
        _refuse_idle(layers, [*ranked, last])
    value = {
        name: next((layer[name] for layer in [*ranked, last] if name in layer), setting.default)
        for name, setting in ALL.items()
    }
    if value["reload"] and (lost := [folder for folder in value["reload_dir"] if not Path(folder).is_dir()]):
        msg = f'reload_dir "{lost[0]}" is no folder: give one that is there'
        raise ValueError(msg)
    return Settings(
        places=_where(ranked, environ),
        uds_mode=value["uds_mode"],
        backlog=value["backlog"],
        workers=value["workers"],
        workers_asked=any("workers" in layer for layer in ranked),
        max_requests=value["max_requests"],
        max_requests_jitter=value["max_requests_jitter"],
        max_rss=value["max_rss"],
        reload=value["reload"],
        reload_dir=value["reload_dir"],
        reload_include=value["reload_include"],
        reload_exclude=value["reload_exclude"],
        reload_delay=value["reload_delay"],
        loop=value["loop"],
        io=value["io"],
        log_level=value["log_level"],
        log_format=value["log_format"],
        access_log=_access_log(value),
        debug=value["debug"],
        threads=value["threads"],
        timeout_graceful=value["timeout_graceful"],
        limits={name: value[name] for name in LIMITS if name != "timeout_graceful"},
    )


def strangers(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Give a line for every variable that looks like one of ours and is none: what it should limit is not limited."""
    known = {*_OTHER_VARIABLES, *(setting.variable for setting in ALL.values())}
    return [
        f"{name} is no setting and does nothing{did_you_mean(name, known)}"
        for name in sorted(environ)
        if name.startswith("VIVACE_") and name not in known
    ]


def _refuse_idle(layers: Sequence[Values], ranked: Sequence[Values]) -> None:
    """What somebody writes down, and would do nothing, is a mistake. Variables may be there for other occasions."""
    said = {name for layer in ranked for name in layer}
    for name, needed in _NEEDS.items():
        if needed not in said and any(name in layer for layer in layers):
            msg = f"{name} does nothing without {needed}: give that too, or leave it out"
            raise ValueError(msg)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: setting.read(environ[setting.variable], setting.variable)
        for name, setting in ALL.items()
        if environ.get(setting.variable)
    }


def _access_log(value: Values) -> AccessLog | None:
    if not value["access_log"]:
        return None
    form = value["access_log_format"] or ("json" if value["log_format"] == "json" else None)
    return AccessLog(form, value["access_log_file"])


def _hints(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the host says for all programs alike, and any setting of ours overrules. Where to listen: see `_where`."""
    if not environ.get("WEB_CONCURRENCY"):
        return {}
    return {"workers": SERVING["workers"].read(environ["WEB_CONCURRENCY"], "WEB_CONCURRENCY")}


def _where(ranked: Iterable[Values], environ: Mapping[str, str]) -> tuple[sockets.Place, ...]:
    """Let the highest layer that says where to listen decide; a host and a port may come from two of them."""
    tcp: dict[str, Any] = {}
    for layer in ranked:
        special = [name for name in _ADDRESS if name in layer]
        plain = [name for name in ("host", "port") if name in layer]
        if len(special) > 1 or (special and plain):
            first, second, *_ = [*special, *plain]
            msg = f"{first} and {second} both say where to listen: give one of them (bind takes several addresses)"
            raise ValueError(msg)
        if special and not tcp:
            return _special(special[0], layer[special[0]])
        for name in plain:
            tcp.setdefault(name, layer[name])
    if not tcp and (activated := sockets.activated(environ)):
        return activated
    if "port" not in tcp and environ.get("PORT"):
        tcp["port"] = SERVING["port"].read(environ["PORT"], "PORT")
        tcp.setdefault("host", "0.0.0.0")  # noqa: S104 - whoever sets PORT sends clients from elsewhere
    return (sockets.Tcp(tcp.get("host", SERVING["host"].default), tcp.get("port", SERVING["port"].default)),)


def _special(name: str, value: Any) -> tuple[sockets.Place, ...]:
    if name == "uds":
        return (sockets.Unix(value),)
    if name == "fd":
        return (sockets.Inherited(value),)
    places: tuple[sockets.Place, ...] = value
    return places
