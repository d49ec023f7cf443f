"""The twin of an `async def` that awaits nothing does what the coroutine would have done."""

import asyncio
import functools
import inspect
import sys

import pytest

from vivace import Application
from vivace.twins import twin_of

has_twins = pytest.mark.skipif(
    sys.version_info >= (3, 14) or hasattr(sys, "gettotalrefcount"), reason="no twins on this CPython"
)


async def plain(request, number=1, *rest, name="n", **more):
    total = number
    for value in rest:
        total += value
    return [request, total, name, more, await_less(total)]


def await_less(value):
    return {other: [each for each in range(other)] for other in range(value)}  # noqa: C416 - a scope within a scope


class Users:
    async def get(self, request):
        return self, request


def made(start):
    async def count(request):
        nonlocal start
        start += 1
        return lambda: (start, request)

    return count


async def fails(request):
    try:
        return {}[request]
    except KeyError as error:
        raise ValueError("told") from error


async def stops(request):
    raise StopIteration(request)


async def waits(request):
    await asyncio.sleep(0)


async def enters(request):
    async with request:
        pass


async def loops(request):
    async for _each in request:
        pass


async def collects(request):
    return [each async for each in request]


async def generates(request):
    yield request


def function(request):
    return request


def generator(request):
    yield request


@has_twins
class TestTwins:
    def test_what_it_returns(self):
        twin = twin_of(plain)
        for args, kwargs in (((1,), {}), ((1, 2, 3), {}), ((1,), {"name": "x", "other": 4})):
            assert twin(*args, **kwargs) == asyncio.run(plain(*args, **kwargs))
        assert not inspect.iscoroutine(twin(1))
        assert (twin.__name__, twin.__qualname__, twin.__module__) == ("plain", "plain", __name__)

    def test_a_method(self):
        users = Users()
        assert twin_of(users.get)(1) == (users, 1)

    def test_a_closure_is_shared(self):
        count = made(0)
        assert twin_of(count)("a")() == (1, "a")
        assert asyncio.run(count("b"))() == (2, "b")

    def test_an_exception_tells_the_line(self):
        with pytest.raises(ValueError, match="told") as raised:
            twin_of(fails)("key")
        frame = raised.traceback[-1]
        assert (frame.path.name, frame.name) == ("test_twins.py", "fails")
        assert frame.lineno + 1 == fails.__code__.co_firstlineno + 4
        assert raised.value.__cause__.args == ("key",)

    def test_a_callable_without_suspension_has_one(self):
        assert twin_of(Users().get) is not None


@pytest.mark.parametrize("handler", [waits, enters, loops, collects, generates, function, generator])
def test_what_can_suspend_or_is_no_coroutine_has_none(handler):
    assert twin_of(handler) is None


def test_what_is_no_function_has_none():
    class Called:
        async def __call__(self, request):
            return request

    assert twin_of(functools.partial(plain, 1)) is None
    assert twin_of(Called()) is None
    assert twin_of(print) is None


@pytest.fixture
def answer(serve):
    def ask(handler):
        app = Application()
        app.get("/{name}")(handler)
        client = serve(app).client()
        return [client.request("/x") for _ in range(3)][-1]

    return ask


class TestServed:
    def test_a_stop_iteration_is_an_error_of_the_coroutine(self, serve):
        app = Application()
        heard = []
        app.get("/")(stops)

        @app.exception_handler(RuntimeError)
        def told(request, error):
            heard.append(error)
            return str(error)

        assert serve(app).client().request("/").text == "coroutine raised StopIteration"
        assert isinstance(heard[0].__cause__, StopIteration)

    def test_the_task_shows_the_handler(self, answer):
        async def handler(request, name):
            task = asyncio.current_task()
            return f"{task.get_coro().__qualname__.rpartition('.')[2]} {task.get_coro().cr_code.co_name} {name}"

        assert answer(handler).text == "handler handler x"

    def test_it_may_cancel_itself_too_late(self, answer):
        async def handler(request, name):
            asyncio.current_task().cancel()
            return f"{asyncio.current_task().cancelling()}"

        assert answer(handler).text == "1"

    def test_it_may_fail_with_a_task(self, serve):
        app = Application()

        @app.get("/")
        async def handler(request):
            asyncio.current_task()
            raise KeyError("gone")

        app.add_error_handler(KeyError, lambda request, error: f"handled {error}")
        client = serve(app).client()
        assert [client.request("/").text for _ in range(3)] == ["handled 'gone'"] * 3

    def test_nobody_is_told_of_a_coroutine_that_was_not_awaited(self, answer, recwarn):
        async def handler(request, name):
            return asyncio.current_task().get_name() and "named"

        assert answer(handler).text == "named"
        assert not [warning for warning in recwarn if "never awaited" in str(warning.message)]
