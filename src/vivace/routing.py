"""Routes: which handler answers which path, and the way back from a name to a path."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

from vivace._engine import Routes
from vivace.signatures import Call, compile_call, describe
from vivace.spelling import did_you_mean
from vivace.threads import Threads, in_thread
from vivace.twins import twin_of

__all__ = ["Route", "RouteOptions", "Router"]

Handler = Callable[..., Any]


class RouteOptions(TypedDict, total=False):
    """What every way to add a route takes by name; see `Router.add_route`."""

    name: str | None
    blocking: bool
    limit_body_bytes: int | str | None


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One route: `request.route` gives it.

    pattern       as registered: "/users/{id:int}"
    handler       the function, as registered
    methods       upper-case names; empty: any method
    name          what `url_for` finds it by; the handler's name unless one was given
    placeholders  (name, type) of each path parameter, type being "plain", "str", "int", "float", "uuid" or "path"
    limit_body_bytes  the longest body that it takes; None: as the application has it
    """

    pattern: str
    handler: Handler
    methods: frozenset[str]
    name: str
    placeholders: tuple[tuple[str, str], ...] = ()
    limit_body_bytes: int | None = None

    def url(self, /, **params: Any) -> str:
        """Give the path with these parameters, percent-encoded; ValueError says what is missing, odd or too much.

        >>> route = Router().add_route("/users/{id:int}", lambda request, id: "")
        >>> route.url(id=3)
        '/users/3'
        """
        from vivace.urls import url  # noqa: PLC0415 - who makes no URLs does not wait for it

        return url(self.pattern, dict(self.placeholders), params)


class Router:
    """The routes of an application, `app.router`.

    app.router.add_route("/", hello)                              # any method
    app.router.add_route("/todos/{id:int}", todo, methods=["GET", "DELETE"])

    Patterns: `{name}` is one segment, `{name:int|float|str|uuid}` one of that type, `{name:path}` the rest of the
    path; `{{` and `}}` are braces. Static text beats typed beats plain beats `path`, whatever came first.
    """

    def __init__(self) -> None:
        """Make an empty table."""
        self.table = Routes()
        self._routes: list[Route] = []
        self._chosen_names: dict[str, str] = {}
        self.threads = Threads()  # of the routes with blocking=True; serving gives the pool

    def add_route(
        self,
        pattern: str,
        handler: Handler,
        method: str | None = None,
        methods: Iterable[str] | None = None,
        *,
        name: str | None = None,
        blocking: bool = False,
        limit_body_bytes: int | str | None = None,
    ) -> Route:
        """Add a route.

        pattern   "/users/{id:int}"
        handler   takes the request first (if it takes anything), and the path parameters that it names
        method    one method, or `methods` several, in any case; neither: any method
        name      for `url_for`; the handler's own name when left out
        blocking  call the handler, a plain `def`, in a thread: it may wait for whatever it likes
        limit_body_bytes  the longest body that it takes, in place of the application's limit: 4096, or "2GiB"

        ValueError, in one line that says what to do: a malformed pattern, a route that matches the same, a handler
        whose parameters nothing can fill, a name that another pattern has.
        """
        allowed = _methods(pattern, method, methods)
        placeholders = _placeholders(pattern)
        call = compile_call(handler, pattern, [placeholder for placeholder, _ in placeholders])
        if name is not None and self._chosen_names.get(name, pattern) != pattern:
            msg = f'"{pattern}" cannot be named "{name}": "{self._chosen_names[name]}" already is'
            raise ValueError(msg)
        most = None if limit_body_bytes is None else _body_limit(pattern, limit_body_bytes)
        called = self._in_thread(handler, pattern, call) if blocking else handler
        label = name or describe(handler).rpartition(".")[2]
        route = Route(pattern, handler, frozenset(allowed), label, placeholders, most)
        coroutine, twin = (True, None) if blocking else (call.coroutine, twin_of(handler))
        self.table.add(pattern, allowed, called, call.positional, call.keywords, coroutine, route, twin, most or 0)
        self._routes.append(route)
        if name is not None:
            self._chosen_names[name] = pattern
        return route

    def _in_thread(self, handler: Handler, pattern: str, call: Call) -> Handler:
        request_at = call.positional.index(None) if None in call.positional else None
        return in_thread(handler, f'handler "{describe(handler)}" of "{pattern}"', lambda: self.threads, request_at)

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes, in the order of their registration."""
        return tuple(self._routes)

    def url_for(self, name: str, /, **params: Any) -> str:
        """Give the path of the route with this name; see `Application.url_for`."""
        named = [route for route in self._routes if route.name == name]
        if not named:
            names = {route.name for route in self._routes}
            msg = f'no route is named "{name}"{did_you_mean(name, names)}'
            raise LookupError(msg)
        fitting = (route for route in named if {placeholder for placeholder, _ in route.placeholders} == params.keys())
        return next(fitting, named[0]).url(**params)

    def __iter__(self) -> Iterator[Route]:
        """Each route, in the order of registration."""
        return iter(self.routes)

    def __len__(self) -> int:
        """How many routes there are."""
        return len(self._routes)


def _placeholders(pattern: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(pattern, str):
        return Routes.placeholders(pattern)
    msg = f'a pattern is a str such as "/users/{{id}}", not {pattern!r}'
    raise TypeError(msg)


def _methods(pattern: str, method: str | None, methods: Iterable[str] | None) -> tuple[str, ...]:
    if method is not None and methods is not None:
        msg = f'"{pattern}" was given both method and methods: give one of them'
        raise ValueError(msg)
    if method is None and methods is None:
        return ()
    if isinstance(methods, str):
        msg = f'"{pattern}": methods is a list, as in methods=["{methods.upper()}"]'
        raise TypeError(msg)
    names = [method] if method is not None else list(methods or ())
    if not names:
        msg = f'"{pattern}" was given an empty list of methods: name some, or leave methods out for any'
        raise ValueError(msg)
    return tuple(dict.fromkeys(name.upper() for name in names))


def _body_limit(pattern: str, value: Any) -> int:
    from vivace.settings import LIMITS  # noqa: PLC0415 - few routes have one of their own

    limit: int = LIMITS["limit_body_bytes"].read(value, f'"{pattern}": limit_body_bytes')
    return limit
