"""What a handler raises concerns its own client, and nobody else."""

import asyncio

import pytest
from wire import CLOSE, Wire, chunked, get, post, split, whole

from vivace import Application


class Odd(BaseException):
    """Not an Exception."""


RAISED = [
    LookupError("x"),
    RecursionError(),
    MemoryError(),
    StopIteration(1),
    StopAsyncIteration(),
    UnicodeError(),
    OSError(5),
]


@pytest.fixture
def raising(serve):
    app = Application()

    @app.route("/now/{number:int}", methods=["GET", "POST"])
    def now(request, number):
        raise RAISED[number]

    @app.route("/at-once/{number:int}", methods=["GET", "POST"])
    async def at_once(request, number):
        raise RAISED[number]

    @app.route("/later/{number:int}", methods=["GET", "POST"])
    async def later(request, number):
        await asyncio.sleep(0)
        raise RAISED[number]

    @app.get("/cancels-itself")
    async def cancels_itself(request):
        asyncio.current_task().cancel()
        await asyncio.sleep(60)

    @app.get("/cancelled-now")
    def cancelled_now(request):
        raise asyncio.CancelledError

    @app.get("/times-out")
    async def times_out(request):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)

    @app.get("/deep")
    def deep(request):
        def down():
            return down() + 1

        return down()

    @app.get("/group")
    async def group(request):
        async def fail():
            await asyncio.sleep(0)
            raise LookupError

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(asyncio.sleep(60))

    @app.get("/fine/{text}")
    async def fine(request, text):
        await asyncio.sleep(0.002)
        return text

    return serve(app)


@pytest.mark.parametrize("kind", ["now", "at-once", "later"])
@pytest.mark.parametrize("number", range(len(RAISED)))
def test_an_exception_is_a_500_to_this_client_only(raising, kind, number):
    with Wire(raising.port) as wire, Wire(raising.port) as other:
        other.send(get("/fine/other"))
        wire.send(get(f"/{kind}/{number}") + get("/fine/behind"))
        failed, behind = wire.answers(2)
        assert (failed.status, failed.headers.get("connection")) == (500, None)
        assert behind.text == "behind"
        assert other.answer().text == "other"


@pytest.mark.parametrize("target", ["/times-out", "/deep", "/group"])
def test_what_happens_within_is_a_500_too(raising, target):
    with Wire(raising.port) as wire:
        wire.send(get(target) + get("/fine/behind"))
        assert [answer.status for answer in wire.answers(2)] == [500, 200]


@pytest.mark.parametrize("target", ["/cancels-itself", "/cancelled-now"])
def test_a_handler_that_is_cancelled_answers_all_the_same(raising, target):
    with Wire(raising.port) as wire:
        wire.send(get(target) + get("/fine/behind"))
        failed, behind = wire.answers(2)
        assert failed.status in (500, 503)
        assert behind.text == "behind"


def test_the_order_is_kept(raising):
    data = get("/fine/a") + get("/now/0") + post("/later/0", b"body") + chunked("/now/0", b"body") + get("/fine/b")
    answers = split(whole(raising.port, data * 30 + CLOSE))
    assert [answer.status for answer in answers] == [200, 500, 500, 500, 200] * 30 + [404]


def test_head_of_what_fails_has_no_body(raising):
    answers = split(
        whole(raising.port, get("/now/0", method="HEAD") + get("/later/0", method="HEAD") + CLOSE), ["HEAD"] * 2
    )
    assert [answer.status for answer in answers] == [500, 500, 404]


def test_one_that_failed_and_closes_still_answers(raising):
    for kind in ("now", "at-once", "later"):
        (answer,) = split(whole(raising.port, get(f"/{kind}/0", "Connection: close")))
        assert (answer.status, answer.headers["connection"]) == (500, "close")


LEAVES = """
import asyncio, sys
from vivace import Application

app = Application()

@app.get("/now")
def now(request):
    sys.exit(7)

@app.get("/at-once")
async def at_once(request):
    sys.exit(7)

@app.get("/later")
async def later(request):
    await asyncio.sleep(0)
    sys.exit(7)

@app.get("/interrupt")
def interrupt(request):
    raise KeyboardInterrupt

@app.get("/hello")
def hello(request):
    return "hello"

@app.on_shutdown
def bye():
    print("shut down")

app.run(port=0)
"""


@pytest.mark.parametrize("target", ["/now", "/at-once", "/later"])
@pytest.mark.parametrize("before", [b"", get("/hello")])
def test_sys_exit_in_a_handler_ends_the_server_cleanly(start, tmp_path, target, before):
    (tmp_path / "page.py").write_text(LEAVES)
    process = start("page.py")
    with Wire(process.port) as wire, Wire(process.port) as other:
        assert other.socket.getpeername()
        wire.send(before + get(target))
        status, out, err = process.end()
    assert (status, out.strip()) == (7, "shut down"), err
    assert "Traceback" not in err or "SystemExit" in err
