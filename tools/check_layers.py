#!/usr/bin/env python3
"""Check that every #include under src/ follows the floor plan: downwards only, by full path, from the allowed rooms.

A room is a folder that holds C: "core" is src/core itself (status.h, compiler.h), "core/http1" is src/core/http1.
Run by `make lint`, by `make test` and before every commit; says `file:line: what is wrong` and exits with 1.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A room may include itself and what stands here. No circle can be written down unseen: see test_check_layers.py.
MAY_USE: dict[str, set[str]] = {
    "core": set(),
    "core/bytes": {"core"},
    "core/simd": {"core"},
    "core/http1": {"core", "core/bytes", "core/simd"},
    "core/form": {"core", "core/bytes"},
    "core/websocket": {"core", "core/bytes", "core/simd"},
    "core/router": {"core", "core/bytes"},
    "core/io": {"core", "core/bytes"},
    "core/server": {"core", "core/bytes", "core/http1", "core/form", "core/websocket", "core/router", "core/io"},
    # io, because the binding turns the loop: it is asyncio's selector. simd, to tell which instruction set was chosen.
    "binding": {"core", "core/bytes", "core/simd", "core/http1", "core/form", "core/router", "core/io", "core/server"},
}

PYTHON_ROOM = "binding"
KERNEL_ROOM = "core/io"

INCLUDE = re.compile(r'^\s*#\s*include\s*(?P<quote>[<"])(?P<name>[^>"]+)[>"]')
PYTHON = re.compile(r"^(Python|structmember|datetime|frameobject|internal/.*|cpython/.*)\.h$")
# sys/types.h only names types and sys/auxv.h only tells what the CPU can do: they are not listed.
SYSTEM_CALLS = re.compile(
    r"^(sys/(?!types\.h$|auxv\.h$).*|netinet/.*|arpa/.*|linux/.*"
    r"|netdb\.h|poll\.h|unistd\.h|fcntl\.h|signal\.h|sched\.h|time\.h|liburing\.h)$"
)


def problem_with(room: str, quote: str, name: str) -> str | None:
    """Say what is wrong with one #include found in `room`; None if nothing is."""
    if ".." in name.split("/"):
        return f'"{name}": write the full path from src/, never ".."'
    if PYTHON.match(name) and room != PYTHON_ROOM:
        return f"{name} belongs to {PYTHON_ROOM}/: the engine does not know Python"
    if SYSTEM_CALLS.match(name) and room != KERNEL_ROOM:
        return f"{name} belongs to {KERNEL_ROOM}/: no other room makes system calls"
    if quote == "<":
        return None
    target = name.rpartition("/")[0]
    if target not in MAY_USE:
        return f'"{name}": write the full path from src/, as in "core/http1/parse.h"'
    if target != room and target not in MAY_USE[room]:
        return f"{room} may not use {target}"
    return None


def problems_of_file(path: Path, src: Path) -> Iterator[str]:
    """Yield a line for every #include of one C file that breaks the plan."""
    where = path.relative_to(src)
    room = where.parent.as_posix()
    if room not in MAY_USE:
        yield f"src/{where}:1: there is no room {room}: give it a line in MAY_USE"
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        include = INCLUDE.match(line)
        problem = include and problem_with(room, include["quote"], include["name"])
        if problem:
            yield f"src/{where}:{number}: {problem}"


def doubled_names(paths: list[Path], src: Path) -> Iterator[str]:
    """Yield a line for every file name that two folders share: a backtrace shall say which file it means."""
    by_name: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_name[path.name].append(path.relative_to(src))
    for name, places in sorted(by_name.items()):
        if len(places) > 1 and name != "__init__.py":
            yield f"src/{places[1]}:1: the name {name} is taken by src/{places[0]}"


def find_problems(src: Path) -> list[str]:
    """Check every file below `src` and return what is wrong, one line each."""
    c_files = sorted(path for path in src.rglob("*") if path.suffix in {".c", ".h"})
    py_files = sorted(path for path in src.rglob("*") if path.suffix in {".py", ".pyi"})
    found = [problem for path in c_files for problem in problems_of_file(path, src)]
    return found + list(doubled_names(c_files + py_files, src))


def main() -> int:
    """Check this repository."""
    found = find_problems(ROOT / "src")
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
