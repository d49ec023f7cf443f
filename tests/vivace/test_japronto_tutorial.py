"""What Japronto's tutorial teaches works here: every habit of its eight chapters, with no change but the import.

Where vivace differs by decision, the test says so. The tables of what users write are in docs/guide/from-japronto.md.
"""

import asyncio
import json
import sqlite3
import threading
from http.cookies import SimpleCookie
from json import JSONDecodeError

import pytest
from waiting import SECONDS

from vivace import Application, RouteNotFoundException


def test_the_class_can_be_imported_from_where_the_tutorial_does():
    from vivace.app import Application as FromApp

    assert FromApp is Application


# 1: hello


def test_hello(serve):
    def hello(request):
        return request.Response(text="Hello world!")

    app = Application()
    app.router.add_route("/", hello)
    answer = serve(app).get("/")
    assert (answer.status, answer.text) == (200, "Hello world!")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


# 2: async


def test_async_handlers_let_others_be_served_meanwhile(serve):
    go_on = None

    def at_once(request):
        return request.Response(text="at once")

    async def slowly(request):
        nonlocal go_on
        go_on = asyncio.Event()
        for _ in range(3):
            await asyncio.sleep(0.001)
        await go_on.wait()
        return request.Response(text="later")

    def open_it(request):
        go_on.set()
        return request.Response(text="opened")

    app = Application()
    app.router.add_route("/sync", at_once)
    app.router.add_route("/async", slowly)
    app.router.add_route("/open", open_it)
    served = serve(app)
    waiting, other = served.client(), served.client()
    waiting.send("GET /async HTTP/1.1\r\nHost: a\r\n\r\n")
    assert other.request("/sync").text == "at once"
    while go_on is None:
        assert other.request("/sync").text == "at once"
    assert other.request("/open").text == "opened"
    assert waiting.answer().text == "later"


# 3: router


@pytest.fixture
def routed(serve):
    def slash(request):
        return request.Response(text=f"Hello {request.method} /!")

    def love(request):
        return request.Response(text="Got some love")

    def method(request):
        return request.Response(text=request.method)

    def params(request):
        return request.Response(text=str(request.match_dict))

    app = Application()
    router = app.router
    router.add_route("/", slash)
    router.add_route("/love", love, "GET")
    router.add_route("/methods", method, methods=["POST", "DELETE"])
    router.add_route("/params/{p1}/{p2}", params)
    router.add_route("/literal/{{brace}}", params)
    return serve(app).client()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "BREW"])
def test_a_route_without_methods_takes_any(routed, method):
    assert routed.request("/", method).text == f"Hello {method} /!"


def test_a_route_with_methods_takes_no_others(routed):
    assert routed.request("/love").text == "Got some love"
    assert routed.request("/methods", "POST").text == "POST"
    assert routed.request("/methods", "DELETE").text == "DELETE"
    for target, method in (("/love", "POST"), ("/methods", "GET"), ("/methods", "PUT")):
        assert routed.request(target, method).status == 405  # Japronto: 404


def test_placeholders_are_in_match_dict(routed):
    assert routed.request("/params/1/2").text == "{'p1': '1', 'p2': '2'}"
    assert routed.request("/params/1/2", "POST").text == "{'p1': '1', 'p2': '2'}"
    assert routed.request("/params/1").status == 404
    assert routed.request("/params/1/2/3").status == 404
    assert routed.request("/params/1/").status == 404
    assert routed.request("/literal/%7Bbrace%7D").text == "{}"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("/a/{b", "brace"),
        ("/a/{b{c}", "brace"),
        ("/a/b}", "brace"),
        ("/{a}b/c", "{a}"),
        ("/{a}{b}", "{a}"),
        ("/{a}/{a}", '"a"'),
        ("/{}", "name"),
    ],
)
def test_malformed_patterns_are_errors_at_registration(pattern, why):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        Application().router.add_route(pattern, lambda request: "")
    assert why in str(caught.value)
    assert pattern in str(caught.value)


def test_method_and_methods_together_are_an_error():
    with pytest.raises(ValueError, match="give one of them"):
        Application().router.add_route("/", lambda request: "", method="GET", methods=["POST"])


def test_add_route_returns_the_route():
    def handler(request):
        return ""

    route = Application().router.add_route("/a/{b}", handler, methods=["get", "post"])
    assert (route.pattern, route.handler, route.methods) == ("/a/{b}", handler, {"GET", "POST"})


# 4: request


@pytest.fixture
def shown(serve):
    def basic(request):
        text = (
            f"{request.method} {request.path} {request.version} {request.query_string} {dict(request.query)}\n"
            f"{request.query}\n"
        )
        for name, value in request.headers.items():
            text += f"{name}: {value}\n"
        return request.Response(text=text)

    def body(request):
        text = f"{request.mime_type} {request.encoding} {request.body} {request.text}"
        try:
            text += f" {request.json}"
        except JSONDecodeError:
            text += " no JSON"
        return request.Response(text=text)

    def misc(request):
        text = f"{request.hostname} {request.port} {request.remote_addr} {request.keep_alive} {request.match_dict}"
        text += f" {request.route.pattern}"
        for name, value in request.cookies.items():
            text += f" {name}={value}"
        return request.Response(text=text)

    app = Application()
    app.router.add_route("/basic", basic)
    app.router.add_route("/body", body)
    app.router.add_route("/misc", misc)
    return serve(app).client()


def test_basic_attributes(shown):
    lines = shown.request("/basic?a=1", X_Long_Name="value").text.splitlines()
    assert lines[0] == "GET /basic 1.1 a=1 {'a': '1'}"
    assert lines[1] == "MultiDict([('a', '1')])"  # Japronto: a dict
    assert lines[2:] == ["Host: test", "X-Long-Name: value"]
    assert shown.request("/basic").text.startswith("GET /basic 1.1 None {}\n")
    assert shown.request("/basic?").text.startswith("GET /basic 1.1  {}\n")


def test_query_parameters_are_decoded_once(shown):
    first = shown.request("/basic?d=%26e%3D5&f=%2B").text.splitlines()[0]
    assert first == "GET /basic 1.1 d=%26e%3D5&f=%2B {'d': '&e=5', 'f': '+'}"  # Japronto: decoded twice


def test_body_attributes(shown):
    text = shown.request("/body", "POST", "J\xc3\xa1".encode("latin-1"), Content_Type="text/plain; charset=utf-8").text
    assert text == "text/plain utf-8 b'J\\xc3\\xa1' J\xe1 no JSON"
    text = shown.request("/body", "POST", b'{"a": [1]}', Content_Type="application/json").text
    assert text == "application/json None b'{\"a\": [1]}' {\"a\": [1]} {'a': [1]}"
    assert shown.request("/body").text == "None None None None None"


@pytest.mark.parametrize("blocking", [False, True])
def test_forms_and_files(serve, blocking):
    def show(request):
        files = {field: [file.name, file.type, file.body.decode()] for field, file in request.files.items()}
        return request.Response(json={"form": dict(request.form), "files": files})

    app = Application()
    app.router.add_route("/", show, blocking=blocking)
    client = serve(app).client()
    answer = client.request("/", "POST", b"a=1&b=2+3", Content_Type="application/x-www-form-urlencoded")
    assert json.loads(answer.body) == {"form": {"a": "1", "b": "2 3"}, "files": {}}
    part = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    parts = [
        part.format("a", "", "1"),
        part.format("doc", '; filename="d.txt"\r\nContent-Type: text/plain', "text"),
        "--x--\r\n",
    ]
    answer = client.request("/", "POST", "".join(parts).encode(), Content_Type="multipart/form-data; boundary=x")
    assert json.loads(answer.body) == {"form": {"a": "1"}, "files": {"doc": ["d.txt", "text/plain", "text"]}}
    assert json.loads(client.request("/").body) == {"form": {}, "files": {}}  # Japronto: None


def test_misc_attributes(shown):
    text = shown.request("/misc", Host="h:8080", Cookie="a=1; b=2").text
    assert text == "h 8080 127.0.0.1 True {} /misc a=1 b=2"
    assert shown.request("/misc", Host="h").text.startswith("h None ")  # Japronto: TypeError
    assert shown.request("/misc", Host="[::1]:80").text.startswith("::1 80 ")  # Japronto: ValueError
    assert shown.request("/misc", Connection="close").text.split()[3] == "False"


# 5: response


def baked():
    cookies = SimpleCookie()
    cookies["hello"] = "world"
    cookies["hello"]["domain"] = "localhost"
    cookies["hello"]["path"] = "/"
    cookies["hello"]["max-age"] = 3600
    cookies["city"] = "São Paulo"
    return cookies


MADE = {
    "text": lambda request: request.Response(text="Hello world!"),
    "encoding": lambda request: request.Response(text="Já pronto!", encoding="iso-8859-1"),
    "mime": lambda request: request.Response(mime_type="image/svg+xml", text="<svg/>"),
    "body": lambda request: request.Response(body=b"\xde\xad\xbe\xef"),
    "json": lambda request: request.Response(json={"hello": "world"}),
    "headers": lambda request: request.Response(text="headers", headers={"X-Header": "Value", "Refresh": "5; url=/"}),
    "cookies": lambda request: request.Response(text="cookies", cookies=baked()),
    "positional": lambda request: request.Response("gone", 410),
    "all": lambda request: request.Response(
        "text", 201, None, None, "text/html", "utf-8", {"X-A": "1"}, SimpleCookie({"a": "1"})
    ),
}


@pytest.fixture
def made(serve):
    app = Application()
    for name, handler in MADE.items():
        app.router.add_route(f"/{name}", handler)
    app.router.add_route("/code/{code}", lambda request: request.Response(code=int(request.match_dict["code"])))
    return serve(app).client()


@pytest.mark.parametrize(
    ("name", "body", "media_type"),
    [
        ("text", b"Hello world!", "text/plain; charset=utf-8"),
        ("encoding", "Já pronto!".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        ("mime", b"<svg/>", "image/svg+xml"),
        ("body", b"\xde\xad\xbe\xef", "application/octet-stream"),
        ("json", b'{"hello":"world"}', "application/json"),  # Japronto: with a charset, which JSON has none of
    ],
)
def test_bodies_and_their_types(made, name, body, media_type):
    made.send(f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n")
    file = made._file
    head = b"".join(iter(file.readline, b"\r\n")).decode("latin-1")
    fields = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    assert fields["Content-Type"] == media_type
    assert file.read(int(fields["Content-Length"])) == body


@pytest.mark.parametrize("code", [200, 201, 400, 404, 500, 308, 418, 422, 429, 451])
def test_any_code(made, code):
    answer = made.request(f"/code/{code}")  # Japronto: not the newer ones
    assert (answer.status, answer.body) == (code, b"")


def test_headers_and_cookies(made):
    answer = made.request("/headers")
    assert (answer.headers["x-header"], answer.headers["refresh"]) == ("Value", "5; url=/")
    cookies = sorted(value for name, value in made.request("/cookies").fields if name == "set-cookie")
    assert len(cookies) == 2
    assert cookies[0].startswith("city=")
    assert cookies[1] == "hello=world; Domain=localhost; Max-Age=3600; Path=/"


def test_positional_parameters(made):
    answer = made.request("/positional")
    assert (answer.status, answer.text) == (410, "gone")
    answer = made.request("/all")
    assert (answer.status, answer.text) == (201, "text")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert (answer.headers["x-a"], answer.headers["set-cookie"]) == ("1", "a=1")


# 6: exceptions


class KittyError(Exception):
    def __init__(self):
        super().__init__()
        self.greet = "meow"


class DoggieError(Exception):
    def __init__(self):
        super().__init__()
        self.greet = "woof"


def test_exceptions_have_handlers(serve):
    def cat(request):
        raise KittyError

    async def dog(request):
        raise DoggieError

    def unhandled(request):
        return 1 / 0

    app = Application()
    app.router.add_route("/cat", cat)
    app.router.add_route("/dog", dog)
    app.router.add_route("/unhandled", unhandled)
    app.add_error_handler(KittyError, lambda request, error: request.Response(text=f"Just a kitty, {error.greet}"))
    app.add_error_handler(DoggieError, lambda request, error: request.Response(text=f"Just a doggie, {error.greet}"))
    app.add_error_handler(
        RouteNotFoundException, lambda request, error: request.Response(code=404, text="Are you lost, pal?")
    )
    client = serve(app).client()
    assert client.request("/cat").text == "Just a kitty, meow"
    assert client.request("/dog").text == "Just a doggie, woof"
    answer = client.request("/unhandled")
    assert (answer.status, answer.text) == (500, "Internal Server Error")
    answer = client.request("/nowhere")
    assert (answer.status, answer.text) == (404, "Are you lost, pal?")


# 7: extending requests


def test_requests_are_extended(serve):
    called = threading.Event()

    def hello(request):
        agent = request.reversed_agent if request.host_startswith("api.") else "stranger"
        return request.Response(text=f"Hello {agent}")

    def with_callback(request):
        def callback(done):
            assert done is request
            called.set()

        request.add_done_callback(callback)
        return request.Response(text="cb")

    def reversed_agent(request):
        return request.headers["User-Agent"][::-1]

    def host_startswith(request, prefix):
        return request.headers["Host"].startswith(prefix)

    app = Application()
    app.extend_request(reversed_agent, property=True)
    app.extend_request(host_startswith)
    app.router.add_route("/", hello)
    app.router.add_route("/callback", with_callback)
    client = serve(app).client()
    assert client.request("/", Host="api.x", User_Agent="agent").text == "Hello tnega"
    assert client.request("/", Host="x").text == "Hello stranger"
    assert client.request("/callback").text == "cb"
    assert called.wait(SECONDS)


# 8: HTML, and the example of an API with a database


def test_html(serve):
    app = Application()
    app.router.add_route("/", lambda request: request.Response(text="<h1>Hello</h1>", mime_type="text/html"))
    assert serve(app).get("/").headers["content-type"] == "text/html; charset=utf-8"


def test_todo_api(serve, tmp_path):
    file, closed = tmp_path / "todo.sqlite", []
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE todos (id INTEGER PRIMARY KEY, todo TEXT)")
    db.close()

    def cursor(request):
        def done(request):
            request.extra["connection"].close()
            closed.append(request.path)

        request.extra["connection"] = sqlite3.connect(file)
        request.add_done_callback(done)
        return request.extra["connection"].cursor()

    def add(request):
        request.cursor.execute("INSERT INTO todos (todo) VALUES (?)", (request.json["todo"],))
        request.cursor.connection.commit()
        return request.Response(json={"id": request.cursor.lastrowid, "todo": request.json["todo"]})

    def every(request):
        rows = request.cursor.execute("SELECT id, todo FROM todos")
        return request.Response(json={"results": [{"id": id, "todo": todo} for id, todo in rows]})

    def show(request):
        found = request.cursor.execute("SELECT todo FROM todos WHERE id = ?", (int(request.match_dict["id"]),))
        row = found.fetchone()
        if row is None:
            return request.Response(code=404, json={"error": "not found"})
        return request.Response(json={"todo": row[0]})

    def delete(request):
        request.cursor.execute("DELETE FROM todos WHERE id = ?", (int(request.match_dict["id"]),))
        if not request.cursor.rowcount:
            return request.Response(code=404, json={"error": "not found"})
        request.cursor.connection.commit()
        return request.Response(json={})

    app = Application()
    app.extend_request(cursor, property=True)
    app.router.add_route("/todos", every, method="GET")
    app.router.add_route("/todos/{id}", show, method="GET")
    app.router.add_route("/todos/{id}", delete, method="DELETE")
    app.router.add_route("/todos", add, method="POST")
    served = serve(app)
    client = served.client()

    def ask(target, method="GET", body=None):
        answer = client.request(target, method, body)
        return answer.status, json.loads(answer.body)

    assert ask("/todos") == (200, {"results": []})
    assert ask("/todos", "POST", b'{"todo": "milk"}') == (200, {"id": 1, "todo": "milk"})
    assert ask("/todos") == (200, {"results": [{"id": 1, "todo": "milk"}]})
    assert ask("/todos/1") == (200, {"todo": "milk"})
    assert ask("/todos/2") == (404, {"error": "not found"})
    assert ask("/todos/1", "DELETE") == (200, {})
    assert ask("/todos/1", "DELETE") == (404, {"error": "not found"})
    served.stop()
    assert len(closed) == 7


# Running


RUNS = """
from vivace import Application

app = Application(reaper_settings={"check_interval": 10, "idle_timeout": 60}, log_request=True)
app.router.add_route("/", lambda request: request.Response(text="Hello world!"))
app.run(host="127.0.0.1", port=0, worker_num=1, debug=True)
"""


def test_run_as_the_tutorial_does(start, tmp_path):
    (tmp_path / "hello.py").write_text(RUNS)
    process = start("hello.py")
    assert process.get("/").text == "Hello world!"
    status, _, err = process.stop()
    assert status == 0
    assert '"GET / HTTP/1.1" 200 12' in err


def test_the_command_line_takes_a_dotted_name_and_a_module_that_runs_itself(start, tmp_path):
    (tmp_path / "hello.py").write_text(RUNS)
    process = start("-m", "vivace", "run", "hello.app", "--port", "0")
    assert process.get("/").text == "Hello world!"
    assert process.stop()[0] == 0
