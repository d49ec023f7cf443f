"""What handlers raise to answer with an error, and what the engine raises on their behalf."""

import json
from collections.abc import Iterable, Mapping

__all__ = ["BodyError", "FormError", "HTTPError", "JSONError", "RouteNotFoundException"]

_LOWEST, _HIGHEST = 100, 999


class HTTPError(Exception):
    """Ends a request with a status: `raise HTTPError(404, "no such user")`.

    status   int, 100 to 999; ValueError outside
    detail   what to tell the client, str: the body, or a part of it where the client prefers JSON; the status'
             registered reason when left out
    headers  further header fields of the answer, such as `{"WWW-Authenticate": "Basic"}`

    Answered by the nearest error handler of the application, or plainly.

        @app.get("/users/{id:int}")
        def user(request, id):
            if id not in users:
                raise HTTPError(404, "no such user")
            return users[id]
    """

    def __init__(self, status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        """ValueError for a status that is none, TypeError for a detail that is no text."""
        given: object = detail
        if given is not None and not isinstance(given, str):
            msg = f"HTTPError takes a text for its detail, not {detail!r}: for JSON of your own return a Response"
            raise TypeError(msg)
        if not _LOWEST <= status <= _HIGHEST:
            msg = f"HTTPError takes a status from {_LOWEST} to {_HIGHEST}, not {status!r}"
            raise ValueError(msg)
        self.status = int(status)
        self.detail = reason(self.status) if detail is None else detail
        self.headers = headers
        super().__init__(self.status, self.detail)

    def __str__(self) -> str:
        """Status and detail: `404 no such user`."""
        return f"{self.status} {self.detail}".rstrip()


class RouteNotFoundException(HTTPError):  # noqa: N818 - Japronto's name
    """No route has the path of a request: a 404, unless an error handler catches it.

    app.add_error_handler(RouteNotFoundException, lambda request, exception: "Are you lost, pal?")
    """

    def __init__(self, detail: str | None = None) -> None:
        """Take `Not Found` for a detail that is left out."""
        super().__init__(404, detail)


class JSONError(json.JSONDecodeError):
    """`request.json` of a body that is not JSON. Unhandled, the answer is a 400 that names the position.

    A `json.JSONDecodeError`: `msg`, `doc`, `pos`, `lineno` and `colno` tell where.
    """


class BodyError(HTTPError, ValueError):
    """The body of a request is not what Content-Type says it is. Unhandled, it is its own answer.

    status  400: it cannot be decoded (`detail` tells where); 415: its charset is unknown; 413: it exceeds a limit

    `request.text` raises it, and `request.form` and `request.files` its subclass FormError.

        try:
            text = request.text
        except BodyError as error:
            text = f"({error.detail})"
    """


class FormError(BodyError):
    """`request.form` or `request.files` of a form: malformed (400), too large (413) or of an odd charset (415)."""


def method_not_allowed(methods: Iterable[str]) -> HTTPError:
    """Make the 405 of a path that takes only these methods."""
    return HTTPError(405, headers={"Allow": ", ".join(methods)})


def reason(status: int) -> str:
    """Give the registered reason phrase of a status, or nothing: `reason(404) == "Not Found"`."""
    from http import HTTPStatus  # noqa: PLC0415 - takes a while, and most programs raise none of these

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
