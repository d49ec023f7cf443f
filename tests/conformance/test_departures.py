"""Clients that leave, in every way and at every moment; a server without descriptors; handlers that close."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import pytest
from wire import Wire, chunked, eventually, get, post, split

from vivace import Application

# Half-closed: the client says it sends no more, and reads on


@pytest.mark.parametrize(
    "target", ["/", "/at-once/x", "/sleep/5/x", "/fail", "/nowhere", "/closing-later", "/big/2000000"]
)
def test_a_half_closed_client_gets_its_answer(server, wire, target):
    connection = wire()
    connection.send(get(target))
    connection.end()
    assert len(split(connection.until_closed())) == 1
    eventually(lambda: server.running.server.connections == 0)


def test_a_half_closed_client_gets_every_answer_of_its_pipeline(server, wire):
    connection, other = wire(), wire()
    data = get("/wait/it") + get("/") + post("/sleep/5/x", b"body") + chunked("/echo/y", b"body") + get("/nowhere")
    connection.send(data * 30)
    connection.end()
    other.send(get("/open/it"))
    answers = split(connection.until_closed())
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 404] * 30


def test_a_half_closed_client_is_waited_for_however_full_its_pipeline_is(serve, limited):
    server = serve(limited(limit_pipeline=2, limit_output_bytes=1_000))
    with Wire(server.port) as wire:
        wire.send((get("/sleep/1/x") + get("/big/10000")) * 100)
        wire.end()
        assert len(split(wire.until_closed())) == 200


@pytest.mark.parametrize(
    "data",
    [b"", b"GET /dump HT", get("/dump", "Content-Length: 9", method="POST") + b"abc", chunked("/dump", b"abc")[:-3]],
)
@pytest.mark.parametrize("before", [b"", get("/"), get("/sleep/5/x")])
def test_a_half_closed_client_that_has_not_said_all_gets_no_answer_to_that(server, wire, before, data):
    connection = wire()
    connection.send(before + data)
    connection.end()
    assert len(split(connection.until_closed())) == (1 if before else 0)
    assert server.app.served == (1 if before == get("/") else 0)


# Gone


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost:",
        get("/"),
        get("/") * 100,
        get("/dump", "Content-Length: 100000", method="POST") + b"x" * 50_000,
        get("/dump", "Content-Length: 5", "Expect: 100-continue", method="POST"),
        chunked("/dump", b"x" * 1_000)[:-500],
        get("/big/10000000"),
        get("/big-later/10000000") * 3,
        get("/sleep/1/x") * 20,
        get("/fail-later"),
        b"\0" * 100_000,
    ],
)
def test_a_client_may_vanish_at_any_moment(server, wire, leave, data):
    other = wire()
    for pause in range(3):
        connection = Wire(server.port)
        connection.send(data)
        for _ in range(pause):
            other.send(get("/at-once/x"))
            other.answer()
        leave(connection)
    assert other.alive()
    eventually(lambda: server.running.server.connections == 1)
    assert other.alive()


def test_a_client_that_vanishes_while_it_takes_a_large_answer(server, wire):
    other = wire()
    for leave in (Wire.close, Wire.reset):
        connection = Wire(server.port, receive_bytes=4096)
        connection.send(get("/big/20000000"))
        assert connection.socket.recv(1000)
        leave(connection)
        eventually(lambda: server.running.server.connections == 1)
    assert other.alive()


def test_the_handler_of_a_client_that_has_gone_is_cancelled(server, wire):
    gates, other = server.app.gates, wire()
    connection = Wire(server.port)
    connection.send(get("/wait/a") + get("/wait/b") + get("/wait/c"))
    eventually(lambda: gates.waiting == 3)
    connection.reset()
    eventually(lambda: gates.waiting == 0)
    assert gates.cancelled == 3
    assert other.alive()


def test_what_a_handler_answers_to_a_client_that_has_gone_goes_nowhere(serve):
    app = Application()
    entered, done = [], []

    @app.get("/stubborn")
    async def stubborn(request):
        entered.append(1)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            done.append(request.path)
        return "too late"

    @app.get("/")
    def hello(request):
        return "hello"

    server = serve(app)
    connection = Wire(server.port)
    connection.send(get("/stubborn"))
    eventually(lambda: entered)
    connection.reset()
    eventually(lambda: done)
    with Wire(server.port) as other:
        assert other.alive()
        eventually(lambda: server.running.server.connections == 1)


def test_callbacks_are_called_whether_the_client_stays_or_goes(serve):
    app = Application()
    entered, called = [], []

    @app.get("/fine")
    def fine(request):
        request.add_done_callback(lambda request: called.append(request.path))
        return "fine"

    @app.get("/later")
    async def later(request):
        request.add_done_callback(lambda request: called.append(request.path))
        await asyncio.sleep(0)
        return "fine"

    @app.get("/gone")
    async def gone(request):
        request.add_done_callback(lambda request: called.append(request.path))
        entered.append(1)
        await asyncio.sleep(60)

    server = serve(app)
    with Wire(server.port) as wire:
        wire.send(get("/fine") + get("/later") + get("/fine"))
        assert [answer.text for answer in wire.answers(3)] == ["fine"] * 3
        eventually(lambda: called == ["/fine", "/later", "/fine"])
    wire = Wire(server.port)
    wire.send(get("/gone"))
    eventually(lambda: entered)
    wire.reset()
    eventually(lambda: called == ["/fine", "/later", "/fine", "/gone"])


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in /proc")
def test_a_thousand_connections_opened_and_dropped(server, wire):
    other = wire()
    assert other.alive()
    before = descriptors()
    for number in range(1_000):
        connection = Wire(server.port)
        if number % 3 == 0:
            connection.send(get("/"))
        (connection.reset if number % 2 else connection.close)()
    eventually(lambda: server.running.server.connections == 1)
    eventually(lambda: descriptors() == before)
    assert other.alive()


def test_many_connections_at_once(server):
    wires = [Wire(server.port) for _ in range(200)]
    for _ in range(3):
        for number, wire in enumerate(wires):
            wire.send(get(f"/sleep/1/{number}") + get(f"/echo/{number}"))
        for number, wire in enumerate(wires):
            assert [answer.text for answer in wire.answers(2)] == [f"{number} "] * 2
    assert server.running.server.connections == 200
    for wire in wires:
        wire.close()
    eventually(lambda: server.running.server.connections == 0)


# No descriptors left

FEW_DESCRIPTORS = """
import resource, time
from vivace import Application

app = Application()

@app.get("/{name}")
def hello(request, name):
    return name

@app.get("/spent")
def spent(request):
    return [time.process_time(), time.monotonic()]

@app.on_startup
def few():
    import os
    now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + 10, now + 10))

app.run(port=0)
"""


def some_heard(wires):
    return any(not wire.silent() for wire in wires)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in /proc")
def test_without_descriptors_accepting_pauses_does_not_spin_and_recovers(start, tmp_path):
    (tmp_path / "page.py").write_text(FEW_DESCRIPTORS)
    process = start("page.py")
    wires = [Wire(process.port) for _ in range(30)]
    for number, wire in enumerate(wires):
        wire.send(get(f"/n{number}"))
    first = wires[0]
    assert first.answer().text == "n0"

    def spent():
        first.send(get("/spent"))
        return [float(number) for number in first.answer().text.strip("[]").split(",")]

    cpu, clock = spent()
    while (now := spent())[1] - clock < 1.2:
        first.send(get("/sleeping"))
        first.answer()
        asyncio.run(asyncio.sleep(0.1))
    assert now[0] - cpu < 0.6 * (now[1] - clock)
    waiting = [wire for wire in wires[1:] if wire.silent()]
    assert len(waiting) >= 15
    served = [wire for wire in wires if wire not in waiting]
    while waiting:
        for wire in served:
            wire.close()
        eventually(partial(some_heard, waiting))
        served = [wire for wire in waiting if not wire.silent()]
        waiting = [wire for wire in waiting if wire not in served]
    for wire in served:
        wire.close()
    with Wire(process.port) as wire:
        wire.send(get("/after"))
        assert wire.answer().text == "after"
    assert process.stop()[0] == 0


# Handlers that close


@pytest.fixture
def closing(serve):
    app = Application()
    app.served = 0

    @app.get("/{how}/now")
    def now(request, how):
        getattr(request.transport, how)()
        return "now"

    @app.get("/{how}/later")
    async def later(request, how):
        await asyncio.sleep(0)
        getattr(request.transport, how)()
        await asyncio.sleep(0)
        return "later"

    @app.get("/{how}/twice")
    async def twice(request, how):
        getattr(request.transport, how)()
        await asyncio.sleep(0)
        getattr(request.transport, how)()
        return "twice"

    @app.get("/waits")
    async def waits(request):
        await asyncio.sleep(0.01)
        return "waited"

    @app.get("/")
    def hello(request):
        app.served += 1
        return "hello"

    return serve(app)


@pytest.mark.parametrize("when", ["now", "later", "twice"])
@pytest.mark.parametrize("before", [b"", get("/waits")])
def test_abort_closes_at_once(closing, when, before):
    with Wire(closing.port) as wire, Wire(closing.port) as other:
        wire.send(before + get(f"/abort/{when}") + get("/"))
        answers = split(wire.until_closed())
        assert [answer.text for answer in answers] == []
        assert other.alive()
    eventually(lambda: closing.running.server.connections == 0)


@pytest.mark.parametrize("when", ["now", "later", "twice"])
@pytest.mark.parametrize("before", [b"", get("/waits")])
@pytest.mark.parametrize("behind", [b"", get("/waits"), get("/")])
def test_close_closes_when_what_is_in_flight_is_answered(closing, when, before, behind):
    with Wire(closing.port) as wire, Wire(closing.port) as other:
        wire.send(before + get(f"/close/{when}"))
        answers = None
        if behind:
            wire.try_send(behind)
        answers = split(wire.until_closed())
        texts = [answer.text for answer in answers]
        assert texts[: 1 + bool(before)] == ([] if not before else ["waited"]) + [when]
        assert len(texts) <= 3
        assert other.alive()
    eventually(lambda: closing.running.server.connections == 0)


def test_who_closes_says_so(closing):
    for when in ("now", "later", "twice"):
        with Wire(closing.port) as wire:
            wire.send(get(f"/close/{when}"))
            (answer,) = split(wire.until_closed())
            assert answer.headers.get("connection") == "close", when


def test_one_handler_may_abort_while_others_wait_on_the_same_connection(closing):
    with Wire(closing.port) as wire, Wire(closing.port) as other:
        wire.send(get("/waits") * 10 + get("/abort/later") + get("/waits") * 10)
        assert wire.until_closed() == b""
        assert other.alive()
