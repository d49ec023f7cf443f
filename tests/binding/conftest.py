"""What the tests of the binding share."""

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
