"""A request may be kept, passed on, and asked for anything long after its answer; its connection may go at any time."""

import asyncio
import gc
import random
import threading
import time

import pytest
from waiting import SECONDS, eventually

from vivace import Application, BodyError

GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"


def everything(request):
    return {
        name: dict(value) if name in ("headers", "query") else value
        for name, value in ((name, getattr(request, name)) for name in ATTRIBUTES)
    }


ATTRIBUTES = [
    "method",
    "path",
    "raw_path",
    "query_string",
    "query",
    "version",
    "headers",
    "cookies",
    "body",
    "text",
    "json",
    "mime_type",
    "encoding",
    "keep_alive",
    "match_dict",
    "remote_addr",
    "hostname",
    "port",
    "scheme",
]
BODY = b'{"a": 1}'
FIELDS = "Host: example.org:81\r\nCookie: a=b\r\nX-Y: z\r\nContent-Type: application/json; charset=utf-8\r\n"
POST = f"POST /kept/7/caf%C3%A9?q=1&q=2 HTTP/1.1\r\n{FIELDS}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
CHUNKED = (
    f"POST /kept/7/caf%C3%A9?q=1&q=2 HTTP/1.1\r\n{FIELDS}Transfer-Encoding: chunked\r\n\r\n".encode()
    + b'3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n'
)
EXPECTED = {
    "method": "POST",
    "path": "/kept/7/café",
    "raw_path": "/kept/7/caf%C3%A9",
    "query_string": "q=1&q=2",
    "query": {"q": "1"},
    "version": "1.1",
    "cookies": {"a": "b"},
    "body": BODY,
    "text": BODY.decode(),
    "json": {"a": 1},
    "mime_type": "application/json",
    "encoding": "utf-8",
    "keep_alive": True,
    "match_dict": {"n": 7, "name": "café"},
    "remote_addr": "127.0.0.1",
    "hostname": "example.org",
    "port": 81,
    "scheme": "http",
}


class TestKept:
    @pytest.mark.parametrize("data", [POST, CHUNKED], ids=["length", "chunked"])
    @pytest.mark.parametrize("pieces", [1, 2, 5])
    @pytest.mark.parametrize("suspends", [False, True], ids=["at once", "later"])
    def test_every_attribute_is_right_after_the_answer(self, serve, data, pieces, suspends):
        app = Application()
        kept = []

        @app.post("/kept/{n:int}/{name}")
        async def keep(request):
            kept.append(request)
            if suspends:
                await asyncio.sleep(0)
            return "kept"

        app.get("/other")(lambda request: request.path)
        client = serve(app).client()
        for _ in range(5):
            size = len(data) // pieces + 1
            for at in range(0, len(data), size):
                client.send(data[at : at + size])
                time.sleep(0.002 if pieces > 1 else 0)
            client.send(GET.format("/other") * 3)
            assert [client.answer().text for _ in range(4)] == ["kept"] + ["/other"] * 3
        for request in kept:
            found = everything(request)
            headers = found.pop("headers")
            assert (headers["X-Y"], headers["Cookie"]) == ("z", "a=b")
            assert found == EXPECTED
            assert request.route.pattern == "/kept/{n:int}/{name}"
            assert request.app is app

    def test_what_was_taken_from_it_keeps_it(self, serve):
        app = Application()
        kept = []

        @app.get("/{name}")
        def keep(request, name):
            kept.append((request.headers, request.transport, name))
            return name

        client = serve(app).client()
        client.send("".join(GET.format(f"/{n}") for n in range(50)))
        assert [client.answer().text for _ in range(50)] == [str(n) for n in range(50)]
        for n, (headers, transport, name) in enumerate(kept):
            assert (headers["host"], list(headers.items()), name) == ("a", [("Host", "a")], str(n))
            assert transport.is_closing()
            assert transport.get_extra_info("peername")[0] == "127.0.0.1"
            transport.close()
            transport.abort()
            assert transport.get_extra_info("socket", "none") == "none"
        assert client.request("/still-there").text == "still-there"

    def test_a_thread_may_go_on_with_it(self, serve):
        app = Application()
        found = []

        @app.get("/{name}")
        def handler(request, name):
            def read():
                time.sleep(random.random() * 0.01)
                found.append((request.path, request.headers["host"], name))

            threads.append(threading.Thread(target=read))
            threads[-1].start()
            return name

        threads = []
        client = serve(app).client()
        client.send("".join(GET.format(f"/{n}") for n in range(30)))
        assert [client.answer().text for _ in range(30)] == [str(n) for n in range(30)]
        for thread in threads:
            thread.join()
        assert sorted(found) == sorted((f"/{n}", "a", str(n)) for n in range(30))

    def test_one_that_was_kept_for_a_thread_that_never_came_knows_no_other_client(self, serve, monkeypatch):
        app = Application()
        kept = []
        start = threading.Thread.start

        def start_no_more(thread):
            if thread.name.startswith("vivace-blocking"):
                raise RuntimeError("can't start new thread")
            start(thread)

        @app.get("/blocking", blocking=True)
        def blocking(request):
            return "never called"

        @app.exception_handler(RuntimeError)
        def no_thread(request, error):
            kept.append(request)
            return request.Response(str(error), 500)

        @app.get("/other")
        def other(request):
            transport = kept[0].transport
            transport.abort()
            return f"{transport.is_closing()} {transport.get_extra_info('socket')} {kept[0].disconnected}"

        monkeypatch.setattr(threading.Thread, "start", start_no_more)
        served = serve(app)
        first = served.client()
        assert first.request("/blocking").text == "can't start new thread"
        first.close()
        eventually(lambda: served.running.server.connections == 0)
        assert served.client().request("/other").text == "True None False"

    def test_a_finalizer_may_look_at_the_request(self, serve):
        app = Application()
        seen = []

        class Last:
            def __init__(self, request):
                self.request = request

            def __del__(self):
                seen.append(self.request.path)

        @app.get("/{name}")
        def handler(request, name):
            request.state.last = Last(request)
            return name

        client = serve(app).client()
        for n in range(5):
            assert client.request(f"/{n}").text == str(n)
            gc.collect()
        client.request("/x")
        gc.collect()
        assert seen[:5] == [f"/{n}" for n in range(5)]


class TestAnswers:
    def test_callbacks_are_called_once_when_the_answer_has_left(self, serve):
        app = Application()
        called = []

        @app.get("/{when}")
        async def handler(request, when):
            request.add_done_callback(lambda request: called.append(request.path))
            if when == "later":
                await asyncio.sleep(0)
            request.add_done_callback(lambda request: called.append(request.path + "!"))
            return when

        client = serve(app).client()
        client.send(GET.format("/now") + GET.format("/later") + GET.format("/now"))
        assert [client.answer().text for _ in range(3)] == ["now", "later", "now"]
        client.request("/now")
        assert called[:6] == ["/now", "/now!", "/later", "/later!", "/now", "/now!"]

    def test_no_callback_can_be_added_afterwards(self, serve):
        app = Application()
        failures = []

        @app.get("/")
        def handler(request):
            request.add_done_callback(late)
            return "now"

        def late(request):
            try:
                request.add_done_callback(print)
            except RuntimeError as error:
                failures.append(str(error))

        client = serve(app).client()
        client.request("/")
        client.request("/")
        assert failures[0] == "the request is answered already"

    @pytest.mark.parametrize("where", ["/sync", "/async", "/later", "/after", "/added-later"])
    def test_a_connection_that_is_aborted_in_the_handler(self, serve, where):
        app = Application()
        called, seen = [], []

        def abort(request):
            transport = request.transport
            seen.append(transport.is_closing())
            transport.abort()
            seen.append(transport.is_closing())
            seen.append(transport.get_extra_info("socket"))
            seen.append(transport.get_extra_info("peername")[0])
            transport.abort()
            transport.close()

        @app.get("/sync")
        def sync(request):
            request.add_done_callback(lambda request: called.append(request.path))
            abort(request)
            return "nobody hears it"

        @app.get("/async")
        async def at_once(request):
            request.add_done_callback(lambda request: called.append(request.path))
            abort(request)
            return "nobody hears it"

        @app.get("/later")
        async def later(request):
            request.add_done_callback(lambda request: called.append(request.path))
            abort(request)
            await asyncio.sleep(0)
            return "nobody hears it"

        @app.get("/after")
        async def after(request):
            request.add_done_callback(lambda request: called.append(request.path))
            await asyncio.sleep(0)
            abort(request)
            return "nobody hears it"

        @app.get("/added-later")
        async def added_later(request):
            await asyncio.sleep(0)
            abort(request)
            request.add_done_callback(lambda request: called.append(request.path))
            return "nobody hears it"

        app.get("/other")(lambda: "other")
        served = serve(app)
        for _ in range(3):
            client = served.client()
            client.send(GET.format(where) + GET.format("/other"))
            assert client.at_end()
        assert served.get("/other").text == "other"
        assert called == [where] * 3
        assert seen == [False, True, None, "127.0.0.1"] * 3

    def test_an_answer_to_a_client_that_has_gone_meanwhile(self, serve):
        app = Application()
        called, began, ended = [], threading.Event(), threading.Event()

        @app.get("/")
        async def handler(request):
            request.add_done_callback(lambda request: called.append("callback"))
            began.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                called.append(request.transport.is_closing())
                request.add_done_callback(lambda request: called.append("late callback"))
                ended.set()
                return request.Response("nobody hears it", headers={"X-Path": request.path})

        app.get("/other")(lambda: "other")
        served = serve(app)
        client = served.client()
        client.send(GET.format("/"))
        assert began.wait(SECONDS)
        client.reset()
        assert ended.wait(SECONDS)
        assert served.get("/other").text == "other"
        assert called == ["callback", True, "late callback"]

    def test_close_ends_the_connection_behind_the_answers(self, serve):
        app = Application()

        @app.get("/{when}")
        async def handler(request, when):
            if when == "later":
                await asyncio.sleep(0)
            request.transport.close()
            return when

        served = serve(app)
        for when in ("now", "later"):
            client = served.client()
            client.send(GET.format(f"/{when}"))
            assert client.answer().text == when
            assert client.at_end()

    def test_clients_that_come_and_go_at_random(self, serve):
        app = Application()
        random.seed(7)

        @app.get("/{turns:int}")
        async def handler(request, turns):
            request.add_done_callback(lambda request: None)
            for _ in range(turns):
                await asyncio.sleep(0)
            return request.path

        served = serve(app)
        for _ in range(300):
            client = served.client()
            turns = [random.randrange(5) for _ in range(random.randrange(1, 20))]
            client.send("".join(GET.format(f"/{n}") for n in turns))
            if random.random() < 0.5:
                client.reset()
            else:
                assert [client.answer().text for _ in turns] == [f"/{n}" for n in turns]
                client.close()
        assert served.get("/0").text == "/0"

    def test_the_server_may_end_in_the_middle(self, serve):
        app = Application()
        began, called = [], []

        @app.get("/")
        async def handler(request):
            request.add_done_callback(lambda request: called.append(request.path))
            began.append(request)
            await asyncio.sleep(60)

        served = serve(app, graceful=0)
        client = served.client()
        client.send(GET.format("/") * 3)
        eventually(lambda: len(began) == 3)
        served.stop()
        assert called == ["/"] * 3


class TestAttributes:
    def test_an_unknown_charset_and_codecs_written_in_python(self, serve):
        app = Application()

        @app.post("/")
        def handler(request):
            try:
                return request.text
            except BodyError as error:
                return str(error)

        client = serve(app).client()
        for charset, body, text in [
            ("cp1252", b"\x80", "€"),
            ("utf-16", "ä".encode("utf-16"), "ä"),
            ("utf-8-sig", b"\xef\xbb\xbfabc", "abc"),
            ("iso-2022-jp", "日本".encode("iso-2022-jp"), "日本"),
            ("punycode", b"caf-dma", "415 The body has a charset that is unknown"),
            ("rot13", b"abc", "415 The body has a charset that is unknown"),
            ("nonsense", b"abc", "415 The body has a charset that is unknown"),
            ("x" * 80, b"abc", "415 The body has a charset that is unknown"),
            ("\xe4", b"abc", "415 The body has a charset that is unknown"),
            ("utf-8", b"a\xff", "400 The body is not utf-8 text: invalid start byte at byte 1"),
            ("ascii", b"a\xff", "400 The body is not ascii text: ordinal not in range(128) at byte 1"),
            ("utf-16", b"abc", "400 The body is not utf-16 text: truncated data at byte 2"),
        ]:
            answer = client.request("/", "POST", body, Content_Type=f"text/plain; charset={charset}")
            assert answer.text == text, charset

    @pytest.mark.parametrize(
        ("content_type", "says"),
        [
            ('text/plain; x="a; charset=latin-1"; charset=utf-8', "text/plain utf-8 ä"),
            ('text/plain; charset="ut\\f-8"', "text/plain ut\\f-8 415"),
            (r'text/plain; charset="\"utf-8\""', 'text/plain "utf-8" 415'),
            ('text/plain; charset="utf-8"', "text/plain utf-8 ä"),
            ('text/plain; charset="' + "x" * 40 + '"', "text/plain " + "x" * 40 + " 415"),
            ("Text/Plain ;CHARSET=latin-1", "text/plain latin-1 Ã¤"),
            ("text/plain; charset=utf-8; charset=latin-1", "text/plain utf-8 ä"),
            ("text/plain;; charset=latin-1;", "text/plain latin-1 Ã¤"),
            ("text/plain", "text/plain None ä"),
            ("text/plain; charset=", "text/plain None ä"),
            ('text/plain; charset="latin-1', 'text/plain "latin-1 415'),
            ("text/plain; charset=latin-1 (sic)", "text/plain latin-1 (sic) 415"),
            ("text/plain; sic; charset=latin-1", "text/plain None ä"),
            ("text/plain; charset = latin-1", "text/plain None ä"),
            ("; charset=latin-1", "None latin-1 Ã¤"),
        ],
    )
    def test_parameters_of_content_type(self, serve, content_type, says):
        app = Application()

        @app.post("/")
        def handler(request):
            try:
                text = request.text
            except BodyError as error:
                text = error.status
            return f"{request.mime_type} {request.encoding} {text}"

        assert serve(app).client().request("/", "POST", "ä".encode(), Content_Type=content_type).text == says

    def test_a_wrong_guess_is_told_the_near_name(self, serve):
        app = Application()

        @app.get("/{name}")
        def handler(request, name):
            return getattr(request, name)

        @app.exception_handler(AttributeError)
        def wrong_guess(request, error):
            return str(error)

        client = serve(app).client()
        assert client.request("/header").text == "a request has no attribute 'header': did you mean \"headers\"?"
        assert client.request("/qqqqq").text == (
            "a request has no attribute 'qqqqq'; what is your own goes into request.state"
        )
        assert "_private" in client.request("/_private").text
