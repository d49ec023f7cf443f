"""Debug names the handlers that hold the event loop."""

import asyncio
import logging
import time

import pytest

from vivace import Application


def hold():
    time.sleep(0.12)


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "vivace")
    return lambda: [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def holding(app):
    @app.route("/now/{id:int}", methods=["GET", "PUT"])
    def now(request, id):
        hold()
        return "held"

    @app.get("/first-step")
    async def first_step(request):
        hold()
        return "held"

    @app.get("/awaits-nothing-else")
    async def turn(request):
        await asyncio.sleep(0)
        hold()
        return "held"

    @app.get("/turns")
    async def turns(request):
        await asyncio.sleep(0)
        hold()
        await asyncio.sleep(0)
        return "held"

    @app.get("/later")
    async def later(request):
        await asyncio.sleep(0.001)
        hold()
        return "held"

    @app.get("/in-the-middle")
    async def middle(request):
        await asyncio.sleep(0.001)
        hold()
        await asyncio.sleep(0.001)
        return "held"

    @app.get("/task")
    async def task(request):
        assert asyncio.current_task() is not None
        hold()
        await asyncio.sleep(0)
        return "held"

    @app.get("/throws")
    async def throws(request):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        except TimeoutError:
            hold()
        return "held"

    @app.get("/fails")
    def fails(request):
        hold()
        raise LookupError

    @app.get("/fails-later")
    async def fails_later(request):
        await asyncio.sleep(0.001)
        hold()
        raise LookupError

    app.add_error_handler(LookupError, lambda request, error: "failed")
    return app


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/now/3", "GET /now/{id:int}: the handler now held"),
        ("/first-step", "GET /first-step: the handler "),
        ("/awaits-nothing-else", "GET /awaits-nothing-else: the handler "),
        ("/turns", "GET /turns: the handler "),
        ("/later", "GET /later: the handler "),
        ("/in-the-middle", "GET /in-the-middle: the handler "),
        ("/task", "GET /task: the handler "),
        ("/throws", "GET /throws: the handler "),
        ("/fails", "GET /fails: the handler "),
        ("/fails-later", "GET /fails-later: the handler "),
    ],
)
def test_a_handler_that_holds_the_loop_is_named(serve, warnings, target, shown):
    served = serve(holding(Application(debug=True)))
    began = time.monotonic()
    assert served.get(target).text == ("failed" if "fails" in target else "held")
    served.stop()
    all_ms = (time.monotonic() - began) * 1000
    held = [message for message in warnings() if message.startswith(shown)]
    assert all("held the event loop for " in message for message in held)
    told_ms = [float(message.partition(" for ")[2].partition(" ms")[0]) for message in held]
    assert min(told_ms) >= 100
    assert sum(told_ms) <= all_ms  # nothing twice; a step that the machine held up may be told as well


def test_the_method_is_the_requests(serve, warnings):
    served = serve(holding(Application(debug=True)))
    assert served.get("/now/3?a=b", "PUT").text == "held"
    served.stop()
    assert [message for message in warnings() if message.startswith("PUT /now/{id:int}: the handler now held")]


def test_an_error_handler_without_a_route_may_hold_it_too(serve, warnings):
    app = Application(debug=True)
    app.add_error_handler(None, lambda request, error: hold() or "slow")
    served = serve(app)
    assert served.get("/nowhere").text == "slow"
    served.stop()
    assert [message for message in warnings() if message.startswith("GET without a route: the handler of its error")]


@pytest.mark.parametrize("target", ["/now/3", "/later", "/turns"])
def test_without_debug_nobody_watches(serve, warnings, target):
    served = serve(holding(Application()))
    assert served.get(target).text == "held"
    served.stop()
    assert not warnings()
