"""What the tests of the binding share."""

import gc
import sys
from collections.abc import Callable

import pytest

from vivace import Application


@pytest.fixture
def answer(serve) -> Callable[..., str]:
    """`answer(handler)` serves it under "/" and gives the text of its answer."""

    def ask(handler, times: int = 1, before: Callable[[Application], None] = lambda app: None) -> str:
        app = Application()
        before(app)
        app.get("/")(handler)
        client = serve(app).client()
        text = ""
        for _ in range(times):
            text = client.request("/").text
        return text

    return ask


@pytest.fixture
def blocks() -> Callable[[Callable[[], object], type[BaseException]], int]:
    """`blocks(function, error)` calls it 300 times, each raises the error: blocks that stay of the last 250."""

    def count(function, error):
        before = 0
        for n in range(2000):
            try:
                function()
            except error:
                pass
            else:
                raise AssertionError(error)
            if n == 499:
                gc.collect()
                before = sys.getallocatedblocks()
        gc.collect()
        return sys.getallocatedblocks() - before

    return count
