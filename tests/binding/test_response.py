"""Responses: what they take and refuse, keep and send, again and again."""

import gc
import http.cookies
import sys
import weakref

import pytest

from vivace import Application, Response


class TestMaking:
    def test_positions_are_japrontos(self):
        response = Response(None, 201, b"body", None, "image/png", None, {"X-A": "b"}, None)
        assert (response.code, response.body, response.mime_type, response.headers) == (
            201,
            b"body",
            "image/png",
            [("X-A", "b")],
        )

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"text": 1}, TypeError),
            ({"text": "a", "body": b"b"}, TypeError),
            ({"text": "a", "json": 1}, TypeError),
            ({"code": 99}, ValueError),
            ({"code": 1000}, ValueError),
            ({"code": 10**30}, OverflowError),
            ({"code": 200, "status": 200}, TypeError),
            ({"code": "200"}, TypeError),
            ({"body": "text"}, TypeError),
            ({"text": "\ud800"}, UnicodeEncodeError),
            ({"text": "a", "encoding": "nonsense"}, LookupError),
            ({"text": "ä", "encoding": "ascii"}, UnicodeEncodeError),
            ({"json": object()}, TypeError),
            ({"headers": {"X": 1}}, TypeError),
            ({"headers": [("X",)]}, TypeError),
            ({"headers": [1]}, TypeError),
            ({"headers": 1}, TypeError),
            ({"headers": {"X Y": "z"}}, ValueError),
            ({"headers": {"": "z"}}, ValueError),
            ({"headers": {"X": "a\r\nb"}}, ValueError),
            ({"headers": {"X": "€"}}, ValueError),
            ({"headers": {"Content-Length": "1"}}, ValueError),
            ({"headers": {"Connection": "keep-alive"}}, ValueError),
            ({"headers": {"Content-Type": "a/b"}, "mime_type": "a/b", "text": "x"}, ValueError),
            ({"mime_type": "a\nb", "text": "x"}, ValueError),
            ({"mime_type": 1, "text": "x"}, TypeError),
            ({"cookies": 1}, TypeError),
            ({"nonsense": 1}, TypeError),
        ],
    )
    def test_what_is_wrong_is_refused_and_leaves_nothing(self, blocks, given, error):
        assert blocks(lambda: Response(**given), error) < 500

    def test_arguments_twice_or_too_many(self):
        with pytest.raises(TypeError):
            Response("a", text="a")
        with pytest.raises(TypeError):
            Response(None, None, None, None, None, None, None, None, None)


class TestSubclasses:
    def test_one_with_an_init_of_its_own(self, serve):
        class Page(Response):
            def __init__(self, title, *, code=200):
                super().__init__(f"<h1>{title}</h1>", code, mime_type="text/html")
                self.title = title

        page = Page("here", code=404)
        assert (page.title, page.code, page.text, page.mime_type) == ("here", 404, "<h1>here</h1>", "text/html")
        app = Application()
        app.get("/kept")(lambda: page)
        app.get("/new")(lambda: Page("new"))
        served = serve(app)
        for _ in range(3):
            assert served.get("/kept").text == "<h1>here</h1>"
            answer = served.get("/new")
            assert (answer.text, answer.headers["content-type"]) == ("<h1>new</h1>", "text/html; charset=utf-8")

    def test_one_without_an_init(self):
        class Plain(Response):
            pass

        plain = Plain("text", headers={"X-A": "b"})
        assert (plain.text, plain.code, plain.headers) == ("text", 200, [("X-A", "b")])
        plain.me = plain
        gone = weakref.ref(plain)
        del plain
        gc.collect()
        assert gone() is None

    def test_an_init_that_is_called_again_or_not_at_all(self):
        class Empty(Response):
            def __init__(self):
                pass

        assert (Empty().code, Empty().text, Empty().body) == (200, None, None)
        response = Response("a", headers={"Content-Type": "a/b", "X-A": "b"})
        response.__init__(json=[1])
        assert (response.text, response.body, response.headers) == (None, b"[1]", [])
        with pytest.raises(TypeError):
            response.__init__(nonsense=1)

    def test_one_that_fails_leaves_nothing(self, blocks):
        class Late(Response):
            def __init__(self):
                super().__init__("text", headers={"X": "y"}, mime_type="a/b")
                raise LookupError

        assert blocks(Late, LookupError) < 500


class TestSending:
    def test_one_response_is_sent_many_times(self, serve):
        app = Application()
        cookies = http.cookies.SimpleCookie({"a": "b", "c": "d"})
        kept = Response("é", 201, headers=[("X-A", "1"), ("X-A", "2")], cookies=cookies)
        app.get("/")(lambda: kept)
        client = serve(app).client()
        for _ in range(3):
            answer = client.request("/")
            assert (answer.status, answer.text) == (201, "é")
            assert [value for name, value in answer.fields if name == "x-a"] == ["1", "2"]
            assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=b", "c=d"]
        count = sys.getrefcount(kept)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        assert [client.answer().status for _ in range(1000)] == [201] * 1000
        client.request("/")
        assert abs(sys.getrefcount(kept) - count) <= 1

    def test_set_cookie(self):
        response = Response("a")
        response.set_cookie("a", "b c", max_age=3, secure=True, httponly=True, samesite="Lax", path=None)
        response.set_cookie("d")
        lines = [value for name, value in response.headers if name == "Set-Cookie"]
        assert lines[0].startswith('a="b c"; ')
        assert sorted(lines[0].split("; ")[1:]) == ["HttpOnly", "Max-Age=3", "SameSite=Lax", "Secure"]
        assert lines[1] == 'd=""; Path=/'
        with pytest.raises(http.cookies.CookieError):
            response.set_cookie("a b", "c")
