"""The least that granian's own interface asks for."""

from typing import Any


async def app(_scope: Any, protocol: Any) -> None:
    protocol.response_str(200, [("content-type", "text/plain; charset=utf-8")], "Hello world!")
