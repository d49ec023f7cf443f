"""What one request sets in its context, no other request sees."""

import asyncio
import contextvars

import pytest

from vivace import Application
from vivace.exceptions import RouteNotFoundException

var = contextvars.ContextVar("var", default="untouched")


def seen():
    found = var.get()
    var.set("touched")
    return found


@pytest.fixture
def app():
    app = Application()
    app.state.callbacks = []

    @app.get("/sync")
    def sync(request):
        return seen()

    @app.get("/async")
    async def at_once(request):
        return seen()

    @app.get("/later")
    async def later(request):
        found = seen()
        await asyncio.sleep(0)
        return f"{found}, then {var.get()}"

    @app.get("/task")
    async def task(request):
        asyncio.current_task()
        found = seen()
        await asyncio.sleep(0)
        return f"{found}, then {var.get()}"

    @app.get("/token")
    async def token(request):
        token = var.set("here")
        await asyncio.sleep(0)
        var.reset(token)
        return seen()

    @app.get("/error/{kind}")
    def error(request, kind):
        found = seen()
        raise {"sync": LookupError, "async": ArithmeticError}[kind](found)

    @app.get("/late-error/{kind}")
    async def late_error(request, kind):
        found = seen()
        await asyncio.sleep(0)
        raise {"sync": LookupError, "async": ArithmeticError}[kind](found)

    @app.exception_handler(LookupError)
    def sync_handler(request, exception):
        return f"{exception.args[0]}, then {seen()}"

    @app.exception_handler(ArithmeticError)
    async def async_handler(request, exception):
        found = seen()
        await asyncio.sleep(0)
        return f"{exception.args[0]}, then {found}, then {var.get()}"

    @app.exception_handler(RouteNotFoundException)
    def not_found(request, exception):
        return seen()

    @app.get("/callback")
    def callback(request):
        request.add_done_callback(lambda request: app.state.callbacks.append(seen()))
        return "in a moment"

    @app.get("/own-callback")
    def own_callback(request):
        var.set("of the request")
        request.add_done_callback(lambda request: app.state.callbacks.append(seen()))
        request.add_done_callback(lambda request: app.state.callbacks.append(seen()))
        return "in a moment"

    return app


EXPECTED = {
    "/sync": "untouched",
    "/async": "untouched",
    "/later": "untouched, then touched",
    "/task": "untouched, then touched",
    "/token": "untouched",
    "/error/sync": "untouched, then touched",
    "/error/async": "untouched, then touched, then touched",
    "/late-error/sync": "untouched, then touched",
    "/late-error/async": "untouched, then touched, then touched",
    "/nowhere": "untouched",
    "/callback": "in a moment",
}


@pytest.mark.parametrize("after", EXPECTED)
def test_a_request_does_not_see_what_others_have_set(serve, app, after):
    client = serve(app).client()
    for path, expected in EXPECTED.items():
        client.send("".join(f"GET {where} HTTP/1.1\r\nHost: a\r\n\r\n" for where in (after, path)))
        assert client.answer().text == EXPECTED[after]
        assert client.answer().text == expected


def test_done_callbacks_run_each_in_a_copy_of_the_context_that_they_were_added_in(serve, app):
    client = serve(app).client()
    for _ in range(3):
        client.request("/own-callback")
        assert client.request("/sync").text == "untouched"
    assert app.state.callbacks == ["of the request"] * 6


def test_handlers_do_not_change_what_the_loop_has(serve, app):
    served = serve(app)
    client = served.client()
    found = []
    for path in EXPECTED:
        client.request(path)
        served._loop.call_soon_threadsafe(lambda: found.append(var.get()))
        client.request("/later")
    assert found == ["untouched"] * len(EXPECTED)


def test_the_context_that_serving_was_started_in_is_what_handlers_see(app):
    from contextlib import closing

    import uvloop

    from vivace import serving
    from vivace.sockets import Tcp, open_listeners

    pytest.importorskip("uvloop")

    async def main():
        var.set("start")
        with closing(open_listeners([Tcp("127.0.0.1", 0)])[0]) as listener:
            async with serving.running(app, [listener]):
                port = listener.socket.getsockname()[1]
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                texts = []
                for path in ("/sync", "/later", "/async", "/sync"):
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                    texts.append((await reader.readexactly(length)).decode())
                writer.close()
                await writer.wait_closed()
                return texts

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == ["start", "start, then touched", "start", "start"]
