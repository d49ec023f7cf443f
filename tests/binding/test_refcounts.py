"""Nothing is kept that nobody can reach: servers, loops, requests, and whatever a request may hold."""

import asyncio
import gc
import logging
import sys
import weakref

import pytest

from vivace import Application, HTTPError, _engine
from vivace.loop import new_event_loop


class Marked:
    """Something whose end can be seen."""


class TestServers:
    def test_a_server_that_has_served_goes_with_its_application(self, serve):
        app = Application()
        app.get("/")(lambda: "hello")
        app.state.mark = Marked()
        seen = weakref.ref(app.state.mark)
        served = serve(app)
        assert served.get("/").text == "hello"
        served.stop()
        served.app = served.running = None
        del app
        gc.collect()
        assert seen() is None

    def test_a_loop_that_nobody_closed_goes_with_its_servers(self):
        app = Application()
        app.state.mark = Marked()
        seen = weakref.ref(app.state.mark)
        loop = new_event_loop()
        server = _engine.Server(loop.selector, app, app.router.table)
        app.state.server = server
        with pytest.warns(ResourceWarning, match="unclosed event loop"):  # noqa: PT031
            del loop, server, app
            gc.collect()
        assert seen() is None

    def test_a_server_serves_until_it_is_closed_even_if_its_name_is_gone(self):
        loop = new_event_loop()
        app = Application()
        server = _engine.Server(loop.selector, app, app.router.table)
        before = sys.getrefcount(server)
        server.close()
        assert sys.getrefcount(server) == before - 1
        server.close()
        with pytest.raises(RuntimeError, match="closed"):
            server.listen(0)
        loop.close()

    def test_a_kept_request_and_its_application_hold_each_other_no_longer_than_others_hold_them(self, serve):
        app = Application()
        app.state.kept = []
        app.state.mark = Marked()
        seen = weakref.ref(app.state.mark)

        @app.get("/")
        def keep(request):
            app.state.kept.append(request)  # noqa: F821 - it is deleted below
            return "kept"

        served = serve(app)
        assert served.get("/").text == "kept"
        served.stop()
        served.app = served.running = None
        del app, keep
        gc.collect()
        assert seen() is None


class TestSelectors:
    def test_a_map_that_outlives_its_selector_is_empty(self):
        selector = _engine.Selector()
        table = selector.get_map()
        selector.close()
        del selector
        assert (len(table), list(table), 0 in table, table.get(0), list(table.items())) == (0, [], False, None, [])
        with pytest.raises(KeyError, match="closed"):
            table[0]

    def test_a_selector_can_be_given_to_another_loop(self):
        selector = _engine.Selector()
        first = asyncio.SelectorEventLoop()
        second = asyncio.SelectorEventLoop()
        count = sys.getrefcount(first)
        selector.attach(first)
        selector.attach(second)
        assert sys.getrefcount(first) == count
        selector.close()
        with pytest.raises(RuntimeError, match="closed"):
            selector.attach(first)
        first.close()
        second.close()


class TestCycles:
    @pytest.mark.parametrize(
        "tie",
        [
            lambda request, mark: vars(request.state).update(mark=mark, headers=request.headers),
            lambda request, mark: vars(request.state).update(mark=mark, transport=request.transport),
            lambda request, mark: vars(request.state).update(mark=mark, request=request),
            lambda request, mark: request.extra.update(mark=mark, request=request),
            lambda request, mark: request.cookies.update(mark=mark, request=request),
            lambda request, mark: request.match_dict.update(mark=mark, request=request),
            lambda request, mark: request.json.update(mark=mark, request=request),
            lambda request, mark: request.add_done_callback(lambda other: (request, mark)),
        ],
        ids=["headers", "transport", "state", "extra", "cookies", "match_dict", "json", "callback"],
    )
    @pytest.mark.parametrize("suspends", [False, True], ids=["at once", "later"])
    def test_a_request_that_holds_itself_is_found(self, serve, tie, suspends):
        app = Application()
        marks = []

        async def handler(request):
            mark = Marked()
            marks.append(weakref.ref(mark))
            tie(request, mark)
            if suspends:
                await asyncio.sleep(0)
            return "tied"

        app.post("/")(handler)
        client = serve(app).client()
        for _ in range(6):  # when the last is answered, the loop has let go of those before
            assert client.request("/", "POST", b"{}").text == "tied"
        gc.collect()
        assert [mark() for mark in marks[:5]] == [None] * 5


async def _suspends(request):
    await asyncio.sleep(0)
    return {"query": dict(request.query), "headers": dict(request.headers)}


async def _has_task(request):
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
    return request.Response("task", headers={"X": "y"})


async def _fails_late(request):
    await asyncio.sleep(0)
    raise LookupError(request.path)


def _fails(request):
    raise HTTPError(418, "teapot")


def _uses_all(request):
    used = [request.cookies, request.json, request.match_dict, request.remote_addr, request.state, request.transport]
    request.add_done_callback(lambda request: used)
    return request.Response(json=request.extra, mime_type="application/x", cookies=None)


class TestCounts:
    """Many requests of a kind leave as little as a few."""

    @pytest.mark.parametrize(
        "handler",
        [
            lambda: "text",
            lambda request: request.Response(text="text"),
            lambda request: request.Response(text=request.path, headers=[("X-A", "b")], mime_type="a/b"),
            lambda request: b"bytes",
            lambda request: None,
            lambda request: asyncio.sleep(0, "later"),
            _uses_all,
            _suspends,
            _has_task,
            _fails,
            _fails_late,
        ],
        ids=[
            "text",
            "response",
            "fields",
            "bytes",
            "none",
            "coroutine",
            "all",
            "suspends",
            "task",
            "fails",
            "fails-late",
        ],
    )
    def test_of_objects_and_blocks(self, serve, handler):
        app = Application()
        app.get("/")(handler)
        logging.getLogger("vivace.error").disabled = True
        client = serve(app).client()

        def count(requests):
            for _ in range(requests // 50):
                client.send("GET /?a=b HTTP/1.1\r\nHost: a\r\nCookie: c=d\r\nX-E: f\r\n\r\n" * 50)
                for _ in range(50):
                    client.answer()
            client.request("/")
            gc.collect()
            return len(gc.get_objects()), sys.getallocatedblocks()

        try:
            count(500)
            objects, blocks = count(500)
            more_objects, more_blocks = count(2000)
        finally:
            logging.getLogger("vivace.error").disabled = False
        assert more_objects - objects < 200
        assert more_blocks - blocks < 500


def test_the_module_goes_when_nobody_has_it_any_more(start):
    script = """
import asyncio, gc, http.cookies, msgspec, sys, weakref
from vivace import _engine
made = [_engine.Response("a") for _ in range(100)]  # what is recycled is in stock now
del made
seen = [weakref.ref(kind) for kind in (_engine.Request, _engine.Response, _engine.Selector, _engine.Server)]
for name in [name for name in sys.modules if name.startswith("vivace")]:
    del sys.modules[name]
del _engine
gc.collect(); gc.collect()
print([kind() for kind in seen])
"""
    status, out, err = start("-c", script).end()
    assert (status, out.strip(), err) == (0, "[None, None, None, None]", "")
