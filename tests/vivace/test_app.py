"""Applications, over a real connection."""

import asyncio
import json
import logging
import threading
from contextlib import asynccontextmanager

import pytest
from waiting import SECONDS, eventually

from vivace import Application, HTTPError, RouteNotFoundException
from vivace.loop import EngineLoop


@pytest.fixture
def app() -> Application:
    return Application()


@pytest.fixture
def errors(caplog):
    caplog.set_level(logging.INFO, "vivace")
    return lambda: [record for record in caplog.records if record.name == "vivace.error"]


class TestHandlers:
    def test_the_first_ten_lines(self, app, serve):
        @app.get("/")
        def hello(request):
            return "Hello world!"

        @app.get("/users/{id:int}")
        async def user(request, id: int):
            return {"id": id}

        served = serve(app)
        assert served.get("/").text == "Hello world!"
        assert json.loads(served.get("/users/3").body) == {"id": 3}
        assert served.get("/users/x").status == 404

    def test_japrontos_way(self, app, serve):
        def hello(request):
            return request.Response(text=f"Hello {request.method} {request.match_dict['name']}!")

        app.router.add_route("/{name}", hello)
        assert serve(app).get("/you", "DELETE").text == "Hello DELETE you!"

    @pytest.mark.parametrize(
        ("handler", "text"),
        [
            (lambda: "nothing", "nothing"),
            (lambda b, a: f"{a}{b}", "12"),
            (lambda r, *, a, b: f"{r.method}{a}{b}", "GET12"),
            (lambda r, **all: f"{sorted(all.items())}", "[('a', 1), ('b', '2')]"),
            (lambda r, b, size=5: f"{b}{size}", "25"),
            (lambda r, size=5, b=0: f"{b}{size}", "25"),
        ],
    )
    def test_parameters_by_name(self, app, serve, handler, text):
        app.get("/{a:int}/{b}")(handler)
        assert serve(app).get("/1/2").text == text

    def test_a_slow_handler_holds_nobody_up(self, app, serve):
        @app.get("/slow")
        async def slow():
            await asyncio.sleep(0.3)
            return "slow"

        @app.get("/fast")
        def fast():
            return "fast"

        served = serve(app)
        waiting = served.client()
        waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert served.get("/fast").text == "fast"
        assert waiting.answer().text == "slow"


class TestErrors:
    def test_http_error(self, app, serve, errors):
        @app.get("/")
        def teapot():
            raise HTTPError(418, "short and stout", headers={"X-Pot": "yes"})

        answer = serve(app).get("/")
        assert (answer.status, answer.text, answer.headers["x-pot"]) == (418, "short and stout", "yes")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert not errors()

    def test_http_error_tells_its_reason_and_refuses_odd_statuses(self):
        assert HTTPError(404).detail == "Not Found"
        assert str(HTTPError(799)) == "799"
        with pytest.raises(ValueError, match="from 100 to 999, not 99"):
            HTTPError(99)

    def test_an_unexpected_exception_is_a_500_and_one_traceback(self, app, serve, errors):
        @app.get("/{x}")
        def broken(x):
            raise KeyError(x)

        answer = serve(app).get("/secret?a=1")
        assert (answer.status, answer.text) == (500, "Internal Server Error")
        (record,) = errors()
        assert record.getMessage().startswith("GET /secret")
        assert record.levelname == "ERROR"
        assert record.exc_info[0] is KeyError

    def test_debug_shows_the_traceback(self, serve):
        app = Application(debug=True)

        @app.get("/")
        async def broken():
            raise KeyError("the key")

        answer = serve(app).get("/")
        assert answer.status == 500
        assert "Traceback" in answer.text
        assert "KeyError: 'the key'" in answer.text

    def test_the_nearest_class_wins_whatever_came_first(self, app, serve):
        app.add_error_handler(None, lambda request, error: "any")
        app.add_error_handler(Exception, lambda request, error: "exception")
        app.add_error_handler(LookupError, lambda request, error: request.Response("lookup", 404))
        app.add_error_handler(LookupError, lambda request, error: "too late")

        @app.get("/{name}")
        def fail(name):
            raise {"key": KeyError, "value": ValueError, "cancel": asyncio.CancelledError}[name]

        served = serve(app)
        assert (served.get("/key").status, served.get("/key").text) == (404, "lookup")
        assert served.get("/value").text == "exception"
        assert served.get("/cancel").text == "any"

    def test_an_async_error_handler(self, app, serve):
        @app.exception_handler(KeyError)
        async def missing(request, error):
            await asyncio.sleep(0.01)
            return {"missing": error.args[0]}

        @app.get("/")
        async def fail():
            raise KeyError("x")

        assert json.loads(serve(app).get("/").body) == {"missing": "x"}

    @pytest.mark.parametrize("kind", [RouteNotFoundException, HTTPError, None])
    def test_a_path_without_a_route_can_be_caught(self, app, serve, kind):
        app.add_error_handler(kind, lambda request, error: request.Response(f"{request.path}? Are you lost, pal?", 404))
        answer = serve(app).get("/nowhere")
        assert (answer.status, answer.text) == (404, "/nowhere? Are you lost, pal?")

    def test_a_path_without_a_route_is_a_404_else(self, app, serve):
        app.add_error_handler(KeyError, lambda request, error: "no")
        assert not app._wants_unrouted
        assert serve(app).get("/nowhere").status == 404

    def test_an_error_handler_takes_two(self, app):
        with pytest.raises(TypeError, match='error handler "one" of KeyError is called with the request and the exc'):

            @app.exception_handler(KeyError)
            def one(request):
                return ""

    def test_a_decorator_without_its_exception_is_told(self, app):
        with pytest.raises(
            TypeError, match="an exception class, or None for all, and stands in parentheses above lost"
        ):

            @app.exception_handler
            def lost(request, exception):
                return ""

    def test_what_no_answer_can_hold_names_the_handler_in_one_line(self, app, serve, errors):
        @app.get("/")
        def thing():
            return {"it": object()}

        assert serve(app).get("/").status == 500
        [record] = errors()
        line = (
            "GET / failed in what the handler thing returned: TypeError: Encoding objects of type object is unsupported"
        )
        assert (record.getMessage(), record.exc_info) == (line, None)

    def test_a_failing_error_handler_is_a_500_that_is_logged(self, app, serve, errors):
        @app.exception_handler(KeyError)
        def worse(request, error):
            raise RuntimeError("worse")

        @app.exception_handler(ValueError)
        async def worse_later(request, error):
            raise HTTPError(409, "better")

        @app.get("/{name}")
        def fail(name):
            raise {"key": KeyError, "value": ValueError}[name]

        served = serve(app)
        assert served.get("/key").status == 500
        assert [record.exc_info[0] for record in errors()] == [RuntimeError]
        assert served.get("/value").text == "better"

    @pytest.mark.parametrize("wrong", [None, 3, object])
    def test_an_error_handler_that_returns_no_answer_is_named(self, app, serve, errors, wrong):
        @app.exception_handler(None)
        def forgetful(request, error):
            return wrong

        @app.get("/")
        def fail():
            raise KeyError

        assert serve(app).get("/").status == 500
        assert 'forgetful" returned' in errors()[-1].getMessage()

    def test_a_handler_that_returns_none_is_named(self, app, serve, errors):
        @app.get("/")
        def forgetful():
            pass

        assert serve(app).get("/").status == 500
        assert "None" in errors()[0].getMessage()

    def test_bad_json_is_a_400_with_the_position(self, app, serve, errors):
        @app.post("/")
        def echo(request):
            return request.json

        answer = serve(app).get("/", "POST", b'{"a": }')
        assert answer.status == 400
        assert "column" in answer.text
        assert not errors()

    def test_bad_json_can_be_caught_as_jsons_own_error(self, app, serve):
        @app.post("/")
        def echo(request):
            try:
                return request.json
            except json.JSONDecodeError as error:
                return f"{error.pos >= 0}"

        assert serve(app).get("/", "POST", b"{").text == "True"

    def test_only_exceptions_have_handlers(self, app):
        with pytest.raises(TypeError, match="an error handler is for an exception class"):
            app.add_error_handler(404, lambda request, error: "")
        with pytest.raises(TypeError, match="cannot be called"):
            app.add_error_handler(KeyError, "no")


class TestLife:
    def test_hooks_run_in_their_order_around_the_serving(self, serve):
        seen = []

        @asynccontextmanager
        async def lifespan(app):
            seen.append("enter")
            yield {"db": "open"}
            seen.append("leave")

        app = Application(lifespan=lifespan)

        @app.on_startup
        def first():
            seen.append(f"first {app.state.db}")

        @app.on_startup
        async def second(app):
            seen.append(f"second {app.loop is asyncio.get_running_loop()}")

        @app.on_shutdown
        async def last():
            seen.append("last")

        @app.get("/")
        def show(request):
            return request.app.state.db

        served = serve(app)
        assert served.get("/").text == "open"
        served.stop()
        assert seen == ["enter", "first open", "second True", "last", "leave"]

    def test_a_generator_is_a_lifespan_too(self, serve):
        async def lifespan(app):
            app.state.x = 3
            yield

        app = Application(lifespan=lifespan)
        serve(app)
        assert app.state.x == 3

    def test_a_failing_start_up_ends_it_and_leaves_the_lifespan(self, serve):
        seen = []

        @asynccontextmanager
        async def lifespan(app):
            try:
                yield
            finally:
                seen.append("left")

        app = Application(lifespan=lifespan)

        @app.on_startup
        def fail():
            raise RuntimeError("no database")

        app.on_shutdown(lambda: seen.append("shutdown"))
        with pytest.raises(RuntimeError, match="no database"):
            serve(app)
        assert seen == ["left"]

    def test_a_failing_shutdown_hook_does_not_stop_the_others(self, app, serve, errors):
        seen = []

        @app.on_shutdown
        def fail():
            raise RuntimeError("no")

        app.on_shutdown(lambda: seen.append("other"))
        served = serve(app)
        served.stop()
        assert seen == ["other"]
        assert "shutdown hook" in errors()[0].getMessage()
        assert str(served.failure) == "1 shutdown hook failed"

    def test_a_decorator_with_parentheses_is_told(self, app):
        with pytest.raises(TypeError, match="without parentheses"):
            app.on_startup(None)

    def test_the_loop_may_be_touched_before_it_runs(self, app):
        loop = app.loop
        assert isinstance(loop, EngineLoop)
        assert app.loop is loop
        loop.close()
        again = app.loop
        assert again is not loop
        again.close()

    def test_requests_in_flight_are_answered_before_the_end(self, app, serve):
        entered, go_on = threading.Event(), asyncio.Event()

        @app.get("/")
        async def slow():
            entered.set()
            await go_on.wait()
            return "done"

        served = serve(app)
        client = served.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert entered.wait(SECONDS)
        idle = served.client()
        eventually(lambda: served.running.server.connections == 2)
        served.end()
        assert idle.at_end()
        served._loop.call_soon_threadsafe(go_on.set)
        answer = client.answer()
        assert (answer.text, answer.headers["connection"]) == ("done", "close")
        assert client.at_end()
        served.stop()
        assert served.running.cut == 0

    def test_the_deadline_cuts_what_is_left(self, app, serve):
        entered = threading.Event()

        @app.get("/")
        async def slow():
            entered.set()
            await asyncio.sleep(60)

        served = serve(app, graceful=0.05)
        client = served.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert entered.wait(SECONDS)
        served.end()
        assert client.at_end()
        served.stop()
        assert served.running.cut == 1


class TestOtherLoops:
    @pytest.mark.parametrize("loop", ["asyncio's own", "uvloop"])
    def test_the_engine_runs_under_another_loop(self, app, loop):
        from vivace import serving
        from vivace.sockets import Tcp, open_listeners

        factory = asyncio.SelectorEventLoop
        if loop == "uvloop":
            factory = pytest.importorskip("uvloop").new_event_loop

        @app.get("/")
        async def hello():
            await asyncio.sleep(0.01)
            return "Hello world!"

        async def main():
            (listener,) = open_listeners([Tcp("127.0.0.1", 0)])
            try:
                async with serving.running(app, [listener]):
                    reader, writer = await asyncio.open_connection(*listener.socket.getsockname())
                    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    answer = await reader.read()
                    writer.close()
                    await writer.wait_closed()
                    return answer
            finally:
                listener.close()

        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(main()).endswith(b"\r\n\r\nHello world!")


def test_refused_requests_are_logged(app, serve, errors):
    served = serve(app)
    for _ in range(3):
        client = served.client()
        client.send("NONSENSE\r\n\r\n")
        assert client.answer().status == 400
    served.stop()
    messages = [record.getMessage() for record in errors()]
    assert messages[0].startswith("refused a request from 127.0.0.1 with 400: ")
    assert messages[1].startswith("refused 2 more requests with 400: ")
    assert app.refusals.count == 3
