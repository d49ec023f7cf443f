"""Which connections stay, and what the methods, targets and expectations of HTTP/1 are answered with (RFC 9110 and
9112).
"""

import json

import pytest
from wire import CLOSE, CONTINUE, Wire, chunked, eventually, get, post, sending_on, split, whole

from vivace import Application

# Staying and closing


@pytest.mark.parametrize(
    ("version", "values", "stays", "says"),
    [
        ("1.1", [], True, None),
        ("1.1", ["keep-alive"], True, None),
        ("1.1", ["close"], False, "close"),
        ("1.1", ["CLOSE"], False, "close"),
        ("1.1", ["keep-alive, close"], False, "close"),
        ("1.1", ["close, keep-alive"], False, "close"),
        ("1.1", ["keep-alive", "close"], False, "close"),
        ("1.1", ["close", "keep-alive"], False, "close"),
        ("1.1", ["TE,close"], False, "close"),
        ("1.1", [" ,, close ,"], False, "close"),
        ("1.1", [""], True, None),
        ("1.1", ["upgrade"], True, None),
        ("1.1", ["closed"], True, None),
        ("1.1", ["close;x"], True, None),
        ("1.0", [], False, "close"),
        ("1.0", ["keep-alive"], True, "keep-alive"),
        ("1.0", ["Keep-Alive"], True, "keep-alive"),
        ("1.0", ["KEEP-ALIVE"], True, "keep-alive"),
        ("1.0", ["x, keep-alive"], True, "keep-alive"),
        ("1.0", ["close"], False, "close"),
        ("1.0", ["keep-alive, close"], False, "close"),
        ("1.0", ["keep-alives"], False, "close"),
    ],
)
@pytest.mark.parametrize("target", ["/dump", "/later/x", "/nowhere", "/fail"])
def test_whether_a_connection_stays(server, target, *, version, values, stays, says):
    lines = [f"Connection: {value}" for value in values]
    with Wire(server.port) as wire:
        wire.send(get(target, *lines, version=version))
        answer = wire.answer()
        assert answer.headers.get("connection") == says
        if stays:
            assert wire.alive()
        else:
            assert wire.until_closed() == b""


def test_http_1_0_needs_no_host(wire):
    connection = wire()
    connection.send(b"GET /dump HTTP/1.0\r\n\r\n")
    shown = json.loads(connection.answer().text)
    assert (shown["version"], shown["headers"]) == ("1.0", [])


def test_answers_are_http_1_1_and_dated(wire):
    connection = wire()
    connection.send(get("/", "Connection: keep-alive", version="1.0") + get("/nowhere") + get("/fail"))
    for answer in connection.answers(3):
        assert "date" in answer.headers


@pytest.mark.parametrize("target", ["/closing", "/closing-later"])
def test_an_answer_may_close(server, target):
    answers = split(whole(server.port, get(target) + get("/dump/never")))
    assert [answer.headers.get("connection") for answer in answers] == ["close"]


@pytest.mark.parametrize("target", ["/closing", "/closing-later"])
def test_who_is_closed_on_while_sending_on_gets_the_answer(server, wire, target):
    """A reset would destroy it: what the client has sent meanwhile is read before the end (RFC 9112 section 9.6)."""
    other = wire()

    def talk(connection):
        connection.send(get(target))
        eventually(lambda: not connection.silent())
        for _ in range(10):
            connection.send(get("/dump/never") * 100)
            other.send(get("/"))
            other.answer()
        return split(connection.until_closed())

    assert [answer.text for answer in sending_on(server.port, talk)] == ["closing"]


# Expectations


@pytest.mark.parametrize("target", ["/dump", "/later/x"])
@pytest.mark.parametrize("value", ["100-continue", "100-Continue"])
def test_a_client_is_told_to_go_on(wire, target, value):
    connection = wire()
    for _ in range(3):
        connection.send(get(target, f"Expect: {value}", "Content-Length: 5", method="POST"))
        assert connection.answer().status == 100
        assert connection.silent()
        connection.send(b"hello")
        assert json.loads(connection.answer().text)["body"] == "hello"


def test_a_client_is_told_to_go_on_with_chunks(wire):
    connection = wire()
    connection.send(get("/dump", "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST"))
    assert connection.answer().status == 100
    connection.send(b"5\r\nhello\r\n0\r\n\r\n")
    assert json.loads(connection.answer().text)["body"] == "hello"
    assert connection.alive()


@pytest.mark.parametrize(
    "data",
    [
        post("/dump", b"hello", "Expect: 100-continue"),
        chunked("/dump", b"hello", lines=["Expect: 100-continue"]),
        post("/dump", b"", "Expect: 100-continue"),
        get("/dump", "Expect: 100-continue"),
    ],
)
def test_who_sends_the_body_along_is_not_told(server, data):
    assert CONTINUE not in whole(server.port, data + CLOSE)


def test_who_has_begun_with_the_body_is_not_told(server, wire):
    connection, other = wire(), wire()
    connection.send(get("/dump", "Expect: 100-continue", "Content-Length: 5", method="POST") + b"he")
    other.send(get("/"))
    other.answer()
    assert connection.silent()
    connection.send(b"llo")
    assert connection.answer().status == 200


def test_http_1_0_is_not_told(wire):
    connection, other = wire(), wire()
    connection.send(get("/dump", "Expect: 100-continue", "Content-Length: 5", method="POST", version="1.0"))
    other.send(get("/"))
    other.answer()
    assert connection.silent()
    connection.send(b"hello")
    assert connection.answer().status == 200


@pytest.mark.parametrize("value", ["200-ok", "100-continue-not", "100-continue, other", "x", ""])
def test_other_expectations_are_417(server, value):
    data = get("/dump", f"Expect: {value}", "Content-Length: 5", method="POST") + b"hello"
    answers = split(whole(server.port, data + get("/dump/never")))
    assert [answer.status for answer in answers] == [417]


def test_go_on_does_not_overtake_a_slow_answer(wire):
    connection, other = wire(), wire()
    connection.send(get("/wait/it") + get("/dump", "Expect: 100-continue", "Content-Length: 5", method="POST"))
    other.send(get("/"))
    other.answer()
    assert connection.silent()
    other.send(get("/open/it"))
    assert connection.answer().text == "waited for it"
    assert connection.answer().status == 100
    connection.send(b"hello")
    assert json.loads(connection.answer().text)["body"] == "hello"


@pytest.mark.parametrize("target", ["/dump", "/later/x"])
@pytest.mark.parametrize("parts", [[b"hello"], [b"he", b"llo"]])
def test_who_did_not_wait_behind_a_slow_answer_is_not_told_to_go_on_afterwards(server, wire, target, parts):
    connection, other = wire(), wire()
    connection.send(get("/wait/it") + get(target, "Expect: 100-continue", "Content-Length: 5", method="POST"))
    for part in parts:
        other.send(get("/"))
        other.answer()
        connection.send(part)
    other.send(get("/open/it"))
    other.answer()
    connection.send(CLOSE)
    assert [answer.status for answer in split(connection.until_closed())] == [200, 200, 200]


# Methods and answers without a body


@pytest.mark.parametrize(
    "target", ["/", "/at-once/x", "/sleep/1/x", "/nowhere", "/fail", "/status/404", "/big/1000000"]
)
def test_head_says_what_get_says_without_the_body(wire, target):
    connection = wire()
    connection.send(get(target))
    got = connection.answer()
    connection.send(get(target, method="HEAD") + get("/echo/behind"))
    head = connection.answer("HEAD")
    assert connection.answer().text == "behind "
    for answer in (got, head):
        del answer.headers["date"]
    assert (head.status, head.headers) == (got.status, got.headers)


@pytest.mark.parametrize("data", [get("/dump/%zz", method="HEAD"), get("/dump/%ff", method="HEAD")])
def test_head_has_no_body_even_when_refused(server, data):
    (answer,) = split(whole(server.port, data), ["HEAD"])
    assert answer.status == 400


def test_head_has_a_route_of_its_own_if_asked_for(serve):
    app = Application()
    app.get("/")(lambda request: "get")
    app.head("/")(lambda request: "a longer text")
    with Wire(serve(app).port) as wire:
        wire.send(get("/", method="HEAD"))
        assert wire.answer("HEAD").headers["content-length"] == "13"


@pytest.mark.parametrize("code", [204, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_content(wire, code, method):
    connection = wire()
    connection.send(get(f"/status/{code}", method=method) + get("/echo/behind"))
    answer = connection.answer("HEAD")
    assert answer.status == code
    assert "content-length" not in answer.headers
    assert connection.answer().text == "behind "


def test_options_lists_the_methods(wire):
    connection = wire()
    connection.send(get("/dump", method="OPTIONS") + get("/", method="OPTIONS") + get("/nowhere", method="OPTIONS"))
    dump, root, nowhere = connection.answers(3)
    assert set(dump.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}
    assert set(root.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert (dump.status, root.status, nowhere.status) == (204, 204, 404)
    assert connection.alive()


def test_options_of_the_server(wire):
    connection = wire()
    connection.send(get("*", method="OPTIONS"))
    answer = connection.answer()
    assert answer.status == 204
    assert {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} <= set(answer.headers["allow"].split(", "))
    assert connection.alive()


@pytest.mark.parametrize("method", ["PATCH", "BREW", "X-ODD!", "get", "Options"])
def test_a_known_path_with_another_method_is_405(wire, method):
    connection = wire()
    connection.send(get("/dump", method=method) + post("/dump", b"a body", method=method) + get("/echo/behind"))
    for answer in connection.answers(2):
        assert answer.status == 405
        assert "GET" in answer.headers["allow"]
    assert connection.answer().text == "behind "


def test_a_path_that_is_not_known_is_404(wire):
    connection = wire()
    connection.send(post("/nowhere", b"a body") + chunked("/nowhere", b"a", b"body") + get("/echo/behind"))
    assert [answer.status for answer in connection.answers(3)] == [404, 404, 200]


def test_a_body_that_nobody_asked_for_is_read_all_the_same(wire):
    connection = wire()
    connection.send(post("/dump", b"unusual", method="GET") + post("/", b"unread", method="GET") + get("/echo/x"))
    first, *others = connection.answers(3)
    assert json.loads(first.text)["body"] == "unusual"
    assert [answer.text for answer in others] == ["Hello world!", "x "]


@pytest.mark.parametrize("version", ["0.9", "1.2", "1.10", "2.0", "3.0", "9.9"])
def test_other_versions_are_505_or_400(server, version):
    answers = split(whole(server.port, get("/", version=version)))
    assert [answer.status for answer in answers] == [400 if version == "1.10" else 505]


def test_connect_is_501(server):
    answers = split(whole(server.port, b"CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n" + get("/dump/never")))
    assert [answer.status for answer in answers] == [501]


# Targets


@pytest.mark.parametrize(
    ("target", "path", "rest"),
    [
        ("/dump/a%20b", "/dump/a b", "a b"),
        ("/dump/%41%c3%a9", "/dump/Aé", "Aé"),
        ("/dump/a%2Fb/c", "/dump/a/b/c", "a/b/c"),
        ("/dump/a//b", "/dump/a//b", "a//b"),
        ("/dump/a/../b/./c", "/dump/a/../b/./c", "a/../b/./c"),
        ("/dump/%25", "/dump/%", "%"),
        ("/dump/a+b;c=d,e", "/dump/a+b;c=d,e", "a+b;c=d,e"),
        ("/%64ump/x", "/dump/x", "x"),
    ],
)
def test_paths_are_decoded_once(wire, target, path, rest):
    connection = wire()
    connection.send(get(target))
    shown = json.loads(connection.answer().text)
    assert (shown["path"], shown["match"], shown["raw_path"]) == (path, {"rest": rest}, target)


def test_an_encoded_slash_does_not_split_a_segment(wire):
    connection = wire()
    connection.send(get("/echo/a%2Fb") + get("/echo/a/b") + get("/echo/a%2fb%2F"))
    answers = connection.answers(3)
    assert [answer.status for answer in answers] == [200, 404, 200]
    assert [answers[0].text, answers[2].text] == ["a/b ", "a/b/ "]


@pytest.mark.parametrize(
    "target", ["/echo/%", "/echo/%4", "/echo/%zz", "/echo/a%0", "/echo/%u0041", "/%", "/nowhere/%"]
)
def test_invalid_escapes_are_400(server, target):
    answers = split(whole(server.port, get(target) + get("/dump/never")))
    assert [answer.status for answer in answers] == [400]


@pytest.mark.parametrize("escapes", ["%ff", "%c3", "%c0%af", "%ed%a0%80", "%f5%80%80%80", "%80", "%e2%82", "%00"])
def test_invalid_utf_8_is_400(server, escapes):
    answers = split(whole(server.port, get(f"/echo/{escapes}") + get("/dump/never")))
    assert [answer.status for answer in answers] == [400]


@pytest.mark.parametrize("target", ["/dump/", "/echo/a/", "//", "//dump", "/dump//"])
def test_a_trailing_slash_is_significant(wire, target):
    connection = wire()
    connection.send(get(target))
    answer = connection.answer()
    assert answer.status == 404 or json.loads(answer.text)["path"] == target
    assert connection.alive()


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://test/dump", "/dump", None),
        ("http://test/dump?a=b", "/dump", "a=b"),
        ("HTTP://test:8080/dump", "/dump", None),
        ("https://test/dump?", "/dump", ""),
        ("http://[::1]:80/dump", "/dump", None),
    ],
)
def test_absolute_form(wire, target, path, query):
    connection = wire()
    connection.send(get(target))
    shown = json.loads(connection.answer().text)
    assert shown["path"] == path
    assert (shown["query"] or None) == (query or None)


def test_absolute_form_without_a_path_is_the_root(wire):
    connection = wire()
    connection.send(get("http://test") + get("http://test?x=y") + get("http://test", method="OPTIONS"))
    answers = connection.answers(3)
    assert [answer.text for answer in answers[:2]] == ["Hello world!"] * 2
    assert answers[2].status in (200, 204)


@pytest.mark.parametrize(
    "target", ["*", "dump", "", "?x", "#x", "/dump#x", "http:", "http://", "http:///dump", "ftp:/x"]
)
def test_targets_that_are_none_are_400(server, target):
    answers = split(whole(server.port, get(target) + get("/dump/never")))
    assert [answer.status for answer in answers] == [400]


# Fields


def test_fields_arrive_as_they_were_sent(wire):
    lines = [
        "X-A: 1",
        "x-a: 2",
        "X-B:no space",
        "X-C:   around \t ",
        "X-D:",
        "X-E: caf\xe9 \x80",
        'X-F: "a, b"',
        "!#$%&'*+-.^_`|~9: x",
    ]
    data = "\r\n".join(["GET /dump HTTP/1.1", "Host: test", *lines, "", ""]).encode("latin-1")
    connection = wire()
    connection.send(data)
    shown = json.loads(connection.answer().text)["headers"]
    want = [["Host", "test"], ["X-A", "1"], ["x-a", "2"], ["X-B", "no space"], ["X-C", "around"], ["X-D", ""]]
    assert shown[:6] == want
    assert shown[6][1] in ("caf\xe9 \x80", "caf\udce9 \udc80")
    assert shown[7:] == [["X-F", '"a, b"'], ["!#$%&'*+-.^_`|~9", "x"]]


def test_trailers_are_read_and_left_out(wire):
    connection = wire()
    connection.send(chunked("/dump", b"x", trailers=b"X-Trailer: 1\r\nContent-Length: 5\r\n") + get("/echo/behind"))
    shown = json.loads(connection.answer().text)
    assert shown["body"] == "x"
    assert "X-Trailer" not in dict(shown["headers"])
    assert connection.answer().text == "behind "


def test_cookies_keep_their_attributes(serve):
    app = Application()

    @app.get("/")
    def cookies(request):
        response = request.Response("x")
        response.set_cookie("a", "1", path="/p", max_age=60, secure=True, httponly=True, samesite="Lax")
        response.set_cookie("b", "2")
        return response

    with Wire(serve(app).port) as wire:
        wire.send(get("/"))
        first, second = (value for name, value in wire.answer().fields if name == "set-cookie")
    assert first.startswith("a=1;")
    assert {part.strip().lower() for part in first.split(";")[1:]} == {
        "path=/p",
        "max-age=60",
        "secure",
        "httponly",
        "samesite=lax",
    }
    assert second.lower().replace(" ", "") == "b=2;path=/"
