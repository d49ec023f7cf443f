"""Handlers' signatures: read once, at registration, so that a call needs no thought."""

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

__all__ = ["Call", "compile_call", "describe", "is_coroutine"]

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Call:
    """How a handler wants to be called.

    positional  what each positional argument is: None for the request, else a path parameter's name
    keywords    path parameters that are passed by keyword
    coroutine   calling it gives a coroutine
    """

    positional: tuple[str | None, ...]
    keywords: tuple[str, ...]
    coroutine: bool


def compile_call(handler: Any, pattern: str, placeholders: Collection[str]) -> Call:
    """Read the signature of `handler` against the placeholders of its pattern.

    The first positional parameter that is no placeholder receives the request, whatever its name, and so does one
    that is called `request`. Parameters named like placeholders receive their values, `**kwargs` all that are left.
    Parameters with a default that are neither are left alone.

    TypeError for what cannot be called, ValueError for a parameter that nothing can fill; each says what to do.
    """
    if not callable(handler):
        msg = f'the handler of "{pattern}" is {handler!r}, which cannot be called: give a function'
        raise TypeError(msg)
    who = f'handler "{describe(handler)}" of "{pattern}"'
    _refuse_generators(handler, who)
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        msg = f"{who} does not tell its parameters: wrap it, as in `lambda request: ...`"
        raise ValueError(msg) from None
    # A decorator's wrapper may take the values as `**kwargs` only, whatever the function it wraps can do.
    positional, keywords = _assign(parameters, placeholders, who, wrapped=hasattr(handler, "__wrapped__"))
    return Call(tuple(positional), tuple(keywords), is_coroutine(handler))


def is_coroutine(handler: Callable[..., Any]) -> bool:
    """Whether calling `handler` gives a coroutine: an `async def`, a partial of one, an object whose `__call__` is."""
    function = _function(handler)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(_call_of(function))


def describe(handler: Callable[..., Any]) -> str:
    """Name a handler as messages show it: `user`, `Users.get`, `<lambda>`."""
    function = _function(handler)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


def _function(handler: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler


def _call_of(handler: Callable[..., Any]) -> Any:
    return getattr(type(handler), "__call__", None)  # noqa: B004 - the method itself, not whether there is one


def _refuse_generators(handler: Callable[..., Any], who: str) -> None:
    function = _function(handler)
    for called in (function, _call_of(function)):
        if inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called):
            msg = f"{who} is a generator, and streaming is not available yet: return the whole answer"
            raise ValueError(msg)


def _assign(
    parameters: list[Parameter], placeholders: Collection[str], who: str, *, wrapped: bool
) -> tuple[list[str | None], list[str]]:
    positional: list[str | None] = []
    keywords: list[str] = []
    by_keyword = False  # a parameter was left alone: those after it can only be named
    for index, parameter in enumerate(parameters):
        name, kind = parameter.name, parameter.kind
        optional = parameter.default is not Parameter.empty
        if kind is Parameter.VAR_POSITIONAL:
            if index == 0:
                positional.append(None)
            by_keyword = True
        elif kind is Parameter.VAR_KEYWORD:
            keywords += [other for other in placeholders if other not in positional and other not in keywords]
        elif name in placeholders:
            if kind is Parameter.POSITIONAL_ONLY and by_keyword:
                msg = f'{who} takes "{name}" by position only, behind one that is no placeholder: move it to the front'
                raise ValueError(msg)
            if kind in _POSITIONAL and not by_keyword and not (wrapped and kind is not Parameter.POSITIONAL_ONLY):
                positional.append(name)
            else:
                keywords.append(name)
                by_keyword = True
        elif kind in _POSITIONAL and not by_keyword and None not in positional and _is_request(parameter, index):
            positional.append(None)
        elif optional:
            by_keyword = True
        else:
            raise ValueError(_unfilled(name, who))
    return positional, keywords


def _is_request(parameter: Parameter, index: int) -> bool:
    """Tell the first parameter, unless its default says that it can do without, or one of that name."""
    return parameter.name == "request" or (index == 0 and parameter.default is Parameter.empty)


def _unfilled(name: str, who: str) -> str:
    if name == "request":
        return f'{who} takes "request" where it cannot be given: make it the first parameter'
    return f'{who} wants "{name}", which is no placeholder: add {{{name}}} to the pattern or give it a default'
