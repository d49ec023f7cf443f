"""Bodies too long to be copied are sent from where they are: whole, in order, and let go of in the end."""

import asyncio
import gc
import sys

import pytest
from wire import Wire, eventually, get

from vivace import Application, Response

LENT = 64 * 1024  # a body from here on is not copied
SIZES = [LENT - 1, LENT, LENT + 1, 99_999, 100_000, 300_000, 3_000_000]


def pattern(size):
    """Bytes that are different everywhere."""
    return b"".join(n.to_bytes(4, "big") for n in range(size // 4 + 1))[:size]


@pytest.fixture
def served(serve):
    app = Application()
    app.bodies = {size: pattern(size) for size in SIZES}
    app.texts = {size: "".join(chr(33 + n % 90) for n in range(size)) for size in SIZES}
    app.kept = Response(body=app.bodies[LENT], headers={"X-Kept": "yes"})

    @app.route("/bytes/{size:int}", methods=["GET", "POST"])
    def as_bytes(request, size):
        return app.bodies[size]

    @app.get("/text/{size:int}")
    def as_text(request, size):
        return app.texts[size]

    @app.get("/wide/{size:int}")
    def as_utf8(request, size):
        return "é" * size

    @app.get("/json/{size:int}")
    def as_json(request, size):
        return {"text": app.texts[size].replace('"', "").replace("\\", "")}

    @app.get("/response/{size:int}")
    def as_response(request, size):
        return Response(text=app.texts[size], code=201, mime_type="text/css", headers={"X-Size": str(size)})

    @app.get("/later/{size:int}")
    async def later(request, size):
        await asyncio.sleep(0.01)
        return app.bodies[size]

    @app.get("/status/{code:int}")
    def status(request, code):
        return Response(body=app.bodies[LENT], code=code)

    @app.get("/kept")
    def kept(request):
        return app.kept

    @app.get("/small")
    def small(request):
        return "small"

    return serve(app)


class TestLongBodies:
    @pytest.mark.parametrize("size", SIZES)
    def test_they_arrive_whole(self, served, size):
        app = served.app
        with Wire(served.port) as wire:
            for _ in range(2):
                wire.send(
                    b"".join(get(f"/{kind}/{size}") for kind in ("bytes", "text", "wide", "json", "response", "later"))
                )
                as_bytes, as_text, wide, json, response, later = wire.answers(6)
                assert as_bytes.body == later.body == app.bodies[size]
                assert as_text.body == response.body == app.texts[size].encode()
                assert wide.body == ("é" * size).encode()
                assert json.body.startswith(b'{"text":"')
                assert json.body.endswith(b'"}')
                assert response.status == 201

    def test_small_ones_stay_in_order_around_them(self, served):
        order = [
            "/small",
            f"/bytes/{LENT}",
            "/small",
            f"/later/{LENT + 1}",
            "/small",
            "/small",
            "/kept",
            "/later/100000",
        ]
        bodies = served.app.bodies
        expected = {"/small": b"small", "/kept": bodies[LENT]} | {
            f"/{kind}/{size}": body for size, body in bodies.items() for kind in ("bytes", "later")
        }
        with Wire(served.port) as wire:
            for _ in range(5):
                wire.send(b"".join(get(target) for target in order))
                assert [answer.body for answer in wire.answers(len(order))] == [expected[target] for target in order]

    def test_head_and_answers_without_content_have_none(self, served):
        with Wire(served.port) as wire:
            wire.send(get(f"/bytes/{LENT}", method="HEAD") + get("/small"))
            head = wire.answer("HEAD")
            assert head.headers["content-length"] == str(LENT)
            assert wire.answer().body == b"small"
            for code in (204, 304):
                wire.send(get(f"/status/{code}") + get("/small"))
                assert wire.answer().status == code
                assert wire.answer().body == b"small"

    def test_a_client_that_takes_it_slowly_gets_it_all(self, served):
        with Wire(served.port, receive_bytes=4096) as wire:
            wire.send(get("/bytes/3000000") + get("/small"))
            assert wire.answer().body == served.app.bodies[3_000_000]
            assert wire.answer().body == b"small"

    def test_close_behind_a_long_body(self, served):
        with Wire(served.port) as wire:
            wire.send(get("/bytes/3000000", "Connection: close"))
            assert wire.until_closed().endswith(served.app.bodies[3_000_000])


def test_the_body_is_let_go_of_when_it_has_left_or_the_client_has(serve):
    app = Application()
    body = pattern(8_000_000)

    @app.get("/")
    def handler(request):
        return body

    served = serve(app)
    before = sys.getrefcount(body)
    with Wire(served.port) as wire:
        wire.send(get() * 3)
        assert all(answer.body == body for answer in wire.answers(3))
    eventually(lambda: sys.getrefcount(body) == before)
    for _ in range(5):
        with Wire(served.port, receive_bytes=4096) as wire:
            wire.send(get() * 3)
            eventually(lambda: sys.getrefcount(body) > before)
            wire.reset()
        eventually(lambda: sys.getrefcount(body) == before)
    gc.collect()


@pytest.mark.parametrize("own", [str, bytes])
def test_a_body_that_does_something_at_its_end_does_it_at_once(serve, own):
    app = Application(limit_output_bytes=10_000_000)  # both are served before anything is sent
    ends = []

    class Body(own):
        def __del__(self):
            ends.append(own)

    @app.get("/body")
    async def body(request):
        return Body("b" * 3_000_000) if own is str else Body(b"b" * 3_000_000)

    @app.get("/ends")
    def count(request):
        return str(len(ends))

    served = serve(app)
    with Wire(served.port, receive_bytes=4096) as wire:
        # In the midst of sending it could end the connection that is being sent to.
        wire.send(get("/body") + get("/ends"))
        assert wire.answer().body == b"b" * 3_000_000
        assert wire.answer().text == "1"
