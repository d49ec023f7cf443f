"""Which part of serving a request a function belongs to."""

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from sampling import Stack

RECEIVE, SEND, WAIT, KERNEL = "kernel: receive", "kernel: send", "kernel: wait, io_uring", "kernel: the rest"
HANDLER, REST = "CPython: the handler's own code", "everything else"

OF_KERNEL = (("tcp_recvmsg", RECEIVE), ("tcp_sendmsg", SEND), ("sys_recv", RECEIVE), ("sys_send", SEND))
OF_KERNEL += (("epoll", WAIT), ("io_uring", WAIT))
"""By functions on the stack; the first that is on it decides. A send over loopback includes the receiver's side of TCP
up to its socket."""

# The first that fits decides: a function's name, or its file.
OF_ENGINE = (
    (r"vv_http1_parse|core/http1/(parse|target|method|framing|chunked)", "parse the head"),
    (r"core/router/", "find the route"),
    (r"vv_conn_reply|core/http1/(write|date|reason)|core/bytes/", "write the answer"),
    (r"core/server/|core/http1/", "connection, order of answers"),
    (r"core/io/|io_uring", "event loop"),
    (r"dealloc|release|clear|recycle", "release"),
    (r"binding/py_(request|mappings|form|descriptors)", "the Request"),
    (r"binding/py_response", "the Response"),
    (r"binding/py_(app|routes|coroutine|pending|context)", "call the handler, take its answer"),
    (r"binding/py_(selector|server|transport|module)", "asyncio's selector"),
)
PHASES = (
    *(RECEIVE, SEND, WAIT, KERNEL, "event loop", "connection, order of answers", "parse the head", "find the route"),
    *("the Request", "call the handler, take its answer", HANDLER, "the Response", "write the answer", "release"),
    *("asyncio's selector", REST),
)
"""In the order of the journey."""


def files_of(engine: Path) -> dict[str, str]:
    """Tell the source file of each function of the engine, from its debug information."""
    listed = subprocess.run(["nm", "--line-numbers", engine], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^\S+ [tT] (\S+)\t(\S+):\d+$", listed, re.MULTILINE)
    return {name: path.rpartition("/src/")[2] for name, path in found}


def of_engine(name: str, files: Mapping[str, str]) -> str:
    """Name the phase of a function of the engine."""
    plain = re.sub(r"(\.(isra|part|constprop|cold)(\.\d+)?)+$", "", name)
    known = f"{plain} {files.get(name) or files.get(plain, '')}"
    return next((phase for pattern, phase in OF_ENGINE if re.search(pattern, known)), REST)


def _of_kernel(stack: Stack) -> str:
    """Name the phase of a stack that ends in the kernel."""
    names = " ".join(frame.name for frame in stack if frame.of == "kernel")
    return next((phase for word, phase in OF_KERNEL if word in names), KERNEL)


def phase_of(stack: Stack, files: Mapping[str, str]) -> str:
    """Name the phase of a stack: what CPython and libc do counts as the work of whoever of the engine asked for it."""
    if stack[-1].of == "kernel":
        return _of_kernel(stack)
    for frame in reversed(stack):
        if frame.of == "engine":
            phase = of_engine(frame.name, files)
            runs_python = any(one.name.startswith("_PyEval_EvalFrame") for one in stack[stack.index(frame) :])
            return HANDLER if runs_python else phase
    return REST


def shares(stacks: Mapping[Stack, int], files: Mapping[str, str]) -> dict[str, float]:
    """Give each phase's share of the samples."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[phase_of(stack, files)] += count
    total = sum(found.values())
    return {phase: found[phase] / total for phase in PHASES if found[phase]}
