"""vivace: a Python web framework whose engine is C.

The first lines:

    from vivace import Application

    app = Application()

    @app.get("/users/{id:int}")
    async def user(request, id: int):
        return {"id": id}

    app.run()
"""

from vivace._engine import Headers, MultiDict, Request, Response
from vivace.app import Application
from vivace.exceptions import HTTPError, JSONError, RouteNotFoundException
from vivace.routing import Route, Router
from vivace.version import __version__

__all__ = [
    "Application",
    "HTTPError",
    "Headers",
    "JSONError",
    "MultiDict",
    "Request",
    "Response",
    "Route",
    "RouteNotFoundException",
    "Router",
    "__version__",
]
