"""What becomes of a request whose handler failed: error handlers, and the answers where there is none."""

import asyncio
import inspect
import logging
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
        """Add one; of two for the same class the first stays. TypeError for what is no exception class."""
        if kind is not None and not (isinstance(kind, type) and issubclass(kind, BaseException)):
            msg = f"an error handler is for an exception class, or None for all, not {kind!r}"
            raise TypeError(msg)
        if not callable(handler):
            msg = f"the error handler of {kind.__name__ if kind else None} is {handler!r}, which cannot be called"
            raise TypeError(msg)
        self._handlers.setdefault(kind, handler)

    def find(self, kind: type[BaseException]) -> ErrorHandler | None:
        """Find the handler for exceptions of this class: of the nearest class in its MRO, else the one for None."""
        for base in kind.__mro__:
            if handler := self._handlers.get(base):
                return handler
        return self._handlers.get(None)

    def answer(self, request: Request, exception: BaseException, *, debug: bool) -> Any:
        """Give the answer: anything that a handler may return, or an awaitable of it."""
        if isinstance(exception, AttributeError) and exception.obj is request:
            near = did_you_mean(exception.name or "", (name for name in dir(request) if not name.startswith("_")))
            exception.args = (f"a request has no attribute {exception.name!r}{near}",)
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
    failed = f"failed {when}" if when else "failed"
    _log.error("%s %s %s: %s", request.method, request.raw_path, failed, _line(exception), exc_info=exception)


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


def _line(exception: BaseException) -> str:
    return "".join(traceback.format_exception_only(exception)).strip().splitlines()[-1]
