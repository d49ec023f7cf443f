"""This program, and how it is started once more: workers are fresh interpreters that run the same command."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Program", "this_program"]

_DIRECTORY = "."
with suppress(OSError):  # it may be gone
    _DIRECTORY = os.getcwd()  # noqa: PTH109 - the one that the arguments are relative to: a script may leave it later


@dataclass(frozen=True, slots=True)
class Program:
    """A command that serves.

    arguments  the interpreter and all that follows
    directory  where it was started
    environ    what it was started with
    label      what it serves, for people: "hello:app"
    code       a folder that its code is in
    call       which of its calls of `run()` it is about, from 1 on
    """

    arguments: Sequence[str]
    directory: str
    environ: Mapping[str, str]
    label: str
    code: str
    call: int = 1


def this_program(
    label: str | None = None,
    code: str | None = None,
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    call: int = 1,
) -> Program:
    """Find out how this process was started.

    label      what it serves; the name of the script when left out
    code       a folder that its code is in; that of the script when left out
    arguments  those of `vivace`, where they are not the process's own
    environ    what it was started with; what is there now when left out

    RuntimeError, in one line, where nobody could start it once more: a prompt, a script on standard input.
    """
    from pathlib import Path  # noqa: PLC0415 - only who serves asks

    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    if arguments is not None:
        command = [*_interpreter(), "-m", "vivace", *arguments]
    elif "-c" in sys.orig_argv or (script is not None and Path(_DIRECTORY, script).exists()):
        command = [sys.executable, *sys.orig_argv[1:]]
    else:
        command = []
    if not command or not sys.executable:
        msg = "several workers, and reload, need a program that can be started again: a file or a module"
        raise RuntimeError(msg)
    inherited = dict(os.environ if environ is None else environ)
    path = Path(_DIRECTORY, script or "-c")
    return Program(command, _DIRECTORY, inherited, label or path.name, code or str(path.parent), call)


def _interpreter() -> list[str]:
    import subprocess  # noqa: PLC0415 - who serves alone needs none

    return [sys.executable, *subprocess._args_from_interpreter_flags()]  # type: ignore[attr-defined] # noqa: SLF001
