"""The faults of vivace's predecessor that are HTTP's or memory's, by their numbers (W1 to W7, H1 to H18). None may
come back.
"""

import json
import sys
from contextlib import suppress
from threading import Thread

import pytest
from wire import CLOSE, SECONDS, Wire, chunked, eventually, get, post, split, whole

from vivace import Application, Response

# Memory


def test_w1_two_pipelined_requests_to_an_awaiting_route_many_times(server):
    for _ in range(500):
        with Wire(server.port) as wire:
            wire.send(get("/later/1") + get("/later/2"))
            assert [answer.status for answer in wire.answers(2)] == [200, 200]
    with Wire(server.port) as wire:
        for _ in range(500):
            wire.send(get("/sleep/1/a") * 2)
            assert [answer.text for answer in wire.answers(2)] == ["a ", "a "]


@pytest.mark.parametrize("kind", ["later", "sleep/1", "at-once"])
def test_w2_ten_thousand_pipelined_awaiting_requests_are_answered_in_order(server, kind):
    count = 10_000
    with Wire(server.port) as wire:
        everything = b"".join(get(f"/{kind}/{number}") for number in range(count)) + CLOSE
        sender = Thread(target=wire.send, args=[everything])
        sender.start()
        answers = split(wire.until_closed())
        sender.join(SECONDS)
    assert len(answers) == count + 1
    for number, answer in enumerate(answers[:-1]):
        shown = json.loads(answer.text)["match"]["rest"] if kind == "later" else answer.text.strip()
        assert shown == str(number)


@pytest.mark.parametrize("size", [900, 1_000, 1_024, 1_100, 4_096, 30 * 1024])
@pytest.mark.parametrize("where", ["one", "many", "cookie", "type"])
def test_w3_response_headers_may_be_long(serve, size, where):
    app = Application()

    @app.get("/")
    async def long(request):
        match where:
            case "one":
                return Response("body", headers={"X-Long": "v" * size})
            case "many":
                return Response("body", headers=[(f"X-{number}", "v" * 90) for number in range(size // 90)])
            case "type":
                return Response("body", mime_type="text/" + "v" * size)
        response = Response("body")
        response.set_cookie("long", "v" * size)
        return response

    with Wire(serve(app).port) as wire:
        for _ in range(3):
            wire.send(get("/") * 2)
            for answer in wire.answers(2):
                assert answer.text == "body"
                assert sum(len(value) for _, value in answer.fields) >= size - 90


def test_w4_kept_requests_go_on_showing_their_own_data(serve):
    app = Application()
    kept = {}

    @app.post("/sync/{name}/{number:int}")
    def sync(request):
        kept[request.headers["X-Id"]] = request
        return "kept"

    @app.post("/untouched/{name}/{number:int}")
    def untouched(request):
        kept[f"u{len(kept)}"] = request
        return "kept"

    @app.post("/later/{name}/{number:int}")
    async def later(request):
        import asyncio

        await asyncio.sleep(0)
        kept[request.headers["X-Id"]] = request
        return "kept"

    @app.get("/clear")
    def clear(request):
        seen = [
            (
                key,
                one.path,
                one.headers["X-Id"],
                one.headers["X-Fill"],
                one.body,
                one.match_dict,
                one.query["q"],
                one.method,
            )
            for key, one in kept.items()
        ]
        kept.clear()
        return Response(json=[[*each[:4], each[4].decode(), *each[5:]] for each in seen])

    server = serve(app)
    expected, data = [], b""
    for number in range(3_000):
        kind = ("sync", "untouched", "later")[number % 3]
        key, body = f"id{number}", f"body of {number} " * (number % 7)
        target, fill = f"/{kind}/n%20{number}/{number}?q={number}", "f" * (number % 50)
        lines = [f"X-Id: {key}", f"X-Fill: {fill}"]
        if number % 5 == 0:
            data += chunked(target, *([body.encode()] if body else []), lines=lines)
        else:
            data += post(target, body.encode(), *lines)
        match = {"name": f"n {number}", "number": number}
        expected.append([f"/{kind}/n {number}/{number}", key, fill, body, match, str(number), "POST"])

    wires = [Wire(server.port) for _ in range(2)]
    wire, other = wires
    sender = Thread(target=wire.send, args=[data])
    sender.start()
    assert {answer.text for answer in wire.answers(3_000)} == {"kept"}
    sender.join(SECONDS)
    other.send(get("/none" + "y" * 500, "X-Id: other", "X-Fill: " + "z" * 500) * 3_000)
    assert {answer.status for answer in other.answers(3_000)} == {404}
    wire.send(get("/clear"))
    shown = sorted((one[1:] for one in json.loads(wire.answer().text)), key=lambda one: one[4]["number"])
    assert shown == expected
    for each in wires:
        each.close()


@pytest.mark.parametrize("count", [10, 11, 32])
@pytest.mark.parametrize("coroutine", [False, True])
def test_w5_as_many_placeholders_as_one_likes(serve, count, coroutine):
    app = Application()

    def sync(request):
        return request.match_dict

    async def later(request):
        return request.match_dict

    app.router.add_route("/" + "/".join(f"{{p{n}}}" for n in range(count)), later if coroutine else sync)
    with Wire(serve(app).port) as wire:
        wire.send(get("/" + "/".join(f"v{n}" for n in range(count))))
        assert json.loads(wire.answer().text) == {f"p{n}": f"v{n}" for n in range(count)}
        wire.send(get("/" + "/".join(f"v{n}" for n in range(count - 1))))
        assert wire.answer().status == 404


def test_w5_as_many_named_parameters_as_one_likes(serve):
    app = Application()

    @app.get("/" + "/".join(f"{{p{n}}}" for n in range(32)))
    def named(request, **params):
        return params

    with Wire(serve(app).port) as wire:
        wire.send(get("/" + "/".join(f"v{n}" for n in range(32))))
        assert json.loads(wire.answer().text) == {f"p{n}": f"v{n}" for n in range(32)}


def test_w5_text_and_json_both_given_is_an_error_in_the_handler(serve):
    app = Application()

    @app.get("/both")
    def both(request):
        return Response(text="a", json={})

    @app.get("/told")
    def told(request):
        with pytest.raises(TypeError):
            request.Response(text="a", json={})
        return "told"

    with Wire(serve(app).port) as wire:
        wire.send(get("/both") + get("/told"))
        assert [answer.status for answer in wire.answers(2)] == [500, 200]


def test_w6_parameters_of_one_connection_are_not_anothers(server):
    with Wire(server.port) as one, Wire(server.port) as other:
        for number in range(300):
            one.send(get(f"/later/one-{number}"))
            other.send(get(f"/later/other-{number}"))
            assert json.loads(one.answer().text)["match"] == {"rest": f"one-{number}"}
            assert json.loads(other.answer().text)["match"] == {"rest": f"other-{number}"}


OUT_OF_MEMORY = """
import resource
from vivace import Application

app = Application(limit_body_bytes=4 << 30, limit_body_memory_bytes=4 << 30)

@app.get("/")
def hello(request):
    return "hello"

@app.get("/limit")
def limit(request):
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + (96 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (now, now))
    return "limited"

app.run(port=0)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures itself in /proc")
def test_w7_a_request_that_finds_no_memory_ends_only_its_connection(start, tmp_path):
    (tmp_path / "page.py").write_text(OUT_OF_MEMORY)
    process = start("page.py")
    with Wire(process.port) as wire, Wire(process.port) as other:
        other.send(get("/limit"))
        assert other.answer().text == "limited"
        wire.send(get("/", "Content-Length: 2000000000", method="POST"))
        for _ in range(500):
            wire.try_send(b"x" * (1 << 20))
        with suppress(ConnectionError):
            assert wire.until_closed()[:12] in (b"", b"HTTP/1.1 503")
        other.send(get("/"))
        assert other.answer().text == "hello"
    assert process.stop()[0] == 0


# HTTP


def refused(server, data, status=400):
    """The answer is the last, and what lies behind it was never a request."""
    served = server.app.served
    answers = split(whole(server.port, data + get("/dump/smuggled")))
    assert [answer.status for answer in answers] == [status]
    assert answers[0].headers["connection"] == "close"
    assert server.app.served == served


def test_h1_a_length_and_chunks_are_refused(server):
    refused(server, post("/dump", b"0\r\n\r\n", "Transfer-Encoding: chunked"))
    refused(server, get("/dump", "Transfer-Encoding: chunked", "Content-Length: 5", method="POST") + b"0\r\n\r\n")


@pytest.mark.parametrize("second", ["3", "4", "03", "3, 3"])
def test_h2_a_second_length_is_refused(server, second):
    refused(server, post("/dump", b"abc", f"Content-Length: {second}"))


@pytest.mark.parametrize(
    ("coding", "status"),
    [("gzip, chunked", 501), ("xchunked", 501), ("identity", 501), ("chunked, gzip", 400), ("chunked, chunked", 400)],
)
def test_h3_other_codings_are_refused(server, coding, status):
    refused(server, get("/dump", f"Transfer-Encoding: {coding}", method="POST") + b"0\r\n\r\n", status)


def test_h4_chunks_on_http_1_0_are_refused(server):
    data = get("/dump", "Transfer-Encoding: chunked", method="POST", version="1.0") + b"0\r\n\r\n"
    refused(server, data)


@pytest.mark.parametrize("version", ["1.2", "1.9", "0.9", "2.0", "3.0"])
def test_h4_other_versions_are_answered_505(server, version):
    refused(server, get("/dump", version=version), 505)


def test_h4_no_host_bare_lf_and_folding_are_refused(server):
    refused(server, b"GET / HTTP/1.1\r\n\r\n")
    refused(server, b"GET / HTTP/1.1\nHost: test\n\n")
    refused(server, get("/", "X: a\r\n b"))


def test_h4_an_empty_line_before_a_request_is_taken(server, wire):
    connection = wire()
    connection.send(b"\r\n" + get("/"))
    assert connection.answer().status == 200


@pytest.mark.parametrize(
    "length", ["9" * 23, str(2**63), str(2**64), str(2**64 + 3), "+5", "-5", "4f", "", "5 5", "0x5"]
)
def test_h5_lengths_that_are_none_are_refused(server, length):
    refused(server, get("/dump", f"Content-Length: {length}", method="POST") + b"hello")


@pytest.mark.parametrize("evil", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\r\n\r\nHTTP/1.1 200 OK\r\n"])
def test_h6_a_response_cannot_be_split(serve, evil):
    app = Application()

    @app.get("/value")
    def value(request):
        return Response("x", headers={"X": evil})

    @app.get("/name")
    def name(request):
        return Response("x", headers={evil: "x"})

    @app.get("/type")
    async def type_(request):
        return Response("x", mime_type=evil)

    @app.get("/cookie")
    async def cookie(request):
        response = Response("x")
        response.set_cookie("name", "v", path=evil)
        return response

    targets = ["/value", "/name", "/type", "/cookie"]
    answers = split(whole(serve(app).port, b"".join(map(get, targets)) + CLOSE))
    assert [answer.status for answer in answers] == [500, 500, 500, 500, 404]
    assert not any("evil" in name for answer in answers for name, _ in answer.fields)


def test_h6_length_and_type_are_sent_once(serve):
    app = Application()

    @app.get("/length")
    def length(request):
        return Response("x", headers={"content-length": "5"})

    @app.get("/type")
    def type_(request):
        return Response("x", headers={"content-type": "text/odd"})

    with Wire(serve(app).port) as wire:
        wire.send(get("/length") + get("/type"))
        assert wire.answer().status == 500
        answer = wire.answer()
        assert answer.status == 500 or answer.headers["content-type"] == "text/odd"


@pytest.mark.parametrize("target", ["/dump", "/later/x", "/nowhere", "/fail", "/big/100000"])
def test_h7_head_has_no_body(server, target):
    for _ in range(2):
        data = get(target, method="HEAD") + get("/echo/behind") + CLOSE
        answers = split(whole(server.port, data), ["HEAD"])
        assert [answer.text for answer in answers[1:]] == ["behind ", "Hello world!"]
        assert int(answers[0].headers["content-length"]) > 0


@pytest.mark.parametrize("code", [204, 304])
def test_h7_no_content_means_none(server, code):
    answers = split(whole(server.port, get(f"/status/{code}") + get("/echo/behind") + CLOSE))
    assert [answer.status for answer in answers] == [code, 200, 200]
    assert answers[1].text == "behind "


def test_h8_a_client_that_asks_to_continue_is_told(wire):
    connection = wire()
    connection.send(get("/dump", "Expect: 100-continue", "Content-Length: 5", method="POST"))
    assert connection.answer().status == 100
    connection.send(b"hello")
    assert json.loads(connection.answer().text)["body"] == "hello"


@pytest.mark.parametrize("method", ["ET", "T", "G", "GETT", "get", "Get", "OST", "EA"])
def test_h9_a_part_of_a_method_is_another_method(wire, method):
    connection = wire()
    connection.send(get("/", method=method))
    answer = connection.answer()
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert connection.alive()


def test_h10_a_path_that_ends_early_is_another_path(serve):
    app = Application()
    app.router.add_route("/x/{q}/foo", lambda request: "found")
    with Wire(serve(app).port) as wire:
        for target, status in [("/x/abc", 404), ("/x/abc/", 404), ("/x/abc/fo", 404), ("/x/abc/foo", 200)]:
            wire.send(get(target))
            assert wire.answer().status == status, target


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("d=%26e%3D5", {"d": "&e=5"}),
        ("d=%2B&e=+", {"d": "+", "e": " "}),
        ("d=%252B", {"d": "%2B"}),
        ("d=%25%32%36", {"d": "%26"}),
        ("%26=%3D", {"&": "="}),
        ("a&b=", {"a": "", "b": ""}),
    ],
)
def test_h11_a_query_is_decoded_once(serve, query, shown):
    app = Application()

    @app.get("/")
    def echo(request):
        return [request.query_string, request.query.multi_items()]

    with Wire(serve(app).port) as wire:
        wire.send(get(f"/?{query}"))
        as_sent, items = json.loads(wire.answer().text)
    assert as_sent == query
    assert dict(items) == shown


@pytest.mark.parametrize("value", ["Close", "CLOSE", "close", "keep-alive, Close", "x ,\tcLose"])
def test_h12_close_is_understood_in_any_case(server, value):
    answers = split(whole(server.port, get("/", f"Connection: {value}") + get("/dump/behind")))
    assert len(answers) == 1
    assert answers[0].headers["connection"] == "close"


def test_h12_keep_alive_is_understood_in_any_case(wire):
    connection = wire()
    connection.send(get("/", "Connection: Keep-Alive", version="1.0"))
    assert connection.answer().headers["connection"] == "keep-alive"
    assert connection.alive()


def test_h12_close_within_a_word_is_not_close(wire):
    connection = wire()
    connection.send(get("/", "Connection: not-close, closed, X-close"))
    connection.answer()
    assert connection.alive()


@pytest.mark.parametrize("target", ["/", "/later/x", "/sleep/20/x"])
@pytest.mark.parametrize("behind", [b"garbage\r\n\r\n", b"\0", b"G@T / HTTP/1.1\r\n\r\n"])
def test_h13_answers_before_a_bad_end_are_not_lost(server, target, behind):
    answers = split(whole(server.port, get(target) * 3 + behind))
    assert [answer.status for answer in answers] == [200, 200, 200, 400]


@pytest.mark.parametrize("target", ["/", "/later/x", "/sleep/20/x"])
def test_h13_answers_before_a_last_request_are_not_lost(server, target):
    answers = split(whole(server.port, get(target) * 2 + CLOSE + get("/dump/behind")))
    assert [answer.status for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize("target", ["/echo/first", "/later/first", "/fail", "/nowhere"])
def test_h14_a_finished_answer_does_not_wait_for_a_slow_one_behind_it(wire, target):
    connection, other = wire(), wire()
    connection.send(get(target) + get("/wait/h14") + get("/echo/last"))
    assert connection.answer().status in (200, 500, 404)
    assert connection.silent()
    other.send(get("/open/h14"))
    assert connection.answer().text == "waited for h14"
    assert connection.answer().text == "last "


FAULTY = {
    "an exception behind a response": lambda request: [request.Response("never"), 1 / 0],
    "a status that is none": lambda request: Response("x", code=1000),
    "a status that is no number": lambda request: Response("x", code="abc"),
    "a value that is no text": lambda request: Response("x", headers={"X": object()}),
    "a name that is no text": lambda request: Response("x", headers={1: "x"}),
    "headers that are none": lambda request: Response("x", headers=[1, 2]),
    "nothing": lambda request: None,
    "a class": lambda request: Response,
    "something else": lambda request: 5,
    "text that cannot be encoded": lambda request: "\udc80",
    "what is no json": lambda request: {"x": object()},
}


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("coroutine", [False, True])
def test_h15_a_faulty_handler_is_a_500_and_the_connection_stays(serve, name, coroutine):
    app = Application()
    faulty = FAULTY[name]

    async def later(request):
        return faulty(request)

    app.router.add_route("/faulty", later if coroutine else faulty)
    app.router.add_route("/fine", lambda request: "fine")
    with Wire(serve(app).port) as wire:
        wire.send(get("/faulty") + get("/fine"))
        assert [answer.status for answer in wire.answers(2)] == [500, 200]


def test_h15_an_unregistered_status_and_a_list_of_headers_are_fine(serve):
    app = Application()
    app.router.add_route("/", lambda request: Response("x", code=799, headers=[("X-A", "1"), ("X-B", "2")]))
    with Wire(serve(app).port) as wire:
        wire.send(get("/"))
        answer = wire.answer()
    assert (answer.status, answer.headers["x-a"], answer.headers["x-b"]) == (799, "1", "2")


def test_h16_each_mistake_has_its_status(server, wire):
    fields = [f"X-{number}: x" for number in range(51)]
    for data, status in [
        (get("/dump", *fields), 200),
        (get("http://test/dump"), 200),
        (get("*", method="OPTIONS"), 204),
        (get("/", method="DELETE"), 405),
    ]:
        connection = wire()
        connection.send(data)
        assert connection.answer().status == status
        assert connection.alive()
    refused(server, get("/dump/%ff"))
    refused(server, get("/", "Content-Length: 999999999999", method="POST"), 413)
    refused(server, get("/" + "x" * 40_000), 414)
    refused(server, get("/", "X: " + "x" * 40_000), 431)
    refused(server, get("test:80", method="CONNECT"), 501)
    refused(server, get("/", version="1.7"), 505)


@pytest.mark.parametrize("target", ["/", "/later/x", "/sleep/20/x", "/big/3000000", "/big-later/3000000"])
def test_h18_a_client_that_has_shut_its_side_gets_its_answers(server, target):
    with Wire(server.port) as wire:
        wire.send(get(target) * 3)
        wire.end()
        assert [answer.status for answer in split(wire.until_closed())] == [200, 200, 200]
    eventually(lambda: server.running.server.connections == 0)
