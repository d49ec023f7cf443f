"""The application: what users write against."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, TypeVar, Unpack

from vivace._engine import Request
from vivace.exceptions import RouteNotFoundException
from vivace.extensions import RequestExtensions
from vivace.failures import ErrorHandler, ErrorHandlers, log_failure
from vivace.lifespan import Hook, Lifespan
from vivace.logs import RefusalLog
from vivace.loop import EngineLoop, new_event_loop
from vivace.program import this_program
from vivace.routing import Handler, Route, RouteOptions, Router
from vivace.signatures import describe
from vivace.spelling import did_you_mean

__all__ = ["Application"]

HandlerT = TypeVar("HandlerT", bound=Handler)
ErrorHandlerT = TypeVar("ErrorHandlerT", bound=ErrorHandler)
ExtensionT = TypeVar("ExtensionT", bound=Callable[..., Any])
HookT = TypeVar("HookT", bound=Hook)

_log = logging.getLogger("vivace")

importing: ContextVar[bool] = ContextVar("importing", default=False)
"""Whether the command line is importing the module: `run()` then keeps its arguments and returns."""


class Application:
    """A web application.

    debug     show tracebacks to clients, which is never for strangers, and warn of handlers that hold the event loop
    lifespan  `lifespan(app)`, an async context manager around the serving; a mapping that it yields goes to `app.state`
    limits    the engine's, by name: limit_head_bytes, limit_header_fields, limit_body_bytes, limit_body_memory_bytes,
              limit_form_parts, limit_form_head_bytes, limit_form_text_bytes, limit_pipeline, limit_output_bytes,
              limit_connections (whole numbers), timeout_head, timeout_body, timeout_keep_alive, timeout_write,
              timeout_graceful (seconds)

    TypeError for an unknown limit, with the nearest name; ValueError for a value that is none.

        from vivace import Application

        app = Application(limit_body_bytes=1_000_000)

        @app.get("/")
        def hello(request):
            return "Hello world!"

        if __name__ == "__main__":
            app.run()
    """

    _runs = 0  # how often any application's run() was called in this process

    def __init__(
        self,
        *,
        debug: bool = False,
        lifespan: Callable[[Any], Any] | None = None,
        reaper_settings: Mapping[str, float] | None = None,
        log_request: bool | None = None,
        **limits: float | str,
    ) -> None:
        """Keyword arguments only.

        Two are Japronto's: `idle_timeout` of `reaper_settings` is our `timeout_keep_alive`, and `log_request` our
        `access_log`.
        """
        if reaper_settings and "idle_timeout" in reaper_settings:
            limits.setdefault("timeout_keep_alive", reaper_settings["idle_timeout"])
        self.debug = debug
        self.limits: dict[str, Any] = _checked_limits(limits) if limits else {}
        self.router = Router()
        self.state = SimpleNamespace()
        self.lifespan = Lifespan(lifespan)
        self.refusals = RefusalLog()
        self.run_arguments: dict[str, Any] = {}
        self._failures = ErrorHandlers()
        self._extensions = RequestExtensions()
        self._log_request = log_request
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush: asyncio.TimerHandle | None = None

    # Routes

    def route(
        self, path: str, methods: Iterable[str] = ("GET",), **options: Unpack[RouteOptions]
    ) -> Callable[[HandlerT], HandlerT]:
        """Make a function the handler of a path; the function is returned as it was.

        path      "/users/{id:int}"; see `Router`
        methods   in any case
        name      for `url_for`; the function's own when left out
        blocking  True: a plain `def` that may wait for whatever it likes, and runs in a thread (see `run`: threads)
        limit_body_bytes  the longest body that it takes, in place of the application's limit: 4096, or "2GiB"

        ValueError, in one line that says what to do, for a pattern, a signature or a conflict; see
        `Router.add_route`.

            @app.route("/todos/{id:int}", methods=["GET", "DELETE"])
            def todo(request, id):
                return {"id": id, "method": request.method}
        """
        if callable(path):
            how, name = next(iter(methods), "route").lower(), getattr(path, "__name__", path)
            msg = f'a route takes its path first: write `@app.{how}("/...")` above {name}'
            raise TypeError(msg)
        for option in options:
            if option not in RouteOptions.__annotations__:
                near = did_you_mean(option, RouteOptions.__annotations__)
                msg = f'"{path}": a route has no option {option!r}{near}'
                raise TypeError(msg)

        def register(handler: HandlerT) -> HandlerT:
            self.router.add_route(path, handler, methods=methods, **options)
            return handler

        return register

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """Add a route for GET, and for HEAD unless one names it: `@app.get("/users/{id:int}")`. See `route`."""
        return self.route(path, ["GET"], **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """Add a route for POST. See `route`."""
        return self.route(path, ["POST"], **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """Add a route for PUT. See `route`."""
        return self.route(path, ["PUT"], **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """Add a route for PATCH. See `route`."""
        return self.route(path, ["PATCH"], **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """Add a route for DELETE. See `route`."""
        return self.route(path, ["DELETE"], **options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """Add a route for HEAD, where the one for GET should not answer it. See `route`."""
        return self.route(path, ["HEAD"], **options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[HandlerT], HandlerT]:
        """Add a route for OPTIONS, where the list of methods is not the answer. See `route`."""
        return self.route(path, ["OPTIONS"], **options)

    def url_for(self, name: str, /, **params: Any) -> str:
        """Give the path of the route with this name, its parameters percent-encoded.

        LookupError for an unknown name; ValueError for a parameter that is missing, too much, or of another type.

            app.url_for("user", id=3)                # "/users/3"
        """
        return self.router.url_for(name, **params)

    # Errors

    def add_error_handler(self, kind: type[BaseException] | None, handler: ErrorHandler) -> None:
        """`handler(request, exception)` answers for exceptions of this class; None: for all that no other takes.

        The nearest class in the exception's MRO wins, among handlers of one class the first. A handler may be async,
        and returns what any handler may. A path without a route is a RouteNotFoundException. Add error handlers
        before the application is served.

            app.add_error_handler(KeyError, lambda request, exception: request.Response("no such key", 404))
        """
        self._failures.add(kind, handler)

    def exception_handler(self, kind: type[BaseException] | None) -> Callable[[ErrorHandlerT], ErrorHandlerT]:
        """Do the same as `add_error_handler`, as a decorator.

        The function is returned as it was.

            @app.exception_handler(KeyError)
            async def no_such_key(request, exception):
                return request.Response(json={"missing": exception.args[0]}, code=404)
        """
        ErrorHandlers.check(kind)

        def register(handler: ErrorHandlerT) -> ErrorHandlerT:
            self._failures.add(kind, handler)
            return handler

        return register

    # Requests

    def extend_request(
        self,
        function: ExtensionT,
        name: str | None = None,
        property: bool = False,
    ) -> ExtensionT:
        """Add a method or a property to this application's requests; the function is returned as it was.

        function  takes the request first, and whatever else the method takes; it may be async, if it is a method
        name      the attribute's; the function's own when left out
        property  True: an attribute, made by `function(request)` on first use and then kept for the request's life

        ValueError, in one line that says what to do, for a name that requests have already or a function that does
        not fit; RuntimeError once the application is served.

            def user(request):
                return find_user(request.cookies["session"])

            app.extend_request(user, property=True)      # request.user
        """
        self._extensions.add(function, name, property=property)
        return function

    # Life

    def on_startup(self, hook: HookT) -> HookT:
        """Run a hook before the first request.

        It may be async, and gets the app if it takes a parameter.

            @app.on_startup
            async def connect():
                app.state.db = await open_database()
        """
        return self.lifespan.on_startup(hook)

    def on_shutdown(self, hook: HookT) -> HookT:
        """Run a hook after the last request; it may be async, and gets the app if it takes a parameter."""
        return self.lifespan.on_shutdown(hook)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop: the running one while served, before that the one that `run()` will use."""
        if self._loop is None or self._loop.is_closed():
            self._loop = new_event_loop(os.environ.get("VIVACE_IO", "auto"))
        return self._loop

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        workers: int | str | None = None,
        worker_num: int | None = None,
        reload: bool | None = None,
        reload_dir: str | Iterable[str] | None = None,
        reload_include: str | Iterable[str] | None = None,
        reload_exclude: str | Iterable[str] | None = None,
        debug: bool | None = None,
        loop: str | None = None,
        io: str | None = None,
        bind: str | Iterable[str] | None = None,
        uds: str | None = None,
        fd: int | None = None,
        backlog: int | None = None,
        access_log: bool | None = None,
        access_log_format: str | None = None,
        access_log_file: str | None = None,
        log_format: str | None = None,
        log_level: str | None = None,
        threads: int | None = None,
        **limits: float | str,
    ) -> None:
        """Serve until SIGTERM or SIGINT. What is left out comes from `VIVACE_*`, then `Application(...)`.

        host, port  127.0.0.1 and 8080; with the variable PORT 0.0.0.0 and that; port 0: any free one
        workers     processes that serve (1), or "auto": one for each CPU; each runs this program as far as to this
                    call. `worker_num` is Japronto's name of it
        reload      serve the new code when a file changes; reload_dir, reload_include, reload_exclude and
                    reload_delay say which files count, and how fast
        debug       show tracebacks to clients, warn of handlers that hold the event loop for over 100 ms
        loop        "auto", "asyncio" or "uvloop"
        io          "auto", "epoll" or "uring"
        bind        "HOST:PORT", "unix:PATH" or "fd://N", or a list of these, instead of host and port
        uds, fd     a Unix socket's path, or an inherited descriptor, instead of host and port
        backlog     connections that wait to be accepted (2048)
        access_log  log every request, on stderr or in `access_log_file`; `access_log_format` is "short" (the default
                    on a terminal), "combined" (elsewhere), "common" or "json"
        log_level   "critical", "error", "warning", "info" or "debug"; log_format: "text" or "json"
        threads     how many handlers with blocking=True may run at once (as many as CPUs and 4 more, at most 32)
        limits      as for `Application`, and above them; also max_requests, max_requests_jitter and max_rss, by which
                    workers are replaced, and uds_mode, the mode of a Unix socket

        Returns when stopped as asked. SystemExit with 3 when it could not start (one line on stderr says why), 5
        when the deadline cut connections. ValueError and TypeError for settings that are none. RuntimeError where
        several workers, or reload, cannot be had: in a thread that is not the main one, or in a program that cannot be
        started again.

            app.run(port=8000, timeout_keep_alive=30)
        """
        given = {
            "host": host,
            "port": port,
            "workers": worker_num if workers is None else workers,
            "reload": reload,
            "reload_dir": reload_dir,
            "reload_include": reload_include,
            "reload_exclude": reload_exclude,
            "debug": debug,
            "loop": loop,
            "io": io,
            "bind": bind,
            "uds": uds,
            "fd": fd,
            "backlog": backlog,
            "access_log": access_log,
            "access_log_format": access_log_format,
            "access_log_file": access_log_file,
            "log_format": log_format,
            "log_level": log_level,
            "threads": threads,
            **limits,
        }
        from vivace import serving, settings, worker  # noqa: PLC0415 - what only imports an application does not wait for it

        arguments = settings.checked(given, "run()")
        if importing.get():
            self.run_arguments = arguments
            return
        Application._runs += 1
        mine = worker.ticket()
        if mine is not None and Application._runs < mine.call:
            return  # another run() of this program has been served, and ended, before this worker's began
        known = settings.resolve([arguments], self.settings)
        if mine is not None:
            raise SystemExit(int(worker.serve(mine, self, known)))
        if known.supervised:
            from vivace.supervisor import supervise  # noqa: PLC0415 - who serves alone needs none

            status = supervise(this_program(call=Application._runs), known)
        else:
            status = serving.serve(self, known)
        if status:
            raise SystemExit(int(status))

    @property
    def settings(self) -> dict[str, Any]:
        """What `Application(...)` was given, by name: the limits, `debug` if it is on, and the access log."""
        given = dict(self.limits)
        if self.debug:
            given["debug"] = True
        if self._log_request is not None:
            given["access_log"] = bool(self._log_request)
        return given

    # What serving asks

    @contextmanager
    def running_on(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Make `loop` the application's for the time of the context."""
        before, self._loop = self._loop, loop
        try:
            yield
        finally:
            self._loop = before if before is not loop else None

    def made_loop(self, io: str) -> EngineLoop | None:
        """Find the loop that somebody has already asked for by `app.loop`; ValueError if it cannot have this `io`."""
        if not isinstance(self._loop, EngineLoop) or self._loop.is_closed():
            return None
        if io not in ("auto", self._loop.selector.io):
            msg = f"app.loop was used before run(), and has io {self._loop.selector.io}: io {io} comes too late"
            raise ValueError(msg)
        return self._loop

    # What the engine asks

    def _handle_exception(self, request: Request, exception: BaseException) -> Any:
        """Give the answer to an exception: anything that a handler may return, or an awaitable of it."""
        return self._failures.answer(request, exception, debug=self.debug)

    def _failed(self, request: Request, exception: BaseException, when: str) -> None:
        """Hear of an exception that cannot become an answer any more."""
        log_failure(request, exception, when)

    @property
    def _wants_unrouted(self) -> bool:
        """Whether error handlers, or in debug pages, answer for paths and methods that have no route."""
        return self.debug or self._failures.find(RouteNotFoundException) is not None

    @property
    def _request_type(self) -> type[Request]:
        """The type of this application's requests."""
        return self._extensions.use()

    def _held(self, method: str | None, route: Route | None, seconds: float) -> None:
        """Hear, with debug on, of a handler that has held the event loop for long."""
        _log.warning(
            "%s %s: the handler %s held the event loop for %.0f ms, and nothing else was served: "
            "await what takes long, or give the route blocking=True",
            method,
            route.pattern if route is not None else "without a route",
            describe(route.handler) if route is not None else "of its error",
            seconds * 1000,
        )

    def _refused(self, reason: str, code: int, remote: str | None) -> None:
        """Hear of a request that the engine refused without asking the application."""
        if self.refusals.add(reason, code, remote) or self._flush is not None:
            return
        with suppress(RuntimeError):  # no loop runs: the last lines come with the end of the serving
            self._flush = asyncio.get_running_loop().call_later(RefusalLog.INTERVAL, self._tell_refused)

    def _tell_refused(self) -> None:
        self._flush = None
        self.refusals.flush()


def _checked_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    from vivace import settings  # noqa: PLC0415 - as in Application.run

    return settings.checked(limits, "Application", settings.LIMITS)
