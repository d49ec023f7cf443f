#!/usr/bin/env python3
"""The CPythons that vivace can be tested on: one interpreter for each minor version, pyenv's before the system's.

An interpreter counts if it can make a virtual environment with pip and has the headers to build an extension with.
Run alone it prints what it found, one line each.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MINORS = ((3, 11), (3, 12), (3, 13), (3, 14))

# Prints major, minor and micro of a usable interpreter, nothing for one that cannot serve.
PROBE = """
import os, sys, sysconfig
import ensurepip, venv
usable = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
if usable and os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print(*sys.version_info[:3])
"""


def version_of(python: Path) -> tuple[int, ...] | None:
    """Tell the version of an interpreter; None if it cannot be used."""
    try:
        answer = subprocess.run([python, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(int(part) for part in answer.stdout.split()) or None


def pyenv_root() -> Path | None:
    """Tell where pyenv keeps its versions, if there is a pyenv."""
    if not shutil.which("pyenv"):
        return None
    answer = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()) if answer.returncode == 0 else None


def candidates() -> Iterator[tuple[int, Path]]:
    """Yield a rank (1: pyenv's, 0: the system's) and a path for every interpreter worth a look."""
    names = [f"python{major}.{minor}" for major, minor in MINORS]
    root = pyenv_root()
    if root:
        for name in names:
            yield from ((1, path) for path in root.glob(f"versions/*/bin/{name}"))
    for folder in map(Path, os.get_exec_path()):
        yield from ((0, folder / name) for name in names if (folder / name).exists())
    yield 0, Path("/usr/bin/python3")


def find_pythons() -> dict[str, Path]:
    """Find one interpreter for each minor version, oldest first: {"3.11": Path(...), ...}."""
    best: dict[tuple[int, ...], tuple[int, tuple[int, ...], Path]] = {}
    for rank, path in candidates():
        version = version_of(path)
        if version and version[:2] in MINORS:
            known = best.get(version[:2])
            if known is None or (rank, version) > known[:2]:
                best[version[:2]] = (rank, version, path)
    return {f"{minor[0]}.{minor[1]}": best[minor][2] for minor in sorted(best)}


if __name__ == "__main__":
    for name, path in find_pythons().items():
        sys.stdout.write(f"{name} {path}\n")
