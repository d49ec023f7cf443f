"""What is asked of a server: the bytes of a request, and the body of its answer."""

from dataclasses import dataclass

HELLO_BODY = b"Hello world!"
ECHO_BODY = bytes(32 + n % 95 for n in range(1024))
FIELDS = b"Host: 127.0.0.1\r\nAccept: */*\r\n"
MORE_FIELDS = FIELDS + b"User-Agent: load/1.0\r\nAccept-Language: en-GB\r\n"


@dataclass(frozen=True)
class Workload:
    """One request, over and over, and what must come back: a body that no head of an answer holds by chance."""

    request: bytes
    body: bytes


def _get(path: bytes, body: bytes, fields: bytes = FIELDS) -> Workload:
    return Workload(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, fields), body)


HELLO = _get(b"/", HELLO_BODY)
TEXT = _get(b"/text", HELLO_BODY)
ASYNC = _get(b"/async", HELLO_BODY)
SLEEP = _get(b"/sleep", HELLO_BODY)
JSON = _get(b"/json", b'{"message":"Hello world!"}')
USER = _get(b"/users/31415926", b"31415926")
HEADERS = _get(b"/headers", b"en-GB", MORE_FIELDS)
ECHO = Workload(b"POST /echo HTTP/1.1\r\n%bContent-Length: 1024\r\n\r\n%b" % (FIELDS, ECHO_BODY), ECHO_BODY)
