"""Loading: from what is written on the command line to an Application."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from vivace.app import Application, importing
from vivace.spelling import did_you_mean

__all__ = ["LoadError", "load"]

_NAMES = ("app", "application")
_OURS = str(Path(__file__).parent)


class LoadError(Exception):
    """The application cannot be had: the message is one line that says why.

    trace  the traceback of an exception in the user's code, trimmed to that code; empty where it was not at fault
    """

    def __init__(self, message: str, trace: str = "") -> None:
        """One line, and perhaps a traceback to show above it."""
        super().__init__(message)
        self.trace = trace


def load(target: str, *, factory: bool = False, directory: str = ".") -> Application:
    """Find the application that `target` names.

    target     "module:attribute", "module:factory()", a file ("hello.py", "hello.py:app"), "module.attribute"
               (Japronto's), or a module that has one application
    factory    call what is found, and take the application that it returns
    directory  put first on `sys.path`

    LoadError if there is none. A module that calls `app.run()` without a guard is fine: the arguments are kept in
    `app.run_arguments`.

        app = load("shop.web:app")
    """
    if not Path(directory).is_dir():
        msg = f'no folder "{directory}", where the application should be'
        raise LoadError(msg)
    sys.path.insert(0, str(Path(directory).resolve()))
    name, colon, attribute = target.partition(":")
    if attribute.endswith("()"):
        factory, attribute = True, attribute[:-2]
    if not name.strip(".") or (colon and not attribute):
        msg = f'"{target}" names no application: write module:attribute, or a file'
        raise LoadError(msg)
    found: Any
    with _keeping_run():
        if name.endswith(".py") or "/" in name:
            found, trail = _import_file(name), attribute
        elif colon:
            found, trail = _import_module(name, directory), attribute
        else:
            found, trail = _walk(name, directory), ""
        found = _attribute(found, trail, name) if trail else found
        if isinstance(found, ModuleType):
            found = _only_application(found, target)
        if factory and not isinstance(found, Application):
            found = _call(found, target)
    if isinstance(found, Application):
        return found
    hint = "; call it with --factory, or write it with ()" if callable(found) else ""
    msg = f'"{target}" is no Application but {_article(type(found).__name__)}{hint}'
    raise LoadError(msg)


@contextmanager
def _keeping_run() -> Iterator[None]:
    token = importing.set(True)
    try:
        yield
    finally:
        importing.reset(token)


def _import_file(name: str) -> ModuleType:
    path = Path(name).resolve()
    if not path.is_file():
        near = did_you_mean(path.name, (other.name for other in path.parent.glob("*.py")))
        msg = f'no file "{name}"{near}'
        raise LoadError(msg)
    sys.path.insert(0, str(path.parent))
    # As a script would be, so that its own imports and pickles find it; a library's name stays the library's.
    stem = path.stem if path.stem not in sys.modules else f"vivace_app_{path.stem}"
    spec = importlib.util.spec_from_file_location(stem, path)
    if spec is None or spec.loader is None:
        msg = f'"{name}" is no Python file'
        raise LoadError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        del sys.modules[stem]
        raise _users_fault(f'cannot import "{name}"', error) from None
    return module


def _import_module(name: str, directory: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            near = did_you_mean(name, (path.stem for path in Path(directory).glob("*.py")))
            msg = f'no module "{error.name}" in {Path(directory).resolve()} or among the installed ones{near}'
            raise LoadError(msg) from None
        raise _users_fault(f'cannot import "{name}"', error) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        raise _users_fault(f'cannot import "{name}"', error) from None


def _walk(dotted: str, directory: str) -> Any:
    """Japronto's module.attribute: an attribute where there is one, else a module of the package."""
    first, *rest = dotted.split(".")
    found: Any = _import_module(first, directory)
    walked = first
    for part in rest:
        inner = f"{walked}.{part}"
        if not hasattr(found, part) and isinstance(found, ModuleType) and hasattr(found, "__path__"):
            _import_if_there(inner, directory)
        found = _attribute(found, part, walked)
        walked = inner
    return found


def _import_if_there(name: str, directory: str) -> None:
    if importlib.util.find_spec(name) is not None:
        _import_module(name, directory)


def _attribute(found: Any, trail: str, where: str) -> Any:
    for part in trail.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            msg = f'"{where}" has no attribute "{part}"{did_you_mean(part, _public(found))}'
            raise LoadError(msg) from None
    return found


def _public(found: Any) -> list[str]:
    return [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []


def _only_application(module: ModuleType, target: str) -> Application:
    applications = {name: value for name, value in vars(module).items() if isinstance(value, Application)}
    for name in _NAMES:
        if name in applications:
            return applications[name]
    if len({id(application) for application in applications.values()}) == 1:
        return next(iter(applications.values()))
    if applications:
        names, first = ", ".join(applications), next(iter(applications))
        msg = f'"{target}" has several Applications ({names}): name one, as in {target}:{first}'
        raise LoadError(msg)
    msg = f'"{target}" has no Application: write `app = Application()` there, or name a factory, as in {target}:make()'
    raise LoadError(msg)


def _call(factory: Any, target: str) -> Any:
    if not callable(factory):
        msg = f'"{target}" cannot be called: it is {_article(type(factory).__name__)}, no factory'
        raise LoadError(msg)
    try:
        return factory()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        raise _users_fault(f'the factory "{target}" failed', error) from None


def _users_fault(what: str, error: BaseException) -> LoadError:
    """Python's own words on an exception in the user's code, without the frames that led there."""
    told = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = told
    while part is not None:
        part.stack = traceback.StackSummary.from_list(
            [frame for frame in part.stack if not (frame.filename.startswith(("<frozen", _OURS)) or _is_import(frame))]
        )
        part = part.__cause__ or part.__context__
    reason = str(error).strip().splitlines()
    line = f"{what}: {type(error).__name__}" + (f": {reason[0]}" if reason else "")
    return LoadError(line, "".join(told.format()))


def _is_import(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).parent == Path(importlib.__file__).parent


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
