"""The life of an application: what runs before the first request and after the last."""

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from vivace.spelling import counted

__all__ = ["Hook", "Lifespan"]

Hook = Callable[..., Any]
HookT = TypeVar("HookT", bound=Hook)
Context = Callable[[Any], AbstractAsyncContextManager[Any]]

_log = logging.getLogger("vivace.error")


class Lifespan:
    """Start-up and shutdown hooks, and the `lifespan=` context manager around them."""

    def __init__(self, context: Callable[[Any], Any] | None = None) -> None:
        """`context(app)` is an async context manager, or the async generator function of one."""
        self._context: Context | None = asynccontextmanager(context) if inspect.isasyncgenfunction(context) else context
        self._startup: list[Hook] = []
        self._shutdown: list[Hook] = []

    def on_startup(self, hook: HookT) -> HookT:
        """Add a hook that runs before the first request."""
        self._startup.append(_callable(hook, "on_startup"))
        return hook

    def on_shutdown(self, hook: HookT) -> HookT:
        """Add a hook that runs after the last request."""
        self._shutdown.append(_callable(hook, "on_shutdown"))
        return hook

    @asynccontextmanager
    async def running(self, app: Any) -> AsyncIterator[None]:
        """Enters the context, runs the start-up hooks; at the end the shutdown hooks, and leaves the context.

        Hooks run in the order of their registration, with the app if they take a parameter. An exception of a
        start-up hook ends it all; those of shutdown hooks are logged, the others still run, and ShutdownError follows.
        """
        async with AsyncExitStack() as stack:
            if self._context is not None:
                given = await stack.enter_async_context(self._context(app))
                if isinstance(given, Mapping):
                    vars(app.state).update(given)
            for hook in self._startup:
                await _run(hook, app)
            try:
                yield
            finally:
                await self._end(app)

    async def _end(self, app: Any) -> None:
        failed = 0
        for hook in self._shutdown:
            try:
                await _run(hook, app)
            except Exception:  # noqa: BLE001 - the other hooks still run
                failed += 1
                _log.exception("shutdown hook %s failed", getattr(hook, "__qualname__", hook))
        if failed:
            raise ShutdownError(failed)


class ShutdownError(Exception):
    """Shutdown hooks failed; each has been logged."""

    def __init__(self, count: int) -> None:
        """How many did."""
        super().__init__(f"{counted(count, 'shutdown hook')} failed")


def _callable(hook: Any, decorator: str) -> Hook:
    if callable(hook):
        return hook  # type: ignore[no-any-return]
    msg = f"{decorator} takes a function, not {hook!r}: write `@app.{decorator}` without parentheses"
    raise TypeError(msg)


async def _run(hook: Hook, app: Any) -> None:
    wants_app = any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
        for parameter in inspect.signature(hook).parameters.values()
    )
    outcome = hook(app) if wants_app else hook()
    if inspect.isawaitable(outcome):
        await outcome
