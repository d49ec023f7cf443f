"""What an application adds to its requests: methods, and properties that are made once a request."""

import inspect
import keyword
from collections.abc import Callable
from types import FunctionType
from typing import Any

from vivace import _engine
from vivace.signatures import describe, is_coroutine

__all__ = ["RequestExtensions"]


class RequestExtensions:
    """The extensions of one application's requests.

    They stand in a subtype of Request, which is made for the first of them; without any, requests are plain.
    """

    def __init__(self) -> None:
        """None yet."""
        self._type: type[_engine.Request] = _engine.Request
        self._in_use = False

    def add(self, function: Any, name: str | None, *, property: bool) -> None:
        """Add one.

        TypeError for what cannot be called, ValueError for a name that is taken or none, or a function that a request
        cannot be given to; RuntimeError once the application is served.
        """
        if not callable(function):
            msg = f"extend_request takes a function, not {function!r}"
            raise TypeError(msg)
        name = getattr(function, "__name__", "") if name is None else name
        who = f'extend_request "{name}"'
        if self._in_use:
            msg = f"{who} comes too late: extend requests before the application is served"
            raise RuntimeError(msg)
        self._check_name(who, name)
        if property:
            _check_property(who, function)
        else:
            _check_method(who, function)
        if self._type is _engine.Request:
            self._type = _engine.new_request_type()
        setattr(self._type, name, _engine.KeptProperty(function, name) if property else _method(function))

    def use(self) -> type[_engine.Request]:
        """Give the type of the application's requests; nothing is added from here on."""
        self._in_use = True
        return self._type

    def _check_name(self, who: str, name: Any) -> None:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):
            msg = f"{who} is no name for an attribute: give one, as in extend_request(function, name=...)"
            raise ValueError(msg)
        if hasattr(_engine.Request, name):
            msg = f'{who}: every request has "{name}" already: give the extension another name'
            raise ValueError(msg)
        if hasattr(self._type, name):
            msg = f'{who}: requests were extended by "{name}" before: give one of the two another name'
            raise ValueError(msg)


def _check_property(who: str, function: Callable[..., Any]) -> None:
    if is_coroutine(function):
        msg = f"{who} is async, and an attribute cannot wait: make it a method, to be awaited as `request.name()`"
        raise ValueError(msg)
    if not _takes(function, exactly=True):
        msg = f'{who}: "{describe(function)}" is called with the request alone: let it take that and nothing else'
        raise ValueError(msg)


def _check_method(who: str, function: Callable[..., Any]) -> None:
    if not _takes(function, exactly=False):
        msg = f'{who}: "{describe(function)}" is called with the request first: let it take that'
        raise ValueError(msg)


def _takes(function: Callable[..., Any], *, exactly: bool) -> bool:
    """Whether the request can be its first argument, and with `exactly` the only one."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True  # one of C that does not tell
    try:
        _ = signature.bind(None) if exactly else signature.bind_partial(None)
    except TypeError:
        return False
    return True


def _method(function: Callable[..., Any]) -> Any:
    """What stands in a class for a method: a function is one, other callables are called by one."""
    if isinstance(function, FunctionType):
        return function

    def method(request: _engine.Request, /, *args: Any, **kwargs: Any) -> Any:
        return function(request, *args, **kwargs)

    method.__doc__ = function.__doc__
    return method
