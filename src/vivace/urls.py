"""The way back from a route to a path."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from vivace.spelling import did_you_mean, listed

__all__ = ["url"]

# What RFC 3986 (section 3.3) lets stand in a path segment as it is.
_SEGMENT = "-._~!$&'()*+,;=:@"
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}:]*)(?::[^{}]*)?\}")
_SHAPES = {
    "plain": (re.compile(r"[^\0]+", re.DOTALL), "a text that is not empty"),
    "str": (re.compile(r"[^\0]+", re.DOTALL), "a text that is not empty"),
    "int": (re.compile(r"-?[0-9]{1,64}"), "an int"),
    "float": (re.compile(r"-?[0-9]+(\.[0-9]+)?"), "a finite float"),
    "uuid": (re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "a UUID"),
    "path": (re.compile(r"[^\0]*", re.DOTALL), "a path"),
}


def url(pattern: str, types: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """Give the path of a pattern with these parameters, percent-encoded.

    types  of the placeholders: "plain", "str", "int", "float", "uuid" or "path"

    ValueError says what is missing, odd or too much.
    """
    if missing := [name for name in types if name not in params]:
        msg = f'the path of "{pattern}" also needs {listed(missing)}'
        raise ValueError(msg)
    if extra := [name for name in params if name not in types]:
        msg = f'"{pattern}" has no placeholder {listed(extra)}{did_you_mean(extra[0], types)}'
        raise ValueError(msg)
    return "".join(_pieces(pattern, {name: _text(pattern, name, types[name], params[name]) for name in types}))


def _pieces(pattern: str, texts: Mapping[str, str]) -> Iterator[str]:
    at = 0
    for found in _PLACEHOLDER.finditer(pattern):
        yield quote(pattern[at : found.start()], safe=_SEGMENT + "/")
        at = found.end()
        name = found[1]
        yield quote(found[0][0], safe="") if name is None else texts[name]
    yield quote(pattern[at:], safe=_SEGMENT + "/")


def _text(pattern: str, name: str, kind: str, value: Any) -> str:
    text = format(value, "f") if isinstance(value, float) and "e" in repr(value) else str(value)
    shape, wanted = _SHAPES[kind]
    if isinstance(value, bool) or value is None or not shape.fullmatch(text):
        msg = f'"{name}" of "{pattern}" takes {wanted}, not {value!r}'
        raise ValueError(msg)
    return quote(text, safe=_SEGMENT + "/" if kind == "path" else _SEGMENT)
