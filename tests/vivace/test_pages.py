"""What clients get to see of errors."""

import html
import json
import logging
import re

import pytest

from vivace import Application, HTTPError, RouteNotFoundException

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def app():
    return failing(Application())


@pytest.fixture
def debugged():
    return failing(Application(debug=True))


def failing(app):
    @app.get("/http")
    def http():
        raise HTTPError(404, "no <such> user", headers={"X-More": "yes"})

    @app.get("/plain")
    def plain():
        raise HTTPError(410)

    @app.get("/typed")
    def typed():
        raise HTTPError(400, "<error/>", headers={"content-type": "application/xml"})

    @app.get("/key")
    async def key(request):
        password = "hidden " + "value"
        raise KeyError("<b>the key</b>" + password[:0])

    @app.get("/caused")
    def caused():
        try:
            int("<x>")
        except ValueError as error:
            raise LookupError("outer") from error

    @app.get("/while")
    def while_():
        try:
            int("<x>")
        except ValueError:
            raise LookupError("outer")  # noqa: B904

    @app.get("/group")
    def group():
        raise ExceptionGroup("several", [ValueError("first <one>"), TypeError("second")])

    @app.get("/deep")
    def deep():
        return deep()

    @app.get("/surrogate")
    def surrogate():
        raise ValueError("\udc80 <")

    @app.get("/surrogate-http")
    def surrogate_http():
        raise HTTPError(400, "\udc80 <")

    @app.get("/mute")
    def mute():
        class MuteError(Exception):
            def __str__(self):
                raise RuntimeError

        raise MuteError

    @app.get("/long")
    def long():
        raise ValueError("x" * 1_000_000)

    @app.post("/json")
    def read(request):
        return request.json

    return app


JSON = ["application/json", "application/problem+json", "application/json;q=0.5, text/plain;q=0.1"]


@pytest.mark.parametrize("accept", JSON)
def test_who_prefers_json_gets_json(app, serve, accept):
    client = serve(app).client()
    media_type = accept.partition(";")[0]

    def shown(answer):
        assert answer.headers["content-type"].partition(";")[0] == media_type
        assert answer.headers["vary"] == "Accept"
        return json.loads(answer.body)

    answer = client.request("/http", Accept=accept)
    assert (answer.status, answer.headers["x-more"]) == (404, "yes")
    assert shown(answer) == {"status": 404, "title": "Not Found", "detail": "no <such> user"}
    answer = client.request("/key", Accept=accept)
    assert answer.status == 500
    assert shown(answer) == {
        "status": 500,
        "title": "Internal Server Error",
        "detail": "Internal Server Error",
    }
    answer = client.request("/json", "POST", b"{", Accept=accept)
    assert answer.status == 400
    assert "column" in shown(answer)["detail"]


@pytest.mark.parametrize("accept", [None, "*/*", BROWSER, "text/plain", "image/png", "application/json;q=0"])
@pytest.mark.parametrize(("target", "text"), [("/http", "no <such> user"), ("/plain", "Gone")])
def test_everybody_else_gets_text(app, serve, accept, target, text):
    answer = serve(app).get(target, **({"Accept": accept} if accept else {}))
    assert (answer.text, answer.headers["content-type"]) == (text, "text/plain; charset=utf-8")
    assert answer.headers["vary"] == "Accept"


def test_accept_may_come_in_parts(app, serve):
    client = serve(app).client()
    client.send("GET /plain HTTP/1.1\r\nHost: a\r\nAccept: text/plain;q=0.5\r\nAccept: application/json\r\n\r\n")
    assert client.answer().headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("accept", ["*/*", "application/json", BROWSER])
@pytest.mark.parametrize("debug", [False, True])
def test_a_detail_with_a_type_of_its_own_is_sent_as_it_is(serve, accept, debug):
    answer = serve(failing(Application(debug=debug))).get("/typed", Accept=accept)
    assert (answer.text, answer.headers["content-type"]) == ("<error/>", "application/xml")


def test_no_route_is_json_for_who_prefers_it(app, serve):
    client = serve(app).client()
    answer = client.request("/nowhere", Accept="application/json")
    assert answer.status == 404
    assert json.loads(answer.body) == {"status": 404, "title": "Not Found", "detail": "Not Found"}
    answer = client.request("/json", "PUT", Accept="APPLICATION/JSON")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert json.loads(answer.body)["title"] == "Method Not Allowed"
    for accept in ("text/plain, application/json;q=0.5", "application/json;q=0", "*/*", "application/xml"):
        answer = client.request("/nowhere", Accept=accept)
        assert (answer.status, answer.text) == (404, "Not Found")
        answer = client.request("/json", "PUT", Accept=accept)
        assert (answer.status, answer.text, answer.headers["allow"]) == (405, "Method Not Allowed", "POST, OPTIONS")
    answer = client.request("/json", "OPTIONS", Accept="application/json")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "POST, OPTIONS", b"")
    answer = client.request("/nowhere", "HEAD", Accept="application/json")
    assert answer.status == 404
    assert client.request("/plain").status == 410


def test_an_error_handler_is_asked_for_405_too(app, serve):
    seen = []

    @app.exception_handler(HTTPError)
    async def handler(request, error):
        seen.append((type(error), request.route))
        return request.Response(f"sorry: {error.status}", error.status, headers=error.headers)

    client = serve(app).client()
    answer = client.request("/json", "DELETE")
    assert (answer.status, answer.text, answer.headers["allow"]) == (405, "sorry: 405", "POST, OPTIONS")
    assert client.request("/nowhere").text == "sorry: 404"
    assert client.request("/json", "OPTIONS").status == 204
    assert seen == [(HTTPError, None), (RouteNotFoundException, None)]


def test_without_debug_nothing_of_the_failure_is_told(app, serve):
    client = serve(app).client()
    for accept in ("*/*", BROWSER, "application/json"):
        text = client.request("/key", Accept=accept).text
        assert "the key" not in text
        assert "Traceback" not in text
        assert "test_pages" not in text


class TestDebug:
    def page(self, serve, app, target):
        answer = serve(app).get(target, Accept=BROWSER, Cookie="secret-cookie", Authorization="Basic secret")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "secret" not in answer.text
        assert "<script" not in answer.text
        return answer

    def test_a_browser_gets_a_page_with_the_source(self, debugged, serve):
        answer = self.page(serve, debugged, "/key?token=secret")
        assert answer.status == 500
        assert "<title>500 Internal Server Error</title>" in answer.text
        assert "<b>the key</b>" not in answer.text
        assert "&lt;b&gt;the key&lt;/b&gt;" in answer.text
        assert html.escape("GET /key \N{RIGHTWARDS ARROW} /key (key)") in answer.text
        marked = html.unescape(re.search(r"<b>(.*?)</b>", answer.text)[1])
        assert marked.strip().endswith('raise KeyError("<b>the key</b>" + password[:0])')
        assert "hidden value" not in answer.text  # what a variable held
        assert re.search(r"test_pages\.py:\d+ in key", answer.text)

    def test_others_get_the_traceback_as_text_or_json(self, debugged, serve):
        client = serve(debugged).client()
        answer = client.request("/key", Accept="*/*")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text.startswith("Traceback (most recent call last):")
        assert answer.text.strip().endswith("KeyError: '<b>the key</b>'")
        shown = json.loads(client.request("/key", Accept="application/json").body)
        assert shown["traceback"][-1] == "KeyError: '<b>the key</b>'"

    def test_an_http_error_is_a_small_page(self, debugged, serve):
        answer = self.page(serve, debugged, "/http")
        assert (answer.status, answer.headers["x-more"]) == (404, "yes")
        assert "no &lt;such&gt; user" in answer.text
        assert "Traceback" not in answer.text

    @pytest.mark.parametrize(
        ("target", "words"), [("/caused", "Its cause:"), ("/while", "It was raised while this was dealt with:")]
    )
    def test_what_led_to_it_is_shown_too(self, debugged, serve, target, words):
        text = self.page(serve, debugged, target).text
        outer, inner = text.split(f"<h2>{words}</h2>")
        assert "LookupError: outer" in outer
        assert "&lt;x&gt;" in inner

    def test_a_group_is_shown_with_all_that_is_in_it(self, debugged, serve):
        text = self.page(serve, debugged, "/group").text
        assert "ValueError: first &lt;one&gt;" in text
        assert "TypeError: second" in text

    def test_a_long_traceback_is_cut(self, debugged, serve):
        text = self.page(serve, debugged, "/deep").text
        assert re.search(r"and \d{3,} more", text)
        assert text.count("<pre>") == 40

    @pytest.mark.parametrize("target", ["/surrogate", "/surrogate-http", "/mute", "/long"])
    @pytest.mark.parametrize("accept", [BROWSER, "*/*", "application/json"])
    def test_odd_exceptions_are_shown_as_well_as_they_can_be(self, debugged, serve, target, accept):
        answer = serve(debugged).get(target, Accept=accept)
        assert answer.status == (400 if "http" in target else 500)
        assert answer.text not in ("", "Internal Server Error", "Bad Request")
        if target != "/long":
            assert {"/mute": "str() failed"}.get(target, r"\udc80") in answer.text.replace("\\\\", "\\")
        elif accept == BROWSER:
            assert len(answer.text) < 100_000

    def test_no_route_is_a_page_too(self, debugged, serve):
        answer = self.page(serve, debugged, "/nowhere?x=secret")
        assert answer.status == 404
        assert "GET /nowhere" in answer.text
        assert serve(debugged).get("/nowhere").text == "Not Found"

    def test_the_path_is_escaped(self, debugged, serve):
        answer = serve(debugged).get("/%3Cscript%3E/json", Accept="text/html, application/json;q=0.1")
        assert answer.status == 404
        assert "&lt;script&gt;" in answer.text
        assert "<script" not in answer.text


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("later", [False, True])
def test_an_error_in_an_error_handler_is_a_500_and_one_line_that_tells_of_both(serve, caplog, debug, later):
    app = Application(debug=debug)

    @app.get("/")
    def fails():
        raise KeyError("first")

    if later:

        @app.exception_handler(Exception)
        async def worse_later(request, error):
            raise RuntimeError("second")
    else:

        @app.exception_handler(Exception)
        def worse(request, error):
            raise RuntimeError("second")

    caplog.set_level(logging.ERROR, "vivace.error")
    answer = serve(app).get("/")
    assert answer.status == 500
    assert ("second" in answer.text) == debug
    (record,) = caplog.records
    assert record.exc_info[0] is RuntimeError
    assert record.getMessage() == "GET / failed: RuntimeError: second"
    assert str(record.exc_info[1].__context__) == "'first'"


@pytest.mark.parametrize("later", [False, True])
def test_an_error_handlers_answer_that_cannot_be_sent_is_a_500_and_a_log_line(serve, caplog, later):
    app = Application()

    @app.get("/")
    def fails():
        raise KeyError("first")

    async def unsendable_later(request, error):
        return "\udc80"

    app.add_error_handler(KeyError, unsendable_later if later else lambda request, error: "\udc80")
    answer = serve(app).get("/")
    assert (answer.status, answer.text) == (500, "Internal Server Error")
    (record,) = caplog.records
    assert record.getMessage().startswith("GET / failed while its error was answered: UnicodeEncodeError")


def test_a_detail_is_a_text():
    with pytest.raises(TypeError, match="takes a text for its detail"):
        HTTPError(400, {"a": 1})
