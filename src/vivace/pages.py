"""What a client gets to see of an error: text, JSON, or with debug on a page for browsers.

Tracebacks are shown with debug on only; they hold source lines and the exceptions' own texts, but no values of
variables, no header fields and nothing of the environment.
"""

import linecache
import traceback
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from vivace._engine import Request, Response
from vivace.exceptions import reason
from vivace.negotiation import preferred
from vivace.signatures import describe

__all__ = ["error_page"]

_HTML = "text/html"
_JSON = ("application/json", "application/problem+json")
_TEXT = "text/plain"
_SAFE = (  # nothing of a page may run, be kept, or be taken for something else
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)
_FRAMES = 40  # of one traceback that a page shows
_AROUND = 3  # lines of source before and behind the one that failed
_LONGEST = 10_000  # characters of an exception's own text


def error_page(
    request: Request,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    debug: bool = False,
    failure: BaseException | None = None,
) -> Response:
    """Make the answer to an error, in the form that the request's Accept asks for.

    headers  further header fields; one that says Content-Type has `detail` sent as it is
    debug    browsers get a page
    failure  what to show the traceback of; only with debug
    """
    fields = [*headers.items()] if headers else []
    if any(name.lower() == "content-type" for name, _ in fields):
        return Response(detail, status, headers=fields)
    fields.append(("Vary", "Accept"))
    shown = traceback.TracebackException.from_exception(failure) if debug and failure is not None else None
    accept = ",".join(request.headers.getall("Accept"))
    match preferred(accept, [_HTML, *_JSON, _TEXT] if debug else [*_JSON, _TEXT]):
        case "text/html":
            page = "".join(_page(request, status, detail, shown))
            return Response(_sendable(page), status, mime_type=_HTML, headers=[*fields, *_SAFE])
        case "text/plain":
            text = "".join(shown.format()) if shown is not None else detail
            return Response(_sendable(text), status, headers=fields)
        case json:
            return Response(json=_members(status, detail, shown), code=status, mime_type=json, headers=fields)


def _members(status: int, detail: str, shown: traceback.TracebackException | None) -> dict[str, Any]:
    """The members of RFC 9457, and with debug the traceback."""
    members: dict[str, Any] = {"status": status, "title": reason(status), "detail": _sendable(detail)}
    if shown is not None:
        members["traceback"] = _sendable("".join(shown.format())).splitlines()
    return members


def _sendable(text: str) -> str:
    """Write out what UTF-8 has no bytes for: exceptions may tell of undecodable names."""
    return text.encode("utf-8", "backslashreplace").decode()


# ---- the page --------------------------------------------------------------------------------------------------------

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 0 }
.what, pre, code { font-family: ui-monospace, monospace; font-size: 14px }
.what { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 }
.where { color: #666; margin: 1rem 0 .25rem } pre { background: #f4f4f4; margin: 0; padding: .5rem; overflow-x: auto }
b { background: #ffe08a; display: inline-block; min-width: 100%; font-weight: normal }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ddd } pre { background: #262626 } b { background: #5a4a10 } .where { color: #999 }
}
"""


def _page(request: Request, status: int, detail: str, shown: traceback.TracebackException | None) -> Iterator[str]:
    title = f"{status} {reason(status)}".rstrip()
    yield f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
    yield f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
    yield f'<p class="where">{escape(_asked(request))}</p>\n'
    if shown is None:
        yield f'<p class="what">{escape(detail)}</p>\n'
    for words, each in _chain(shown):
        yield f"<h2>{words}</h2>\n" if words else ""
        yield f'<p class="what">{escape(_own_text(each))}</p>\n'
        yield from _frames(each)
    yield "<p>This page is shown because debug is on.</p>\n</body>\n</html>\n"


def _asked(request: Request) -> str:
    route = request.route
    asked = f"{request.method} {request.path}"
    return f"{asked} \N{RIGHTWARDS ARROW} {route.pattern} ({describe(route.handler)})" if route is not None else asked


def _chain(shown: traceback.TracebackException | None) -> Iterator[tuple[str, traceback.TracebackException]]:
    """The exception, then those that led to it, each with the words in between."""
    words = ""
    while shown is not None:
        yield words, shown
        if shown.__cause__ is not None:
            words, shown = "Its cause:", shown.__cause__
        elif shown.__context__ is not None and not shown.__suppress_context__:
            words, shown = "It was raised while this was dealt with:", shown.__context__
        else:
            return


def _own_text(shown: traceback.TracebackException) -> str:
    whole = shown.exceptions is not None  # a group: with all that is in it
    text = "".join(shown.format(chain=False) if whole else shown.format_exception_only()).strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _frames(shown: traceback.TracebackException) -> Iterator[str]:
    """The frames, the innermost first: that is where one looks."""
    frames = list(reversed(shown.stack))
    for frame in frames[:_FRAMES]:
        place = f"{frame.filename}:{frame.lineno} in {frame.name}"
        yield f'<p class="where">{escape(place)}</p>\n<pre>{"".join(_source(frame))}</pre>\n'
    if len(frames) > _FRAMES:
        yield f'<p class="where">and {len(frames) - _FRAMES} more</p>\n'


def _source(frame: traceback.FrameSummary) -> Iterable[str]:
    lines, at = linecache.getlines(frame.filename), frame.lineno or 0
    if not 0 < at <= len(lines):
        return [f"<b>{escape(frame.line or '')}</b>"]
    around = range(max(1, at - _AROUND), min(len(lines), at + _AROUND) + 1)
    texts = {number: escape(f"{number:5} {lines[number - 1].rstrip()}") for number in around}
    return [f"<b>{text}</b>\n" if number == at else f"{text}\n" for number, text in texts.items()]
