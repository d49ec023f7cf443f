"""Handlers that block: routes with blocking=True run in threads."""

import asyncio
import contextvars
import gc
import json
import logging
import threading
import time
import weakref

import pytest
from waiting import SECONDS, eventually

from vivace import Application, HTTPError, Response
from vivace.loop import new_event_loop


@pytest.fixture
def app() -> Application:
    return Application()


@pytest.fixture
def errors(caplog):
    caplog.set_level(logging.INFO, "vivace")
    return lambda: [record for record in caplog.records if record.name.startswith("vivace")]


def get(target, **headers):
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"


class Gate:
    """What handlers wait at, and how many do."""

    def __init__(self):
        self.entered, self.left = 0, 0
        self._opened = threading.Event()
        self._lock = threading.Lock()

    def wait(self):
        with self._lock:
            self.entered += 1
        assert self._opened.wait(SECONDS)
        with self._lock:
            self.left += 1

    def open(self):
        self._opened.set()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


def test_it_runs_in_a_thread_and_holds_nobody_up(app, serve, gate):
    @app.get("/blocks/{n:int}", blocking=True)
    def blocks(request, n, size=3):
        gate.wait()
        return f"{request.path} {n} {size} {threading.current_thread().name}"

    @app.get("/free")
    def free():
        return threading.current_thread().name

    served = serve(app)
    client = served.client()
    client.send(get("/blocks/7"))
    eventually(lambda: gate.entered == 1)
    assert served.get("/free").text == served._thread.name
    gate.open()
    assert client.answer().text == "/blocks/7 7 3 vivace-blocking-1"


def test_it_may_return_whatever_handlers_may(app, serve):
    answers = {
        "text": ("text", 200, b"text"),
        "json": ({"a": [1]}, 200, b'{"a":[1]}'),
        "bytes": (b"\0\1", 200, b"\0\1"),
        "response": (Response("made", 202), 202, b"made"),
        "nothing": (None, 500, b"Internal Server Error"),
    }

    @app.get("/{name}", blocking=True)
    def answer(name):
        return answers[name][0]

    client = serve(app).client()
    for name, (_, status, body) in answers.items():
        got = client.request(f"/{name}")
        assert (got.status, got.body) == (status, body)


def test_a_handler_that_returns_none_is_named(app, serve, errors):
    @app.get("/", blocking=True)
    def forgetful():
        pass

    assert serve(app).get("/").status == 500
    assert "the handler forgetful returned None" in errors()[0].getMessage()


def test_every_way_to_add_a_route_takes_it(app, serve):
    def where(request):
        return threading.current_thread().name.rpartition("-")[0]

    app.router.add_route("/added", where, blocking=True)
    app.route("/routed", ["PUT"], blocking=True)(where)
    for method in ("get", "post", "put", "patch", "delete", "options"):
        assert getattr(app, method)("/decorated", blocking=True)(where) is where
    client = serve(app).client()
    assert client.request("/added", "BREW").text == "vivace-blocking"
    assert client.request("/routed", "PUT").text == "vivace-blocking"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert client.request("/decorated", method).text == "vivace-blocking"
    assert client.request("/decorated", "HEAD").status == 200


def test_all_of_a_request_can_be_read_in_the_thread(app, serve):
    @app.post("/{name}/{n:int}", blocking=True)
    def read(request, **params):
        request.state.seen = "state"
        return request.Response(
            json={
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "header": request.headers["X-Long"],
                "headers": len(list(request.headers)),
                "cookies": request.cookies,
                "body": request.body.decode(),
                "json": request.json,
                "match": request.match_dict,
                "params": params,
                "remote": request.remote_addr,
                "host": [request.hostname, request.port],
                "peer": request.transport.get_extra_info("peername")[0],
                "route": request.route.pattern,
                "extra": request.extra,
                "app": request.app is app,
            },
            headers={"X-Thread": "yes"},
        )

    served = serve(app)
    client = served.client()
    for number in range(100):
        body = json.dumps({"number": number, "fill": "f" * number}).encode()
        answer = client.request(
            f"/n%20{number}/{number}?q={number}", "POST", body, Host="h:81", X_Long="x" * number, Cookie=f"c={number}"
        )
        assert answer.headers["x-thread"] == "yes"
        shown = json.loads(answer.body)
        assert shown == {
            "method": "POST",
            "path": f"/n {number}/{number}",
            "query": {"q": str(number)},
            "header": "x" * number,
            "headers": 4,
            "cookies": {"c": str(number)},
            "body": body.decode(),
            "json": json.loads(body),
            "match": {"name": f"n {number}", "n": number},
            "params": {"name": f"n {number}", "n": number},
            "remote": "127.0.0.1",
            "host": ["h", 81],
            "peer": "127.0.0.1",
            "route": "/{name}/{n:int}",
            "extra": {"seen": "state"},
            "app": True,
        }


def test_many_at_once_do_not_mix(app, serve):
    @app.get("/{n:int}", blocking=True)
    def show(request, n):
        first = [request.headers["X-N"], request.query["n"]]
        time.sleep(0)
        return [*first, request.headers["X-N"], str(request.match_dict["n"]), str(n)]

    @app.get("/plain/{n}")
    def plain(request, n):
        return [request.headers["X-N"], n]

    served = serve(app, threads=8)
    clients = [served.client() for _ in range(8)]
    for turn in range(20):
        for at, client in enumerate(clients):
            for step in range(5):
                number = turn * 1000 + at * 10 + step
                client.send(get(f"/{number}?n={number}", **{"X-N": number}))
                client.send(get(f"/plain/{number}", **{"X-N": number}))
        for at, client in enumerate(clients):
            for step in range(5):
                number = str(turn * 1000 + at * 10 + step)
                assert json.loads(client.answer().body) == [number] * 5
                assert json.loads(client.answer().body) == [number] * 2


def test_answers_keep_the_order_of_the_requests(app, serve):
    first, second = threading.Event(), threading.Event()
    done = []

    @app.get("/first", blocking=True)
    def slow():
        assert second.wait(SECONDS)
        done.append("first")
        return "first"

    @app.get("/second", blocking=True)
    def fast():
        done.append("second")
        second.set()
        return "second"

    @app.get("/third")
    def plain():
        first.set()
        return "third"

    client = serve(app, threads=2).client()
    client.send(get("/first") + get("/second") + get("/third"))
    assert [client.answer().text for _ in range(3)] == ["first", "second", "third"]
    assert done == ["second", "first"]
    assert first.is_set()


def test_no_more_threads_than_asked_for(app, serve, gate):
    names = set()

    @app.get("/", blocking=True)
    def blocks():
        names.add(threading.current_thread().name)
        gate.wait()
        return "done"

    served = serve(app, threads=3)
    clients = [served.client() for _ in range(10)]
    for client in clients:
        client.send(get("/"))
    eventually(lambda: gate.entered == 3)
    served.get("/nowhere")
    assert gate.entered == 3
    assert app.router.threads.busy == 10
    gate.open()
    assert [client.answer().text for client in clients] == ["done"] * 10
    assert len(names) == 3
    eventually(lambda: app.router.threads.busy == 0)


def test_one_after_the_other_needs_one_thread(app, serve):
    names = set()

    @app.get("/", blocking=True)
    def blocks():
        names.add(threading.current_thread().name)
        return "done"

    client = serve(app).client()
    for _ in range(50):
        assert client.request("/").text == "done"
        eventually(lambda: app.router.threads.busy == 0)
    assert names == {"vivace-blocking-1"}


def test_the_pipeline_bounds_what_waits(serve, gate):
    app = Application(limit_pipeline=4)

    @app.get("/", blocking=True)
    def blocks():
        gate.wait()
        return "done"

    client = serve(app, threads=1).client()
    client.send(get("/") * 50)
    eventually(lambda: app.router.threads.busy == 4)
    gate.open()
    assert [client.answer().text for _ in range(50)] == ["done"] * 50


@pytest.mark.parametrize("kind", [KeyError, StopIteration, StopAsyncIteration, RecursionError, MemoryError])
def test_an_exception_is_a_500_with_its_own_traceback(app, serve, errors, kind):
    @app.get("/", blocking=True)
    def fails(request):
        raise kind("why")

    client = serve(app).client()
    assert client.request("/").status == 500
    assert client.request("/").status == 500
    info = errors()[0].exc_info
    raised = info[1] if kind is not StopIteration else info[1].__cause__
    assert isinstance(raised, kind)
    frames = []
    traceback = raised.__traceback__
    while traceback:
        frames.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert frames[-1] == "fails"


def test_error_handlers_get_exceptions_as_ever(app, serve):
    app.add_error_handler(LookupError, lambda request, error: request.Response(f"no {error.args[0]}", 404))

    @app.get("/{what}", blocking=True)
    def fails(request, what):
        if what == "teapot":
            raise HTTPError(418, "short and stout")
        raise KeyError(what)

    client = serve(app).client()
    assert (client.request("/x").status, client.request("/x").text) == (404, "no x")
    assert (client.request("/teapot").status, client.request("/teapot").text) == (418, "short and stout")


def test_bad_json_is_a_400(app, serve):
    @app.post("/", blocking=True)
    def echo(request):
        return request.json

    assert serve(app).get("/", "POST", b"{").status == 400


def served_by_main(app, targets, factory):
    """The answers to GETs, from an app that this very thread serves."""
    from vivace import serving
    from vivace.sockets import Tcp, open_listeners

    async def main():
        (listener,) = open_listeners([Tcp("127.0.0.1", 0)])
        try:
            async with serving.running(app, [listener]):
                reader, writer = await asyncio.open_connection(*listener.socket.getsockname())
                for target in targets:
                    writer.write(get(target).encode())
                writer.write(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                await writer.wait_closed()
                return [part.rpartition(b"\r\n\r\n")[2].decode() for part in answer.split(b"HTTP/1.1")[1:-1]]
        finally:
            listener.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


def test_the_context_goes_along():
    variable = contextvars.ContextVar("variable")
    app = Application()

    @app.get("/set", blocking=True)
    def sets(request):
        before = variable.get()
        variable.set("set")
        return before

    @app.get("/see")
    def sees():
        return variable.get()

    def run():
        variable.set("from the start")
        return served_by_main(app, ["/set", "/set", "/see"], new_event_loop)

    assert contextvars.copy_context().run(run) == ["from the start"] * 3


def test_who_has_gone_before_his_turn_costs_no_thread(app, serve, gate):
    ran = []

    @app.get("/wait", blocking=True)
    def wait():
        gate.wait()
        return "waited"

    @app.get("/{n:int}", blocking=True)
    def run(n):
        ran.append(n)
        return "ran"

    served = serve(app, threads=1)
    first, gone, last = (served.client() for _ in range(3))
    first.send(get("/wait"))
    eventually(lambda: gate.entered == 1)
    gone.send(get("/1") + get("/2"))
    eventually(lambda: app.router.threads.busy == 3)
    gone.reset()
    eventually(lambda: served.running.server.connections == 2)
    last.send(get("/3"))
    gate.open()
    assert first.answer().text == "waited"
    assert last.answer().text == "ran"
    assert ran == [3]
    eventually(lambda: app.router.threads.busy == 0)


def test_who_goes_meanwhile_is_not_answered_and_what_fails_is_logged(app, serve, gate, errors):
    @app.get("/{how}", blocking=True)
    def late(request, how):
        gate.wait()
        if how == "fails":
            raise LookupError("nobody there")
        return request.path

    served = serve(app, threads=2)
    for how in ("fails", "returns"):
        gone = served.client()
        gone.send(get(f"/{how}"))
        eventually(lambda how=how: gate.entered == (1 if how == "fails" else 2))
        gone.reset()
    eventually(lambda: served.running.server.connections == 0)
    gate.open()
    eventually(lambda: app.router.threads.busy == 0)
    assert served.get("/more").text == "/more"
    (record,) = [record for record in errors() if record.exc_info]
    assert record.getMessage() == "blocking handler late failed after its client had gone"


def test_a_thread_can_tell_that_its_client_has_gone(app, serve, gate):
    told = []

    @app.get("/waits", blocking=True)
    def waits(request):
        gate.entered += 1
        deadline = time.monotonic() + SECONDS
        while not request.disconnected and time.monotonic() < deadline:
            time.sleep(0.001)
        told.append(request.disconnected)

    @app.get("/stays", blocking=True)
    def stays(request):
        told.append(request.disconnected)
        kept.append(request)
        return "stayed"

    kept = []
    served = serve(app)
    gone = served.client()
    gone.send(get("/waits"))
    eventually(lambda: gate.entered == 1)
    gone.reset()
    eventually(lambda: told == [True])
    client = served.client()
    assert client.request("/stays").text == "stayed"
    client.reset()
    eventually(lambda: served.running.server.connections == 0)
    assert told == [True, False]
    assert not kept[0].disconnected


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_thread_may_end_the_connection(app, serve, how):
    @app.get("/", blocking=True)
    def ends(request):
        getattr(request.transport, how)()
        deadline = time.monotonic() + SECONDS
        while how == "abort" and not request.transport.is_closing():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return "ended"

    served = serve(app)
    for _ in range(20):
        client = served.client()
        client.send(get("/") + get("/"))
        if how == "close":
            assert [client.answer().text for _ in range(2)] == ["ended"] * 2
        assert client.at_end()
    eventually(lambda: served.running.server.connections == 0)


def test_done_callbacks_of_threads_are_called_on_the_loop(app, serve):
    seen = []

    @app.get("/", blocking=True)
    def adds(request):
        request.add_done_callback(lambda request: seen.append((request.path, threading.current_thread().name)))
        return "added"

    served = serve(app)
    assert served.get("/").text == "added"
    eventually(lambda: seen == [("/", served._thread.name)])


def test_a_stop_waits_for_threads(app, serve, gate, errors):
    @app.get("/", blocking=True)
    def blocks():
        gate.wait()
        return "done"

    served = serve(app)
    client, gone = served.client(), served.client()
    client.send(get("/"))
    gone.send(get("/"))
    eventually(lambda: gate.entered == 2)
    gone.reset()
    eventually(lambda: served.running.server.connections == 1)
    idle = served.client()
    eventually(lambda: served.running.server.connections == 2)
    served.end()
    assert idle.at_end()  # the stop has begun
    assert gate.left == 0
    gate.open()
    answer = client.answer()
    assert (answer.text, answer.headers["connection"]) == ("done", "close")
    served.stop()
    assert (served.running.cut, gate.left) == (0, 2)
    assert not [record for record in errors() if record.levelname in ("WARNING", "ERROR")]
    eventually(lambda: not any(thread.name.startswith("vivace-blocking") for thread in threading.enumerate()))


def test_the_deadline_does_not_wait_for_threads(app, serve, gate, errors):
    @app.get("/", blocking=True)
    def blocks():
        gate.wait()
        return "too late"

    served = serve(app, graceful=0.05)
    client = served.client()
    client.send(get("/"))
    eventually(lambda: gate.entered == 1)
    served.end()
    assert client.at_end()
    served.stop()
    assert (served.running.cut, gate.left) == (1, 0)
    messages = [record.getMessage() for record in errors()]
    assert "1 calls of blocking handlers are left to themselves: they did not end in time" in messages


def test_what_a_call_held_goes_with_it(app, serve, caplog):
    caplog.set_level(logging.CRITICAL, "vivace.error")  # records would hold the exceptions

    class Thing:
        pass

    things = []

    @app.get("/{how}", blocking=True)
    def makes(request, how):
        request.state.thing = thing = Thing()
        things.append(weakref.ref(thing))
        if how == "fails":
            raise LookupError(thing)
        return "made"

    client = serve(app).client()
    for _ in range(20):
        assert client.request("/made").status == 200
        assert client.request("/fails").status == 500
    eventually(lambda: app.router.threads.busy == 0)
    client.request("/made")
    gc.collect()
    assert len(things) == 41
    assert sum(reference() is not None for reference in things) <= 1


SLEEPS = """
import time
from vivace import Application

app = Application(timeout_graceful=0.1)

@app.get("/sleeps", blocking=True)
def sleeps():
    time.sleep(600)

@app.get("/exits", blocking=True)
def exits():
    raise SystemExit(7)

@app.get("/busy")
def busy():
    return str(app.router.threads.busy)

app.run(port=0)
"""


def test_a_call_that_never_ends_does_not_hold_the_process_up(start, tmp_path):
    (tmp_path / "page.py").write_text(SLEEPS)
    process = start("page.py")
    process.client().send(get("/sleeps"))
    eventually(lambda: process.get("/busy").text == "1")
    assert process.stop()[0] == 5


def test_sys_exit_in_a_thread_ends_the_server(start, tmp_path):
    (tmp_path / "page.py").write_text(SLEEPS)
    process = start("page.py")
    process.client().send(get("/exits"))
    assert process.end()[0] == 7


@pytest.mark.parametrize("where", ["option", "variable", "argument"])
def test_the_number_of_threads_can_be_set(start, tmp_path, where):
    given = "threads=2" if where == "argument" else ""
    (tmp_path / "page.py").write_text(
        f"""
import threading, time
from vivace import Application
app = Application()
names, together = set(), threading.Barrier(2)

@app.get("/", blocking=True)
def blocks():
    names.add(threading.current_thread().name)
    together.wait(30)
    return "done"

@app.get("/names")
def show():
    return sorted(names)

if __name__ == "__main__":
    app.run(port=0, {given})
"""
    )
    if where == "option":
        process = start("-m", "vivace", "run", "page:app", "--port", "0", "--threads", "2")
    else:
        process = start("page.py", **({"VIVACE_THREADS": "2"} if where == "variable" else {}))
    clients = [process.client() for _ in range(6)]
    for client in clients:
        client.send(get("/"))
    assert [client.answer().text for client in clients] == ["done"] * 6
    assert process.get("/names").text == '["vivace-blocking-1","vivace-blocking-2"]'
    assert process.stop()[0] == 0


def test_async_handlers_and_generators_are_refused(app):
    async def waits(request):
        return ""

    def yields(request):
        yield ""

    with pytest.raises(ValueError, match=r'handler ".*waits" of "/" is async, .* leave blocking=True out'):
        app.get("/", blocking=True)(waits)
    with pytest.raises(ValueError, match="generator"):
        app.get("/", blocking=True)(yields)
    assert not len(app.router)


def test_an_unknown_option_of_a_route_is_refused(app):
    with pytest.raises(TypeError, match="bloking"):
        app.get("/", bloking=True)(lambda: "")


@pytest.mark.parametrize("loop", ["asyncio's own", "uvloop"])
def test_threads_under_another_loop(app, loop):
    factory = asyncio.SelectorEventLoop
    if loop == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    app.get("/", blocking=True)(lambda: threading.current_thread().name)
    names = served_by_main(app, ["/", "/"], factory)
    assert [name.rpartition("-")[0] for name in names] == ["vivace-blocking"] * 2
