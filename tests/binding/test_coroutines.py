"""A handler's coroutine behaves as in a task of its own, in its first step and after it."""

import asyncio
import logging
import sys
import threading

import pytest
from waiting import SECONDS

from vivace import Application

eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")


def set_factory(factory):
    """Prepare an application whose loop has this task factory."""

    def prepare(app):
        app.on_startup(lambda: asyncio.get_running_loop().set_task_factory(factory))

    return prepare


FACTORIES = [
    pytest.param(lambda app: None, id="no factory"),
    pytest.param(set_factory(lambda loop, coro: asyncio.Task(coro, loop=loop)), id="old factory"),
    pytest.param(set_factory(lambda loop, coro, **more: asyncio.Task(coro, loop=loop, **more)), id="factory"),
    pytest.param(set_factory(getattr(asyncio, "eager_task_factory", None)), id="eager factory", marks=eager),
    pytest.param(lambda app: app.on_startup(lambda: asyncio.get_running_loop().set_debug(True)), id="debug"),
]


@pytest.mark.parametrize("before", FACTORIES)
class TestCurrentTask:
    def test_it_is_the_same_before_and_after_a_suspension(self, answer, before):
        async def handler(request):
            first = asyncio.current_task()
            await asyncio.sleep(0)
            second = asyncio.current_task()
            await asyncio.sleep(0.001)
            return f"{first is second is asyncio.current_task()} {isinstance(first, asyncio.Task)}"

        assert answer(handler, 2, before) == "True True"

    def test_it_is_there_without_any_suspension(self, answer, before):
        async def handler(request):
            task = asyncio.current_task()
            return f"{task is asyncio.current_task()} {task.done()} {task in asyncio.all_tasks()}"

        assert answer(handler, 2, before) == "True False True"

    def test_it_is_there_if_asked_for_later_only(self, answer, before):
        async def handler(request):
            await asyncio.sleep(0)
            task = asyncio.current_task()
            return f"{task in asyncio.all_tasks()} {task.get_coro().__qualname__.endswith('handler')}"

        assert answer(handler, 2, before) == "True True"

    def test_a_done_callback_hears_of_the_end(self, serve, before):
        app = Application()
        before(app)
        heard = threading.Event()

        @app.get("/{suspends:int}")
        async def handler(request, suspends):
            asyncio.current_task().add_done_callback(lambda task: heard.set())
            if suspends:
                await asyncio.sleep(0)
            return "done"

        client = serve(app).client()
        for path in ("/0", "/1"):
            assert client.request(path).text == "done"
            assert heard.wait(SECONDS)
            heard.clear()

    def test_a_timeout_ends_what_takes_too_long(self, answer, before):
        async def handler(request):
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(10)
            except TimeoutError:
                return f"late {asyncio.current_task().cancelling()}"

        assert answer(handler, 2, before) == "late 0"

    def test_a_timeout_of_nothing(self, answer, before):
        async def handler(request):
            try:
                async with asyncio.timeout(0):
                    await asyncio.sleep(10)
            except TimeoutError:
                return "late"

        assert answer(handler, 2, before) == "late"

    def test_wait_for_and_shield(self, answer, before):
        async def handler(request):
            inner = asyncio.ensure_future(asyncio.sleep(0.02, "slept"))
            try:
                await asyncio.wait_for(asyncio.shield(inner), 0.001)
            except TimeoutError:
                return f"late {await inner}"

        assert answer(handler, 2, before) == "late slept"

    def test_a_task_group_gathers_and_cancels(self, answer, before):
        async def fail():
            await asyncio.sleep(0)
            raise LookupError

        async def handler(request):
            async with asyncio.TaskGroup() as group:
                numbers = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
            try:
                async with asyncio.TaskGroup() as group:
                    waits = group.create_task(asyncio.sleep(10))
                    group.create_task(fail())
            except* LookupError:
                pass
            return f"{[task.result() for task in numbers]} {waits.cancelled()}"

        assert answer(handler, 2, before) == "[0, 1, 2] True"

    def test_it_can_cancel_itself(self, answer, before):
        async def handler(request):
            asyncio.current_task().cancel("enough")
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError as error:
                return f"cancelled {error.args}"

        assert answer(handler, 2, before) == "cancelled ('enough',)"

    def test_what_it_waits_for_is_cancelled_with_it(self, answer, before):
        async def handler(request):
            inner = asyncio.ensure_future(asyncio.sleep(10))
            asyncio.current_task().cancel()
            try:
                await inner
            except asyncio.CancelledError:
                return f"{inner.cancelled()} {asyncio.current_task().cancelling()}"

        assert answer(handler, 2, before) == "True 1"

    def test_another_task_can_cancel_it(self, serve, before):
        app = Application()
        before(app)
        running = {}

        @app.get("/wait")
        async def wait(request):
            running["task"] = asyncio.current_task()
            running["inner"] = asyncio.ensure_future(asyncio.sleep(10))
            await running["inner"]

        @app.get("/cancel")
        async def cancel(request):
            return str(running["task"].cancel())

        served = serve(app)
        for _ in range(2):
            waiting = served.client()
            # In one piece, so that the task is cancelled before its first step.
            waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /cancel HTTP/1.1\r\nHost: a\r\n\r\n")
            assert waiting.answer().status == 503
            assert waiting.answer().text == "True"
            assert running["inner"].cancelled()
            assert running["task"].cancelled()

    def test_many_may_wait_for_one_future(self, serve, before):
        app = Application()
        before(app)
        shared = {}

        @app.get("/{task:int}")
        async def handler(request, task):
            if task:
                asyncio.current_task()
            if "future" not in shared:
                shared["future"] = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.01, shared["future"].set_result, "once")
            return await shared["future"]

        client = serve(app).client()
        client.send("".join(f"GET /{n % 2} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(6)))
        assert [client.answer().text for _ in range(6)] == ["once"] * 6


class TestEnds:
    def test_an_exception_after_a_suspension_has_its_traceback(self, serve, caplog):
        app = Application()

        @app.get("/{task:int}/{turns:int}")
        async def handler(request, task, turns):
            if task:
                asyncio.current_task()
            for _ in range(turns):
                await asyncio.sleep(0)
            raise LookupError("here")

        served = serve(app)
        for path in ("/0/0", "/0/1", "/0/2", "/1/0", "/1/1", "/1/2"):
            caplog.clear()
            with caplog.at_level(logging.ERROR, "vivace.error"):
                assert served.get(path).status == 500
            assert caplog.text.count("in handler") == 1, path

    def test_an_awaitable_that_is_no_coroutine(self, answer):
        class Late:
            def __await__(self):
                yield from asyncio.sleep(0).__await__()
                return "late"

        def handler(request):
            return Late()

        assert answer(handler, 2) == "late"

    def test_an_awaitable_without_throw_and_close(self, serve):
        app = Application()
        tasks = []

        class Bare:
            def __await__(self):
                return self

            def __iter__(self):
                return self

            def __next__(self):
                tasks.append(asyncio.current_task())

        app.get("/")(lambda request: Bare())
        app.get("/end")(lambda request: str(bool(tasks) and tasks[0].cancel()))
        served = serve(app)
        client = served.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while served.get("/end").text == "False":
            pass
        assert client.answer().status == 503

    def test_a_future(self, answer):
        def handler(request):
            return asyncio.ensure_future(asyncio.sleep(0, "future"))

        assert answer(handler, 2) == "future"

    def test_error_handlers_that_fail_in_their_turn_are_asked_once(self, serve, caplog):
        app = Application()
        calls = []

        @app.exception_handler(BaseException)
        async def again(request, exception):
            calls.append(exception)
            if request.path == "/later":
                await asyncio.sleep(0)
            raise asyncio.CancelledError

        @app.get("/{when}")
        async def handler(request, when):
            raise LookupError

        served = serve(app)
        assert served.get("/now").status == 500
        assert served.get("/later").status == 500
        assert len(calls) == 2
        failed = [record for record in caplog.records if "failed while its error was answered" in record.getMessage()]
        assert [record.exc_info[0] for record in failed] == [asyncio.CancelledError] * 2

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="from then on no coroutine runs without a task")
    @pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
    @pytest.mark.parametrize("closes", [False, True], ids=["kept open", "aborted"])
    def test_a_task_that_cannot_be_made_in_the_first_step(self, serve, monkeypatch, waits, closes):
        app = Application()
        unraisable, lines = [], []

        class Log:
            def begin(self, server):
                server.log_access("short", take=lines.append)

        @app.get("/{kind}")
        async def handler(request, kind):
            loop = asyncio.get_running_loop()
            loop.set_task_factory(lambda *_, **__: 1 / 0)
            if closes:
                request.transport.abort()
            assert asyncio.current_task() is None
            loop.set_task_factory(None)
            if waits:
                await asyncio.sleep(0)
            return request.Response(text=kind) if kind == "response" else kind

        monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
        served = serve(app, access_log=Log())
        client = served.client()
        for kind in ("text", "response"):
            if closes:
                client = served.client()
                client.send(f"GET /{kind} HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.at_end()
            else:
                assert client.request(f"/{kind}").text == kind
        served.stop()
        status = b"499 0B" if closes else b"200 "
        assert b"".join(lines).count(status) == b"".join(lines).count(b"\n") == 2
        assert [each.exc_type for each in unraisable] == [ZeroDivisionError] * 2

    def test_the_finally_of_a_handler_runs_when_its_client_goes(self, serve):
        app = Application()
        began, ended = threading.Event(), threading.Event()

        @app.get("/")
        async def handler(request):
            try:
                began.set()
                await asyncio.sleep(30)
            finally:
                ended.set()

        client = serve(app).client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert began.wait(SECONDS)
        client.reset()
        assert ended.wait(SECONDS)

    def test_async_generators_are_closed_with_the_loop(self, serve):
        app = Application()
        ended = []

        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                ended.append(True)

        @app.get("/")
        async def handler(request):
            app.state.numbers = numbers()
            return str(await anext(app.state.numbers))

        served = serve(app)
        assert served.get("/").text == "1"
        served.stop()
        assert ended == [True]

    @pytest.mark.parametrize("turns", [0, 1, 2])
    @pytest.mark.parametrize("task", [False, True])
    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
    def test_an_exception_that_ends_the_program_ends_it_at_once(self, serve, kind, task, turns):
        app = Application()

        @app.get("/")
        async def handler(request):
            if task:
                asyncio.current_task()
            for _ in range(turns):
                await asyncio.sleep(0)
            raise kind(7)

        served = serve(app)
        client = served.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        served._thread.join(SECONDS)
        assert not served._thread.is_alive()
        assert type(served.failure) is kind

    @pytest.mark.parametrize("where", ["/callback", "/error", "/sync", "/nowhere"])
    def test_so_it_does_in_callbacks_and_error_handlers(self, serve, where):
        app = Application()

        def leave(*_):
            raise SystemExit(7)

        app.add_error_handler(LookupError, leave)

        @app.get("/callback")
        def callback(request):
            request.add_done_callback(leave)
            return "bye"

        @app.get("/error")
        def error(request):
            raise LookupError

        app.get("/sync")(leave)

        @app.get("/after")
        async def after(request):
            pass

        if where == "/nowhere":
            from vivace.exceptions import RouteNotFoundException

            app.add_error_handler(RouteNotFoundException, leave)
        served = serve(app)
        served.client().send(f"GET {where} HTTP/1.1\r\nHost: a\r\n\r\n")
        served._thread.join(SECONDS)
        assert type(served.failure) is SystemExit


class TestLibraries:
    def test_anyio(self, serve):
        anyio = pytest.importorskip("anyio")
        app = Application()

        @app.get("/move-on")
        async def move_on(request):
            with anyio.move_on_after(0.01) as scope:
                await anyio.sleep(10)
            return str(scope.cancelled_caught)

        @app.get("/group")
        async def group(request):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep, 0)
                tasks.start_soon(anyio.sleep, 10)
                await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
            return "over"

        @app.get("/thread")
        async def thread(request):
            return str(await anyio.to_thread.run_sync(lambda: threading.current_thread() is threading.main_thread()))

        @app.get("/library")
        async def library(request):
            sniffio = pytest.importorskip("sniffio")
            return sniffio.current_async_library()

        client = serve(app).client()
        for _ in range(3):
            assert client.request("/move-on").text == "True"
            assert client.request("/group").text == "over"
            assert client.request("/thread").text == "False"
            assert client.request("/library").text == "asyncio"

    def test_a_client_of_our_own_server_in_a_handler(self, serve):
        httpx2 = pytest.importorskip("httpx2")
        app = Application()

        @app.get("/outer")
        async def outer(request):
            async with httpx2.AsyncClient(trust_env=False) as client:
                answers = await asyncio.gather(
                    *(client.get(f"http://127.0.0.1:{request.port}/inner/{n}") for n in range(5))
                )
            return " ".join(answer.text for answer in answers)

        app.get("/inner/{n}")(lambda n: n)
        served = serve(app)
        for _ in range(2):
            answer = served.client().request("/outer", Host=f"127.0.0.1:{served.port}")
            assert answer.text == "0 1 2 3 4"
