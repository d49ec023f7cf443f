"""The event loop: asyncio's own, waiting in the engine."""

import asyncio
from collections.abc import Callable

from vivace import _engine

__all__ = ["EngineLoop", "new_event_loop", "uvloop_factory"]


class EngineLoop(_engine.LoopBase, asyncio.SelectorEventLoop):
    """asyncio's selector loop with the engine as its selector: one wait a turn serves HTTP and asyncio alike."""

    selector: _engine.Selector

    def __init__(self, selector: _engine.Selector) -> None:
        """Take the selector, which the loop closes in the end."""
        asyncio.SelectorEventLoop.__init__(self, selector)  # type: ignore[arg-type]
        self.selector = selector
        selector.attach(self)


def new_event_loop(io: str = "auto") -> EngineLoop:
    """Make a loop of vivace's own.

    io   "auto", or one of `vivace._engine.IO_BACKENDS`

    ValueError for another, OSError when the kernel refuses it.

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())
    """
    return EngineLoop(_engine.Selector(io))


def uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Find what makes uvloop's loops; ModuleNotFoundError, in one line, where it is not installed."""
    try:
        from uvloop import new_event_loop as factory  # noqa: PLC0415 - optional, and slow to import
    except ModuleNotFoundError:
        msg = "loop uvloop is not installed: `pip install uvloop`, or take loop asyncio"
        raise ModuleNotFoundError(msg, name="uvloop") from None
    return factory
