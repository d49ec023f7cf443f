"""Threads for handlers that block: a bounded number of them, so that the event loop stays free."""

import asyncio
import functools
import inspect
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from vivace.signatures import describe, is_coroutine

__all__ = ["DEFAULT", "Threads", "in_thread"]

DEFAULT = min(32, len(os.sched_getaffinity(0)) + 4)
"""How many threads there are when nobody says anything."""

_log = logging.getLogger("vivace.error")


@dataclass(slots=True, eq=False)
class _Job:
    """One call in a thread. `value` or `error` says how it ended, once `future` is done."""

    function: Callable[..., Any]
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    context: Context
    future: asyncio.Future[None]
    value: Any = None
    error: BaseException | None = None

    def do(self) -> None:
        """Call it, unless nobody waits for it any more."""
        if self.future.cancelled():
            return
        try:
            self.value = self.context.run(self.function, *self.arguments, **self.keywords)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the call is awaited
            self.error = error


class Threads:
    """A pool of threads, for as long as an application is served.

    Rule 1: a thread is started when every other one has something to do, up to the number asked for.
    Rule 2: what waits for a thread waits in one queue. Each job is a request in flight, so that the limits of
            connections and pipelines bound the queue.
    Rule 3: all threads are daemons. A call that never returns holds up neither the end of the process nor, after the
            deadline, that of the serving.

    Everything but `_work` and `_tell` runs in the loop's thread.
    """

    def __init__(self, size: int = 0, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Take calls on `loop`; None: take none. No thread is started yet."""
        self.busy = 0  # calls that have begun or wait for a thread, also those that nobody waits for any more
        self._size = size
        self._threads = 0
        self._loop = loop
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._ended: deque[_Job] = deque()
        self._told = False  # _hand_over() is on its way

    def close(self) -> None:
        """Take no more, and let every thread end when its call has."""
        self._loop = None
        for _ in range(self._threads):
            self._jobs.put(None)

    async def call(self, function: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """Call a function in a thread, in a copy of the current context, and wait for what it returns or raises.

        When the waiting is cancelled a call that has not begun never does; one that has runs to its end, and what
        it raises then is logged. RuntimeError when the pool is closed.
        """
        if self._loop is None:
            msg = "a blocking handler was called while the application is not being served"
            raise RuntimeError(msg)
        job = _Job(function, arguments, keywords, copy_context(), self._loop.create_future())
        self._begin(job)
        await job.future
        error, job.error = job.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error, job  # else they would hold each other through the traceback
        return job.value

    def _begin(self, job: _Job) -> None:
        if self.busy >= self._threads < self._size:
            name = f"vivace-blocking-{self._threads + 1}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError:
                if self._threads == 0:
                    raise
            else:
                self._threads += 1
        self.busy += 1
        self._jobs.put(job)

    def _work(self) -> None:
        """Do what one of the threads does."""
        while (job := self._jobs.get()) is not None:
            job.do()
            self._ended.append(job)
            del job
            self._tell()

    def _tell(self) -> None:
        """Have the loop look at what has ended."""
        loop = self._loop
        if self._told or loop is None:
            return
        self._told = True
        with suppress(RuntimeError):  # the loop is closed: nobody is there to hear of it
            loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        self._told = False  # first: what ends from now on tells again
        while self._ended:
            job = self._ended.popleft()
            self.busy -= 1
            if not job.future.cancelled():
                job.future.set_result(None)
            elif job.error is not None:
                _log.error(
                    "blocking handler %s failed after its client had gone",
                    describe(job.function),
                    exc_info=job.error,
                )


def in_thread(
    handler: Callable[..., Any], who: str, threads: Callable[[], Threads], request_at: int | None
) -> Callable[..., Any]:
    """Make of a handler that blocks a coroutine function that calls it in a thread.

    who         as messages name the handler
    threads     gives the pool, at each call
    request_at  which of its positional arguments is the request; None: none is

    ValueError for a handler that cannot be called in a thread.
    """
    if is_coroutine(handler):
        msg = f"{who} is async, and runs on the event loop: leave blocking=True out, or make it a plain def"
        raise ValueError(msg)
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        msg = f"{who} is a generator, and only a whole call can run in a thread: leave blocking=True out"
        raise ValueError(msg)

    async def blocking(*arguments: Any, **keywords: Any) -> Any:
        if request_at is not None:
            arguments[request_at]._keep()  # noqa: SLF001 - the engine's, for us
        return await threads().call(handler, arguments, keywords)

    functools.update_wrapper(blocking, handler)
    blocking.__qualname__ = describe(handler)
    return blocking
