"""The black box: what a worker was doing, as its supervisor reads it."""

import asyncio
import mmap
import os
from collections import Counter

import pytest

from vivace import Application, _engine, blackbox


@pytest.fixture
def box():
    fd = blackbox.create()
    yield fd
    os.close(fd)


def test_one_that_nobody_writes_says_nothing(box):
    assert blackbox.read(box) == blackbox.Account()
    assert blackbox.tally(box) == 0
    assert str(blackbox.read(box)) == "while no handler was running"


def test_what_it_says(serve, box):
    app, seen, go_on = Application(), [], asyncio.Event()

    @app.get("/now/{name}")
    def now(name):
        seen.append(blackbox.read(box))
        return name

    @app.route("/later", methods=["GET", "POST"])
    async def later():
        seen.append(blackbox.read(box))
        await go_on.wait()
        seen.append(blackbox.read(box))
        return "later"

    served = serve(app, box=box)
    waiting = [served.client() for _ in range(3)]
    for client in waiting:
        client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
    other = served.client()
    while True:  # until all three wait
        assert other.request("/now/x").text == "x"
        if seen[-1].waiting["GET|POST /later"] == 3 and seen[-1].requests >= 3:
            break
    last = seen[-1]
    assert last.running == "GET /now/{name}"
    assert last.connections == 4
    assert str(last) == "while GET /now/{name} was running and while 3 x GET|POST /later waited"
    served._loop.call_soon_threadsafe(go_on.set)
    assert [client.answer().text for client in waiting] == ["later"] * 3
    assert seen[-1].running == "GET|POST /later"
    assert other.request("/now/x").text == "x"
    assert seen[-1].waiting == Counter()
    assert blackbox.tally(box) >= 5


def test_a_client_that_goes_leaves_nobody_waiting(serve, box):
    app, seen = Application(), []

    @app.get("/now")
    def now():
        seen.append(blackbox.read(box).waiting.total())
        return ""

    @app.get("/later")
    async def later():
        await asyncio.sleep(30)

    @app.get("/turns")
    async def turns():
        while True:  # noqa: ASYNC110 - just that
            await asyncio.sleep(0)

    served = serve(app, box=box)
    other = served.client()
    for target in ("/later", "/turns"):
        client = served.client()
        client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
        while not seen or seen[-1] != 1:
            other.request("/now")
        client.reset()  # not just its side
        while seen[-1] != 0:
            other.request("/now")


def test_many_routes_that_wait_are_told_in_one_line():
    account = blackbox.Account(waiting=Counter({f"GET /{n}": n for n in range(1, 9)}))
    assert str(account).startswith(
        "while 8 x GET /8, 7 x GET /7, 6 x GET /6, 5 x GET /5, 4 x GET /4 and 3 other routes"
    )


@pytest.mark.parametrize("size", [1, 24, 28, 31])
def test_memory_that_is_too_small_is_refused(size):
    app = Application()
    app.get("/")(lambda: "")
    with _engine.Selector("epoll") as selector:
        server = _engine.Server(selector, app, app.router.table)
        with pytest.raises(ValueError, match="too small"):
            server.record(mmap.mmap(-1, size))
        with pytest.raises(BufferError):
            server.record(b"x" * 100)
        memory = mmap.mmap(-1, 32)
        server.record(memory)
        with pytest.raises(RuntimeError, match="already"):
            server.record(memory)


def test_what_else_has_written_to_it_does_no_harm(box):
    for garbage in (b"x", b"\xff" * 24, b"\xff" * 4096, b"\0" * 16 + b"\x02\0\0\0" + b"\xff" * 100):
        os.ftruncate(box, 0)
        os.pwrite(box, garbage, 0)
        assert isinstance(str(blackbox.read(box)), str)


def test_routes_have_numbers():
    app = Application()
    routes = [app.router.add_route(path, lambda request: "") for path in ("/a", "/b", "/c/{d}")]
    assert app.router.table.numbered == routes
    assert [blackbox.title(route) for route in routes] == ["any /a", "any /b", "any /c/{d}"]


@pytest.mark.parametrize("keep", ["all", "", "IDLE"])
def test_what_cannot_be_kept_is_told(keep):
    app = Application()
    with _engine.Selector("epoll") as selector:
        server = _engine.Server(selector, app, app.router.table)
        with pytest.raises(ValueError, match=r"none, fresh or idle"):
            server.drain(keep)
