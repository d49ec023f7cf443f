"""How tests wait: for what must come, however long that takes, and never for a time in which it should have."""

import time
from collections.abc import Callable
from typing import TypeVar

SECONDS = 30  # that any single step may take on the slowest machine

T = TypeVar("T")


def eventually(true: Callable[[], T]) -> T:
    """Wait until it gives something true; that."""
    deadline = time.monotonic() + SECONDS
    while not (value := true()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)
    return value
