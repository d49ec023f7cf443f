"""Twins: an `async def` that awaits nothing, as a plain function.

Such a handler cannot suspend, and yet CPython makes a coroutine object for each call, sends to it once and frees it:
a third of what a small handler costs. Its twin is the same code without the instruction that makes the coroutine; the
engine calls the twin, and makes a coroutine only for who asks for the current task (docs/decisions/014).
"""

import sys
from inspect import CO_COROUTINE
from opcode import opmap
from types import CodeType, FunctionType, MethodType
from typing import Any

__all__ = ["twin_of"]

# Known to be safe there; a debug build checks that such code runs in a coroutine's frame, and is right to.
_KNOWN = (
    sys.implementation.name == "cpython"
    and (3, 11) <= sys.version_info < (3, 14)
    and not hasattr(sys, "gettotalrefcount")
    and {"RETURN_GENERATOR", "SEND", "YIELD_VALUE", "POP_TOP", "RESUME", "NOP"} <= opmap.keys()
)


def twin_of(handler: Any) -> Any:
    """Give a plain function that does what awaiting `handler(...)` does, or None where there can be none.

    handler  what was registered; only an `async def`, as a function or a method, can have a twin

        async def hello(request):
            return "Hello world!"

        twin_of(hello)(request)               # "Hello world!", and no coroutine
    """
    if not _KNOWN:
        return None
    if type(handler) is MethodType:
        function = twin_of(handler.__func__)
        return function and MethodType(function, handler.__self__)
    if type(handler) is not FunctionType or not handler.__code__.co_flags & CO_COROUTINE:
        return None
    code = _without_coroutine(handler.__code__)
    if code is None:
        return None
    twin = FunctionType(code, handler.__globals__, handler.__name__, handler.__defaults__, handler.__closure__)
    twin.__kwdefaults__ = handler.__kwdefaults__
    twin.__qualname__ = handler.__qualname__
    twin.__module__ = handler.__module__
    return twin


def _without_coroutine(code: CodeType) -> CodeType | None:
    """Give the code without RETURN_GENERATOR, which makes the coroutine, and the POP_TOP that takes its first None.

    The flag of the code stays: it is by it that CPython turns a StopIteration that leaves it into a RuntimeError.
    """
    instructions = bytearray(code.co_code)
    operations = instructions[::2]
    if opmap["SEND"] in operations or opmap["YIELD_VALUE"] in operations:
        return None
    at = operations.find(opmap["RETURN_GENERATOR"])
    if at < 0 or operations[at + 1 : at + 3] != bytes((opmap["POP_TOP"], opmap["RESUME"])):
        return None
    instructions[2 * at] = instructions[2 * at + 2] = opmap["NOP"]
    return code.replace(co_code=bytes(instructions))
