"""What becomes of a request whose handler failed: error handlers, and the answers where there is none."""

import asyncio
import inspect
import logging
import re
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from vivace._engine import Request, Response
from vivace.exceptions import HTTPError, JSONError
from vivace.signatures import describe
from vivace.spelling import did_you_mean

__all__ = ["ErrorHandler", "ErrorHandlers", "log_failure"]

ErrorHandler = Callable[[Request, Any], Any]

_log = logging.getLogger("vivace.error")

watchers: list[Callable[[Request, BaseException], None]] = []
"""Who else, beside the log, is told of an exception that nobody takes: the test client."""


class ErrorHandlers:
    """The error handlers of an application, by exception class; the nearest class in the MRO wins."""

    def __init__(self) -> None:
        """None yet: every exception gets its plain answer."""
        self._handlers: dict[type[BaseException] | None, ErrorHandler] = {}

    def add(self, kind: Any, handler: Any) -> None:
        """Add one; of two for the same class the first stays. TypeError for no exception class, or no handler."""
        self.check(kind)
        if not callable(handler):
            msg = f"the error handler of {kind.__name__ if kind else None} is {handler!r}, which cannot be called"
            raise TypeError(msg)
        try:
            inspect.signature(handler).bind(None, None)
        except ValueError:
            pass  # something that does not tell its parameters
        except TypeError:
            who = f'error handler "{describe(handler)}" of {kind.__name__ if kind else None}'
            msg = f"{who} is called with the request and the exception: let it take these two"
            raise TypeError(msg) from None
        self._handlers.setdefault(kind, handler)

    @staticmethod
    def check(kind: Any) -> None:
        """TypeError for what is no exception class, nor None."""
        if kind is not None and not (isinstance(kind, type) and issubclass(kind, BaseException)):
            what = f"not {kind!r}" if not callable(kind) else f"and stands in parentheses above {describe(kind)}"
            msg = f"an error handler is for an exception class, or None for all, {what}"
            raise TypeError(msg)

    def find(self, kind: type[BaseException]) -> ErrorHandler | None:
        """Find the handler for exceptions of this class: of the nearest class in its MRO, else the one for None."""
        for base in kind.__mro__:
            if handler := self._handlers.get(base):
                return handler
        return self._handlers.get(None)

    def answer(self, request: Request, exception: BaseException, *, debug: bool) -> Any:
        """Give the answer: anything that a handler may return, or an awaitable of it."""
        if isinstance(exception, AttributeError) and (name := _wrong_guess(request, exception)):
            exception.args = (_no_attribute(request, name),)
        handler = self.find(type(exception))
        if handler is None:
            return plain_answer(request, exception, debug=debug)
        try:
            answer = handler(request, exception)
        except Exception as second:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            return plain_answer(request, _behind(second, exception), debug=debug)
        if inspect.isawaitable(answer):
            return _awaited(answer, handler, request, exception, debug=debug)
        return _checked(answer, handler, request, debug=debug)


def plain_answer(request: Request, exception: BaseException, *, debug: bool) -> Response:
    """Answer an exception that no error handler takes; what is nobody's answer is logged with its traceback."""
    from vivace.pages import error_page  # noqa: PLC0415 - not before something fails

    match exception:
        case HTTPError():
            return error_page(request, exception.status, exception.detail, headers=exception.headers, debug=debug)
        case JSONError():
            return error_page(request, 400, f"The body is not JSON: {exception}", debug=debug)
        case asyncio.CancelledError():
            return error_page(request, 503, "Service Unavailable", debug=debug)
    log_failure(request, exception)
    for watcher in tuple(watchers):
        watcher(request, exception)
    return error_page(request, 500, "Internal Server Error", debug=debug, failure=exception)


def log_failure(request: Request, exception: BaseException, when: str = "") -> None:
    """Tell what happened to a request: `GET /items failed: KeyError: 'price'`, with the traceback."""
    failed, line = f"failed {when}" if when else "failed", _line(exception)
    trace: BaseException | None = exception
    if exception.__traceback__ is None and exception.__context__ is None:  # no frame was there: the line says it all
        trace = None
        if not when and request.route is not None and "handler" not in line:
            failed += f" in what the handler {describe(request.route.handler)} returned"
    _log.error("%s %s %s: %s", request.method, request.raw_path, failed, line, exc_info=trace)


async def _awaited(
    answer: Awaitable[Any], handler: ErrorHandler, request: Request, exception: BaseException, *, debug: bool
) -> Any:
    try:
        final = await answer
    except Exception as second:  # noqa: BLE001 - whatever it is, somebody waits for an answer
        return plain_answer(request, _behind(second, exception), debug=debug)
    return _checked(final, handler, request, debug=debug)


def _behind(second: BaseException, first: BaseException) -> BaseException:
    """Let the log tell of both, as Python does of what is raised while another exception is dealt with."""
    if second is not first and second.__context__ is None:
        second.__context__ = first
    return second


def _checked(answer: Any, handler: ErrorHandler, request: Request, *, debug: bool) -> Any:
    """Pass an error handler's answer on; one that is none must not be a further error for the same handler."""
    record = hasattr(type(answer), "__dataclass_fields__") or hasattr(type(answer), "__struct_fields__")
    if record or isinstance(answer, (Response, str, bytes, dict, list)):
        return answer
    msg = (
        f'error handler "{describe(handler)}" returned {answer!r:.80}: '
        "return a Response, str, bytes, dict, list, dataclass or Struct"
    )
    return plain_answer(request, TypeError(msg), debug=debug)


_ELSEWHERE = {
    "args": "query",
    "client": "remote_addr",
    "content": "body",
    "content_type": "mime_type",
    "data": "body",
    "GET": "query",
    "params": "query",
    "path_params": "match_dict",
    "POST": "form",
    "query_params": "query",
    "url": "path",
    "view_args": "match_dict",
}
"""What other frameworks call our attributes of a request."""


def _wrong_guess(request: Request, error: AttributeError) -> str | None:
    """Give the name of the attribute that requests do not have, if that is what is wrong."""
    if error.obj is request:
        return error.name
    # Before CPython 3.13 the error of an assignment does not tell the object.
    set_in_vain = re.fullmatch(r"'vivace\._engine\.Request' object has no attribute '(\w+)'", str(error))
    return set_in_vain[1] if set_in_vain else None


def _no_attribute(request: Request, name: str) -> str:
    ours = _ELSEWHERE.get(name)
    near = f': did you mean "{ours}"?' if ours else did_you_mean(name, (n for n in dir(request) if n[0] != "_"))
    return f"a request has no attribute {name!r}" + (near or "; what is your own goes into request.state")


def _line(exception: BaseException) -> str:
    return "".join(traceback.format_exception_only(exception)).strip().splitlines()[-1]
