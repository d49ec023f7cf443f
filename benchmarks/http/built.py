"""vivace as this tree has it, built for the Python that measures."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from servers import BUILD

from environment import Environment

DONE = "BENCH_ENVIRONMENT"


def go_on_with_vivace(python: Path | None, kind: str = "bench", setup_args: Sequence[str] = ()) -> None:
    """Start this program again in an environment of its own that holds vivace; returns at once in that one.

    python      the interpreter that the environment is made from; None: the one that runs this
    kind        a name for the environment and the build
    setup_args  for meson
    """
    if os.environ.get(DONE) == kind:
        return
    base = python or Path(getattr(sys, "_base_executable", sys.executable))
    tell = "import platform; print(platform.python_version())"
    version = subprocess.run([base, "-c", tell], capture_output=True, text=True, check=True).stdout.strip()
    environment = Environment(BUILD / f"venv-{kind}-{version}")
    environment.create(base)
    environment.install_requirements([])
    environment.install_package(BUILD / f"py-{kind}-{version}", setup_args)
    os.environ[DONE] = kind
    os.environ.pop("PYTHONPATH", None)  # it might hold another vivace
    os.execv(environment.python, [str(environment.python), *sys.argv])
