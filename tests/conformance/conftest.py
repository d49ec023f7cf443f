"""One application with a route for everything that a connection can be asked to do, served to raw sockets."""

import asyncio

import pytest
from wire import Wire

from vivace import Application, Response


class Gates:
    """Events by name: `/wait/x` is answered when `/open/x` has been asked for."""

    def __init__(self):
        self._events = {}
        self.waiting = 0
        self.most = 0
        self.cancelled = 0

    def of(self, name):
        return self._events.setdefault(name, asyncio.Event())

    async def wait(self, name):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.of(name).wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1


def dump(request):
    """Everything that a request says."""
    return {
        "method": request.method,
        "path": request.path,
        "raw_path": request.raw_path,
        "query": request.query_string,
        "version": request.version,
        "headers": request.headers.multi_items(),
        "body": request.body.decode("latin-1") if request.body is not None else None,
        "match": request.match_dict,
    }


def make_app(**limits):
    app = Application(**limits)
    app.gates = Gates()
    app.served = 0
    any_method = ["GET", "POST", "PUT", "DELETE"]

    @app.get("/")
    def hello(request):
        app.served += 1
        return "Hello world!"

    @app.route("/dump", methods=any_method)
    @app.route("/dump/{rest:path}", methods=any_method)
    def dump_now(request):
        app.served += 1
        return dump(request)

    @app.route("/later/{rest:path}", methods=any_method)
    async def dump_later(request):
        app.served += 1
        await asyncio.sleep(0)
        return dump(request)

    @app.route("/at-once/{text}", methods=any_method)
    async def at_once(request, text):
        return text

    @app.route("/echo/{text}", methods=any_method)
    def echo(request, text):
        return f"{text} {(request.body or b'').decode()}"

    @app.route("/sleep/{milliseconds:int}/{text}", methods=any_method)
    async def sleep(request, milliseconds, text):
        await asyncio.sleep(milliseconds / 1000)
        return f"{text} {(request.body or b'').decode()}"

    @app.route("/wait/{name}", methods=any_method)
    async def wait(request, name):
        await app.gates.wait(name)
        return f"waited for {name}"

    @app.get("/open/{name}")
    def open_gate(request, name):
        app.gates.of(name).set()
        return f"opened {name}"

    @app.get("/big/{count:int}")
    def big(request, count):
        app.served += 1
        return b"x" * count

    @app.get("/big-later/{count:int}")
    async def big_later(request, count):
        app.served += 1
        await asyncio.sleep(0)
        return b"x" * count

    @app.get("/status/{code:int}")
    def status(request, code):
        return Response("a body", code)

    @app.get("/closing")
    def closing(request):
        return Response("closing", headers={"Connection": "close"})

    @app.get("/closing-later")
    async def closing_later(request):
        await asyncio.sleep(0)
        return Response("closing", headers={"Connection": "close"})

    @app.route("/fail", methods=any_method)
    def fail(request):
        raise LookupError("on purpose")

    @app.route("/fail-later", methods=any_method)
    async def fail_later(request):
        await asyncio.sleep(0)
        raise LookupError("on purpose")

    return app


@pytest.fixture
def app():
    return make_app()


@pytest.fixture
def limited():
    """`limited(limit_body_bytes=100)` makes the application with other limits."""
    return make_app


@pytest.fixture
def server(serve, app):
    return serve(app)


@pytest.fixture
def wire(server):
    """`wire()` opens a connection to the server."""
    opened = []

    def connect(**options):
        opened.append(Wire(server.port, **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
