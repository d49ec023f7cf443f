#!/usr/bin/env python3
"""Make a virtual environment that holds vivace, built from this tree, and what the named extras ask for.

    python3 tools/environment.py .venv standard test dev

Nothing is done that is done already: requirements are installed when pyproject.toml asks for new ones, the package is
built again (by its own build folder, so only what changed) when a file that it is made of has changed.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MADE_OF = ("pyproject.toml", "meson.build", "meson.options", "LICENSE", "src")


def say(line: str) -> None:
    """Print a line at once, in order with what others print that are started from here."""
    print(line, flush=True)


def requirements(extras: Sequence[str]) -> list[str]:
    """Collect what pyproject.toml asks for: to build, to run, and for these extras."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    wanted = pyproject["build-system"]["requires"] + project["dependencies"]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return sorted(set(wanted))


def files_made_of() -> Iterator[Path]:
    """Yield every file that the package is built from."""
    for name in MADE_OF:
        path = ROOT / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def fingerprint(setup_args: Sequence[str]) -> str:
    """Tell two states of the sources, or two ways to build them, apart."""
    state = hashlib.sha256(repr(list(setup_args)).encode())
    for file in files_made_of():
        state.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return state.hexdigest()


class Environment:
    """A virtual environment and the stamp in it that says what it holds."""

    def __init__(self, folder: Path) -> None:
        """Name the environment's folder; nothing is made yet."""
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._stamp = folder / "vivace-stamp.json"

    def _holds(self) -> dict[str, Any]:
        return json.loads(self._stamp.read_text(encoding="utf-8")) if self._stamp.exists() else {}

    def _note(self, **news: object) -> None:
        self._stamp.write_text(json.dumps(self._holds() | news, indent=1), encoding="utf-8")

    def _pip_install(self, *arguments: str) -> None:
        quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
        command: list[str | Path] = [self.python, "-m", "pip", "install", *quiet, *arguments]
        # The build back-end looks for meson and ninja on PATH: they shall be this environment's.
        path = os.pathsep.join([str(self.python.parent), *os.get_exec_path()])
        subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)

    def create(self, base: Path) -> None:
        """Make the environment from the interpreter `base`, unless it is there."""
        if self._stamp.exists() and self.python.exists():
            return
        say(f"making {self.folder.name} with {base}")
        subprocess.run([base, "-m", "venv", "--clear", self.folder], check=True)
        self._note()

    def install_requirements(self, extras: Sequence[str]) -> None:
        """Install what the extras ask for, unless all of it was installed before."""
        wanted = requirements(extras)
        if not set(wanted) <= set(self._holds().get("requirements", [])):
            say("installing what vivace is built and tested with" if extras else "installing what vivace is built with")
            self._pip_install(*wanted)
            self._note(requirements=wanted)

    def install_package(self, build: Path, setup_args: Sequence[str] = ()) -> None:
        """Build vivace in the folder `build` and install it, unless just that is installed."""
        state = fingerprint(setup_args)
        if self._holds().get("package") == state:
            return
        say("building vivace: up to a minute the first time")
        build.mkdir(parents=True, exist_ok=True)
        settings = [f"--config-settings=build-dir={build}"]
        settings += [f"--config-settings=setup-args={argument}" for argument in setup_args]
        self._note(package=None)
        self._pip_install("--no-build-isolation", "--no-deps", *settings, ".")
        self._note(package=state)


def main() -> int:
    """Make one environment from the interpreter that runs this."""
    parser = argparse.ArgumentParser(description="Make a virtual environment that holds vivace.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--only-requirements", action="store_true", help="leave vivace itself out")
    arguments = parser.parse_args()
    environment = Environment(arguments.folder.absolute())
    try:
        environment.create(Path(sys.executable))
        environment.install_requirements(arguments.extras)
        if not arguments.only_requirements:
            environment.install_package(ROOT / "build" / f"py-{environment.folder.name.lstrip('.')}")
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"could not make {arguments.folder}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
