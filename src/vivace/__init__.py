"""vivace: a Python web framework whose engine is C.

The first lines:

    from vivace import Application

    app = Application()

    @app.get("/users/{id:int}")
    async def user(request, id: int):
        return {"id": id}

    app.run()
"""

from vivace._engine import Headers, MultiDict, Request, Response, UploadedFile
from vivace.app import Application
from vivace.exceptions import BodyError, FormError, HTTPError, JSONError, RouteNotFoundException
from vivace.routing import Route, Router
from vivace.version import __version__

__all__ = [
    "Application",
    "BodyError",
    "FormError",
    "HTTPError",
    "Headers",
    "JSONError",
    "MultiDict",
    "Request",
    "Response",
    "Route",
    "RouteNotFoundException",
    "Router",
    "UploadedFile",
    "__version__",
]
