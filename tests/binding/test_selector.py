"""The engine as asyncio's selector: waiting, waking, and what else runs on the loop beside it."""

import asyncio

from vivace import Application
from vivace.settings import LIMITS


def limits(**given):
    own = {name: setting.default for name, setting in LIMITS.items()} | given
    own.pop("timeout_graceful")
    return own


class TestWaiting:
    def test_handlers_that_a_full_pipeline_had_kept_waiting_do_not_wait_for_the_next_event(self, serve):
        app = Application()

        @app.get("/")
        async def slow(request):
            await asyncio.sleep(0.01)
            return "late"

        client = serve(app, limits=limits(limit_pipeline=2)).client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 9)
        assert [client.answer().text for _ in range(9)] == ["late"] * 9
