# ruff: noqa: A006 - handlers name parameters like placeholders
"""Signatures: what a handler is called with is settled when it is registered."""

import functools
from typing import Any

import pytest

from vivace.signatures import compile_call, describe, is_coroutine


def of(handler: Any, *placeholders: str) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    call = compile_call(handler, "/pattern", placeholders)
    return call.positional, call.keywords


class Handlers:
    def method(self, request, id):
        pass

    def __call__(self, request):
        pass


class AsyncHandler:
    async def __call__(self, request):
        pass


def passes_on(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(request: Any, **kwargs: Any) -> Any:
        return function(request, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("handler", "placeholders", "positional", "keywords"),
    [
        pytest.param(lambda: 0, (), (), (), id="nothing"),
        pytest.param(lambda request: 0, (), (None,), (), id="the request"),
        pytest.param(lambda r: 0, ("id",), (None,), (), id="the request under any name"),
        pytest.param(lambda id: 0, ("id",), ("id",), (), id="a placeholder only"),
        pytest.param(lambda r, b, a: 0, ("a", "b"), (None, "b", "a"), (), id="placeholders in any order"),
        pytest.param(lambda id, request: 0, ("id",), ("id", None), (), id="the request behind a placeholder"),
        pytest.param(lambda r, *, id: 0, ("id",), (None,), ("id",), id="keyword only"),
        pytest.param(lambda r, **rest: 0, ("a", "b"), (None,), ("a", "b"), id="all by keyword"),
        pytest.param(lambda r, a, **rest: 0, ("a", "b"), (None, "a"), ("b",), id="the rest by keyword"),
        pytest.param(lambda *args, **kwargs: 0, ("a",), (None,), ("a",), id="whatever there is"),
        pytest.param(lambda r, size=3: 0, (), (None,), (), id="a default is left alone"),
        pytest.param(lambda size=3: 0, (), (), (), id="a default is left alone even in front"),
        pytest.param(lambda request=None: 0, (), (None,), (), id="a request that may be None"),
        pytest.param(lambda r, size=3, id=0: 0, ("id",), (None,), ("id",), id="a placeholder behind a default"),
        pytest.param(lambda r, id=0: 0, ("id",), (None, "id"), (), id="a placeholder with a default"),
        pytest.param(Handlers().method, ("id",), (None, "id"), (), id="a method"),
        pytest.param(Handlers(), (), (None,), (), id="an object that can be called"),
        pytest.param(functools.partial(lambda r, a, b: 0, b=1), ("a",), (None, "a"), (), id="a partial"),
        pytest.param(passes_on(lambda r, id: 0), ("id",), (None,), ("id",), id="a decorated function"),
    ],
)
def test_what_a_handler_is_called_with(handler, placeholders, positional, keywords):
    assert of(handler, *placeholders) == (positional, keywords)


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        pytest.param(lambda r, idd: 0, ['"idd"', '"/pattern"', "placeholder"], id="a misspelt placeholder"),
        pytest.param(lambda r, *, other: 0, ['"other"', "default"], id="a keyword that nothing fills"),
        pytest.param(lambda a, /, size=1, *, request: 0, ["request", "first parameter"], id="the request by keyword"),
    ],
)
def test_a_parameter_that_nothing_fills_is_refused_in_one_line(handler, words):
    with pytest.raises(ValueError, match="handler") as caught:
        of(handler, "id", "a")
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match='the handler of "/pattern" is 3'):
        of(3)


def test_generators_are_refused_until_streaming_is_there():
    def numbers():
        yield 1

    with pytest.raises(ValueError, match="streaming is not available yet"):
        of(numbers)


async def asynchronous(request):
    pass


@pytest.mark.parametrize(
    ("handler", "coroutine"),
    [
        pytest.param(asynchronous, True, id="async def"),
        pytest.param(functools.partial(functools.partial(asynchronous)), True, id="a partial of a partial"),
        pytest.param(AsyncHandler(), True, id="an object with an async call"),
        pytest.param(functools.partial(AsyncHandler()), True, id="a partial of such an object"),
        pytest.param(AsyncHandler().__call__, True, id="an async method"),
        pytest.param(Handlers(), False, id="an object"),
        pytest.param(lambda request: 0, False, id="a lambda"),
    ],
)
def test_async_is_seen_through_wrappers(handler, coroutine):
    assert is_coroutine(handler) is coroutine


def test_handlers_have_names_for_people():
    assert describe(Handlers().method) == "Handlers.method"
    assert describe(functools.partial(asynchronous)) == "asynchronous"
    assert describe(Handlers()) == "Handlers"
    assert describe(lambda: 0) == "<lambda>"
