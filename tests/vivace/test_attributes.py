"""What an application and its requests offer to handlers, and what outlives an answer."""

import asyncio
import json
import threading

import pytest
from waiting import SECONDS

from vivace import Application


@pytest.fixture
def app() -> Application:
    return Application()


def asked(app, serve, attribute, *heads):
    """What `attribute(request)` gives for each of these heads, as JSON."""
    app.router.add_route("/", lambda request: {"it": attribute(request)})
    client = serve(app).client()
    shown = []
    for head in heads:
        client.send(head + "\r\n\r\n")
        shown.append(json.loads(client.answer().body)["it"])
    return shown


class TestRequest:
    def test_scheme_hostname_and_port(self, app, serve):
        def of(request):
            return [request.scheme, request.hostname, request.port]

        heads = [
            "GET / HTTP/1.1\r\nHost: example.org",
            "GET / HTTP/1.1\r\nHost: example.org:8080",
            "GET / HTTP/1.1\r\nHost: [::1]:81",
            "GET / HTTP/1.1\r\nHost: [::1]",
            "GET http://other.org:82/ HTTP/1.1\r\nHost: other.org:82",
            "GET / HTTP/1.0\r\nConnection: keep-alive",
        ]
        assert asked(app, serve, of, *heads) == [
            ["http", "example.org", None],
            ["http", "example.org", 8080],
            ["http", "::1", 81],
            ["http", "::1", None],
            ["http", "other.org", 82],
            ["http", None, None],
        ]

    def test_state_is_the_requests_own_and_extra_is_its_dict(self, app, serve):
        @app.get("/{n:int}")
        async def kept(request, n):
            assert vars(request.state) == request.extra == {}
            request.state.a = n
            request.extra["b"] = n + 1
            await asyncio.sleep(0)
            assert request.extra is vars(request.state)
            with pytest.raises(AttributeError):
                _ = request.state.c
            return [request.extra["a"], request.state.b]

        client = serve(app).client()
        for n in range(10):
            assert json.loads(client.request(f"/{n}").body) == [n, n + 1]

    def test_route_and_app_are_those_that_were_made(self, app, serve):
        def handler(request):
            assert request.app is app
            assert request.route is route
            assert request.route.handler is handler
            return [
                request.route.pattern,
                sorted(request.route.methods),
                request.route.name,
                request.route.placeholders,
            ]

        route = app.router.add_route("/a/{b:int}", handler, methods=["GET", "PUT"], name="named")
        shown = json.loads(serve(app).get("/a/3").body)
        assert shown == ["/a/{b:int}", ["GET", "PUT"], "named", [["b", "int"]]]

    def test_without_a_route_there_is_none(self, app, serve):
        app.add_error_handler(None, lambda request, error: [request.route, request.match_dict, request.app is app])
        assert json.loads(serve(app).get("/nowhere").body) == [None, {}, True]

    @pytest.mark.parametrize(("name", "ours"), [("query_strin", "query_string"), ("args", "query")])
    def test_an_unknown_attribute_names_the_near_one_or_that_of_other_frameworks(self, app, serve, caplog, name, ours):
        @app.get("/")
        def hello(request):
            return getattr(request, name)

        assert serve(app).get("/").status == 500
        assert f"a request has no attribute '{name}': did you mean \"{ours}\"?" in caplog.text

    def test_whoever_sets_an_attribute_is_told_where_it_goes(self, app, serve, caplog):
        @app.get("/")
        def hello(request):
            request.user = "Ada"

        assert serve(app).get("/").status == 500
        line = "AttributeError: a request has no attribute 'user'; what is your own goes into request.state"
        assert line in caplog.text

    @pytest.mark.parametrize("name", ["method", "json", "state", "anything"])
    def test_attributes_are_not_set(self, app, serve, name):
        @app.get("/")
        def sets(request):
            with pytest.raises(AttributeError):
                setattr(request, name, 1)
            return "refused"

        assert serve(app).get("/").text == "refused"


class TestApplication:
    def test_loop_is_the_running_one_everywhere(self, app, serve):
        seen = []

        def note():
            seen.append(app.loop is asyncio.get_running_loop())

        app.on_startup(note)
        app.on_shutdown(note)

        @app.get("/now")
        def now(request):
            note()
            return "now"

        @app.get("/later")
        async def later(request):
            await asyncio.sleep(0.001)
            note()
            return "later"

        served = serve(app)
        assert served.get("/now").text == "now"
        assert served.get("/later").text == "later"
        served.stop()
        assert seen == [True] * 4

    def test_state_is_shared_by_all_requests(self, app, serve):
        app.state.count = 0

        @app.get("/")
        def count(request):
            request.app.state.count += 1
            return str(app.state.count)

        client = serve(app).client()
        assert [client.request("/").text for _ in range(3)] == ["1", "2", "3"]

    def test_head_is_the_get_routes(self, app, serve):
        app.router.add_route("/{x}", lambda request: request.Response("any", headers={"X-Route": "any"}))
        app.get("/{y}")(lambda request: request.Response("get", headers={"X-Route": "get"}))
        client = serve(app).client()
        assert client.request("/1", "HEAD").headers["x-route"] == "get"
        assert client.request("/1", "PUT").headers["x-route"] == "any"


class TestWhatOutlivesAnAnswer:
    @pytest.mark.parametrize("kind", ["def", "async", "async that waits", "blocking"])
    @pytest.mark.parametrize("stays", [False, True])
    def test_a_task_that_a_handler_starts(self, app, serve, kind, stays):
        go_on, done, tasks = asyncio.Event(), threading.Event(), set()

        async def background(request):
            await go_on.wait()
            assert request.headers["X-Mine"] == "mine"
            assert request.path == "/"
            done.set()

        def begin(request):
            tasks.add(asyncio.create_task(background(request)))

        def plain(request):
            begin(request)
            return "answered"

        async def at_once(request):
            begin(request)
            return "answered"

        async def waits(request):
            await asyncio.sleep(0)
            begin(request)
            await asyncio.sleep(0)
            return "answered"

        def blocks(request):
            tasks.add(asyncio.run_coroutine_threadsafe(background(request), app.loop))
            return "answered"

        handler = {"def": plain, "async": at_once, "async that waits": waits, "blocking": blocks}[kind]
        app.router.add_route("/", handler, blocking=kind == "blocking")
        app.router.add_route("/other", lambda request: "other")
        served = serve(app)
        client = served.client()
        assert client.request("/", X_Mine="mine").text == "answered"
        if not stays:
            client.close()
        else:
            for _ in range(3):
                assert client.request("/other", X_Mine="yours").text == "other"
        app.loop.call_soon_threadsafe(go_on.set)
        assert done.wait(SECONDS)

    def test_callbacks_run_in_their_order_and_a_failing_one_is_logged(self, app, serve, caplog):
        seen, last = [], threading.Event()

        def fail(request):
            seen.append("fails")
            raise LookupError

        @app.get("/")
        def hello(request):
            request.add_done_callback(lambda request: seen.append(request.path))
            request.add_done_callback(fail)
            request.add_done_callback(lambda request: last.set())
            with pytest.raises(TypeError, match="takes a function"):
                request.add_done_callback("no")
            return "hello"

        app.get("/next")(lambda: "next")
        client = serve(app).client()
        assert client.request("/").text == "hello"
        assert last.wait(SECONDS)
        assert seen == ["/", "fails"]
        (record,) = caplog.records
        assert record.getMessage() == "GET / failed in a done callback: LookupError"
        assert record.exc_info[0] is LookupError
        assert client.request("/next").text == "next"
