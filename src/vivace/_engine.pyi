"""The engine: what is written in C.

Users meet `Request`, `Response` and the multi-mappings; the rest serves `vivace`.
"""

import asyncio
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.cookies import SimpleCookie
from io import BufferedIOBase
from os import PathLike
from typing import Any, Self, final, overload

from vivace.app import Application
from vivace.routing import Route

ISA: str
"""The instruction set in use: "base", "avx2" or "avx512"."""
IO_BACKENDS: tuple[str, ...]
"""The I/O back-ends that this build and this kernel offer, best first: ("uring", "epoll")."""
LIMITS: Mapping[str, tuple[float, float, float]]
"""A Server's limits: default, least and most of each; bytes and counts are int, times float, in seconds."""

def set_process_title(title: str, name: str) -> bool:
    """Names the process: `ps -f` shows the title, `top` the name (15 bytes). Before there are other threads."""

@final
class Selector:
    """The engine as asyncio's selector.

    `select` waits in the kernel, serves every HTTP socket in C, and hands back the descriptors that asyncio itself
    registered. Give it to `asyncio.SelectorEventLoop`, then call `attach(loop)`.
    """

    def __init__(self, io: str = "auto") -> None:
        """Raises ValueError for an unknown back-end, OSError when the kernel refuses."""
    @property
    def io(self) -> str: ...
    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Names the loop that this selector belongs to (handlers' tasks are made on it)."""
    def poll(self) -> None:
        """Serves what is ready without waiting: for use under another loop's `add_reader(selector.fileno(), ...)`."""
    def fileno(self) -> int: ...
    def register(self, fileobj: Any, events: int, data: Any = None) -> Any: ...
    def unregister(self, fileobj: Any) -> Any: ...
    def modify(self, fileobj: Any, events: int, data: Any = None) -> Any: ...
    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]: ...
    def get_key(self, fileobj: Any) -> Any: ...
    def get_map(self) -> Mapping[Any, Any] | None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def close(self) -> None: ...

class LoopBase:
    """First base of `vivace.loop.EngineLoop`.

    Lets `asyncio.current_task()` find the task of a handler whose coroutine runs its first step without one.
    """

@final
class Server:
    """A listening HTTP server on a Selector."""

    def __init__(
        self,
        selector: Selector,
        app: Application,
        routes: Routes,
        *,
        limit_head_bytes: int = ...,
        limit_header_fields: int = ...,
        limit_body_bytes: int = ...,
        limit_body_memory_bytes: int = ...,
        limit_form_parts: int = ...,
        limit_form_head_bytes: int = ...,
        limit_form_text_bytes: int = ...,
        limit_pipeline: int = ...,
        limit_output_bytes: int = ...,
        limit_connections: int = ...,
        timeout_head: float = ...,
        timeout_body: float = ...,
        timeout_keep_alive: float = ...,
        timeout_write: float = ...,
    ) -> None:
        """Raises TypeError for an unknown limit, ValueError for one that is out of range: see `LIMITS`."""
    def listen(self, fd: int, *, shared: bool = False) -> None:
        """Accepts on a bound, listening, non-blocking socket (borrowed; the caller keeps it open).

        shared   other processes wait on it too: one of them is woken for a connection, and takes just that one
        """
    def log_access(
        self,
        format: str,
        *,
        fd: int = 2,
        path: str | None = None,
        color: bool = False,
        worker: int = 0,
        take: Callable[[bytes], None] | None = None,
    ) -> None:
        """Logs every answer, and what is refused. Before `listen`.

        format  "short", "common", "combined" or "json"
        fd      where lines go, if no path and no take is given; it must stay open
        path    a file to append to; when it is moved away, a new one is made
        color   of the status, in short lines
        worker  this process's number, from 1; 0: there is only one
        take    called with all lines of a turn of the loop, instead of writing them

        ValueError for an unknown format, OSError for what cannot be written to.
        """
    def stop_listening(self) -> None:
        """Accepts no more; the sockets stay open (they belong to the caller). From shared ones, who queues first."""
    def drain(self, keep: str = "none") -> None:
        """End gracefully. May be called again, to keep fewer.

        Idle connections close at once, the others after the answers of requests in flight, which say
        `Connection: close`.

        keep   the idle ones that may ask once more: "none", "fresh" (that have not asked yet) or "idle" (all)
        """
    def record(self, memory: mmap.mmap) -> None:
        """Keep account of what is going on in memory that another process looks at: see `vivace.blackbox`.

        ValueError if it is too small for the routes.
        """
    def abort(self) -> int:
        """Closes every connection now; returns how many were cut."""
    def close(self) -> None:
        """Ends it: closes every connection and leaves the selector, which keeps it until then. Not for handlers."""
    @property
    def connections(self) -> int: ...
    @property
    def requests(self) -> int:
        """Requests handed to the application so far."""
    @property
    def access_lost(self) -> int:
        """Lines of the access log that could not be written; known once the server is closed."""

@final
class Routes:
    """The compiled table of routes (C). `add` may raise ValueError with one line that says what to do."""

    def __init__(self) -> None: ...
    def add(
        self,
        pattern: str,
        methods: tuple[str, ...],
        handler: Callable[..., Any],
        positional: tuple[str | None, ...],
        keywords: tuple[str, ...],
        coroutine: bool,
        route: Route,
        twin: Callable[..., Any] | None = None,
        limit_body_bytes: int = 0,
    ) -> tuple[tuple[str, str], ...]:
        """Adds a route.

        methods     upper-case names; empty: any method
        positional  what each positional argument of the handler is: None for the request, else a path parameter's name
        keywords    path parameters passed by keyword after them (keyword-only ones, or all the rest for **kwargs)
        coroutine   the handler is an `async def`
        route       what `request.route` gives
        twin        of a coroutine function that awaits nothing: the same as a plain function
        limit_body_bytes  the longest body that it takes; 0: as the server has it

        Returns the pattern's placeholders as (name, type) pairs, type being "plain", "str", "int", "float", "uuid" or
        "path". Raises ValueError for a malformed pattern, a conflict, or a parameter the pattern does not have.
        """
    @staticmethod
    def placeholders(pattern: str) -> tuple[tuple[str, str], ...]:
        """The (name, type) pairs of a pattern. ValueError if it is malformed."""
    @property
    def numbered(self) -> list[Route]:
        """The routes; the number of each is its place, from 1 on."""
    def match(self, method: str, path: str) -> tuple[Route | None, dict[str, Any], tuple[str, ...]]:
        """For tools and tests: the route, its converted parameters, and the methods that the path allows."""

class Headers(Mapping[str, str]):
    """A request's header fields: a multi-mapping in the order sent; look-ups in any case (RFC 9110 section 5.1)."""

    def __getitem__(self, name: str) -> str: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def get(self, name: str, default: Any = None, /) -> Any: ...
    def getall(self, name: str, /) -> list[str]: ...
    def multi_items(self) -> list[tuple[str, str]]: ...

class MultiDict(Mapping[str, Any]):
    """An ordered multi-mapping: `[...]` and `get` give the first value, `getall` all of them."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None: ...
    def __getitem__(self, name: str) -> Any: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def get(self, name: str, default: Any = None, /) -> Any: ...
    def getall(self, name: str, /) -> list[Any]: ...
    def multi_items(self) -> list[tuple[str, Any]]: ...

class Spool:
    """A body that was too long for memory: a temporary file without a name."""

    def read_into(self, buffer: bytearray | memoryview, at: int, /) -> None:
        """Fills the buffer with the bytes from `at` on. ValueError past the end; OSError."""

@final
class UploadedFile:
    """A file of a form, as in `request.files`. It may be kept; so is, then, the body that it is a part of.

    name, filename  its name as the client sent it: never a path to write to
    field           the name of the form's field
    type            the media type in lower case; None when none was sent
    content_type    Content-Type with its parameters, as sent; None when none was sent
    size            in bytes
    body            all of it; of a long body read anew each time
    file            it as a binary file object, to read, seek and iterate
    """

    @property
    def name(self) -> str: ...
    @property
    def filename(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def type(self) -> str | None: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def size(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def file(self) -> BufferedIOBase: ...
    def read(self, size: int | None = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def save(self, path: str | bytes | PathLike[str], /) -> None:
        """Writes it to a path of your choice, over what is there. OSError if that fails."""
    def __bytes__(self) -> bytes: ...

class Response:
    """An answer. May be kept and returned many times.

    text       str, sent as `encoding` (utf-8), text/plain
    code       100 to 999 (200); `status` is its second name
    body       bytes, application/octet-stream
    json       anything msgspec can encode, application/json
    mime_type  replaces the default type; encoding the charset parameter
    headers    a mapping or a list of (name, value) pairs of str
    cookies    an http.cookies.SimpleCookie

    Raises TypeError or ValueError: more than one of text, body and json; a status that is none; CR, LF or NUL in a
    header; a header that is the engine's (Content-Length, Transfer-Encoding, Date, Connection other than "close").
    """

    def __init__(
        self,
        text: str | None = None,
        code: int | None = None,
        body: bytes | bytearray | memoryview | None = None,
        json: Any = ...,
        mime_type: str | None = None,
        encoding: str | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        cookies: SimpleCookie | None = None,
        *,
        status: int | None = None,
    ) -> None: ...
    @property
    def code(self) -> int: ...
    @property
    def status(self) -> int: ...
    @property
    def text(self) -> str | None: ...
    @property
    def body(self) -> bytes | None: ...
    @property
    def mime_type(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def cookies(self) -> SimpleCookie | None: ...
    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: str | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
    ) -> None: ...

def new_request_type() -> type[Request]:
    """Makes a subtype of Request, whose attributes are for the caller to set. An application has one."""

@final
class KeptProperty:
    """An attribute of requests that is made on first use, by `function(request)`, and kept."""

    def __init__(self, function: Callable[[Any], Any], name: str, /) -> None: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(self, instance: Request, owner: type | None = None, /) -> Any: ...

@final
class Request:
    """One request. Every attribute is made on first use and then kept; keeping the request itself is always safe."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def raw_path(self) -> str: ...
    @property
    def query_string(self) -> str | None: ...
    @property
    def query(self) -> MultiDict: ...
    @property
    def version(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def cookies(self) -> dict[str, str]: ...
    @property
    def body(self) -> bytes | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def json(self) -> Any: ...
    @property
    def form(self) -> MultiDict: ...
    @property
    def files(self) -> MultiDict: ...
    @property
    def mime_type(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...
    @property
    def keep_alive(self) -> bool: ...
    @property
    def disconnected(self) -> bool:
        """Whether the client went before it was answered. An orderly end of what it sends is not noticed."""
    @property
    def match_dict(self) -> dict[str, Any]: ...
    @property
    def route(self) -> Route | None: ...
    @property
    def remote_addr(self) -> str | None: ...
    @property
    def hostname(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def scheme(self) -> str: ...
    @property
    def app(self) -> Application: ...
    @property
    def state(self) -> Any: ...
    @property
    def extra(self) -> dict[str, Any]: ...
    @property
    def transport(self) -> Any: ...
    Response: type[Response]
    def add_done_callback(self, function: Callable[[Request], Any], /) -> None:
        """`function(request)` is called when the answer has left, or the connection was lost."""
    def _keep(self) -> None:
        """Copies what the engine has lent it: then any thread may use it."""
